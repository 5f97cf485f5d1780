"""Decisions about differences: corrected together, turned the right way, and no more than shown."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ssl_lib.evaluation.decisions import (
    MARGINS,
    chosen_looks,
    compare_rows,
    holm,
    missing_rows,
    practical_verdict,
    read_as,
    readings,
    selection_gain,
    shortfalls,
    signed_rank_p,
    start_with,
    watched_rows,
)
from ssl_lib.evaluation.statistics import Interval
from ssl_lib.figures import (
    checkpoint_choice,
    dice_against_seconds,
    dice_by_labels,
    difference_text,
    forest,
    reading_choice,
)
from ssl_lib.utils.errors import InputError

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)
quickly = settings(max_examples=50, deadline=None)


def run(seed: int, rows: dict[str, list[float]], **changes: object) -> dict[str, object]:
    """A result with one class: `rows` holds a Dice for each scan; distances are 10 (1 - Dice)."""

    def entry(number: int, dice: float) -> dict[str, object]:
        distance = 10 * (1 - dice)
        scores = {"dice": dice, "jaccard": dice / 2, "hd95": distance, "asd": distance / 2}
        return {"id": f"scan {number}", "class": 1, **scores}

    stored = {
        name: {
            "per_case": [entry(i, value) for i, value in enumerate(values)],
            "units": {"dice": "fraction", "hd95": "mm"},
            "empty_predictions": 0,
            "seconds": 10.0,
        }
        for name, values in rows.items()
    }
    return {
        "notebook": "01",
        "dataset": "phantom",
        "profile": "quick",
        "n_labelled": 4,
        "cohort_hash": "h",
        "seed": seed,
        "rows": stored,
        **changes,
    }


def two_runs(gain: float, scans: int = 12) -> list[dict[str, object]]:
    """A row that is better by about `gain` on every scan, two seeds."""
    rng = np.random.default_rng(0)
    base = rng.normal(0.7, 0.1, scans)
    made = []
    for seed in (0, 1):
        better = base + gain + rng.normal(0, 0.003, scans)
        made.append(run(seed, {"supervised_strong": base.tolist(), "bcp": better.tolist()}))
    return made


@quickly
@given(P_VALUES)
def test_holm_equals_the_step_down_procedure(p_values):
    """At every level, adjusted p below it are just the hypotheses that Holm's procedure rejects."""
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    for level in (0.01, 0.05, 0.3):
        order = sorted(range(len(p_values)), key=lambda i: p_values[i])
        rejected = set()
        for rank, place in enumerate(order):
            if p_values[place] * (len(order) - rank) > level:
                break
            rejected.add(place)
        assert rejected == {i for i, a in enumerate(adjusted) if a <= level}


@quickly
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_form_over_all_subsets(p_values):
    """Closed testing: the largest Bonferroni p of any set of hypotheses that holds this one."""
    places = range(len(p_values))
    subsets = [set(s) for size in places for s in itertools.combinations(places, size + 1)]
    bonferroni = [min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets]
    for place, adjusted in enumerate(holm(p_values)):
        among = [p for s, p in zip(subsets, bonferroni, strict=True) if place in s]
        assert adjusted == pytest.approx(max(among))


def test_holm_keeps_the_chance_of_any_false_alarm():
    """Eight comparisons with nothing in them: without the correction a third would show some."""
    p_values = np.random.default_rng(0).random((4000, 8))
    assert (p_values.min(axis=1) <= 0.05).mean() > 0.3
    assert 0.04 <= np.mean([min(holm(row)) <= 0.05 for row in p_values.tolist()]) <= 0.06


def test_holm_passes_over_undefined_tests():
    adjusted = holm([0.02, math.nan, 0.04])
    assert adjusted[0] == pytest.approx(0.04) and adjusted[2] == pytest.approx(0.04)
    assert math.isnan(adjusted[1]) and holm([]) == []


