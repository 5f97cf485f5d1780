"""The filters of DSAIF in the page: grow the tree of a slice, remove nodes, and look at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from ssl_lib.data.cohort import Case
from ssl_lib.figures.filtering import filter_frame
from ssl_lib.figures.slices import shared_window
from ssl_lib.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW
from ssl_lib.methods.dsaif import filter_levels, to_levels
from ssl_lib.notebook.interactive.page import show_interactive
from ssl_lib.notebook.interactive.slices import shown_slice
from ssl_lib.utils.errors import InputError

MOST_SCANS = 3
LARGEST_AREA = 400
KEPT, SMALL = (SKY, GREEN, PURPLE, YELLOW), VERMILLION
DARKER, BRIGHTER = BLUE, ORANGE


def max_tree(cases: Sequence[Case], *, area: int, alt: str) -> None:
    """Shows one slice of each scan (the first three) with its filters, which the page computes.

    The reader sets the tree, the steps, the area threshold in pixels (it starts at `area`), the
    grey levels and which pixels touch; a flooding view shows the components of one level. A slice
    has 256 levels over its own range; fewer are made from these, by the same rule. Raises
    `InputError` without a scan, or with a threshold below 1.
    """
    if not cases:
        raise InputError("there is no scan to filter", expected="one to three scans")
    if area < 1:
        raise InputError(f"an area threshold of {area}", expected="1 pixel or more")
    scans = [_scan(case, number) for number, case in enumerate(cases[:MOST_SCANS], start=1)]
    data = {
        "scans": scans,
        "area": area,
        "largest": max(LARGEST_AREA, area),
        "kept": list(KEPT),
        "small": SMALL,
        "changes": [DARKER, BRIGHTER],
    }
    show_interactive(
        "max_tree", data, alt=alt, label="Filters on a Max-tree", stored=_stored(scans[0], area)
    )


def _scan(case: Case, number: int) -> dict[str, Any]:
    """The slice in 256 levels over its own range, and which of them are shown black and white."""
    shown = shown_slice(case, case.label)
    grey, _ = to_levels(shown.numbers(case.image))
    smaller = "" if max(shown.factors) == 1 else f"downsampled by {shown.factors[0]}"
    return {
        "name": f"scan {number}",
        "words": ", ".join(part for part in (shown.words, smaller) if part),
        "grey": grey,
        "aspect": shown.aspect,
        "window": list(shared_window([grey])),
        "organ": None if case.label is None else (shown.classes(case.label) > 0).astype(np.uint8),
    }


def _stored(scan: dict[str, Any], area: int) -> Figure:
    """Both filtered versions of one slice, side by side."""
    grey: UInt8[np.ndarray, "row column"] = scan["grey"]
    both = {f"{k.title()}-filtered": filter_levels(grey, k, area=area) for k in ("max", "min")}
    return filter_frame({"scan": grey, **both})
