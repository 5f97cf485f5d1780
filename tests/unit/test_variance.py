"""Variance components of Dice: known answers, and what too little data cannot tell."""

from __future__ import annotations

import re

import numpy as np
import pytest
from IPython.display import HTML

from ssl_lib.evaluation.variance import components_of, variance_components
from ssl_lib.notebook.comparison_tables import variance_sentence, variance_table
from ssl_lib.utils.errors import InputError

SCANS = 6
PARTS = ("draw", "seed", "scan", "rest")


def stored(
    draw: int, seed: int, rows: dict[str, np.ndarray], names: list[str] | None = None
) -> dict[str, object]:
    """A run of one draw, with a Dice of each row and scan."""
    names = names or [f"scan {number}" for number in range(SCANS)]
    return {
        "profile": "quick",
        "n_labelled": 4,
        "cohort_hash": f"draw {draw}",
        "seed": seed,
        "rows": {
            row: {
                "labelled_draw": draw,
                "per_case": [
                    {"id": name, "class": 1, "dice": float(dice)}
                    for name, dice in zip(names, values, strict=True)
                ],
            }
            for row, values in rows.items()
        },
    }


def drawn(
    rng: np.random.Generator, seeds: list[int], sd: dict[str, float], scans: int = 40
) -> dict[int, np.ndarray]:
    """Scores of the model, with these standard deviations and numbers of seeds in each draw."""
    hard = rng.normal(0, sd["scan"], scans)
    return {
        draw: 0.8
        + rng.normal(0, sd["draw"])
        + rng.normal(0, sd["seed"], (count, 1))
        + hard
        + rng.normal(0, sd["rest"], (count, scans))
        for draw, count in enumerate(seeds)
    }


@pytest.mark.parametrize("seeds", [[3, 1, 1], [3, 3, 3], [1, 2], [4, 2, 1, 1, 1]])
def test_the_estimates_are_right_on_average(seeds: list[int]) -> None:
    """With equal and unequal numbers of seeds."""
    rng = np.random.default_rng(sum(seeds))
    sd = {"draw": 0.05, "seed": 0.02, "scan": 0.1, "rest": 0.03}
    found = [components_of(drawn(rng, seeds, sd)) for _ in range(3000)]
    trials = np.array([[getattr(one, part) for part in PARTS] for one in found])
    wanted = np.array([sd[part] ** 2 for part in PARTS])
    errors = trials.std(axis=0) / len(trials) ** 0.5
    np.testing.assert_array_less(np.abs(trials.mean(axis=0) - wanted), 4.5 * errors)


def test_scans_that_suit_one_draw_more_than_another_do_not_hide_the_seed() -> None:
    """Each draw has scans of its own that it finds hard; the seed's variance stays what it is."""
    rng = np.random.default_rng(0)
    sd = {"draw": 0.05, "seed": 0.01, "scan": 0.1, "rest": 0.03}
    found = []
    for _ in range(2000):
        tables = drawn(rng, [3, 1, 2], sd)
        tables = {draw: values + rng.normal(0, 0.1, 40) for draw, values in tables.items()}
        found.append(components_of(tables).seed)
    assert np.mean(found) == pytest.approx(0.01**2, rel=0.1)


def test_parts_without_any_rest_are_those_that_were_put_in() -> None:
    """Draws at -0.1, 0, 0.1 (variance 0.01), seeds at -0.02 and 0.02 around them (0.0008)."""
    scans = np.linspace(-0.05, 0.05, SCANS)
    tables = {
        draw: 0.6 + middle + np.array([[-0.02], [0.02]]) + scans
        for draw, middle in enumerate((-0.1, 0.0, 0.1))
    }
    found = components_of(tables)
    assert found.rest == pytest.approx(0, abs=1e-12)
    assert found.seed == pytest.approx(0.0008)
    assert found.draw == pytest.approx(0.01 - 0.0008 / 2)
    assert found.scan == pytest.approx(scans.var(ddof=1))
    assert found.trainings == {0: 2, 1: 2, 2: 2}


def test_an_estimate_below_zero_is_shown_as_zero() -> None:
    """Two draws with the same mean, whose seeds differ."""
    scans = np.linspace(0, 0.1, SCANS)
    found = components_of(dict.fromkeys((0, 1), 0.7 + np.array([[-0.1], [0.1]]) + scans))
    assert found.draw == pytest.approx(-0.01) and found.parts["draw"] == 0


