"""A cell that is run too early names the section to run first; other errors stay as they are."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ssl_lib.notebook import first_run
from ssl_lib.notebook.first_run import explain_missing_names, section_that_makes
from ssl_lib.notebook.source import NOTEBOOKS_DIR

NOTEBOOK = """\
# %% [markdown]
# # Title
#
# Words # with a sign.

# %%
import numpy as np
from os import path as road

# %% [markdown]
# ## Does it train?

# %%
for name in ("a", "b"):
    trained, (one, *rest) = 1, (2, 3)
squares = [hidden for hidden in range(3)]


def helper(argument):
    inner = argument
    return inner
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "90_small.py").write_text(NOTEBOOK)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("np", "Title"),
        ("road", "Title"),
        ("trained", "Does it train?"),
        ("rest", "Does it train?"),
        ("name", "Does it train?"),
        ("helper", "Does it train?"),
        ("hidden", ""),
        ("inner", ""),
        ("argument", ""),
        ("zebra", ""),
    ],
)
def test_the_section_that_makes_a_name(folder: Path, name: str, section: str) -> None:
    assert section_that_makes(name, folder / "90_small.py") == section


def test_every_notebooks_trainings_are_found() -> None:
    assert section_that_makes("trainings", NOTEBOOKS_DIR / "08_newer_ideas.py") == "Does it train?"
    for script in NOTEBOOKS_DIR.glob("*.py"):
        assert section_that_makes("work_in_project", script)


def run(folder: Path, monkeypatch, capsys, *cells: str) -> str:
    shell = InteractiveShell()
    monkeypatch.setattr(first_run, "get_ipython", lambda: shell)
    explain_missing_names(folder)
    for cell in cells:
        done = shell.run_cell(cell)
    assert done.error_in_exec is not None, "the cell still fails"
    return capsys.readouterr().out


def test_a_cell_that_is_run_too_early_says_what_to_run_first(folder, monkeypatch, capsys) -> None:
    said = run(folder, monkeypatch, capsys, "NOTEBOOK = '90_small'", "print(trained)")
    assert "trained is not there yet" in said
    assert "the section: Does it train?" in said and "Run All Above" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("cells", [("zebra",), ("NOTEBOOK = '90_small'", "zebra"), ("1 / 0",)])
def test_other_errors_are_shown_as_ever(folder, monkeypatch, capsys, cells) -> None:
    said = run(folder, monkeypatch, capsys, *cells)
    assert "Traceback" in said and "section" not in said


def test_outside_a_notebook_nothing_happens(folder: Path) -> None:
    explain_missing_names(folder)


def test_in_a_kernel_the_cell_fails_with_that_message() -> None:
    made = nbformat.v4.new_notebook()
    sources = (
        "from ssl_lib.notebook.source import work_in_project",
        "NOTEBOOK = '08_newer_ideas'; work_in_project()",
        "len(trainings)",
    )
    made.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    with pytest.raises(CellExecutionError):
        NotebookClient(made, resources={"metadata": {"path": str(NOTEBOOKS_DIR)}}).execute()
    (error,) = made.cells[-1].outputs
    assert error.output_type == "error" and error.ename == "NameError"
    assert "it is made in the section: Does it train?" in "".join(error.traceback)
