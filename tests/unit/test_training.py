"""`fit`: it learns, resumes to the same bits (after a kill, too: `test_kills.py`), and looks
without touching."""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from ssl_lib.inference import predict_probabilities
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training import checkpoint
from ssl_lib.training.batches import Batch
from ssl_lib.training.interrupt import Stopped, interrupts_noted
from ssl_lib.training.loop import Moment, Schedule, StepOutput, Training, Watch, fit
from ssl_lib.training.study import weights_hash
from ssl_lib.utils.errors import InputError

CPU = torch.device("cpu")
ALWAYS = -1.0  # seconds between checkpoints
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


class Toy:
    """Batches of noise whose class is its sign, another one at each iteration."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def at(self, iteration: int) -> Batch:
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(iteration))
        images = images.to(self.device)
        return Batch(images, (images[:, 0] > 0).byte(), images.flip(2))


def toy_networks(device: str = "cpu") -> Networks:
    torch.manual_seed(3)
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3)
    student = nn.Sequential(*layers, nn.Conv2d(8, 2, 1)).to(device)
    return Networks((student,), make_teacher(student))


def toy_step(networks: Networks, batch: Batch, moment: Moment) -> StepOutput:
    """Uses every source of chance: dropout, the moment's generator, and the teacher's own."""
    noise = torch.randn(
        batch.unlabelled.shape, generator=moment.generator, device=batch.unlabelled.device
    )
    with torch.no_grad():
        target = networks.teacher(batch.unlabelled).softmax(1)
    view = networks.student(batch.unlabelled + 0.1 * noise).softmax(1)
    logits = networks.student(batch.images)
    supervised = nn.functional.cross_entropy(logits.float(), batch.labels.long())
    return StepOutput({"supervised": supervised, "consistency": (view - target).square().mean()})


def stopping_at(iteration: int) -> Callable:
    """The toy's step, interrupted by the user before that iteration (from 0)."""

    def step(networks, batch, moment):
        if moment.iteration == iteration:
            raise KeyboardInterrupt
        return toy_step(networks, batch, moment)

    return step


def toy_fit(
    step: Callable = toy_step, iterations: int = 20, device: str = "cpu", **more
) -> Training:
    options = {"schedule": Schedule(iterations, 0.02, teacher_decay=0.7), "seed": 5}
    return fit(
        step,
        toy_networks(device),
        Toy(device),
        device=torch.device(device),
        **{"checkpoint_seconds": ALWAYS, **options, **more},
    )


def ends(training: Training) -> dict[str, str]:
    return {name: weights_hash(network) for name, network in training.networks.changing.items()}


def mean_of(history: list[dict[str, float]], rows: slice) -> float:
    losses = [row["supervised"] for row in history[rows]]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("device", DEVICES)
def test_the_loss_falls(device):
    history = toy_fit(iterations=60, device=device).history
    assert [row["iteration"] for row in history] == list(range(1, 61))
    assert set(history[0]) == {"iteration", "supervised", "consistency"}
    assert mean_of(history, slice(-5, None)) < 0.6 * mean_of(history, slice(5))


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_ten_steps_and_ten_resumed_are_twenty_bit_for_bit(tmp_path, optimiser):
    options = {
        "schedule": Schedule(20, 0.02, optimiser=optimiser, teacher_decay=0.7),
        "watch": Watch(validate=lambda net: net[0].bias.sum().item(), times=4),
    }
    whole = toy_fit(**options)
    with pytest.raises(KeyboardInterrupt):
        toy_fit(stopping_at(10), store=tmp_path, **options)
    assert checkpoint.load(tmp_path / "run.pt")["iteration"] == 10
    torch.manual_seed(12345)
    resumed = toy_fit(store=tmp_path, **options)
    assert ends(resumed) == ends(whole)
    assert resumed.history == whole.history and resumed.validation == whole.validation
    assert resumed.best["iteration"] == whole.best["iteration"]


def test_waiting_is_no_work_on_a_cpu():
    """Another program that takes the processor looks like a thread that sleeps."""

    def waits(*arguments):
        time.sleep(0.05)
        return toy_step(*arguments)

    started = time.monotonic()
    done = toy_fit(waits)
    assert 0 < done.seconds < 0.5 * (time.monotonic() - started)


def test_another_seed_gives_other_bits():
    assert ends(toy_fit(seed=5)) == ends(toy_fit(seed=5)) != ends(toy_fit(seed=6))


