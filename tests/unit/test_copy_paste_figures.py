"""Pictures of copy-paste say what was computed."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from ssl_lib.figures import (
    component_filter,
    feature_density,
    mixing_strip,
    mixture_frame,
    to_png,
    weight_maps,
)
from ssl_lib.figures.copy_paste import densities
from ssl_lib.figures.style import VERMILLION

CLASSES = ("background", "pool", "muscle")


@pytest.fixture
def scene() -> tuple:
    """A labelled and an unlabelled half, their mixture and the mask."""
    random = np.random.default_rng(0)
    images = random.normal(size=(2, 16, 24))
    labels = np.zeros((2, 16, 24), np.uint8)
    labels[:, 4:9, 5:12] = 1
    labels[:, 10:13, 5:20] = 2
    mask = np.ones((16, 24))
    mask[3:11, 8:20] = 0
    halves = [(images[0], labels[0], False), (images[1], labels[1], True)]
    return *halves, np.where(mask > 0, *images), mask


def titles(figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def test_the_strip_names_who_keeps_and_who_gives(scene) -> None:
    known, guessed, mixed, mask = scene
    pairs = {"inward": (known, guessed, mixed), "outward": (guessed, known, mixed)}
    figure = mixing_strip(pairs, mask, CLASSES)
    assert titles(figure) == [
        *("labelled, keeps", "unlabelled, gives", "mask M", "inward mixture"),
        *("unlabelled, keeps", "labelled, gives", "mask M", "outward mixture"),
    ]
    assert len(to_png(figure)) < 200_000


def test_a_frame_states_the_pasted_share(scene) -> None:
    known, guessed, mixed, mask = scene
    figure = mixture_frame(known, guessed, mixed, mask, known[1], CLASSES)
    assert titles(figure) == ["mixture (25\xa0% pasted)", "the network's prediction"]


def test_the_filter_picture_counts_what_was_removed(scene) -> None:
    image, label, _ = scene[0]
    kept = np.where(label == 2, 0, label).astype(np.uint8)
    figure = component_filter(image, {"before": label, "after": kept}, CLASSES)
    assert figure.axes[0].get_xlabel() == ""
    assert figure.axes[1].get_xlabel() == f"{(label == 2).sum()} voxels removed"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [*CLASSES[1:], "pseudo-label", "removed"]
    drawn = [tuple(part.get_facecolor()[0]) for part in figure.axes[1].collections
             if len(part.get_facecolor())]  # fmt: skip
    assert to_rgba(VERMILLION) in drawn, "what was removed is opaque"


def test_weight_maps_share_one_scale() -> None:
    figure = weight_maps({"low": np.full((4, 4), 1.0), "high": np.full((4, 4), 3.0)})
    assert {ax.images[0].get_clim() for ax in figure.axes[:2]} == {(0.0, 3.0)}


def test_densities_have_area_one_and_equal_samples_share_all() -> None:
    sample = np.random.default_rng(0).normal(size=400)
    places, first, second = densities(sample, sample + 9)
    assert np.trapezoid(first, places) == pytest.approx(1, abs=0.02)
    assert np.trapezoid(np.minimum(first, second), places) < 0.01
    figure = feature_density({"same": (sample, sample), "far": (sample, sample + 9)})
    assert titles(figure) == ["same\nshared 1.00", "far\nshared 0.00"]


def test_a_network_that_found_nothing_is_named() -> None:
    sample = np.random.default_rng(0).normal(size=400)
    figure = feature_density({"blank": (sample, sample[:0]), "sees": (sample, sample)})
    assert figure.axes[0].get_xlabel() == "found in too few voxels"
    assert len(figure.legends[0].get_texts()) == 3
