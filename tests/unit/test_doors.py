"""The stored experiment of trials/06_acdc_as_a_folder.py: two doors, the same Dice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ssl_lib.notebook.own_tables import doors_table

FILE = Path(__file__).parents[2] / "reports/validation/06_acdc_as_a_folder.json"


@pytest.fixture(scope="module")
def trial() -> dict:
    return json.loads(FILE.read_text())


def test_a_folder_gives_the_dice_of_the_built_in_set(trial):
    """With the same settings, within the interval over test scans, and within 0.02."""
    one = trial["minus_built_in"]["folder, same settings"]
    assert one["low"] <= 0 <= one["high"] and abs(one["mean"]) < 0.02


def test_the_table_and_the_differences_are_those_of_the_runs(trial):
    html = doors_table(trial).data
    dice = {run["door"]: run["dice"] for run in trial["runs"] if run["seed"] == 0}
    assert html.count("<tr>") == 1 + len(dice) and len({tuple(one) for one in dice.values()}) == 1
    for door, scans in dice.items():
        assert len(scans) == 40 and f"{np.mean(list(scans.values())):.3f}" in html
        if door != "built in":
            less = np.subtract(list(scans.values()), list(dice["built in"].values())).mean()
            assert trial["minus_built_in"][door]["by_seed"][0] == pytest.approx(less)
