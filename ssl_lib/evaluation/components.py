"""The largest component at test: a second number, beside the headline and never in its place.

Some released codes (bidirectional copy-paste on LA) score a prediction of which only the largest
part of each class is left; most do not. Both numbers of one row say what that is worth.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage


def largest_components(
    label: UInt8[np.ndarray, "*space"], n_classes: int, connectivity: int | None = None
) -> UInt8[np.ndarray, "*space"]:
    """The label map with the largest part of each class 1 .. `n_classes` - 1; the rest is 0.

    Parts are those of the whole array: of a volume, also where it was predicted slice by slice.
    Voxels touch by sides, edges and corners, or up to `connectivity` (1: by sides alone). Of parts
    of one size the first in memory is kept; a class that is absent stays absent.
    """
    touching = ndimage.generate_binary_structure(label.ndim, connectivity or label.ndim)
    kept = np.zeros_like(label)
    for index in range(1, n_classes):
        parts, count = ndimage.label(label == index, touching)
        if count:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            kept[parts == sizes.argmax()] = index
    return kept
