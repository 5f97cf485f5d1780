"""A cell that is run before those it builds on: which section to run first, instead of a trace."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from IPython.core.getipython import get_ipython

from ssl_lib.notebook.files import read_cells


def section_that_makes(name: str, script: Path) -> str:
    """The heading of the section of a notebook that first defines a name; "" if none does."""
    heading = ""
    for cell in read_cells(script):
        if cell.cell_type == "markdown":
            heading = _last_heading(cell.source) or heading
        elif cell.cell_type == "code" and name in _names(ast.parse(cell.source)):
            return heading
    return ""


def explain_missing_names(notebooks_dir: Path) -> None:
    """From now on a `NameError` in a notebook's cell says which section to run first.

    The notebook is the one that the variable `NOTEBOOK` names. Does nothing outside IPython.
    """
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((NameError,), _Explanation(notebooks_dir))


class _Explanation:
    """What IPython calls when a name is not there."""

    def __init__(self, notebooks_dir: Path) -> None:
        self.notebooks_dir = notebooks_dir

    def __call__(
        self,
        shell: Any,
        kind: type[BaseException],
        error: NameError,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> None:
        script = self.notebooks_dir / f"{shell.user_ns.get('NOTEBOOK', '')}.py"
        known = script.is_file() and error.name and error.name not in shell.user_ns
        section = section_that_makes(error.name or "", script) if known else ""
        if section:
            said = (
                f"NameError: {error.name} is not there yet\n"
                f"  it is made in the section: {section}\n"
                "  fix: run that section first; in the menu: Run, Run All Above Selected Cell"
            )
            error._render_traceback_ = lambda: [said]  # type: ignore[attr-defined]  # IPython's
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _last_heading(source: str) -> str:
    headings = [line.lstrip("# ") for line in source.splitlines() if line.startswith("#")]
    return headings[-1] if headings else ""


def _names(tree: ast.AST) -> set[str]:
    """Names that the lines of a cell define, not those inside its functions."""
    return set(_defined(tree))


def _defined(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            yield child.name
        elif isinstance(child, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in child.names)
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(
            child, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
        ):
            yield from _defined(child)
