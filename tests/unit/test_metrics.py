"""The metrics against MedPy, against brute force, and against their own algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ssl_lib.evaluation.metrics import (
    mean_dice,
    score_class,
    score_scan,
    summarise,
    surface,
    surface_distances,
)
from ssl_lib.utils.errors import InputError

SHAPES = {2: (19, 23), 3: (11, 13, 9)}


def blob(rng: np.random.Generator, shape: tuple[int, ...], share: float = 0.3) -> np.ndarray:
    """A random smooth mask that may touch the border and fall apart."""
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 1.5)
    return noise > np.quantile(noise, 1 - share)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_agrees_with_medpy_on_random_masks(dimensions):
    binary = pytest.importorskip("medpy.metric.binary")
    rng = np.random.default_rng(dimensions)
    for _ in range(50):
        shape = SHAPES[dimensions]
        prediction, truth = blob(rng, shape, rng.uniform(0.02, 0.6)), blob(rng, shape)
        spacing = tuple(rng.uniform(0.4, 3.0, size=dimensions))
        score = score_class(prediction, truth, spacing=spacing)
        assert score.dice == pytest.approx(binary.dc(prediction, truth))
        assert score.jaccard == pytest.approx(binary.jc(prediction, truth))
        assert score.hd95 == pytest.approx(binary.hd95(prediction, truth, voxelspacing=spacing))
        assert score.asd == pytest.approx(binary.asd(prediction, truth, voxelspacing=spacing))


def brute_surface(mask: np.ndarray) -> np.ndarray:
    """Coordinates of the voxels with a face neighbour outside, found one by one."""
    found = []
    for place in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                beside = place.copy()
                beside[axis] += step
                inside = 0 <= beside[axis] < mask.shape[axis]
                if not inside or not mask[tuple(beside)]:
                    found.append(tuple(place))
    return np.array(sorted(set(found)), dtype=float)


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_brute_force_on_tiny_masks(seed):
    rng = np.random.default_rng(seed)
    prediction, truth = rng.random((4, 5, 3)) < 0.5, rng.random((4, 5, 3)) < 0.4
    spacing = np.array([0.5, 2.0, 1.25])
    one, other = brute_surface(prediction) * spacing, brute_surface(truth) * spacing
    table = np.linalg.norm(one[:, None] - other[None], axis=-1)
    pooled = np.concatenate([table.min(axis=1), table.min(axis=0)])
    score = score_class(prediction, truth, spacing=tuple(spacing))
    assert score.hd95 == pytest.approx(np.percentile(pooled, 95))
    assert score.asd == pytest.approx(table.min(axis=1).mean())


def test_95hd_pools_both_directions_and_asd_is_directed():
    prediction, truth = np.zeros((40, 8), bool), np.zeros((40, 8), bool)
    prediction[2:34, 2:6] = True
    truth[2:30, 2:6] = True
    there, back = surface_distances(prediction, truth, spacing=(1, 1))
    score = score_class(prediction, truth, spacing=(1, 1))
    assert score.hd95 < max(np.percentile(there, 95), np.percentile(back, 95))
    assert score.hd95 == score_class(truth, prediction, spacing=(1, 1)).hd95
    assert score.asd == there.mean() != back.mean()


masks = arrays(np.bool_, (6, 7), elements=st.booleans()).filter(lambda mask: mask.any())


@settings(max_examples=60, deadline=None)
@given(masks)
def test_identity(mask):
    score = score_class(mask, mask, spacing=(1.5, 0.7))
    assert (score.dice, score.jaccard, score.hd95, score.asd) == (1.0, 1.0, 0.0, 0.0)


@settings(max_examples=60, deadline=None)
@given(masks, masks, st.floats(0.1, 10), st.integers(0, 3), st.integers(0, 3))
def test_symmetry_relation_scaling_and_translation(one, other, scale, down, right):
    score = score_class(one, other, spacing=(1.0, 2.0))
    reverse = score_class(other, one, spacing=(1.0, 2.0))
    assert score.dice == reverse.dice and score.jaccard == reverse.jaccard
    assert score.hd95 == pytest.approx(reverse.hd95)
    assert score.jaccard == pytest.approx(score.dice / (2 - score.dice))
    scaled = score_class(one, other, spacing=(scale, 2 * scale))
    assert scaled.hd95 == pytest.approx(scale * score.hd95)
    assert scaled.asd == pytest.approx(scale * score.asd)
    margin = ((down, 3 - down), (right, 3 - right))
    moved = score_class(np.pad(one, margin), np.pad(other, margin), spacing=(1.0, 2.0))
    assert moved == score


@settings(max_examples=40, deadline=None)
@given(masks, st.integers(1, 5))
def test_a_shifted_copy_is_at_most_the_shift_away(mask, shift):
    one, other = np.pad(mask, ((0, 5), (0, 0))), np.pad(mask, ((shift, 5 - shift), (0, 0)))
    score = score_class(one, other, spacing=(2.0, 1.0))
    assert max(score.hd95, score.asd) <= 2.0 * shift + 1e-9


def test_empty_masks_are_never_scored_as_perfect():
    truth, prediction = np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8)
    truth[1:3, 1:3], prediction[2:4, 2:4] = 1, 2
    missed, invented, nowhere = score_scan(prediction, truth, n_classes=4, spacing=(1, 1))
    assert (missed.dice, missed.jaccard, missed.empty_prediction) == (0.0, 0.0, True)
    assert (invented.dice, invented.jaccard, invented.empty_prediction) == (0.0, 0.0, False)
    for score in (missed, invented, nowhere):
        assert math.isnan(score.hd95) and math.isnan(score.asd)
    assert math.isnan(nowhere.dice) and math.isnan(nowhere.jaccard)
    assert not nowhere.empty_prediction


def test_mean_dice_is_the_mean_of_the_full_scores():
    rng = np.random.default_rng(1)
    prediction, truth = (rng.integers(0, 4, (6, 7)).astype(np.uint8) for _ in range(2))
    scores = score_scan(prediction, truth, n_classes=6, spacing=(1, 1))
    defined = [score.dice for score in scores if not math.isnan(score.dice)]
    assert len(defined) == 3
    assert mean_dice(prediction, truth, 6) == pytest.approx(np.mean(defined))
    assert math.isnan(mean_dice(truth * 0, truth * 0, 3))


def test_a_single_slice_is_scored_in_two_dimensions():
    rng = np.random.default_rng(0)
    prediction, truth = (blob(rng, (20, 20)).astype(np.uint8) for _ in range(2))
    flat = score_scan(prediction, truth, n_classes=2, spacing=(1, 2))
    stack = score_scan(prediction[None], truth[None], n_classes=2, spacing=(7, 1, 2))
    assert flat == stack


def test_surface_of_a_block_is_its_shell():
    block = np.zeros((7, 7, 7), bool)
    block[1:6, 1:6, 1:6] = True
    assert surface(block).sum() == 5**3 - 3**3


@pytest.mark.usefixtures("misuse")
@pytest.mark.parametrize(
    ("prediction", "truth", "spacing", "word"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), (1, 1), "shape"),
        (np.full((2, 2), 5, np.uint8), np.zeros((2, 2), np.uint8), (1, 1), "values 5 to 5"),
        (np.zeros((2, 2)), np.zeros((2, 2), np.uint8), (1, 1), "float64"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), (1,), "spacing"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), (1, 0), "spacing"),
        (np.zeros((0, 2), np.uint8), np.zeros((0, 2), np.uint8), (1, 1), "empty"),
    ],
)
def test_wrong_input_is_refused_with_a_reason(prediction, truth, spacing, word):
    with pytest.raises(InputError, match=word):
        score_scan(prediction, truth, n_classes=2, spacing=spacing)


def test_summary_ignores_nan_and_counts_empty_predictions():
    nan = float("nan")
    rows = [
        {"dice": 0.8, "jaccard": 0.7, "hd95": 4.0, "asd": nan, "empty_prediction": False},
        {"dice": 0.0, "jaccard": 0.0, "hd95": nan, "asd": nan, "empty_prediction": True},
        {"dice": nan, "jaccard": nan, "hd95": nan, "asd": nan, "empty_prediction": False},
    ]
    summary = summarise(rows)
    assert summary["dice"] == pytest.approx(0.4)
    assert summary["hd95"] == 4.0
    assert math.isnan(summary["asd"])
    assert summary["empty_predictions"] == 1
