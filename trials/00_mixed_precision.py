"""What would bfloat16 on a CPU cost in Dice, and save in time? No test scan is looked at.

python trials/00_mixed_precision.py [RUNS_DIR]

Trains the strong control and the mean teacher at the quick profile, once as they are (float32,
found again if they were trained before) and once with the steps' forward passes in bfloat16, and
compares validation Dice of the last weights; prediction stays in float32. The time of one update is
measured besides, both in turns, as processor time of one thread. Whether it pays depends on the
processor: one without bfloat16 instructions gets slower. The environment variable DATA_DIR says
where downloaded data lie. Writes reports/validation/00_mixed_precision.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ssl_lib.methods import baselines
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import make_teacher, update_teacher
from ssl_lib.notebook.source import work_in_project
from ssl_lib.training.batches import TwoStreams, generator_at
from ssl_lib.training.loop import Moment, Step, StepOutput
from ssl_lib.training.method import Method
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.provenance import device_name, git_commit

FILE = Path("reports/validation/00_mixed_precision.json")
DATASETS, SEEDS, N_LABELLED, TURNS = ("phantom", "hippocampus"), (0, 1, 2), 4, 15
STEPS = {
    "supervised_strong": baselines.supervised_step,
    "mean_teacher": baselines.mean_teacher_step,
}


def in_bfloat16(networks, batch, moment, *, step: Step) -> StepOutput:
    """The step with its forward passes in mixed precision, on a CPU, too."""
    with torch.autocast(batch.images.device.type, torch.bfloat16):
        return step(networks, batch, moment)


def dice_of(study: Study, name: str, change: Callable[[Step], Step]) -> float:
    """Validation Dice of the last weights, all stages trained with the changed steps."""
    step, warm_up = change(STEPS[name]), change(baselines.supervised_step)
    row = study.train(Method(name, step, warm_up, teacher=name == "mean_teacher"))
    return row.validation[-1][1]


def update(study: Study, step: Step) -> Callable[[int], None]:
    """One whole update as a function of the iteration."""
    settings, device = study.settings, study.device
    sizes = {"labelled": settings.labelled_batch, "unlabelled": settings.unlabelled_batch}
    batches = TwoStreams(study.cohort, patch=settings.patch, **sizes, seed=0, device=device)
    student = study.network()
    networks = Networks((student,), make_teacher(student))
    optimiser = replace(settings.schedule, iterations=1).build(networks.students)

    def run(iteration: int) -> None:
        moment = Moment(iteration, 800, generator_at(device, iteration), settings)
        losses = step(networks, batches.at(iteration), moment).losses
        optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimiser.step()
        update_teacher(networks.teacher, student, 0.97)

    return run


def speed_up(study: Study, step: Step) -> dict[str, float]:
    """How many times longer an update takes in float32: median and quartiles over turns."""
    runs = [update(study, step), update(study, partial(in_bfloat16, step=step))]
    ratios = []
    for turn in range(-2, TURNS):  # the first two warm up
        spent = []
        for run in runs:
            started = time.process_time()
            run(max(turn, 0))
            spent.append(time.process_time() - started)
        ratios += [spent[0] / spent[1]] * (turn >= 0)
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75)).tolist()
    return {"median": middle, "low": low, "high": high}


def trial(dataset: str, runs: str) -> dict[str, object]:
    """Dice in both precisions for each row and seed, and the speed-up of an update."""
    found: dict[str, object] = {"dice": {}, "speed_up": {}}
    for seed in SEEDS:
        folder = os.environ.get("DATA_DIR", "data")
        study = Study.open(dataset, "quick", N_LABELLED, seed, data_dir=folder, runs_dir=runs)
        for name, step in STEPS.items():
            if seed == SEEDS[0]:
                found["speed_up"][name] = speed_up(study, step)
            row = {
                "float32": dice_of(study, name, lambda step: step),
                "bfloat16": dice_of(study, name, lambda step: partial(in_bfloat16, step=step)),
            }
            found["dice"].setdefault(name, {})[str(seed)] = row
            print(dataset, name, seed, row, found["speed_up"][name], flush=True)
    return found


def main(runs: str = "build/runs") -> None:
    work_in_project()
    torch.set_num_threads(1)
    report: dict[str, object] = {
        "profile": "quick",
        "n_labelled": N_LABELLED,
        "measured on": "validation scans, last weights; processor time of one thread",
        "device": device_name("cpu"),
        "commit": git_commit(),
    }
    for dataset in DATASETS:
        try:
            report[dataset] = trial(dataset, runs)
        except InputError as problem:
            print(problem)
            continue
        write_atomically(FILE, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
