"""Smaller versions of large volumes, so that two CPU cores can train on them.

Each axis is divided by a whole number: a block of voxels becomes one voxel with the block's mean
grey value and its most frequent class (of equally frequent ones the smallest).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from ssl_lib.data.cohort import Case, Cohort, SealedLabels, known_label


def downsampled(cohort: Cohort, largest_side: int) -> Cohort:
    """The cohort with each axis of its volumes divided so that the median scan fits `largest_side`.

    The same factors for all scans. Slices (a 2D task) and scans that are small enough stay as they
    are. Sealed labels are downsampled with their scans and stay sealed. The caveat says what was
    done, and the content hash is another one: scores at two resolutions are never mixed.
    """
    factors = downsampling_factors([case.image.shape for case in cohort.cases], largest_side)
    if cohort.dimensions == 2 or max(factors) == 1:
        return cohort
    groups: dict[str, Any] = {
        name: tuple(smaller(case, factors) for case in cases)
        for name, cases in cohort.groups.items()
    }
    hidden = {c.case_id: known_label(cohort, c) for c in cohort.unlabelled + cohort.test}
    sealed = {name: majority(label, factors) for name, label in hidden.items() if label is not None}
    return replace(
        cohort,
        **groups,
        sealed=SealedLabels(sealed),
        caveat=f"{cohort.caveat} {downsampling_note(factors)}".strip(),
    )


def downsampling_factors(
    shapes: Iterable[Sequence[int]], largest_side: int | None
) -> tuple[int, int, int]:
    """By what each axis of volumes is divided so that the median fits; all 1 without a limit."""
    if largest_side is None:
        return 1, 1, 1
    x, y, z = np.ceil(np.median(np.array(list(shapes)), axis=0) / largest_side).astype(int)
    return int(x), int(y), int(z)


def downsampling_note(factors: Sequence[int]) -> str:
    """What is said of a cohort whose scans were downsampled."""
    return (
        f"Scans were downsampled by {' x '.join(map(str, factors))} voxels (mean grey value, most"
        " frequent class); Dice is measured on the downsampled scans and compares with no number at"
        " full resolution."
    )


def block_means(
    image: Float32[np.ndarray, "*space"], factors: Sequence[int]
) -> Float32[np.ndarray, "*smaller"]:
    """The mean of each block of `factors` voxels; what does not fill a block at the end is cut."""
    return _blocks(image, factors).mean(axis=-1, dtype=np.float64).astype(np.float32)


def majority(
    label: UInt8[np.ndarray, "*space"], factors: Sequence[int]
) -> UInt8[np.ndarray, "*smaller"]:
    """The most frequent class of each block of `factors` voxels, the smallest of equal ones."""
    blocks = _blocks(label, factors)
    votes = [np.count_nonzero(blocks == index, axis=-1) for index in range(int(label.max()) + 1)]
    return np.argmax(votes, axis=0).astype(np.uint8)


def _blocks(array: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    """(*smaller, voxels of a block)."""
    counts = [max(1, side // factor) for side, factor in zip(array.shape, factors, strict=True)]
    factors = [min(factor, side) for side, factor in zip(array.shape, factors, strict=True)]
    inner = array[tuple(slice(0, c * f) for c, f in zip(counts, factors, strict=True))]
    split = inner.reshape([n for pair in zip(counts, factors, strict=True) for n in pair])
    n = array.ndim
    return split.transpose([*range(0, 2 * n, 2), *range(1, 2 * n, 2)]).reshape(*counts, -1)


def smaller(case: Case, factors: tuple[int, ...]) -> Case:
    """One scan with its label, each axis divided by its factor."""
    label = None if case.label is None else majority(case.label, factors)
    spacing = tuple(mm * factor for mm, factor in zip(case.spacing, factors, strict=True))
    image, *others = [block_means(channel, factors) for channel in case.channels]
    further = np.stack(others) if others else None
    return replace(case, image=image, label=label, spacing=spacing, further=further)
