"""Which scan next: the least agreed first, then one that is unlike those that are there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssl_lib.data.cohort import Case
from ssl_lib.evaluation.next_scan import SIDE, next_scans, small_image
from ssl_lib.notebook.own_tables import next_scan_table
from ssl_lib.utils.errors import InputError

FILE = Path(__file__).parents[2] / "reports/validation/06_which_scan_next.json"


def scan(name: str, kind: int) -> Case:
    """Scans of one kind are alike: a bright block in one of several corners."""
    image = np.random.default_rng(sum(map(ord, name))).normal(0, 0.01, (20, 16, 12))
    image[5 * kind : 5 * kind + 5, :8] += 1
    return Case(name, name, image.astype(np.float32), (1.0, 1.0, 1.0))


LABELLED = [scan("l0", 0)]
FREE = [scan("a1", 1), scan("a2", 1), scan("a3", 1), scan("b1", 2), scan("c1", 0), scan("d1", 3)]
AGREED = {"a1": 0.1, "a2": 0.2, "a3": 0.3, "b1": 0.4, "c1": 0.5, "d1": 0.9}


def test_the_least_agreed_comes_first_and_then_another_kind():
    assert next_scans(AGREED, FREE, LABELLED, 1) == ["a1"]
    chosen = next_scans(AGREED, FREE, LABELLED, 2)
    assert chosen[0] == "a1" and set(chosen) <= {"a1", "b1", "d1"}, "not a second a, nor a labelled"


def test_only_scans_of_low_agreement_are_candidates():
    assert "d1" not in next_scans(AGREED, FREE, LABELLED, 1)
    many = [*FREE, scan("d2", 3)]
    agreed = {**AGREED, "d1": 0.8, "d2": 0.9}
    assert "d2" not in next_scans(agreed, many, LABELLED, 2)


def test_a_scan_in_which_nothing_was_found_comes_first():
    assert next_scans({**AGREED, "d1": np.nan}, FREE, LABELLED, 1) == ["d1"]


def test_no_more_scans_than_there_are():
    assert sorted(next_scans(AGREED, FREE, LABELLED, 9)) == sorted(AGREED)
    assert next_scans({}, [], LABELLED, 2) == []
    with pytest.raises(InputError, match="0 scans"):
        next_scans(AGREED, FREE, LABELLED, 0)


def test_small_images_are_block_means_of_any_size():
    case = scan("l0", 0)
    whole = replace(case, image=np.kron(case.image[:16, :16, :8], np.ones((2, 2, 2), np.float32)))
    half = replace(case, image=case.image[:16, :16, :8].copy())
    np.testing.assert_allclose(small_image(whole), small_image(half), atol=1e-5)
    assert small_image(replace(case, image=case.image[:1])).shape == (SIDE**3,)
    means = half.image.reshape(8, 2, 8, 2, 8, 1).mean((1, 3, 5))
    expected = (means - means.mean()) / means.std()
    np.testing.assert_allclose(small_image(half).reshape(8, 8, 8), expected, atol=1e-5)


def test_the_stored_trial_is_shown_as_it_was_measured():
    trial = json.loads(FILE.read_text())
    html = next_scan_table(trial).data
    rules = {run["rule"] for run in trial["runs"]}
    assert html.count("<tr>") == 1 + len(rules)
    for run in trial["runs"]:
        assert f"{np.mean(list(run['dice'].values())):.3f}" in html
        expected = 0 if run["rule"] == "nothing added" else trial["settings"]["added"]
        assert len(set(run["added"])) == expected


def test_the_sentences_name_random_choices_that_did_better():
    runs = [("a rule", 0.7, ["x"]), ("random 1", 0.8, ["y"]), ("random 2", 0.4, ["z"])]
    gain = {"mean": 0.1, "low": -0.1, "high": 0.3}
    trial = {
        "settings": {"seeds": [0], "added": 1, "labelled": 2},
        "runs": [{"seed": 0, "rule": r, "added": a, "dice": {"s": d}} for r, d, a in runs],
        "gain_over_random": {"a rule": gain},
    }
    html = next_scan_table(trial).data
    assert "on average not surely more Dice than random choices (+0.100)" in html
    assert "1 of 2 random choices did better (random 1 of seed 0)" in html
    trial["gain_over_random"]["a rule"] = gain | {"low": 0.05}
    assert "on average more Dice" in next_scan_table(trial).data


def test_the_stored_gain_is_that_of_the_stored_runs():
    trial = json.loads(FILE.read_text())
    dice = {
        (run["rule"], run["seed"]): np.array(list(run["dice"].values())) for run in trial["runs"]
    }
    draws = [rule for rule in dict(dice) if rule[0].startswith("random")]
    random = np.mean([dice[draw] for draw in draws])
    for rule, gain in trial["gain_over_random"].items():
        mine = np.mean([dice[rule, seed] for seed in trial["settings"]["seeds"]])
        assert gain["mean"] == pytest.approx(mine - random)
        assert gain["low"] <= gain["mean"] <= gain["high"]
