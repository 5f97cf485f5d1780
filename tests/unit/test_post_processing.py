"""Post-processing is chosen by the rule alone, and changes nothing that was not chosen."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_lib.evaluation.metrics import mean_dice
from ssl_lib.evaluation.post_processing import choose_post_processing, keep_largest
from ssl_lib.notebook.own_tables import post_processing_table
from ssl_lib.utils.errors import InputError


def scan(number: int) -> np.ndarray:
    """Class 1 is one block, class 2 two blocks of different size."""
    truth = np.zeros((16, 16), np.uint8)
    truth[2:6, 2 + number % 3 : 7] = 1
    truth[9:12, 2:6] = truth[9:11, 10:14] = 2
    return truth


TRUTHS = {f"s{number}": scan(number) for number in range(4)}


def with_islands() -> dict[str, np.ndarray]:
    """Predictions that are right but for an island of class 1."""
    predicted = {name: label.copy() for name, label in TRUTHS.items()}
    for label in predicted.values():
        label[14, 14] = 1
    return predicted


def test_a_class_is_chosen_where_its_dice_rises_and_no_other():
    chosen = choose_post_processing(with_islands(), TRUTHS, 3)
    assert chosen.classes == (1,)
    assert chosen.without[0] < chosen.kept[0] == 1.0
    assert chosen.without[1] == 1.0 > chosen.kept[1], "one of two organs would be lost"


def test_the_choice_is_that_of_the_rule_computed_by_hand():
    random = np.random.default_rng(1)
    predicted = {
        name: np.where(random.random(label.shape) < 0.1, random.integers(0, 3), label).astype("u1")
        for name, label in TRUTHS.items()
    }
    chosen = choose_post_processing(predicted, TRUTHS, 3)
    for index in (1, 2):
        pairs = [
            [
                mean_dice((label == index).astype("u1"), (TRUTHS[name] == index).astype("u1"), 2)
                for label in (predicted[name], keep_largest(predicted[name], (index,)))
            ]
            for name in TRUTHS
        ]
        before, after = np.mean(pairs, axis=0)
        assert (index in chosen.classes) == (after > before)
        assert chosen.without[index - 1] == pytest.approx(before)
        assert chosen.kept[index - 1] == pytest.approx(after)


def test_an_equal_dice_chooses_nothing():
    assert choose_post_processing(TRUTHS, TRUTHS, 2).classes == ()


def test_fewer_than_three_scans_choose_nothing_and_the_table_says_so():
    two = {name: label for name, label in with_islands().items() if name in ("s0", "s1")}
    chosen = choose_post_processing(two, {name: TRUTHS[name] for name in two}, 3)
    assert chosen.classes == () and chosen.kept[0] > chosen.without[0]
    words = post_processing_table({"bcp": chosen}, ("background", "front", "back")).data
    assert "Fewer than 3: nothing is chosen" in words and "largest component" not in words


def test_no_scan_at_all_is_an_undefined_dice_and_no_choice():
    chosen = choose_post_processing({}, {}, 3)
    assert chosen.classes == () and np.isnan(chosen.without).all()
    assert chosen.record(0.5)["validation_dice"]["with"] == [None, None]
    assert chosen.record(np.nan)["test_dice"] is None


def test_a_class_that_nobody_has_is_left_as_it_is():
    assert choose_post_processing(with_islands(), TRUTHS, 4).classes == (1,)


def test_only_the_chosen_class_changes():
    label = with_islands()["s0"]
    label[0, 15] = 2
    kept = keep_largest(label, (1,))
    assert kept[14, 14] == 0 and label[14, 14] == 1, "and the argument stays"
    np.testing.assert_array_equal(kept == 2, label == 2)
    assert keep_largest(label, ()) is label and kept.dtype == np.uint8


def test_other_scans_than_those_with_a_truth_are_refused():
    with pytest.raises(InputError, match="3 label maps"):
        choose_post_processing(TRUTHS, dict(list(TRUTHS.items())[:3]), 3)