@pytest.mark.parametrize(
    ("seeds", "unknown"),
    [([3], {"draw"}), ([1, 1, 1], {"draw", "seed"}), ([1], set(PARTS)), ([2, 1], set())],
)
def test_what_too_few_trainings_cannot_tell_is_not_a_number(
    seeds: list[int], unknown: set[str]
) -> None:
    sd = {"draw": 0.05, "seed": 0.02, "scan": 0.1, "rest": 0.03}
    found = components_of(drawn(np.random.default_rng(0), seeds, sd))
    assert {part for part in PARTS if np.isnan(found.parts[part])} == unknown


def test_scans_without_a_dice_in_one_training_are_left_out() -> None:
    sd = {"draw": 0.05, "seed": 0.02, "scan": 0.1, "rest": 0.03}
    tables = drawn(np.random.default_rng(0), [2, 1], sd)
    fewer = {draw: values[:, 1:].copy() for draw, values in tables.items()}
    tables[1][0, 0] = np.nan
    assert components_of(tables) == components_of(fewer)


def runs_of_two_draws(shift: float = 0.2) -> list[dict[str, object]]:
    """A strong baseline and a method that gains 0.05 in both draws, of which one is worse."""
    scans = np.linspace(0.5, 0.6, SCANS)
    noise = 0.01 * np.array([1, -1, 1, -1, 1, -1])
    return [
        stored(draw, seed, {"supervised_strong": base, "bcp": base + 0.05 + 0.1 * lean})
        for draw, seed in ((0, 0), (0, 1), (1, 0))
        for lean in [noise * (seed + draw + 1)]
        for base in [scans + shift * draw + 0.02 * seed + lean]
    ]


def test_stored_draws_are_told_apart_and_a_difference_pairs_them() -> None:
    runs = runs_of_two_draws()
    alone = variance_components(runs, "supervised_strong")
    assert alone.trainings == {0: 2, 1: 1}
    assert alone.draw == pytest.approx(0.2**2 / 2, rel=0.2) and alone.seed < 0.0003
    paired = variance_components(runs, "bcp", "supervised_strong")
    assert paired.parts["draw"] < 1e-4 * alone.draw, "both rows lose alike in draw 1"


def test_a_row_that_nobody_stored_and_other_test_scans_are_refused() -> None:
    with pytest.raises(InputError, match="'umct'"):
        variance_components(runs_of_two_draws(), "umct")
    others = stored(2, 0, {"bcp": np.full(SCANS, 0.5)}, names=list("abcdef"))
    with pytest.raises(InputError, match="draw 2 of row 'bcp' was scored on other test scans"):
        variance_components([*runs_of_two_draws(), others], "bcp")


def text(html: HTML) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html.data).split())


def test_the_table_has_spreads_and_shares_that_sum_to_everything() -> None:
    runs = runs_of_two_draws()
    shown = text(variance_table(runs, ["supervised_strong"], [("bcp", "supervised_strong")]))
    assert "Strong baseline 2 + 1 0.134" in shown and "minus strong baseline 2 + 1" in shown
    line = text(variance_table(runs, ["supervised_strong"])).split("Strong baseline")[1]
    shares = [int(share) for share in re.findall(r"(\d+)\s%", line)]
    assert len(shares) == 4 and abs(sum(shares) - 100) <= 2
    assert "moves a row's mean Dice by a standard deviation of 0.134" in text(
        variance_sentence(runs, ["supervised_strong", "umct"])
    ).replace("&#x27;", "'")


def test_the_sentence_sets_the_draw_beside_the_seed_and_the_test_scans() -> None:
    """The draws lie 0.2 apart; six scans from 0.5 to 0.6 have a standard error of 0.015."""
    said = text(variance_sentence(runs_of_two_draws(), ["supervised_strong"]))
    assert "larger than that of the seed in 1 of 1 rows" in said
    assert "As many other test scans would move it by 0.015 to 0.015. 2 draws tell" in said


def test_one_draw_measures_no_choice_of_labelled_scans() -> None:
    runs = [run for run in runs_of_two_draws() if run["cohort_hash"] == "draw 0"]
    shown = text(variance_table(runs, ["supervised_strong"]))
    assert "Strong baseline 2 not measured 0.0" in shown and "%" not in shown
    assert "is not measured here: 1 draw stored" in text(variance_sentence(runs, ["bcp"]))
    once = text(variance_table(runs[:1], ["supervised_strong"]))
    assert "Strong baseline" not in once, "trained once: nothing to tell apart"
