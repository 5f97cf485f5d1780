"""Means with intervals over patients, and paired differences between two rows.

The unit of evidence is the patient: scores are averaged over classes, then over seeds, and the
bootstrap draws patients with all their scans; where patients are not known, scans. Scans of one
patient are alike: on ACDC, with two scans of each, intervals that draw scans are a quarter too
narrow. The interval thus speaks of *other patients of the same kind* for networks trained on
*these* labelled scans with *these* seeds. It does not cover another choice of the
labelled scans, which with four of them can matter more than the method, and with one or two seeds
it does not cover the luck of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from ssl_lib.data.published import patient_of_case
from ssl_lib.evaluation.metrics import SCORES, nan_mean
from ssl_lib.utils.errors import InputError

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; `low` and `high` are NaN if fewer than two patients have a score.

    Where patients are not known, each scan counts as one.
    """

    mean: float
    low: float
    high: float
    n_scans: int
    n_seeds: int

    @property
    def known(self) -> bool:
        """Whether there is an interval; one scan has a mean alone."""
        return not (np.isnan(self.low) or np.isnan(self.high))


@dataclass(frozen=True, eq=False)
class ScanScores:
    """One score of one row: `values[seed, scan]`, the mean over the classes of that scan.

    `patients` are those of the scans; where they are not known, each scan is one.
    """

    identities: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Float[np.ndarray, "seed scan"]
    patients: tuple[str, ...]

    def times(self, factor: float) -> ScanScores:
        """The same with every score multiplied."""
        return replace(self, values=factor * self.values)

    def by_patient(self) -> tuple[Float[np.ndarray, " patient"], Float[np.ndarray, " patient"]]:
        """For each patient the sum of the scores of its scans, mean over seeds, and how many scans
        have a score; patients without any are left out."""
        per_scan = np.array([nan_mean(column) for column in self.values.T], float)
        known = ~np.isnan(per_scan)
        places = {name: place for place, name in enumerate(dict.fromkeys(self.patients))}
        place = np.array([places[name] for name in self.patients], int)[known]
        counts = np.bincount(place, minlength=len(places)).astype(float)
        sums = np.bincount(place, per_scan[known], minlength=len(places)).astype(float)
        return sums[counts > 0], counts[counts > 0]


def as_scan_scores(scores: ScanScores | Float[np.ndarray, "*seed scan"]) -> ScanScores:
    """An array of scores as those of scans of different patients."""
    if isinstance(scores, ScanScores):
        return scores
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    names = tuple(map(str, range(table.shape[1])))
    return ScanScores(names, tuple(range(len(table))), table, names)


def bootstrap_interval(
    scores: ScanScores | Float[np.ndarray, "*seed scan"],
    *,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """The mean over scans of the mean over seeds, with a bootstrap interval over patients.

    Without `rng` each call draws alike, so the same scores show the same interval on every page.

    `scores` holds one row's scores, or the paired differences of two rows; in an array every scan
    counts as a patient. Patients are drawn with all their scans (the cluster bootstrap: A. Davison,
    D. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). A NaN is left out of
    its scan's mean; a scan with NaN alone is left out.
    The interval is the expanded percentile interval of Hesterberg, "What teachers should know about
    the bootstrap" (The American Statistician 69:371, 2015): percentiles are taken a little further
    out, so that few scans get the width of Student's t. Plain percentile and BCa intervals of ten
    scans cover the truth nearer 89 % of the time than 95 %.

    How often the 95 % interval held the true mean in 6000 simulations (standard error 0.3 %):

    | scores                                           | 8 scans | 12 scans | 24 scans |
    |--------------------------------------------------|---------|----------|----------|
    | normal                                           | 95 %    | 94 %     | 95 %     |
    | skewed like Dice of mean 0.85, Beta(8.5, 1.5)    | 93 %    | 94 %     | 94 %     |
    | more skewed, Beta(4.25, 0.75)                    | 91 %    | 92 %     | 94 %     |
    | one scan in ten scores 0, the others about 0.85  | 70 %    | 76 %     | 91 %     |

    Where it fails it lies too high: few scans may hold none of the bad ones, and no interval made
    from them can know. So count the organs that were not found beside it. Paired differences are
    less skewed than scores and keep their 95 %.
    """
    scores = as_scan_scores(scores)
    sums, counts = scores.by_patient()
    n_scans, n_seeds = int(counts.sum()), len(scores.values)
    mean = float(sums.sum() / counts.sum()) if n_scans else float("nan")
    if counts.size < 2:
        return Interval(mean, float("nan"), float("nan"), n_scans, n_seeds)
    found = stats.bootstrap(
        (sums, counts),
        _ratio_of_sums,
        n_resamples=resamples,
        confidence_level=_expanded(level, counts.size),
        method="percentile",
        paired=True,
        vectorized=True,
        rng=np.random.default_rng(0) if rng is None else rng,
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), n_scans, n_seeds)


