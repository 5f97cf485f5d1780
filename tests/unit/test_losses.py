"""Losses: each flavour against its formula in plain numpy, and masks that let nothing through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.training import losses
from ssl_lib.training.losses import (
    cross_entropy,
    dice_linear,
    dice_squared_all,
    dice_squared_foreground,
    one_hot,
    segmentation_loss,
)

FLAVOURS = [dice_squared_foreground, dice_squared_all, dice_linear]
SPACES = st.lists(st.integers(2, 5), min_size=2, max_size=3).map(tuple)
SIZES = st.tuples(st.integers(1, 3), st.integers(2, 4), SPACES)


def draw(
    batch: int, classes: int, space: tuple[int, ...], seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and a mask of zeros and ones that has both."""
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(size=(batch, classes, *space)) * 2)
    labels = torch.from_numpy(random.integers(0, classes, (batch, *space)).astype(np.uint8))
    mask = torch.from_numpy(random.integers(0, 2, (batch, *space)).astype(np.float64))
    mask.view(batch, -1)[:, 0], mask.view(batch, -1)[:, 1] = 0, 1
    return logits, labels, mask


def dice_of_sums(flavour, p: np.ndarray, t: np.ndarray, m: np.ndarray) -> float:
    """The three formulas, each sum written as a loop over samples and classes."""
    batch, classes = p.shape[:2]

    def total(sample: int, k: int, power: int) -> tuple[float, float]:
        inside = m[sample]
        overlap = float((p[sample, k] * t[sample, k] * inside).sum())
        size = float(((p[sample, k] ** power + t[sample, k] ** power) * inside).sum())
        return overlap, size

    scores = []
    if flavour is dice_linear:
        for sample in range(batch):
            for k in range(classes):
                overlap, size = total(sample, k, 1)
                scores.append((2 * overlap + 1e-5) / (size + 1e-5))
        return 1 - sum(scores) / len(scores)
    for k in range(1 if flavour is dice_squared_foreground else 0, classes):
        parts = [total(sample, k, 2) for sample in range(batch)]
        overlap, size = sum(a for a, _ in parts), sum(b for _, b in parts)
        scores.append((2 * overlap + 1e-5) / (size + 1e-5))
    return 1 - sum(scores) / len(scores)


@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(deadline=None, max_examples=25)
@given(size=SIZES, seed=st.integers(0, 1000), masked=st.booleans())
def test_dice_is_its_formula(flavour, size, seed, masked):
    logits, labels, mask = draw(*size, seed)
    p, t = logits.softmax(1), one_hot(labels, size[1])
    m = mask.numpy() if masked else np.ones(labels.shape)
    expected = dice_of_sums(flavour, p.numpy(), t.numpy(), m)
    assert float(flavour(p, t, mask if masked else None)) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(size=SIZES, seed=st.integers(0, 1000), masked=st.booleans())
def test_cross_entropy_is_its_formula(size, seed, masked):
    logits, labels, mask = draw(*size, seed)
    p = np.take_along_axis(logits.softmax(1).numpy(), labels.numpy()[:, None].astype(int), 1)[:, 0]
    m = mask.numpy() if masked else np.ones(labels.shape)
    expected = (-np.log(p) * m).sum() / m.sum()
    result = cross_entropy(logits, labels, mask if masked else None)
    assert float(result) == pytest.approx(expected, rel=1e-4)  # small where a network is sure


@pytest.mark.parametrize("loss", [*FLAVOURS, segmentation_loss, cross_entropy])
@settings(deadline=None, max_examples=15)
@given(size=SIZES, seed=st.integers(0, 1000))
def test_a_mask_of_ones_changes_nothing(loss, size, seed):
    logits, labels, mask = draw(*size, seed)
    first = logits.softmax(1) if loss in FLAVOURS else logits
    second = one_hot(labels, size[1]) if loss in FLAVOURS else labels
    whole = loss(first, second, torch.ones_like(mask))
    assert float(whole) == pytest.approx(float(loss(first, second)), abs=1e-6)


@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(deadline=None, max_examples=15)
@given(size=SIZES, seed=st.integers(0, 1000))
def test_masked_voxels_get_no_gradient_and_have_no_say(flavour, size, seed):
    logits, labels, mask = draw(*size, seed)
    logits = logits.float().requires_grad_()
    loss = segmentation_loss(logits, labels, mask, flavour)
    loss.backward()
    strength = logits.grad.abs().sum(1)
    assert torch.equal(strength[mask == 0], torch.zeros_like(strength[mask == 0]))
    assert strength[mask == 1].sum() > 0
    outside = torch.where(mask == 0, (labels + 1) % size[1], labels)
    assert torch.equal(segmentation_loss(logits, outside, mask, flavour), loss)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("space", [(6, 7), (4, 5, 3)])
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_costs_all(flavour, space):
    _, labels, _ = draw(2, 3, space)
    target = one_hot(labels, 3)
    assert float(flavour(target, target)) == pytest.approx(0, abs=1e-6)
    assert float(flavour(target.roll(1, 1), target)) == pytest.approx(1, abs=1e-4)
    assert float(segmentation_loss(100 * target, labels, dice=flavour)) < 1e-4


def test_background_counts_only_where_it_is_said_to():
    target = one_hot(torch.tensor([[[0, 0], [1, 1]]]), 2)
    half = target.clone()
    half[:, 0] = 0
    assert float(dice_squared_foreground(half, target)) == pytest.approx(0, abs=1e-5)
    assert float(dice_squared_all(half, target)) == pytest.approx(0.5, abs=1e-5)


def test_the_smoothing_of_a_class_that_nobody_has():
    nothing = torch.zeros(1, 2, 4, 4)
    assert float(dice_squared_all(nothing, nothing, smooth=1e-10)) == pytest.approx(0)
    trace = torch.full((1, 2, 4, 4), 1e-4)
    assert float(dice_squared_all(trace, nothing, smooth=1e-10)) > 0.99
    assert float(dice_squared_all(trace, nothing)) < 0.05


@settings(deadline=None, max_examples=25)
@given(size=SIZES, seed=st.integers(0, 1000))
def test_one_hot_says_the_class_of_each_voxel(size, seed):
    _, labels, _ = draw(*size, seed)
    maps = one_hot(labels, size[1])
    assert maps.dtype == torch.float32 and maps.shape == (size[0], size[1], *size[2])
    assert torch.equal(maps.sum(1), torch.ones(labels.shape))
    assert torch.equal(maps.argmax(1), labels.long())


def test_half_precision_logits_are_computed_in_float32():
    logits, labels, _ = draw(2, 3, (8, 8))
    rounded = logits.bfloat16()
    loss = segmentation_loss(rounded, labels)
    assert loss.dtype == torch.float32
    assert float(loss) == float(segmentation_loss(rounded.float(), labels))


@pytest.mark.parametrize("loss", [losses.dice_squared_all, losses.dice_linear])
def test_mixed_precision_changes_no_bit_of_a_dice(loss):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 8, 8, generator=generator).softmax(1)
    target = losses.one_hot(torch.randint(0, 3, (2, 8, 8), generator=generator), 3)
    exact = loss(maps, target)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(maps, target)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, exact)


def test_mixed_precision_changes_no_bit_of_the_supervised_loss():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 3, (2, 8, 8), generator=generator)
    exact = losses.segmentation_loss(logits, labels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(losses.segmentation_loss(logits, labels), exact)
