"""The tests' own check: a call with another shape or type than its signature states fails."""

import pytest
import torch
from jaxtyping import TypeCheckError

from ssl_lib.training.losses import dice_squared_all, one_hot


def test_a_wrong_shape_fails_by_the_name_of_its_axis():
    with pytest.raises(TypeCheckError, match="space"):
        dice_squared_all(torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 4, 5))


def test_a_wrong_type_fails():
    with pytest.raises(TypeCheckError, match="labels"):
        one_hot(torch.zeros(2, 4, 5), 3)


@pytest.mark.usefixtures("misuse")
def test_nothing_is_checked_where_a_test_misuses_the_library():
    assert one_hot(torch.zeros(2, 4, 5), 3).shape == (2, 3, 4, 5)
