"""Two predictions of one scan with a handle between them: left of it the one, right the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from ssl_lib.data.cohort import Case
from ssl_lib.figures.slices import overlay
from ssl_lib.figures.style import house_style, new_figure
from ssl_lib.notebook.interactive.page import Piece, class_colours, piece
from ssl_lib.notebook.interactive.slices import shown_slice

MARGIN = 0.35  # around the organ, of its side
Label = UInt8[np.ndarray, "*space"]


@dataclass(frozen=True)
class Compared:
    """A scan with its truth, and the label map and Dice of each row by its words."""

    words: str
    case: Case
    truth: Label
    maps: Mapping[str, Label]
    dice: Mapping[str, float]


def wipe(scans: Sequence[Compared], class_names: Sequence[str], *, alt: str) -> Piece:
    """The figure: a choice of scans, and for both sides a choice of label maps, the truth
    among them. Pictures are cut around the organ of the truth, on one slice."""
    data = {
        "scans": [_scan(one) for one in scans],
        "maps": [*scans[0].maps, "an expert"],
        "names": list(class_names),
        "colours": class_colours(len(class_names)),
    }
    return piece("wipe", data, alt=alt, label="Two predictions", stored=_stored(scans[0]))


def _scan(one: Compared) -> dict[str, Any]:
    shown = shown_slice(one.case, one.truth)
    inside = _around(shown.classes(one.truth))
    maps = [shown.classes(label)[inside] for label in (*one.maps.values(), one.truth)]
    return {
        "words": one.words,
        "slice": shown.words,
        "aspect": shown.aspect,
        "grey": shown.grey[inside] // 4 * 4,  # 64 grey levels: fewer bytes
        "maps": np.stack(maps),
        "dice": [one.dice[name] for name in one.maps],
    }


def _around(label: UInt8[np.ndarray, "row column"]) -> tuple[slice, slice]:
    """Where the organ lies, with a margin."""
    sides = []
    for axis in (1, 0):
        places = np.flatnonzero(label.any(axis=axis))
        margin = round(MARGIN * (places[-1] - places[0] + 1))
        sides.append(slice(max(places[0] - margin, 0), places[-1] + margin + 1))
    return sides[0], sides[1]


@house_style()
def _stored(one: Compared) -> Figure:
    """Every label map of one scan side by side, for pages without a script."""
    shown = shown_slice(one.case, one.truth)
    inside = _around(shown.classes(one.truth))
    maps = {**one.maps, "an expert": one.truth}
    figure = new_figure(height=2.9)
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for ax, (name, label) in zip(axes, maps.items(), strict=True):
        overlay(ax, shown.grey[inside].astype(float), shown.classes(label)[inside])
        ax.set_title(name)
    return figure
