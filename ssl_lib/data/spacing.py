"""Scans with voxels of different sizes: the size they are resampled to, and how.

The rules are nnU-Net's (Isensee et al., Nature Methods 18:203-211, 2021): the median voxel size of
the scans, and an axis with slices more than 3 times as far apart as the voxels within them is
resampled by itself, by the nearest slice, because nothing can be interpolated between strangers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

DIFFERENT = 1.2
"""Voxel sizes differ if along an axis the largest is more than so many times the smallest."""
COARSE = 3.0
"""An axis with voxels more than so many times as long as along every other one is coarse."""


def sizes_text(sizes: Iterable[float]) -> str:
    """Voxel sizes as messages say them: 1 x 1 x 3.5."""
    return " x ".join(f"{size:.3g}" for size in sizes)


def common_spacing(spacings: Iterable[Sequence[float]]) -> tuple[float, ...] | None:
    """The median voxel size (mm along each axis) if the voxel sizes of scans differ, else None."""
    table = np.array(list(spacings), dtype=float)
    if (table.max(axis=0) <= DIFFERENT * table.min(axis=0)).all():
        return None
    return tuple(float(round(size, 6)) for size in np.median(table, axis=0))


def size_at(
    size: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> tuple[int, ...]:
    """Voxels along each axis at another voxel size: n s / t, rounded, at least 1."""
    return tuple(
        max(1, round(n * own / new)) for n, own, new in zip(size, spacing, target, strict=True)
    )


def coarse_axis(own: Sequence[float], target: Sequence[float]) -> int | None:
    """The coarse axis of a scan's own voxels, else that of those it is resampled to, or None."""
    for sizes in (own, target):
        axis = int(np.argmax(sizes))
        if sizes[axis] > COARSE * max(s for i, s in enumerate(sizes) if i != axis):
            return axis
    return None
