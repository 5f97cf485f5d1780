"""The largest component at test: a second number, beside the headline and never in its place.

Some released codes (bidirectional copy-paste on LA) score a prediction of which only the largest
part of each class is left; most do not. Both numbers of one row say what that is worth.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage


def largest_components(
    label: UInt8[np.ndarray, "*space"], n_classes: int, connectivity: int | None = None
) -> UInt8[np.ndarray, "*space"]:
    """The label map with the largest part of each class 1 .. `n_classes` - 1; the rest is 0.

    Parts are those of the whole array: of a volume, also where it was predicted slice by slice.
    Voxels touch by sides, edges and corners, or up to `connectivity` (1: by sides alone). Of parts
    of one size the first in memory is kept; a class that is absent stays absent.
    """
    touching = _touching(label.ndim, connectivity)
    kept = np.zeros_like(label)
    for index in range(1, n_classes):
        parts, count = ndimage.label(label == index, touching)
        if count:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            kept[parts == sizes.argmax()] = index
    return kept


def count_components(label: UInt8[np.ndarray, "*space"], n_classes: int) -> tuple[int, ...]:
    """The number of parts of each class 1 .. `n_classes` - 1, in the sense of
    `largest_components`."""
    touching = _touching(label.ndim, None)
    return tuple(ndimage.label(label == index, touching)[1] for index in range(1, n_classes))


def _touching(dimensions: int, connectivity: int | None) -> Bool[np.ndarray, "..."]:
    return ndimage.generate_binary_structure(dimensions, connectivity or dimensions)
