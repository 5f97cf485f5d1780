"""Whole updates at `PROFILE=paper` against the released mathematics, in double precision.

The right-hand side is written from the formulas of the papers and codes alone: it shares no
function with the library except the networks' layers. Dropout is off, since its random numbers are
nobody's mathematics; noise is drawn from the same generator.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage import measure
from torch import nn

from ssl_lib.config import paper_settings
from ssl_lib.methods import METHODS
from ssl_lib.methods.aau import Autoencoder
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import Batch, generator_at
from ssl_lib.training.loop import fit

CPU, SEED = torch.device("cpu"), 3
UPDATES = 3
SHAPES = {"la2018": ((32, 32, 16), 2), "acdc": ((32, 32), 4)}
KINDS = {"la2018": "vnet", "acdc": "unet"}
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(autouse=True)
def double(monkeypatch):
    """`.float()` keeps doubles: it is there to lift what mixed precision has halved."""
    original = torch.Tensor.float
    monkeypatch.setattr(
        torch.Tensor, "float", lambda t: t if t.dtype == torch.float64 else original(t)
    )


class Batches:
    """Smooth blobs, so that pseudo-labels have parts; the same at each call."""

    def __init__(self, data: str, labelled: int, unlabelled: int):
        shape, classes = SHAPES[data]
        self.sizes, self.shape, self.classes = (labelled, unlabelled), shape, classes

    def at(self, iteration: int) -> Batch:
        random = torch.Generator().manual_seed(100 + iteration)
        count = sum(self.sizes)
        images = torch.randn(count, 1, *self.shape, generator=random, dtype=torch.float64)
        pool = nn.functional.avg_pool3d if len(self.shape) == 3 else nn.functional.avg_pool2d
        for _ in range(2):
            images = pool(images, 3, 1, 1)
        images = images / images.std()
        levels = torch.quantile(images[:, 0].flatten()[:100_000], torch.linspace(0, 1, 5).double())
        labels = sum((images[:, 0] > level).byte() for level in levels[1 : self.classes])
        first = self.sizes[0]
        return Batch(images[:first], labels[:first].byte(), images[first:])


def pair(data: str) -> Networks:
    """Student and teacher, with different weights, in doubles and without dropout; sure enough of
    their answers for a gate to let some voxels through."""
    shape, classes = SHAPES[data]
    options = {"dimensions": len(shape), "n_classes": classes, "width": 2}
    student = build_network(KINDS[data], seed=0, **options).double()
    other = build_network(KINDS[data], seed=1, **options).double()
    for network in (student, other):
        network.head.weight.data *= 8
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
    return Networks((student,), make_teacher(other))


def at_paper(name: str, data: str) -> SimpleNamespace:
    """Step, warm-up and settings of a method on a benchmark, the schedule three updates long."""
    method, record = METHODS[name], METHODS[name].published[data]
    method = replace(
        method,
        config={**method.config, **record.config},
        warm_up_config={**method.warm_up_config, **record.warm_up_config},
    )
    settings = record.changed(paper_settings(data))
    step, warm_up = method.bound()
    return SimpleNamespace(step=step, warm_up=warm_up, settings=settings)


# --- the released mathematics


def released_sgd(network: nn.Module, memory: dict, rate: float) -> None:
    """v <- 0.9 v + g + 1e-4 w; w <- w - rate v."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            slope = weight.grad + 1e-4 * weight
            memory[name] = 0.9 * memory[name] + slope if name in memory else slope.clone()
            weight -= rate * memory[name]


def released_average(teacher: nn.Module, student: nn.Module, decay: float, whole: bool) -> None:
    """Weights alone, or (`whole`) every entry of the state, statistics included."""
    with torch.no_grad():
        mine = dict(teacher.state_dict()) if whole else dict(teacher.named_parameters())
        theirs = dict(student.state_dict()) if whole else dict(student.named_parameters())
        for name, value in mine.items():
            if value.is_floating_point():
                value.copy_(decay * value + (1 - decay) * theirs[name])


def onehot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return torch.stack([(labels == c).double() for c in range(classes)], dim=1)


def dice_per_sample(p, labels, region):
    """Linear, each sample and class by itself: BCP on LA."""
    losses = []
    target = onehot(labels, p.shape[1])
    for b in range(len(p)):
        for c in range(p.shape[1]):
            both = (p[b, c] * target[b, c] * region).sum()
            total = (p[b, c] * region).sum() + (target[b, c] * region).sum()
            losses.append(1 - (2 * both + 1e-5) / (total + 1e-5))
    return sum(losses) / len(losses)


