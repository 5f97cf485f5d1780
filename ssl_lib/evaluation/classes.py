"""Scores class by class: which class gains most from the unlabelled scans, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import Interval, Result, bootstrap_interval, paired_difference
from ssl_lib.utils.errors import InputError

SIGNS = {"dice": 1.0, "jaccard": 1.0, "hd95": -1.0, "asd": -1.0}
"""By what a difference is multiplied so that positive is better."""


@dataclass(frozen=True)
class ClassGains:
    """Mean gain over the reference of each class, for several rows together.

    `over_next` is the gain of the class that gains most minus that of the next one, scan by scan;
    None with one class.
    """

    rows: tuple[str, ...]
    gains: dict[int, Interval]
    over_next: Interval | None

    @property
    def order(self) -> list[int]:
        """The classes, that with the largest mean gain first."""
        return sorted(self.gains, key=lambda index: -self.gains[index].mean)


def classes_of(results: Sequence[Result]) -> list[int]:
    """The numbers of the foreground classes that were scored."""
    rows = (row for result in results for row in result["rows"].values())
    return sorted({entry["class"] for row in rows for entry in row["per_case"]})


def rows_beside(results: Sequence[Result], rows: Sequence[str], reference: str) -> list[str]:
    """Those of the rows that stand beside the reference in a run. Raises `InputError` if none."""
    met = [
        row
        for row in rows
        if row != reference and any({row, reference} <= run["rows"].keys() for run in results)
    ]
    if not met:
        raise InputError(f"no row was stored beside {reference!r}", fix="train one: make rows")
    return met


def class_gain(
    results: Sequence[Result], row: str, reference: str, index: int, score: str = "dice"
) -> Interval:
    """The paired gain of a row in one class, positive where it is better."""
    values = paired_difference(results, row, reference, score, index).values
    return bootstrap_interval(SIGNS[score] * values)


def class_gains(
    results: Sequence[Result], rows: Sequence[str], reference: str, score: str = "dice"
) -> ClassGains:
    """The gains of each class, averaged over seeds and rows in each scan, intervals over scans.

    Rows that never meet the reference in a run are left out. Raises `InputError` if none does.
    """
    met = rows_beside(results, rows, reference)
    table = {
        index: _mean_gain(results, met, reference, index, score) for index in classes_of(results)
    }
    gains = {index: bootstrap_interval(values) for index, values in table.items()}
    found = ClassGains(tuple(met), gains, None)
    if len(gains) < 2 or any(np.isnan(gain.mean) for gain in gains.values()):
        return found
    first, second, *_ = found.order
    return ClassGains(found.rows, gains, bootstrap_interval(table[first] - table[second]))


def _mean_gain(
    results: Sequence[Result], rows: Sequence[str], reference: str, index: int, score: str
) -> Float[np.ndarray, " scan"]:
    """For each scan the mean gain of the rows in one class; every row counts alike."""
    tables = []
    for row in rows:
        found = paired_difference(results, row, reference, score, index)
        means = [nan_mean(scan) for scan in found.values.T]
        tables.append(dict(zip(found.identities, means, strict=True)))
    return np.array([SIGNS[score] * nan_mean([t[name] for t in tables]) for name in tables[0]])
