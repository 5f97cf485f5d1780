"""`fit`: the training loop that every method shares.

A method is a `step`: networks, one batch and the moment in, named loss terms and the maps it used
out. The loop owns the optimiser, the teachers' averages, mixed precision, the history, snapshots
of pseudo-labels, validation, checkpoints and resume. All randomness of an iteration is drawn from
(seed, iteration), so a run that was killed goes on to the same bits, with as many threads. The loop
reads nothing back from the device except when it logs.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from tqdm import tqdm

from ssl_lib.config import Schedule
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import update_teacher
from ssl_lib.training import checkpoint
from ssl_lib.training.batches import Batch, derived_seed, generator_at
from ssl_lib.training.heap import keep_freed_memory
from ssl_lib.training.interrupt import Stopped, interrupts_noted
from ssl_lib.training.threads import choose_threads
from ssl_lib.utils.errors import InputError


@dataclass(frozen=True)
class Moment:
    """Where training stands, the generator that this iteration's random numbers come from, and the
    settings that the study shares among its rows."""

    iteration: int
    iterations: int
    generator: Generator
    settings: Any = None


@dataclass(frozen=True)
class StepOutput:
    """Weighted loss terms (their sum is minimised) and the maps behind them, for pictures: tensors,
    or lists of one for each network."""

    losses: dict[str, Float[Tensor, ""]]
    maps: dict[str, Any] = field(default_factory=dict)


Step = Callable[[Networks, Batch, Moment], StepOutput]


def work_clock(device: torch.device) -> Callable[[], float]:
    """Seconds of work. On a CPU those that the calling thread computes: what other programs take of
    the machine does not count. On other devices those that pass."""
    return time.thread_time if device.type == "cpu" else time.monotonic


@dataclass
class Training:
    """A finished training: final weights, what was logged, and the weights best on validation.

    `seconds` are those that it worked (see `work_clock`).
    """

    networks: Networks
    history: list[dict[str, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    test_curve: list[tuple[int, float]] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    labels_used: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    settings: Any = None
    optimiser: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Watch:
    """What is looked at during training, `times` times and at the end, without changing it.

    `validate(student) -> Dice` scores validation scans; `picture(networks) -> dict of uint8 maps`
    is one snapshot. `test(student) -> Dice` scores the test scans: it is stored beside
    the training and chooses nothing.
    """

    validate: Callable[[nn.Module], float] | None = None
    picture: Callable[[Networks], dict[str, Tensor]] | None = None
    times: int = 6
    test: Callable[[nn.Module], float] | None = None

    def due(self, iteration: int, iterations: int) -> bool:
        """True at evenly spread iterations, the last one among them."""
        marks = {round((i + 1) * iterations / self.times) for i in range(self.times)}
        return iteration + 1 in marks


def fit(
    step: Step,
    networks: Networks,
    batches: Any,
    *,
    schedule: Schedule,
    seed: int,
    device: torch.device,
    settings: Any = None,
    watch: Watch | None = None,
    store: Path | None = None,
    title: str = "training",
    checkpoint_seconds: float = 20.0,
    momentum: Mapping[str, Any] | None = None,
    keep_momentum: bool = False,
) -> Training:
    """Train `networks` by `step` on `batches.at(iteration)`; a finished run is loaded instead.

    **Arguments:** `settings` reach the step in its moment. `store` is the folder of this run's
    checkpoint, whose name must identify the run (see `ssl_lib.training.study`). `keep_momentum`
    leaves the optimiser's state in the training, for a next stage that begins with it as
    `momentum`.

    **Returns** a `Training`. Raises `InputError` when a loss is not finite, naming the term.
    """
    keep_freed_memory()
    if device.type == "cpu":
        choose_threads()
    torch.backends.cudnn.benchmark = device.type == "cuda"  # patches never change their size
    run = Loop(
        step, networks, batches, schedule=schedule, seed=seed, device=device, settings=settings,
        watch=watch,
    )  # fmt: skip
    run.keep_momentum = keep_momentum
    if momentum:
        run.optimiser.load_state_dict(dict(momentum))
    if store is None or not run.restore(store):
        run.train(store, title, checkpoint_seconds)
    return run.result


WRITING = 50
"""Training goes on for at least so many times as long as writing the last checkpoint took."""


class Loop:
    """The state of one `fit`: everything here is saved, restored, or derived from the arguments.

    `advance()` makes one update; benchmarks time it, and tests look into it.
    """

    def __init__(
        self,
        step: Step,
        networks: Networks,
        batches: Any,
        *,
        schedule: Schedule,
        seed: int,
        device: torch.device,
        settings: Any = None,
        watch: Watch | None = None,
    ) -> None:
        self.settings = settings
        self.step, self.batches, self.schedule, self.seed = step, batches, schedule, seed
        self.device, self.watch = device, watch or Watch()
        self.networks, self.result = networks, Training(networks)
        self.optimiser = schedule.build(networks.students)
        self.iteration, self.keep_momentum = 0, False
        self.waiting: list[tuple[int, dict[str, Tensor]]] = []

    def train(self, store: Path | None, title: str, checkpoint_seconds: float) -> None:
        """Iterate to the end from wherever the state stands."""
        total, saved, worked = self.schedule.iterations, time.monotonic(), work_clock(self.device)
        before, pause = self.result.seconds - worked(), checkpoint_seconds
        quiet = bool(os.environ.get("SSL_STATIC"))
        bar = tqdm(
            total=total,
            initial=self.iteration,
            desc=title,
            disable=quiet,
            leave=False,
            file=sys.stdout if "ipykernel" in sys.modules else None,
        )  # text and no widget: that would be an error message in the notebook opened again
        with bar, interrupts_noted() as interrupted:
            while self.iteration < total:
                self.advance()
                bar.update()
                now = time.monotonic()
                self.result.seconds = before + worked()
                if interrupted():
                    self.stop(store, title)
                if store is not None and now - saved > pause:
                    self.flush()
                    checkpoint.save(store / "run.pt", self.state(finished=False))
                    saved = time.monotonic()
                    if checkpoint_seconds > 0:
                        pause = max(checkpoint_seconds, WRITING * (saved - now))
        self.flush()  # waits for the device
        self.result.seconds = before + worked()
        if self.keep_momentum:
            self.result.optimiser = self.optimiser.state_dict()
        if store is not None:
            checkpoint.save(store / "run.pt", self.state(finished=True))
            checkpoint.previous(store / "run.pt").unlink(missing_ok=True)
        print(f"{title}: {total} iterations in {self.result.seconds:.0f} s")

    def stop(self, store: Path | None, title: str) -> None:
        """Store where training stands, and raise `Stopped`."""
        said = f"{title}: stopped at {self.iteration} of {self.schedule.iterations} iterations"
        if store is None:
            raise Stopped(f"{said}; nothing is stored")
        self.flush()
        checkpoint.save(store / "run.pt", self.state(finished=False))
        raise Stopped(f"{said} and stored; run the cell again to go on")

    def advance(self) -> None:
        """One iteration: step, gradients, weights, teachers, and a look if one is due."""
        iteration, total = self.iteration, self.schedule.iterations
        torch.manual_seed(derived_seed(self.seed, "layers", iteration))
        generator = generator_at(self.device, self.seed, "step", iteration)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(iteration)
        with torch.autocast(self.device.type, torch.bfloat16, self.device.type == "cuda"):
            moment = Moment(iteration, total, generator, self.settings)
            output = self.step(self.networks, self.batches.at(iteration), moment)
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(output.losses.values())).sum().backward()
        self.optimiser.step()
        if self.networks.teacher is not None:
            update_teacher(
                self.networks.teacher,
                self.networks.student,
                self.schedule.averaging(iteration),
                self.schedule.teacher_buffers,
            )
        self.waiting.append((iteration, {k: v.detach() for k, v in output.losses.items()}))
        self.iteration += 1
        if self.watch.due(iteration, total):
            self.flush()
            self.look()

    def flush(self) -> None:
        """Move the logged losses to the host, one transfer for all of them."""
        if not self.waiting:
            return
        names = list(self.waiting[0][1])
        values = torch.stack([torch.stack([x[n] for n in names]) for _, x in self.waiting]).tolist()
        for (iteration, _), row in zip(self.waiting, values, strict=True):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise InputError(
                        f"the loss term {name!r} became {value} at iteration {iteration + 1}",
                        expected="finite losses",
                        fix="lower the learning rate, or look at the scans of that batch",
                    )
            losses = dict(zip(names, row, strict=True))
            self.result.history.append({"iteration": iteration + 1, **losses})
        self.waiting.clear()

    def look(self) -> None:
        """Validate and take a picture; neither changes a weight or a random number of training."""
        student = self.networks.student
        if self.watch.validate is not None:
            dice = self.watch.validate(student)
            self.result.validation.append((self.iteration, dice))
            if dice >= self.result.best.get("dice", -math.inf):
                weights = {k: v.detach().clone() for k, v in student.state_dict().items()}
                best = {"iteration": self.iteration, "dice": dice, "weights": weights}
                self.result.best = best
        if self.watch.test is not None:
            self.result.test_curve.append((self.iteration, self.watch.test(student)))
        if self.watch.picture is not None:
            maps = {k: v.cpu() for k, v in self.watch.picture(self.networks).items()}
            self.result.snapshots.append({"iteration": self.iteration, **maps})

    def state(self, finished: bool) -> dict[str, Any]:
        """All that is needed to go on, as tensors and plain values."""
        result = self.result
        return {
            "iteration": self.iteration,
            "finished": finished,
            "networks": {name: net.state_dict() for name, net in self.networks.changing.items()},
            "optimiser": result.optimiser if finished else self.optimiser.state_dict(),
            "history": result.history,
            "validation": result.validation,
            "test_curve": result.test_curve,
            "film": result.snapshots,  # the name in files of earlier trainings, found again by it
            "best": result.best,
            "seconds": result.seconds,
            "threads": torch.get_num_threads(),
        }

    def restore(self, store: Path) -> bool:
        """Continue from a checkpoint if there is one; True when the run was already finished."""
        state = checkpoint.load(store / "run.pt", self.device)
        if state is None:
            return False
        try:
            for name, network in self.networks.changing.items():
                network.load_state_dict(state["networks"][name])
            if self.device.type == "cpu" and not state["finished"]:
                torch.set_num_threads(state.get("threads", torch.get_num_threads()))
            if state["finished"]:
                self.result.optimiser = state["optimiser"]
            else:
                self.optimiser.load_state_dict(state["optimiser"])
            self.iteration = state["iteration"]
            for name in ("history", "best", "seconds"):
                setattr(self.result, name, state[name])
            self.result.snapshots = state["film"]
            self.result.validation = [(at, dice) for at, dice in state["validation"]]
            self.result.test_curve = [(at, dice) for at, dice in state.get("test_curve", [])]
            return state["finished"]
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                "this checkpoint is whole, but of another training",
                where=store / "run.pt",
                expected=f"the state of {', '.join(self.networks.changing)}",
                fix="delete the folder it lies in; the training then starts anew",
            ) from error
