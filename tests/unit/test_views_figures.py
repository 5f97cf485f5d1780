"""Pictures of co-training say what was computed."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ssl_lib.figures import (
    fusion_strip,
    influence_maps,
    kernel_comparison,
    map_and_errors,
    mixed_colours,
    to_png,
    uncertainty_maps,
    view_predictions,
)
from ssl_lib.figures.views import REACH, VIEW_COLOURS

CLASSES = ("background", "pool", "muscle")
NAMES = ("view 1", "view 2", "view 3")


@pytest.fixture
def scene() -> tuple:
    """An image, its truth, and three answers of which the last two err."""
    random = np.random.default_rng(0)
    truth = np.zeros((10, 20), np.uint8)
    truth[2:6, 4:9] = 1
    answers = {name: truth.copy() for name in NAMES}
    answers["view 2"][0, :4] = 2
    answers["view 3"][0, :8] = 2
    return random.normal(size=(10, 20)), truth, answers


def labels_below(figure) -> list[str]:
    return [ax.get_xlabel() for ax in figure.axes]


def test_influence_is_cut_through_the_place_and_zero_stays_dark() -> None:
    volume = np.zeros((30, 40, 50))
    place = (3, 20, 45)
    volume[place] = 2.0
    volume[3, 21, 45] = 0.02
    figure = influence_maps({"flat": volume, "wide": volume + 1e-3}, place)
    first = figure.axes[0].images[0].get_array()
    assert first.shape == (2 * REACH + 1,) * 2
    assert first[REACH, REACH] == 0 and first[REACH + 1, REACH] == pytest.approx(-2)
    assert int((~np.ma.getmaskarray(first)).sum()) == 2
    assert figure.axes[0].get_ylabel() == "cut across\naxis 0"
    assert len(figure.axes) == 3 * 2 + 1


def test_influence_of_a_picture_is_one_row() -> None:
    figure = influence_maps({"a": np.eye(9), "b": np.eye(9)}, (4, 4))
    assert len(figure.axes) == 3 and figure.axes[0].get_ylabel() == ""


def test_predictions_count_errors_and_disagreement(scene) -> None:
    image, truth, answers = scene
    figure = view_predictions(image, truth, answers, answers["view 2"], CLASSES)
    assert labels_below(figure)[:5] == [
        *(
            f"{share}\N{NO-BREAK SPACE}% wrong in this slice"
            for share in ("0.0", "2.0", "4.0", "2.0")
        ),
        "in 4.0\N{NO-BREAK SPACE}% of this slice",
    ]
    assert labels_below(figure)[5] == "100\N{NO-BREAK SPACE}% of it where views disagree"
    four = answers | {"view 4": truth}
    assert len(view_predictions(image, truth, four, truth, CLASSES).axes) == 8
    assert len(to_png(figure)) < 200_000


def test_uncertainty_stands_above_true_errors_on_one_scale(scene) -> None:
    _, truth, answers = scene
    uncertainties = {name: np.full(truth.shape, 0.01 * k) for k, name in enumerate(NAMES, 1)}
    errors = {name: answer != truth for name, answer in answers.items()}
    figure = uncertainty_maps(uncertainties, errors)
    assert {ax.images[0].get_clim() for ax in figure.axes[:3]} == {(0.0, 0.03)}
    wrong = [f"{share}\N{NO-BREAK SPACE}% wrong in this slice" for share in ("0.0", "2.0", "4.0")]
    assert labels_below(figure)[3:6] == wrong


def test_a_frame_keeps_the_scale_it_is_given(scene) -> None:
    _, truth, answers = scene
    figure = map_and_errors("U", np.zeros(truth.shape), answers["view 3"] != truth, top=0.2)
    assert figure.axes[0].images[0].get_clim() == (0.0, 0.2)
    assert labels_below(figure)[1] == "4.0\N{NO-BREAK SPACE}% wrong in this slice"
    parts = (np.zeros(truth.shape), answers["view 3"] != truth)
    gate = map_and_errors("gate", 1.0 * (truth > 0), truth > 0, names=("closed", "open"))
    assert len(gate.axes) == 2
    assert [text.get_text() for text in gate.legends[0].get_texts()] == ["closed", "open"]
    scales = [map_and_errors("U", *parts, top=0.2, more=more).axes[2] for more in (False, True)]
    ends = [scale.get_yticklabels()[-1].get_text() for scale in scales]
    assert ends == ["0.2", "0.2\nor more"]


def test_mixed_colours_are_the_views_at_the_corners_and_white_in_the_middle() -> None:
    alone = mixed_colours(np.eye(3)[:, None])
    expected = [to_rgb(colour) for colour in VIEW_COLOURS[:3]]
    assert np.allclose(alone[0], expected)
    assert np.allclose(mixed_colours(np.full((3, 2, 2), 1 / 3)), 1)
    two = np.stack([np.zeros((1, 2)), np.array([[0.5, 1.0]]), np.array([[0.5, 0.0]])])
    assert np.allclose(mixed_colours(two)[0], [(1, 1, 1), to_rgb(VIEW_COLOURS[1])])


def test_a_fused_target_names_its_errors_and_every_view(scene) -> None:
    image, truth, answers = scene
    shares = np.full((3, 10, 20), 1 / 3)
    targets = {"taught to view 1": answers["view 3"]}
    figure = fusion_strip(shares, targets, image, truth, CLASSES, NAMES)
    assert labels_below(figure) == ["white: equal", "4.0\N{NO-BREAK SPACE}% wrong in this slice"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*NAMES, "pool", "muscle"]


def test_kernels_show_every_view_the_average_and_the_disagreement() -> None:
    run = {"views": [0.5, 0.6, 0.7], "averaged": 0.75, "disagreement": 0.04}
    figure = kernel_comparison({"flat": {"seed 0": run, "seed 1": run}, "cubic": {"seed 0": run}})
    left, right = figure.axes
    assert [len(line.get_xdata()) for line in left.lines] == [3, 1, 3, 1, 3, 1]
    assert [float(line.get_xdata()[0]) for line in right.lines] == [4.0, 4.0, 4.0]
    assert [text.get_text() for text in left.get_yticklabels()] == ["flat", "cubic"]
