"""Curves over updates: means and bands of the stored seeds, and when a level is reached."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ssl_lib.evaluation.learning_curves import learning_curves
from ssl_lib.figures import learning_curve_panels
from ssl_lib.notebook.comparison_tables import updates_sentence
from ssl_lib.utils.errors import InputError

LOOKS = (100, 200, 300, 400)


def run(seed: int, **rows: tuple[float | None, ...]) -> dict[str, object]:
    """A stored run with the validation Dice of each row at `LOOKS`."""
    curves = {
        row: {"validation_curve": [list(pair) for pair in zip(LOOKS, values, strict=False)]}
        for row, values in rows.items()
    }
    return {"seed": seed, "profile": "quick", "rows": curves}


def runs() -> list[dict[str, object]]:
    """The baseline ends at 0.6; the mean teacher's mean passes it at 300 and falls below again."""
    return [
        run(0, supervised_strong=(0.3, 0.5, 0.6, 0.62), mean_teacher=(0.3, 0.5, 0.7, 0.5)),
        run(1, supervised_strong=(0.3, 0.5, 0.4, 0.58), mean_teacher=(0.1, 0.3, 0.6, 0.6)),
        run(1, supervised_strong=(0.9, 0.9, 0.9, 0.9)),
        run(2, bcp=(0.2, 0.3, 0.4, 0.59)),
    ]


def test_curves_hold_each_seed_once_and_their_mean() -> None:
    found = learning_curves(runs(), "mean_teacher")
    assert found.seeds == (0, 1) and found.updates.tolist() == list(LOOKS)
    np.testing.assert_allclose(found.mean, [0.2, 0.4, 0.65, 0.55])
    assert learning_curves(runs(), "supervised_strong").mean[-1] == pytest.approx(0.6)


def test_only_looks_that_all_seeds_share_are_averaged_and_one_look_is_no_curve() -> None:
    short = run(5, bcp=(0.5, 0.6, 0.7))
    found = learning_curves([*runs(), short], "bcp")
    assert found.updates.tolist() == [100, 200, 300]
    assert learning_curves([run(0, bcp=(0.5,))], "bcp") is None
    assert learning_curves(runs(), "umct") is None


def test_an_undefined_dice_is_left_out_of_the_mean() -> None:
    found = learning_curves([run(0, bcp=(None, 0.5)), run(1, bcp=(0.4, 0.7))], "bcp")
    np.testing.assert_allclose(found.mean, [0.4, 0.6])
    assert found.updates_to(0.5) == 200


@pytest.mark.parametrize(("level", "updates"), [(0.15, 100), (0.6, 300), (0.64, 300), (0.9, None)])
def test_a_level_is_reached_at_the_first_look_at_which_the_mean_is_as_high(
    level: float, updates: int | None
) -> None:
    assert learning_curves(runs(), "mean_teacher").updates_to(level) == updates


def test_the_sentence_says_when_and_who_never_does() -> None:
    html = updates_sentence(runs(), ["supervised_strong", "mean_teacher", "bcp", "umct"]).data
    text = re.sub("<[^>]+>", "", html)
    assert "a validation Dice of 0.600 after 400 updates (mean over seeds)" in text
    assert "Strong baseline: 400; Mean teacher: 300. Never: Bidirectional" in text
    assert "(BCP), one seed." in text
    assert "no level to reach" in updates_sentence(runs()[3:], ["bcp"]).data


def test_a_panel_has_its_band_its_level_and_says_how_many_seeds() -> None:
    figure = learning_curve_panels(runs(), ["mean_teacher", "bcp", "umct"])
    many, one = (ax for ax in figure.axes if ax.axison)
    shown = [text.get_text() for text in (*many.texts, *one.texts)]
    assert shown == ["2 seeds", "one seed, no band"]
    (band,) = many.collections
    ends = band.get_paths()[0].vertices
    at_300 = sorted({y for x, y in ends.tolist() if x == 300})
    assert at_300 == pytest.approx([0.6, 0.7]), "from the worst seed to the best one"
    assert not one.collections
    for ax in (many, one):
        levels = [line for line in ax.get_lines() if len(set(line.get_ydata())) == 1]
        assert [line.get_ydata()[0] for line in levels] == pytest.approx([0.6])
    assert "dashed: its last mean, 0.600" in figure.get_supxlabel()


def test_rows_without_a_curve_make_no_figure() -> None:
    with pytest.raises(InputError, match="no row has a validation curve"):
        learning_curve_panels(runs(), ["umct"])
