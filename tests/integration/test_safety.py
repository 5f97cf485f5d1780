"""Files of others run no code, no shell is called, and nothing is sent anywhere."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("ssl_lib", "notebooks", "binder", "trials", "benchmarks")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
SOURCES.append(ROOT / "data_download.py")

# --- what the source may call

UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}
NETWORK = {"requests", "urllib.request", "http", "socket", "ftplib", "smtplib", "aiohttp", "httpx"}
SHELLS = {"os.system", "os.popen", "os.execv", "os.spawnv", "eval", "commands.getoutput"}
MAY_USE_NETWORK = {
    "ssl_lib/data/transfer.py",
    "ssl_lib/data/download.py",
    "ssl_lib/data/archive.py",
    "ssl_lib/reports/cluster.py",  # asks whether the scheduler that the user named is there
}
MAY_UNPICKLE = {"ssl_lib/data/parallel.py"}
"""Its processes are its own children, and what they say comes through a pipe from them alone."""
MAY_EXECUTE = {"ssl_lib/notebook/source.py"}
"""Cells of this project's own notebooks are loaded as modules there."""


@lru_cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def dotted(node: ast.expr) -> str:
    """The name `a.b.c`; empty for anything else that can be called."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def calls(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Every call as the name that is called and its keywords with constant values."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            options = {k.arg: getattr(k.value, "value", ...) for k in node.keywords}
            yield dotted(node.func), options


def of_any(names: set[str], roots: set[str]) -> set[str]:
    return {name for name in names if any(f"{name}.".startswith(f"{root}.") for root in roots)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_unpickles_calls_a_shell_or_reaches_for_the_network(path: Path) -> None:
    place, modules = path.relative_to(ROOT).as_posix(), imported(path)
    if place not in MAY_UNPICKLE:
        assert not of_any(modules, UNPICKLERS)
    if place not in MAY_USE_NETWORK:
        assert not of_any(modules, NETWORK)
    for name, options in calls(path):
        assert name not in SHELLS and (name != "exec" or place in MAY_EXECUTE), name
        assert options.get("shell", False) is False, f"{name} with a shell"
        if name.endswith("torch.load"):
            assert options.get("weights_only") is True, "torch.load unpickles"
        if name in ("np.load", "numpy.load"):
            assert options.get("allow_pickle") is False, "np.load must refuse pickles"


KNOWN_PROGRAMS = {"git", "pandoc", "uname"}
"""Asked for the commit, and by libraries for versions of this machine."""
WATCH = """
import sys
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "os.system"):
        seen.append((event, repr(arguments[1:])))
    if event == "subprocess.Popen":
        seen.append((event, repr(arguments[0])))
sys.addaudithook(watch)
import importlib, pkgutil, ssl_lib
for module in pkgutil.walk_packages(ssl_lib.__path__, "ssl_lib."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import tiny_study
from pathlib import Path
from ssl_lib.reports.index import write_index
folder = Path(sys.argv[1])
made = tiny_study.tiny_study(folder / "runs", warm_up=1, looks=1)
made.save("00_x", "phantom", {"mean_teacher": tiny_study.train(made)}, folder / "results")
write_index(folder, folder / "results")
import json
print("SEEN", json.dumps(seen))
"""


def test_nothing_is_sent_anywhere_while_modules_load_networks_train_and_pages_are_written(tmp_path):
    """Python itself reports each connection, each name looked up and each program started."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout.rpartition("SEEN ")[2])
    assert [event for event in seen if event[0] != "subprocess.Popen"] == []
    programs = {program.strip("'") for _, program in seen}
    assert programs <= KNOWN_PROGRAMS, programs
    assert (tmp_path / "index.html").exists(), "the watched run did what it should"