def test_a_finished_run_is_loaded_and_not_repeated(tmp_path):
    watch = Watch(validate=lambda net: 0.5, picture=lambda nets: {"label": torch.ones(3).byte()})
    done = toy_fit(store=tmp_path, watch=watch)
    again = toy_fit(stopping_at(0), store=tmp_path)
    assert ends(again) == ends(done)
    assert again.history == done.history and again.validation == done.validation
    assert again.seconds == done.seconds > 0
    assert [frame["iteration"] for frame in again.snapshots] == [
        frame["iteration"] for frame in done.snapshots
    ]
    assert os.listdir(tmp_path) == ["run.pt"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state.pop("networks"),
        lambda state: state["networks"].pop("teacher"),
        lambda state: state["networks"]["student"].pop("0.weight"),
        lambda state: state.pop("history"),
        lambda state: state.update(optimiser={"another": 1}),
        lambda state: state.update(validation=[1]),
    ],
)
def test_a_checkpoint_of_another_training_is_one_message(tmp_path, spoil):
    with pytest.raises(KeyboardInterrupt):
        toy_fit(stopping_at(3), store=tmp_path)
    state = checkpoint.load(tmp_path / "run.pt")
    spoil(state)
    checkpoint.save(tmp_path / "run.pt", state)
    with pytest.raises(InputError, match="of another training") as refusal:
        toy_fit(store=tmp_path)
    assert "run.pt" in str(refusal.value) and "delete the folder" in refusal.value.fix


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        toy_fit(stopping_at(12), store=tmp_path)
    (tmp_path / "run.pt").write_bytes(b"broken")
    assert checkpoint.load(tmp_path / "run.pt")["iteration"] == 11
    assert ends(toy_fit(store=tmp_path)) == ends(toy_fit())


def test_a_loss_that_is_not_finite_is_named_with_its_iteration(tmp_path):
    def step(networks, batch, moment):
        losses = toy_step(networks, batch, moment).losses
        factor = math.nan if moment.iteration == 6 else 1.0
        return StepOutput({**losses, "consistency": factor * losses["consistency"]})

    with pytest.raises(InputError, match="'consistency' became nan at iteration 7"):
        toy_fit(step, store=tmp_path)
    assert checkpoint.load(tmp_path / "run.pt")["iteration"] == 6
    with pytest.raises(InputError, match="'consistency' became nan at iteration 7"):
        toy_fit(step)


