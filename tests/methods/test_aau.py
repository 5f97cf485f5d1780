"""Anatomically aware uncertainty and UA-MT: what must hold for every shape, in 2D and 3D."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Generator, Tensor

from ssl_lib.data.cohort import Case
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.methods import aau, baselines, classic
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import Batch, Patches
from ssl_lib.training.loop import Moment

SHAPES = st.lists(st.integers(4, 14), min_size=2, max_size=3).map(tuple)
SEEDS = st.integers(0, 2**31)
CLASSES = st.integers(2, 5)
quickly = settings(max_examples=25, deadline=None)


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def blobs(shape: tuple[int, ...], n_classes: int, seed: int, batch: int = 3) -> Tensor:
    """Random label maps with structures of a few voxels."""
    noise = np.random.default_rng(seed).normal(size=(batch, n_classes, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 0, *[1.2] * len(shape)))
    return torch.from_numpy(smooth.argmax(axis=1).astype(np.uint8))


def border_distance(label: np.ndarray) -> np.ndarray:
    """How many king's moves away the nearest voxel of another class is."""
    away = np.full(label.shape, 99)
    for index in np.unique(label):
        if (label != index).any():
            found = ndimage.distance_transform_cdt(label == index, "chessboard")
            away = np.where(label == index, found, away)
    return away


# --- morphology


@quickly
@given(SHAPES, SEEDS, st.integers(0, 3))
def test_dilation_is_scipys(shape, seed, radius) -> None:
    region = blobs(shape, 2, seed).bool()
    grown = aau.dilate(region, torch.full((3,), radius), 3)
    for before, after in zip(region.numpy(), grown.numpy(), strict=True):
        expected = ndimage.grey_dilation(
            before, size=(2 * radius + 1,) * len(shape), mode="nearest"
        )
        assert np.array_equal(after, expected)


@quickly
@given(SHAPES, SEEDS, st.booleans(), st.booleans(), st.integers(1, 3))
def test_the_four_operations_are_scipys(shape, seed, erosion, twice, radius) -> None:
    region = blobs(shape, 2, seed).bool()
    flags = [torch.full((3, *[1] * len(shape)), flag) for flag in (erosion, twice)]
    found = aau.reshape(region, *flags, torch.full((3,), radius), radius)
    first, second = ndimage.grey_dilation, ndimage.grey_erosion
    if erosion:
        first, second = second, first
    for before, after in zip(region.numpy(), found.numpy(), strict=True):
        options = {"size": (2 * radius + 1,) * len(shape), "mode": "nearest"}
        expected = first(before.astype(np.uint8), **options)
        expected = second(expected, **options) if twice else expected
        assert np.array_equal(after, expected.astype(bool))


def test_each_sample_has_its_own_radius() -> None:
    region = torch.zeros(3, 9, 9, dtype=torch.bool)
    region[:, 4, 4] = True
    grown = aau.dilate(region, torch.tensor([0, 1, 3]), 3)
    assert grown.flatten(1).sum(1).tolist() == [1, 9, 49]


# --- swaps


@quickly
@given(SHAPES, CLASSES, SEEDS, st.integers(1, 4))
def test_the_band_reaches_as_deep_as_stated(shape, n_classes, seed, depth) -> None:
    labels = blobs(shape, n_classes, seed)
    band = aau.border_band(labels, torch.full((3,), depth), 4)
    for label, found in zip(labels.numpy(), band.numpy(), strict=True):
        assert np.array_equal(found, border_distance(label) <= depth)


@quickly
@given(SHAPES, CLASSES, SEEDS, st.integers(-5, 5).filter(bool))
def test_an_exchange_moves_pairs_and_loses_nothing(shape, n_classes, seed, offset) -> None:
    numbers = torch.arange(math.prod(shape)).view(1, *shape)
    chosen = torch.rand(1, *shape, generator=generator(seed)) < 0.4
    moved = aau.exchange(numbers, chosen, offset, axis=1)
    assert torch.equal(moved.flatten().sort().values, numbers.flatten())
    there = np.argwhere((moved != numbers)[0].numpy())
    for voxel in there:  # what moved stands where its partner stood, `offset` along the axis
        origin = np.unravel_index(int(moved[0][tuple(voxel)]), shape)
        assert tuple(np.delete(origin, 0)) == tuple(np.delete(voxel, 0))
        assert abs(int(origin[0]) - int(voxel[0])) == abs(offset)
        assert int(moved[0][origin]) == int(numbers[0][tuple(voxel)])


