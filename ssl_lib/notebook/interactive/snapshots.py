"""The pseudo-label over training: a play button, any snapshot, several methods side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ssl_lib.data.cohort import Case
from ssl_lib.figures.scans import RIGHT, SURE_AND_WRONG, WRONG, snapshot_strip
from ssl_lib.methods import row_name
from ssl_lib.notebook.interactive.page import class_colours, quantised, show_interactive
from ssl_lib.notebook.interactive.slices import ShownSlice, shown_slice

Filter = Callable[[UInt8[np.ndarray, "*space"]], UInt8[np.ndarray, "*space"]]
Snapshots = Sequence[Mapping[str, Any]]
MOST = 24


def snapshots(
    case: Case,
    truth: UInt8[np.ndarray, "*space"],
    trainings: Mapping[str, Snapshots],
    class_names: Sequence[str],
    *,
    alt: str,
    filters: Mapping[str, Filter] | None = None,
) -> None:
    """Shows how the pseudo-label of one scan grows in each training (key of the row: snapshots).

    A snapshot holds `iteration`, `label` and `confidence` (0 to 255). The reader moves through
    training, and sets from which probability on a pseudo-label counts as confident; the shares of
    right, wrong and confidently wrong pixels are counted in the page, on the slice that is shown.
    `filters` are functions of a label map (*space) that the reader can switch on, by their names.
    """
    shown, filters = shown_slice(case, truth), {"off": np.asarray, **(filters or {})}
    rows = [_row(key, found, shown, filters) for key, found in trainings.items()]
    data = {
        **shown.data(truth),
        "rows": rows,
        "names": list(class_names),
        "colours": class_colours(len(class_names)),
        "filters": list(filters),
        "judged": [RIGHT, WRONG, SURE_AND_WRONG],
    }
    first = next(iter(trainings.values()))
    show_interactive(
        "snapshots",
        data,
        alt=alt,
        label="Pseudo-label over training",
        stored=snapshot_strip(case, truth, first),
    )


def _row(
    key: str, found: Snapshots, shown: ShownSlice, filters: Mapping[str, Filter]
) -> dict[str, Any]:
    """One training: its iterations, and the slice of each snapshot: classes (filter, snapshot,
    row, column), and the probability of the class (snapshot, row, column)."""
    chosen = np.unique(np.linspace(0, len(found) - 1, MOST).round().astype(int))
    found = [found[number] for number in chosen]
    maps = [np.asarray(one["label"]) for one in found]
    confidence = np.stack([shown.numbers(np.asarray(one["confidence"])) for one in found])
    return {
        "name": row_name(key),
        "iterations": [int(one["iteration"]) for one in found],
        "label": np.stack(
            [[shown.classes(change(one)) for one in maps] for change in filters.values()]
        ),
        "confidence": quantised(confidence / 255, 64, within=(0, 1)),
    }
