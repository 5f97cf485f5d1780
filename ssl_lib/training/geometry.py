"""Where a patch comes from, and whether a network sees its grey levels as they are.

Three geometries, a field of the settings:

- `ours`: a crop, moved by a random affine map in the step; every patch and window standardised.
- `published`: as the released codes of the benchmarks do it. The scan is turned and mirrored before
  the crop, nothing else moves, and grey levels stay those of the whole scan.
- `unmoved`: crops alone, grey levels as in `published`: the row without augmentation beside it.

What is drawn for a patch is drawn on the host, as its place is: no step waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer, Shaped
from torch import Generator, Tensor

from ssl_lib.config import GeometryName
from ssl_lib.training.augmentation import (
    MovedImages,
    MovedLabels,
    random_affine,
    standardise,
)
from ssl_lib.utils.errors import InputError

GEOMETRIES: tuple[GeometryName, ...] = ("ours", "published", "unmoved")

Images = Float[Tensor, "batch channel *space"]
Labels = Integer[Tensor, "batch *space"]
Place = tuple[slice, ...]

FAR_TURN = 20
"""Degrees of the largest rotation of a slice (HiLab-git/SSL4MIS draws from -20 to 19)."""


@runtime_checkable
class Scan(Protocol):
    """A scan's channels, of which boxes can be cut."""

    space: tuple[int, ...]

    def cut(self, place: Place) -> Float[Tensor, "channel *box"]: ...


@dataclass(frozen=True)
class Cut:
    """A box of a scan and what is done to it: `margin` voxels more on each side (beyond the scan
    its edge is repeated), `quarters` turns in the plane of the first two axes, a mirror axis, and
    `degrees` of rotation, which the whole batch gets together (`rotated`)."""

    place: Place
    margin: tuple[int, ...] = ()
    quarters: int = 0
    mirror: int | None = None
    degrees: int = 0

    def of(self, scan: Scan) -> Shaped[Tensor, "channel *patch"]:
        if self.margin:
            return _with_margin(scan, self.place, self.margin)
        box = torch.rot90(scan.cut(self.place), self.quarters, (1, 2))
        return box if self.mirror is None else box.flip(1 + self.mirror)


def taken(scan: Scan, place: Place | Cut) -> Shaped[Tensor, "channel *patch"]:
    """The patch at a place of a scan."""
    return place.of(scan) if isinstance(place, Cut) else scan.cut(place)


def check_geometry(geometry: str, patch: Sequence[int]) -> None:
    """Raise `InputError` for an unknown geometry, or a patch that no quarter turn maps to itself.

    Published benchmarks have square patches in the plane that is turned.
    """
    if geometry not in GEOMETRIES:
        raise InputError(f"unknown geometry {geometry!r}", expected=", ".join(GEOMETRIES))
    if geometry == "published" and patch[0] != patch[1]:
        raise InputError(
            f"a patch of {patch[0]} x {patch[1]} has another shape after a quarter turn",
            expected="equal first two sides for the geometry 'published'",
            fix="choose equal sides, or geometry='ours'",
        )


def margins(patch: Sequence[int], share: float) -> tuple[int, ...]:
    """Voxels that a patch is cut larger on each side, or () for a share of 0."""
    return tuple(math.ceil(share * side) for side in patch) if share else ()


def published_cut(space: Sequence[int], patch: Sequence[int], random: np.random.Generator) -> Cut:
    """A patch of a scan that was turned and mirrored before the crop.

    Volumes (yulequan/UA-MT): k quarter turns in the first two axes, k from 0 to 3, and always one
    mirror along one of them. Slices (HiLab-git/SSL4MIS): that with probability 1/2, else with
    probability 1/2 a rotation by -20 to 19 whole degrees. The corner is uniform, its last possible
    value excluded, as there.
    """
    quarters, mirror, degrees = 0, None, 0
    if len(patch) == 3 or random.random() > 0.5:
        quarters, mirror = int(random.integers(4)), int(random.integers(2))
    elif random.random() > 0.5:
        degrees = int(random.integers(-FAR_TURN, FAR_TURN))
    sides = [space[1], space[0], *space[2:]] if quarters % 2 else list(space)
    corner = [
        int(random.integers(max(1, side - length)))
        for side, length in zip(sides, patch, strict=True)
    ]
    place = _before_turning(corner, patch, sides, quarters, mirror)
    return Cut(place, quarters=quarters, mirror=mirror, degrees=degrees)


def _before_turning(
    corner: Sequence[int],
    patch: Sequence[int],
    sides: Sequence[int],
    quarters: int,
    mirror: int | None,
) -> Place:
    """The box of the scan that a quarter-turned, then mirrored scan shows at `corner`."""
    (row, column), (rows, columns) = corner[:2], sides[:2]
    side = patch[0]  # equal to patch[1]
    if mirror == 0:
        row = rows - row - side
    elif mirror == 1:
        column = columns - column - side
    for _ in range(quarters):  # row i, column j of a turned scan is row j, column n - 1 - i before
        row, column = column, rows - row - side
        rows, columns = columns, rows
    starts = (row, column, *corner[2:])
    return tuple(slice(start, start + size) for start, size in zip(starts, patch, strict=True))


