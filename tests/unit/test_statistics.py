"""Intervals that cover what they claim, and differences that are truly paired."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ssl_lib.data.published import patient_of_case
from ssl_lib.evaluation.statistics import (
    ScanScores,
    bootstrap_interval,
    drawn_by,
    paired_difference,
    scan_scores,
)
from ssl_lib.utils.errors import InputError

# --- intervals on scores whose true mean is known

REPETITIONS = 1000


def coverage(draw, truth, rng) -> float:
    """How often the interval holds the true mean, as it is used everywhere: 2000 resamples."""
    intervals = [bootstrap_interval(draw(rng), rng=rng) for _ in range(REPETITIONS)]
    return float(np.mean([one.low <= truth <= one.high for one in intervals]))


@pytest.mark.parametrize("scans", [8, 12, 24])
def test_the_interval_of_a_row_covers_the_true_mean_as_often_as_it_says(scans):
    """Scores of three seeds: some scans are hard for every seed, and each seed adds its noise."""

    def draw(rng):
        return rng.normal(0.8, 0.1, size=scans) + rng.normal(0, 0.05, size=(3, scans))

    assert 0.93 <= coverage(draw, 0.8, np.random.default_rng(scans)) <= 0.97


@pytest.mark.parametrize("scans", [8, 24])
def test_so_does_the_interval_of_a_paired_difference(scans):
    """Two rows with scores like Dice: skewed, and hard on the same scans; two seeds."""
    gain = 0.03

    def draw(rng):
        hard = rng.beta(8.5, 1.5, scans)
        rows = [hard + shift + rng.normal(0, 0.04, (2, scans)) for shift in (gain, 0)]
        names = [f"scan {number}" for number in range(scans)]
        runs = [
            result(
                seed, {row: stored(names, rows[k][seed]) for k, row in enumerate(("bcp", "few"))}
            )
            for seed in (0, 1)
        ]
        return paired_difference(runs, "bcp", "few").values

    assert 0.93 <= coverage(draw, gain, np.random.default_rng(scans)) <= 0.97


def stored(names, scores):
    return {name: (score,) for name, score in zip(names, scores, strict=True)}


@pytest.mark.parametrize(
    ("scans", "low", "high"), [(8, 0.905, 0.945), (12, 0.92, 0.96), (24, 0.93, 0.97)]
)
def test_skewed_scores_of_few_scans_are_covered_less_often_as_the_docstring_admits(
    scans, low, high
):
    """Scores like Dice, mean 0.85, a long tail to the left: too optimistic with 8 scans."""
    rng = np.random.default_rng(scans)
    assert low <= coverage(lambda rng: rng.beta(8.5, 1.5, scans), 0.85, rng) <= high


def test_rare_misses_that_few_scans_do_not_show_are_not_covered():
    """One organ in ten is not found: four samples of 8 scans in ten hold none of these."""

    def draw(rng):
        return np.where(rng.random(8) < 0.1, 0.0, rng.beta(17, 3, 8))

    assert 0.66 <= coverage(draw, 0.9 * 0.85, np.random.default_rng(0)) <= 0.74


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("scans", [8, 24])
def test_for_symmetric_scores_it_is_the_interval_of_student(scans, level):
    """Closed form: mean plus and minus t times the standard error, for scores without skew."""
    half = np.random.default_rng(scans).normal(0, 0.1, scans // 2)
    scores = 0.8 + np.concatenate([half, -half])
    found = bootstrap_interval(scores, level=level, resamples=40_000)
    width = stats.t.ppf((1 + level) / 2, scans - 1) * stats.sem(scores)
    assert found.high - found.mean == pytest.approx(width, rel=0.06)
    assert found.mean - found.low == pytest.approx(width, rel=0.06)


def test_the_luck_of_training_is_not_in_the_interval():
    """Seeds that move all scans alike: the interval speaks of these networks, not of others."""
    scans, of_these, of_all, rng = 24, 0, 0, np.random.default_rng(0)
    for _ in range(REPETITIONS):
        luck = rng.normal(0, 0.03, 2)
        scores = rng.normal(0.8, 0.05, scans) + luck[:, None]
        interval = bootstrap_interval(scores, rng=rng)
        of_these += interval.low <= 0.8 + luck.mean() <= interval.high
        of_all += interval.low <= 0.8 <= interval.high
    assert 0.93 <= of_these / REPETITIONS <= 0.97
    assert of_all / REPETITIONS < 0.75


def test_it_is_reproducible_and_depends_on_the_generator():
    scores = np.random.default_rng(0).random(15)
    one, same, other = (
        bootstrap_interval(scores, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one == same != other
    assert one.low < one.mean < one.high
    assert one.mean == pytest.approx(scores.mean())


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(0)
    hard = rng.normal(0.7, 0.15, size=20)
    one, other = hard + rng.normal(0.03, 0.02, size=20), hard + rng.normal(0, 0.02, size=20)
    paired = bootstrap_interval(one - other, rng=rng)
    alone = bootstrap_interval(one, rng=rng)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.low > 0


def test_seeds_are_averaged_within_scans_first():
    scores = np.array([[0.2, 0.4, 0.9], [0.4, 0.8, 0.7]])
    rng = np.random.default_rng
    both = bootstrap_interval(scores, rng=rng(0))
    averaged = bootstrap_interval(scores.mean(axis=0), rng=rng(0))
    assert (both.mean, both.low, both.high) == (averaged.mean, averaged.low, averaged.high)
    assert (both.n_scans, both.n_seeds) == (3, 2)


def test_nan_is_left_out_and_one_scan_has_no_interval():
    nan, rng = math.nan, np.random.default_rng(0)
    interval = bootstrap_interval(np.array([[0.5, nan, 0.7], [nan, nan, 0.9]]), rng=rng)
    assert interval.mean == pytest.approx((0.5 + 0.8) / 2) and interval.n_scans == 2
    single = bootstrap_interval(np.array([0.5, nan]), rng=rng)
    assert single.mean == 0.5 and math.isnan(single.low) and math.isnan(single.high)
    assert math.isnan(bootstrap_interval(np.array([nan, nan]), rng=rng).mean)


def test_equal_scores_have_an_interval_of_no_width():
    interval = bootstrap_interval(np.full(6, 0.5), rng=np.random.default_rng(0))
    assert (interval.low, interval.mean, interval.high) == (0.5, 0.5, 0.5)


def result(seed, rows, cohort_hash="h"):
    """A result whose rows map a name to {scan: (score of class 1, score of class 2)}."""
    return {
        "seed": seed,
        "cohort_hash": cohort_hash,
        "profile": "quick",
        "n_labelled": 4,
        "rows": {
            name: {
                "per_case": [
                    {"id": scan, "class": index + 1, "dice": value}
                    for scan, values in scans.items()
                    for index, value in enumerate(values)
                ]
            }
            for name, scans in rows.items()
        },
    }


def test_scores_are_gathered_by_seed_and_scan():
    runs = [
        result(1, {"bcp": {"a": (0.2, 0.4), "b": (0.6, math.nan)}}),
        result(0, {"bcp": {"b": (0.5, 0.7), "a": (0.1, 0.3)}}),
        result(0, {"bcp": {"b": (0.0, 0.0), "a": (0.0, 0.0)}, "umct": {"a": (1, 1)}}),
    ]
    scores = scan_scores(runs, "bcp")
    assert scores.seeds == (0, 1) and scores.identities == ("b", "a")
    np.testing.assert_allclose(scores.values, [[0.6, 0.2], [0.6, 0.3]])


def test_differences_pair_scans_and_seeds():
    runs = [
        result(0, {"bcp": {"a": (0.5,), "b": (0.9,)}, "few": {"b": (0.6,), "a": (0.4,)}}),
        result(1, {"bcp": {"a": (0.7,), "b": (0.7,)}}),
    ]
    difference = paired_difference(runs, "bcp", "few")
    assert difference.seeds == (0,)
    np.testing.assert_allclose(difference.values, [[0.1, 0.3]])


@pytest.mark.parametrize(
    ("runs", "row", "word"),
    [
        ([result(0, {"bcp": {"a": (1,)}}), result(1, {}, "other")], "bcp", "cohort_hash"),
        ([result(0, {"bcp": {"a": (1,)}})], "umct", "umct"),
        ([result(0, {"bcp": {"a": (1,)}}), result(1, {"bcp": {"b": (1,)}})], "bcp", "scans"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(runs, row, word):
    with pytest.raises(InputError, match=word):
        scan_scores(runs, row)


def test_rows_without_a_common_seed_are_refused():
    runs = [result(0, {"bcp": {"a": (1,)}}), result(1, {"few": {"a": (1,)}})]
    with pytest.raises(InputError, match="no seed"):
        paired_difference(runs, "bcp", "few")


def of_patients(values: np.ndarray, patients: list[str]) -> ScanScores:
    names = tuple(f"scan {place}" for place in range(len(patients)))
    return ScanScores(names, (0,), np.atleast_2d(values), tuple(patients))


def test_intervals_draw_patients_with_all_their_scans():
    """Two alike scans of a patient tell no more than one: the interval is that of one of them."""
    rng = np.random.default_rng(0)
    alike = rng.normal(0.05, 0.1, 20)
    twice = of_patients(np.repeat(alike, 2), [f"p{place // 2}" for place in range(40)])
    drawn, single = bootstrap_interval(twice), bootstrap_interval(alike)
    assert (drawn.mean, drawn.low, drawn.high) == pytest.approx(
        (single.mean, single.low, single.high)
    )
    assert drawn.n_scans == 40
    too_narrow = bootstrap_interval(twice.values)
    assert too_narrow.high - too_narrow.low < 0.8 * (drawn.high - drawn.low)


def test_intervals_over_patients_hold_the_truth_as_often_as_they_say():
    """Scans of a patient share half of their variance; patients have one scan, two or three."""
    sizes = np.array([1, 2, 3] * 6)
    patients = [f"p{place}" for place, size in enumerate(sizes) for _ in range(size)]
    places = np.repeat(np.arange(len(sizes)), sizes)

    def draw(rng):
        return rng.normal(0, 1, len(sizes))[places] + rng.normal(0, 1, len(places))

    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        found = bootstrap_interval(of_patients(draw(rng), patients), resamples=400)
        held += found.low <= 0 <= found.high
    assert held / 300 == pytest.approx(0.95, abs=0.035)


@pytest.mark.parametrize(
    ("dataset", "scan", "patient"),
    [
        ("acdc", "patient011_frame01", "patient011"),
        ("hippocampus", "hippocampus_003", "pair 2"),
        ("hippocampus", "hippocampus_004", "pair 2"),
        ("phantom", "subject_004", "subject_004"),
        ("scans-0a1b2c", "p07_a", "p07_a"),
    ],
)
def test_patients_of_public_scans_are_known(dataset, scan, patient):
    assert patient_of_case(dataset, scan) == patient


def test_a_row_says_which_of_ones_own_scans_share_a_patient():
    entries = [{"id": f"scan{k}", "class": 1, "dice": 0.1 * k} for k in range(4)]
    row = {"per_case": entries, "same_patient": {"scan1": "scan0", "scan3": "scan0"}}
    place = {"dataset": "mine-0a1b2c", "cohort_hash": "x", "profile": "quick", "n_labelled": 2}
    result = {**place, "seed": 0, "rows": {"mean_teacher": row}}
    assert scan_scores([result], "mean_teacher").patients == ("scan0", "scan0", "scan2", "scan0")
    assert drawn_by([result]) == "patients"
    del row["same_patient"]
    assert scan_scores([result], "mean_teacher").patients == ("scan0", "scan1", "scan2", "scan3")
    assert drawn_by([result]) == "scans"