def dice_per_class(p, labels, region, smooth, first=0):
    """Squared, over the whole batch, for classes from `first`."""
    target, losses = onehot(labels, p.shape[1]), []
    for c in range(first, p.shape[1]):
        both = (p[:, c] * target[:, c] * region).sum()
        total = (p[:, c] ** 2 * region).sum() + (target[:, c] ** 2 * region).sum()
        losses.append(1 - (2 * both + smooth) / (total + smooth))
    return sum(losses) / len(losses)


def entropy_in(z, labels, region):
    """Cross-entropy over a region, divided by its size."""
    logs = z - z.exp().sum(1, keepdim=True).log()
    chosen = -(onehot(labels, z.shape[1]) * logs).sum(1)
    spread = region.expand_as(chosen)
    return (chosen * spread).sum() / (spread.sum() + 1e-16)


def softmax(z):
    return z.exp() / z.exp().sum(1, keepdim=True)


def region_loss(z, first, second, mask, weights, data):
    """1/2 (w_M Dice_M + w_B Dice_B + w_M CE_M + w_B CE_B)."""
    total = 0.0
    for labels, region, weight in ((first, mask, weights[0]), (second, 1 - mask, weights[1])):
        p = softmax(z)
        dice = (
            dice_per_sample(p, labels, region)
            if data == "la2018"
            else dice_per_class(p, labels, region, 1e-10)
        )
        total = total + weight * (dice + entropy_in(z, labels, region)) / 2
    return total


