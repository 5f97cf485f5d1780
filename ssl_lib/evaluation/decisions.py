"""Is one row better than another? Differences with intervals, tests, and what is too small to mind.

The unit of evidence is the scan, as in `statistics`: differences are paired, averaged over
seeds, and tested over scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import stats

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import (
    Interval,
    Result,
    ScanScores,
    as_scan_scores,
    bootstrap_interval,
    paired_difference,
    scan_scores,
)
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import base_row

MARGINS: dict[str, float] = {"dice": 0.01, "jaccard": 0.015, "hd95": 0.5, "asd": 0.1}
"""Differences that we would not change a method for: fractions for Dice and Jaccard, else voxels or
mm. A stated choice, not a measurement."""


@dataclass(frozen=True)
class Comparison:
    """`row` minus `reference`, positive where `row` is better, over scans and seeds.

    `by_seed` are the mean differences of each seed; `p` is that of the signed-rank test and
    `adjusted` the same after Holm's correction for all comparisons made together; `verdict` is
    'better', 'worse', 'equivalent' or 'undecided'.
    """

    row: str
    reference: str
    interval: Interval
    by_seed: tuple[float, ...]
    p: float
    adjusted: float
    verdict: str


def compare_rows(
    results: Sequence[Result],
    pairs: Sequence[tuple[str, str]],
    *,
    score: str = "dice",
    margin: float | None = None,
) -> list[Comparison]:
    """Every pair (row, reference) that at least one seed has both of, corrected together.

    Distances are turned round, so that a positive difference is always the better one. `margin` is
    half the width of the region of practical equivalence (default: `MARGINS`). Raises `InputError`
    for an unknown score or results that do not belong together.
    """
    if score not in MARGINS:
        raise InputError(f"there is no score {score!r}", expected=", ".join(MARGINS))
    margin = MARGINS[score] if margin is None else margin
    sign = 1.0 if score in ("dice", "jaccard") else -1.0
    made = []
    for row, reference in pairs:
        if not _meet(results, row, reference):
            continue
        found = paired_difference(results, row, reference, score).times(sign)
        interval = bootstrap_interval(found)
        by_seed = tuple(nan_mean(seed) for seed in found.values)
        p = signed_rank_p(found)
        verdict = practical_verdict(interval, margin)
        made.append(Comparison(row, reference, interval, by_seed, p, p, verdict))
    adjusted = holm([one.p for one in made])
    return [replace(one, adjusted=p) for one, p in zip(made, adjusted, strict=True)]


ALIKE_SECONDS = 1.5
"""Times of training that differ by less than this factor are alike: they were not all measured on
one machine at one time."""


def start_with(
    results: Sequence[Result], rows: Sequence[str], reference: str = "supervised_strong"
) -> Comparison | None:
    """The row that somebody with such scans should try first: of all rows that are better than the
    reference by the margin or more, and of which none is ahead by more than the margin, the first
    in `rows` that trains no more than `ALIKE_SECONDS` times as long as the fastest.

    None where no row is shown to be better.
    """
    made = compare_rows(results, [(row, reference) for row in rows])
    least = MARGINS["dice"]
    better = [one for one in made if one.verdict == "better" and one.interval.mean >= least]
    if not better:
        return None
    best = max(one.interval.mean for one in better)
    near = [one for one in better if one.interval.mean >= best - MARGINS["dice"]]
    seconds = {one.row: seconds_of(results, one.row) for one in near}
    quick = ALIKE_SECONDS * min(seconds.values())
    return next(one for one in near if seconds[one.row] <= quick)


def seconds_of(results: Sequence[Result], row: str) -> float:
    """Seconds of training of a row's fastest stored run, for a busy machine only adds to them; NaN
    where there is none."""
    found = [run["rows"][row]["seconds"] for run in results if row in run["rows"]]
    return min(found, default=float("nan"))


ValidationDice = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Validation Dice by data set, row and seed."""


