"""JupyterLab keeps the `.py` and the `.ipynb` together; `make lab` starts it without a warning."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from ssl_lib.notebook.files import paired, read_cells
from ssl_lib.notebook.source import NOTEBOOKS_DIR

SCRIPTS = sorted(NOTEBOOKS_DIR.glob("*.py"))


@pytest.fixture
def lab(tmp_path):
    """What JupyterLab reads and writes files with, in a copy of the notebooks folder."""
    from jupyter_server.services.contents.largefilemanager import LargeFileManager
    from jupytext.sync_contentsmanager import build_sync_jupytext_contents_manager_class

    for file in NOTEBOOKS_DIR.iterdir():
        if file.suffix in (".py", ".ipynb", ".toml"):
            shutil.copy(file, tmp_path)
    manager = build_sync_jupytext_contents_manager_class(LargeFileManager)()
    manager.root_dir = str(tmp_path)
    return manager


def folder_of(lab) -> Path:
    return Path(lab.root_dir)


def cells_text(script: Path) -> str:
    """The script without its header, where Jupytext notes its version."""
    return script.read_text().partition("\n# ---\n")[2]


def save(lab, name: str, model: dict) -> None:
    lab.save({key: model[key] for key in ("type", "content", "format")}, name)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_saving_without_an_edit_leaves_every_cell_as_it_is(lab, script):
    name = f"{script.stem}.ipynb"
    save(lab, name, lab.get(name))
    assert cells_text(folder_of(lab) / script.name) == cells_text(script)
    assert paired(folder_of(lab) / script.name, folder_of(lab) / name) == []


def test_an_edit_in_the_notebook_reaches_the_script(lab):
    script = SCRIPTS[0]
    name = f"{script.stem}.ipynb"
    model = lab.get(name)
    cell = next(cell for cell in model["content"].cells if cell.cell_type == "code")
    cell.source += "\nedited = True"
    save(lab, name, model)
    text = cells_text(folder_of(lab) / script.name)
    assert text.replace("\nedited = True", "") == cells_text(script) and "edited = True" in text


@pytest.mark.parametrize("newer", [".py", ".ipynb"])
def test_an_edit_in_the_script_reaches_the_notebook_whatever_the_file_times(lab, newer):
    script = folder_of(lab) / SCRIPTS[0].name
    script.write_text(script.read_text().replace("SEED = 0", "SEED = 7"))
    for suffix in (".py", ".ipynb"):
        when = 2_000_000_000 if suffix == newer else 1_000_000_000
        os.utime(script.with_suffix(suffix), (when, when))
    cells = lab.get(f"{script.stem}.ipynb")["content"].cells
    assert sum("SEED = 7" in cell.source for cell in cells) == 1
    before = read_cells(script.with_suffix(".ipynb"))
    count = sum(bool(cell.get("outputs")) for cell in before)
    kept = sum(bool(cell.get("outputs")) for cell in cells)
    assert kept >= count - 1 > 0, "only the edited cell may lose its outputs"


# --- the command


def lab_options() -> list[str]:
    """What the Makefile gives to `jupyter lab`."""
    text = (NOTEBOOKS_DIR.parent / "Makefile").read_text().replace("\\\n", " ")
    recipe = re.search(r"/jupyter lab (.*)", text).group(1)
    options = re.search(r"^LAB_OPTIONS := (.*)", text, re.MULTILINE).group(1)
    return shlex.split(recipe.replace("$(LAB_OPTIONS)", options))


def post(address: str, seconds: float = 120) -> dict:
    """The answer of the server, as soon as there is one."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urlopen(Request(address, method="POST"), timeout=20) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


async def run_code(address: str) -> str:
    """Run one cell in a kernel, as a browser would; what it printed."""
    from tornado.websocket import websocket_connect

    header = {"msg_id": "1", "msg_type": "execute_request", "username": "", "session": "s"}
    content = {"code": "print(6 * 7)", "silent": False}
    request = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    connection = await websocket_connect(address)
    await connection.write_message(json.dumps({**request, "channel": "shell"}))
    while True:
        reply = json.loads(await asyncio.wait_for(connection.read_message(), 120))
        if reply["header"]["msg_type"] == "stream":
            connection.close()
            return reply["content"]["text"]


@pytest.mark.slow
def test_the_lab_starts_runs_a_cell_and_warns_of_nothing(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", *lab_options()),
                *("--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"),
            ],
            cwd=NOTEBOOKS_DIR.parent,
            env=os.environ | {"HOME": str(tmp_path), "JUPYTER_TOKEN": "token"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            kernel = post(f"http://127.0.0.1:{port}/api/kernels?token=token")
            channels = f"api/kernels/{kernel['id']}/channels?token=token&session_id=s"
            assert asyncio.run(run_code(f"ws://127.0.0.1:{port}/{channels}")) == "42\n"
        finally:
            server.terminate()
            server.wait(60)
    lines = log.read_text().splitlines()
    assert [line for line in lines if re.match(r"\[[WE] |.*WARNING|.*Error", line)] == []
    assert any("Serving notebooks" in line for line in lines)
