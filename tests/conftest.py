"""What all tests share: a browser, a place for trainings, and which tests wait to be asked for.

Tests marked `long` run with `pytest --long` (`make test LONG=1`); tests marked `gpu` run where
there is a CUDA device.
"""

from __future__ import annotations

import json
import locale
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from browser import Opened, open_file
from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook
from shapes import CHECKED

# before anything of the library is loaded
install_import_hook([f"ssl_lib.{part}" for part in CHECKED], "shapes.checked")

from lab import Lab, running_lab  # noqa: E402

from ssl_lib.reports.screenshots import HOW, find_chromium  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")
    parser.addoption("--record", type=Path, help="write how many tests of each file passed")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    file = config.getoption("--record")
    if file is None:
        return
    passed = Counter(
        Path(report.fspath).stem for report in terminalreporter.stats.get("passed", [])
    )
    record = {"long": config.getoption("--long"), "passed": dict(sorted(passed.items()))}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1), encoding="utf-8")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    waits = {"long": "runs with --long"} if not config.getoption("--long") else {}
    if not torch.cuda.is_available():
        waits["gpu"] = "needs a CUDA device"
    for item in items:
        for marker, reason in waits.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def misuse() -> Iterator[None]:
    """For tests of what the library itself says to a wrong type or shape: nobody else objects."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all small trainings: what one test has trained, the next finds again."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Two more gigabytes and no byte beyond: who asks for a terabyte gets a `MemoryError`."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (now + 2 * 10**9, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A Chromium driven by Playwright; tests that ask for it are skipped where there is none.

    One for each module: while it is open, its event loop counts as running in this thread, which
    would disturb the kernels of other tests.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium on this machine ({HOW})")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., Opened]]:
    """Opens a file in that Chromium with the network off; all pages are closed after the test."""
    yield partial(open_file, browser)
    for context in browser.contexts:
        context.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab that reads and changes nothing of this user's."""
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_test_changes_the_encoding_of_text():
    """A file writer may leave the C locale behind, and later tests would write ASCII."""
    before = locale.getencoding()
    yield
    assert locale.getencoding() == before, "the locale is another one"
