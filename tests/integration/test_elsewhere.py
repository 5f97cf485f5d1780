"""Binder and Colab, imitated: a clean environment made from our files runs the first notebook."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

from ssl_lib.notebook.files import read_notebook

ROOT = Path(__file__).resolve().parents[2]
FIRST = "00_few_labels_many_scans"
GIGABYTE = 2**30
ON_COLAB = ("torch", "numpy", "matplotlib", "ipywidgets", "ipykernel")
SMALL = {"PROFILE": "smoke", "RESULTS_DIR": "results", "RUNS_DIR": "runs"}
slow = pytest.mark.slow


def run(*command: object, **options: object) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def clean_environment(folder: Path) -> Path:
    """A new environment without anything but pip; returns its Python."""
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin" / "python"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of this project with the working tree's files: what a visitor would get."""
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the project is no git checkout")
    clone = tmp_path / "source"
    run("git", "clone", "--quiet", ROOT, clone)
    listed = run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard").splitlines()
    for name in filter(lambda name: (ROOT / name).is_file(), listed):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    run("git", "-C", clone, "add", "-A")
    run("git", "-C", clone, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "all",
        "--allow-empty")  # fmt: skip
    return clone


def kernel_of(python: Path, folder: Path, start: str) -> dict[str, str]:
    """The settings under which papermill starts kernels in another Python, after some code."""
    code = f"{start}\nimport runpy\nrunpy.run_module('ipykernel_launcher', run_name='__main__')"
    specification = {
        "argv": [str(python), "-c", code, "-f", "{connection_file}"],
        "display_name": "elsewhere",
        "language": "python",
        "env": {"SSL_STATIC": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
    }
    file = folder / "kernels" / "elsewhere" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(specification))
    return {"JUPYTER_PATH": str(folder)}


def run_first_notebook(folder: Path) -> nbformat.NotebookNode:
    """The first notebook, small, executed in `folder` by the kernel named elsewhere."""
    notebook = folder / "opened.ipynb"
    nbformat.write(read_notebook(ROOT / "notebooks" / f"{FIRST}.py"), notebook)
    return papermill.execute_notebook(
        notebook,
        folder / "executed.ipynb",
        parameters=SMALL,
        kernel_name="elsewhere",
        cwd=folder,
        progress_bar=False,
    )


def versions_in(python: Path) -> dict[str, str]:
    """Name and version of every distribution in an environment."""
    listing = "{one.name: one.version for one in importlib.metadata.distributions()}"
    code = f"import importlib.metadata, json; print(json.dumps({listing}))"
    return json.loads(run(python, "-c", code))


def link_with_requirements(names: tuple[str, ...], packages: Path) -> None:
    """Put installed distributions and all that they require into another environment."""
    waiting, linked = list(names), set()
    while waiting:
        name = waiting.pop()
        try:
            found = distribution(name)
        except ModuleNotFoundError:  # required on other platforms, or by an extra
            continue
        if found.name in linked:
            continue
        linked.add(found.name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (packages / top).exists():
                (packages / top).symlink_to(found.locate_file(top))
        required = [one for one in found.requires or () if "extra ==" not in one]
        waiting += [re.split(r"[<>=!~\[; (]", one)[0] for one in required]


@slow
def test_colab_gets_what_it_lacks_and_keeps_what_it_has(checkout, tmp_path, monkeypatch) -> None:
    python = clean_environment(tmp_path / "colab")
    packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    link_with_requirements(ON_COLAB, packages)
    had = versions_in(python)
    assert "nibabel" not in had and "torch" in had
    (packages / "google" / "colab").mkdir(parents=True)
    (packages / "google" / "colab" / "__init__.py").touch()
    content = tmp_path / "content"
    content.mkdir()
    monkeypatch.setenv("SSL_SOURCE", checkout.as_uri())
    for name, value in kernel_of(python, tmp_path / "jupyter", "import google.colab").items():
        monkeypatch.setenv(name, value)
    executed = run_first_notebook(content)
    assert executed.cells[-1].metadata.papermill.status == "completed"
    assert list((content / "project" / "results").glob("*/phantom-smoke-*.json"))
    now = versions_in(python)
    assert {name: now[name] for name in had} == had
    assert "nibabel" in now and "ssl-lib" not in now and "ssl_lib" not in now


@slow
@pytest.mark.long
def test_binder_builds_from_our_files_and_runs_in_two_gigabytes(
    checkout, tmp_path, monkeypatch
) -> None:
    python = clean_environment(tmp_path / "binder")
    environment = os.environ | {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "SSL_TORCH_INDEX": os.environ.get("PIP_EXTRA_INDEX_URL", ""),
    }
    if not environment["SSL_TORCH_INDEX"]:
        environment["SSL_TORCH_INDEX"] = "https://download.pytorch.org/whl/cpu"
    environment |= {"PIP_NO_CACHE_DIR": "", "SSL_DATA_DIR": str(tmp_path / "scans")}
    run("bash", "binder/postBuild", cwd=checkout, env=environment)
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({2 * GIGABYTE},) * 2)"
    for name, value in kernel_of(python, tmp_path / "jupyter", limit).items():
        monkeypatch.setenv(name, value)
    executed = run_first_notebook(checkout)
    assert executed.cells[-1].metadata.papermill.status == "completed"
    assert list((checkout / "results").glob("*/phantom-smoke-*.json"))


@slow
def test_the_memory_limit_is_felt(tmp_path) -> None:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({2 * GIGABYTE},) * 2)"
    done = subprocess.run(
        [sys.executable, "-c", f"{limit}; import numpy; numpy.ones(3 * {GIGABYTE}, 'uint8')"],
        capture_output=True,
        text=True,
    )
    assert resource.RLIMIT_DATA and "MemoryError" in done.stderr


def test_binder_has_the_same_python_as_conda_users_and_the_same_lock() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    binder = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    assert binder["channels"] == conda["channels"]
    assert binder["dependencies"] == conda["dependencies"][:-1]
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert "-r requirements.lock" in script.read_text()
