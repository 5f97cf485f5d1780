"""How does the cost of an update grow with the patch, the batch and the number of scans?

python benchmarks/growth.py [--repeats 7] [--tiny]

One update of the mean teacher with the quick 3D network on the phantom; one thing grows at a time,
the others keep the value in the middle. What should hold: the time per voxel stays the same or
falls, and the number of scans costs memory but no time, wherever they lie: at last all scans are
once more read from files while training goes on, as those that memory cannot hold. Processor time
on a CPU (one thread, and the reader's), the time until the device is done on a GPU. Writes
benchmarks/results/growth-cpu.json or -cuda.json.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch
from clock import seconds
from training_step import RESULTS, our_loop

from ssl_lib.config import Settings, best_device, settings_for
from ssl_lib.data import scan_files
from ssl_lib.data.cohort import Cohort
from ssl_lib.data.load import load_cohort
from ssl_lib.data.scan_files import ScanStore
from ssl_lib.training.batches import TwoStreams
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import device_name, git_commit, package_versions

SIDES, BATCHES, SCANS = (16, 24, 32, 40, 48), (1, 2, 4, 8), (8, 16, 32, 64)
MIDDLE = {"side": 32, "batch": 4, "scans": 16}


def settings_of(settings: Settings, side: int, batch: int) -> Settings:
    """The quick settings with another patch and another batch, of both streams."""
    return replace(settings, patch=(side,) * 3, labelled_batch=batch, unlabelled_batch=batch)


def in_files(cohort: Cohort) -> Cohort:
    """The same cohort with every scan in a file."""
    groups = {
        name: tuple(ScanStore(room=0).add(case) for case in cases)
        for name, cases in cohort.groups.items()
    }
    return replace(cohort, **groups)


def measured(
    side: int, batch: int, scans: int, repeats: int, stored: bool = False
) -> dict[str, float]:
    """Median milliseconds of an update, nanoseconds a voxel, and the bytes that the scans take."""
    cohort = load_cohort("phantom_3d", 4, max_scans=2 * scans)
    cohort = in_files(cohort) if stored else cohort
    settings = settings_of(settings_for("quick", cohort), side, batch)
    study = Study(cohort, settings, "quick", 0, best_device())
    sizes = {"labelled": batch, "unlabelled": batch}
    share = 0 if stored else scan_files.SHARE_FOR_SCANS
    with patch.object(scan_files, "SHARE_FOR_SCANS", share):
        streams = TwoStreams(cohort, patch=settings.patch, **sizes, seed=0, device=study.device)
    loop = our_loop("mean_teacher", study, streams)
    spent = []
    for turn in range(-2, repeats):  # the first two warm up
        started = seconds(study.device)
        loop.advance()
        spent += [seconds(study.device) - started] * (turn >= 0)
    known = cohort.labelled + cohort.unlabelled
    return {
        "milliseconds": 1000 * float(np.median(spent)),
        "nanoseconds_per_voxel": 1e9 * float(np.median(spent)) / (2 * batch * side**3),
        "training_scans": len(known),
        "bytes_of_scans": sum(case.image.nbytes for case in known),
    }


def say(name: str, value: int, one: dict[str, float]) -> None:
    """One line on the terminal."""
    print(
        f"{name:>14} {value:3}: {one['milliseconds']:7.1f} ms an update, "
        f"{one['nanoseconds_per_voxel']:6.1f} ns a voxel, {one['training_scans']} scans "
        f"of {one['bytes_of_scans'] / 1e6:.1f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tiny", action="store_true", help="two sizes each, nothing is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = best_device()
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, values in {"side": SIDES, "batch": BATCHES, "scans": SCANS}.items():
        for value in values[:2] if options.tiny else values:
            one = measured(**{**MIDDLE, name: value}, repeats=options.repeats)
            found.setdefault(name, {})[value] = one
            say(name, value, one)
    most = SCANS[1] if options.tiny else SCANS[-1]
    one = measured(**{**MIDDLE, "scans": most}, repeats=options.repeats, stored=True)
    found["scans in files"] = {most: one}
    say("scans in files", most, one)
    if options.tiny:
        return
    answer = {
        "grown": found,
        "middle": MIDDLE,
        "repeats": options.repeats,
        "threads": 1,
        "device": device_name(device.type),
        "versions": package_versions(),
        "commit": git_commit(),
    }
    file = RESULTS / f"growth-{device.type}.json"
    write_atomically(file, (json.dumps(answer, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
