"""One run on a worker of a Dask cluster: unpack it, execute it, send back what came of it.

No disk is shared with the caller: the notebook's text and the results it may read travel to the
worker, the executed notebook and the results it wrote travel back. The worker needs the same
checkout, installed with `pip install --editable .`; its own copy of the data and of stored
trainings lie there. A caller on the same machine names its own project instead.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dask.system import CPU_COUNT
from distributed import get_client, get_worker
from distributed.comm import get_address_host

from ssl_lib.notebook.files import write_text
from ssl_lib.reports.plan import PROJECT, Folders, Job, code_version, usable_data
from ssl_lib.reports.run import execute
from ssl_lib.utils.errors import InputError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_one_at_a_time = threading.Lock()  # for a worker with several threads


@dataclass(frozen=True)
class Parcel:
    """What a worker is sent: a job and all that its notebook needs from the caller's disk.

    `stored` are result files by their path below the results folder; `code` is the caller's
    `code_version()`; `project` is the folder to work in (None: where the worker's own library is
    installed); `threads` are those of the kernel (None: a fair share of the worker's cores);
    `timeout` is the most seconds that one cell may take.
    """

    job: Job
    script: str
    stored: Mapping[str, bytes]
    code: str
    project: str | None = None
    threads: int | None = None
    timeout: int | None = None


@dataclass(frozen=True)
class Delivery:
    """What comes back: the text of the executed notebook, the result files that the run wrote by
    their path below the results folder, and the address of the worker."""

    notebook: str
    results: Mapping[str, bytes]
    worker: str


def run_parcel(parcel: Parcel) -> Delivery:
    """Execute a job on this worker; a failing notebook is delivered like any other.

    Raises `InputError` if the worker's code or data are not those of the caller.
    """
    worker = get_worker()
    project = Path(parcel.project) if parcel.project else PROJECT
    threads = parcel.threads or _fair_share()
    with (
        _one_at_a_time,
        TemporaryDirectory(prefix="run-", dir=worker.local_directory) as folder,
    ):
        results = Path(folder) / "results"
        job = _unpacked(parcel, Path(folder), results)
        if parcel.project is None:
            _check_same(parcel, job, worker.address)
        ran = execute(
            job,
            Path(folder) / "executed.ipynb",
            Folders(project),
            timeout=parcel.timeout,
            environment=dict.fromkeys(THREAD_VARIABLES, str(threads)),
        )
        text = ran.executed.read_text(encoding="utf-8")
        asked = str(dict(parcel.job.parameters).get("RESULTS_DIR", ""))
        return Delivery(
            text.replace(results.as_posix(), asked),
            _new_files(results, parcel.stored),
            worker.address,
        )


def _unpacked(parcel: Parcel, folder: Path, results: Path) -> Job:
    """Write what was sent into `folder`; returns the job with the paths that hold here."""
    script = folder / parcel.job.script.name
    write_text(script, parcel.script)
    for name, content in parcel.stored.items():
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    parameters = dict(parcel.job.parameters)
    if "RESULTS_DIR" in parameters:
        parameters["RESULTS_DIR"] = results.as_posix()
    return replace(parcel.job, script=script, parameters=tuple(parameters.items()))


def _check_same(parcel: Parcel, job: Job, address: str) -> None:
    if code_version() != parcel.code:
        raise InputError(
            "this worker has other code than the caller",
            where=address,
            expected="the same checkout, installed with `pip install --editable .`",
            fix="bring the worker's checkout to the same state and start the worker again",
        )
    if usable_data(job, Folders(PROJECT)) != job.data_hash:
        raise InputError(
            f"{job.dataset} on this worker is not the caller's",
            where=address,
            expected="the same scans and labels",
            fix="copy the caller's data folder to the worker, or fetch the data anew on both",
        )


def _fair_share() -> int:
    """The cores that this process may use, divided by the workers that share them."""
    here = get_address_host(get_worker().address)
    workers = get_client().scheduler_info()["workers"]
    neighbours = [address for address in workers if get_address_host(address) == here]
    return max(1, CPU_COUNT // max(1, len(neighbours)))


def _new_files(results: Path, stored: Mapping[str, bytes]) -> dict[str, bytes]:
    """The result files that the run wrote or changed."""
    paths = [*results.glob("*/*.json"), *results.glob("*/*/*.json")]
    files = {path.relative_to(results).as_posix(): path.read_bytes() for path in paths}
    return {name: content for name, content in files.items() if stored.get(name) != content}
