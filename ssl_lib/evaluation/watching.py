"""Watching predictions without any truth: signs that something is wrong with a scan.

Five signs, none of which needs a label map: the share of each class, the number of its connected
components, the agreement of teacher and student, between rows, and between seeds of one row.
Agreement is Dice between two predictions: where networks contradict each other at least one is
wrong; where they agree they may be wrong together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, UInt8
from scipy.stats import rankdata

from ssl_lib.evaluation.components import count_components
from ssl_lib.evaluation.metrics import mean_dice, nan_mean

LabelMaps = Mapping[str, UInt8[np.ndarray, "*space"]]


@dataclass(frozen=True)
class Watched:
    """The signs of one scan: for each foreground class its share of all voxels and its number of
    components; Dice of teacher and student, between rows, and between seeds (NaN where there is
    nothing to compare). `place` is the mean of its places in the signs, 1 for the most suspicious.
    """

    case_id: str
    shares: tuple[float, ...]
    components: tuple[int, ...]
    teacher: float
    rows: float
    seeds: float
    place: float


def watch_scans(
    predicted: LabelMaps,
    n_classes: int,
    *,
    teacher: LabelMaps | None = None,
    rows: Sequence[LabelMaps] = (),
    seeds: Sequence[LabelMaps] = (),
) -> list[Watched]:
    """The signs of every predicted scan, the most suspicious first.

    `predicted` are the student's label maps by case id, `teacher` those of its teacher, `rows`
    those of all rows, `seeds` those of this row by each seed (this one among them). The rule: in
    each sign the scans are ranked, and the mean of a scan's places counts. In shares and in
    components the first is the scan with a class farthest from its median over the scans, as a
    factor; in the agreements the lowest. A sign that is undefined for a scan does not count for it.
    """
    shares = {name: class_shares(label, n_classes) for name, label in predicted.items()}
    parts = {name: count_components(label, n_classes) for name, label in predicted.items()}
    pair = [predicted, teacher] if teacher is not None else []
    taught, between, seeded = (agreement(maps, n_classes) for maps in (pair, rows, seeds))
    undefined = float("nan")
    found = [
        Watched(
            name,
            shares[name],
            parts[name],
            taught.get(name, undefined),
            between.get(name, undefined),
            seeded.get(name, undefined),
            undefined,
        )
        for name in predicted
    ]
    placed = zip(found, _places(found), strict=True)
    ranked = [Watched(**{**vars(one), "place": place}) for one, place in placed]
    return sorted(ranked, key=lambda one: (one.place, one.case_id))


def agreement(predictions: Sequence[LabelMaps], n_classes: int) -> dict[str, float]:
    """Mean Dice between any two of several predictions of the same scans, by case id.

    NaN for a scan in which none finds anything; empty with fewer than two predictions.
    """
    if len(predictions) < 2:
        return {}
    return {
        name: nan_mean(
            [mean_dice(a[name], b[name], n_classes) for a, b in combinations(predictions, 2)]
        )
        for name in predictions[0]
    }


def class_shares(label: UInt8[np.ndarray, "*space"], n_classes: int) -> tuple[float, ...]:
    """Voxels of each foreground class over all voxels of the label map."""
    counts = np.bincount(label.ravel(), minlength=n_classes)[1:n_classes]
    return tuple(float(count) / label.size for count in counts)


def _places(found: Sequence[Watched]) -> list[float]:
    """The mean place of each scan over the signs; the largest value of a sign has place 1."""
    signs = [
        _distances([one.shares for one in found]),
        _distances([one.components for one in found]),
        -np.array([one.teacher for one in found]),
        -np.array([one.rows for one in found]),
        -np.array([one.seeds for one in found]),
    ]
    table = np.array([_ranked(sign) for sign in signs])
    return [nan_mean(column) for column in table.T]


def _ranked(sign: Float[np.ndarray, " scan"]) -> Float[np.ndarray, " scan"]:
    """Places from 1, equal values sharing theirs; NaN stays NaN."""
    return rankdata(-sign, method="average", nan_policy="omit") if sign.size else sign


def _distances(rows: Sequence[Sequence[float]]) -> Float[np.ndarray, " scan"]:
    """The largest |log2(value / median)| over the classes of each scan: 1 is twice or half as
    much as usual. A class that is missing where the median scan has it is infinitely far."""
    if not rows:
        return np.zeros(0)
    values = np.array(rows, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(np.log2(values) - np.log2(np.median(values, axis=0)))
    return np.nan_to_num(away, nan=0.0, posinf=np.inf).max(axis=1, initial=0.0)
