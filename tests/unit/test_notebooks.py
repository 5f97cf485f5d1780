from __future__ import annotations

import inspect
import os
import traceback
from pathlib import Path

import nbformat
import pytest

from ssl_lib.notebook import source as notebooks
from ssl_lib.utils.errors import InputError

SCRIPT = '''\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
# ---

# %% [markdown]
# # A tiny method

# %% tags=["setup"]
from __future__ import annotations

import math

# %% tags=["parameters"]
SEED = 0  # random numbers
RATE = 0.5  # a fraction
PROFILE = "quick"  # how long

# %%
raise RuntimeError("only tagged cells belong to the method")

# %% [markdown]
# The idea.

# %% tags=["definition"]
def half(value: float) -> float:
    """Half of it."""
    return value / 2


class Box:
    side = math.pi


# %% tags=["definition"]
def fail() -> None:
    raise ValueError("line numbers are those of the script")
'''


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "00_tiny.py"
    path.write_text(SCRIPT)
    return path


def line_of(text: str) -> int:
    return SCRIPT.splitlines().index(text) + 1


# --- load_method


def test_only_setup_and_definition_cells_run(script: Path) -> None:
    method = notebooks.load_method(script)
    assert method.half(3.0) == 1.5
    assert not hasattr(method, "SEED")


def test_tracebacks_name_the_real_file_and_line(script: Path) -> None:
    method = notebooks.load_method("00_tiny", script.parent)
    with pytest.raises(ValueError) as caught:
        method.fail()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (Path(frame.filename).name, frame.lineno) == (
        "00_tiny.py",
        line_of('    raise ValueError("line numbers are those of the script")'),
    )
    assert frame.line == 'raise ValueError("line numbers are those of the script")'


def test_getsource_shows_functions_and_classes(script: Path) -> None:
    method = notebooks.load_method(script)
    assert inspect.getsource(method.half).splitlines()[1] == '    """Half of it."""'
    assert inspect.getsource(method.Box).startswith("class Box:")
    assert inspect.getsourcelines(method.half)[1] == line_of("def half(value: float) -> float:")


def test_a_second_call_returns_the_same_module_until_the_script_changes(script: Path) -> None:
    first = notebooks.load_method(script)
    assert notebooks.load_method(script) is first
    script.write_text(SCRIPT.replace("value / 2", "value / 4"))
    assert notebooks.load_method(script).half(4.0) == 1.0