@pytest.fixture
def interruptible():
    """As at a terminal: a process in the background may have been started deaf to interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_answered_after_the_iteration_and_loses_nothing(tmp_path, interruptible):
    """Long before the next checkpoint is due; the next call goes on to the same bits."""

    def pressed(networks, batch, moment):
        if moment.iteration == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return toy_step(networks, batch, moment)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped, match=r"stopped at 7 of .* and stored; run the cell again") as told:
        toy_fit(pressed, store=tmp_path, checkpoint_seconds=1e9)
    assert told.value._render_traceback_() == [str(told.value)]
    assert signal.getsignal(signal.SIGINT) == before
    assert checkpoint.load(tmp_path / "run.pt")["iteration"] == 7
    assert ends(toy_fit(store=tmp_path)) == ends(toy_fit())


def test_a_second_interrupt_stops_at_once(interruptible):
    with pytest.raises(KeyboardInterrupt) as stopped, interrupts_noted():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert not isinstance(stopped.value, Stopped)


def test_watching_changes_no_weight():
    def validate(student):
        torch.rand(7)
        probabilities = predict_probabilities(
            student, torch.randn(2, 8, 8).numpy(), dimensions=2, device="cpu"
        )
        return float(probabilities[1].mean())

    def picture(networks):
        return {"label": networks.teacher(torch.randn(1, 1, 8, 8)).argmax(1).byte()}

    def plain_picture(networks):
        return {"label": torch.rand(3).byte()}

    blind = toy_fit(watch=Watch(times=0))
    for watch in (
        Watch(validate, plain_picture, times=20),
        Watch(validate, plain_picture, times=3),
    ):
        watched = toy_fit(watch=watch)
        assert ends(watched) == ends(blind) and watched.history == blind.history
        assert len(watched.validation) == len(watched.snapshots) == watch.times
    # a picture that runs the teacher in training mode would move its statistics: the study's uses
    # prediction, and this shows that the comparison above can fail
    assert ends(toy_fit(watch=Watch(picture=picture, times=3))) != ends(blind)


def test_the_best_weights_are_those_of_their_iteration():
    dice = iter([0.2, 0.9, 0.4])
    seen = {}

    def validate(student):
        value = next(dice)
        seen[value] = student.state_dict()["0.weight"].clone()
        return value

    done = toy_fit(iterations=9, watch=Watch(validate, times=3))
    assert done.validation == [(3, 0.2), (6, 0.9), (9, 0.4)]
    assert done.best["iteration"] == 6 and done.best["dice"] == 0.9
    assert torch.equal(done.best["weights"]["0.weight"], seen[0.9])
    assert not torch.equal(seen[0.9], seen[0.4])


def test_the_teacher_is_the_average_by_hand_and_gets_no_gradient():
    students = []

    def step(networks, batch, moment):
        students.append([weight.detach().clone() for weight in networks.student.parameters()])
        return toy_step(networks, batch, moment)

    done = toy_fit(step)
    student, teacher = done.networks.student, done.networks.teacher
    students.append([weight.detach().clone() for weight in student.parameters()])
    average = students[0]
    for weights in students[1:]:
        average = [
            mine.lerp(theirs, 1 - 0.7) for mine, theirs in zip(average, weights, strict=True)
        ]
    for mine, expected in zip(teacher.parameters(), average, strict=True):
        assert torch.equal(mine, expected)
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not torch.equal(students[0][0], students[-1][0])


def test_every_network_that_is_no_teacher_is_trained():
    toy = toy_networks()
    networks = Networks((toy.student, toy_networks().student), toy.teacher)

    def step(view, batch, moment):
        losses = [
            nn.functional.cross_entropy(net(batch.images), batch.labels.long())
            for net in view.students
        ]
        return StepOutput(dict(zip("ab", losses, strict=True)))

    before = {name: weights_hash(network) for name, network in networks.changing.items()}
    options = {"schedule": Schedule(3, 0.01), "seed": 0, "device": CPU}
    done = fit(step, networks, Toy(), **options)
    assert all(ends(done)[name] != before[name] for name in before)


def test_the_moment_tells_where_training_stands():
    moments = []

    def step(networks, batch, moment):
        moments.append(moment)
        return toy_step(networks, batch, moment)

    toy_fit(step, iterations=4, settings="shared")
    assert [(m.iteration, m.iterations, m.settings) for m in moments] == [
        (i, 4, "shared") for i in range(4)
    ]
    draws = [torch.rand(1, generator=m.generator).item() for m in moments]
    assert len(set(draws)) == 4


@pytest.mark.parametrize(
    ("decay", "values"),
    [
        ("cosine", {0: 1.0, 5000: 0.5, 10000: 0.0}),
        ("poly", {0: 1.0, 5000: 0.5**0.9, 10000: 0.0}),
        ("steps", {0: 1.0, 2499: 1.0, 2500: 0.1, 7500: 0.001}),
        ("none", {0: 1.0, 9999: 1.0}),
    ],
)
def test_the_learning_rate_at_known_iterations(decay, values):
    schedule = Schedule(10000, 0.01, decay=decay)
    for iteration, factor in values.items():
        assert schedule.rate(iteration) == pytest.approx(0.01 * factor, abs=1e-12)


def test_the_optimiser_follows_the_schedule():
    """Plain gradient descent with rate r moves a weight by exactly r times a constant gradient."""

    def step(networks, batch, moment):
        weight = networks.student.weight
        return StepOutput({"sum": weight.sum() - weight.detach().sum()})

    schedule = Schedule(1, 0.25, optimiser="sgd", weight_decay=0.0)
    network = nn.Linear(1, 1, bias=False)
    before = network.weight.item()
    fit(step, Networks((network,)), Toy(), schedule=schedule, seed=0, device=CPU)
    assert network.weight.item() == pytest.approx(before - 0.25)


def test_unknown_optimiser_and_decay_are_refused():
    with pytest.raises(InputError, match="unknown decay 'linear'"):
        Schedule(10, 0.1, decay="linear").rate(0)
    with pytest.raises(InputError, match="unknown optimiser 'adam'"):
        Schedule(10, 0.1, optimiser="adam").build(toy_networks().students)


@pytest.mark.parametrize(("times", "iterations"), [(1, 7), (3, 7), (6, 100), (20, 20), (9, 4)])
def test_looks_are_spread_evenly_and_the_last_one_is_at_the_end(times, iterations):
    watch = Watch(times=times)
    due = [i + 1 for i in range(iterations) if watch.due(i, iterations)]
    assert len(due) == min(times, iterations) and due[-1] == iterations
    gaps = {b - a for a, b in itertools.pairwise([0, *due])}
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.gpu
@pytest.mark.parametrize(("kind", "dimensions"), [("small", 2), ("small", 3), ("vnet", 3)])
def test_predictions_on_the_gpu_are_close_to_those_of_the_cpu(kind, dimensions):
    network = build_network(kind, dimensions=dimensions, n_classes=3, width=8, seed=0)
    image = torch.randn(16, 32, 48, generator=torch.Generator().manual_seed(0)).numpy()
    window = None if dimensions == 2 else (16, 32, 32)
    options = {"dimensions": dimensions, "window": window}
    here = predict_probabilities(network, image, device="cpu", **options)
    network.cuda()
    there = predict_probabilities(network, image, device="cuda", **options).cpu()
    torch.testing.assert_close(there, here, atol=5e-3, rtol=0)
    mixed = predict_probabilities(network, image, device="cuda", use_autocast=True, **options)
    torch.testing.assert_close(mixed.cpu(), here, atol=5e-2, rtol=0)


def test_momentum_that_is_kept_makes_two_stages_one(tmp_path):
    """SGD without decay, cut in two: with the optimiser's state handed on, the same weights."""
    schedule = Schedule(6, 0.05, optimiser="sgd", decay="none")

    class Later(Toy):
        def at(self, iteration: int) -> Batch:
            return super().at(iteration + 3)

    def stage(networks, batches, iterations, **more):
        part = Schedule(iterations, 0.05, optimiser="sgd", decay="none")
        return fit(plain_step, networks, batches, schedule=part, seed=5, device=CPU, **more)

    whole = fit(
        plain_step, Networks((plain_network(),)), Toy(), schedule=schedule, seed=5, device=CPU
    )
    weights = {}
    for kept in (True, False):
        networks = Networks((plain_network(),))
        store = tmp_path / str(kept)
        first = stage(networks, Toy(), 3, keep_momentum=kept, store=store)
        again = stage(Networks((plain_network(),)), Toy(), 3, keep_momentum=kept, store=store)
        assert bool(first.optimiser) == bool(again.optimiser) == kept
        second = stage(again.networks, Later(), 3, momentum=again.optimiser)
        weights[kept] = weights_hash(second.networks.student)
    assert weights[True] == weights_hash(whole.networks.student) != weights[False]


