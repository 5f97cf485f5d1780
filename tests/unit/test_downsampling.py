"""Shrinking volumes: every voxel counts once, classes are voted on, seals stay shut."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.data.downsampling import block_means, downsampled, majority
from ssl_lib.data.phantom import phantom_cohort

quickly = settings(max_examples=25, deadline=None)
SIDES = st.lists(st.integers(1, 9), min_size=3, max_size=3).map(tuple)
FACTORS = st.lists(st.integers(1, 3), min_size=3, max_size=3).map(tuple)


def blocks_by_hand(array: np.ndarray, factors: tuple[int, ...]) -> dict:
    """The voxels of each block, gathered one by one."""
    counts = [max(1, s // f) for s, f in zip(array.shape, factors, strict=True)]
    found: dict[tuple, list] = {}
    for place in np.ndindex(array.shape):
        block = tuple(p // min(f, s) for p, f, s in zip(place, factors, array.shape, strict=True))
        if all(b < c for b, c in zip(block, counts, strict=True)):
            found.setdefault(block, []).append(array[place])
    return found


@quickly
@given(SIDES, FACTORS, st.integers(0, 2**31))
def test_a_block_becomes_its_mean(sides, factors, seed):
    image = np.random.default_rng(seed).normal(size=sides).astype(np.float32)
    small = block_means(image, factors)
    for block, voxels in blocks_by_hand(image, factors).items():
        assert small[block] == pytest.approx(np.mean(voxels), abs=1e-5)
    assert small.size == len(blocks_by_hand(image, factors))


@quickly
@given(SIDES, FACTORS, st.integers(0, 2**31))
def test_a_block_becomes_its_most_frequent_class_the_smallest_of_equals(sides, factors, seed):
    label = np.random.default_rng(seed).integers(0, 3, sides).astype(np.uint8)
    small = majority(label, factors)
    for block, voxels in blocks_by_hand(label, factors).items():
        votes = Counter(int(v) for v in voxels)
        most = max(votes.values())
        assert small[block] == min(k for k, n in votes.items() if n == most)


def test_a_cohort_shrinks_with_its_sealed_labels():
    cohort = phantom_cohort(2, dimensions=3, max_scans=6)
    small = downsampled(cohort, 24)
    for before, after in zip(cohort.cases, small.cases, strict=True):
        assert max(after.image.shape) <= 24 and after.case_id == before.case_id
        assert after.spacing[1] == 2 * before.spacing[1]
    for case in small.unlabelled + small.test:
        assert case.label is None
        assert small.sealed.open(case.case_id, "final score").shape == case.image.shape
    assert "downsampled by" in small.caveat and small.content_hash != cohort.content_hash


def test_small_volumes_and_slices_stay_as_they_are():
    volumes = phantom_cohort(2, dimensions=3, max_scans=6)
    slices = phantom_cohort(2, dimensions=2, max_scans=6)
    assert downsampled(volumes, 64) is volumes
    assert downsampled(slices, 8) is slices
