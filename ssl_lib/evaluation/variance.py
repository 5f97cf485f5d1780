"""How much of the spread of a row's Dice is which scans were labelled, the seed, or the test scan.

A row was trained on several draws of the labelled scans, with one or more seeds each, and every
training was scored on the same test scans. The Dice of draw d, seed s and test scan i is taken as

    y[d, s, i] = mean + draw[d] + seed[d, s] + scan[i] + rest[d, s, i],

four independent parts with variances of their own. A seed counts within its draw: seed 0 of two
draws shares its first weights, but no batch of labelled scans. The rest holds everything that is of
one training on one scan, interactions included: other draws suit other scans. Seeds of one draw
share that, so what a seed's mean owes to the rest is taken from within draws. Variances are
estimated by equating mean squares with their expectations (the ANOVA estimators of an unbalanced
nested design; S. Searle, G. Casella, C. McCulloch, Variance Components, 1992). An estimate below 0
is shown as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ssl_lib.evaluation.statistics import Result, paired_difference, scan_scores
from ssl_lib.utils.errors import InputError

NAN = float("nan")


@dataclass(frozen=True)
class Components:
    """Variances of one Dice as they were estimated; NaN where too little is stored to measure one.

    An estimate may lie below 0, which means that the part is too small to be seen. `trainings` is
    the number of seeds of each draw, by the number of the draw; `scans` is how many test scans have
    a Dice in every training.
    """

    draw: float
    seed: float
    scan: float
    rest: float
    trainings: dict[int, int]
    scans: int

    @property
    def parts(self) -> dict[str, float]:
        """The four variances by name, 0 where an estimate lies below it."""
        found = {"draw": self.draw, "seed": self.seed, "scan": self.scan, "rest": self.rest}
        return {part: 0.0 if value < 0 else value for part, value in found.items()}


def variance_components(
    results: Sequence[Result], row: str, reference: str | None = None
) -> Components:
    """The components of a row's Dice, or of its paired difference to `reference`.

    `results` may hold several draws (`read_rows(..., labelled_draw=None)`). Test scans without a
    Dice in one of the trainings are left out. Raises `InputError` if no run has the row, or the
    draws were scored on different scans.
    """
    by_draw: dict[int, list[Result]] = {}
    for result in results:
        if row in result["rows"] and (reference is None or reference in result["rows"]):
            by_draw.setdefault(draw_of(result, row), []).append(result)
    if not by_draw:
        pair = repr(row) if reference is None else f"{row!r} and {reference!r}"
        raise InputError(f"no result holds the row {pair}")
    tables, names = {}, None
    for draw, runs in sorted(by_draw.items()):
        found = (
            scan_scores(runs, row) if reference is None else paired_difference(runs, row, reference)
        )
        names = names or found.identities
        if set(found.identities) != set(names):
            raise InputError(f"draw {draw} of row {row!r} was scored on other test scans")
        tables[draw] = found.values[:, [found.identities.index(name) for name in names]]
    return components_of(tables)


def draw_of(result: Result, row: str) -> int:
    """Which draw of the labelled scans a row was trained on; 0 is the data set's own."""
    return int(result["rows"][row].get("labelled_draw", 0))


def components_of(tables: dict[int, Float[np.ndarray, "seed scan"]]) -> Components:
    """The components of scores by draw; see the module."""
    counts = {draw: len(values) for draw, values in tables.items()}
    whole = np.concatenate(list(tables.values()))
    whole = whole[:, ~np.isnan(whole).any(axis=0)]
    trainings, scans = whole.shape
    if trainings < 2 or scans < 2:
        return Components(NAN, NAN, NAN, NAN, counts, scans)
    means, by_scan = whole.mean(axis=1), whole.mean(axis=0)
    left = whole - means[:, None] - by_scan + whole.mean()
    rest = (left**2).sum() / ((trainings - 1) * (scans - 1))
    scan = by_scan.var(ddof=1) - rest / trainings
    noise = _rest_within(whole, list(counts.values())) / scans
    draw, seed = _between_trainings(means, list(counts.values()), noise)
    return Components(float(draw), float(seed), float(scan), float(rest), counts, scans)


def _rest_within(whole: Float[np.ndarray, "training scan"], counts: Sequence[int]) -> float:
    """The variance of the rest between seeds of one draw; NaN where no draw has two seeds."""
    free = (len(whole) - len(counts)) * (whole.shape[1] - 1)
    if not free:
        return NAN
    groups = np.split(whole, np.cumsum(counts)[:-1])
    left = [one - one.mean(axis=1, keepdims=True) - one.mean(axis=0) + one.mean() for one in groups]
    return sum(float((part**2).sum()) for part in left) / free


def _between_trainings(
    means: Float[np.ndarray, " training"], counts: Sequence[int], noise: float
) -> tuple[float, float]:
    """Variances of draw and seed from the mean Dice of each training, draw after draw.

    `noise` is the variance of such a mean within a draw that is due to the rest. One of them is NaN
    where there is one draw, or where no draw has two seeds.
    """
    total, groups = len(means), np.split(means, np.cumsum(counts)[:-1])
    within = NAN
    if total > len(groups):
        within = sum(((one - one.mean()) ** 2).sum() for one in groups) / (total - len(groups))
    if len(groups) < 2:
        return NAN, within - noise
    between = sum(len(one) * (one.mean() - means.mean()) ** 2 for one in groups)
    per_draw = (total - sum(count**2 for count in counts) / total) / (len(groups) - 1)
    return (between / (len(groups) - 1) - within) / per_draw, within - noise