def _with_margin(scan: Scan, place: Place, margin: Sequence[int]) -> Tensor:
    """The box with its surroundings; what lies beyond the scan repeats the scan's edge."""
    wanted = [(p.start - m, p.stop + m) for p, m in zip(place, margin, strict=True)]
    inside = [
        slice(max(0, start), min(side, stop))
        for (start, stop), side in zip(wanted, scan.space, strict=True)
    ]
    box = scan.cut(tuple(inside))
    for axis, ((start, stop), have) in enumerate(zip(wanted, inside, strict=True), start=1):
        if (start, stop) != (have.start, have.stop):
            index = torch.arange(start - have.start, stop - have.start, device=box.device)
            box = box.index_select(axis, index.clamp(0, have.stop - have.start - 1))
    return box


def rotated(
    images: Images, labels: Labels | None, degrees: Sequence[int]
) -> tuple[Images, Labels | None]:
    """Slices rotated about their centres by whole degrees, nearest neighbour for both.

    What comes in from outside is the slice's minimum and background.
    """
    if not any(degrees):
        return images, labels
    radians = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    height, width = images.shape[2:]
    cos, sin, zero = np.cos(radians), np.sin(radians), np.zeros(len(radians))
    rows = [[cos, -sin * height / width, zero], [sin * width / height, cos, zero]]
    matrices = torch.from_numpy(np.array(rows, dtype=np.float32).transpose(2, 0, 1).copy())
    if images.device.type == "cuda":  # pinned: the copy need not be waited for
        matrices = matrices.pin_memory()
    matrices = matrices.to(images.device, non_blocking=True)
    grid = F.affine_grid(matrices, [len(images), 1, height, width], align_corners=False)
    lowest = images.amin(dim=(2, 3), keepdim=True)
    moved = F.grid_sample(images - lowest, grid, mode="nearest", align_corners=False) + lowest
    if labels is None:
        return moved, None
    floats = labels.unsqueeze(1).to(images.dtype)
    turned = F.grid_sample(floats, grid, mode="nearest", align_corners=False)
    return moved, turned.squeeze(1).to(labels.dtype)


def moved(
    images: Images, labels: Labels | None, moment: Any
) -> tuple[MovedImages, MovedLabels | None]:
    """What a step does to its patches before anything else, by the settings in its moment.

    In our geometry a random affine map, drawn from a larger crop where the patches have a margin;
    in any other nothing: those scans were moved before the crop, or are not to be moved.
    """
    settings = moment.settings
    if _name(settings) != "ours":
        return images, labels
    inner = inner_size(settings)
    return random_affine(
        images, labels, moment.generator, flip_axes=settings.flip_axes, inner=inner
    )


def unmoved(
    images: Images, labels: Labels | None, settings: Any
) -> tuple[MovedImages, MovedLabels | None]:
    """The patches without their margin, not moved at all."""
    size = inner_size(settings)
    if size is None:
        return images, labels
    inner = [
        slice((have - side) // 2, (have - side) // 2 + side)
        for have, side in zip(images.shape[2:], size, strict=True)
    ]
    place: tuple[Any, ...] = (..., *inner)
    return images[place], None if labels is None else labels[place]


def as_seen(images: Images, settings: Any) -> Images:
    """The grey levels that a network is shown: standardised in our geometry, else the scan's."""
    return standardise(images) if _name(settings) == "ours" else images


def inner_size(settings: Any) -> tuple[int, ...] | None:
    """The patch inside a larger crop, or None where patches are cut without a margin."""
    wide = _name(settings) == "ours" and getattr(settings, "margin", 0) > 0
    return tuple(settings.patch) if wide else None


def _name(settings: Any) -> GeometryName:
    """A study's settings name their geometry; the few values that a toy passes are `ours`."""
    return getattr(settings, "geometry", "ours")


def random_turns(images: Images, labels: Labels, generator: Generator) -> tuple[Images, Labels]:
    """Each sample mirrored along each of the first two axes by a coin, and, where these are equally
    long, transposed by a third: the eight ways to lay down a square, quarter turns among them."""
    coins = torch.rand(3, len(images), generator=generator, device=images.device) < 0.5

    def by_coin(tensor: Tensor, first: int) -> Tensor:
        spread = [-1, *[1] * (tensor.ndim - 1)]
        for axis in (0, 1):
            chosen = coins[axis].view(spread)
            tensor = torch.where(chosen, tensor.flip(first + axis), tensor)
        if tensor.shape[first] != tensor.shape[first + 1]:
            return tensor
        return torch.where(coins[2].view(spread), tensor.transpose(first, first + 1), tensor)

    return by_coin(images, 2), by_coin(labels, 1)