def test_the_signed_rank_test_keeps_its_level_and_sees_an_effect():
    rng = np.random.default_rng(1)
    silent = [signed_rank_p(rng.normal(0, 1, (3, 20))) for _ in range(1000)]
    assert 0.03 <= np.mean(np.array(silent) <= 0.05) <= 0.07
    assert signed_rank_p(rng.normal(1, 0.5, (3, 20))) < 0.001


@pytest.mark.parametrize("scans", [5, 8, 11])
@pytest.mark.parametrize("gain", [0.0, 0.4])
def test_the_signed_rank_p_is_the_share_of_sign_flips_that_are_as_extreme(scans, gain):
    """Closed form by counting: under no effect all patterns of signs are equally likely."""
    seeds = np.random.default_rng(scans).normal(gain, 1, (3, scans))
    mean = seeds.mean(axis=0)
    ranks = stats.rankdata(np.abs(mean))
    flips = np.array(list(itertools.product((-1, 1), repeat=scans)))
    sums = np.abs(flips @ ranks)
    share = np.mean(sums >= abs(np.sign(mean) @ ranks))
    assert signed_rank_p(seeds) == pytest.approx(share)
    assert signed_rank_p(seeds) == pytest.approx(stats.wilcoxon(mean, method="exact").pvalue)


def test_the_signed_rank_test_at_its_edges():
    assert math.isnan(signed_rank_p(np.array([[0.1]])))
    assert signed_rank_p(np.zeros((2, 5))) == 1.0
    assert signed_rank_p(np.array([[0.1, math.nan, 0.2, 0.3]])) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.03, "better"),
        (-0.03, -0.001, "worse"),
        (-0.009, 0.009, "equivalent"),
        (0.001, 0.009, "equivalent"),
        (-0.001, 0.03, "undecided"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_an_interval_says_no_more_than_it_shows(low, high, verdict):
    assert practical_verdict(Interval(0.0, low, high, 10, 3), 0.01) == verdict


def test_a_real_gain_is_found_and_turned_round_for_distances():
    (dice,) = compare_rows(two_runs(0.05), [("bcp", "supervised_strong")])
    assert dice.verdict == "better" and dice.adjusted < 0.01
    assert dice.interval.mean == pytest.approx(0.05, abs=0.005) and len(dice.by_seed) == 2
    (distance,) = compare_rows(two_runs(0.05), [("bcp", "supervised_strong")], score="hd95")
    assert distance.interval.mean == pytest.approx(0.5, abs=0.05)
    (back,) = compare_rows(two_runs(0.05), [("supervised_strong", "bcp")])
    assert back.interval.mean == pytest.approx(-dice.interval.mean) and back.verdict == "worse"


def test_comparisons_are_corrected_together_and_absent_rows_are_passed_over():
    results = two_runs(0.002)
    alone = compare_rows(results, [("bcp", "supervised_strong")])[0]
    wanted = [("bcp", "supervised_strong"), ("supervised_strong", "bcp"), ("aau", "bcp")]
    both = compare_rows(results, wanted)
    assert len(both) == 2
    assert both[0].adjusted == pytest.approx(min(1.0, 2 * alone.p))
    assert compare_rows(results, [("bcp", "bcp")]) == []


def test_an_unknown_score_is_refused():
    with pytest.raises(InputError, match="no score 'dise'"):
        compare_rows(two_runs(0.1), [("bcp", "supervised_strong")], score="dise")


def test_missing_rows_are_named_by_cohort_and_seeds():
    both = {"bcp": [0.5], "mean_teacher": [0.5]}
    results = [run(0, both), run(1, {"bcp": [0.5]}), run(0, {"bcp": [0.5]}, n_labelled=1)]
    lacking = missing_rows(results, ("bcp", "mean_teacher", "aau"), seeds=(0, 1))
    assert lacking[("phantom", "quick", 4)] == {(1,): ["mean_teacher"], (0, 1): ["aau"]}
    assert lacking[("phantom", "quick", 1)] == {(1,): ["bcp"], (0, 1): ["mean_teacher", "aau"]}


def test_the_figures_show_every_comparison_and_the_margin():
    results = two_runs(0.05)
    made = compare_rows(results, [("bcp", "supervised_strong"), ("supervised_strong", "bcp")])
    names = {"bcp": "BCP", "supervised_strong": "strong", "aau": "AAU"}
    ax, right = forest(made, margin=MARGINS["dice"], names=names).axes
    assert len(ax.get_yticklabels()) == 3 and ax.patches
    assert right.texts[2].get_text() == "not measured"
    assert "▲ better" in right.texts[0].get_text() and "▼ worse" in right.texts[1].get_text()
    assert "p = " in difference_text(made[0]) or "p < " in difference_text(made[0])
    with pytest.raises(InputError, match="nothing to compare"):
        forest([], margin=0.01)


def test_cost_and_label_figures_have_a_mark_for_each_row():
    results = two_runs(0.05)
    rows = ["supervised_strong", "bcp"]
    cost, _ = dice_against_seconds(results, rows).axes
    assert len(cost.containers) == 2
    more = [*results, run(0, {"bcp": [0.5, 0.6]}, n_labelled=1, cohort_hash="other")]
    (ax,) = dice_by_labels(more, rows).axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "4"]


