"""How fast is a training step? Ours against the same mathematics written plainly.

python benchmarks/training_step.py [--repeats 15] [--cases small vnet unet] [--tiny]

Every method as one whole update of `fit` with its data; the V-Net at the size of the left-atrium
benchmark and the U-Net at that of ACDC with those that do not bring a network of their own. The
plain steps stand in benchmarks/plain.py. Both take turns, and ratios are taken within a turn, so
that a busy machine slows both. On the CPU one thread is used and the processor
time of this process is compared; on a GPU the time until the device is done. `arithmetic` is the
share of our step that the networks' passes, gradients and the optimiser take, measured alone on
tensors of the same shapes, for the methods with a student and a teacher. On a GPU, `alone` is the
time of an update among many, `idle` the share of it in which the GPU computes nothing, and `waits`
counts the calls in an update that make the host wait for it.
Writes benchmarks/results/training_step-cpu.json or -cuda.json.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from clock import seconds
from plain import PlainBatches, plain_update

from ssl_lib.config import Settings, best_device, settings_for
from ssl_lib.data.cohort import Cohort
from ssl_lib.data.load import load_cohort
from ssl_lib.methods import aau, baselines, bcp, dsaif, umct
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import TwoStreams
from ssl_lib.training.loop import Loop
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import device_name, package_versions

RESULTS = Path(__file__).parent / "results"
GOALS = {"cpu": 1.8, "cuda": 3.0}
STEPS = {
    "supervised": baselines.supervised_step,
    "mean_teacher": baselines.mean_teacher_step,
    "bcp": bcp.bcp_step,
    "aau": aau.aau_step,
    "umct": umct.umct_step,
    "dsaif": dsaif.dsaif_step,
}
PASSES = {"supervised": (1, 0), "mean_teacher": (2, 1), "bcp": (2, 1)}
"""Passes with a gradient, and without, of each method: what its arithmetic is made of."""


def case_of(name: str, tiny: bool) -> tuple[Cohort, Settings]:
    """The quick 3D network on the phantom, or the V-Net at the size of the left-atrium benchmark.

    The phantom's voxels are repeated for the V-Net: only the size matters here.
    """
    cohort = load_cohort("phantom" if name == "unet" else "phantom_3d", 4, max_scans=16)
    settings = settings_for("quick", cohort)
    if name != "small":
        patch, batch = SIZES[name, tiny]
        groups = {
            group: tuple(enlarged(case, patch) for case in cases)
            for group, cases in cohort.groups.items()
        }
        cohort = replace(cohort, **groups, sealed=type(cohort.sealed)({}))
        settings = replace(
            settings, network=name, width=16, patch=patch,
            labelled_batch=batch, unlabelled_batch=batch,
        )  # fmt: skip
    elif tiny:
        settings = replace(settings, width=4, labelled_batch=2, unlabelled_batch=2)
    return cohort, settings


SIZES = {
    ("vnet", False): ((112, 112, 80), 4),
    ("vnet", True): ((32, 32, 16), 2),
    ("unet", False): ((256, 256), 12),
    ("unet", True): ((64, 64), 2),
}
"""Patch and half of the batch, by network and whether it is the miniature."""


def enlarged(case: object, shape: tuple[int, ...]) -> object:
    """The scan repeated until it is a little larger than `shape`; of a stack, each slice."""
    space = case.image.shape[-len(shape) :]
    times = [-(-(wanted + 8) // have) for wanted, have in zip(shape, space, strict=True)]
    times = [1] * (case.image.ndim - len(shape)) + times
    cut = (..., *[slice(wanted + 8) for wanted in shape])
    label = None if case.label is None else np.tile(case.label, times)[cut]
    return replace(case, image=np.tile(case.image, times)[cut], label=label)


def networks_of(method: str, study: Study) -> Networks:
    """The networks of a method as its step sees them, with fresh weights."""
    if method == "umct":
        views = umct.views_of(3, 3)
        students = [umct.view_network(study, number, views=views) for number in range(3)]
    else:
        students = [study.network(number) for number in range(2 if method == "dsaif" else 1)]
    teacher = make_teacher(students[0]) if len(students) == 1 else None
    frozen = {}
    if method == "aau":
        autoencoder = aau.new_autoencoder(study).to(study.device)
        frozen["autoencoder"] = autoencoder.eval().requires_grad_(False)
    return Networks(tuple(students), teacher, frozen)


def our_loop(method: str, study: Study, batches: TwoStreams) -> Loop:
    """The loop of `fit`, ready to advance by one update; logged numbers stay on the device."""
    schedule = replace(study.settings.schedule, iterations=100_000)
    return Loop(
        STEPS[method], networks_of(method, study), batches, schedule=schedule, seed=0,
        device=study.device, settings=study.settings,
    )  # fmt: skip


def on_a_gpu(loop: Loop, updates: int = 30) -> dict[str, float]:
    """Milliseconds of an update among many, the GPU's idle share, and waits in one update."""
    device = loop.device
    started = seconds(device)
    for _ in range(updates):
        loop.advance()
    spent = seconds(device) - started
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(updates):
            loop.advance()
        torch.cuda.synchronize()
    busy = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop.advance()
    torch.cuda.set_sync_debug_mode("default")
    waits = [str(one.message) for one in caught if "synchroniz" in str(one.message)]
    return {
        "alone": 1000 * spent / updates,
        "kernels": 1000 * busy / updates,
        "idle": max(0.0, 1 - busy / spent),
        "waits": len(waits),
    }