def validation_dice(
    results: Sequence[Result], family: Sequence[str]
) -> dict[str, dict[int, float]]:
    """Validation Dice of the last weights by row and seed, of the methods in `family` and their
    other configs. Rows with another schedule, or without validation scans, are passed by."""
    found: dict[str, dict[int, float]] = {}
    for result in results:
        for row, one in result["rows"].items():
            if base_row(row) in family and "schedule" not in row and one.get("validation_curve"):
                found.setdefault(row, {})[result["seed"]] = one["validation_curve"][-1][1]
    return found


def shortfalls(validation: ValidationDice) -> dict[str, dict[str, float]]:
    """For each row that all data sets have: how far its validation Dice lies below that of the best
    such row, on each data set, as a mean over the seeds that all of them share there.

    The row whose largest shortfall is the smallest is the one to use without knowing the data set
    (minimax regret: L. Savage, Journal of the American Statistical Association 46:55, 1951). Rows
    come in that order, the best first. Raises `InputError` if no row, or no seed, is shared.
    """
    rows = set.intersection(*(set(found) for found in validation.values()))
    below: dict[str, dict[str, float]] = {row: {} for row in rows}
    for name, found in validation.items():
        seeds = set.intersection(*(set(found[row]) for row in rows)) if rows else set()
        if not seeds:
            raise InputError("the rows share no seed", where=name, fix="run more rows or seeds")
        means = {row: nan_mean([found[row][seed] for seed in sorted(seeds)]) for row in rows}
        best = max(means.values())
        for row in rows:
            below[row][name] = best - means[row]
    return dict(sorted(below.items(), key=lambda pair: (max(pair[1].values()), pair[0])))