def largest_parts(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Per sample and class, corners touch."""
    kept = np.zeros_like(labels.numpy())
    for image, out in zip(labels.numpy(), kept, strict=True):
        for c in range(1, classes):
            parts = measure.label(image == c, connectivity=image.ndim)
            if parts.max():
                out[parts == 1 + np.bincount(parts.flat)[1:].argmax()] = c
    return torch.from_numpy(kept)


def check_mask(mask: torch.Tensor) -> None:
    """One box of zeros, floor(2/3 side) along each axis, that never reaches the last plane."""
    zeros = (mask == 0).nonzero()
    sides = [2 * side // 3 for side in mask.shape]
    assert len(zeros) == math.prod(sides)
    low, high = zeros.min(0).values, zeros.max(0).values
    assert (high - low + 1).tolist() == sides
    assert all(int(h) < side - 1 for h, side in zip(high, mask.shape, strict=True))


def released_bcp(networks, batch: Batch, mask: torch.Tensor, data: str) -> torch.Tensor:
    """One self-training loss of bidirectional copy-paste."""
    classes = SHAPES[data][1]
    half = len(batch.images) // 2
    x_i, x_j = batch.images[:half], batch.images[half:]
    y_i, y_j = batch.labels[:half], batch.labels[half:]
    u_p, u_q = batch.unlabelled[:half], batch.unlabelled[half:]
    with torch.no_grad():
        guesses = []
        for images in (u_p, u_q):
            p = softmax(networks.teacher(images))
            raw = (p[:, 1] >= 0.5).byte() if data == "la2018" else p.argmax(1).byte()
            guesses.append(largest_parts(raw, classes))
    inward = networks.student(x_i * mask + u_p * (1 - mask))
    outward = networks.student(u_q * mask + x_j * (1 - mask))
    return region_loss(inward, y_i, guesses[0], mask, (1.0, 0.5), data) + region_loss(
        outward, guesses[1], y_j, mask, (0.5, 1.0), data
    )


def released_pretraining(student, batch: Batch, mask: torch.Tensor, data: str) -> torch.Tensor:
    """Whole mixture on LA, two regions of weight 1 on ACDC."""
    half = len(batch.images) // 2
    x = batch.images[:half] * mask + batch.images[half:] * (1 - mask)
    y_i, y_j = batch.labels[:half], batch.labels[half:]
    z = student(x)
    if data == "acdc":
        return region_loss(z, y_i, y_j, mask, (1.0, 1.0), data)
    y = torch.where(mask.bool(), y_i, y_j)
    one = torch.ones_like(mask)
    return (dice_per_sample(softmax(z), y, one) + entropy_in(z, y, one)) / 2


# --- the comparisons


def spied(step, masks: list):
    """The step, with each mask that it draws written down."""

    def noting(*call):
        output = step(*call)
        masks.append(output.maps["mask"].double())
        return output

    return noting


def assert_same(first: nn.Module, second: nn.Module) -> None:
    """All weights and statistics; counts of batches decide nothing."""
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert not a.is_floating_point() or torch.allclose(a, b, **TOLERANCE), name


@pytest.mark.parametrize("data", SHAPES)
def test_updates_of_bcp_are_the_released_ones(data):
    paper, networks = at_paper("bcp", data), pair(data)
    other, batches = copy.deepcopy(networks), Batches(data, 4, 4)
    schedule = replace(paper.settings.schedule, iterations=UPDATES)
    warm = replace(paper.settings.supervised_schedule, iterations=UPDATES)
    options = {"seed": SEED, "device": CPU, "settings": paper.settings}
    masks: list = []
    first = fit(
        spied(paper.warm_up, masks), Networks(networks.students), batches, schedule=warm,
        keep_momentum=paper.settings.keep_momentum, **options,
    )  # fmt: skip
    done = fit(
        spied(paper.step, masks), networks, batches, schedule=schedule, momentum=first.optimiser,
        **options,
    )  # fmt: skip

    memory: dict = {}
    for iteration in range(2 * UPDATES):
        mask, batch = masks[iteration], batches.at(iteration % UPDATES)
        check_mask(mask)
        if iteration == UPDATES and data == "la2018":
            memory = {}  # a new optimiser; on ACDC the old one's state is loaded
        if iteration < UPDATES:
            loss = released_pretraining(other.student, batch, mask, data)
        else:
            loss = released_bcp(other, batch, mask, data)
        other.student.zero_grad()
        loss.backward()
        released_sgd(other.student, memory, rate=0.01)
        if iteration >= UPDATES:
            released_average(other.teacher, other.student, 0.99, whole=data == "acdc")
            logged = done.history[iteration - UPDATES]
            ours = logged["labelled"] + logged["unlabelled"]
        else:
            ours = first.history[iteration]["supervised"]
        assert ours == pytest.approx(loss.item(), rel=1e-9)
    assert_same(networks.student, other.student)
    assert_same(networks.teacher, other.teacher)


def released_noise(images, generator):
    noise = torch.randn(images.shape, generator=generator)
    return images + torch.clamp(0.1 * noise, -0.2, 0.2)


def released_ua_mt(networks, batch: Batch, iteration: int, data: str, total: int):
    """One loss of UA-MT: labelled and unlabelled in one pass; gate of ln 2; divided by 2."""
    generator = generator_at(CPU, SEED, "step", iteration)
    everything = torch.cat([batch.images, batch.unlabelled])
    z = networks.student(everything)
    labelled = len(batch.images)
    u = batch.unlabelled
    with torch.no_grad():
        target = softmax(networks.teacher(released_noise(u, generator)))
        answers = []
        for _ in range(4):
            twice = torch.cat([u, u])
            both = softmax(networks.teacher(released_noise(twice, generator)))
            answers += [both[: len(u)], both[len(u) :]]
        mean = sum(answers) / 8
        uncertainty = -(mean * (mean + 1e-6).log()).sum(1, keepdim=True)
        rise = math.exp(-5 * (1 - iteration / total) ** 2)
        gate = (uncertainty < (0.75 + 0.25 * rise) * math.log(2)).double()
    squares = (softmax(z[labelled:]) - target) ** 2
    consistency = (gate * squares).sum() / (2 * gate.sum() + 1e-16)
    one = torch.ones(batch.labels.shape[1:], dtype=torch.float64)
    known = z[:labelled]
    if data == "la2018":
        dice = dice_per_class(softmax(known), batch.labels, one, 1e-5, first=1)
    else:
        dice = dice_per_class(softmax(known), batch.labels, one, 1e-5)
    supervised = (dice + entropy_in(known, batch.labels, one)) / 2
    return supervised, 0.1 * math.exp(-5 * (1 - (iteration // 150) * 150 / total) ** 2), consistency


@pytest.mark.parametrize("data", SHAPES)
def test_updates_of_ua_mt_are_the_released_ones(data):
    paper, networks = at_paper("ua_mt", data), pair(data)
    other, batches = copy.deepcopy(networks), Batches(data, 2, 2)
    schedule = replace(paper.settings.schedule, iterations=UPDATES)
    done = fit(
        paper.step, networks, batches, schedule=schedule,
        seed=SEED, device=CPU, settings=paper.settings,
    )  # fmt: skip
    memory: dict = {}
    for iteration in range(UPDATES):
        batch = batches.at(iteration)
        supervised, weight, consistency = released_ua_mt(other, batch, iteration, data, UPDATES)
        other.student.zero_grad()
        (supervised + weight * consistency).backward()
        rate = 0.01 if data == "la2018" else 0.01 * (1 - iteration / UPDATES) ** 0.9
        released_sgd(other.student, memory, rate)
        decay = min(1 - 1 / (iteration + 1), 0.99)
        released_average(other.teacher, other.student, decay, whole=False)
        logged = done.history[iteration]
        assert logged["supervised"] == pytest.approx(supervised.item(), rel=1e-9)
        assert logged["consistency"] == pytest.approx((weight * consistency).item(), rel=1e-9)
        assert consistency > 0
    assert_same(networks.student, other.student)
    assert_same(networks.teacher, other.teacher)


def released_aau(networks, autoencoder, batch: Batch, iteration: int):
    """One loss of AAU: the autoencoder reads class indices; one U and one weight for each class;
    labelled patches count, too; divided by 2."""
    generator = generator_at(CPU, SEED, "step", iteration)
    everything = torch.cat([batch.images, batch.unlabelled])
    with torch.no_grad():
        target = softmax(networks.teacher(released_noise(everything, generator)))
        index = target.argmax(1, keepdim=True).double()
        code = autoencoder.code(autoencoder.encoder(index).flatten(1))
        projection = 1 / (1 + (-autoencoder.decode(code)).exp())
        weight = (-((projection - target) ** 2)).exp()
    z = networks.student(everything)
    consistency = (weight * (softmax(z) - target) ** 2).sum() / (2 * weight.sum() + 1e-16)
    known = z[: len(batch.images)]
    one = torch.ones(batch.labels.shape[1:], dtype=torch.float64)
    dice = dice_per_class(softmax(known), batch.labels, one, 1e-5, first=1)
    return (dice + entropy_in(known, batch.labels, one)) / 2, consistency


class InDoubles(Autoencoder):
    """One-hot maps are single precision in the library; here they are lifted."""

    def encode(self, maps):
        return super().encode(maps.double())


def test_updates_of_aau_are_the_released_ones():
    paper, networks = at_paper("aau", "la2018"), pair("la2018")
    other, batches = copy.deepcopy(networks), Batches("la2018", 2, 2)
    shape, classes = SHAPES["la2018"]
    autoencoder = InDoubles(classes, shape, latent=8, width=4, ordinal=True).double().eval()
    frozen = {"autoencoder": autoencoder.requires_grad_(False)}
    networks = Networks(networks.students, networks.teacher, frozen)
    schedule = replace(paper.settings.schedule, iterations=UPDATES)
    done = fit(
        paper.step, networks, batches, schedule=schedule,
        seed=SEED, device=CPU,
        settings=paper.settings,
    )  # fmt: skip
    memory: dict = {}
    for iteration in range(UPDATES):
        supervised, consistency = released_aau(other, autoencoder, batches.at(iteration), iteration)
        weight = 0.1 * math.exp(-5)  # r(floor(t / 200), 40) at t < 200
        other.student.zero_grad()
        (supervised + weight * consistency).backward()
        released_sgd(other.student, memory, 0.05 * (1 + math.cos(math.pi * iteration / 10000)))
        decay = min(1 - 1 / (iteration + 1), 0.99)
        released_average(other.teacher, other.student, decay, whole=False)
        logged = done.history[iteration]
        assert logged["supervised"] == pytest.approx(supervised.item(), rel=1e-9)
        assert logged["consistency"] == pytest.approx((weight * consistency).item(), rel=1e-9)
    assert_same(networks.student, other.student)
    assert_same(networks.teacher, other.teacher)


def released_cross(networks, maps, labels, rise: float):
    """One loss of DSAIF: each network learns the labels and the other one's classes, on its own
    versions of the scans."""
    pair, one = networks.students, torch.ones(labels.shape[1:], dtype=torch.float64)
    supervised, answers = 0.0, []
    for network, known, seen in zip(pair, maps["known"], maps["seen"], strict=True):
        z = network(known)
        dice = dice_per_class(softmax(z), labels, one, 1e-5)
        supervised = supervised + (dice + entropy_in(z, labels, one)) / 2
        answers.append(network(seen))
    classes = [z.detach().argmax(1) for z in answers]
    cross = entropy_in(answers[0], classes[1], one) + entropy_in(answers[1], classes[0], one)
    return supervised, rise * cross


@pytest.mark.parametrize("data", SHAPES)
def test_updates_of_dsaif_are_the_released_ones(data):
    """The versions that each network sees are taken from the step: other tests hold them."""
    paper, two = at_paper("dsaif", data), pair(data)
    networks = Networks((two.student, two.teacher.requires_grad_(True)))
    other, batches, seen = copy.deepcopy(networks), Batches(data, 2, 2), []

    def noting(*call):
        output = paper.step(*call)
        seen.append(output.maps)
        return output

    schedule = replace(paper.settings.schedule, iterations=UPDATES)
    done = fit(
        noting, networks, batches, schedule=schedule, seed=SEED, device=CPU, settings=paper.settings
    )
    memories: list[dict] = [{} for _ in other.students]
    for iteration in range(UPDATES):
        rise = math.exp(-5)  # r(floor(t / 150), 40) at t < 150
        labels = batches.at(iteration).labels
        supervised, cross = released_cross(other, seen[iteration], labels, rise)
        for network in other.students:
            network.zero_grad()
        (supervised + cross).backward()
        for network, memory in zip(other.students, memories, strict=True):
            released_sgd(network, memory, 0.01 * (1 - iteration / UPDATES) ** 0.9)
        logged = done.history[iteration]
        assert logged["supervised"] == pytest.approx(supervised.item(), rel=1e-9)
        assert logged["cross"] == pytest.approx(cross.item(), rel=1e-9)
    for ours, theirs in zip(networks.students, other.students, strict=True):
        assert_same(ours, theirs)


def gaussian(t: float, length: float) -> float:
    return math.exp(-5 * (1 - min(t, length) / length) ** 2)


def rate_times_weight(name: str, data: str) -> float:
    """The sum over all updates of learning rate x weight of what is unlabelled, by our settings."""
    method = METHODS[name]
    settings = method.published[data].changed(paper_settings(data))
    config = {**method.config, **method.published[data].config}
    total = settings.schedule.iterations
    if "full_at" in config:
        weight, length, every = config["weight"], config["full_at"] * total, config["every"]
    else:
        weight, length = settings.consistency_weight, settings.ramp * total
        every = settings.ramp_every
    half = 0.5 if name == "aau" else 1.0  # its errors have as many channels as its weights
    return half * sum(
        settings.schedule.rate(i) * weight * gaussian(i // every * every, length)
        for i in range(total)
    )


@pytest.mark.parametrize(
    ("name", "data", "released"),
    [
        ("ua_mt", "la2018", 0.270),
        ("mean_teacher", "la2018", 0.270),
        ("dsaif", "la2018", 46.6),
        ("aau", "la2018", 5.4),
        ("ua_mt", "acdc", 3.30),
    ],
)
def test_what_is_unlabelled_pulls_as_strongly_as_released(name, data, released):
    assert rate_times_weight(name, data) == pytest.approx(released, rel=0.005)


def test_the_released_sums_by_their_formulas():
    def rise(i, every, length):
        return gaussian(i // every, length)

    steps = sum(0.01 * 0.1 ** (i // 2500) * 0.1 * rise(i, 150, 40) for i in range(6000))
    poly = sum(0.01 * (1 - i / 15000) ** 0.9 * rise(i, 150, 40) for i in range(15000))
    cosine = sum(
        0.1 * 0.5 * (1 + math.cos(math.pi * i / 10000)) * 0.1 / 2 * rise(i, 200, 40)
        for i in range(8000)
    )
    slices = sum(0.01 * (1 - i / 30000) ** 0.9 * 0.1 * rise(i, 150, 200) for i in range(30000))
    for name, data, found in (
        ("ua_mt", "la2018", steps),
        ("dsaif", "la2018", poly),
        ("aau", "la2018", cosine),
        ("ua_mt", "acdc", slices),
    ):
        assert rate_times_weight(name, data) == pytest.approx(found, rel=1e-9)


def test_a_rate_that_falls_as_the_weight_rises_would_be_found():
    """BCP's schedule for a mean teacher: a quarter of what was released."""
    schedule = paper_settings("la2018").schedule
    equal = sum(schedule.rate(i) * 0.1 * gaussian(i, 15000) for i in range(15000))
    assert equal < 0.25 * rate_times_weight("ua_mt", "la2018")
