"""Files that this project writes for itself can be damaged, too: they are made anew, never raised.

Whatever can be made again counts as not there: a stamp of a run, a page, an executed notebook, a
generated `.ipynb`, a filtered scan.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from ssl_lib.data.cache import made_once
from ssl_lib.notebook import source as notebooks
from ssl_lib.reports import __main__ as command
from ssl_lib.reports import outcome, plan, run
from ssl_lib.reports.index import write_index
from ssl_lib.reports.render import read_page_data, write_page
from ssl_lib.utils.errors import InputError

DAMAGE = (b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"cells": 3}', b"[" * 100_000)
SCRIPT = """\
# %% tags=["parameters"]
DATASET = "phantom"  # data
PROFILE = "smoke"  # budget
N_LABELLED = 2  # scans with a label
SEED = 0  # random numbers

# %%
print("ran")
"""
damaged = pytest.mark.parametrize("content", DAMAGE, ids=[str(one[:8]) for one in DAMAGE])


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[plan.Job, plan.Folders]:
    root = tmp_path_factory.mktemp("project")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "00_good.py").write_text(SCRIPT)
    folders = plan.Folders(root)
    return plan.plan(plan.Request(), folders)[0], folders


@damaged
def test_a_damaged_stamp_means_that_the_run_is_repeated(job, content: bytes) -> None:
    page = job[1].pages / job[0].notebook / f"{job[0].page_name}.html"
    for made in (run.executed_path(*job), page):
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("{}")
    stamp = run.Stamp(*job)
    stamp.write()
    assert stamp.is_valid()
    (path,) = (job[1].build / "stamps").rglob("*.json")
    path.write_bytes(content)
    assert not stamp.is_valid()


@damaged
def test_a_damaged_page_is_left_out_of_the_index(tmp_path: Path, content: bytes) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# The sound page")])
    outcome.note(notebook, None, notebook="00_x", dataset="phantom", when="2020-01-01")
    nbformat.write(notebook, tmp_path / "run.ipynb")
    write_page([tmp_path / "run.ipynb"], tmp_path / "00_x" / "page.html", [], tmp_path)
    begin = b'<script type="application/json" id="page-data">'
    (tmp_path / "00_x" / "broken.html").write_bytes(begin + content + b"</script>")
    assert read_page_data(tmp_path / "00_x" / "broken.html") is None
    html = write_index(tmp_path, tmp_path / "results").read_text()
    assert "The sound page" in html and "broken.html" not in html


@damaged
def test_a_damaged_run_of_another_seed_is_passed_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.ipynb"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.ipynb"):
        outcome.read_executed(path)
    assert not command._went_well(path)


@damaged
def test_a_damaged_ipynb_is_written_anew_from_its_script(tmp_path: Path, content: bytes) -> None:
    script = tmp_path / "00_good.py"
    script.write_text(SCRIPT)
    script.with_suffix(".ipynb").write_bytes(content)
    assert notebooks.sync([script]) == [script.with_suffix(".ipynb")]
    assert notebooks.paired(script, script.with_suffix(".ipynb")) == []


@damaged
def test_a_damaged_filtered_scan_is_made_anew(tmp_path: Path, content: bytes) -> None:
    made_once(tmp_path, ("scan",), lambda: np.ones(3))
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(content)
    assert made_once(tmp_path, ("scan",), lambda: np.zeros(3)).tolist() == [0, 0, 0]
    assert made_once(tmp_path, ("scan",), lambda: np.ones(3)).tolist() == [0, 0, 0]