# --- the choice of a checkpoint


def watched(validation: list[float], test: list[float], row: str = "bcp") -> dict[str, object]:
    marks = [100 * (i + 1) for i in range(len(test))]
    return {
        "row": row,
        "seed": 0,
        "iterations": marks,
        "validation": validation,
        "test": test,
    }


def test_three_ways_of_choosing_a_checkpoint():
    validation, test = [0.6, 0.8, 0.8, 0.7], [0.9, 0.5, 0.6, 0.7]
    assert chosen_looks(validation, test) == {"last": 3, "validation_best": 2, "test_best": 0}
    one = watched(validation, test)
    assert selection_gain(one, "test_best") == pytest.approx(0.2)
    assert selection_gain(one, "validation_best") == pytest.approx(-0.1)


@quickly
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_no_choice_beats_the_one_on_the_test_scans(looks: list[tuple[float, float]]):
    validation, test = map(list, zip(*looks, strict=True))
    one = watched(validation, test)
    assert selection_gain(one, "test_best") >= max(0, selection_gain(one, "validation_best"))
    assert selection_gain(one, "last") == 0


# --- several readings of one training


def read_twice(seed: int) -> dict[str, object]:
    """A run whose method gains 0.1 by its largest components, loses 0.05 by the best weights on
    validation, and was 0.2 better at a look at the test scans."""
    made = run(seed, {"supervised_strong": [0.5, 0.7], "bcp": [0.6, 0.8], "aau": [0.5, 0.5]})
    other = run(seed, {"largest_component": [0.7, 0.9], "best_on_validation": [0.55, 0.75]})
    made["rows"]["bcp"] |= other["rows"] | {
        "parameters": {"warm_up": 100},
        "validation_curve": [[100, 0.9], [200, 0.4], [300, 0.3]],
        "test_curve": [[100, 0.99], [200, 0.9], [300, 0.7]],
    }
    return made


def test_a_row_is_read_in_every_way_that_was_stored():
    results = [read_twice(0), read_twice(1)]
    assert readings(results, "bcp") == pytest.approx(
        {
            "last weights": 0.7,
            "largest component": 0.8,
            "best on validation": 0.65,
            "best on test (oracle)": 0.9,
        }
    ), "looks of the warm-up are none of the method's"
    assert readings(results, "aau") == pytest.approx({"last weights": 0.5})
    (watched, _) = watched_rows(results, ["bcp", "aau"])
    assert watched["iterations"] == [200, 300] and watched["validation"] == [0.4, 0.3]
    assert selection_gain(watched, "test_best") == pytest.approx(0.2)


