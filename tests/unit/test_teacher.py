"""The teacher: an average to the last bit, without gradients; ramps at their known values."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ssl_lib.models.teacher import gaussian_ramp, make_teacher, update_teacher, warm_decay


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    made = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    made(torch.randn(4, 1, 8, 8))
    return made


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.97, 0.999, 1.0])
def test_the_average_is_exact(decay):
    teacher, student = make_teacher(network(0)), network(1)
    old, new = state(teacher), state(student)
    update_teacher(teacher, student, decay)
    for name, weight in teacher.named_parameters():
        expected = old[name].double() * decay + new[name].double() * (1 - decay)
        torch.testing.assert_close(weight.double(), expected, rtol=0, atol=1e-7)
        assert torch.equal(weight, old[name].lerp(new[name], 1 - decay))
    assert all(torch.equal(state(student)[name], new[name]) for name in new)


@pytest.mark.parametrize("buffers", [False, True])
def test_statistics_are_averaged_only_on_request(buffers):
    teacher, student = make_teacher(network(0)), network(1)
    student(torch.randn(4, 1, 8, 8))
    old, new = state(teacher), state(student)
    update_teacher(teacher, student, 0.9, buffers=buffers)
    mine = dict(teacher.named_buffers())
    weight = 0.1 if buffers else 0.0
    for name in ("1.running_mean", "1.running_var"):
        torch.testing.assert_close(mine[name], old[name].lerp(new[name], weight))
        assert not torch.equal(old[name], new[name])
    assert int(mine["1.num_batches_tracked"]) == (2 if buffers else 1)


def test_a_teacher_is_a_copy_in_training_mode_that_takes_no_gradient():
    student = network(0).eval()
    teacher = make_teacher(student)
    assert teacher.training and teacher[1].training and not student.training
    assert not any(weight.requires_grad for weight in teacher.parameters())
    assert all(weight.requires_grad for weight in student.parameters())
    with torch.no_grad():
        student[0].weight.zero_()
    assert teacher[0].weight.any()


def test_the_update_itself_leaves_no_graph():
    teacher, student = make_teacher(network(0)), network(1)
    update_teacher(teacher, student, 0.5)
    assert all(w.grad_fn is None and not w.requires_grad for w in teacher.parameters())


@pytest.mark.parametrize(
    ("t", "value"), [(0, 0.0067), (50, 0.2865), (100, 1), (500, 1), (-3, 0.0067)]
)
def test_the_ramp_at_known_places(t, value):
    assert gaussian_ramp(t, 100) == pytest.approx(value, abs=1e-4)


@given(st.floats(0, 300), st.floats(0, 300), st.floats(1, 200))
def test_the_ramp_never_falls_and_stays_between_its_ends(a, b, length):
    low, high = sorted((gaussian_ramp(a, length), gaussian_ramp(b, length)), key=float)
    first, second = gaussian_ramp(min(a, b), length), gaussian_ramp(max(a, b), length)
    assert (first, second) == (low, high)
    assert 0.0067 < low <= high <= 1


def test_no_length_means_no_ramp():
    assert gaussian_ramp(0, 0) == 1


def test_the_warm_decay_copies_first_and_then_averages_ever_longer():
    assert [warm_decay(t, 0.9) for t in (0, 1, 3)] == pytest.approx([0, 0.5, 0.75])
    assert warm_decay(8, 0.9) == pytest.approx(8 / 9)
    assert warm_decay(10, 0.9) == warm_decay(10_000, 0.9) == 0.9


def test_with_the_warm_decay_the_teacher_is_the_mean_of_all_students():
    students = [network(seed) for seed in range(4)]
    teacher = make_teacher(network(9))
    for iteration, student in enumerate(students):
        update_teacher(teacher, student, warm_decay(iteration, 0.99))
    mean = torch.stack([student[0].weight.detach() for student in students]).mean(0)
    torch.testing.assert_close(teacher[0].weight, mean)
