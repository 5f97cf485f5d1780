"""Does a label map suit the edges of its image, or would a flipped or turned one suit it better?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage

from ssl_lib.data.reading import value_counts

AXES = ("x (left to right)", "y (back to front)", "z (bottom to top)")
COMPARED = 200_000
"""Voxels of the organ that are compared at most, evenly spread over it."""


@dataclass(frozen=True)
class Fit:
    """How a label map would have to be changed: its axes in another order, some of them flipped."""

    order: tuple[int, ...]
    flipped: tuple[int, ...]

    def __str__(self) -> str:
        swapped = [axis for axis in range(3) if self.order[axis] != axis]
        words = [f"with the axes {' and '.join(AXES[a][0] for a in swapped)} exchanged"]
        words = words if swapped else []
        if self.flipped:
            words.append(f"flipped along {' and '.join(AXES[axis] for axis in self.flipped)}")
        return " and ".join(words)


AS_IT_IS = Fit((0, 1, 2), ())
LEAST_AROUND = 0.35
"""What a changed label map has to explain around the organ: set so that no right label map of the
public sets is doubted, on those sets themselves (trials/06_mirrored_label_maps.py counts)."""

Explained = Callable[[Fit], float]


def better_fit(
    image: Float[np.ndarray, "x y z"],
    label: UInt8[np.ndarray, "x y z"],
    quantiles: Sequence[float],
) -> Fit | None:
    """The change by which the label map explains the grey levels much better, or None.

    Tried are flips along one axis or two, and axes exchanged, where they have the same number of
    voxels, with a flip or without. Compared is the share of the grey levels' variance that lies
    between the classes: in the whole scan, then in the organ and a rim around it, for in CT nearly
    all variance is that of air against body. Grey levels are clipped at the first and last of
    `quantiles`. Much better: more than twice as much, by more than a tenth of the variance, and
    around the organ more than `LEAST_AROUND`.
    """
    if not label.any():
        return None
    low, high = quantiles[0], quantiles[-1]
    for explained, least in (
        (_in_the_scan(image, label, low, high), 0.0),
        (_around_the_organ(image, label, low, high), LEAST_AROUND),
    ):
        own = explained(AS_IT_IS)
        tried = {change: explained(change) for change in _changes(label.shape)}
        best = max(tried, key=lambda change: tried[change])
        if tried[best] > max(2 * own, own + 0.1, least):
            return best
    return None


def _in_the_scan(
    image: Float[np.ndarray, "x y z"], label: UInt8[np.ndarray, "x y z"], low: float, high: float
) -> Explained:
    """The share of the scan's variance between the classes, background included."""
    whole, variance = _moments(image, low, high)
    counts = value_counts(label)
    counts[0] = 0
    inside = np.flatnonzero(label)
    inside = inside[:: max(1, len(inside) // COMPARED)]
    where = np.stack(np.unravel_index(inside, label.shape), axis=1)
    values = label[tuple(where.T)]

    def explained(change: Fit) -> float:
        grey = np.clip(image[_moved(where, change, label.shape)], low, high).astype(np.float64)
        seen = np.bincount(values, minlength=len(counts))
        sums = np.bincount(values, weights=grey, minlength=len(counts))
        there = seen > 0
        means = sums[there] / seen[there]
        sizes = counts[there]
        outside = image.size - sizes.sum()
        rest = (image.size * whole - (sizes * means).sum()) / max(outside, 1)
        between = (sizes * (means - whole) ** 2).sum() + outside * (rest - whole) ** 2
        return float(between / image.size / max(variance, 1e-12))

    return explained


RIM = 2
"""Voxels of the rim around an organ."""


def _around_the_organ(
    image: Float[np.ndarray, "x y z"], label: UInt8[np.ndarray, "x y z"], low: float, high: float
) -> Explained:
    """The share of the variance in the organ and its rim that lies between classes and rim."""
    (found,) = ndimage.find_objects((label > 0).astype(np.uint8))
    box = tuple(slice(max(0, part.start - RIM), part.stop + RIM) for part in found)
    near = ndimage.binary_dilation(label[box] > 0, iterations=RIM)
    where = np.argwhere(near)
    where = where[:: max(1, len(where) // COMPARED)] + [part.start for part in box]
    values = label[tuple(where.T)]
    seen = np.bincount(values)

    def explained(change: Fit) -> float:
        grey = np.clip(image[_moved(where, change, label.shape)], low, high).astype(np.float64)
        means = np.bincount(values, weights=grey) / np.maximum(seen, 1)
        between = (seen * (means - grey.mean()) ** 2).sum() / len(grey)
        return float(between / max(grey.var(), 1e-12))

    return explained


def _changes(shape: Sequence[int]) -> Iterator[Fit]:
    """All that is tried; nothing that keeps every voxel in its place."""
    for order in permutations(range(3)):
        if any(shape[axis] != shape[order[axis]] for axis in range(3)):
            continue
        turned = order != (0, 1, 2)
        flips = [(), (0,), (1,), (2,)] if turned else [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
        yield from (Fit(order, axes) for axes in flips)


def _moved(
    where: Int[np.ndarray, "voxel 3"], change: Fit, shape: Sequence[int]
) -> tuple[Int[np.ndarray, " voxel"], ...]:
    """Where voxels of the label map lie after the change, as an index of the image."""
    moved = [where[:, axis] for axis in change.order]
    return tuple(
        shape[axis] - 1 - moved[axis] if axis in change.flipped else moved[axis]
        for axis in range(3)
    )


def _moments(image: Float[np.ndarray, "x y z"], low: float, high: float) -> tuple[float, float]:
    """Mean and variance of the clipped grey levels, slice by slice: no copy of the whole image."""
    total, squares = 0.0, 0.0
    for part in image:
        grey = np.clip(part, low, high)
        total += grey.sum(dtype=np.float64)
        squares += np.square(grey, dtype=np.float64).sum()
    mean = total / image.size
    return mean, squares / image.size - mean**2
