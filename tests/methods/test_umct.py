"""Uncertainty-aware co-training: what must hold for every shape, in 2D and 3D."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from ssl_lib.methods import umct
from ssl_lib.models.ensemble import Networks
from ssl_lib.training.batches import Batch
from ssl_lib.training.loop import Moment
from ssl_lib.training.losses import one_hot, segmentation_loss

SHAPES = st.lists(st.integers(2, 7), min_size=2, max_size=3).map(tuple)
BLOCKS = st.lists(st.integers(1, 2).map(lambda n: 8 * n), min_size=2, max_size=3).map(tuple)
SEEDS = st.integers(0, 2**31)
CLASSES = st.integers(2, 4)
VIEWS = st.integers(2, 6)
SCOPES = st.sampled_from(["voxel", "scan"])
quickly = settings(max_examples=20, deadline=None)


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def random_views(
    shape: tuple[int, ...], n_classes: int, count: int, seed: int
) -> tuple[list, list]:
    """Probabilities and uncertainties of some views on two samples."""
    random = generator(seed)
    means = torch.randn(count, 2, n_classes, *shape, generator=random).softmax(dim=2)
    uncertainties = torch.rand(count, 2, 1, *shape, generator=random) / 4
    return list(means), list(uncertainties)


def targets(means: list[Tensor], uncertainties: list[Tensor], **options: object) -> list[Tensor]:
    trust = [umct.confidence(uncertainty, **options) for uncertainty in uncertainties]
    return [umct.fused_target(means, trust, own) for own in range(len(means))]


def member(view: tuple, n_classes: int = 3, seed: int = 0, **options: object) -> nn.Module:
    """A small view network with weights that differ from the first ones of training."""
    torch.manual_seed(seed)
    network = umct.ViewNetwork(umct.AnisotropicUNet(len(view[0]), n_classes, 4, **options), view)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def close(first: Tensor, second: Tensor, tolerance: float = 1e-5) -> bool:
    return bool(torch.isfinite(first).all()) and torch.allclose(first, second, atol=tolerance)


# --- the views


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_every_view_comes_back_exactly(shape, n_classes, seed) -> None:
    random = generator(seed)
    image = torch.randn(2, 1, *shape, generator=random)
    labels = torch.randint(n_classes, (2, *shape), generator=random)
    for tensor in (image, labels, torch.randn(2, n_classes, *shape, generator=random)):
        for view in umct.views_of(len(shape), 6):
            seen = umct.look(tensor, view)
            assert torch.equal(umct.look_back(seen, view), tensor)
            assert seen.is_contiguous() and umct.look_back(seen, view).is_contiguous()
            assert torch.equal(seen.flatten().sort().values, tensor.flatten().sort().values)


def test_views_of_a_picture_are_the_quarter_turns() -> None:
    image = torch.arange(6).reshape(1, 1, 2, 3)
    for turns, view in enumerate(umct.views_of(2, 4)):
        assert torch.equal(umct.look(image, view), torch.rot90(image, turns, (2, 3)))


def test_views_of_a_volume_are_different_and_the_first_three_lie_flat_on_every_axis() -> None:
    views = umct.views_of(3, 6)
    assert len(set(views)) == 6 and all(sorted(order) == [0, 1, 2] for order, _ in views)
    assert {order[-1] for order, _ in views[:3]} == {0, 1, 2}
    assert umct.views_of(3, 2) == views[:2]


def test_images_and_labels_move_alike() -> None:
    labels = torch.arange(2 * 3 * 4).reshape(1, 2, 3, 4)
    for view in umct.views_of(3, 6):
        image = umct.look(labels.unsqueeze(1).float(), view)
        assert torch.equal(image[:, 0].long(), umct.look(labels, view))


@quickly
@given(BLOCKS, SEEDS)
def test_a_view_network_predicts_in_the_scans_orientation(shape, seed) -> None:
    """Its answer on a turned scan is another view's answer, turned; patches need not be cubes."""
    image = torch.randn(1, 1, *shape, generator=generator(seed))
    for view in umct.views_of(len(shape), 6):
        network = member(view).eval()
        answer = network(image)
        assert answer.shape == (1, 3, *shape)
        assert close(umct.look(answer, view), network.network(umct.look(image, view)))


# --- anisotropic kernels