def plain_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Conv2d(1, 2, 3, padding=1)


def plain_step(networks: Networks, batch: Batch, moment: Moment) -> StepOutput:
    logits = networks.student(batch.images)
    return StepOutput({"supervised": nn.functional.cross_entropy(logits, batch.labels.long())})


def test_a_decay_may_end_after_the_training():
    rates = [Schedule(8, 0.1, decay="cosine", decay_over=10).rate(i) for i in range(8)]
    assert rates[0] == 0.1 and rates[5] == pytest.approx(0.05) and rates[7] > 0.02
    assert Schedule(8, 0.1).rate(8) == pytest.approx(0)


def test_a_teacher_that_warms_up_copies_the_student_first():
    schedule = Schedule(9, 0.1, teacher_decay=0.99, teacher_warm_up=True)
    assert [schedule.averaging(i) for i in (0, 1, 3)] == [0, 0.5, 0.75]
    assert schedule.averaging(500) == 0.99 and Schedule(9, 0.1).averaging(0) == 0.97
    done = toy_fit(iterations=1, schedule=Schedule(1, 0.02, teacher_warm_up=True))
    pairs = zip(
        *(net.parameters() for net in (done.networks.student, done.networks.teacher)), strict=True
    )
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_teacher_may_average_statistics_too():
    found = {}
    for buffers in (False, True):
        schedule = Schedule(4, 0.02, teacher_decay=0.5, teacher_buffers=buffers)
        done = toy_fit(iterations=4, schedule=schedule)
        found[buffers] = done.networks.teacher[1].running_mean.clone()
    assert not torch.equal(found[True], found[False])
