"""How a run ended, read from the executed notebook.

A killed kernel leaves a notebook whose cells all claim to be completed; so the cell that was
started last, in a run that did not reach its end, is the one to blame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ssl_lib.notebook.files import read_notebook

KEY = "ssl_lib"  # where a run's own notes stand in the notebook's metadata
TIMED_OUT = "this cell took longer than allowed and was stopped"


@dataclass(frozen=True)
class Failure:
    """Why a run failed: `cell` counts from 1 over all cells of the executed notebook."""

    cell: int | None
    message: str


def diagnose(notebook: NotebookNode, error: BaseException | None = None) -> Failure | None:
    """The failure of an executed notebook, None if it ran to its end.

    `error` is what the execution raised, if it is known.
    """
    for number, cell in _code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error" and output.ename == "KeyboardInterrupt":
                return Failure(number, TIMED_OUT)
            if output.output_type == "error":
                return Failure(number, f"{output.ename}: {output.evalue}".rstrip(": "))
    unfinished = [
        number for number, cell in _code_cells(notebook) if cell.get("execution_count") is None
    ]
    if error is None and not unfinished:
        return None
    last = _last_started(notebook) or (unfinished[0] if unfinished else None)
    if isinstance(error, TimeoutError):
        return Failure(last, TIMED_OUT)
    if error is None or "kernel died" in str(error).lower():
        return Failure(last, "the kernel died here (out of memory, or its process was killed)")
    return Failure(last, f"{type(error).__name__}: {error}")


def note(executed: NotebookNode, /, failure: Failure | None, **notes: Any) -> None:
    """Keep a run's notes (its job, seconds, failure) in the notebook's metadata."""
    notes["failure"] = asdict(failure) if failure else None
    executed.metadata[KEY] = nbformat.from_dict(notes)


def read_executed(path: Path) -> tuple[NotebookNode, dict[str, Any], Failure | None]:
    """An executed notebook with its notes and its failure, if it failed.

    Raises `InputError` for a file that is damaged.
    """
    notebook = read_notebook(path)
    notes = dict(notebook.metadata.get(KEY, {}))
    if not notes:
        return notebook, notes, diagnose(notebook)
    failure = notes.get("failure")
    return notebook, notes, Failure(**failure) if failure else None


def _code_cells(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code" and cell.source.strip():
            yield number, cell


def _last_started(notebook: NotebookNode) -> int | None:
    started = [
        number
        for number, cell in _code_cells(notebook)
        if cell.metadata.get("papermill", {}).get("start_time")
    ]
    return started[-1] if started else None
