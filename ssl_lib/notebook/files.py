"""The two files of a notebook: read them, write them, keep them equal.

A notebook exists twice: `notebooks/NN_name.py`, a percent script that people edit and review, and
`notebooks/NN_name.ipynb`, generated from it, which also stores outputs. The script is the truth: it
wins over the generated file always, whatever the files' times say.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from nbformat import NotebookNode

from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def read_cells(path: str | Path) -> list[NotebookNode]:
    """The cells of a percent script or of an `.ipynb`, in order, with source, kind and metadata.

    Raises `InputError` when there is no such file.
    """
    return read_notebook(existing(path)).cells


def cell_tags(cell: NotebookNode) -> frozenset[str]:
    """The tags of one cell."""
    return frozenset(cell.metadata.get("tags", ()))


def existing(path: str | Path) -> Path:
    """The path of an existing notebook; raises `InputError` that names its neighbours."""
    path = Path(path)
    if path.is_file():
        return path
    known = sorted(file.name for file in path.parent.glob("*.py"))
    near = difflib.get_close_matches(path.name, known, n=1)
    raise InputError(
        "there is no such notebook",
        where=path,
        expected=f"one of {', '.join(known)}" if known else "a folder with notebooks",
        fix=f"did you mean {near[0]}?" if near else "",
    )


def read_notebook(path: Path) -> NotebookNode:
    """A notebook from its percent script or its `.ipynb`; `InputError` for one that is damaged."""
    try:
        if path.suffix == ".ipynb":
            return nbformat.read(path, as_version=4)
        return jupytext.read(path, fmt="py:percent")
    except Exception as error:  # both raise many kinds for a damaged file
        fix = "run `make sync` to write it anew" if path.suffix == ".ipynb" else ""
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot be read as a notebook ({reason})", where=path, fix=fix) from None


def sync(paths: Iterable[str | Path]) -> list[Path]:
    """Write the `.ipynb` of each script anew; returns those that changed.

    Cells, kinds and tags come from the script. Outputs stored in the `.ipynb` stay with the cell
    that made them. The script is only ever read.
    """
    changed = []
    for script in map(existing, paths):
        notebook = read_notebook(script)
        target = script.with_suffix(".ipynb")
        stored = _stored(target)
        if write_notebook(with_outputs(notebook, stored), target):
            changed.append(target)
    return changed


def _stored(target: Path) -> NotebookNode | None:
    """What is there already; None without a file, or for one so damaged that it has no outputs."""
    try:
        return read_notebook(target) if target.exists() else None
    except InputError:
        return None


def with_outputs(source: NotebookNode, stored: NotebookNode | None) -> NotebookNode:
    """The notebook `source` with the outputs that `stored` holds for its cells."""
    metadata = [cell.metadata for cell in source.cells]
    kinds_and_text = [(cell.cell_type, cell.source) for cell in source.cells]
    if stored is not None:
        stored = nbformat.from_dict(dict(stored, nbformat_minor=5))
        source = combine_inputs_with_outputs(source, stored, fmt="py:percent")
    for number, cell in enumerate(source.cells):
        cell.metadata = metadata[number]
        assert (cell.cell_type, cell.source) == kinds_and_text[number]
    source.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    )
    return source


def write_notebook(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook in one step; False when the file already held exactly this.

    Cell ids are hashes of the cells' texts, so that writing twice gives the same bytes.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}:{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    text = nbformat.writes(notebook) + "\n"
    if path.exists() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True


def write_text(path: Path, text: str) -> None:
    """Write a file in one step: a reader, or a kill, never meets half of it.

    Raises `InputError` when the folder is read-only or the disk is full.
    """
    write_atomically(path, text.encode())


def paired(script: str | Path, notebook: str | Path) -> list[str]:
    """The differences between a script and its `.ipynb`, one line each; [] when they agree.

    Compares kinds, tags and texts of the cells, never file times and never outputs.
    """
    ours = read_cells(script)
    if not Path(notebook).is_file():
        return [f"{Path(notebook).name} does not exist"]
    theirs = read_cells(notebook)
    differences = []
    if len(ours) != len(theirs):
        differences.append(f"the .py has {len(ours)} cells, the .ipynb {len(theirs)}")
    for number, (left, right) in enumerate(zip(ours, theirs, strict=False), start=1):
        if left.cell_type != right.cell_type:
            differences.append(
                f"cell {number}: {left.cell_type} in .py, {right.cell_type} in .ipynb"
            )
        elif _text(left) != _text(right):
            differences.append(
                f"cell {number}: the text differs at {_first_difference(left, right)}"
            )
        if cell_tags(left) != cell_tags(right):
            ours_tags, their_tags = sorted(cell_tags(left)), sorted(cell_tags(right))
            differences.append(f"cell {number}: tags {ours_tags} in .py, {their_tags} in .ipynb")
    return differences


def _text(cell: NotebookNode) -> list[str]:
    """The lines of a cell; blanks at line ends and at the end do not count."""
    return [line.rstrip() for line in cell.source.rstrip().splitlines()]


def _first_difference(left: NotebookNode, right: NotebookNode) -> str:
    lines = zip_longest(_text(left), _text(right), fillvalue="")
    ours, theirs = next(pair for pair in lines if pair[0] != pair[1])
    return f"{ours!r} (.py), {theirs!r} (.ipynb)"
