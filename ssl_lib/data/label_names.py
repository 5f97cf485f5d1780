"""Which label map belongs to which scan, by their names.

A label map has the name of its scan, or that name with one word behind or before it: `x_seg`,
`x-label`, `mask_x`. A scan may have such a word of its own: `x_image`, `volume-3`. What could
belong to two scans, and all of several label maps of one scan, belong to none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

MARK = r"[_. -]"
LABEL = "segmentations?|seg|dseg|labels?|masks?|gt|ground[_ -]?truth|manual|annotations?"
IMAGE = "images?|img|volumes?|vol|scan"


def _ends(words: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """One of those words behind a name, and before it: with a mark between, or before a number."""
    return (
        re.compile(rf"{MARK}+(?:{words})$", re.IGNORECASE),
        re.compile(rf"^(?:{words})(?:{MARK}+|(?=\d))", re.IGNORECASE),
    )


OF_LABELS, OF_IMAGES = _ends(LABEL), _ends(IMAGE)
FURTHER = (re.compile(rf"{MARK}+(?:{LABEL}){MARK}?\d{{1,2}}$", re.IGNORECASE),)
"""`x_mask_1`: one of several label maps of the scan x."""

NO_IMAGE = "has no image of its name"
ELSEWHERE = "belongs to a scan of the other folder"
SECOND = "is a second label map of its scan"
SEVERAL = "is one of several label maps of its scan"
NUMBERED_MAP = "ends in a number: is it one of several label maps of its scan?"
"""Why a label map has no scan."""


@dataclass(frozen=True)
class Matching:
    """`scan_of` names the scan of each label map that is sure, `problems` says of each other one
    why it has none, `patterns` how those are called whose name is not that of their scan, such as
    "NAME_seg"."""

    scan_of: Mapping[str, str]
    problems: Mapping[str, str]
    patterns: Mapping[str, str]


@dataclass(frozen=True)
class _Index:
    """Names of scans: as they are, in small letters, and without their own words."""

    names: frozenset[str]
    small: dict[str, list[str]] = field(default_factory=dict)
    without: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Iterable[str]) -> _Index:
        made = cls(frozenset(names))
        for name in sorted(made.names):
            made.small.setdefault(name.casefold(), []).append(name)
            for stem in _stems(name, OF_IMAGES):
                made.without.setdefault(stem.casefold(), []).append(name)
        return made

    def scans(self, label: str, ends: Sequence[re.Pattern[str]] = OF_LABELS) -> list[str]:
        """The scans that a label map may belong to by its name."""
        stems = _stems(label, ends)
        exact = [stem for stem in stems if stem in self.names]
        near = [scan for stem in stems for scan in self.small.get(stem.casefold(), ())]
        words = [scan for stem in stems for scan in self.without.get(stem.casefold(), ())]
        own = [*self.small.get(label.casefold(), ()), *self.without.get(label.casefold(), ())]
        found = [*(exact or near), *words] or (own if ends is OF_LABELS else [])
        return [scan for scan in dict.fromkeys(found) if scan != label]


def match_names(
    images: Collection[str],
    labels: Collection[str],
    stated: Mapping[str, str] | None = None,
    elsewhere: Collection[str] = (),
) -> Matching:
    """Match label maps to scans; all are names without endings.

    `stated` are pairs (label map, scan) that the folder's owner wrote down: they come first.
    `elsewhere` are scans of another folder, which are only mentioned.
    """
    here, there, stated = _Index.of(images), _Index.of(elsewhere), stated or {}
    scan_of = {name: stated[name] for name in sorted(labels) if stated.get(name) in here.names}
    sure = set(scan_of.values())
    free = here.names - sure
    scan_of |= {name: name for name in sorted(labels) if name in free and name not in scan_of}
    lone = [name for name in sorted(labels) if name not in scan_of]
    found = {name: [name] if name in here.names else here.scans(name) for name in lone}
    further = {name: here.scans(name, FURTHER) for name in lone if not found[name]}
    sure = set(scan_of.values())
    claims = Counter(scans[0] for scans in (*found.values(), *further.values()) if len(scans) == 1)
    problems = {}
    for name in lone:
        scans = found[name] or further[name]
        if not scans:
            other = there.scans(name) or there.scans(name, FURTHER) or name in there.names
            known = other or stated.get(name) in there.names
            problems[name] = ELSEWHERE if known else NO_IMAGE
        elif len(scans) > 1:
            problems[name] = f"may belong to {scans[0]} or to {scans[1]}"
        elif scans[0] in sure or _channel_of(scans[0]) in sure:
            problems[name] = SECOND
        elif claims[scans[0]] > 1 or claims[_channel_of(scans[0])]:
            problems[name] = SEVERAL
        elif not found[name]:
            problems[name] = NUMBERED_MAP
        else:
            scan_of[name] = scans[0]
    patterns = {name: _pattern(name, scan) for name, scan in scan_of.items() if name != scan}
    return Matching(scan_of, problems, patterns)


def label_maps_among(
    images: Collection[str], labels: Collection[str] = (), others: Collection[str] = ()
) -> dict[str, str]:
    """Names among those of scans that look like the label map of another one, such as `x_seg`
    beside `x`, with that scan. Where both have a label map of their exact name both are scans.

    `others` are scans of which only the channels are named in `images`.
    """
    index = _Index.of([*images, *others])
    found = {}
    for name in images:
        marked = _stems(name, OF_LABELS) or _stems(name, FURTHER)
        scans = marked and (index.scans(name) or index.scans(name, FURTHER))
        if scans and not (name in labels and scans[0] in labels):
            found[name] = scans[0]
    return {name: scan for name, scan in found.items() if scan not in found}


def _stems(name: str, ends: Sequence[re.Pattern[str]]) -> list[str]:
    """A name without a word at one of its ends; [] if there is none."""
    cut = dict.fromkeys(end.sub("", name) for end in ends)
    return [stem for stem in cut if stem and stem != name]


def _channel_of(scan: str) -> str:
    """The scan of which a file is a channel by its name, x of x_0001; "" of other names."""
    name, _, number = scan.rpartition("_")
    return name if len(number) == 4 and number.isdecimal() else ""


def _pattern(label: str, scan: str) -> str:
    """How a label map is called, with NAME for what it shares with its scan."""
    for stem in _stems(label, OF_LABELS):
        if stem.casefold() in (s.casefold() for s in (scan, *_stems(scan, OF_IMAGES))):
            behind = label.casefold().startswith(stem.casefold())
            cut = len(stem)
            return f"NAME{label[cut:]}" if behind else f"{label[: len(label) - cut]}NAME"
    plain = (scan, *_stems(scan, OF_IMAGES))
    return "NAME" if label.casefold() in map(str.casefold, plain) else label
