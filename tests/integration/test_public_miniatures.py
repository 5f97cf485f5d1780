"""Every notebook that trains runs on every benchmark's file layout, in miniature.

The hippocampus is run on real scans by `.ci/run`. Two runs are made each time, the others with
`--long`.
"""

from __future__ import annotations

import os
from pathlib import Path

import miniatures
import nbformat
import pytest
from test_smoke_notebooks import run_nbval, small_copy

from ssl_lib.evaluation.results import read_results
from ssl_lib.notebook.files import cell_tags
from ssl_lib.notebook.source import NOTEBOOKS_DIR
from ssl_lib.utils.names import notebook_number

TRAINING_NOTEBOOKS = sorted(NOTEBOOKS_DIR.glob("0[0-4]*.ipynb"))
SHORT = {("acdc", "00"), ("la2018", "00")}
CASES = [
    pytest.param(
        notebook,
        dataset,
        marks=[pytest.mark.long] * ((dataset, notebook_number(notebook.stem)) not in SHORT),
    )
    for dataset in ("acdc", "la2018")
    for notebook in TRAINING_NOTEBOOKS
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize(
    ("notebook", "dataset"), CASES, ids=lambda value: getattr(value, "stem", value)
)
def test_a_notebook_runs_on_the_miniature(
    notebook, dataset, data, tmp_path, small_runs, monkeypatch
):
    tests = Path(miniatures.__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{tests}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    copy = small_copy(notebook, tmp_path, small_runs)
    content = nbformat.read(copy, as_version=4)
    for cell in content.cells:
        if "parameters" in cell_tags(cell):
            given = {"DATASET": dataset, "N_LABELLED": 2, "DATA_DIR": str(data)}
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in given.items())
            cell.source += f"\nimport miniatures\nminiatures.install({str(data)!r})"
    nbformat.write(content, copy)
    done = run_nbval(copy)
    assert done.returncode == 0, done.stdout[-4000:]
    (result,) = read_results(tmp_path, notebook.stem)
    assert result["n_labelled"] == 2, "in the unit of the split"
    assert len(result["labelled_ids"]) == (4 if dataset == "acdc" else 2)
    few = next(row for name, row in result["rows"].items() if name == "supervised_strong")
    assert few["labels_used"] == 2