@quickly
@given(SHAPES, CLASSES, SEEDS, st.integers(1, 4))
def test_a_swap_keeps_every_class_as_large_as_it_was(shape, n_classes, seed, most) -> None:
    labels = blobs(shape, n_classes, seed)
    swapped = aau.swap(labels, generator(seed), most, share=0.3)
    for before, after in zip(labels, swapped, strict=True):
        counts = [torch.bincount(x.flatten().int(), minlength=n_classes) for x in (before, after)]
        assert torch.equal(*counts)


# --- corruption as a whole


@quickly
@given(SHAPES, CLASSES, SEEDS, st.integers(1, 4))
def test_corruption_keeps_shape_type_and_classes(shape, n_classes, seed, reach) -> None:
    labels = blobs(shape, n_classes, seed)
    before = labels.clone()
    damaged = aau.corrupt(labels, generator(seed), n_classes, reach=reach, probability=1.0)
    assert torch.equal(labels, before)
    assert damaged.shape == labels.shape and damaged.dtype == labels.dtype
    for one, other in zip(labels, damaged, strict=True):
        assert set(other.unique().tolist()) <= {0, *one.unique().tolist()}


@quickly
@given(SHAPES, CLASSES, SEEDS, st.integers(1, 4))
def test_each_corruption_stays_near_the_borders(shape, n_classes, seed, most) -> None:
    labels = blobs(shape, n_classes, seed)
    outcomes = {
        "swap": aau.swap(labels, generator(seed), most, share=0.3),
        "morphology": aau.morphology(labels, generator(seed), n_classes, most),
    }
    for damaged in outcomes.values():
        for before, after in zip(labels.numpy(), damaged.numpy(), strict=True):
            assert (border_distance(before)[before != after] <= most).all()


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_nothing_happens_with_probability_zero_or_on_one_class(shape, n_classes, seed) -> None:
    labels = blobs(shape, n_classes, seed)
    assert torch.equal(aau.corrupt(labels, generator(seed), n_classes, probability=0.0), labels)
    for index in range(n_classes):
        flat = torch.full_like(labels, index)
        assert torch.equal(aau.corrupt(flat, generator(seed), n_classes, probability=1.0), flat)