def test_a_reading_replaces_the_scores_of_all_rows_that_have_it_and_drops_the_others():
    results = [read_twice(0)]
    (read,) = read_as(results, "largest component")
    assert set(read["rows"]) == {"bcp"}
    assert [entry["dice"] for entry in read["rows"]["bcp"]["per_case"]] == [0.7, 0.9]
    assert read_as(results, "last weights") == results
    assert read_as([run(0, {"bcp": [0.5]})], "largest component") == []
    with pytest.raises(InputError, match="no reading"):
        read_as(results, "luckiest seed")


def test_the_figure_of_readings_has_a_mark_for_each():
    results = [read_twice(0)]
    (ax,) = reading_choice(results, ["supervised_strong", "bcp"], ["supervised_strong"]).axes
    marks = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert marks["strong baseline"] == pytest.approx([0.6, 0.6])
    assert marks["largest component"] == pytest.approx([0.8])
    assert marks["best on test (oracle)"] == pytest.approx([0.9])
    with pytest.raises(InputError, match="several ways"):
        reading_choice(results, ["aau"])


def test_curves_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="1 validation and 2 test"):
        chosen_looks([0.5], [0.5, 0.6])
    with pytest.raises(InputError):
        chosen_looks([], [])


def test_the_figure_of_checkpoints_shows_every_training():
    trainings = [watched([0.5, 0.7], [0.6, 0.55]), watched([0.5, 0.7], [0.6, 0.8], "mean_teacher")]
    left, right = checkpoint_choice(trainings).axes
    assert len(left.lines) == 5  # two curves, three marks
    best_on_test = [line for line in right.lines if line.get_marker() == "x"]
    gains = [gain for line in best_on_test for gain in line.get_xdata()]
    assert gains == pytest.approx([0.05, 0.0])


def test_the_row_that_is_never_far_behind_comes_first() -> None:
    heart = {"sure": {0: 0.80, 1: 0.90}, "even": {0: 0.78}, "late": {0: 0.71}, "alone": {0: 0.9}}
    brain = {"sure": {0: 0.60}, "even": {0: 0.69, 1: 0.1}, "late": {0: 0.70, 5: 0.9}}
    found = shortfalls({"heart": heart, "brain": brain})
    assert list(found) == ["even", "late", "sure"], "a row that one data set lacks cannot be judged"
    assert found["sure"] == pytest.approx({"heart": 0.0, "brain": 0.1}), "shared seeds only"
    assert found["even"] == pytest.approx({"heart": 0.02, "brain": 0.01})
    with pytest.raises(InputError, match="share no seed"):
        shortfalls({"heart": heart, "brain": {"sure": {4: 0.5}, "even": {5: 0.5}}})


def test_the_fastest_of_the_rows_that_are_as_good_as_the_best_is_recommended() -> None:
    strong = [0.70, 0.72, 0.74, 0.76, 0.71, 0.73]
    rows = {
        "supervised_strong": strong,
        "slow": [dice + 0.060 + 0.001 * (i % 2) for i, dice in enumerate(strong)],
        "fast": [dice + 0.055 + 0.001 * (i % 2) for i, dice in enumerate(strong)],
        "cheap": [dice + 0.030 + 0.001 * (i % 2) for i, dice in enumerate(strong)],
        "none": [dice + 0.02 * (-1) ** i for i, dice in enumerate(strong)],
        "sure but small": [dice + 0.009 + 0.0001 * (i % 2) for i, dice in enumerate(strong)],
    }
    results = [run(0, rows)]
    for name, seconds in {"slow": 40.0, "fast": 20.0, "cheap": 5.0}.items():
        results[0]["rows"][name]["seconds"] = seconds
    found = start_with(results, ["slow", "fast", "cheap", "none"])
    assert found is not None and found.row == "fast"
    results[0]["rows"]["slow"]["seconds"] = 29.0  # alike: then the order decides
    found = start_with(results, ["slow", "fast", "cheap", "none"])
    assert found is not None and found.row == "slow"
    assert start_with(results, ["none"]) is None
    assert start_with(results, ["absent"]) is None
    assert start_with(results, ["sure but small"]) is None, "smaller than the margin"
