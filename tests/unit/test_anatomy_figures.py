"""Pictures of anatomical uncertainty say what was computed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ssl_lib.evaluation.statistics import Interval
from ssl_lib.figures import (
    auroc_chart,
    calibration_curves,
    cost_bars,
    label_maps,
    most_uncertain,
    reconstructions,
    repairs_by_maps,
    to_png,
    uncertainty_panels,
    weight_frame,
)

CLASSES = ("background", "pool", "muscle")


@pytest.fixture
def label() -> np.ndarray:
    label = np.zeros((16, 24), np.uint8)
    label[4:9, 5:12] = 1
    label[10:13, 5:20] = 2
    return label


@pytest.fixture
def score() -> np.ndarray:
    return np.linspace(0, 1, 16 * 24).reshape(16, 24)


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_label_maps_show_every_class_in_its_colour(label) -> None:
    figure = label_maps({"one": label, "two": label * 0}, CLASSES)
    assert titles(figure) == ["one", "two"]
    shown = figure.axes[0].images[0]
    assert shown.get_clim() == (0, 2)
    colours = {tuple(shown.to_rgba(index)) for index in range(3)}
    assert len(colours) == 3 and len(to_png(figure)) < 60_000


def test_reconstructions_share_one_scale_of_uncertainty(label, score) -> None:
    columns = {"clean": (label, label, 0.2 * score), "hole": (label, label, 1.5 * score)}
    figure = reconstructions(columns, CLASSES)
    assert titles(figure)[:2] == ["clean", "hole"]
    assert {ax.images[0].get_clim() for ax in figure.axes[4:6]} == {(0.0, 1.5)}
    assert [ax.get_ylabel() for ax in figure.axes[:6:2]] == ["shown", "returned", "U"]


def test_label_maps_are_cut_to_where_one_of_them_has_an_organ() -> None:
    small, far, empty = (np.zeros((40, 40), np.uint8) for _ in range(3))
    small[20:24, 18:20], far[20:24, 30] = 1, 1
    for maps, shape in (((small, empty), (12, 10)), ((small, far), (12, 21)), ((empty,), (40, 40))):
        figure = label_maps({str(n): one for n, one in enumerate(maps)}, CLASSES)
        assert {ax.images[0].get_array().shape for ax in figure.axes if ax.images} == {shape}


def test_every_uncertainty_stands_beside_the_true_errors(label, score) -> None:
    wrong = score > 0.9
    labels = {"prediction": label, "projection": label, "truth": label}
    figure = uncertainty_panels(score, labels, wrong, {"U": score, "entropy": 2 * score}, CLASSES)
    assert titles(figure)[:4] == ["scan", *labels]
    assert titles(figure)[4:7] == ["true errors", "U", "entropy"]
    assert figure.axes[6].get_xlabel() == "dark 0, bright 2.00"
    assert np.array_equal(figure.axes[4].images[0].get_array(), wrong)


@pytest.mark.parametrize(("sign", "found"), [(1, "100\xa0%"), (-1, "0\xa0%")])
def test_the_most_uncertain_voxels_are_counted_against_the_errors(score, sign, found) -> None:
    wrong = score > np.quantile(score, 0.95)
    figure = most_uncertain(sign * score, wrong, 8, "U")
    assert figure.axes[1].get_xlabel() == f"U:\n{found} of errors found"
    verdict = figure.axes[1].images[0].get_array()
    assert ((verdict == 1) | (verdict == 3)).sum() == round(0.08 * score.size)


def test_a_weight_frame_states_the_mean_weights(score) -> None:
    wrong = score > 0.5
    figure = weight_frame(np.where(wrong, 0.25, 0.75), wrong, 5)
    assert figure.axes[1].get_xlabel() == "right 0.75, wrong 0.25"


def test_the_chart_prints_each_mean_and_skips_what_is_undefined() -> None:
    table = {
        "errors": {"U": Interval(0.8, 0.7, 0.9, 5, 1), "entropy": Interval(0.9, 0.85, 0.95, 5, 1)},
        "hole": {"U": Interval(0.97, 0.9, 1, 5, 1), "entropy": Interval(*[math.nan] * 3, 0, 1)},
    }
    ax = auroc_chart(table).axes[0]
    assert [t for t in texts(ax) if t.strip() != "chance"] == ["0.80", "0.90", "0.97"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(table)


def test_calibration_leaves_out_bins_with_few_voxels() -> None:
    curve = {"rate": [0.1, 0.5, 0.9], "count": [900, 100, 3], "left": [1.0, 0.4, 0.0]}
    left, right = calibration_curves({"U": curve}).axes
    assert list(left.lines[0].get_ydata()) == [0.1, 0.5]
    assert list(right.lines[0].get_ydata()) == [100, 40, 0]


def test_repairs_are_drawn_in_the_order_of_the_number_of_maps() -> None:
    row = {"seed": 0, "clean": 0.9, "damaged": 0.7, "repaired": 0.8}
    ax = repairs_by_maps({"16": [row, row], "2": [{**row, "repaired": 0.6}]}).axes[0]
    means = next(line for line in ax.lines if line.get_label() == "damaged maps, repaired")
    assert list(means.get_xdata()) == [2, 16] and list(means.get_ydata()) == [0.6, 0.8]


def test_cost_bars_name_the_step_and_what_it_adds() -> None:
    steps = {
        "mean_teacher": {"relative": 1.0, "milliseconds": 40, "adds": "nothing"},
        "aau": {"relative": 1.1, "milliseconds": 44, "adds": "1 pass"},
    }
    ax = cost_bars({"2D": steps}, limit=1.3).axes[0]
    assert "AAU\n1 pass" in [tick.get_text() for tick in ax.get_yticklabels()]
    assert "1.10 (44 ms)" in texts(ax) and " our aim: below 1.3" in texts(ax)
