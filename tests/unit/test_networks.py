"""Networks: the published sizes, shapes kept, weights decided by the seed, no dead parameter."""

from __future__ import annotations

import pytest
import torch

from ssl_lib.models.networks import build_network, to_channels_last
from ssl_lib.utils.errors import InputError

KINDS = [("small", 2), ("small", 3), ("unet", 2), ("vnet", 3)]


def tiny(kind: str, dimensions: int, seed: int = 0) -> torch.nn.Module:
    return build_network(kind, dimensions=dimensions, n_classes=3, width=4, seed=seed)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_benchmarks_networks_have_their_published_sizes():
    assert count(build_network("vnet", dimensions=3, n_classes=2, seed=0)) == 9_448_866
    assert count(build_network("unet", dimensions=2, n_classes=4, seed=0)) == 1_813_764


@pytest.mark.parametrize(("kind", "dimensions"), KINDS)
def test_logits_have_the_shape_of_the_image(kind, dimensions):
    network = tiny(kind, dimensions)
    space = tuple(network.divisor * n for n in (1, 2, 1)[:dimensions])
    assert network(noise(2, 1, *space)).shape == (2, 3, *space)


@pytest.mark.parametrize(("kind", "dimensions"), KINDS)
def test_sides_that_are_no_multiple_of_the_divisor_do_not_pass_in_silence(kind, dimensions):
    network = tiny(kind, dimensions)
    side = network.divisor * 2 + 1
    try:
        shape = network(noise(2, 1, *[side] * dimensions)).shape[2:]
    except RuntimeError:
        return
    assert shape != (side,) * dimensions


@pytest.mark.parametrize(("kind", "dimensions"), KINDS)
def test_the_seed_decides_the_weights_and_leaves_the_global_state_alone(kind, dimensions):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one, same, other = (tiny(kind, dimensions, seed) for seed in (5, 5, 6))
    assert torch.equal(torch.rand(3), expected)
    pairs = zip(one.state_dict().values(), same.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    first, second = next(one.parameters()), next(other.parameters())
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("kind", "dimensions"), KINDS)
def test_gradients_reach_every_parameter(kind, dimensions):
    network = tiny(kind, dimensions)
    logits = network(noise(2, 1, *[2 * network.divisor] * dimensions))
    (logits * noise(*logits.shape)).sum().backward()
    dead = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert dead == []


@pytest.mark.parametrize(("kind", "dimensions"), KINDS)
def test_channels_last_computes_the_same(kind, dimensions):
    network = tiny(kind, dimensions).eval()
    image = noise(1, 1, *[2 * network.divisor] * dimensions)
    before = network(image)
    torch.testing.assert_close(to_channels_last(network, dimensions)(image), before)


@pytest.mark.usefixtures("misuse")
@pytest.mark.parametrize(("kind", "dimensions"), [("resnet", 2), ("unet", 3), ("vnet", 2), ("", 3)])
def test_a_network_that_there_is_not_is_refused(kind, dimensions):
    with pytest.raises(InputError, match=f"no {dimensions}D network '{kind}'"):
        tiny(kind, dimensions)
