"""Augmentation of whole batches on the device, without a loop over samples.

Images are (batch, channel, *space), label maps (batch, *space); channels of a scan move together,
and each changes its appearance alone. Every random number comes from the generator that is passed
in, which lives on the same device. Nothing here waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor

from ssl_lib.inference import standardise

Images = Float[Tensor, "batch channel *space"]
Labels = Integer[Tensor, "batch *space"]
MovedImages = Float[Tensor, "batch channel *moved"]
MovedLabels = Integer[Tensor, "batch *moved"]
"""What is left of larger images: their middle, where only that is asked for."""


def full_precision(augment: Callable) -> Callable:
    """Switches mixed precision off inside: in bfloat16 a grid of 128 voxels is half a voxel off."""

    @wraps(augment)
    def precise(images: Images, *arguments: object, **options: Any) -> object:
        with torch.autocast(images.device.type, enabled=False):
            return augment(images, *arguments, **options)

    return precise


def uniform(low: float, high: float, batch: int, like: Tensor, generator: Generator) -> Tensor:
    """One draw per sample, shaped to broadcast over (batch, 1, *space)."""
    draw = torch.rand(batch, generator=generator, device=like.device)
    return (low + (high - low) * draw).view(batch, *[1] * (like.ndim - 1))


@full_precision
def random_affine(
    images: Images,
    labels: Labels | None,
    generator: Generator,
    *,
    angle: float = 20.0,
    scale: float = 0.15,
    shift: float = 0.08,
    flip_axes: tuple[int, ...] = (),
    inner: tuple[int, ...] | None = None,
) -> tuple[MovedImages, MovedLabels | None]:
    """Rotate by up to `angle` degrees in each plane, scale, shift by a fraction of the side, flip.

    Images are interpolated linearly, labels by nearest neighbour, with one and the same grid; what
    comes in from outside is the edge of the image and background in the label. With `inner` only
    its middle of that size (voxels) is made, out of all that the images show around it; what still
    comes from outside is then the edge of the label, too.
    """
    if inner is not None:
        return _inner_affine(images, labels, generator, (angle, scale, shift), flip_axes, inner)
    matrices = _affine_matrices(images, generator, angle, scale, shift, flip_axes)
    grid = _affine_grid(matrices, images.shape[2:])
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if labels is None:
        return moved, None
    floats = labels.unsqueeze(1).to(images.dtype)
    moved_labels = F.grid_sample(floats, grid, mode="nearest", align_corners=False)
    return moved, moved_labels.squeeze(1).to(labels.dtype)


def _inner_affine(
    images: Images,
    labels: Labels | None,
    generator: Generator,
    ranges: tuple[float, float, float],
    flip_axes: tuple[int, ...],
    inner: tuple[int, ...],
) -> tuple[MovedImages, MovedLabels | None]:
    """`random_affine` of the middle of larger images, which shows what lies around it."""
    grid = inner_grid(images, generator, ranges, flip_axes, inner)
    options: dict[str, Any] = {"padding_mode": "border", "align_corners": False}
    moved = F.grid_sample(images, grid, **options)
    if labels is None:
        return moved, None
    floats = labels.unsqueeze(1).to(images.dtype)
    moved_labels = F.grid_sample(floats, grid, mode="nearest", **options)
    return moved, moved_labels.squeeze(1).to(labels.dtype)


def inner_grid(
    images: Images,
    generator: Generator,
    ranges: tuple[float, float, float],
    flip_axes: tuple[int, ...],
    inner: tuple[int, ...],
) -> Float[Tensor, "batch *inner axis"]:
    """Where each voxel of the middle comes from, in units of the larger images (-1 to 1).

    The map is that of `random_affine` on the middle alone; only its units are larger.
    """
    middle = images[:, :1].expand(len(images), 1, *images.shape[2:])
    place: tuple[Any, ...] = (..., *[slice(0, side) for side in inner])
    middle = middle[place]  # its sides alone are asked for
    grid = _affine_grid(_affine_matrices(middle, generator, *ranges, flip_axes), inner)
    return torch.stack(
        [
            one * (side / whole)
            for one, side, whole in zip(
                grid.unbind(-1), inner[::-1], images.shape[:1:-1], strict=True
            )
        ],
        dim=-1,
    )


def strong_augmentation(
    images: Images,
    labels: Labels,
    generator: Generator,
    *,
    flip_axes: tuple[int, ...] = (),
    copy_paste: float = 0.5,
    inner: tuple[int, ...] | None = None,
) -> tuple[MovedImages, MovedLabels]:
    """What every row but the plainest gets: move, change the appearance, copy and paste.

    With probability `copy_paste` a sample receives a box, voxels and labels, of its neighbour in
    the batch: copy-paste among the labelled, the baseline that methods which paste must beat.
    """
    images, labels = random_affine(images, labels, generator, flip_axes=flip_axes, inner=inner)
    images = random_appearance(images, generator)
    boxes = random_boxes(
        images.shape[2:], len(images), generator, images.device, probability=copy_paste
    )
    return paste(images.roll(1, 0), images, boxes), paste(labels.roll(1, 0), labels, boxes)


def _affine_matrices(
    images: Images,
    generator: Generator,
    angle: float,
    scale: float,
    shift: float,
    flip_axes: tuple[int, ...],
) -> Float[Tensor, "batch axis axis_and_shift"]:
    batch, device, space = images.shape[0], images.device, images.shape[2:]
    n = len(space)
    matrix = torch.eye(n, device=device).expand(batch, n, n)
    planes = [(i, j) for i in range(n) for j in range(i + 1, n)]
    for i, j in planes:
        matrix = matrix @ _rotation(n, i, j, batch, angle, generator, device)
    zoom = 1 + scale * (2 * torch.rand(batch, n, 1, generator=generator, device=device) - 1)
    flips = torch.ones(batch, n, 1, device=device)
    for axis in flip_axes:
        coin = torch.rand(batch, generator=generator, device=device) < 0.5
        flips[:, axis, 0] = torch.where(coin, -1.0, 1.0)
    # affine_grid speaks of (x, y, z), the reverse of the array's axes, each from -1 to 1:
    # rotate in voxels, not in those units, or a long axis would shear.
    sides = _sides(tuple(space), device)
    matrix = (zoom * flips * matrix) * sides.view(1, 1, n) / sides.view(1, n, 1)
    offset = 2 * shift * (2 * torch.rand(batch, n, 1, generator=generator, device=device) - 1)
    return torch.cat([matrix.flip(1).flip(2), offset], dim=2)


@lru_cache(maxsize=32)
def _sides(space: tuple[int, ...], device: torch.device) -> Float[Tensor, " axis"]:
    """Voxels along each axis, made once: a tensor from Python numbers waits for the device."""
    return torch.tensor(space, device=device, dtype=torch.float32)


def _affine_grid(
    matrices: Float[Tensor, "batch axis axis_and_shift"], space: tuple[int, ...]
) -> Float[Tensor, "batch *space axis"]:
    """Where each voxel comes from: `F.affine_grid` (align_corners False), axis by axis.

    One small sum for each axis instead of a product of every voxel's coordinates with a matrix,
    which costs as much as the interpolation itself.
    """
    n = len(space)
    single = [[-1 if other == axis else 1 for other in range(n)] for axis in range(n)]
    spread = (len(matrices), n, *[1] * n)
    grid = matrices[:, :, n].view(spread)
    for axis, side in enumerate(space):  # the last one, the only one at full size, comes last
        places = (2 * torch.arange(side, device=matrices.device) + 1) / side - 1
        grid = grid + matrices[:, :, n - 1 - axis].view(spread) * places.view(single[axis])
    return grid.movedim(1, -1)


def _rotation(
    n: int, i: int, j: int, batch: int, angle: float, generator: Generator, device: torch.device
) -> Float[Tensor, "batch axis axis"]:
    degrees = angle * (2 * torch.rand(batch, generator=generator, device=device) - 1)
    radians = degrees * (math.pi / 180)
    rotation = torch.eye(n, device=device).repeat(batch, 1, 1)
    rotation[:, i, i] = rotation[:, j, j] = radians.cos()
    rotation[:, i, j], rotation[:, j, i] = -radians.sin(), radians.sin()
    return rotation


@full_precision
def random_appearance(images: Images, generator: Generator, strength: float = 1.0) -> Images:
    """Change what a scanner changes: gamma, contrast with a smooth bias field, blur, noise.

    Label maps stay valid because no voxel moves. The result is standardised again, so that only
    relative grey levels carry information. Strength 0 only standardises. Of several channels each
    is changed with draws of its own, as if it were a sample.
    """
    if images.shape[1] > 1:
        alone = random_appearance(images.flatten(0, 1).unsqueeze(1), generator, strength)
        return alone.squeeze(1).unflatten(0, images.shape[:2])
    batch = images.shape[0]
    axes = tuple(range(1, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    unit = (images - low) / (high - low + 1e-6)
    gamma = uniform(-0.7 * strength, 0.7 * strength, batch, images, generator).exp()
    unit = (unit + 1e-6) ** gamma * smooth_field(images, generator, 0.5 * strength)
    mix = uniform(0.0, min(strength, 1.0), batch, images, generator).square()
    unit = unit + mix * (blur(unit) - unit)
    noisy = standardise(unit)
    level = uniform(0.0, 0.35 * strength, batch, images, generator)
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return standardise(noisy + level * noise)


def smooth_field(images: Images, generator: Generator, strength: float) -> Images:
    """A positive multiplicative field that varies over the whole image, as a coil's does.

    Three random values along each axis, linearly interpolated, one axis after the other.
    """
    n = images.ndim - 2
    field = torch.randn((images.shape[0], 1, *[3] * n), generator=generator, device=images.device)
    for side in images.shape[2:]:
        place = torch.linspace(0, 2, side, device=images.device)
        knots = torch.arange(3, device=images.device)
        shares = (1 - (place[:, None] - knots).abs()).clamp_min(0)
        field = torch.tensordot(field, shares, dims=([2], [1]))  # the new axis comes last
    return (strength * 0.5 * field).exp()


def blur(images: Images) -> Images:
    """A 3-wide binomial filter along every axis, edges repeated."""
    for axis in range(2, images.ndim):
        side = images.shape[axis]
        before = torch.cat([images.narrow(axis, 0, 1), images.narrow(axis, 0, side - 1)], axis)
        after = torch.cat(
            [images.narrow(axis, 1, side - 1), images.narrow(axis, side - 1, 1)], axis
        )
        images = 0.5 * images + 0.25 * (before + after)
    return images


def random_boxes(
    shape: tuple[int, ...],
    batch: int,
    generator: Generator,
    device: torch.device,
    *,
    smallest: float = 0.25,
    largest: float = 0.6,
    probability: float = 1.0,
) -> Float[Tensor, "batch *space"]:
    """One box of ones per sample, zeros elsewhere; with 1 - probability no box at all.

    Sides are a random fraction of the image's sides, the place is uniform inside the image.
    """
    mask = torch.ones(batch, *shape, device=device)
    for axis, length in enumerate(shape):
        side = smallest + (largest - smallest) * torch.rand(
            batch, 1, generator=generator, device=device
        )
        start = (1 - side) * torch.rand(batch, 1, generator=generator, device=device)
        place = (torch.arange(length, device=device) + 0.5) / length
        inside = ((place >= start) & (place < start + side)).float()
        mask = mask * inside.view(batch, *[length if i == axis else 1 for i in range(len(shape))])
    chosen = torch.rand(batch, generator=generator, device=device) < probability
    return mask * chosen.view(batch, *[1] * len(shape))


def paste(
    inside: Tensor,
    outside: Tensor,
    mask: Float[Tensor, "batch *space"] | Bool[Tensor, "batch *space"],
) -> Tensor:
    """`inside` where the mask is one, `outside` elsewhere; images, maps or integer labels."""
    region = mask.bool()
    return torch.where(region.unsqueeze(1) if inside.ndim > mask.ndim else region, inside, outside)
