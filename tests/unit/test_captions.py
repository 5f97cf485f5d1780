"""Captions say what the figures' own results and trainings say."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from test_tables import stored

from ssl_lib.notebook.captions import curves_caption, gains_caption, signs_caption


def test_a_caption_without_results_says_what_is_drawn():
    pairs = {"a teacher": ("mean_teacher", "supervised_strong"), "no row": ("bcp", "aau")}
    smoke = [{**stored(0), "profile": "smoke"}]
    assert gains_caption("Dice.", pairs, []) == gains_caption("Dice.", pairs, smoke) == "Dice."
    assert gains_caption("Dice.", pairs, [stored(0)]) == "Dice. Gained: a teacher (+0.050)."
    against = gains_caption("Dice.", pairs, [stored(0)], against="labels")
    assert against == "Dice. Compared with labels. Gained: a teacher (+0.050)."


def test_curves_say_where_the_validation_dice_of_each_row_ends():
    rows = {"mean_teacher": [(0, 0.9), (9, 0.5)], "supervised_strong": [(0, 0.1), (9, 0.6)]}
    trainings = {row: SimpleNamespace(validation=points) for row, points in rows.items()}
    ends = "at the end: Mean teacher 0.500, Strong baseline 0.600."
    assert curves_caption(trainings).endswith(ends)
    for points in ([(9, np.nan)], []):
        never = {"mean_teacher": SimpleNamespace(validation=points)}
        assert "at the end" not in curves_caption(never)


def test_the_signs_say_how_far_rows_are_apart():
    labels = {"a": np.zeros((2, 10), np.uint8), "b": np.eye(2, 10, dtype=np.uint8)}
    trainings = {
        row: SimpleNamespace(snapshots=[{"iteration": 1, "label": label}])
        for row, label in labels.items()
    }
    assert "between 0.0 and 10.0 % of the voxels" in signs_caption(trainings, 2)
    assert "between" not in signs_caption({"a": SimpleNamespace(snapshots=[])}, 2)
