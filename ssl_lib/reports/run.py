"""Execute one job with papermill, in a kernel of this very Python, and keep what came of it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import papermill
from nbformat import NotebookNode
from traitlets.config import Config

from ssl_lib.notebook.files import (
    KERNELSPEC,
    cell_tags,
    read_notebook,
    with_outputs,
    write_notebook,
    write_text,
)
from ssl_lib.notebook.stored import picture_alone
from ssl_lib.reports.outcome import Failure, diagnose, note, read_executed
from ssl_lib.reports.outputs import tidy_streams
from ssl_lib.reports.plan import Folders, Job, digest
from ssl_lib.utils.names import ROWS, safe_name

KERNEL = "ssl_lib_report"
KERNEL_ENVIRONMENT = {"SSL_STATIC": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
CELLS: Mapping[str, Any] = {"desc": "    cells", "leave": False, "disable": None}
"""A line of progress while a notebook runs, in a terminal only, and gone when it has ended."""
PAPERMILL_BANNER = "papermill-error-cell-tag"  # cells that papermill adds; the page has its own


@dataclass(frozen=True)
class Ran:
    """A finished or skipped job; `seconds` is the wall-clock time, 0 when it was skipped."""

    job: Job
    executed: Path
    skipped: bool
    seconds: float
    failure: Failure | None


def executed_path(job: Job, folders: Folders) -> Path:
    """Where the executed notebook of a job is kept."""
    return folders.build / "executed" / job.notebook / f"{job.run_name}.ipynb"


def run_job(job: Job, folders: Folders, *, force: bool = False, timeout: int | None = None) -> Ran:
    """Execute a job unless nothing it depends on has changed; never raises for a failing notebook.

    `timeout` is the most seconds that one cell may take.
    """
    executed, stamp = executed_path(job, folders), Stamp(job, folders)
    if not force and stamp.is_valid():
        return Ran(job, executed, True, 0.0, None)
    stamp.remove()
    ran = execute(job, executed, folders, timeout=timeout)
    if ran.failure is None:
        stamp.write()
    return ran


def execute(
    job: Job,
    executed: Path,
    folders: Folders,
    *,
    timeout: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Execute a job into the file `executed`, in the project's folder, whatever is there already.

    A notebook begins with what earlier runs stored. If this run replaced such a row by another
    score, or trained other rows than the run before, it is executed once more, so that the page's
    beginning and end speak of the same rows; the trainings are found again. The file appears when
    the run has ended: after a kill there is the one before, or none.
    `environment` are further variables of the kernel. Never raises for a failing notebook.
    """
    started, when = time.monotonic(), datetime.now(UTC)
    before = _stored_scores(job, folders)
    notebook, error = _execute(job, folders, timeout, environment or {})
    if error is None and before.items() - _stored_scores(job, folders).items():
        notebook, error = _execute(job, folders, timeout, environment or {})
    notebook.cells = [c for c in notebook.cells if PAPERMILL_BANNER not in cell_tags(c)]
    failure = diagnose(notebook, error)
    without_paths(notebook, folders.root)
    return _noted(job, notebook, executed, when, time.monotonic() - started, failure)


def _stored_scores(job: Job, folders: Folders) -> dict[Path, str]:
    """The Dice of every stored row that a run of the job may replace, as text (it may be NaN, and a
    file may be damaged: the overview names it), and which rows its own result names."""
    n_labelled = "*" if job.folds else job.n_labelled
    cohort = f"{safe_name(job.dataset)}-{job.profile}-n{n_labelled}-*"
    files = (folders.results / ROWS).glob(f"{cohort}/*.json")
    found = {file: _dice_of(file) for file in files}
    own = job.result_path(folders.results)
    return found if own is None else {**found, own: _rows_of(own)}