def signed_rank_p(differences: ScanScores | Float[np.ndarray, "*seed scan"]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over patients, seeds and scans averaged first.

    NaN with fewer than two patients; 1 where none differs.
    """
    sums, counts = as_scan_scores(differences).by_patient()
    if counts.size < 2:
        return float("nan")
    if not sums.any():
        return 1.0
    return float(stats.wilcoxon(sums / counts).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false alarm below the level.

    The smallest is multiplied by their number m, the next by m - 1, ..., never falling and at most
    1 (S. Holm, Scandinavian Journal of Statistics 6:65, 1979). NaN stays NaN and does not count.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not np.isnan(p))
    adjusted, highest = [float("nan")] * len(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = highest
    return adjusted


def practical_verdict(interval: Interval, margin: float) -> str:
    """What an interval says beside the region [-margin, margin], which is too small to mind.

    'better' or 'worse': the interval lies on one side of 0 and not inside the region.
    'equivalent': it lies inside the region. 'undecided': everything else.
    """
    if np.isnan(interval.low):
        return "undecided"
    if -margin <= interval.low and interval.high <= margin:
        return "equivalent"
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "undecided"


Choice = Literal["last", "validation_best", "test_best"]
"""Which look at a training counts."""


def chosen_looks(validation: Sequence[float], test: Sequence[float]) -> dict[Choice, int]:
    """Which look at one training each of three ways of choosing a checkpoint takes, from 0.

    `validation` and `test` are the scores at those looks, in order. Of equal scores the latest
    counts, as in training. Raises `InputError` for curves that do not match.
    """
    if len(validation) != len(test) or not len(test):
        raise InputError(
            f"{len(validation)} validation and {len(test)} test scores", expected="one of each look"
        )
    looks = range(len(test))
    return {
        "last": looks[-1],
        "validation_best": max(looks, key=lambda look: (validation[look], look)),
        "test_best": max(looks, key=lambda look: (test[look], look)),
    }


READINGS: dict[str, str] = {
    "last weights": "",
    "largest component": "largest_component",
    "best on validation": "best_on_validation",
}
"""Ways to read a trained row, in words and by the key of its scores in a result: the last weights
as they are (what every other table shows), the largest connected component of each class alone, and
the weights that were best on validation scans."""


def read_as(results: Sequence[Result], reading: str) -> list[Result]:
    """Results with every row's scores replaced by those of a reading; rows without it are dropped.

    Raises `InputError` for an unknown reading.
    """
    if reading not in READINGS:
        raise InputError(f"there is no reading {reading!r}", expected=", ".join(READINGS))
    key = READINGS[reading]
    if not key:
        return list(results)
    read = [
        {**r, "rows": {name: {**row, **row[key]} for name, row in r["rows"].items() if key in row}}
        for r in results
    ]
    return [result for result in read if result["rows"]]


ORACLE = "best on test (oracle)"
"""The best of the looks at the test scans: shown beside the readings, used by nothing."""


def readings(results: Sequence[Result], row: str) -> dict[str, float]:
    """Mean Dice of a row over seeds and scans, by every reading that was stored, and the oracle's.

    The oracle takes the best look of each seed's second stage.
    """
    found = {}
    for reading in READINGS:
        read = [r for r in read_as(results, reading) if row in r["rows"]]
        if read:
            found[reading] = nan_mean(scan_scores(read, row).values.ravel())
    watched = watched_rows(results, [row])
    if watched:
        found[ORACLE] = nan_mean([max(one["test"]) for one in watched])
    return found


def watched_rows(results: Sequence[Result], rows: Sequence[str]) -> list[dict[str, Any]]:
    """Validation and test Dice at every look of the second stage, of rows that stored a test curve.

    One entry for a row and seed: `row`, `seed`, `iterations`, `validation`, `test`.
    """
    found = []
    for row in rows:
        for result in results:
            content = result["rows"].get(row, {})
            if not content.get("test_curve"):
                continue
            start = content["parameters"]["warm_up"]
            validation = dict(map(tuple, content["validation_curve"]))
            test = {look: dice for look, dice in content["test_curve"] if look > start}
            found.append(
                {
                    "row": row,
                    "seed": result["seed"],
                    "iterations": list(test),
                    "validation": [validation[look] for look in test],
                    "test": list(test.values()),
                }
            )
    return found


def selection_gain(training: Mapping[str, Any], kind: Choice) -> float:
    """Test Dice of the checkpoint chosen by `kind` (see `chosen_looks`) minus the last weights'."""
    chosen = chosen_looks(training["validation"], training["test"])
    return training["test"][chosen[kind]] - training["test"][chosen["last"]]


def median_training(trainings: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The training whose gain by the best look at the test scans is the median of all (of two in
    the middle the smaller): one to show, chosen by no extreme."""
    ranked = sorted(trainings, key=lambda one: selection_gain(one, "test_best"))
    return ranked[(len(ranked) - 1) // 2]


def missing_rows(
    results: Sequence[Result], rows: Sequence[str], seeds: Sequence[int]
) -> Mapping[tuple[str, str, int], dict[tuple[int, ...], list[str]]]:
    """For each (dataset, profile, labelled scans) that has any result: the rows that lack seeds,
    by the seeds that they lack."""
    there: dict[tuple[str, str, int], set[tuple[str, int]]] = {}
    for result in results:
        key = (result["dataset"], result["profile"], result["n_labelled"])
        there.setdefault(key, set()).update((row, result["seed"]) for row in result["rows"])
    lacking: dict[tuple[str, str, int], dict[tuple[int, ...], list[str]]] = {}
    for key, found in sorted(there.items()):
        for row in rows:
            left = tuple(seed for seed in seeds if (row, seed) not in found)
            if left:
                lacking.setdefault(key, {}).setdefault(left, []).append(row)
    return lacking


def _meet(results: Sequence[Result], row: str, reference: str) -> bool:
    """True if some seed has both rows."""
    seeds = [
        {result["seed"] for result in results if name in result["rows"]}
        for name in (row, reference)
    ]
    return row != reference and bool(seeds[0] & seeds[1])
