"""Every notebook from the first cell to the last, small; golden cells give what is stored.

A copy of the stored notebook gets the `smoke` profile and folders of its own, and nbval compares
the outputs of the cells that are marked for it. Everything else must run without an error.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ssl_lib.notebook.files import cell_tags
from ssl_lib.notebook.source import NOTEBOOKS_DIR, read_parameters

NOTEBOOKS = sorted(NOTEBOOKS_DIR.glob("*.ipynb"))
pytestmark = pytest.mark.slow


def small_copy(notebook: Path, folder: Path, runs: Path) -> Path:
    """The notebook with the smoke profile, writing to `folder` and `runs` only."""
    content = nbformat.read(notebook, as_version=4)
    replaced = {"PROFILE": "smoke", "RESULTS_DIR": str(folder), "RUNS_DIR": str(runs)}
    for cell in content.cells:
        if "parameters" in cell_tags(cell):
            for name, value in replaced.items():
                cell.source = re.sub(
                    rf"^{name} = \S+", f"{name} = {value!r}", cell.source, flags=re.MULTILINE
                )
    copy = folder / notebook.name
    nbformat.write(content, copy)
    return copy


def run_nbval(copy: Path) -> subprocess.CompletedProcess:
    """nbval on one notebook, in the project's folder, with static figures."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", str(copy)]
    return subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", str(copy.parent), "--nbval-cell-timeout", "600"],
        cwd=NOTEBOOKS_DIR.parent,
        env=os.environ | {"SSL_STATIC": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_small_and_golden_cells_agree(
    notebook: Path, tmp_path: Path, small_runs: Path
) -> None:
    done = run_nbval(small_copy(notebook, tmp_path, small_runs))
    assert done.returncode == 0, done.stdout[-4000:]
    trains = "SEED" in read_parameters(notebook.with_suffix(".py"))
    written = list(tmp_path.glob(f"{notebook.stem}/*-smoke-*.json"))
    assert bool(written) == trains, f"result files: {written}"


def test_a_changed_golden_output_is_noticed(tmp_path: Path) -> None:
    content = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("print(1)", metadata={"tags": ["nbval-check-output"]})]
    )
    content.cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text="2\n")]
    content.cells[0].execution_count = 1
    nbformat.write(content, tmp_path / "changed.ipynb")
    assert run_nbval(tmp_path / "changed.ipynb").returncode == 1
