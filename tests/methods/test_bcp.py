"""Bidirectional copy-paste: what must hold for every shape, in 2D and 3D."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_study
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Generator, Tensor

from ssl_lib.methods import METHODS, bcp
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import Batch
from ssl_lib.training.loop import Moment
from ssl_lib.training.losses import dice_linear, dice_squared_all, one_hot, segmentation_loss

SHAPES = st.lists(st.integers(3, 12), min_size=2, max_size=3).map(tuple)
SIDES = st.floats(0.0, 1.0)
SEEDS = st.integers(0, 2**31)
CLASSES = st.integers(2, 4)
quickly = settings(max_examples=25, deadline=None)


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def random_case(shape: tuple[int, ...], n_classes: int, seed: int, batch: int = 2) -> tuple:
    """Logits, two label maps and a mask with both regions."""
    random = generator(seed)
    logits = torch.randn(batch, n_classes, *shape, generator=random)
    labels = [torch.randint(n_classes, (batch, *shape), generator=random) for _ in range(2)]
    mask = bcp.copy_paste_mask(shape, random, "cpu")
    return logits, *labels, mask


def two_regions(logits: Tensor, *rest: object, **options: object) -> Tensor:
    return sum(bcp.two_region_loss(logits, *rest, **options))


def gradient(loss: object, logits: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_(True)
    loss(leaf).backward()
    return leaf.grad


# --- the mask


@quickly
@given(SHAPES, SIDES, SEEDS)
def test_a_box_has_exactly_as_many_zeros_as_the_formula_says(shape, beta, seed) -> None:
    mask = bcp.copy_paste_mask(shape, generator(seed), "cpu", beta=beta)
    assert mask.shape == shape and set(mask.unique().tolist()) <= {0.0, 1.0}
    expected = math.prod(math.floor(beta * side + 1e-9) for side in shape)
    assert int((mask == 0).sum()) == expected


@quickly
@given(SHAPES, SEEDS, st.sampled_from(["box", "boxes", "band"]), st.booleans())
def test_the_ends_paste_nothing_and_everything(shape, seed, kind, exclusive) -> None:
    nothing = bcp.copy_paste_mask(shape, generator(seed), "cpu", beta=0.0, kind=kind)
    everything = bcp.copy_paste_mask(shape, generator(seed), "cpu", beta=1.0, kind=kind)
    assert bool((nothing == 1).all()) and bool((everything == 0).all())
    if kind == "box":
        options = {"beta": 1.0, "exclusive": exclusive}
        assert not bcp.copy_paste_mask(shape, generator(seed), "cpu", **options).any()


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_box_reaches_the_last_voxel_unless_the_released_bound_is_asked_for(exclusive) -> None:
    draw = partial(bcp.interval, 6, 0.5, device="cpu", exclusive=exclusive)
    starts = {int(draw(generator=generator(seed)).argmax()) for seed in range(200)}
    assert starts == set(range(3 if exclusive else 4))


def test_the_zeros_of_a_box_are_one_box() -> None:
    pasted = bcp.copy_paste_mask((9, 10, 11), generator(3), "cpu").numpy() == 0
    (box,) = ndimage.find_objects(pasted.astype(int))
    assert pasted[box].all() and pasted[box].shape == (6, 6, 7)


def test_the_other_kinds_zero_the_same_share_in_other_shapes() -> None:
    boxes = bcp.copy_paste_mask((36, 36), generator(0), "cpu", kind="boxes").numpy() == 0
    band = bcp.copy_paste_mask((36, 36), generator(0), "cpu", kind="band").numpy() == 0
    assert boxes.mean() == pytest.approx(4 / 9) and band.mean() == pytest.approx(4 / 9)
    assert len(set(boxes.sum(axis=0))) == 2 and set(band.sum(axis=1)) == {0, 36}


# --- mixing


@quickly
@given(SHAPES, SEEDS)
def test_a_mixed_pair_loses_no_voxel(shape, seed) -> None:
    random = generator(seed)
    first, second = torch.randn(2, 3, 1, *shape, generator=random)
    mask = bcp.copy_paste_mask(shape, random, "cpu")
    inward, outward = bcp.mix(first, second, mask), bcp.mix(second, first, mask)
    assert torch.equal(inward[:, 0][:, mask == 1], first[:, 0][:, mask == 1])
    assert torch.equal(inward[:, 0][:, mask == 0], second[:, 0][:, mask == 0])
    assert torch.equal(inward + outward, first + second)


@quickly
@given(SHAPES, CLASSES, SEEDS, st.booleans())
def test_each_mixture_takes_its_images_and_labels_from_the_named_sources(
    shape, n_classes, seed, halves
) -> None:
    random = generator(seed)
    images, unlabelled = torch.randn(2, 4, 1, *shape, generator=random)
    labels, guess = torch.randint(n_classes, (2, 4, *shape), generator=random)
    mask = bcp.copy_paste_mask(shape, random, "cpu")
    both = bcp.mixtures((images, labels), (unlabelled, guess), mask, halves)
    for direction, (mixed, kept, pasted) in both.items():
        true = mask == (1 if direction == "inward" else 0)
        own, other = (kept, pasted) if direction == "inward" else (pasted, kept)
        assert len(mixed) == (2 if halves else 4)
        for position in range(len(mixed)):
            known = [torch.equal(own[position], label) for label in labels].index(True)
            unknown = [torch.equal(other[position], label) for label in guess].index(True)
            assert torch.equal(mixed[position, 0][true], images[known, 0][true])
            assert torch.equal(mixed[position, 0][~true], unlabelled[unknown, 0][~true])


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_a_mixed_label_has_no_class_that_both_sources_lack(shape, n_classes, seed) -> None:
    _, first, second, mask = random_case(shape, n_classes, seed)
    mixed = bcp.mix(first, second, mask)
    assert mixed.dtype == first.dtype
    for one, other, both in zip(first, second, mixed, strict=True):
        assert set(both.unique().tolist()) <= {*one.unique().tolist(), *other.unique().tolist()}


# --- the loss of two regions


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_a_mask_of_ones_is_the_supervised_loss(shape, n_classes, seed) -> None:
    logits, first, second, mask = random_case(shape, n_classes, seed)
    loss = two_regions(logits, first, second, torch.ones_like(mask), (1.0, 0.5))
    assert loss.item() == pytest.approx(segmentation_loss(logits, first).item(), abs=1e-6)


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_swapping_mask_labels_and_weights_changes_nothing(shape, n_classes, seed) -> None:
    logits, first, second, mask = random_case(shape, n_classes, seed)
    there = two_regions(logits, first, second, mask, (1.0, 0.5))
    back = two_regions(logits, second, first, 1 - mask, (0.5, 1.0))
    assert there.item() == pytest.approx(back.item(), abs=1e-6)


@quickly
@given(SHAPES, CLASSES, SEEDS, st.sampled_from([dice_squared_all, dice_linear]))
def test_alpha_zero_leaves_the_guessed_region_without_gradient(
    shape, n_classes, seed, dice
) -> None:
    logits, first, second, mask = random_case(shape, n_classes, seed)
    options = {"dice": dice}
    slope = gradient(lambda z: two_regions(z, first, second, mask, (1.0, 0.0), **options), logits)
    assert slope[:, :, mask == 0].abs().max() == 0
    assert slope[:, :, mask == 1].abs().max() > 0


def test_the_released_background_pulls_in_the_guessed_region_even_at_alpha_zero() -> None:
    logits, first, second, mask = random_case((8, 8), 3, 0)
    options = {"dice": bcp.dice_of_whole_background}
    slope = gradient(lambda z: two_regions(z, first, second, mask, (1.0, 0.0), **options), logits)
    assert slope[:, :, mask == 0].abs().max() > 0


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_the_released_background_ignores_the_region_and_no_other_class_does(
    shape, n_classes, seed
) -> None:
    logits, first, _, mask = random_case(shape, n_classes, seed)
    p, t, region = logits.softmax(1), one_hot(first, n_classes), mask.expand_as(first)
    background = dice_squared_all(p[:, :1], t[:, :1])
    others = dice_squared_all(p[:, 1:], t[:, 1:], region)
    expected = (background + (n_classes - 1) * others) / n_classes
    found = bcp.dice_of_whole_background(p, t, region)
    assert found.item() == pytest.approx(expected.item(), abs=1e-4)


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_a_perfect_teacher_of_full_weight_is_supervision_by_the_mosaic(
    shape, n_classes, seed
) -> None:
    logits, first, second, mask = random_case(shape, n_classes, seed)
    both = {"inward": (logits, first, second), "outward": (logits, second, first)}
    losses = bcp.mixture_loss(lambda images: images, both, mask, alpha=1.0)
    region = mask.expand_as(first)
    expected = 0.0
    for kept, pasted in ((first, second), (second, first)):
        mosaic = bcp.mix(kept, pasted, mask)
        expected += segmentation_loss(logits, mosaic, region)
        expected += segmentation_loss(logits, mosaic, 1 - region)
    assert sum(losses.values()).item() == pytest.approx(float(expected), abs=1e-5)


def test_alpha_weighs_the_unlabelled_part_alone() -> None:
    logits, first, second, mask = random_case((8, 8), 3, 0)
    both = {"inward": (logits, first, second), "outward": (logits, second, first)}
    full, half = (bcp.mixture_loss(lambda x: x, both, mask, alpha) for alpha in (1.0, 0.5))
    assert half["labelled"] == full["labelled"]
    assert half["unlabelled"].item() == pytest.approx(0.5 * full["unlabelled"].item())


# --- the component filter


@quickly
@given(SHAPES, CLASSES, SEEDS)
def test_the_filter_only_removes_keeps_one_part_and_is_done_at_once(shape, n_classes, seed) -> None:
    _, labels, *_ = random_case(shape, n_classes, seed)
    kept = bcp.keep_largest_components(labels, n_classes)
    assert bool(((kept == labels) | (kept == 0)).all())
    touching = np.ones((3,) * len(shape))
    for before, after in zip(labels, kept, strict=True):
        for index in range(1, n_classes):
            sizes = np.bincount(ndimage.label(before == index, touching)[0].ravel())[1:]
            assert ndimage.label(after == index, touching)[1] == min(1, len(sizes))
            assert int((after == index).sum()) == max(sizes, default=0)
    assert torch.equal(bcp.keep_largest_components(kept, n_classes), kept)


def test_the_filter_leaves_one_part_and_no_part_alone() -> None:
    labels = torch.zeros(2, 6, 6, dtype=torch.uint8)
    labels[0, 1:3, 1:3] = 2
    assert torch.equal(bcp.keep_largest_components(labels, 3), labels)


def test_corners_touch_unless_stated_otherwise() -> None:
    diagonal = np.eye(3, dtype=bool)
    assert bcp.largest_component(diagonal).sum() == 3
    assert bcp.largest_component(diagonal, connectivity=1).sum() == 1


# --- the step


@pytest.fixture(params=[(16, 24), (8, 16, 8)], ids=["2D", "3D"])
def trial(request) -> SimpleNamespace:
    """Networks without dropout, one batch and a moment."""
    shape, random = request.param, generator(0)
    student = build_network("small", dimensions=len(shape), n_classes=3, width=4, seed=0)
    student.dropout.p = 0.0
    labels = torch.randint(3, (4, *shape), generator=random).byte()
    images, unlabelled = torch.randn(2, 4, 1, *shape, generator=random)
    return SimpleNamespace(
        networks=Networks((student,), make_teacher(student)),
        batch=Batch(images, labels, unlabelled),
        moment=lambda: Moment(0, 10, generator(1), SimpleNamespace(flip_axes=())),
    )


def run(trial: SimpleNamespace, **options: object) -> object:
    return bcp.bcp_step(trial.networks, trial.batch, trial.moment(), **options)


def test_the_teacher_gets_no_gradient_and_sees_clean_images(trial) -> None:
    seen, answers = [], []
    teacher = trial.networks.teacher.requires_grad_(True)
    teacher.register_forward_hook(lambda *call: seen.append(call[1][0]))
    teacher.register_forward_hook(lambda *call: answers.append(call[2]))
    output = run(trial)
    sum(output.losses.values()).backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not answers[0].requires_grad
    assert any(weight.grad is not None for weight in trial.networks.student.parameters())
    assert torch.equal(seen[0], bcp.standardise(output.maps["clean"])) and len(seen) == 1


def test_an_empty_box_is_self_training(trial) -> None:
    output = run(trial, beta=0.0, alpha=0.25)
    (inward, labels, _), (outward, guess, _) = output.maps["inward"], output.maps["outward"]
    assert torch.equal(guess, output.maps["pseudo"].roll(1, 0))
    student = trial.networks.student
    supervised = segmentation_loss(student(inward), labels)
    unsupervised = 0.25 * segmentation_loss(student(outward), guess)
    assert output.losses["labelled"].item() == pytest.approx(supervised.item(), abs=1e-6)
    assert output.losses["unlabelled"].item() == pytest.approx(unsupervised.item(), abs=1e-6)


def test_the_linear_dice_of_the_atrium_code_reaches_both_stages(trial) -> None:
    output = run(trial, dice=dice_linear, directions=("inward",))
    image, kept, pasted = output.maps["inward"]
    parts = bcp.two_region_loss(
        trial.networks.student(image), kept, pasted, output.maps["mask"], (1.0, 0.5), dice_linear
    )
    for found, expected in zip(output.losses.values(), parts, strict=True):
        assert found.item() == pytest.approx(expected.item(), abs=1e-6)
    assert output.losses["labelled"] != run(trial, directions=("inward",)).losses["labelled"]
    pretrain = partial(bcp.pretraining_step, trial.networks, trial.batch)
    linear = pretrain(trial.moment(), dice=dice_linear).losses["supervised"]
    assert linear != pretrain(trial.moment()).losses["supervised"]


def test_an_empty_box_mixes_nothing(trial) -> None:
    sources = run(trial, beta=0.0, strong=False).maps
    mixed = run(trial, strong=False).maps
    mask = mixed["mask"].expand_as(sources["inward"][0])
    expected = torch.where(mask == 1, sources["inward"][0], sources["outward"][0].roll(-1, 0))
    assert torch.equal(mixed["inward"][0], expected)


@pytest.mark.parametrize("options", [{}, {"halves": True}, {"kind": "band"}, {"exclusive": True}])
@pytest.mark.parametrize("strong", [True, False])
def test_every_switch_gives_finite_losses_and_repeats(trial, strong, options) -> None:
    losses = [run(trial, strong=strong, **options).losses for _ in range(2)]
    assert all(bool(torch.isfinite(loss)) for loss in losses[0].values())
    assert losses[0] == losses[1]


def test_one_direction_shows_the_student_half_as_many_images(trial) -> None:
    maps = run(trial, directions=("inward",)).maps
    assert "outward" not in maps and len(maps["inward"][0]) == len(trial.batch.images)


def test_without_the_filter_the_guess_is_the_teachers(trial) -> None:
    maps = run(trial, components=False).maps
    assert torch.equal(maps["raw"], maps["pseudo"])
    assert not torch.equal(run(trial).maps["raw"], run(trial).maps["pseudo"])


def test_pretraining_pastes_labels_with_their_voxels(trial) -> None:
    batch, moment = trial.batch, trial.moment()
    coded = Batch(batch.labels.unsqueeze(1).float(), batch.labels, batch.unlabelled)
    options = {"strong": False, "kind": "box"}
    maps = bcp.pretraining_step(trial.networks, coded, moment, **options).maps
    plain = bcp.pretraining_step(trial.networks, coded, trial.moment(), beta=0.0, **options).maps
    pasted = (maps["mask"] == 0).expand_as(plain["labels"])
    for name in ("images", "labels"):
        region = pasted.unsqueeze(1) if name == "images" else pasted
        partner = plain[name].roll(1, 0)
        assert torch.equal(maps[name], torch.where(region, partner, plain[name]))


# --- the row of the pre-training alone


@pytest.mark.parametrize("data", ["", "la2018", "acdc"])
def test_the_pretraining_alone_is_the_first_stage_of_bcp_twice(data) -> None:
    control, whole = METHODS["bcp_pretraining"], METHODS["bcp"]
    if data:
        control, whole = control.published[data], whole.published[data]
        assert dict(control.settings) == dict(whole.settings)
    else:
        assert control.step is control.warm_up is whole.warm_up and not control.teacher
    assert control.config == control.warm_up_config == whole.warm_up_config


@pytest.mark.usefixtures("misuse")
@pytest.mark.parametrize("options", [{}, {"halves": True}, {"regions": True}, {"beta": 0.0}])
def test_the_pretraining_takes_no_notice_of_unlabelled_scans_and_needs_no_teacher(
    trial, options
) -> None:
    nothing = replace(trial.batch, unlabelled=None)
    alone = Networks((trial.networks.student,))
    found = [
        bcp.pretraining_step(networks, batch, trial.moment(), **options)
        for networks, batch in ((trial.networks, trial.batch), (alone, nothing))
    ]
    assert torch.equal(found[0].losses["supervised"], found[1].losses["supervised"])
    assert found[0].losses.keys() == {"supervised"}


def test_the_pretraining_is_supervision_by_what_it_shows(trial) -> None:
    output = bcp.pretraining_step(trial.networks, trial.batch, trial.moment())
    expected = segmentation_loss(
        trial.networks.student(output.maps["images"]), output.maps["labels"]
    )
    assert output.losses["supervised"].item() == pytest.approx(expected.item(), abs=1e-6)
    assert len(output.maps["images"]) == len(trial.batch.images), "patches as the strong baseline"


def test_the_pretraining_alone_finds_the_first_stage_of_bcp_and_asks_for_labelled_batches_only(
    tmp_path,
) -> None:
    study = tiny_study.tiny_study(tmp_path)
    study.train(METHODS["bcp"])
    before = set(tmp_path.iterdir())
    control = study.train(METHODS["bcp_pretraining"])
    assert len(set(tmp_path.iterdir()) - before) == 1, "the second stage alone was trained"
    assert control.networks.changing.keys() == {"student"}
    assert {key for row in control.history for key in row} == {"iteration", "supervised"}
