"""A JupyterLab of its own for a test, and what is done in it through a browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import nbformat

from ssl_lib.notebook.files import KERNELSPEC
from ssl_lib.notebook.source import NOTEBOOKS_DIR

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
MOST_SECONDS = 900
HARMLESS = re.compile(r"favicon|ResizeObserver|404 \(Not Found\)", re.IGNORECASE)
OUTPUTS = """() => {
  const cells = jupyterapp.shell.currentWidget.content.widgets;
  const all = cells.filter(c => c.model.type === "code");
  return {
    code: all.length,
    ran: all.filter(c => c.model.executionCount !== null || !c.model.sharedModel.source).length,
    errors: all.flatMap(c => c.outputArea.model.toJSON())
      .filter(o => o.output_type === "error").map(o => `${o.ename}: ${o.evalue}`),
  };
}"""


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab whose files lie in `folder`."""

    address: str
    folder: Path


@contextmanager
def running_lab(home: Path) -> Iterator[Lab]:
    """A server with settings of its own, so that nothing of this user's is read or changed."""
    folder, settings = home / "notebooks", home / "settings"
    folder.mkdir()
    for part in ("ssl_lib", "reports"):  # a project around the copies, as the notebooks look for
        (home / part).symlink_to(NOTEBOOKS_DIR.parent / part)
    for name, value in SETTINGS.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "HOME": str(home),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONPATH": str(NOTEBOOKS_DIR.parent),  # the kernel runs the library that is tested
    }
    environment.pop("SSL_STATIC", None)
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *(f"--port={port}", f"--notebook-dir={folder}", "--IdentityProvider.token="),
            *("--LabApp.expose_app_in_browser=True", "--ServerApp.log_level=ERROR"),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Lab(_answering(f"http://127.0.0.1:{port}/lab"), folder)
    finally:
        server.terminate()
        server.wait(60)


def _answering(address: str, seconds: float = 180) -> str:
    """The address, once something answers there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urlopen(address, timeout=5):
                return address
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"JupyterLab did not answer within {seconds:.0f} s")


def run_all(page: object) -> dict[str, object]:
    """Runs every cell and waits until the kernel is idle; what came of it."""
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
        "?.status === 'idle'",
        timeout=120_000,
    )
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        f"() => {{ const now = ({OUTPUTS})(); return now.errors.length || now.ran === now.code; }}",
        timeout=1000 * MOST_SECONDS,
        polling=500,
    )
    return page.evaluate(OUTPUTS)


def opened(
    lab: Lab, browser: object, name: str, cells: list[str] | None = None, **options: object
) -> object:
    """A page with the notebook of that name, written from `cells` if they are given."""
    if cells is not None:
        nbformat.write(
            nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
                metadata={"kernelspec": KERNELSPEC},
            ),
            lab.folder / f"{name}.ipynb",
        )
    page = browser.new_page(**{"viewport": {"width": 1200, "height": 1000}, **options})
    page.goto(f"{lab.address}/workspaces/{name}/tree/{name}.ipynb?reset")
    return page
