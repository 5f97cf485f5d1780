"""How long does a reader wait? Every quick notebook from its first cell to its last.

python benchmarks/notebooks.py [--profile quick] [--notebooks 00 01 ...]

Notebooks run in their order, each on its own default data set, in a folder without any stored
training: 01 finds what 00 has trained, as it would for a reader. Seconds are those of the whole
notebook, with the share of its cells that train; memory is the most that its kernel held. Writes
benchmarks/results/notebooks.json, unless another profile was asked for. Where some notebooks were
asked for, the others keep what was measured for them before, which must have been on a machine like
this one; each says at which commit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from ssl_lib.notebook.files import cell_tags
from ssl_lib.notebook.source import read_parameters
from ssl_lib.reports.plan import Folders, Job, Request, plan
from ssl_lib.reports.run import execute
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import device_name, git_commit, package_versions

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "notebooks.json"
GOAL_SECONDS, GOAL_BYTES = 180, 2 * 1024**3
"""Of one quick notebook on two cores."""


def measured(job: Job, root: Path, folder: Path) -> dict[str, object]:
    """Seconds and memory of one notebook, run in this process's only kernel."""
    given = {"RESULTS_DIR": str(folder / "results"), "RUNS_DIR": str(folder / "runs")}
    given = {name: value for name, value in given.items() if name in read_parameters(job.script)}
    job = replace(job, parameters=tuple((dict(job.parameters) | given).items()))
    ran = execute(job, folder / f"{job.notebook}.ipynb", Folders(root))
    if ran.failure is not None:
        raise SystemExit(f"{job.notebook} failed: {ran.failure}")
    cells = nbformat.read(ran.executed, as_version=4).cells
    training = [cell.metadata.papermill.duration for cell in cells if "train" in cell_tags(cell)]
    return {
        "dataset": job.dataset,
        "seconds": ran.seconds,
        "training_seconds": sum(training),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "commit": git_commit(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--notebooks", nargs="*", default=[])
    options = parser.parse_args()
    request = Request(notebooks=tuple(options.notebooks), profile=options.profile)
    found = {}
    with (
        TemporaryDirectory(prefix="ssl-") as scratch,
        ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as alone,
    ):
        for job in plan(request, Folders(ROOT)):
            found[job.notebook] = one = alone.submit(measured, job, ROOT, Path(scratch)).result()
            print(
                f"{job.notebook:34} {one['seconds']:5.0f} s, {one['training_seconds']:5.0f} s of "
                f"it training, {one['peak_memory_bytes'] / 1024**3:.2f} GB",
                flush=True,
            )
    if options.profile == "quick":
        machine = {
            "goals": {"seconds": GOAL_SECONDS, "peak_memory_bytes": GOAL_BYTES},
            "cores": os.cpu_count(),
            "device": device_name("cpu"),
            "versions": package_versions(),
        }
        if options.notebooks and RESULTS.exists():
            earlier = json.loads(RESULTS.read_bytes())
            if not machine.items() <= earlier.items():
                raise SystemExit("not stored: the others were measured elsewhere; measure all")
            found = dict(sorted((earlier["notebooks"] | found).items()))
        answer = {"profile": options.profile, "notebooks": found, **machine}
        write_atomically(RESULTS, (json.dumps(answer, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
