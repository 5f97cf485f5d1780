"""The test's side of `workshop.py`: start what is to be killed, and look at what is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import torch
import workshop
from tiny_server import CONTENT

from ssl_lib.evaluation.result_form import check_result
from ssl_lib.evaluation.results import ROWS, read_result, read_row

Moment = dict[str, object]


@dataclass(frozen=True)
class Ended:
    """How one process ended and what it said."""

    code: int
    said: list[str]

    def told(self, kind: str) -> list[str]:
        return [line.partition(" ")[2] for line in self.said if line.startswith(kind + " ")]

    @property
    def answer(self) -> object:
        assert self.code == 0, self.said[-1]
        return json.loads(self.told("answer")[0])

    @property
    def events(self) -> list[str]:
        """What happened, without the answer: as many as there are moments."""
        return [line for line in self.said if line.split()[0] not in ("answer", "refused", "broke")]


class Workshop:
    """The process that forks (see `workshop.py`)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, workshop.__file__],
            env={**os.environ, "OMP_NUM_THREADS": "1", "SSL_STATIC": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def all(self, work: str, folder: Path, **request: object) -> list[Ended]:
        """What came of each of the `times` processes."""
        line = json.dumps({"work": work, "folder": str(folder), **request})
        print(line, file=self.process.stdin, flush=True)
        return [Ended(*one) for one in json.loads(self.process.stdout.readline())]

    def __call__(self, work: str, folder: Path, **request: object) -> Ended:
        return self.all(work, folder, **request)[0]


def assert_whole(folder: Path) -> None:
    """Whatever has its final name below a folder is whole."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or path.name.endswith(".part") or path.is_dir():
            continue
        if path.name in ("run.pt", "run.pt.previous"):
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
            torch.load(path, weights_only=True)
        elif path.suffix == ".json" and ROWS in path.parts:
            read_row(path)
        elif path.suffix == ".json" and "results" in path.parts:
            check_result(read_result(path))
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".ipynb":
            nbformat.validate(nbformat.read(path, as_version=4))
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")
        elif path.name.endswith(".nii.gz"):
            name = str(path.relative_to(folder / "hippocampus"))
            expected = hashlib.sha256(CONTENT[name]).hexdigest()
            assert hashlib.sha256(path.read_bytes()).hexdigest() == expected
        elif path.name == "patients.csv":
            assert path.read_text().startswith("scan,patient\n") and path.read_text().endswith("\n")
        else:
            assert path.suffix == ".py", f"an unknown file: {path}"


def killed(ended: Ended) -> bool:
    return ended.code in (-signal.SIGKILL, -signal.SIGXFSZ, -signal.SIGALRM)


def number_of(events: Sequence[str], pattern: str, which: int = 0) -> int:
    """The moment of the which-th event that matches (negative: counted from the end)."""
    return [number for number, event in enumerate(events) if re.match(pattern, event)][which]


def some(events: Sequence[str], count: int) -> list[Moment]:
    """Moments drawn from all that there are, every other one in the middle of a write."""
    draw = random.Random(0)
    opened = [number for number, event in enumerate(events) if event.startswith("open")]
    drawn: list[Moment] = []
    for turn in range(count):
        if turn % 2:
            drawn.append({"moment": draw.choice(opened), "limit_bytes": draw.choice([0, 20])})
        else:
            drawn.append({"moment": draw.randrange(len(events))})
    return drawn
