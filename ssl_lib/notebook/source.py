"""Notebooks as source code: read their parameters, load their method as a module.

python -m ssl_lib.notebook sync     write each .ipynb from its .py, keeping stored outputs
python -m ssl_lib.notebook check    list the differences of all pairs; exit code 1 if any
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import linecache
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ssl_lib.notebook.files import cell_tags, existing, paired, read_cells, sync, write_text
from ssl_lib.notebook.first_run import explain_missing_names
from ssl_lib.utils.errors import InputError

__all__ = [
    "check_parameters",
    "load_method",
    "paired",
    "read_cells",
    "read_parameters",
    "sync",
    "work_in_project",
]

PACKAGE = "ssl_lib_methods"
METHOD_MODULES: dict[str, str] = {
    "00_few_labels_many_scans": "baselines",
    "00b_two_classic_methods": "classic",
    "01_bidirectional_copy_paste": "bcp",
    "02_uncertainty_co_training": "umct",
    "03_anatomically_aware_uncertainty": "aau",
    "04_structure_aware_filtering": "dsaif",
    "08_newer_ideas": "newer",
}
"""The notebooks whose definitions `sync` writes as modules of `ssl_lib.methods`."""
METHOD_TAGS = frozenset({"setup", "definition"})
NOTEBOOKS_DIR = Path(__file__).resolve().parents[2] / "notebooks"
GLOSSARY = NOTEBOOKS_DIR.parent / "docs" / "glossary.md"
METHODS_DIR = Path(__file__).resolve().parents[1] / "methods"

LEAST = {"SEED": 0, "N_LABELLED": 1, "LABELLED_DRAW": 0}
"""The smallest values of the parameters that notebooks share."""

_CELL_MARKER = re.compile(r"# ?%%+(\s|$)")


def work_in_project() -> Path:
    """Make the project's folder the working folder, so that relative paths mean the same in
    JupyterLab, which starts in `notebooks/`, as in a report. Returns the working folder. From then
    on a cell that is run too early says which section to run first.

    The project's folder is the nearest one above that holds both `notebooks` and `ssl_lib`; the
    working folder stays as it is where there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "ssl_lib").is_dir():
            os.chdir(folder)
            explain_missing_names(folder / "notebooks")
            return folder
    return here


def read_parameters(path: str | Path) -> dict[str, Any]:
    """Names and default values in the `parameters` cell of a notebook, in order; {} without one.

    Raises `InputError` for a value that is not a literal: it would go stale when a run sets it.
    """
    values: dict[str, Any] = {}
    for cell in read_cells(path):
        if cell.cell_type == "code" and "parameters" in cell_tags(cell):
            for statement in _parsed(cell.source, path).body:
                values |= _literal_assignment(statement, path)
    return values