def reach(network: nn.Module, shape: tuple[int, ...], place: tuple[int, ...]) -> Tensor:
    """Where the input changes the answer (half resolution) at a place: a map of True and False."""
    image = torch.randn(1, 1, *shape, generator=generator(0)).requires_grad_(True)
    network.eval().passes(image, 1)[(0, slice(None), *place)].abs().sum().backward()
    return image.grad[0, 0] != 0


@pytest.mark.parametrize("shape", [(16, 32), (16, 16, 32)], ids=["2D", "3D"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_flat_kernels_see_the_pooled_slices_of_their_block_and_symmetric_ones_more(
    shape, symmetric
) -> None:
    """Without any look along the last axis, only its pooling (2 * 2 * 2 slices) is left."""
    flat = member(umct.views_of(len(shape), 1)[0], symmetric=symmetric).network
    seen = reach(flat, shape, (4,) * (len(shape) - 1) + (9,))
    slices = seen.flatten(0, -2).any(dim=0).nonzero().flatten()
    block = torch.arange(16, 24)
    assert (set(slices.tolist()) <= set(block.tolist())) != symmetric
    assert seen.any(dim=-1).float().mean() > 0.5


@quickly
@given(st.integers(0, 15), SEEDS)
def test_without_pooling_a_changed_slice_changes_only_itself(slice_number, seed) -> None:
    torch.manual_seed(seed)
    layers = umct.level(3, (1, 4, 4), (3, 3, 1)).eval()
    image = torch.randn(1, 1, 6, 6, 16, generator=generator(seed))
    changed = image.clone()
    changed[..., slice_number] += 1
    difference = (layers(image) - layers(changed)).abs().amax(dim=(0, 1, 2, 3))
    assert (difference > 0).nonzero().flatten().tolist() == [slice_number]


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 8)], ids=["2D", "3D"])
def test_one_network_with_symmetric_weights_has_one_opinion_from_every_side(shape) -> None:
    """Why kernels must be flat: averaged over all turns, a kernel sees the same from every side."""
    torch.manual_seed(0)
    views = umct.views_of(len(shape), 6)
    side = len(shape) * (3,)
    kernel = torch.randn(4, 1, *side)
    even = sum(umct.look(kernel, view) for view in views)
    flat = kernel * (torch.arange(3) == 1)
    image = torch.randn(2, 1, *shape)
    convolve = {2: nn.functional.conv2d, 3: nn.functional.conv3d}[len(shape)]

    def predictions(weights: Tensor) -> list[Tensor]:
        seen = [(view, convolve(umct.look(image, view), weights, padding=1)) for view in views]
        return [umct.look_back(answer, view) for view, answer in seen]

    first, *others = predictions(even)
    assert all(close(first, other, 1e-4) for other in others)
    first, *others = predictions(flat)
    assert any(not close(first, other, 1e-2) for other in others)


def test_the_view_and_the_weights_of_a_member_are_its_own() -> None:
    cohort = SimpleNamespace(dimensions=3, n_classes=3, n_channels=1)
    study = SimpleNamespace(
        cohort=cohort, settings=SimpleNamespace(width=12), seed=0, device=torch.device("cpu")
    )
    views = umct.views_of(3, 3)
    made = [umct.view_network(study, number, views=views) for number in (0, 1, 0)]
    assert [network.view for network in made] == [views[0], views[1], views[0]]
    states = [network.state_dict() for network in made]
    assert all(torch.equal(states[0][key], states[2][key]) for key in states[0])
    assert not torch.equal(states[0]["seen_from"], states[1]["seen_from"])
    assert not torch.equal(*[state["network.head.weight"] for state in states[:2]])
    assert made[0].network.head.in_channels == 8


# --- uncertainty


@quickly
@given(SHAPES, CLASSES, st.integers(1, 6), SEEDS)
def test_uncertainty_is_the_variance_and_lies_between_zero_and_a_quarter(
    shape, n_classes, passes, seed
) -> None:
    random = generator(seed)
    sharp = torch.randn(passes, 2, n_classes, *shape, generator=random) * 30
    predictions = sharp.softmax(dim=2)
    mean, uncertainty = umct.mean_and_uncertainty(predictions)
    assert uncertainty.shape == (2, 1, *shape) and mean.shape == (2, n_classes, *shape)
    assert uncertainty.min() >= 0 and uncertainty.max() <= 0.25
    expected = predictions.double().var(dim=0, correction=0).mean(dim=1, keepdim=True)
    assert close(uncertainty.double(), expected) and close(mean, predictions.mean(dim=0))


