"""Which label map belongs to which scan, by their names.

A label map has the name of its scan, or that name with one word behind or before it: `x_seg`,
`x-label`, `mask_x`. A scan may have such a word of its own: `x_image`, `volume-3`. What could
belong to two scans, and all of several label maps of one scan, belong to none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

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
FURTHER = re.compile(rf"{MARK}+(?:{LABEL}){MARK}?\d{{1,2}}$", re.IGNORECASE)
"""`x_mask_1`: one of several label maps of the scan x."""


NO_IMAGE = "has no image of its name"
ELSEWHERE = "belongs to a scan of the other folder"
SECOND = "is a second label map of its scan"
SEVERAL = "is one of several label maps of its scan"
"""Why a label map has no scan."""


@dataclass(frozen=True)
class Matching:
    """Label maps whose name is not that of a scan: `scan_of` names the scan of each that is sure,
    `problems` says of each other one why it has none, `patterns` how those that are sure are
    called, such as "NAME_seg"."""

    scan_of: Mapping[str, str]
    problems: Mapping[str, str]
    patterns: Mapping[str, str]


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
    stated = stated or {}
    lone = [name for name in sorted(labels) if name not in images]
    found = {name: _scans(name, images) for name in lone}
    found |= {name: [stated[name]] for name in lone if stated.get(name) in images}
    further = {name: _scans(FURTHER.sub("_seg", name), images) for name in lone if not found[name]}
    claims = Counter(scans[0] for scans in (*found.values(), *further.values()) if len(scans) == 1)
    scan_of, problems = {}, {}
    for name in lone:
        scans = found[name] or further[name]
        if not scans and _scans(name, elsewhere):
            problems[name] = ELSEWHERE
        elif not scans:
            problems[name] = NO_IMAGE
        elif len(scans) > 1:
            problems[name] = f"may belong to {scans[0]} or to {scans[1]}"
        elif scans[0] in labels:
            problems[name] = SECOND
        elif claims[scans[0]] > 1 or not found[name]:
            problems[name] = SEVERAL
        else:
            scan_of[name] = scans[0]
    patterns = {name: _pattern(name, scan) for name, scan in scan_of.items()}
    return Matching(scan_of, problems, patterns)


def label_maps_among(images: Collection[str]) -> dict[str, str]:
    """Names among those of scans that look like the label map of another one: `x_seg` beside
    `x`, with that scan."""
    behind = {name: OF_LABELS[0].sub("", name) for name in images}
    return {name: scan for name, scan in behind.items() if scan != name and scan in images}


def _scans(label: str, images: Collection[str]) -> list[str]:
    """The scans that a label map may belong to, by the nearest of three rules."""
    without = _stems(label, OF_LABELS)
    exact = [name for name in without if name in images]
    if exact:
        return exact
    wanted = {name.casefold() for name in without}
    rules = (
        lambda image: image.casefold() in wanted or image.casefold() == label.casefold(),
        lambda image: not wanted.isdisjoint(map(str.casefold, _stems(image, OF_IMAGES))),
        lambda image: label.casefold() in map(str.casefold, _stems(image, OF_IMAGES)),
    )
    for rule in rules:
        if scans := sorted(filter(rule, images)):
            return scans
    return []


def _stems(name: str, ends: Sequence[re.Pattern[str]]) -> list[str]:
    """A name without a word at one of its ends; [] if there is none."""
    cut = dict.fromkeys(end.sub("", name) for end in ends)
    return [stem for stem in cut if stem and stem != name]


def _pattern(label: str, scan: str) -> str:
    """How a label map is called, with NAME for what it shares with its scan."""
    for stem in (scan, *_stems(label, OF_LABELS)):
        place = label.casefold().find(stem.casefold())
        if place >= 0:
            return label[:place] + "NAME" + label[place + len(stem) :]
    return label
