"""Every label map of a folder with the scan that it belongs to: by the pairs that dataset.json
states, by its name, or excluded with the reason (see `label_names`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ssl_lib.data.findings import Findings
from ssl_lib.data.label_names import (
    ELSEWHERE,
    NO_IMAGE,
    NUMBERED_MAP,
    SECOND,
    SEVERAL,
    label_maps_among,
    match_names,
)
from ssl_lib.data.suffixes import suffix_of
from ssl_lib.utils.errors import printable

NUMBERED = re.compile(r"(.+)_(\d{4})$")
"""NAME_0001: a second channel of a scan (nnU-Net), or a folder's own numbering."""
ONE_EACH = "one label map for each scan"
ON_MATCHING = {
    NO_IMAGE: ("one name for an image and its label map", "give the two one name"),
    ELSEWHERE: (
        "label maps of imagesTr in labelsTr, those of imagesTs in labelsTs",
        "move it to the other folder of label maps",
    ),
    SECOND: (ONE_EACH, "remove one of the two"),
    SEVERAL: (ONE_EACH, "merge them into one file, or remove all but one"),
    NUMBERED_MAP: (ONE_EACH, "if it is the only one, give it the name of its scan"),
}
"""What is expected of a label map, and how to fix it, by what is wrong with its name."""
AS_STATED = "as dataset.json states"


def match_files(
    parts: dict[str, dict[str, Path]], stated: Mapping[str, str], findings: Findings
) -> dict[Path, str]:
    """Give every label map in `parts` the name of its scan. Label maps among the scans, and those
    that belong to none or to several, are excluded.

    Returns how the label maps are called whose name is not that of their scan, for `tell_matches`.
    """
    patterns: dict[Path, str] = {}
    for images, labels, pairs in (("imagesTr", "labelsTr", stated), ("imagesTs", "labelsTs", {})):
        scans, maps = parts[images], parts[labels]
        channels = {found[1] for name in scans if (found := NUMBERED.match(name))}
        _take_out(scans, maps, channels, pairs, images, findings)
        other = parts["imagesTs" if images == "imagesTr" else "imagesTr"]
        matching = match_names({*scans, *channels}, maps, pairs, other)
        for name, problem in matching.problems.items():
            expected, fix = ON_MATCHING.get(problem, ("one scan for each label map", "rename it"))
            findings.exclude(maps[name], problem, expected, fix)
        for name, pattern in matching.patterns.items():
            patterns[maps[name]] = AS_STATED if pairs.get(name) in scans else pattern
        parts[labels] = {scan: maps[name] for name, scan in matching.scan_of.items()}
    return patterns


def _take_out(
    scans: dict[str, Path],
    maps: dict[str, Path],
    channels: Collection[str],
    stated: Mapping[str, str],
    part: str,
    findings: Findings,
) -> None:
    """Exclude label maps that lie among the scans, and what is called like one of them: which of
    the two is the label map is not sure."""
    wanted = part.replace("images", "labels")
    among = label_maps_among(scans, {*maps, *stated.values()}, channels)
    for name, scan in among.items():
        if name in stated.values():
            continue
        near = f": is it the label map of {printable(scan)}?"
        findings.exclude(
            scans.pop(name),
            f"lies among the scans{near}",
            f"scans in {part}, label maps in {wanted}",
            f"move it to {wanted}, or give the scan another name",
        )
        if name in maps and name not in stated:
            findings.exclude(
                maps.pop(name),
                f"has the name of a file in {part} that may be a label map itself",
                "one name for an image and its label map",
                f"give it the name of its scan, {printable(scan)} or another",
            )


def tell_matches(
    patterns: Mapping[Path, str],
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    findings: Findings,
) -> None:
    """A line, with an example, for each way in which label maps that are used are called."""
    alike: dict[str, list[str]] = {}
    for scan, path in labels.items():
        if path in patterns:
            alike.setdefault(patterns[path], []).append(scan)
    for pattern, scans in alike.items():
        first, count = labels[scans[0]], len(scans)
        maps = f"{count} label map{'s' if count > 1 else ''}"
        are = "are" if count > 1 else "is"
        example = printable(f"{first.name} to {images[scans[0]].name}")
        how = AS_STATED if pattern == AS_STATED else "by name"
        maps += "" if pattern == AS_STATED else f" called {printable(pattern)}"
        findings.note(first.parent, f"{maps} {are} matched {how}: {example}", topic="matched")


def of_a_scan(
    labels: Mapping[str, Path], images: Mapping[str, Path], findings: Findings
) -> dict[str, Path]:
    """The label maps whose scan is there; the others are excluded."""
    for name in sorted(labels.keys() - images.keys()):
        findings.exclude(labels[name], NO_IMAGE, *ON_MATCHING[NO_IMAGE])
    return {name: path for name, path in labels.items() if name in images}


def stated_pairs(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label maps and their scans, by names without endings, as dataset.json lists them under
    "training": [{"image": ..., "label": ...}, ...]."""
    listed = description.get("training")
    return [
        (name_of(label), name_of(image))
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, Mapping)
        and isinstance(label := entry.get("label"), str)
        and isinstance(image := entry.get("image"), str)
    ]


def name_of(path: str) -> str:
    """The last part of a path, without its ending."""
    name = unicodedata.normalize("NFC", path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])
    return name[: len(name) - len(suffix_of(name))]
