"""Scores class by class: which class gains most from the unlabelled scans, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import (
    Interval,
    Result,
    ScanScores,
    bootstrap_interval,
    paired_difference,
)
from ssl_lib.utils.errors import InputError

SIGNS = {"dice": 1.0, "jaccard": 1.0, "hd95": -1.0, "asd": -1.0}
"""By what a difference is multiplied so that positive is better."""


@dataclass(frozen=True)
class ClassGains:
    """Gain over the reference of each class, for several rows together.

    `over_next` is the gain of the class that gains most minus that of the next one, scan by scan;
    None with one class. `leads` counts for each class the rows in which it gains most.
    """

    rows: tuple[str, ...]
    gains: dict[int, Interval]
    over_next: Interval | None
    leads: Mapping[int, int]

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
    return bootstrap_interval(
        paired_difference(results, row, reference, score, index).times(SIGNS[score])
    )


def class_gains(
    results: Sequence[Result], rows: Sequence[str], reference: str, score: str = "dice"
) -> ClassGains:
    """The gains of each class: in each scan the mean over seeds and the median over rows, so that
    one row alone decides nothing; intervals over patients.

    Rows that never meet the reference in a run are left out. Raises `InputError` if none does.
    """
    met = rows_beside(results, rows, reference)
    table = {index: _gains(results, met, reference, index, score) for index in classes_of(results)}
    scans = paired_difference(results, met[0], reference, score)

    def of_scans(values: Float[np.ndarray, " scan"]) -> ScanScores:
        return replace(scans, seeds=(0,), values=values[None])

    middle = {index: np.array([nan_median(scan) for scan in t.T]) for index, t in table.items()}
    gains = {index: bootstrap_interval(of_scans(values)) for index, values in middle.items()}
    leads = Counter(
        max(table, key=lambda index: np.nan_to_num(nan_mean(table[index][place]), nan=-np.inf))
        for place in range(len(met))
    )
    found = ClassGains(tuple(met), gains, None, leads)
    if len(gains) < 2 or any(np.isnan(gain.mean) for gain in gains.values()):
        return found
    first, second, *_ = found.order
    over_next = bootstrap_interval(of_scans(middle[first] - middle[second]))
    return replace(found, over_next=over_next)


def _gains(
    results: Sequence[Result], rows: Sequence[str], reference: str, index: int, score: str
) -> Float[np.ndarray, "row scan"]:
    """For each row and scan the gain in one class, mean over seeds."""
    tables = []
    for row in rows:
        found = paired_difference(results, row, reference, score, index)
        means = [nan_mean(scan) for scan in found.values.T]
        tables.append(dict(zip(found.identities, means, strict=True)))
    return SIGNS[score] * np.array([[t[name] for name in tables[0]] for t in tables])


def nan_median(values: Float[np.ndarray, " row"]) -> float:
    """The median of the values that are known; NaN without any."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")
