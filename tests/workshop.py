"""Work that is killed at a chosen moment, in forks of one process that has imported everything.

As a script it reads one request a line (JSON), forks a process for each of its `times`, and prints
what came of them, a line each. A moment is the n-th thing that a process does with the files below
its folder, or the n-th iteration of a training: counted, so that a test is no matter of luck.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest
import tiny_server
import tiny_study
import torch
import torch._dynamo

from ssl_lib.data import download
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation import results
from ssl_lib.reports import __main__ as reports
from ssl_lib.training import study
from ssl_lib.utils.errors import InputError

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATH_OF = MappingProxyType({"open": 0, "os.rename": 1, "os.remove": 0, "os.mkdir": 0})
"""Which argument of an audit event is the path in question (for a rename: the new name)."""


class Moments:
    """Counts what happens below `folder`, says so, and ends the process when it is time.

    `moment`: just before this one (from 0) the process is killed; with `limit_bytes` it may go on,
    but no file may grow beyond: it is killed in the middle of that write or, with `full`, the
    write fails as on a full disk. `after`: killed after so many seconds, wherever it is.
    """

    def __init__(
        self,
        folder: str,
        say: Callable[[str], None],
        moment: int | None = None,
        limit_bytes: int | None = None,
        full: bool = False,
        after: float | None = None,
    ) -> None:
        self.folder, self.say, self.count = folder, say, 0
        self.moment, self.limit_bytes = moment, limit_bytes
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not full:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if after is not None:
            signal.setitimer(signal.ITIMER_REAL, after)
        sys.addaudithook(self._hear)
        sync = os.fsync
        os.fsync = lambda handle: (self.happens("fsync", ""), sync(handle))[1]

    def happens(self, kind: str, name: str) -> None:
        if self.count == self.moment:
            if self.limit_bytes is None:
                os.kill(os.getpid(), signal.SIGKILL)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit_bytes, hard))
        self.count += 1
        self.say(f"{kind} {name}")

    def _hear(self, event: str, arguments: tuple) -> None:
        if event not in PATH_OF or (event == "open" and not arguments[2] & WRITES):
            return
        path = arguments[PATH_OF[event]]
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder):
            self.happens(event, os.path.relpath(path, self.folder))


def train(moments: Moments, folder: Path, cohort: object) -> object:
    """The tiny study, stored at every iteration, and its results."""
    fit = study.fit

    def watched_fit(step, *arguments, store, **options):
        def watched(networks, batch, moment):
            moments.happens("iteration", f"{store.name} {moment.iteration}")
            return step(networks, batch, moment)

        return fit(watched, *arguments, store=store, checkpoint_seconds=-1.0, **options)

    study.fit = watched_fit
    made = tiny_study.tiny_study(folder / "runs", cohort=cohort)
    done = tiny_study.train(made)
    made.save("00_tiny", "phantom", {"mean_teacher": done}, folder / "results")
    return [tiny_study.hashes(done), done.history, done.validation]


def fetch(moments: Moments, folder: Path, url: str) -> object:
    """The tiny public set from a server on this machine, one file after another: side by side, the
    moments have another order and number in each process."""
    tiny_server.use_tiny_set(pytest.MonkeyPatch())
    download.fetch("hippocampus", folder, mirror=url, workers=1, say=lambda _: None)


def report(moments: Moments, folder: Path) -> object:
    """The reports of a small project."""
    return reports.main(["--root", str(folder)])


def write(moments: Moments, folder: Path, result: dict) -> object:
    """The same results again and again, with another number in them."""
    for number in range(3):
        for seed in range(3):
            results.write_result({**result, "seed": seed, "seconds": float(number)}, folder)


WORK = {work.__name__: work for work in (train, fetch, report, write)}


def obey_permissions() -> None:
    """Give up root's right to write where nobody may (the capabilities of Linux)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if os.geteuid() == 0 and ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise OSError("root's capabilities cannot be given up")


def in_a_fork(request: dict, work: Callable[..., object]) -> tuple[int, int]:
    """Start one process; returns its number and where to read what it says."""
    reading, writing = os.pipe()
    number = os.fork()
    if number:
        os.close(writing)
        return number, reading

    def say(text: str) -> None:
        os.write(writing, text.encode() + b"\n")

    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if request.pop("obedient", False):
            obey_permissions()
        folder = request.pop("folder")
        moments = Moments(folder, say, **request)
        answer = work(moments, Path(folder))
        moments.moment = None
        say("answer " + json.dumps(answer))
        os._exit(0)
    except InputError as error:
        say("refused " + json.dumps(str(error)))
    except BaseException:
        say("broke " + json.dumps(traceback.format_exc()))
    os._exit(1)


def collect(number: int, reading: int) -> tuple[int, list[str]]:
    """How a process ended (negative: by which signal) and what it said."""
    with open(reading, encoding="utf-8") as said:
        lines = said.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), lines


def main() -> None:
    torch.set_num_threads(1)
    cohort = phantom_cohort(2, max_scans=6)
    for line in sys.stdin:
        request = json.loads(line)
        work = partial(WORK[request.pop("work")], **request.pop("given", {}))
        if work.func is train:
            work = partial(work, cohort=cohort)
        started = [in_a_fork(dict(request), work) for _ in range(request.pop("times", 1))]
        print(json.dumps([collect(*one) for one in started]), flush=True)
    os._exit(0)  # nothing is left to be tidied up


if __name__ == "__main__":
    main()
