"""The newer ideas of notebook 08: identities with known rows, and what their formulas promise."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy import ndimage
from torch import Generator

from ssl_lib.config import settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.decisions import shortfalls, validation_dice
from ssl_lib.evaluation.results import read_rows
from ssl_lib.methods import METHODS, baselines, newer
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import Batch, generator_at
from ssl_lib.training.loop import Moment
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
SEEDS = st.integers(0, 2**31)
quickly = examples(max_examples=20, deadline=None)
STEPS = {
    "hard_labels": newer.hard_label_step,
    "cw_bass": newer.cw_bass_step,
    "unimatch": newer.unimatch_step,
    "tracoco": newer.tracoco_step,
    "adawac": newer.adawac_step,
}


def losses_of(step, networks, batch, moment):
    torch.manual_seed(0)
    return step(networks, batch, replace(moment, generator=generator_at(CPU, "moment"))).losses


def gradients(step, networks, batch, moment) -> list[torch.Tensor]:
    networks.student.zero_grad()
    sum(losses_of(step, networks, batch, moment).values()).backward()
    return [weight.grad.clone() for weight in networks.student.parameters()]


def sure(networks: SimpleNamespace) -> SimpleNamespace:
    """The same networks with a teacher whose confidence is 1 almost everywhere."""
    return SimpleNamespace(student=networks.student, teacher=lambda x: 1e6 * networks.teacher(x))


# --- every step


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_with_weight_zero_it_is_the_strong_baseline(step, scene) -> None:
    networks, batch, moment = scene
    supervised = gradients(baselines.supervised_step, networks, batch, moment)
    without = gradients(partial(step, weight=0.0), networks, batch, moment)
    with_idea = gradients(step, sure(networks), batch, moment)
    assert all(map(torch.equal, supervised, without))
    assert not all(map(torch.equal, supervised, with_idea))


@pytest.mark.parametrize("step", [*STEPS.values(), newer.soft_label_step])
def test_the_teacher_receives_no_gradient(step, scene) -> None:
    networks, batch, moment = scene
    networks.teacher.requires_grad_(True)  # so that the step alone protects it
    sum(losses_of(step, networks, batch, moment).values()).backward()
    assert all(weight.grad is None for weight in networks.teacher.parameters())


@pytest.mark.parametrize(
    "name", [name for name, one in METHODS.items() if one.notebook[:2] == "08"]
)
def test_a_method_without_a_published_schedule_is_refused_at_the_papers_profile(name) -> None:
    cohort = replace(phantom_cohort(2, max_scans=8), name="acdc")
    study = Study(cohort, settings_for("paper", cohort), "paper", 0, CPU)
    with pytest.raises(InputError, match=f"'{name}' has no published schedule"):
        study.train(METHODS[name])


@pytest.mark.parametrize("step", [*STEPS.values(), partial(newer.soft_label_step, hard=1.0)])
@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_every_step_takes_channels_thin_volumes_margins_and_half_precision(step, margin) -> None:
    cohort = phantom_cohort(2, 3, max_scans=4)
    moment_settings = replace(settings_for("smoke", cohort), patch=(16, 16, 8), margin=margin)
    build = partial(build_network, "small", dimensions=3, n_classes=2, width=4, channels=2)
    networks = Networks((build(seed=1),), make_teacher(build(seed=2)))
    random = generator_at(CPU, "thin")
    sides = (24, 24, 12) if margin else (16, 16, 8)
    images = torch.randn(2, 2, 2, *sides, generator=random)
    labels = torch.randint(2, (2, *sides), generator=random, dtype=torch.uint8)
    batch = Batch(images[0], labels, images[1])
    with torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(step, networks, batch, Moment(3, 4, random, moment_settings))
    assert all(torch.isfinite(loss) and loss.dtype == torch.float32 for loss in losses.values())


# --- identities between steps


def test_one_view_of_the_soft_label_step_is_the_mean_teacher(scene) -> None:
    networks, batch, moment = scene
    plain = partial(newer.soft_label_step, soft=0.0, squared=1.0)
    expected = losses_of(baselines.mean_teacher_step, networks, batch, moment)
    found = losses_of(plain, networks, batch, moment)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-6)


def test_with_hard_labels_alone_the_soft_label_step_is_their_row(scene) -> None:
    networks, batch, moment = scene
    alone = partial(newer.soft_label_step, soft=0.0, hard=1.0)
    plain = partial(newer.hard_label_step, components=False)
    found = losses_of(alone, networks, batch, moment)
    assert list(found.values()) == list(losses_of(plain, networks, batch, moment).values())


@quickly
@given(SEEDS, st.integers(2, 4))
def test_the_soft_loss_is_least_where_both_agree(seed, n_classes) -> None:
    random = Generator().manual_seed(seed)
    logits = torch.randn(2, n_classes, 4, 5, generator=random, dtype=torch.float64).requires_grad_()
    target = logits.detach().float().softmax(dim=1)
    loss = newer.soft_segmentation_loss(logits, target)
    loss.backward()
    assert logits.grad.abs().max() < 1e-6
    other = torch.randn(2, n_classes, 4, 5, generator=random)
    assert newer.soft_segmentation_loss(other, target) > loss
    hard = target.argmax(dim=1)
    given_labels = newer.soft_segmentation_loss(other, newer.one_hot(hard, n_classes))
    plain = newer.segmentation_loss(other, hard)
    assert given_labels.item() == pytest.approx(plain.item(), rel=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        partial(newer.cw_bass_step, power=0.0, border=0.0),
        partial(newer.unimatch_step, views=1, perturb=False),
    ],
    ids=["cw_bass", "unimatch"],
)
def test_a_sure_teacher_makes_it_plain_hard_labels(step, scene) -> None:
    networks, batch, moment = scene
    plain = partial(newer.hard_label_step, components=False)
    expected = losses_of(plain, sure(networks), batch, moment)
    found = losses_of(step, sure(networks), batch, moment)
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-4)


def test_an_unsure_teacher_teaches_nothing_above_the_threshold(scene) -> None:
    networks, batch, moment = scene
    unsure = SimpleNamespace(student=networks.student, teacher=lambda x: 0 * networks.teacher(x))
    step = partial(newer.unimatch_step, perturb=False)
    supervised = gradients(baselines.supervised_step, networks, batch, moment)
    assert all(map(torch.equal, supervised, gradients(step, unsure, batch, moment)))


# --- hard labels and views


@quickly
@given(SEEDS, st.integers(2, 4))
def test_the_likeliest_class_and_its_probability(seed, n_classes) -> None:
    random = Generator().manual_seed(seed)
    q = torch.rand(2, n_classes, 7, 6, generator=random).softmax(dim=1)
    labels, confidence = newer.hard_labels(q)
    chosen = q.gather(1, labels.long().unsqueeze(1)).squeeze(1)
    assert torch.equal(chosen, confidence) and (confidence >= q.amax(dim=1)).all()
    for one in newer.hard_labels(q, components=True)[0]:
        for index in range(1, n_classes):
            assert ndimage.label(one.numpy() == index, torch.ones(3, 3).numpy())[1] <= 1


@quickly
@given(SEEDS, st.integers(1, 3), st.sampled_from([(8, 9), (6, 5, 7)]))
def test_every_view_carries_every_map_along(seed, count, space) -> None:
    random = Generator().manual_seed(seed)
    owner = torch.arange(3).view(3, *[1] * len(space)).expand(3, *space).contiguous()
    with patch.object(newer, "random_appearance", lambda images, generator: images):
        views, first, second = newer.strong_views(
            owner.unsqueeze(1).float(), [owner, owner.float()], random, count
        )
    assert len(views) == len(first) == 3 * count
    assert torch.equal(first.float(), second) and torch.equal(views[:, 0], second)
    own = torch.arange(3 * count).view(-1, *[1] * len(space)) % 3
    neighbour = torch.roll(own, 1, 0)
    assert ((first == own) | (first == neighbour)).all()
    assert (first != own).flatten(1).any(dim=1).all(), "every view got a box"


# --- confidence weights


@quickly
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_threshold_rises_with_confidence_within_its_bounds(one, other) -> None:
    low, high = (newer.dynamic_threshold(torch.tensor([c])) for c in sorted((one, other)))
    assert 0.3 <= low <= high <= 0.8
    released = newer.dynamic_threshold(torch.tensor([one]), scale=0.6)
    assert 0.3 <= released <= 0.3374, "the released constants keep every voxel of two classes"


def test_a_border_is_one_voxel_wide_on_either_side() -> None:
    flat = torch.zeros(1, 6, 6, dtype=torch.uint8)
    assert not newer.at_border(flat, 3).any()
    flat[:, :, 3:] = 2
    assert newer.at_border(flat, 3).sum(dim=(0, 1)).tolist() == [0, 0, 6, 6, 0, 0]
    volume = torch.zeros(1, 5, 5, 5, dtype=torch.uint8)
    volume[0, 2, 2, 2] = 1
    assert newer.at_border(volume, 2).sum() == 27


# --- perturbed features


def test_features_are_perturbed_inside_only_and_keep_their_mean(scene) -> None:
    networks, batch, _ = scene
    student = networks.student.eval()
    before = student(batch.unlabelled)
    with pytest.raises(ZeroDivisionError), newer.perturbed_features(student, Generator()):
        assert not torch.equal(student(batch.unlabelled), before)
        raise ZeroDivisionError
    assert torch.equal(student(batch.unlabelled), before)
    with newer.perturbed_features(student, Generator(), rate=0.0):
        assert torch.equal(student(batch.unlabelled), before)
    averages = [
        buffer.clone() for buffer in student.train().buffers() if buffer.is_floating_point()
    ]
    with newer.perturbed_features(student, Generator()):
        student(batch.unlabelled)
    floating = [buffer for buffer in student.buffers() if buffer.is_floating_point()]
    assert all(map(torch.equal, averages, floating)), "the running averages are left alone"
    student(batch.unlabelled)
    assert not all(map(torch.equal, averages, floating)), "and go on afterwards"
    layer = torch.nn.Module()
    layer.encoder = torch.nn.ModuleList([torch.nn.Identity()])
    with newer.perturbed_features(layer, Generator().manual_seed(0)):
        dropped = layer.encoder[0](torch.ones(64, 64, 2, 2))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.05)


# --- two crops


@quickly
@given(st.lists(st.integers(2, 9), min_size=2, max_size=3), SEEDS)
def test_a_crop_returns_to_its_place(space, seed) -> None:
    random = Generator().manual_seed(seed)
    size = [max(1, side - 2) for side in space]
    places = newer.random_places(space, size, random, "cpu")
    whole = torch.randn(2, 3, *space, generator=random)
    part = newer.crop(whole, places)
    assert part.shape == (2, 3, *size)
    back = newer.back_in_place(part, places, space)
    shown = newer.back_in_place(torch.ones_like(part), places, space).bool()
    assert torch.equal(back[shown], whole[shown]) and not back[~shown].any()


@quickly
@given(st.lists(st.integers(1, 20).map(lambda n: 8 * n), min_size=2, max_size=3))
def test_a_crop_fits_the_network_and_the_patch(space) -> None:
    size = newer.crop_size(space, 8)
    assert all(
        0 < length <= side and length % 8 == 0 for length, side in zip(size, space, strict=True)
    )


@quickly
@given(SEEDS, st.integers(2, 4))
def test_the_translation_terms_see_the_overlap_alone(seed, n_classes) -> None:
    random = Generator().manual_seed(seed)
    whole = torch.randn(2, n_classes, 8, 8, generator=random)
    places = [
        [torch.arange(0, 6), torch.arange(1, 7)],
        [torch.arange(2, 8), torch.arange(0, 6)],
    ]
    logits = [newer.crop(whole, place) for place in places]
    same, surprise = newer.translation_terms(logits, places, (8, 8))
    assert float(same) == pytest.approx(0.0, abs=1e-6)
    assert -math.log(n_classes) - 1e-5 <= float(surprise) <= 0
    outside = [logits[0].clone(), logits[1].clone()]
    outside[0][:, :, 0] += 5 * torch.randn(2, n_classes, 6, generator=random)  # row 0: only in A
    again, _ = newer.translation_terms(outside, places, (8, 8))
    assert float(again) == pytest.approx(0.0, abs=1e-6)
    outside[0][:, 0, 3] += 3.0  # row 3 is in both
    changed, _ = newer.translation_terms(outside, places, (8, 8))
    assert changed > 1e-4


def test_the_translation_terms_are_those_of_pencil_and_paper() -> None:
    sure, unsure = (torch.tensor(p).view(1, 2, 1, 1).expand(1, 2, 2, 2).log() for p in
                    ([0.9, 0.1], [0.5, 0.5]))  # fmt: skip
    everywhere = [[torch.arange(2), torch.arange(2)]] * 2
    translation, negative_entropy = newer.translation_terms([sure, unsure], everywhere, (2, 2))
    assert translation.item() == pytest.approx(0.5108, abs=1e-3)
    assert negative_entropy.item() == pytest.approx(-0.5091, abs=1e-3)


# --- adaptive weights


@quickly
@given(st.floats(-3, 3), st.floats(0, 10))
def test_the_larger_loss_gets_the_larger_weight(gap, rate) -> None:
    loss = torch.tensor([gap], requires_grad=True)
    share = newer.adaptive_weights(loss, torch.zeros(1), rate)
    both = torch.tensor([0.5 * math.exp(rate * gap), 0.5])  # one mirror step from one half each
    assert float(share) == pytest.approx(float(both[0] / both.sum()), abs=1e-5)
    assert not share.requires_grad
    assert rate * abs(gap) < 1e-3 or (share > 0.5).item() == (gap > 0)


def test_the_recommended_row_is_the_one_that_the_stored_validation_scans_choose() -> None:
    """The rule of notebook 08 on the committed rows of its cohorts, no test scan read."""
    script = (ROOT / "notebooks" / "08_newer_ideas.py").read_text()
    cohorts, family = (literal_in(script, name) for name in ("COHORTS", "FAMILY"))
    runs = {name: read_rows(ROOT / "reports" / "results", *key) for name, key in cohorts.items()}
    chosen, *others = shortfalls(
        {name: validation_dice(found, family) for name, found in runs.items()}
    )
    assert others, "a choice among one is none"
    assert chosen == "recommended"


def literal_in(script: str, name: str) -> object:
    """The value that a notebook's script gives to a name in one line of literals."""
    for statement in ast.parse(script).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return ast.literal_eval(value)
    raise AssertionError(f"no cell sets {name}")