def test_a_failed_load_leaves_no_half_module(script: Path) -> None:
    script.write_text(SCRIPT.replace("import math", "import no_such_module"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            notebooks.load_method(script)


def test_a_script_without_front_matter_and_with_text_first_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text('import os\n\n# %% tags=["definition"]\ndef name():\n    return os.name\n')
    method = notebooks.load_method(path)
    assert not hasattr(method, "os")
    assert method.name.__code__.co_firstlineno == 4


def test_an_unknown_name_is_answered_with_the_nearest(script: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean 00_tiny\.py\?"):
        notebooks.load_method("00_tini", script.parent)


def test_a_notebook_without_method_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text("# %%\nx = 1\n")
    with pytest.raises(InputError, match="no cell is tagged"):
        notebooks.load_method(path)


# --- parameters


def test_parameters_are_read_in_order(script: Path) -> None:
    parameters = notebooks.read_parameters(script)
    assert list(parameters.items()) == [("SEED", 0), ("RATE", 0.5), ("PROFILE", "quick")]


@pytest.mark.parametrize("given", [{}, {"SEED": 3, "PROFILE": "smoke"}, {"RATE": 1}])
def test_good_parameters_pass(script: Path, given: dict) -> None:
    notebooks.check_parameters(script, given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"SEEED": 3}, r"(?s)one of SEED, RATE, PROFILE.*did you mean SEED\?"),
        ({"profile": "smoke"}, r"did you mean PROFILE\?"),
        ({"SEED": "3"}, "a value of type int, such as 0"),
        ({"SEED": 1.5}, "a value of type int"),
        ({"SEED": True}, "a value of type int"),
        ({"RATE": "much"}, "a value of type float"),
    ],
)
def test_bad_parameters_are_refused(script: Path, given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        notebooks.check_parameters(script, given)


@pytest.mark.parametrize("line", ["TWICE = 2 * SEED", "import os", "print(SEED)"])
def test_derived_values_in_the_parameters_cell_are_refused(script: Path, line: str) -> None:
    script.write_text(SCRIPT.replace("RATE = 0.5", f"{line}\nRATE = 0.5"))
    with pytest.raises(InputError, match="literals only"):
        notebooks.read_parameters(script)


# --- the pair


@pytest.fixture
def pair(script: Path) -> tuple[Path, Path]:
    notebooks.sync([script])
    return script, script.with_suffix(".ipynb")


def store_output(notebook_path: Path, source_part: str, text: str) -> None:
    notebook = nbformat.read(notebook_path, as_version=4)
    cell = next(cell for cell in notebook.cells if source_part in cell.source)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    cell.execution_count = 7
    nbformat.write(notebook, notebook_path)


def test_a_fresh_pair_agrees_and_a_second_sync_writes_nothing(pair: tuple[Path, Path]) -> None:
    assert notebooks.paired(*pair) == []
    assert notebooks.sync([pair[0]]) == []


def test_a_changed_cell_in_the_script_is_found(pair: tuple[Path, Path]) -> None:
    pair[0].write_text(SCRIPT.replace("value / 2", "value / 3"))
    (difference,) = notebooks.paired(*pair)
    assert "value / 3' (.py)" in difference and "value / 2' (.ipynb)" in difference


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells[1].update(source="import this"), "the text differs"),
        (lambda cells: cells[1].metadata.update(tags=["train"]), "tags"),
        (lambda cells: cells[0].update(cell_type="raw"), "markdown in .py, raw in .ipynb"),
        (lambda cells: cells.pop(), "cells"),
    ],
)
def test_a_changed_cell_in_the_ipynb_is_found(pair, change, message: str) -> None:
    notebook = nbformat.read(pair[1], as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, pair[1])
    assert message in "\n".join(notebooks.paired(*pair))


def test_a_missing_ipynb_is_found(script: Path) -> None:
    assert notebooks.paired(script, script.with_suffix(".ipynb")) == [
        "00_tiny.ipynb does not exist"
    ]


def test_the_script_wins_even_when_its_time_is_older(pair: tuple[Path, Path]) -> None:
    script, notebook = pair
    edited = SCRIPT.replace("value / 2", "value / 3")
    script.write_text(edited)
    os.utime(script, (1, 1))
    notebooks.sync([script])
    assert script.read_text() == edited
    assert notebooks.paired(script, notebook) == []


def test_sync_keeps_outputs_and_drops_foreign_metadata(pair: tuple[Path, Path]) -> None:
    script, path = pair
    store_output(path, "def half", "kept")
    edited = SCRIPT.replace("# The idea.", "# The idea, in other words.\n\n# %%\nnew = 1")
    script.write_text(edited.replace('tags=["setup"]', ""))
    notebooks.sync([script])
    cells = {cell.source[:8]: cell for cell in notebooks.read_cells(path)}
    assert cells["def half"].outputs[0].text == "kept"
    assert cells["def half"].execution_count == 7
    assert cells["new = 1"].outputs == []
    assert notebooks.paired(script, path) == []


def test_the_command_line_reports_and_mends(pair, capsys: pytest.CaptureFixture[str]) -> None:
    script, _ = pair
    script.write_text(SCRIPT.replace("value / 2", "value / 3"))
    assert notebooks.main(["check", str(script)]) == 1
    assert "00_tiny.py: cell" in capsys.readouterr().out
    assert notebooks.main(["sync", str(script)]) == 0
    assert notebooks.main(["check", str(script)]) == 0
    assert notebooks.main(["check", str(script.with_name("99_none.py"))]) == 2
    assert "error:" in capsys.readouterr().err


def test_relative_paths_start_at_the_project(tmp_path, monkeypatch):
    (tmp_path / "ssl_lib").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert notebooks.work_in_project() == Path.cwd() == tmp_path
    (tmp_path / "ssl_lib").rmdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert notebooks.work_in_project() == Path.cwd() == tmp_path / "notebooks"
