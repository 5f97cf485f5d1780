"""Several runs at a time through Dask: on this machine, or wherever a scheduler's workers are.

Dask decides which worker takes which run, and gives a run to another worker when one dies. What is
decided here is only which runs may start:

- the first notebook of a study (data set, profile, labelled scans, seed) goes before the others of
  the same study, which then find its warm-ups and baselines trained;
- the last seed of a page waits for the other seeds, because the page that it makes shows them all;
- notebooks that only read results are no business of a cluster: they run in the caller at the end.

A finished run is written to the caller's disk at once and never repeated because a worker dies.
`distributed` is imported here and in `worker` only, so that a plain run does not wait for it.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster, as_completed
from distributed.comm import get_address_host_port
from distributed.scheduler import KilledWorker
from distributed.utils import silence_logging_cmgr

from ssl_lib.reports.plan import Folders, Job, code_version
from ssl_lib.reports.run import Ran, Stamp, executed_path, not_executed, received
from ssl_lib.reports.worker import Delivery, Parcel, run_parcel
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import ROWS

CONNECT_SECONDS = 10
IGNORE_INTERRUPT = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""For workers in the terminal of the caller: Ctrl-C is meant for the caller, who stops them."""
INSTALL = "install the same checkout where the workers run, with `pip install --editable .`"


def run_on_cluster(
    jobs: Sequence[Job],
    folders: Folders,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    force: bool = False,
    timeout: int | None = None,
) -> Iterator[Ran]:
    """Run jobs that train, several at a time, and yield each as it ends, unchanged ones first.

    Either `workers` processes are started on this machine, which share its cores and the project's
    stored trainings, or the runs are sent to the Dask `scheduler` at an address like
    "tcp://host:8786". A failing notebook, and a run that killed every worker it was given to, are
    yielded with their failure. Raises `InputError` if there is no such scheduler, its workers
    cannot run this project, or it is lost on the way.
    """
    stamps = {job: Stamp(job, folders) for job in jobs}
    unchanged = [job for job in jobs if not force and stamps[job].is_valid()]
    yield from (Ran(job, executed_path(job, folders), True, 0.0, None) for job in unchanged)
    left = [job for job in jobs if job not in unchanged]
    if not left:
        return
    opened = _remote(scheduler) if scheduler else _local(workers or 1, folders)
    with opened as (client, options):
        options = {**options, "code": code_version(), "timeout": timeout}
        yield from _Sweep(client, folders, stamps, options, stay=bool(scheduler)).run(left)


def prerequisites(jobs: Sequence[Job]) -> dict[Job, set[Job]]:
    """For each job the jobs that have to end before it starts; `jobs` are in the order of a plan.

    No circle is possible: a job only ever waits for earlier ones.
    """
    needs: dict[Job, set[Job]] = {job: set() for job in jobs}
    first: dict[tuple, Job] = {}
    pages: dict[tuple, list[Job]] = {}
    for job in jobs:
        leader = first.setdefault(_study(job), job)
        if leader is not job:
            needs[job].add(leader)
        pages.setdefault((job.notebook, job.page_name), []).append(job)
    for seeds in pages.values():
        needs[seeds[-1]].update(seeds[:-1])
    return needs


