"""Slices of many sizes on one common grid, for training; predictions go back in `inference`.

Published pipelines resize every slice of ACDC to 256 x 256 (HiLab-git/SSL4MIS). Images are
interpolated linearly, with averaging where they become smaller; labels take the nearest voxel.
Scores are always measured on the scan's own grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from ssl_lib.data.cohort import Case, Cohort, SealedLabels


def resize(
    slices: Float[Tensor, "slice channel *space"], grid: Sequence[int]
) -> Float[Tensor, "slice channel *grid"]:
    """Slices or maps of probabilities on another grid, interpolated linearly."""
    if tuple(slices.shape[2:]) == tuple(grid):
        return slices
    return functional.interpolate(
        slices, tuple(grid), mode="bilinear", align_corners=False, antialias=True
    )


def resize_nearest(
    slices: Shaped[np.ndarray, "slice *space"], grid: Sequence[int]
) -> Shaped[np.ndarray, "slice *grid"]:
    """Slices on another grid, each voxel the nearest one: for labels."""
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(grid, slices.shape[1:], strict=True)
    ]
    return np.ascontiguousarray(slices[:, places[0][:, None], places[1]])


def on_grid(case: Case, grid: Sequence[int]) -> Case:
    """A stack of slices, and its label map if it is there, on the common grid."""
    image, *others = [resize(torch.tensor(c)[:, None], grid)[:, 0].numpy() for c in case.channels]
    further = np.stack(others) if others else None
    label = None if case.label is None else resize_nearest(case.label, grid)
    return replace(case, image=image, label=label, further=further)


def training_scans(cohort: Cohort, grid: Sequence[int] | None) -> Cohort:
    """The scans that training sees, on the common grid; the cohort itself without one."""
    if grid is None:
        return cohort
    groups = {
        name: tuple(on_grid(case, grid) for case in getattr(cohort, name))
        for name in ("labelled", "unlabelled")
    }
    return replace(cohort, **groups, validation=(), test=(), sealed=SealedLabels({}))
