"""Which unlabelled scans should be labelled next? Those that networks disagree about.

Disagreement alone picks several scans of one kind. So of the scans with the least agreement one is
taken after the other, each time the one that is most unlike those that are there (farthest-first
traversal: O. Sener and S. Savarese, "Active learning for convolutional neural networks: a core-set
approach", ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ssl_lib.data.cohort import Case
from ssl_lib.utils.errors import InputError

CANDIDATES = 3
"""The scans of least agreement are considered, so many times as many as are asked for."""
SIDE = 8
"""Voxels along each axis of the small image by which scans are compared."""


def next_scans(
    agreement: Mapping[str, float],
    unlabelled: Sequence[Case],
    labelled: Sequence[Case],
    count: int,
) -> list[str]:
    """Case ids of `count` unlabelled scans in the order in which they should be labelled.

    `agreement` is Dice between predictions by case id; NaN (nothing was found) comes first. Of the
    `CANDIDATES` x `count` scans of least agreement the first is the least agreed; each next one is
    the farthest from its nearest scan among the labelled and the taken ones, in the Euclidean
    distance of small images. Raises `InputError` for a count below 1.
    """
    if count < 1:
        raise InputError(f"{count} scans were asked for", expected="1 or more")
    order = sorted(unlabelled, key=lambda c: np.nan_to_num(agreement[c.case_id], nan=-1.0))
    candidates = order[: CANDIDATES * count]
    taken: list[Case] = candidates[:1]
    images = {case.case_id: small_image(case) for case in (*candidates, *labelled)}
    while len(taken) < min(count, len(candidates)):
        there = [images[case.case_id] for case in (*labelled, *taken)]
        left = [case for case in candidates if case not in taken]
        taken.append(max(left, key=lambda case: _nearest(images[case.case_id], there)))
    return [case.case_id for case in taken]


def small_image(case: Case) -> Float[np.ndarray, " voxel"]:
    """The scan as the means of at most `SIDE` blocks along each axis, standardised."""
    image = case.image
    for axis, length in enumerate(case.image.shape):
        starts = np.linspace(0, length, min(SIDE, length), endpoint=False).astype(int)
        sums = np.moveaxis(np.add.reduceat(image, starts, axis=axis, dtype=np.float64), axis, -1)
        image = np.moveaxis(sums / np.diff([*starts, length]), -1, axis)
    full = np.zeros((SIDE,) * image.ndim)
    full[tuple(slice(length) for length in image.shape)] = image - image.mean()
    return (full / max(float(image.std()), 1e-6)).ravel()


def _nearest(image: Float[np.ndarray, " voxel"], others: Sequence[np.ndarray]) -> float:
    return min((float(np.linalg.norm(image - other)) for other in others), default=np.inf)
