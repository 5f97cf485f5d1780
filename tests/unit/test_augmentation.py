"""Augmentation: image and label move together, nothing shears, boxes and pastes are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.training.augmentation import (
    _affine_matrices,
    blur,
    paste,
    random_affine,
    random_appearance,
    random_boxes,
    smooth_field,
    standardise,
    strong_augmentation,
)

SPACES = [(24, 36), (12, 20, 16)]
STILL = {"angle": 0.0, "scale": 0.0, "shift": 0.0}
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def generator(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device=device).manual_seed(seed)


def noise(space: tuple[int, ...], batch: int = 4) -> torch.Tensor:
    return torch.randn(batch, 1, *space, generator=generator(99))


def blocks(space: tuple[int, ...], batch: int = 4) -> torch.Tensor:
    """A label map of a few smooth blobs, classes 0, 1 and 2, another one in each sample."""
    coarse = torch.randn(batch, 1, *[4] * len(space), generator=generator(7))
    mode = "bilinear" if len(space) == 2 else "trilinear"
    smooth = torch.nn.functional.interpolate(coarse, size=space, mode=mode)[:, 0]
    return (smooth > 0.1).byte() + (smooth > 0.7).byte()


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(4))
def test_image_and_label_move_together(space, seed):
    """Where a moved 0/1 image is surely inside or outside, the moved label says the same."""
    labels = (blocks(space) > 0).byte()
    labels[:, *[slice(0, 3)] * len(space)] = 1  # a mark in one corner only
    images = labels[:, None].float()
    moved, moved_labels = random_affine(images, labels, generator(seed), flip_axes=(0, 1))
    inner = (slice(None), *[slice(n // 4, -n // 4) for n in space])
    sure = ((moved[:, 0] - 0.5).abs() > 0.499)[inner]
    assert sure.float().mean() > 0.3
    assert torch.equal(moved_labels[inner][sure], moved[:, 0].round().byte()[inner][sure])
    assert not torch.equal(moved_labels, labels)


@pytest.mark.parametrize("space", SPACES)
def test_without_angle_scale_and_shift_nothing_moves(space):
    images, labels = noise(space), blocks(space)
    moved, moved_labels = random_affine(images, labels, generator(), **STILL)
    torch.testing.assert_close(moved, images, atol=2e-5, rtol=0)
    assert torch.equal(moved_labels, labels) and moved_labels.dtype == torch.uint8


@pytest.mark.parametrize("space", SPACES)
def test_flips_are_flips_of_the_named_axes_and_no_others(space):
    images, labels = noise(space, batch=16), blocks(space, batch=16)
    axes = (0, len(space) - 1)
    options = [(), (axes[0],), (axes[1],), axes]
    moved, moved_labels = random_affine(images, labels, generator(1), flip_axes=axes, **STILL)
    seen = set()
    for i in range(16):
        fitting = [
            flip for flip in options if torch.equal(labels[i].flip(flip or []), moved_labels[i])
        ]
        assert len(fitting) == 1
        mirrored = images[i].flip([axis + 1 for axis in fitting[0]])
        torch.testing.assert_close(moved[i], mirrored, atol=5e-5, rtol=0)
        seen |= set(fitting)
    assert seen == set(options)


@pytest.mark.parametrize("space", [(48, 16), (16, 48), (8, 48, 16)])
@pytest.mark.parametrize("seed", range(3))
def test_long_volumes_do_not_shear(space, seed):
    """The map in voxels is a rotation: lengths and right angles stay, whatever the sides."""
    images = torch.zeros(5, 1, *space)
    found = _affine_matrices(images, generator(seed), 30.0, 0.0, 0.0, ())
    sides = torch.tensor(space[::-1], dtype=torch.float32)
    voxels = found[:, :, :-1] * sides.view(1, -1, 1) / sides.view(1, 1, -1)
    eye = torch.eye(len(space)).expand_as(voxels)
    torch.testing.assert_close(voxels @ voxels.transpose(1, 2), eye, atol=1e-5, rtol=0)
    assert (voxels - eye).abs().max() > 0.1
    turned = torch.linalg.det(voxels)
    torch.testing.assert_close(turned, torch.ones(5), atol=1e-5, rtol=0)


def test_a_ball_in_a_long_volume_stays_a_ball():
    space = (20, 48, 28)
    grid = torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in space], indexing="ij")
    ball = (sum(axis.square() for axis in grid).sqrt() < 8).byte().expand(6, *space)
    still = {"angle": 40.0, "scale": 0.0, "shift": 0.0}
    _, moved = random_affine(ball[:, None].float(), ball, generator(3), **still)
    different = (moved != ball).flatten(1).sum(1) / ball[0].sum()
    assert 0 < different.max() < 0.13


def test_angles_spread_over_the_whole_range_asked_for():
    matrices = _affine_matrices(noise((16, 16), batch=200), generator(), 90.0, 0.0, 0.0, ())
    angles = torch.rad2deg(torch.atan2(matrices[:, 0, 1], matrices[:, 0, 0]))
    assert -90 <= angles.min() < -80 and 80 < angles.max() <= 90 and angles.mean().abs() < 10


@pytest.mark.parametrize("space", SPACES)
def test_shifts_and_scales_stay_within_their_limits(space):
    images = torch.zeros(200, 1, *space)
    matrices = _affine_matrices(images, generator(), 0.0, 0.15, 0.08, ())
    zooms = matrices[:, :, :-1].diagonal(dim1=1, dim2=2)
    assert 0.85 <= zooms.min() < 0.87 and 1.13 < zooms.max() <= 1.15
    shifts = matrices[:, :, -1] / 2
    assert -0.08 <= shifts.min() < -0.07 and 0.07 < shifts.max() <= 0.08


def test_outside_is_the_images_edge_and_background():
    images, labels = torch.full((2, 1, 20, 20), 5.0), torch.ones(2, 20, 20, dtype=torch.uint8)
    moved, moved_labels = random_affine(
        images, labels, generator(), angle=0.0, scale=0.0, shift=0.4
    )
    torch.testing.assert_close(moved, images)
    assert (moved_labels == 0).any() and (moved_labels == 1).any()


def test_without_labels_the_image_moves_the_same_way():
    images, labels = noise((16, 16)), blocks((16, 16))
    alone, nothing = random_affine(images, None, generator(2))
    assert nothing is None
    assert torch.equal(alone, random_affine(images, labels, generator(2))[0])


@pytest.mark.parametrize("space", SPACES)
def test_appearance_moves_no_edge(space):
    """Along a ramp without noise, brighter stays brighter: only grey values change, monotonely."""
    ramp = torch.linspace(0, 1, space[0]).view(1, 1, -1, *[1] * (len(space) - 1))
    step = (ramp > 0.5).float().expand(6, 1, *space).clone()
    changed = random_appearance(step, generator(), strength=0.6)
    profile = changed.mean(dim=tuple(range(3, changed.ndim)))[:, 0]
    jumps = profile.diff(dim=1).abs().argmax(dim=1)
    edge = int((ramp.flatten() > 0.5).int().argmax())
    assert torch.equal(jumps, torch.full((6,), edge - 1))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_appearance_is_standardised(space, strength):
    changed = random_appearance(noise(space) * 7 + 3, generator(), strength)
    axes = tuple(range(1, changed.ndim))
    torch.testing.assert_close(changed.mean(axes), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(changed.std(axes, correction=0), torch.ones(4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("space", SPACES)
def test_appearance_of_strength_zero_only_standardises(space):
    images = noise(space) * 7 + 3
    changed = random_appearance(images, generator(), strength=0.0)
    torch.testing.assert_close(changed, standardise(images), atol=1e-4, rtol=0)
    assert not torch.allclose(random_appearance(images, generator()), changed, atol=0.1)


def test_appearance_knows_nothing_of_the_other_samples():
    images = noise((16, 16), batch=3)
    changed = random_appearance(images, generator())
    others = images.clone()
    others[0] = -others[0]
    assert torch.equal(random_appearance(others, generator())[1:], changed[1:])


def test_a_constant_image_stays_finite():
    flat = torch.full((2, 1, 8, 8), 3.0)
    assert torch.equal(standardise(flat), torch.zeros_like(flat))
    assert random_appearance(flat, generator()).isfinite().all()


@pytest.mark.parametrize("space", SPACES)
def test_the_blur_is_the_binomial_filter(space):
    point = torch.zeros(1, 1, *space)
    middle = tuple(n // 2 for n in space)
    point[0, 0][middle] = 1
    around = blur(point)[0, 0][tuple(slice(m - 1, m + 2) for m in middle)]
    expected = np.array([0.25, 0.5, 0.25])
    for _ in space[1:]:
        expected = np.multiply.outer(expected, [0.25, 0.5, 0.25])
    np.testing.assert_allclose(around, expected, atol=1e-6)
    torch.testing.assert_close(
        blur(torch.full((1, 1, *space), 2.0)), torch.full((1, 1, *space), 2.0)
    )


@pytest.mark.parametrize("space", SPACES)
def test_the_field_is_positive_and_smooth(space):
    field = smooth_field(torch.zeros(3, 1, *space), generator(), 0.5)
    assert field.shape == (3, 1, *space) and field.min() > 0 and field.std() > 0.01
    for axis in range(2, field.ndim):
        assert field.diff(dim=axis).abs().max() < 0.25


@settings(deadline=None, max_examples=25)
@given(
    space=st.lists(st.integers(10, 40), min_size=2, max_size=3).map(tuple),
    smallest=st.floats(0.2, 0.6),
    seed=st.integers(0, 1000),
)
def test_boxes_are_boxes_of_the_sides_asked_for(space, smallest, seed):
    largest = min(1.0, smallest + 0.3)
    masks = random_boxes(
        space, 5, generator(seed), torch.device("cpu"), smallest=smallest, largest=largest
    )
    assert masks.shape == (5, *space) and set(masks.unique().tolist()) <= {0.0, 1.0}
    for mask in masks:
        corners = mask.nonzero()
        sides = corners.amax(0) - corners.amin(0) + 1
        assert int(mask.sum()) == int(sides.prod())
        for side, length in zip(sides.tolist(), space, strict=True):
            assert smallest * length - 1 <= side <= largest * length + 1


def test_boxes_reach_every_place_and_come_as_often_as_asked():
    masks = random_boxes((20, 20), 400, generator(), torch.device("cpu"), probability=0.5)
    assert 0.4 < masks.flatten(1).any(1).float().mean() < 0.6
    reached = masks.sum(0) > 0
    assert reached.any(0).all() and reached.any(1).all()
    assert not random_boxes((8, 8), 9, generator(), torch.device("cpu"), probability=0.0).any()


@pytest.mark.parametrize("space", SPACES)
def test_paste_takes_every_voxel_from_one_of_the_two(space):
    mask = random_boxes(space, 4, generator(), torch.device("cpu"))
    one, two = noise(space), noise(space) + 10
    pasted = paste(one, two, mask)
    inside = mask.bool()[:, None]
    assert torch.equal(pasted[inside], one[inside]) and torch.equal(pasted[~inside], two[~inside])
    labels = paste(torch.ones_like(blocks(space)), torch.zeros_like(blocks(space)), mask)
    assert labels.dtype == torch.uint8 and torch.equal(labels.float(), mask)
    maps = paste(one.expand(-1, 3, *space), two.expand(-1, 3, *space), mask)
    assert torch.equal(maps[:, 2:], pasted)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("space", SPACES)
def test_the_generator_alone_decides(device, space):
    images, labels = noise(space).to(device), blocks(space).to(device)
    torch.manual_seed(0)
    one = strong_augmentation(images, labels, generator(4, device), flip_axes=(0,))
    torch.manual_seed(1)
    same = strong_augmentation(images, labels, generator(4, device), flip_axes=(0,))
    other = strong_augmentation(images, labels, generator(5, device), flip_axes=(0,))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])
    assert one[0].shape == images.shape and one[1].dtype == torch.uint8
    assert one[0].device.type == one[1].device.type == device
    assert set(one[1].unique().tolist()) <= {0, 1, 2}


def test_copy_and_paste_brings_the_neighbour_with_its_label():
    """Sample i is the constant i in image and label: they must agree after pasting, too."""
    labels = torch.arange(1, 5, dtype=torch.uint8).view(4, 1, 1).expand(4, 24, 24).contiguous()
    images, plain = noise((24, 24)), []
    for share in (0.0, 1.0):
        _, changed = strong_augmentation(images, labels, generator(), copy_paste=share)
        foreign = [(changed[i] == (i - 1) % 4 + 1).float().mean().item() for i in range(4)]
        plain.append(min(foreign))
    assert plain[0] == 0 and plain[1] > 0.02


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("augment", [random_appearance, lambda x, g: random_affine(x, None, g)[0]])
def test_mixed_precision_does_not_touch_the_geometry(device, augment):
    images = noise((128, 128), batch=2).to(device)
    plain = augment(images, generator(0, device))
    with torch.autocast(device, torch.bfloat16):
        mixed = augment(images, generator(0, device))
    assert torch.equal(plain, mixed)