def test_corruption_does_damage_and_repeats() -> None:
    labels = blobs((16, 16), 4, 0, batch=8)
    first, again, other = (aau.corrupt(labels, generator(s), 4, probability=1.0) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert bool((first != labels).flatten(1).any(dim=1).all())


def test_the_reach_follows_the_released_proportion() -> None:
    assert [aau.usual_reach(patch) for patch in ((144, 144, 96), (64, 64), (32, 48, 32))] == [
        5,
        4,
        2,
    ]


# --- the autoencoder


@pytest.fixture(params=[(16, 24), (8, 16, 8)], ids=["2D", "3D"])
def autoencoder(request) -> object:
    torch.manual_seed(0)
    return aau.Autoencoder(3, request.param, latent=6, width=4).eval()


def maps_for(network: object, seed: int = 0, batch: int = 2) -> Tensor:
    patch = [8 * side for side in network.inner[1:]]
    return aau.one_hot(blobs(tuple(patch), 3, seed, batch), 3)


def test_the_answer_has_the_shape_of_the_question(autoencoder) -> None:
    maps = maps_for(autoencoder)
    assert autoencoder(maps).shape == maps.shape
    assert autoencoder.encode(maps).shape == (2, 6)


def test_the_code_is_all_that_passes(autoencoder) -> None:
    """No skip connection: another map with the code forced to be equal gives an equal answer."""
    first, second = maps_for(autoencoder, 1), maps_for(autoencoder, 2)
    assert not torch.allclose(autoencoder(first), autoencoder(second))
    code = autoencoder.encode(first)
    autoencoder.encode = lambda maps: code
    assert torch.equal(autoencoder(first), autoencoder(second))
    autoencoder.encode = lambda maps: code + 1
    assert not torch.allclose(autoencoder(first), autoencoder.decode(code))


def test_every_voxel_of_the_map_reaches_the_code(autoencoder) -> None:
    maps = maps_for(autoencoder).requires_grad_(True)
    autoencoder.encode(maps).square().sum().backward()
    assert bool((maps.grad.abs().amax(dim=1) > 0).float().mean() > 0.95)


def test_it_repeats_itself_unless_the_code_is_noisy(autoencoder) -> None:
    maps = maps_for(autoencoder)
    assert torch.equal(autoencoder(maps), autoencoder(maps))
    autoencoder.noise = 0.1
    assert not torch.equal(autoencoder(maps), autoencoder(maps))


def test_relabelling_only_permutes_the_input_channels(autoencoder) -> None:
    maps, order = maps_for(autoencoder), [2, 0, 1]
    before = autoencoder.encode(maps)
    first = autoencoder.encoder[0][0]
    with torch.no_grad():
        first.weight.copy_(first.weight[:, order].clone())
    assert torch.allclose(autoencoder.encode(maps[:, order]), before, atol=1e-6)


def test_ordinal_input_puts_class_one_between_zero_and_two() -> None:
    torch.manual_seed(0)
    network = aau.Autoencoder(3, (16, 16), ordinal=True).eval()
    one = torch.full((1, 16, 16), 1)
    blend = 0.5 * (aau.one_hot(0 * one, 3) + aau.one_hot(2 * one, 3))
    assert torch.allclose(network(aau.one_hot(one, 3)), network(blend), atol=1e-6)


@pytest.mark.parametrize("squares", [False, True])
def test_denoising_asks_for_the_undamaged_map(autoencoder, squares) -> None:
    patch = tuple(8 * side for side in autoencoder.inner[1:])
    labels = blobs(patch, 3, 0)
    batch = Batch(torch.zeros(3, 1, *patch), labels, torch.zeros(0, 1, *patch))
    moment = Moment(0, 10, generator(1), SimpleNamespace(flip_axes=()))
    networks = Networks((autoencoder,))
    output = aau.denoising_step(networks, batch, moment, squares=squares)
    assert output.maps["labels"].shape == output.maps["damaged"].shape == labels.shape
    assert bool((output.maps["labels"] != output.maps["damaged"]).any())
    perfect = aau.one_hot(output.maps["labels"], 3) * 40 - 20
    again = Moment(0, 10, generator(1), SimpleNamespace(flip_axes=()))
    exact = type("Exact", (), {"n_classes": 3, "__call__": lambda self, maps: perfect})()
    best = aau.denoising_step(SimpleNamespace(student=exact), batch, again, squares=squares)
    assert best.losses["reconstruction"] < 1e-3 < output.losses["reconstruction"]


def test_a_short_training_repairs_maps_it_never_saw() -> None:
    """Half-size phantoms, four label maps, a few seconds: repaired beats damaged on others."""
    cohort = phantom_cohort(4, 2)

    def coarse(case: Case) -> Case:
        return replace(case, image=case.image[:, ::2, ::2], label=case.label[:, ::2, ::2])

    patches = Patches([coarse(case) for case in cohort.labelled], 2, (32, 32), torch.device("cpu"))
    torch.manual_seed(0)
    network = aau.Autoencoder(4, (32, 32), latent=32)
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for iteration in range(250):
        images, labels = patches.draw(16, 0, "labelled", iteration)
        moment = Moment(iteration, 250, generator(iteration), SimpleNamespace(flip_axes=()))
        batch = Batch(images, labels, images[:0])
        loss = aau.denoising_step(Networks((network,)), batch, moment).losses
        optimiser.zero_grad()
        loss["reconstruction"].backward()
        optimiser.step()
    network.eval()
    held_out = torch.stack([torch.from_numpy(coarse(c).label.copy()) for c in cohort.validation])
    held_out = held_out.flatten(0, 1)
    damaged = aau.corrupt(held_out, generator(0), 4, reach=4, probability=1.0)
    clean, repaired = (network(aau.one_hot(x, 4)).argmax(1) for x in (held_out, damaged))

    def dice(found: Tensor) -> float:
        pairs = [(found == index, held_out == index) for index in range(1, 4)]
        return float(sum(2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs) / 3)

    assert dice(clean) > 0.6
    assert dice(repaired) > dice(damaged) + 0.02


# --- uncertainty and weight


def probabilities(shape, n_classes, seed) -> Tensor:
    return torch.randn(2, n_classes, *shape, generator=generator(seed)).mul(3).softmax(1)


@quickly
@given(SHAPES, CLASSES, SEEDS, st.floats(0, 20))
def test_uncertainty_and_weight_stay_in_their_ranges(shape, n_classes, seed, gamma) -> None:
    prediction = probabilities(shape, n_classes, seed)
    projection = torch.rand(prediction.shape, generator=generator(seed + 1))
    each = aau.distance(projection, prediction, per_class=True)
    total = aau.distance(projection, prediction)
    assert each.shape == prediction.shape and total.shape == (2, 1, *shape)
    assert each.min() >= 0 and each.max() <= 1
    assert torch.allclose(each.sum(1, keepdim=True), total)
    weight = aau.trust(each, gamma)
    assert weight.min() >= math.exp(-gamma) - 1e-6 and weight.max() <= 1
    assert aau.distance(prediction, prediction).abs().max() == 0


@quickly
@given(SHAPES, CLASSES, SEEDS, st.floats(0.1, 20))
def test_a_constant_added_to_the_uncertainty_changes_nothing(shape, n_classes, seed, gamma) -> None:
    logits = torch.randn(2, n_classes, *shape, generator=generator(seed))
    target = probabilities(shape, n_classes, seed + 1)
    uncertainty = torch.rand(2, 1, *shape, generator=generator(seed + 2))
    losses = [
        classic.weighted_consistency(logits, target, aau.trust(uncertainty + c, gamma))
        for c in (0, 0.5)
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-4)


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_gamma_zero_is_the_mean_teachers_consistency(shape, n_classes, seed) -> None:
    logits = torch.randn(2, n_classes, *shape, generator=generator(seed))
    target = probabilities(shape, n_classes, seed + 1)
    weight = aau.trust(torch.rand(2, 1, *shape), 0.0)
    expected = baselines.consistency_loss(logits, target)
    assert torch.equal(classic.weighted_consistency(logits, target, weight), expected)
    assert torch.equal(
        classic.weighted_consistency(logits, target, weight, half=True), expected / 2
    )


def test_the_loss_is_the_formula() -> None:
    logits = torch.randn(2, 3, 5, 4, generator=generator(0))
    target, uncertainty = (
        probabilities((5, 4), 3, 1),
        torch.rand(2, 1, 5, 4, generator=generator(2)),
    )
    weight = (-2.0 * uncertainty).exp()
    errors = (logits.softmax(1) - target).square().sum(1, keepdim=True)
    expected = (weight * errors).sum() / (3 * weight.sum())
    found = classic.weighted_consistency(logits, target, aau.trust(uncertainty, 2.0))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_no_weight_at_all_teaches_nothing() -> None:
    logits, target = torch.randn(1, 2, 4, 4), probabilities((4, 4), 2, 0)[:1]
    assert classic.weighted_consistency(logits, target, torch.zeros(1, 1, 4, 4)) == 0


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_entropy_lies_between_certainty_and_no_idea(shape, n_classes, seed) -> None:
    uncertainty = classic.entropy(probabilities(shape, n_classes, seed))
    assert uncertainty.min() > -1e-4 and uncertainty.max() <= math.log(n_classes) + 1e-6
    sure = aau.one_hot(blobs(shape, n_classes, seed), n_classes)
    assert classic.entropy(sure).abs().max() < 1e-4


def test_the_gate_opens_over_training() -> None:
    gates = [
        classic.entropy_gate(Moment(i, 100, generator(0)), 4) / math.log(4) for i in (0, 50, 100)
    ]
    assert gates[0] == pytest.approx(0.75, abs=0.005) and gates[-1] == pytest.approx(1.0)
    assert gates == sorted(gates)
    assert classic.entropy_gate(Moment(100, 100, generator(0)), 4, ln2=True) == pytest.approx(
        math.log(2)
    )


# --- the steps


@pytest.fixture(params=[(16, 24), (8, 16, 8)], ids=["2D", "3D"])
def trial(request) -> SimpleNamespace:
    """Networks with dropout, one batch and a moment in the middle of training."""
    shape, random = request.param, generator(0)
    student, other = (
        build_network("small", dimensions=len(shape), n_classes=3, width=4, seed=s) for s in (0, 1)
    )
    torch.manual_seed(0)
    autoencoder = aau.Autoencoder(3, shape, latent=6, width=4).eval().requires_grad_(False)
    labels = torch.randint(3, (4, *shape), generator=random).byte()
    images, unlabelled = torch.randn(2, 4, 1, *shape, generator=random)
    chosen = SimpleNamespace(flip_axes=(), consistency_weight=10.0, ramp=0.3)
    return SimpleNamespace(
        networks=Networks((student,), make_teacher(other), {"autoencoder": autoencoder}),
        batch=Batch(images, labels, unlabelled),
        moment=lambda: Moment(5, 10, generator(1), chosen),
    )


class Answering(torch.nn.Module):
    """A function in the place of a network."""

    def __init__(self, answer: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, maps: Tensor) -> Tensor:
        return self.answer(maps)


def run(trial: SimpleNamespace, step: object) -> tuple[dict[str, Tensor], list[Tensor], dict]:
    """Losses, gradients and maps of a step from the same random state."""
    torch.manual_seed(0)
    trial.networks.student.zero_grad()
    output = step(trial.networks, trial.batch, trial.moment())
    sum(output.losses.values()).backward()
    gradients = [weight.grad.clone() for weight in trial.networks.student.parameters()]
    return output.losses, gradients, output.maps


def same(trial: SimpleNamespace, one: object, other: object) -> bool:
    (first, slopes, _), (second, others, _) = run(trial, one), run(trial, other)
    equal = all(torch.equal(first[name], second[name]) for name in first)
    return equal and all(map(torch.equal, slopes, others))


def test_gamma_zero_is_the_mean_teacher_bit_for_bit(trial) -> None:
    assert same(trial, partial(aau.aau_step, gamma=0.0), baselines.mean_teacher_step)
    assert not same(trial, aau.aau_step, baselines.mean_teacher_step)


def test_an_open_gate_is_the_mean_teacher_bit_for_bit(trial, monkeypatch) -> None:
    monkeypatch.setattr(classic, "entropy_gate", lambda *_: math.inf)
    assert same(trial, classic.ua_mt_step, baselines.mean_teacher_step)


def test_the_gate_keeps_only_voxels_that_the_passes_agree_on(trial, monkeypatch) -> None:
    gate = float(run(trial, classic.ua_mt_step)[2]["uncertainty"].median())
    monkeypatch.setattr(classic, "entropy_gate", lambda *_: gate)
    maps = run(trial, classic.ua_mt_step)[2]
    kept = maps["clean weight"] == 1
    assert kept.any() and not kept.all()
    assert maps["uncertainty"][kept].max() < gate <= maps["uncertainty"][~kept].min()


@pytest.mark.parametrize("step", [aau.aau_step, classic.ua_mt_step])
def test_no_gradient_reaches_teacher_or_autoencoder(trial, step) -> None:
    networks = trial.networks
    networks.teacher.requires_grad_(True)
    networks.autoencoder.requires_grad_(True)
    maps = run(trial, step)[2]
    frozen = (*networks.teacher.parameters(), *networks.autoencoder.parameters())
    assert all(weight.grad is None for weight in frozen)
    assert not any(values.requires_grad for values in maps.values())


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("hard", [False, True])
def test_the_weight_is_pasted_like_the_answer(trial, per_class, hard) -> None:
    """A projection that is 1/2 everywhere makes U a function of the answer, voxel by voxel."""
    trial.networks.frozen["autoencoder"] = Answering(torch.zeros_like)
    options = {"gamma": 3.0, "per_class": per_class, "hard": hard}
    maps = run(trial, partial(aau.aau_step, **options))[2]
    half = torch.full_like(maps["target"], 0.5)
    expected = aau.trust(aau.distance(half, maps["target"], per_class=per_class), 3.0)
    assert torch.allclose(maps["weight"], expected)
    assert bool(maps["boxes"].any()) and not bool(maps["boxes"].all())


def test_the_autoencoder_is_shown_the_winner_unless_soft(trial) -> None:
    shown = []
    trial.networks.frozen["autoencoder"] = Answering(lambda maps: shown.append(maps) or maps)
    run(trial, aau.aau_step)
    run(trial, partial(aau.aau_step, hard=False))
    assert set(shown[0].unique().tolist()) == {0.0, 1.0}
    assert len(shown[1].unique()) > 2
    assert torch.equal(shown[0].argmax(1), shown[1].argmax(1))


def test_halving_halves_the_consistency_alone(trial) -> None:
    whole, half = (run(trial, partial(aau.aau_step, half=flag))[0] for flag in (False, True))
    assert torch.equal(whole["supervised"], half["supervised"])
    assert half["consistency"].item() == pytest.approx(whole["consistency"].item() / 2)


# --- dropout passes


def test_passes_differ_by_dropout_and_noise_and_are_probabilities(trial) -> None:
    network, images = trial.networks.student, trial.batch.images
    answers = classic.noisy_passes(network, images, 5, generator(0))
    assert answers.shape == (5, 4, 3, *images.shape[2:]) and not answers.requires_grad
    assert torch.allclose(answers.sum(2), torch.ones(()))
    assert not torch.allclose(answers[0], answers[1])
    network.eval()
    quiet = classic.noisy_passes(network, images, 2, generator(0), noise=0.0)
    assert torch.allclose(*quiet, atol=1e-6)


def test_uncertainties_at_test_time_leave_every_mode_as_it_was(trial) -> None:
    network, autoencoder = trial.networks.student, trial.networks.autoencoder
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    images = trial.batch.images
    prediction, projection, maps = aau.uncertainties(network, autoencoder, images, generator(0))
    torch.rand(3)  # what was drawn elsewhere does not matter
    again = aau.uncertainties(network, autoencoder, images, generator(0))[2]
    assert all(torch.equal(maps[name], again[name]) for name in maps)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert set(maps) == {"U", "entropy", "1 − max p"}
    assert all(values.shape == images[:, 0].shape for values in maps.values())
    assert projection.shape == prediction.shape


# --- defects and their trial


@quickly
@given(st.lists(st.integers(10, 24), min_size=2, max_size=3).map(tuple), CLASSES, SEEDS)
def test_defects_are_what_they_are_called(shape, n_classes, seed) -> None:
    label = np.zeros(shape, np.uint8)
    middle = tuple(slice(side // 2 - 2, side // 2 + 2) for side in shape)
    label[middle] = n_classes - 1
    broken = aau.defects(label, np.random.default_rng(seed))
    hole, blob, lobe = (broken[name] for name in ("hole", "far blob", "missing lobe"))
    assert ((hole == label) | (hole == 0)).all() and (hole != label).any()
    assert ((lobe == label) | (lobe == 0)).all() and (lobe != label).any() and lobe.any()
    assert (blob[label > 0] == label[label > 0]).all() and (blob != label).any()
    assert {*np.unique(blob)} <= {*np.unique(label)}


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_a_pasted_defect_is_as_sure_as_what_it_replaces(shape, n_classes, seed) -> None:
    prediction = probabilities(shape, n_classes, seed)
    labels = blobs(shape, n_classes, seed, batch=2)
    changed = aau.relabel(prediction, labels)
    assert torch.equal(changed.argmax(1), labels.long())
    assert torch.equal(changed.sort(dim=1).values, prediction.sort(dim=1).values)


@quickly
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30))
def test_auroc_counts_pairs(voxels) -> None:
    score, wrong = np.array(voxels).T
    found = aau.auroc(score, wrong)
    right, bad = score[wrong == 0], score[wrong == 1]
    if not len(right) or not len(bad):
        assert math.isnan(found)
        return
    pairs = [(b > r) + 0.5 * (b == r) for r, b in product(right, bad)]
    assert found == pytest.approx(np.mean(pairs))
    assert aau.auroc(np.exp(score / 3), wrong) == pytest.approx(found)
    assert aau.auroc(-score, wrong) == pytest.approx(1 - found)