def check_parameters(path: str | Path, given: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not have, of another type than their default, or
    below the least that makes sense.

    Raises `InputError` that lists the known names and the nearest one.
    """
    known = read_parameters(path)
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.5)
            raise InputError(
                f"no parameter is called {name!r}",
                where=path,
                expected=f"one of {', '.join(known) or '(this notebook has none)'}",
                fix=f"did you mean {near[0]}?" if near else "",
            )
        if not _fits(value, known[name]):
            raise InputError(
                f"parameter {name} was given {value!r}",
                where=path,
                expected=f"a value of type {type(known[name]).__name__}, such as {known[name]!r}",
            )
        if name in LEAST and value < LEAST[name]:
            raise InputError(
                f"parameter {name} was given {value!r}",
                where=path,
                expected=f"a number from {LEAST[name]}",
            )


def _parsed(source: str, path: str | Path) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise InputError(f"the parameters cell is no Python ({error})", where=path) from None


def _literal_assignment(statement: ast.stmt, path: str | Path) -> dict[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            pass
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            pass
        case _:
            name, value = ast.unparse(statement), ast.Name(id="none")
    try:
        return {name: ast.literal_eval(value)}
    except ValueError:
        raise InputError(
            f"the parameters cell holds {ast.unparse(statement)!r}",
            where=path,
            expected="literals only, such as SEED = 0",
            fix="derive other values in the next cell",
        ) from None


def _fits(value: object, default: object) -> bool:
    if default is None or type(value) is type(default):
        return True
    return isinstance(default, float) and type(value) is int


def load_method(
    name_or_path: str | Path,
    notebooks_dir: str | Path | None = None,
    *,
    change: tuple[str, str] | None = None,
) -> ModuleType:
    """The cells of a notebook tagged `setup` or `definition`, executed as a module.

    `name_or_path` is a name such as "01_bidirectional_copy_paste" or the path of a percent script.
    Line numbers are those of the script: all other lines are blanked, so tracebacks, debuggers and
    `inspect.getsource` show the real file. A second call returns the same module, unless the script
    has changed. With `change` (a text, its replacement) the module is another one, for experiments,
    whose source differs in that place alone. Raises `InputError` when there is no such notebook, it
    has no such cells, or the text to be changed is not there exactly once.
    """
    path = _script_path(name_or_path, notebooks_dir)
    name = f"{PACKAGE}.{path.stem}"
    source = _method_source(path)
    if change is not None:
        return _changed_method(name, path, source, change)
    module = sys.modules.get(name)
    if module is not None and module.__file__ == str(path) and module.__method_source__ == source:
        return module
    return _execute_as_module(name, path, source)


def method_module(script: Path) -> str:
    """The text of the module that holds a notebook's `setup` and `definition` cells."""
    cells = [
        cell.source.rstrip()
        for cell in read_cells(script)
        if cell.cell_type == "code" and cell_tags(cell) & METHOD_TAGS
    ]
    title = f'"""The definitions of `notebooks/{script.name}`, written by `make sync`.'
    head = f'{title}\n\nEdit the notebook, not this file.\n"""'
    return "\n\n\n".join([head, *cells]) + "\n"


def stale_modules(scripts: Iterable[Path]) -> dict[Path, str]:
    """The modules of `ssl_lib.methods` that differ from their notebooks, with their right text."""
    wanted = {
        METHODS_DIR / f"{METHOD_MODULES[script.stem]}.py": method_module(script)
        for script in scripts
        if script.stem in METHOD_MODULES and script.resolve().parent == NOTEBOOKS_DIR
    }
    return {
        path: text
        for path, text in wanted.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def _script_path(name_or_path: str | Path, notebooks_dir: str | Path | None) -> Path:
    path = Path(name_or_path)
    if path.suffix != ".py":
        path = Path(notebooks_dir or NOTEBOOKS_DIR) / f"{path.name}.py"
    return existing(path).resolve()


def _method_source(path: Path) -> str:
    """The script with every line blanked that is not in a `setup` or `definition` cell."""
    cells = read_cells(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if _CELL_MARKER.match(line)]
    if not 0 <= len(cells) - len(starts) <= 1:
        raise InputError("a line inside a string looks like a cell marker `# %%`", where=path)
    cells, bodies = cells[-len(starts) :], zip(starts, [*starts[1:], len(lines)], strict=True)
    kept = [""] * len(lines)
    for cell, (start, stop) in zip(cells, bodies, strict=True):
        if cell.cell_type == "code" and cell_tags(cell) & METHOD_TAGS:
            kept[start + 1 : stop] = lines[start + 1 : stop]
    if not any(kept):
        raise InputError("no cell is tagged `setup` or `definition`", where=path)
    return "\n".join(kept) + "\n"


def _changed_method(name: str, path: Path, source: str, change: tuple[str, str]) -> ModuleType:
    """The module with one text replaced, under a name and a file name of its own: where functions
    are read back as text, to name a training, the replacement must be seen."""
    sound, other = change
    if source.count(sound) != 1:
        raise InputError(
            f"the text {sound!r} stands there {source.count(sound)} times",
            where=path,
            expected="once, in a cell tagged `setup` or `definition`",
        )
    source = source.replace(sound, other)
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    file = f"<{path.name}, changed {digest}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    name = f"{name}_changed_{digest}"
    return sys.modules.get(name) or _execute_as_module(name, file, source)


def _execute_as_module(name: str, path: Path | str, source: str) -> ModuleType:
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE, "Methods loaded from notebooks."))
    module = ModuleType(name)
    module.__file__, module.__package__ = str(path), PACKAGE
    vars(module)["__method_source__"] = source
    linecache.checkcache(str(path))
    previous = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException:
        sys.modules.pop(name) if previous is None else sys.modules.__setitem__(name, previous)
        raise
    setattr(package, name.rpartition(".")[2], module)
    return module


def main(arguments: Sequence[str] | None = None) -> int:
    """`sync` or `check` the pairs of `notebooks/`, or the given scripts; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ssl_lib.notebook", description="Keep pairs equal."
    )
    parser.add_argument("command", choices=["sync", "check"])
    parser.add_argument("scripts", nargs="*", type=Path, help="default: every notebooks/*.py")
    options = parser.parse_args(arguments)
    scripts = options.scripts or sorted(NOTEBOOKS_DIR.glob("*.py"))
    try:
        return _sync_all(scripts) if options.command == "sync" else _check_all(scripts)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _sync_all(scripts: Sequence[Path]) -> int:
    changed = sync(scripts)
    for path, text in stale_modules(scripts).items():
        write_text(path, text)
        changed.append(path)
    print("\n".join(f"written: {path}" for path in changed) or "all notebooks were up to date")
    return 0


def _check_all(scripts: Sequence[Path]) -> int:
    lines = [
        f"{script.name}: {difference}"
        for script in scripts
        for difference in paired(script, script.with_suffix(".ipynb"))
    ]
    lines += [
        f"methods/{path.name} is not what its notebook says" for path in stale_modules(scripts)
    ]
    print("\n".join(lines) or f"{len(scripts)} pairs agree")
    if lines:
        print("The .py is the truth: run `make sync` to write the other files from it.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
