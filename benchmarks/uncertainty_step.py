"""What does uncertainty cost? One AAU step and one UA-MT step against a mean-teacher step.

python benchmarks/uncertainty_step.py [--repeats 25]

A step is what training does with it: the step itself, its gradients, the optimiser and the
teacher's average, on the quick profile's networks and batches in 2D and 3D. The three steps take
turns on one batch, so that a busy machine slows all; ratios are taken within a turn, and medians
over turns. On the CPU one thread is used and its processor time is compared, on a GPU the time
until the device is done. Weights decide nothing here, so nothing is trained. Writes
benchmarks/results/uncertainty_step.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from clock import seconds

from ssl_lib.methods import aau, baselines, classic
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import make_teacher, update_teacher
from ssl_lib.training.batches import TwoStreams, generator_at
from ssl_lib.training.loop import Moment, Step
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import device_name, package_versions

RESULT = Path(__file__).parent / "results" / "uncertainty_step.json"
LIMIT = 1.3
CASES = {"2D, 8 slices": "phantom", "3D, 4 volumes": "phantom_3d"}
STEPS: dict[str, tuple[Step, str]] = {
    "mean_teacher": (baselines.mean_teacher_step, "1 teacher pass"),
    "aau": (aau.aau_step, "+ 1 autoencoder pass"),
    "ua_mt": (classic.ua_mt_step, "+ 8 teacher passes"),
}


def updates(dataset: str) -> tuple[dict[str, Callable[[int], None]], torch.device]:
    """One whole update for each step, as a function of the iteration."""
    study = Study.open(dataset, "quick", 4, 0)
    settings, device = study.settings, study.device
    sizes = {"labelled": settings.labelled_batch, "unlabelled": settings.unlabelled_batch}
    batch = TwoStreams(study.cohort, patch=settings.patch, **sizes, seed=0, device=device).at(0)
    autoencoder = aau.new_autoencoder(study).to(device).eval().requires_grad_(False)

    def one(step: Step) -> Callable[[int], None]:
        student = study.network()
        frozen = {"autoencoder": autoencoder}
        networks = Networks((student,), make_teacher(student), frozen)
        optimiser = replace(settings.schedule, iterations=1).build(networks.students)

        def update(iteration: int) -> None:
            moment = Moment(iteration, 800, generator_at(device, iteration), settings)
            with torch.autocast(device.type, torch.bfloat16, device.type == "cuda"):
                losses = step(networks, batch, moment).losses
            optimiser.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            optimiser.step()
            update_teacher(networks.teacher, student, 0.97)

        return update

    return {name: one(step) for name, (step, _) in STEPS.items()}, device


def measure(dataset: str, repeats: int) -> dict[str, dict[str, object]]:
    """Median cost of each step, in milliseconds and relative to the mean teacher's."""
    runs, device = updates(dataset)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-3, repeats):  # the first three warm up
        for name, run in runs.items():
            started = seconds(device)
            run(max(turn, 0))
            if turn >= 0:
                spent[name].append(seconds(device) - started)
    base = np.array(spent["mean_teacher"])
    return {
        name: {
            "relative": float(np.median(times / base)),
            "milliseconds": 1000 * float(np.median(times)),
            "adds": STEPS[name][1],
        }
        for name, times in ((name, np.array(values)) for name, values in spent.items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=25)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    cases = {name: measure(dataset, repeats) for name, dataset in CASES.items()}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    result = {
        "cases": cases,
        "limit": LIMIT,
        "repeats": repeats,
        "device": device_name(device),
        "versions": package_versions(),
    }
    write_atomically(RESULT, (json.dumps(result, indent=1) + "\n").encode())
    for case, steps in cases.items():
        for name, cost in steps.items():
            print(f"{case}: {name:>13} {cost['relative']:.2f} ({cost['milliseconds']:.0f} ms)")
        state = "within" if steps["aau"]["relative"] <= LIMIT else "BEYOND"
        print(f"{case}: AAU is {state} the limit of {LIMIT}")


if __name__ == "__main__":
    main()