def test_two_opposed_passes_are_as_unsure_as_can_be() -> None:
    _, uncertainty = umct.mean_and_uncertainty(torch.eye(2).reshape(2, 1, 2, 1, 1))
    assert uncertainty.item() == 0.25


@pytest.mark.parametrize("batch_statistics", [True, False])
@pytest.mark.parametrize("shape", [(16, 24), (8, 16, 8)], ids=["2D", "3D"])
def test_without_dropout_there_is_no_uncertainty(shape, batch_statistics) -> None:
    images = torch.randn(2, 1, *shape, generator=generator(0))
    view = umct.views_of(len(shape), 2)[1]
    mean, uncertainty = umct.predict(member(view, dropout=0.0), images, 3, batch_statistics)
    assert uncertainty.max() < 1e-8
    half = tuple(side // 2 for side in shape)
    assert mean.shape == (2, 3, *half) and uncertainty.shape == (2, 1, *half)
    _, uncertainty = umct.predict(member(view, dropout=0.5), images, 3, batch_statistics)
    assert uncertainty.max() > 1e-5


def test_passes_leave_modes_and_gradients_alone_and_only_batch_statistics_move_averages() -> None:
    images = torch.randn(2, 1, 16, 16, generator=generator(0))
    for batch_statistics in (True, False):
        network = member(umct.views_of(2, 1)[0]).train()
        network.network.dropout.eval()
        modes = [module.training for module in network.modules()]
        before = copy.deepcopy(network.state_dict())
        predictions = umct.dropout_passes(network, images, 2, batch_statistics)
        assert not predictions.requires_grad and not torch.equal(predictions[0], predictions[1])
        assert [module.training for module in network.modules()] == modes
        moved = [k for k, v in network.state_dict().items() if not torch.equal(v, before[k])]
        assert bool(moved) == batch_statistics
        assert all("running" in key or "tracked" in key for key in moved)


def test_one_pass_with_running_statistics_is_the_networks_answer() -> None:
    images = torch.randn(2, 1, 16, 16, generator=generator(0))
    network = member(umct.views_of(2, 4)[3], dropout=0.0).eval()
    mean, _ = umct.predict(network, images, 2, batch_statistics=False)
    coarse = network.network.passes(umct.look(images, network.view), 1).softmax(dim=1)
    assert close(mean, umct.look_back(coarse, network.view))


# --- fusion


@quickly
@given(SHAPES, CLASSES, VIEWS, SEEDS, SCOPES, st.floats(0, 2))
def test_a_fused_target_is_a_probability_between_those_of_the_others(
    shape, n_classes, count, seed, scope, power
) -> None:
    means, uncertainties = random_views(shape, n_classes, count, seed)
    for own, target in enumerate(targets(means, uncertainties, scope=scope, power=power)):
        others = torch.stack([mean for view, mean in enumerate(means) if view != own])
        assert close(target.sum(dim=1), torch.ones(2, *shape))
        assert bool((target >= others.amin(dim=0) - 1e-5).all())
        assert bool((target <= others.amax(dim=0) + 1e-5).all())


@quickly
@given(SHAPES, CLASSES, VIEWS, SEEDS, SCOPES, st.booleans())
def test_a_prediction_never_teaches_itself(shape, n_classes, count, seed, scope, hard) -> None:
    means, uncertainties = random_views(shape, n_classes, count, seed)
    own = seed % count
    trust = [umct.confidence(uncertainty, scope=scope) for uncertainty in uncertainties]
    before = umct.fused_target(means, trust, own, hard)
    means[own], trust[own] = 1 - means[own], trust[own] * 7
    assert torch.equal(umct.fused_target(means, trust, own, hard), before)
    other = (own + 1) % count
    means[other] = means[other].roll(1, 1)
    if not hard:
        assert not torch.equal(umct.fused_target(means, trust, own), before)


@quickly
@given(SHAPES, CLASSES, SEEDS, SCOPES, st.floats(0, 3))
def test_with_two_views_the_weights_are_irrelevant(shape, n_classes, seed, scope, power) -> None:
    means, uncertainties = random_views(shape, n_classes, 2, seed)
    first, second = targets(means, uncertainties, scope=scope, power=power)
    assert torch.equal(first, means[1]) and torch.equal(second, means[0])


@quickly
@given(SHAPES, CLASSES, VIEWS, SEEDS, st.randoms(use_true_random=False))
def test_another_order_of_the_views_is_another_order_of_the_targets(
    shape, n_classes, count, seed, random
) -> None:
    means, uncertainties = random_views(shape, n_classes, count, seed)
    order = random.sample(range(count), count)
    plain = targets(means, uncertainties)
    turned = targets([means[i] for i in order], [uncertainties[i] for i in order])
    assert all(close(turned[place], plain[view]) for place, view in enumerate(order))


@quickly
@given(SHAPES, CLASSES, st.integers(3, 6), SEEDS)
def test_equal_uncertainty_or_power_zero_is_the_plain_mean_and_certainty_takes_all(
    shape, n_classes, count, seed
) -> None:
    means, uncertainties = random_views(shape, n_classes, count, seed)
    plain = sum(means[1:]) / (count - 1)
    assert close(targets(means, [uncertainties[0]] * count)[0], plain)
    assert close(targets(means, uncertainties, power=0.0)[0], plain)
    assert not close(targets(means, uncertainties)[0], plain)
    sure = [uncertainty + 0.1 for uncertainty in uncertainties]
    sure[1] = torch.zeros_like(sure[1])
    assert close(targets(means, sure, epsilon=1e-12)[0], means[1])


def test_confidence_of_a_scan_is_one_number_from_its_mean_uncertainty() -> None:
    uncertainty = torch.tensor([[[0.0, 0.2]], [[0.1, 0.1]]])
    found = umct.confidence(uncertainty, scope="scan", epsilon=0.0)
    assert found.flatten().tolist() == pytest.approx([10.0, 10.0])
    assert umct.confidence(uncertainty, power=0.0).unique().tolist() == [1.0]


def test_a_hard_target_is_the_winner() -> None:
    means, uncertainties = random_views((4, 5), 3, 3, 0)
    trust = [umct.confidence(uncertainty) for uncertainty in uncertainties]
    soft, hard = (umct.fused_target(means, trust, 0, hard) for hard in (False, True))
    assert torch.equal(hard.argmax(dim=1), soft.argmax(dim=1))
    assert torch.equal(hard, one_hot(soft.argmax(dim=1), 3))


# --- the loss and the step


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_the_soft_loss_of_a_label_is_the_supervised_loss(shape, n_classes, seed) -> None:
    random = generator(seed)
    logits = torch.randn(2, n_classes, *shape, generator=random)
    labels = torch.randint(n_classes, (2, *shape), generator=random)
    found = umct.soft_loss(logits, one_hot(labels, n_classes))
    assert found.item() == pytest.approx(segmentation_loss(logits, labels).item(), abs=1e-5)


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_the_soft_loss_pulls_nowhere_when_the_answer_is_the_target(shape, n_classes, seed) -> None:
    logits = torch.randn(2, n_classes, *shape, generator=generator(seed)).requires_grad_(True)
    umct.soft_loss(logits, logits.detach().softmax(dim=1)).backward()
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 6)], ids=["2D", "3D"])
def test_label_shares_count_voxels(shape) -> None:
    labels = torch.randint(3, (2, *shape), generator=generator(0))
    found = umct.label_shares(labels, 3)
    assert found.shape == (2, 3, *[side // 2 for side in shape])
    assert close(found.sum(dim=1), torch.ones_like(found[:, 0]))
    corner = labels[0][tuple([slice(0, 2)] * len(shape))]
    expected = [(corner == index).float().mean() for index in range(3)]
    assert close(found[(0, slice(None), *[0] * len(shape))], torch.stack(expected))


@pytest.fixture(params=[(16, 24), (8, 16, 8)], ids=["2D", "3D"])
def trial(request) -> SimpleNamespace:
    """Three views of different weights, one batch and a moment."""
    shape, random = request.param, generator(0)
    views = umct.views_of(len(shape), 3)
    members = [member(view, seed=number) for number, view in enumerate(views)]
    labels = torch.randint(3, (2, *shape), generator=random).byte()
    images, unlabelled = torch.randn(2, 2, 1, *shape, generator=random)
    return SimpleNamespace(
        members=members,
        networks=Networks(tuple(members)),
        batch=Batch(images, labels, unlabelled),
        moment=lambda: Moment(0, 10, generator(1), SimpleNamespace(flip_axes=(0,))),
    )


def run(trial: SimpleNamespace, **options: object) -> object:
    torch.manual_seed(0)
    return umct.umct_step(trial.networks, trial.batch, trial.moment(), **options)


def gradients(networks: SimpleNamespace, losses: list[Tensor]) -> list[Tensor]:
    weights = [weight for network in networks.students for weight in network.parameters()]
    for weight in weights:
        weight.grad = None
    sum(losses).backward()
    return [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]


def test_targets_are_detached_probabilities(trial) -> None:
    output = run(trial)
    assert len(output.maps) == 3 and set(output.losses) == {"labelled", "unlabelled"}
    for target in output.maps.values():
        assert not target.requires_grad
        assert close(target.sum(dim=1), torch.ones_like(target[:, 0]))


def test_the_unlabelled_loss_of_a_member_reaches_that_member_alone(trial) -> None:
    output = run(trial)
    first, *others = trial.members
    umct.view_loss(first, trial.batch.unlabelled, output.maps["target_1"]).backward()
    assert all(weight.grad is not None for weight in first.parameters())
    assert all(w.grad is None for other in others for w in other.parameters())


def test_a_changed_member_changes_the_targets_of_the_others_alone(trial) -> None:
    before = run(trial).maps
    with torch.no_grad():
        trial.members[1].network.head.bias.copy_(torch.tensor([3.0, 0.0, -3.0]))
    after = run(trial).maps
    assert torch.equal(before["target_2"], after["target_2"])
    assert not torch.equal(before["target_1"], after["target_1"])
    assert not torch.equal(before["target_3"], after["target_3"])


def test_weight_zero_is_supervised_training(trial) -> None:
    for network in trial.members:
        network.network.dropout.p = 0.0
    quiet = gradients(trial.networks, list(run(trial, weight=0.0).losses.values()))
    torch.manual_seed(0)
    output = umct.views_supervised_step(trial.networks, trial.batch, trial.moment())
    supervised = gradients(trial.networks, list(output.losses.values()))
    assert all(map(torch.equal, quiet, supervised))
    spoken = gradients(trial.networks, list(run(trial, weight=1.0).losses.values()))
    assert not all(map(torch.equal, spoken, supervised))


def test_one_member_alone_is_trained_as_among_the_others(trial) -> None:
    """The view-wise stage: each member's gradient does not depend on who trains beside it."""
    for network in trial.members:
        network.network.dropout.p = 0.0
    both = umct.views_supervised_step(trial.networks, trial.batch, trial.moment())
    together = gradients(trial.networks, list(both.losses.values()))
    alone = Networks((trial.members[0],))
    single = umct.views_supervised_step(alone, trial.batch, trial.moment())
    own = gradients(alone, list(single.losses.values()))
    assert all(close(a, b) for a, b in zip(own, together, strict=False))


@pytest.mark.parametrize("strong", [True, False])
def test_pupils_see_another_appearance_only_if_asked(trial, strong, monkeypatch) -> None:
    """Once for the labelled batch; a second time for the unlabelled one."""
    calls, plain = [], umct.augmentation.random_appearance
    monkeypatch.setattr(
        umct.augmentation, "random_appearance", lambda *given: calls.append(1) or plain(*given)
    )
    run(trial, strong=strong)
    assert len(calls) == 1 + strong


SWITCHES = [
    {},
    {"hard": True},
    {"scope": "scan"},
    {"power": 0.0},
    {"batch_statistics": False},
    {"strong": False},
    {"passes": 1},
]


@pytest.mark.parametrize("options", SWITCHES, ids=str)
def test_every_switch_gives_finite_losses_and_repeats(trial, options) -> None:
    first, second = (run(copy.deepcopy(trial), **options).losses for _ in range(2))
    assert all(bool(torch.isfinite(loss)) for loss in first.values())
    assert all(torch.equal(first[name], second[name]) for name in first)
