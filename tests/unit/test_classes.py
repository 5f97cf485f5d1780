"""Results class by class: gains with known answers, tables and the sentence below them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ssl_lib.data.load import class_names_of
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.classes import class_gain, class_gains, classes_of
from ssl_lib.evaluation.statistics import paired_difference, scan_scores
from ssl_lib.figures import class_gain_chart
from ssl_lib.notebook.comparison_tables import class_sentence, class_table
from ssl_lib.utils.errors import InputError

NAMES = ("background", "muscle", "blood pool")
GAINS = {"mean_teacher": (0.02, 0.10), "bcp": (0.00, 0.06), "supervised_strong": (0.0, 0.0)}
SCANS = 8


def run(seed: int, gains: dict[str, tuple[float, float]] | None = None) -> dict[str, object]:
    """Dice 0.6 and 0.7 plus what is hard in a scan and what a row gains; 95HD is 10 (1 - Dice)."""

    def entries(row: str, by_class: tuple[float, float]) -> list[dict[str, object]]:
        made = []
        for scan in range(SCANS):
            for index, gain in enumerate(by_class, start=1):
                dice = 0.5 + 0.1 * index + 0.01 * scan + 0.001 * seed + gain
                missed = row == "bcp" and scan == 0 and index == 2
                far = float("nan") if missed else 10 * (1 - dice)
                made.append({"id": f"s{scan}", "class": index, "dice": dice, "hd95": far})
        return made

    rows = {
        row: {"per_case": entries(row, one), "units": {"dice": "fraction", "hd95": "mm"}}
        for row, one in (gains or GAINS).items()
    }
    shared = {
        "dataset": "acdc",
        "cohort_hash": "h",
        "profile": "quick",
        "n_labelled": 4,
        "seed": seed,
    }
    return {**shared, "rows": rows}


def runs() -> list[dict[str, object]]:
    return [run(0), run(1)]


def test_the_scores_of_one_class_average_to_those_of_the_scan() -> None:
    classes = [scan_scores(runs(), "bcp", "dice", index).values for index in (1, 2)]
    np.testing.assert_allclose(np.mean(classes, axis=0), scan_scores(runs(), "bcp").values)
    gain = paired_difference(runs(), "mean_teacher", "bcp", "dice", 2).values
    np.testing.assert_allclose(gain, 0.04)
    with pytest.raises(InputError, match="no class 3"):
        scan_scores(runs(), "bcp", "dice", 3)


def test_gains_are_paired_by_class_and_turned_round_for_distances() -> None:
    assert classes_of(runs()) == [1, 2]
    assert class_gain(runs(), "mean_teacher", "supervised_strong", 2).mean == pytest.approx(0.1)
    far = class_gain(runs(), "mean_teacher", "supervised_strong", 2, "hd95")
    assert far.mean == pytest.approx(1.0), "nearer is better"


def test_rows_count_alike_and_the_first_class_is_compared_with_the_next() -> None:
    found = class_gains(runs(), ["mean_teacher", "bcp", "umct"], "supervised_strong")
    assert found.rows == ("mean_teacher", "bcp") and found.order == [2, 1]
    means = [found.gains[index].mean for index in (1, 2)]
    assert means == pytest.approx([0.01, 0.08])
    assert found.over_next.mean == pytest.approx(0.07)
    with pytest.raises(InputError, match="no row was stored beside"):
        class_gains(runs(), ["umct"], "supervised_strong")


def text(html: object) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html.data).split())


def test_the_sentence_names_the_class_and_says_where_it_is_not_told_apart() -> None:
    said = text(class_sentence(runs(), ["mean_teacher", "bcp"], NAMES))
    assert "(median of 2 rows with unlabelled scans): blood pool +0.080" in said
    assert "The blood pool gains most, +0.070 [+0.070, +0.070]" in said
    assert "95HD reduced by (mm): blood pool +0.8" in said
    wobbling = [run(0), run(1)]
    for one in wobbling:
        for entry in one["rows"]["mean_teacher"]["per_case"]:
            if entry["class"] == 2:
                entry["dice"] += 0.2 if entry["id"] in ("s0", "s1") else -0.1
    said = text(class_sentence(wobbling, ["mean_teacher"], NAMES))
    assert "more than the next class: not told apart." in said
    worse = {"mean_teacher": (-0.1, -0.2), "supervised_strong": (0.0, 0.0)}
    assert "No class gains." in text(class_sentence([run(0, worse)], ["mean_teacher"], NAMES))


def test_the_table_has_a_column_for_each_class_and_counts_what_is_undefined() -> None:
    shown = text(class_table(runs(), list(GAINS), NAMES, "hd95"))
    assert "95HD (mm) of each class" in shown and "Less is better" in shown
    assert "Row muscle blood pool" in shown
    assert shown.count("2 undefined") == 1, "one class of one row, in both seeds"
    assert "Less" not in text(class_table(runs(), list(GAINS), NAMES, "dice"))


def test_the_chart_has_a_mark_for_each_row_and_class_in_each_panel() -> None:
    figure = class_gain_chart(runs(), ["bcp", "supervised_strong", "mean_teacher"], NAMES)
    dice, far = figure.axes
    assert (dice.get_xlabel(), far.get_xlabel()) == ("Dice gained", "95HD reduced by (mm)")
    assert [text.get_text() for text in dice.get_yticklabels()] == [
        "Bidirectional\ncopy-paste (BCP)",
        "Mean teacher",
    ]
    for ax, wanted in ((dice, [0.06, 0.10]), (far, [0.6, 1.0])):
        blood = ax.containers[1].lines[0]
        np.testing.assert_allclose(blood.get_xdata(), wanted)
    with pytest.raises(InputError, match="no row was stored beside"):
        class_gain_chart(runs(), ["umct"], NAMES)


def test_names_of_classes_are_those_of_the_data_set() -> None:
    assert class_names_of("phantom", 4) == phantom_cohort(1, max_scans=4).class_names
    assert class_names_of("acdc", 4)[3] == "left ventricle"
    assert class_names_of("scans-0a1b2c", 3) == ("background", "class 1", "class 2")
