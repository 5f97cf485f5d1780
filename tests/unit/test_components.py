"""The largest component of each class: against scikit-image, and in the cases that go wrong."""

import numpy as np
import pytest
from skimage import measure

from ssl_lib.evaluation.components import largest_components


@pytest.mark.parametrize("space", [(30, 30), (12, 14, 10)])
@pytest.mark.parametrize("connectivity", [None, 1])
def test_it_keeps_what_scikit_image_calls_the_largest(space, connectivity):
    random = np.random.default_rng(0)
    label = random.choice(4, size=space, p=(0.55, 0.2, 0.15, 0.1)).astype(np.uint8)
    kept = largest_components(label, 4, connectivity)
    for index in range(1, 4):
        parts = measure.label(label == index, connectivity=connectivity or len(space))
        largest = parts == 1 + np.bincount(parts.flat)[1:].argmax()
        assert np.array_equal(kept == index, largest)
    assert np.array_equal(largest_components(kept, 4, connectivity), kept)
    assert kept.dtype == np.uint8


def test_parts_are_those_of_the_volume_not_of_a_slice():
    label = np.zeros((3, 5, 5), np.uint8)
    label[:, 1:3, 1:3] = 1
    label[1, 4, :] = 1  # larger in its own slice, smaller in the volume
    assert largest_components(label, 2).sum() == 12


def test_an_absent_class_stays_absent_and_one_part_stays_whole():
    label = np.zeros((4, 4), np.uint8)
    assert not largest_components(label, 4).any()
    label[1:3, 1:3] = 2
    assert np.array_equal(largest_components(label, 4), label)