def _ratio_of_sums(
    sums: Float[np.ndarray, "*draw patient"], counts: Float[np.ndarray, "*draw patient"], axis: int
) -> Float[np.ndarray, "*draw"]:
    """The mean over all scans of the patients that were drawn."""
    return sums.sum(axis) / counts.sum(axis)


def scan_scores(
    results: Sequence[Result], row: str, score: str = "dice", class_index: int | None = None
) -> ScanScores:
    """The scores of one row in several runs of one cohort, scans in their stored order.

    With `class_index` those of that class alone, else the mean over the classes of each scan. A run
    without this row is passed over; of two runs with the same seed the first one counts.
    Raises `InputError` if no run has the row, or the runs do not belong together.
    """
    if score not in SCORES:
        raise InputError(f"there is no score {score!r}", expected=", ".join(SCORES))
    _check_comparable(results)
    tables: dict[int, dict[str, float]] = {}
    for result in results:
        if row in result["rows"]:
            entries = _of_class(result["rows"][row]["per_case"], class_index)
            tables.setdefault(result["seed"], _by_scan(entries, score))
    if not tables:
        raise InputError(f"no result holds the row {row!r}")
    seeds = tuple(sorted(tables))
    identities = tuple(tables[seeds[0]])
    if any(set(table) != set(identities) for table in tables.values()):
        raise InputError(f"row {row!r} was scored on different scans in different runs")
    values = np.array([[tables[seed][name] for name in identities] for seed in seeds])
    together = _same_patient(results)
    dataset = str(results[0].get("dataset", ""))
    patients = tuple(together.get(name) or patient_of_case(dataset, name) for name in identities)
    return ScanScores(identities, seeds, values, patients)


def _same_patient(results: Sequence[Result]) -> dict[str, str]:
    """Test scans of a patient who has an earlier one, as the rows say it."""
    rows = [row for result in results for row in result["rows"].values()]
    return {scan: first for row in rows for scan, first in row.get("same_patient", {}).items()}


def drawn_by(results: Sequence[Result]) -> str:
    """What intervals and tests draw: "patients", or "scans" where patients are not known.

    On LA they are not published; in a folder of one's own they are known where two test scans share
    one. Each scan of a phantom is a patient.
    """
    known = str(results[0].get("dataset", "")) in ("acdc", "hippocampus", "phantom", "phantom_3d")
    return "patients" if known or _same_patient(results) else "scans"


def paired_difference(
    results: Sequence[Result],
    row: str,
    reference: str,
    score: str = "dice",
    class_index: int | None = None,
) -> ScanScores:
    """`row` minus `reference`, scan by scan and seed by seed, for the seeds that have both.

    Both come from the same run where one run holds both. Raises `InputError` if no seed has both.
    """
    together = [r for r in results if row in r["rows"] and reference in r["rows"]]
    pool = together or list(results)
    one, other = (scan_scores(pool, name, score, class_index) for name in (row, reference))
    shared = [seed for seed in one.seeds if seed in other.seeds]
    if not shared:
        raise InputError(f"no seed has both {row!r} and {reference!r}")
    if set(one.identities) != set(other.identities):
        raise InputError(f"{row!r} and {reference!r} were scored on different scans")
    columns = [other.identities.index(name) for name in one.identities]
    mine = one.values[[one.seeds.index(seed) for seed in shared]]
    theirs = other.values[[other.seeds.index(seed) for seed in shared]][:, columns]
    return ScanScores(one.identities, tuple(shared), mine - theirs, one.patients)


def _expanded(level: float, n: int) -> float:
    """The nominal level whose percentile interval has Student's width for `n` values."""
    quantile = stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(n / (n - 1))
    return float(1 - 2 * stats.norm.sf(quantile))


def _of_class(per_case: Sequence[Mapping[str, Any]], index: int | None) -> list[Mapping[str, Any]]:
    """The entries of one class, or all. Raises `InputError` for a class that was not scored."""
    if index is None:
        return list(per_case)
    found = [entry for entry in per_case if entry["class"] == index]
    if not found:
        classes = sorted({entry["class"] for entry in per_case})
        raise InputError(
            f"there is no class {index}", expected=f"one of {', '.join(map(str, classes))}"
        )
    return found


def _by_scan(per_case: Sequence[Mapping[str, Any]], score: str) -> dict[str, float]:
    """The mean of a score over the classes of each scan."""
    classes: dict[str, list[float]] = {}
    for entry in per_case:
        classes.setdefault(entry["id"], []).append(entry[score])
    return {case_id: nan_mean(values) for case_id, values in classes.items()}


def _check_comparable(results: Sequence[Result]) -> None:
    for key in ("cohort_hash", "profile", "n_labelled"):
        values = sorted({str(result[key]) for result in results})
        if len(values) > 1:
            raise InputError(
                f"the results differ in {key}: {', '.join(values)}",
                expected="runs of one cohort, one profile and one number of labelled scans",
                fix=f"select them with read_results(..., {key}=...)",
            )