def arithmetic(method: str, study: Study) -> Callable[[int], None]:
    """The networks' share of our update alone, on constant tensors."""
    settings, device = study.settings, study.device
    student = study.network()
    teacher = make_teacher(student)
    optimiser = replace(settings.schedule, iterations=1).build([student])
    images = torch.randn(settings.labelled_batch, 1, *settings.patch, device=device)
    with_gradient, without = PASSES[method]

    def update(iteration: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, device.type == "cuda"):
            with torch.no_grad():
                for _ in range(without):
                    teacher(images)
            answers = [student(images) for _ in range(with_gradient)]
        optimiser.zero_grad(set_to_none=True)
        sum(answer.float().mean() for answer in answers).backward()
        optimiser.step()

    return update


def compare(method: str, cohort: Cohort, settings: Settings, repeats: int) -> dict[str, object]:
    """Median times of the plain update, ours and its arithmetic; the ratio's median and spread."""
    study = Study(cohort, settings, "quick", 0, best_device())
    sizes = (settings.labelled_batch, settings.unlabelled_batch)
    versions = filtered_versions(cohort, settings.patch) if method == "dsaif" else None
    streams = {"labelled": sizes[0], "unlabelled": sizes[1], "auxiliary": versions}
    ours = TwoStreams(cohort, patch=settings.patch, **streams, seed=0, device=study.device)
    plain = plain_networks(method, study)
    weights = [weight for member in plain.students for weight in member.parameters()]
    optimiser = torch.optim.AdamW(weights, weight_decay=1e-4, fused=False)
    theirs = PlainBatches(cohort, settings.patch, sizes, study.device, versions)
    loop = our_loop(method, study, ours)
    runs = {
        "plain": plain_update(method, plain, optimiser, theirs, cohort.n_classes),
        "ours": lambda iteration: loop.advance(),
    }
    if method in PASSES:
        runs["arithmetic"] = arithmetic(method, study)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-2, repeats):  # the first two warm up
        for name, run in runs.items():
            started = seconds(study.device)
            run(max(turn, 0))
            if turn >= 0:
                spent[name].append(seconds(study.device) - started)
    times = {name: np.array(values) for name, values in spent.items()}
    ratios = times["plain"] / times["ours"]
    found = {
        "ratio": float(np.median(ratios)),
        "ratio_quartiles": np.quantile(ratios, (0.25, 0.75)).tolist(),
        "milliseconds": {name: 1000 * float(np.median(value)) for name, value in times.items()},
    }
    if study.device.type == "cuda":
        found |= on_a_gpu(loop)
    if "arithmetic" in times:
        share = times["arithmetic"] / times["ours"]
        found["arithmetic_share"] = float(np.median(share))
        found["arithmetic_quartiles"] = np.quantile(share, (0.25, 0.75)).tolist()
    return found


def filtered_versions(cohort: Cohort, patch: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Both filtered versions of each training scan, made beforehand for both writings."""
    area = dsaif.area_threshold(patch)
    return {
        case.case_id: dsaif.filter_scan(case.image, cohort.dimensions, area=area)
        for case in cohort.labelled + cohort.unlabelled
    }


def plain_networks(method: str, study: Study) -> Networks:
    """The same networks in the default memory format."""
    networks = networks_of(method, study)
    for network in networks.named.values():
        network.to(memory_format=torch.contiguous_format)
    return networks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cases", nargs="+", default=["small"], choices=["small", "vnet", "unet"])
    parser.add_argument("--tiny", action="store_true", help="small sizes, nothing is written")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the result")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = True  # as in `fit`; for both sides
    device = best_device()
    cases: dict[str, dict[str, object]] = {}
    for name in options.cases:
        for method in STEPS if name == "small" else PASSES:
            found = compare(method, *case_of(name, options.tiny), options.repeats)
            cases.setdefault(name, {})[method] = found
            print(f"{name}, {method}: {said(found)}", flush=True)
            if not options.tiny:
                write(cases, options, device)


def said(found: dict[str, object]) -> str:
    """The numbers of one method in words."""
    low, high = found["ratio_quartiles"]
    words = f"plain takes {found['ratio']:.2f} times ours [{low:.2f}, {high:.2f}]"
    if "arithmetic_share" in found:
        words += f", {found['arithmetic_share']:.0%} of ours is network arithmetic"
    if "idle" in found:
        words += (
            f"; {found['alone']:.1f} ms an update, GPU idle {found['idle']:.0%},"
            f" {found['waits']} waits"
        )
    return words


def write(cases: dict[str, object], options: argparse.Namespace, device: torch.device) -> None:
    """The result so far: a machine with a time limit keeps what was measured."""
    result = {
        "cases": cases,
        "goal": GOALS[device.type],
        "repeats": options.repeats,
        "threads": 1,
        "device": device_name(device.type),
        "versions": package_versions(),
    }
    file = options.out / f"training_step-{device.type}.json"
    write_atomically(file, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