class _Sweep:
    """The runs of one call on one cluster."""

    def __init__(
        self,
        client: Client,
        folders: Folders,
        stamps: Mapping[Job, Stamp],
        options: Mapping[str, Any],
        stay: bool,
    ) -> None:
        self._client, self._folders, self._stamps = client, folders, stamps
        self._options, self._stay = options, stay
        self._homes: dict[tuple, str] = {}
        self._running: dict[Future, Job] = {}

    def run(self, jobs: Sequence[Job]) -> Iterator[Ran]:
        """Submit what may start, collect what has ended, until nothing is left."""
        needs = prerequisites(jobs)
        ended = as_completed([self._submit(job) for job in jobs if not needs[job]])
        for future in ended:
            job = self._running.pop(future)
            yield self._collect(job, future)
            del future  # the worker may forget what has arrived
            del needs[job]
            for other, waits_for in needs.items():
                if job in waits_for:
                    waits_for.remove(job)
                    if not waits_for:
                        ended.add(self._submit(other))

    def _submit(self, job: Job) -> Future:
        self._stamps[job].remove()
        parcel = Parcel(
            job, job.script.read_text(encoding="utf-8"), self._stored(job), **self._options
        )
        home = self._homes.get(_study(job)) if self._stay else None
        where = {"workers": [home], "allow_other_workers": True} if home else {}
        key = f"{job.notebook}-{job.run_name}-{uuid.uuid4().hex}"
        future = self._client.submit(run_parcel, parcel, key=key, pure=False, **where)
        self._running[future] = job
        return future

    def _stored(self, job: Job) -> dict[str, bytes]:
        """The results that a notebook may read: its own, of every cohort, and all rows."""
        results = self._folders.results
        paths = [*results.glob(f"{ROWS}/*/*.json"), *results.glob(f"{job.notebook}/*.json")]
        return {path.relative_to(results).as_posix(): path.read_bytes() for path in sorted(paths)}

    def _collect(self, job: Job, future: Future) -> Ran:
        """Write what has arrived to the caller's disk."""
        executed = executed_path(job, self._folders)
        try:
            delivery: Delivery = future.result()
        except CancelledError as error:
            raise InputError(
                "the connection to the Dask scheduler was lost",
                fix="start the scheduler again, then the same command: finished runs are kept",
            ) from error
        except KilledWorker as error:
            times = error.allowed_failures + 1
            text = f"given up: {times} workers died while they ran this (out of memory?)"
            return not_executed(job, executed, text)
        except Exception as error:  # the worker could not begin: other code, no data, no disk
            text = (
                str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            )
            return not_executed(job, executed, " ".join(text.split()))
        self._homes[_study(job)] = delivery.worker
        rows_first = sorted(delivery.results.items(), key=lambda pair: not pair[0].startswith(ROWS))
        for name, content in rows_first:  # no file names a row that is not there yet
            write_atomically(self._folders.results / name, content)
        ran = received(job, executed, delivery.notebook)
        if ran.failure is None:
            self._stamps[job].write()
        return ran


@contextmanager
def _local(workers: int, folders: Folders) -> Iterator[tuple[Client, dict[str, Any]]]:
    """A cluster of worker processes on this machine, gone when the block ends."""
    with (
        TemporaryDirectory(prefix="ssl-", ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,  # trainings are in the kernels, of which Dask knows nothing
            dashboard_address="127.0.0.1:0",
            local_directory=scratch,
            env={"TMPDIR": scratch},  # what a killed worker leaves behind goes with the cluster
            preload=[IGNORE_INTERRUPT],
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        threads = max(1, CPU_COUNT // workers)
        yield client, {"project": str(folders.root), "threads": threads}


@contextmanager
def _remote(address: str) -> Iterator[tuple[Client, dict[str, Any]]]:
    """The cluster of a scheduler that is there already; it stays when the block ends."""
    with silence_logging_cmgr(logging.CRITICAL):  # what goes wrong is said in one message
        try:
            # asked first by a plain socket: a client starts threads before it finds nobody there
            socket.create_connection(get_address_host_port(address), CONNECT_SECONDS).close()
            client = Client(address, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                "no Dask scheduler answers",
                where=address,
                expected="the address of a running scheduler, such as tcp://host:8786",
                fix="start one with `dask scheduler`; check host, port and firewall",
            ) from error
        with client:
            _check_workers(client, address)
            yield client, {}


def _check_workers(client: Client, address: str) -> None:
    """Refuse a cluster that cannot run this project, before any run is sent."""
    crowded = {name: n for name, n in client.nthreads().items() if n > 1}
    if crowded:
        name, threads = next(iter(crowded.items()))
        raise InputError(
            f"the worker {name} would run {threads} notebooks at a time",
            where=address,
            expected="workers with one thread each; a notebook uses several cores by itself",
            fix="start them with `dask worker ADDRESS --nthreads 1 --nworkers N`",
        )
    versions = client.run(code_version, on_error="return")
    for name, version in versions.items():
        if version != code_version():
            broken = isinstance(version, BaseException)
            raise InputError(
                f"the worker {name} " + (f"says {version!r}" if broken else "has other code"),
                where=address,
                expected="the caller's checkout in the environment of every worker",
                fix=INSTALL,
            )
    if not versions:
        print(f"{address} has no worker yet; the runs wait for one", flush=True)


def _study(job: Job) -> tuple:
    """What the runs have in common that share warm-ups and baselines."""
    return job.dataset, job.profile, job.n_labelled, job.draw, job.folds, job.seed
