"""Scans of many sizes on one common grid for training; predictions go back in `inference`.

Published pipelines resize every slice of ACDC to 256 x 256 (HiLab-git/SSL4MIS). Images are
interpolated linearly, with averaging where they become smaller; labels take the nearest voxel.
One's own scans are resampled to one voxel size if theirs differ (see `spacing`): images in the same
way, labels as one map for each class, of which the largest counts.
Scores are always measured on the scan's own grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped, UInt8
from torch import Tensor
from torch.nn import functional

from ssl_lib.data.cohort import Case, Cohort, SealedLabels
from ssl_lib.data.spacing import coarse_axis, size_at

_linear = partial(functional.interpolate, mode="bilinear", align_corners=False, antialias=True)


def resize(
    items: Float[Tensor, "item channel *space"], grid: Sequence[int], coarse: int | None = None
) -> Float[Tensor, "item channel *grid"]:
    """Slices, volumes or maps of probabilities on another grid, interpolated linearly; along the
    axis `coarse` each slice is the nearest one."""
    if tuple(items.shape[2:]) == tuple(grid):
        return items
    if coarse is not None:
        index = torch.as_tensor(_nearest(items.shape[2 + coarse], grid[coarse]))
        items = items.index_select(2 + coarse, index.to(items.device))
    return _linear(items, tuple(grid)) if len(grid) == 2 else _resized_volumes(items, grid)


def _resized_volumes(
    items: Float[Tensor, "item channel x y z"], grid: Sequence[int]
) -> Float[Tensor, "item channel i j k"]:
    """Plane by plane: first along y and z, then along x. Linear interpolation may be done so, and
    torch averages while it makes smaller in two dimensions only."""
    if tuple(items.shape[3:]) != tuple(grid[1:]):
        planes = _linear(items.flatten(0, 1), tuple(grid[1:]))
        items = planes.unflatten(0, items.shape[:2])
    if items.shape[2] != grid[0]:
        planes = items.flatten(0, 1).transpose(1, 2)  # (item, y, x, z)
        planes = _linear(planes, (grid[0], grid[2]))
        items = planes.transpose(1, 2).unflatten(0, items.shape[:2])
    return items.contiguous()


def _nearest(old: int, new: int) -> Shaped[np.ndarray, " place"]:
    return np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)


def resize_nearest(
    slices: Shaped[np.ndarray, "slice *space"], grid: Sequence[int]
) -> Shaped[np.ndarray, "slice *grid"]:
    """Slices on another grid, each voxel the nearest one: for labels."""
    rows, columns = (_nearest(o, n) for n, o in zip(grid, slices.shape[1:], strict=True))
    return np.ascontiguousarray(slices[:, rows[:, None], columns])


def on_grid(case: Case, grid: Sequence[int]) -> Case:
    """A stack of slices, and its label map if it is there, on the common grid."""
    image, *others = [resize(torch.tensor(c)[:, None], grid)[:, 0].numpy() for c in case.channels]
    further = np.stack(others) if others else None
    label = None if case.label is None else resize_nearest(case.label, grid)
    return replace(case, image=image, label=label, further=further)


def at_spacing(case: Case, target: Sequence[float]) -> Case:
    """A scan and its label map with voxels of the size `target` (mm): three numbers for a volume,
    two for the slices of a stack, whose distance stays."""
    n = len(target)
    own, size = case.spacing[-n:], case.image.shape[-n:]
    grid = size_at(size, own, target)
    if grid == size:
        return case
    coarse = coarse_axis(own, target) if n == 3 else None
    move = partial(_resized, grid=grid, coarse=coarse)
    image, *others = map(move, case.channels)
    further = np.stack(others) if others else None
    label = None if case.label is None else _resized_label(case.label, move)
    spacing = (*case.spacing[:-n], *target)
    return replace(case, image=image, label=label, spacing=spacing, further=further)


def _resized(
    array: Float32[np.ndarray, "*space"], grid: Sequence[int], coarse: int | None
) -> Float32[np.ndarray, "*grid"]:
    """A volume, or each slice of a stack, on another grid."""
    volume = torch.tensor(array)
    if len(grid) == 2:
        return resize(volume[:, None], grid)[:, 0].numpy()
    return resize(volume[None, None], grid, coarse)[0, 0].numpy()


def _resized_label(
    label: UInt8[np.ndarray, "*space"], move: Callable[[np.ndarray], np.ndarray]
) -> UInt8[np.ndarray, "*grid"]:
    """Each class as a map of ones and zeros, moved; of equal shares the smallest class counts."""
    first, *others = np.unique(label)
    best = move((label == first).astype(np.float32))
    winner = np.full(best.shape, first, np.uint8)
    for value in others:
        share = move((label == value).astype(np.float32))
        winner[share > best] = value
        best = np.maximum(best, share)
    return winner


def training_scans(
    cohort: Cohort, grid: Sequence[int] | None, spacing: Sequence[float] | None = None
) -> Cohort:
    """The scans that training sees, on the common grid or with voxels of one size; the cohort
    itself without either."""
    if spacing is not None:
        move = partial(at_spacing, target=spacing)
    elif grid is not None:
        move = partial(on_grid, grid=grid)
    else:
        return cohort
    groups: dict[str, Any] = {
        name: tuple(map(move, getattr(cohort, name))) for name in ("labelled", "unlabelled")
    }
    return replace(cohort, **groups, validation=(), test=(), sealed=SealedLabels({}))
