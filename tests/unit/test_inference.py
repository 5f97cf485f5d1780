"""Whole-scan prediction: windows, padding, modes, and slices one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ssl_lib.data.cohort import Case
from ssl_lib.inference import (
    pad_to,
    predict_cohort,
    predict_label,
    predict_probabilities,
    standardise,
)
from ssl_lib.utils.errors import InputError


class Pointwise(nn.Module):
    """Two classes from the voxel alone: logits (0, 3 x)."""

    def forward(self, items):
        return torch.cat([torch.zeros_like(items), 3 * items], dim=1)


class WindowMean(nn.Module):
    """Logits that depend on the whole window, so that wrong windows show."""

    def forward(self, items):
        mean = items.mean(dim=tuple(range(2, items.ndim)), keepdim=True).expand_as(items)
        return torch.cat([mean, items], dim=1)


def scan(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(2.0, 3.0, size=shape).astype(np.float32)


def direct(network: nn.Module, image: np.ndarray) -> torch.Tensor:
    """Softmax of the network on the whole volume at once."""
    return network(torch.from_numpy(image)[None, None])[0].softmax(dim=0)


@pytest.mark.parametrize("stride", [None, (3, 5, 2)])
def test_sliding_window_of_a_pointwise_network_is_direct_application(stride):
    image = scan(13, 9, 11)
    options = {"dimensions": 3, "device": "cpu", "window": (6, 10, 4), "stride": stride}
    probabilities = predict_probabilities(Pointwise(), image, normalise=False, **options)
    torch.testing.assert_close(probabilities, direct(Pointwise(), image))


def test_windows_stand_where_the_benchmark_puts_them():
    """Steps of exactly 18 voxels, the last window moved back inside, each seen standardised."""
    image, side, step = scan(157, 2, 2), 112, 18
    total, count = torch.zeros(2, 157, 2, 2), torch.zeros(157, 1, 1)
    whole = torch.from_numpy(image)[None, None]
    for number in range(-(-(157 - side) // step) + 1):
        start = min(number * step, 157 - side)
        part = standardise(whole[:, :, start : start + side])
        total[:, start : start + side] += WindowMean()(part)[0].softmax(dim=0)
        count[start : start + side] += 1
    options = {"dimensions": 3, "device": "cpu", "window": (side, 2, 2), "stride": (step, 2, 2)}
    probabilities = predict_probabilities(WindowMean(), image, **options)
    torch.testing.assert_close(probabilities, total / count)


@pytest.mark.parametrize("window", [None, (32, 32, 32), (16, 16, 8)])
@pytest.mark.parametrize("shape", [(7, 13, 19), (16, 16, 16), (1, 5, 31)])
def test_padding_leaves_no_trace_in_odd_shapes(shape, window):
    image = scan(*shape)
    probabilities = predict_probabilities(
        Pointwise(), image, dimensions=3, device="cpu", window=window, normalise=False
    )
    torch.testing.assert_close(probabilities, direct(Pointwise(), image))


def test_padding_is_the_minimum_of_each_item_and_crops_back():
    items = torch.stack([torch.arange(15.0).reshape(1, 3, 5) - 4, torch.full((1, 3, 5), 2.0)])
    padded, inner = pad_to(items, (6, 8))
    assert padded.shape == (2, 1, 6, 8)
    assert torch.equal(padded[inner], items)
    assert padded[0, 0, 0, 0] == padded[0, 0, -1, -1] == -4
    assert torch.equal(padded[1], torch.full((1, 6, 8), 2.0))


def test_the_network_sees_the_padded_window_standardised_as_in_training():
    seen = []

    class Spy(Pointwise):
        def forward(self, items):
            seen.append(items)
            return super().forward(items)

    image = scan(5, 6, 7)
    predict_probabilities(Spy(), image, dimensions=3, device="cpu", window=(8, 8, 8))
    padded = np.pad(image, ((1, 2), (1, 1), (0, 1)), constant_values=image.min())
    torch.testing.assert_close(seen[0], standardise(torch.from_numpy(padded)[None, None]))


def test_slices_of_a_stack_do_not_know_each_other():
    network = nn.Conv2d(1, 3, 3, padding=1)
    stack = scan(7, 20, 33) * np.arange(1, 8, dtype=np.float32)[:, None, None]
    options = {"dimensions": 2, "device": "cpu", "batch": 3}
    together = predict_probabilities(network, stack, **options)
    assert together.shape == (3, 7, 20, 33)
    for number in range(7):
        alone = predict_probabilities(network, stack[number : number + 1], **options)
        torch.testing.assert_close(together[:, number], alone[:, 0])


def test_probabilities_sum_to_one_and_labels_are_their_argmax():
    network, image = nn.Conv3d(1, 4, 3, padding=1), scan(9, 10, 11)
    probabilities = predict_probabilities(network, image, dimensions=3, device="cpu")
    torch.testing.assert_close(probabilities.sum(dim=0), torch.ones(9, 10, 11))
    label = predict_label(network, image, dimensions=3, device="cpu")
    assert label.dtype == np.uint8
    assert np.array_equal(label, probabilities.argmax(dim=0).numpy())


def test_each_module_gets_its_own_mode_back_even_after_an_error():
    network = nn.Sequential(nn.BatchNorm3d(1), nn.Dropout(0.5))
    network.train()
    network[0].eval()
    statistics = network[0].running_mean.clone()
    predict_probabilities(network, scan(4, 4, 4), dimensions=3, device="cpu")
    assert network.training and network[1].training and not network[0].training
    assert torch.equal(network[0].running_mean, statistics)
    with pytest.raises(RuntimeError):
        predict_probabilities(
            nn.Sequential(network, nn.Linear(3, 3)), scan(4, 4, 4), dimensions=3, device="cpu"
        )
    assert network.training and not network[0].training


def test_standardised_items_have_mean_zero_and_deviation_one():
    batch = torch.from_numpy(scan(2, 3, 8, 9)) * torch.tensor([1.0, 50.0])[:, None, None, None]
    result = standardise(batch)
    torch.testing.assert_close(result.mean(dim=(2, 3)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(result.std(dim=(2, 3), correction=0), torch.ones(2, 3))
    assert torch.equal(standardise(torch.full((1, 1, 4, 4), 7.0)), torch.zeros(1, 1, 4, 4))


def test_autocast_still_returns_float32():
    probabilities = predict_probabilities(
        nn.Conv3d(1, 2, 1), scan(4, 4, 4), dimensions=3, device="cpu", use_autocast=True
    )
    assert probabilities.dtype == torch.float32


def test_a_cohort_is_predicted_by_identity():
    cases = [Case(name, name, scan(3, 8, 8), (1.0, 1.0, 1.0)) for name in ("a", "b")]
    labels = predict_cohort(nn.Conv2d(1, 2, 1), cases, dimensions=2, device="cpu")
    assert list(labels) == ["a", "b"]
    assert labels["a"].shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("dimensions", "options"),
    [
        (2, {}),
        (3, {}),
        (3, {"window": (8, 8, 8)}),
        (3, {"window": (16, 12, 8), "stride": (4, 4, 4)}),
    ],
)
@pytest.mark.parametrize("together", [1, 1500, 2**20])
def test_scans_of_one_shape_answer_together_as_they_do_alone(
    monkeypatch, dimensions, options, together
):
    """Shapes mixed, order kept; however many share a pass, and however many a pass may hold."""
    monkeypatch.setattr("ssl_lib.inference.VOXELS_TOGETHER", together)
    shapes = [(8, 8, 8), (16, 12, 8), (8, 8, 8), (5, 9, 8), (8, 8, 8), (16, 12, 8)]
    images = [scan(*shape) * (1 + number) + number for number, shape in enumerate(shapes)]
    cases = [Case(str(9 - i), str(9 - i), image, (1.0, 1.0, 1.0)) for i, image in enumerate(images)]
    network, asked = WindowMean(), {"dimensions": dimensions, "device": "cpu", "batch": 3}
    labels = predict_cohort(network, cases, **asked, **options)
    assert list(labels) == [case.case_id for case in cases]
    for case in cases:
        alone = predict_label(network, case.image, **asked, **options)
        np.testing.assert_array_equal(labels[case.case_id], alone)
    assert len({label.mean() for label in labels.values()}) > 2  # not all alike


@pytest.mark.parametrize(("batch", "passes"), [(16, [10]), (8, [5, 5]), (3, [3, 3, 2, 2])])
def test_small_volumes_share_forward_passes(batch, passes):
    """Ten volumes of one shape in as few passes as `batch` allows, none of them left with one."""
    sizes = []

    class Counting(Pointwise):
        def forward(self, items):
            sizes.append(len(items))
            return super().forward(items)

    cases = [Case(str(i), str(i), scan(8, 8, 8), (1.0, 1.0, 1.0)) for i in range(10)]
    predict_cohort(Counting(), cases, dimensions=3, device="cpu", batch=batch)
    assert sizes == passes


def test_a_tie_goes_to_the_first_class():
    class Undecided(nn.Module):
        def forward(self, items):
            return torch.zeros_like(items).repeat(1, 3, *[1] * (items.ndim - 2))

    image = scan(8, 8, 8)
    assert not predict_label(Undecided(), image, dimensions=3, device="cpu").any()
    case = Case("a", "a", image, (1.0, 1.0, 1.0))
    assert not predict_cohort(Undecided(), [case, case], dimensions=2, device="cpu")["a"].any()


@pytest.mark.parametrize(
    ("shape", "options", "word"),
    [
        ((4, 4), {"dimensions": 2}, "2 axes"),
        ((4, 4, 4), {"dimensions": 4}, "dimensions is 4"),
        ((4, 4, 4), {"dimensions": 3, "window": (4, 4)}, "window"),
        ((4, 4, 4), {"dimensions": 3, "stride": (2, 2, 2)}, "without a window"),
        ((4, 4, 4), {"dimensions": 3, "window": (2, 2, 2), "stride": (3, 2, 2)}, "larger"),
    ],
)
def test_geometry_that_does_not_fit_is_refused(shape, options, word):
    with pytest.raises(InputError, match=word):
        predict_probabilities(Pointwise(), scan(*shape), device="cpu", **options)