def _rows_of(file: Path) -> str:
    """The rows that a notebook's result names, as text."""
    try:
        return " ".join(sorted(json.loads(file.read_text(encoding="utf-8"))["rows"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "not readable"


def _dice_of(file: Path) -> str:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["dice"])
    except (OSError, ValueError, KeyError, TypeError):
        return "not readable"


def not_executed(job: Job, executed: Path, message: str) -> Ran:
    """The run of a job that never got as far as its first cell: `message` says why."""
    notebook = read_notebook(job.script)
    return _noted(job, notebook, executed, datetime.now(UTC), 0.0, Failure(None, message))


def received(job: Job, executed: Path, text: str) -> Ran:
    """The run of a job that was executed elsewhere: `text` is its executed notebook."""
    write_text(executed, text)
    _, notes, failure = read_executed(executed)
    return Ran(job, executed, False, float(notes["seconds"]), failure)


def store_outputs(ran: Ran) -> Path:
    """Put the outputs of a run into the `.ipynb` beside its script, with pictures of interactive
    figures; returns the `.ipynb`."""
    executed = nbformat.read(ran.executed, as_version=4)
    executed.cells = [c for c in executed.cells if "injected-parameters" not in cell_tags(c)]
    for cell in executed.cells:
        if cell.cell_type == "code":
            cell.outputs = tidy_streams(cell.outputs)
            for data in (output.get("data", {}) for output in cell.outputs):
                if "text/html" in data:
                    data["text/html"] = picture_alone(data["text/html"])
    target = ran.job.script.with_suffix(".ipynb")
    write_notebook(with_outputs(read_notebook(ran.job.script), executed), target)
    return target


def without_paths(notebook: NotebookNode, root: Path) -> None:
    """Take the folders of this machine out of texts: the project's root, then the home."""
    hidden = {f"{root.resolve()}/": "", str(root.resolve()): ".", str(Path.home()): "~"}
    hidden.pop("/", None)

    def clean(value: object) -> object:
        if isinstance(value, str) and not value.startswith(("iVBOR", "/9j/")):
            for path, replacement in hidden.items():
                value = value.replace(path, replacement)
        return [clean(item) for item in value] if isinstance(value, list) else value

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for part in (output, output.get("data", {})):
                part.update({key: clean(value) for key, value in part.items()})


def _noted(
    job: Job,
    notebook: NotebookNode,
    executed: Path,
    when: datetime,
    seconds: float,
    failure: Failure | None,
) -> Ran:
    """Write an executed notebook with the notes that its page is made from."""
    note(
        notebook,
        notebook=job.notebook,
        dataset=safe_name(job.dataset),
        profile=job.profile,
        n_labelled=job.n_labelled,
        labelled_draw=job.draw,
        folds=job.folds,
        methods=job.methods,
        seed=job.seed,
        parameters=dict(job.parameters),
        seconds=seconds,
        when=when.isoformat(timespec="seconds"),
        failure=failure,
    )
    write_text(executed, nbformat.writes(notebook))
    return Ran(job, executed, False, seconds, failure)


def _execute(
    job: Job, folders: Folders, timeout: int | None, environment: Mapping[str, str]
) -> tuple[NotebookNode, BaseException | None]:
    """Run a notebook; returns what it has become, and what went wrong with it."""
    notebook = read_notebook(job.script)
    notebook.metadata.kernelspec = nbformat.from_dict({**KERNELSPEC, "name": KERNEL})
    error = None
    with (
        TemporaryDirectory(prefix="ssl-") as folder,
        _own_kernel(Path(folder), environment),
    ):
        running = Path(folder) / "running.ipynb"  # papermill writes it in place, again and again
        write_text(running, nbformat.writes(notebook))
        try:
            papermill.execute_notebook(
                str(running),
                str(running),
                parameters=dict(job.parameters),
                kernel_name=KERNEL,
                cwd=str(folders.root),
                progress_bar=dict(CELLS) if parent_process() is None else False,
                autosave_cell_every=0,
                execution_timeout=timeout,
                config=_connection(folder),
            )
        except Exception as problem:  # whatever it is, it belongs on the page
            error = problem
        try:
            return nbformat.read(running, as_version=4), error
        except ValueError:  # the disk was full when papermill wrote it
            return notebook, error


def _connection(folder: str) -> Config:
    """How to reach the kernel: by sockets in `folder`, which only this user can open, where the
    system has them. A folder for each run: runs side by side must not take each other's sockets."""
    if os.name != "posix":
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder) / "kernel")}})


@contextmanager
def _own_kernel(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Within this block Jupyter knows a kernel that is this Python, described in `folder`."""
    specification = {
        "argv": [
            *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
            "--log-level=CRITICAL",  # what matters to a reader is in the notebook
        ],
        "display_name": "Python of this environment",
        "language": "python",
        "env": {**KERNEL_ENVIRONMENT, **environment},
    }
    write_text(folder / "kernels" / KERNEL / "kernel.json", json.dumps(specification))
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    try:
        yield
    finally:
        os.environ.pop("JUPYTER_PATH")
        if before is not None:
            os.environ["JUPYTER_PATH"] = before


class Stamp:
    """A note that a run succeeded, valid as long as its inputs are what they were, its executed
    notebook is there, from which its page is made anew each time, and its result if it had one.

    The inputs are those of the moment when the object was made: make it before the run.
    """

    def __init__(self, job: Job, folders: Folders) -> None:
        self._path = folders.build / "stamps" / job.notebook / f"{job.run_name}.json"
        self._executed = executed_path(job, folders)
        self._job, self._results = job, folders.results
        self._digest = digest(job, folders)

    def is_valid(self) -> bool:
        """True if the run need not be repeated."""
        if not self._path.exists() or not self._executed.exists():
            return False
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            result_there = self._has_result() or not stored["result"]
            return stored["digest"] == self._digest and result_there
        # whatever a damaged note makes the reader stumble over, it says nothing
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def write(self) -> None:
        """Say that the run succeeded."""
        content = {"digest": self._digest, "result": self._has_result()}
        write_text(self._path, json.dumps(content))

    def remove(self) -> None:
        """Say that the run has to be repeated."""
        self._path.unlink(missing_ok=True)

    def _has_result(self) -> bool:
        return self._job.result_path(self._results) is not None
