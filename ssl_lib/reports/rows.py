"""`make rows`: rows of tables without notebooks, from the registry of methods.

python -m ssl_lib.reports.rows --dataset acdc --n-labelled "3" --profile gpu --seeds "0 1" \
    --methods "supervised_strong mean_teacher bcp" --minutes 9 --jobs 4

Every row is written as it ends, found again, and resumed: the same line goes on where it stopped.
`--minutes` starts no row that cannot end in time, by the longest row so far, and shortens none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import psutil

from ssl_lib.config import PROFILES, same_settings
from ssl_lib.evaluation.results import read_row, row_path, write_row
from ssl_lib.methods import METHODS
from ssl_lib.training.method import Method
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import safe_name


@dataclass(frozen=True)
class Row:
    """One row to be trained: what, on which scans, how. `overrides` are settings by dotted names,
    `config` parameters of the method, both as (name, value) pairs; `draw` is which scans are
    labelled (0: the data set's own choice)."""

    dataset: str
    profile: str
    n_labelled: int
    seed: int
    method: str
    overrides: tuple[tuple[str, Any], ...] = ()
    config: tuple[tuple[str, Any], ...] = ()
    draw: int = 0

    def __str__(self) -> str:
        which = f" draw{self.draw}" if self.draw else ""
        changed = "".join(f" {name}={value}" for name, value in (*self.config, *self.overrides))
        what = f"{self.dataset} {self.profile} n{self.n_labelled}{which} seed{self.seed}"
        return f"{what} {self.method}{changed}"


@dataclass(frozen=True)
class Folders:
    """Where data lie, trainings are kept, and results are written."""

    data: str = ""
    runs: str = "build/runs"
    results: str = "reports/results"


@dataclass(frozen=True)
class Done:
    """How a row ended: its Dice, the seconds it took here, and whether it was there already."""

    row: Row
    dice: float
    seconds: float
    found: bool = False


def train_row(row: Row, folders: Folders) -> Done:
    """Train, score and write a row, and that of its averaged networks; a stored one is found.

    Raises `InputError` for an unknown method, parameter or data set.
    """
    started = time.monotonic()
    study, method = _study(row, folders), _method(row)
    stored = _stored(study, method, row, folders)
    if stored is not None:
        return Done(row, stored["dice"], 0.0, found=True)
    trainings = study.rows(method)
    scored = {name: study.score(training) for name, training in trainings.items()}
    result = study.result("", row.dataset, scored)
    for name in scored:
        write_row(result, name, folders.results)
    first = next(iter(scored.values()))
    return Done(row, first["dice"], time.monotonic() - started)


def run(
    rows: Sequence[Row],
    folders: Folders,
    *,
    minutes: float | None = None,
    jobs: int = 1,
    scheduler: str = "",
    say: Callable[[str], None] = print,
) -> list[Done]:
    """Train rows in their order, `jobs` at a time; returns what ended, in the order of ending.

    With a Dask `scheduler` its workers train them, and need the same checkout and a shared disk.
    Rows that the time does not suffice for are named and left; one that is cut off goes on in the
    next call from its last checkpoint.
    """
    ends = None if minutes is None else time.monotonic() + 60 * minutes
    clock = _Clock(ends)
    train = _here if jobs == 1 and not scheduler else _on_workers
    done: list[Done] = []
    for one in train(rows, folders, clock, jobs, scheduler):
        clock.took(one.seconds)
        done.append(one)
        how = "found" if one.found else f"{one.seconds:.0f} s"
        say(f"{one.row}: Dice {one.dice:.4f} ({how})")
    left = [row for row in rows if row not in {one.row for one in done}]
    for row in left:
        say(f"{row}: not finished in the time given; the same line goes on")
    return done


class _Clock:
    """Whether another row can end in time: as long as the longest one so far, and no less."""

    def __init__(self, ends: float | None) -> None:
        self.ends, self.longest = ends, 0.0

    def took(self, seconds: float) -> None:
        self.longest = max(self.longest, seconds)

    @property
    def left(self) -> float | None:
        """Seconds until the end; None without one."""
        return None if self.ends is None else max(0.0, self.ends - time.monotonic())

    @property
    def suffices(self) -> bool:
        return self.left is None or self.left > self.longest


def _here(
    rows: Sequence[Row], folders: Folders, clock: _Clock, jobs: int, scheduler: str
) -> Iterator[Done]:
    for row in rows:
        if clock.suffices:
            yield train_row(row, folders)


def _on_workers(
    rows: Sequence[Row], folders: Folders, clock: _Clock, jobs: int, scheduler: str
) -> Iterator[Done]:
    """Rows on the workers of a Dask cluster, each started when a worker is free."""
    from distributed import as_completed  # takes a second: only where it is used

    with _client(jobs, scheduler) as client:
        places = sum(client.nthreads().values()) or jobs
        waiting = list(rows)
        going = as_completed([client.submit(train_row, row, folders, pure=False)
                              for row in waiting[:places]])  # fmt: skip
        del waiting[:places]
        while not going.is_empty():
            try:
                future = next(going) if clock.left is None else _within(going, clock.left)
            except TimeoutError:
                return
            yield future.result()
            if waiting and clock.suffices:
                going.add(client.submit(train_row, waiting.pop(0), folders, pure=False))


def _within(going: Any, seconds: float) -> Any:
    """The next future that ends within so many seconds; raises `TimeoutError`."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        batch = going.next_batch(block=False)
        if batch:
            for more in batch[1:]:
                going.add(more)
            return batch[0]
        time.sleep(0.2)
    raise TimeoutError


@contextmanager
def _client(jobs: int, scheduler: str) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if scheduler:
        with Client(scheduler) as client:
            yield client
        return
    cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    try:
        yield client
    finally:
        for worker in cluster.workers.values():  # a row that is cut off must not hold the end up
            with suppress(psutil.Error):
                psutil.Process(worker.pid).kill()
        client.close(timeout=2)
        cluster.close(timeout=5)


@lru_cache(maxsize=4)
def _opened(dataset: str, profile: str, n_labelled: int, data_dir: str, runs_dir: str) -> Study:
    return Study.open(dataset, profile, n_labelled, 0, data_dir=data_dir, runs_dir=runs_dir)


def _study(row: Row, folders: Folders) -> Study:
    opened = _opened(row.dataset, row.profile, row.n_labelled, folders.data, folders.runs)
    study = replace(opened, seed=row.seed, started=time.monotonic()).with_draw(row.draw)
    return study.with_overrides(dict(row.overrides))


def _method(row: Row) -> Method:
    if row.method not in METHODS:
        raise InputError(f"there is no method {row.method!r}", expected=", ".join(METHODS))
    config = dict(row.config)
    ours = config.pop("geometry", "") == "ours"  # beside the published geometry, at paper
    method = METHODS[row.method].with_config(**config)
    return method.in_our_geometry() if ours else method


def _stored(study: Study, method: Method, row: Row, folders: Folders) -> dict[str, Any] | None:
    """The stored row, if it was trained with just these parameters."""
    study, method = study.for_method(method)
    wanted = {
        "dataset": safe_name(row.dataset),
        "profile": row.profile,
        "n_labelled": study.cohort.n_labelled,
        "cohort_hash": study.cohort.content_hash,
        "seed": row.seed,
    }
    path = row_path(folders.results, wanted, method.label)
    if not path.is_file():
        return None
    stored = read_row(path)
    same = stored.get("config") == method.recorded()
    return stored if same and same_settings(study.settings, stored["parameters"]) else None


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _pairs(text: str) -> tuple[tuple[str, Any], ...]:
    """`alpha=0.3 schedule.iterations=6000` as names with numbers, words or true and false."""
    found = []
    for word in _words(text):
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError(f"{word!r} is no parameter", expected="name=value, such as alpha=0.3")
        try:
            found.append((name, json.loads(value.lower() if value in ("True", "False") else value)))
        except json.JSONDecodeError:
            found.append((name, value))
    return tuple(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the rows asked for; returns 0 if all are there at the end, 3 if time ran out."""
    parser = argparse.ArgumentParser(prog="python -m ssl_lib.reports.rows", description=__doc__)
    parser.add_argument("--dataset", default="phantom")
    parser.add_argument("--profile", default="quick", choices=PROFILES)
    parser.add_argument("--methods", default="supervised_few supervised_strong mean_teacher bcp")
    parser.add_argument("--n-labelled", default="4")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--draws", default="0", help="choices of the labelled scans; 0: published")
    parser.add_argument("--settings", default="", help='such as "schedule.learning_rate=0.01"')
    parser.add_argument("--config", default="", help='parameters of the methods: "alpha=0.3"')
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--scheduler", default="")
    parser.add_argument("--data", default=Folders.data)
    parser.add_argument("--runs", default=Folders.runs)
    parser.add_argument("--results", default=Folders.results)
    asked = parser.parse_args(arguments)
    if not sys.stderr.isatty():
        os.environ["SSL_STATIC"] = "1"  # no bars of progress in a log
    folders = Folders(asked.data, asked.runs, asked.results)
    try:
        more = _pairs(asked.settings), _pairs(asked.config)
        rows = [
            Row(asked.dataset, asked.profile, int(n), int(seed), method, *more, int(draw))
            for draw in _words(asked.draws)
            for seed in _words(asked.seeds)
            for n in _words(asked.n_labelled)
            for method in _words(asked.methods)
        ]
        for row in rows:
            _method(row)
        done = run(
            rows, folders, minutes=asked.minutes, jobs=asked.jobs, scheduler=asked.scheduler,
            say=lambda line: print(line, flush=True),
        )  # fmt: skip
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if len(done) == len(rows) else 3


if __name__ == "__main__":
    sys.exit(main())
