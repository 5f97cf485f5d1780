"""The fingerprint of a folder, as tables for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np
from IPython.display import HTML

from ssl_lib.data.fingerprint import Finding, Fingerprint

WEIGHTS = ("excluded", "warning", "note")
MOST_FILES = 6


LEFT = 'style="text-align:left"'
"""Of cells that hold sentences: JupyterLab sets tables flush right."""


def description_table(fingerprint: Fingerprint) -> HTML:
    """One line a property: scans, shapes, voxel sizes, orientations, grey levels, organ volumes."""
    properties, listing = list(fingerprint.properties.values()), fingerprint.listing
    labelled = [scan for scan in listing.training if scan in listing.labels]
    rows = {
        "training scans with a label map": str(len(labelled)),
        "training scans without": str(len(listing.training) - len(labelled)),
        "test scans with a label map, without": (
            f"{len(listing.scored_test)}, {len(listing.test) - len(listing.scored_test)}"
        ),
        "channels (pictures show the first)": ", ".join(fingerprint.channel_names),
        "voxels along x, y, z": _ranges([one.shape for one in properties], "voxels"),
        "voxel size along x, y, z": _ranges([one.spacing for one in properties], fingerprint.unit),
        "voxel size for the network": _resampling(fingerprint),
        "orientation of the files": _counts([one.orientation for one in properties]),
        "median grey level": _range([one.quantiles[2] for one in properties]),
    }
    for value, name in list(zip(fingerprint.values, fingerprint.class_names, strict=True))[1:]:
        sizes = [one.classes[value] * one.measure[0] for one in properties if value in one.classes]
        words = (
            f"{_range(sizes)} {properties[0].measure[1]} in {len(sizes)} label maps"
            if sizes
            else "in no label map"
        )
        rows[f"{name} (value {value})"] = words
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(words)}</td></tr>'
        for name, words in rows.items()
    )
    caption = "<caption>Usable scans only: median, in brackets the smallest and largest.</caption>"
    return HTML(f"<table>{caption}<tbody>{body}</tbody></table>")


def _resampling(fingerprint: Fingerprint) -> str:
    common = fingerprint.common_spacing
    if common is None:
        return "their own"
    sizes = [f"{size:.4g}" for axis, size in enumerate(common) if axis != fingerprint.axis]
    return f"{', '.join(sizes)} mm, all scans resampled; predictions back on their own voxels"


def findings_table(findings: Sequence[Finding]) -> HTML:
    """One line a finding, the gravest first; files with the same finding share a line."""
    if not findings:
        return HTML("<p>Nothing to report: every file can be used.</p>")
    head = "".join(
        f'<th scope="col" {LEFT}>{name}</th>'
        for name in ("What", "File", "Problem", "Expected", "How to fix it")
    )

    alike: dict[tuple, list[str]] = {}
    for one in sorted(findings, key=lambda one: (WEIGHTS.index(one.weight), one.file)):
        key = (one.weight, one.problem, one.expected, one.fix)
        alike.setdefault(key, []).append(one.file)
    body = ""
    for (weight, problem, expected, fix), files in alike.items():
        more = [f"and {len(files) - MOST_FILES} more"] if len(files) > MOST_FILES else []
        cells = (weight, ", ".join(files[:MOST_FILES] + more), problem, expected, fix)
        body += (
            "<tr>" + "".join(f"<td {LEFT}>{escape(cell) or '–'}</td>" for cell in cells) + "</tr>"
        )
    return HTML(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _ranges(rows: Sequence[Sequence[float]], unit: str) -> str:
    return ", ".join(_range(column) for column in zip(*rows, strict=True)) + f" {unit}"


def _range(values: Sequence[float]) -> str:
    low, middle, high = np.min(values), np.median(values), np.max(values)
    return f"{middle:.4g}" if low == high else f"{middle:.4g} [{low:.4g}, {high:.4g}]"


def _counts(values: Sequence[str]) -> str:
    return ", ".join(f"{count} {value}" for value, count in Counter(values).most_common())
