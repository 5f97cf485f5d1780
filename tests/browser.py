"""A headless Chromium for tests, or a plain reason why there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

HOW = "apt-get install chromium, or name a Chromium in SSL_CHROMIUM"


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome of this machine."""
    named = os.environ.get("SSL_CHROMIUM")
    known = ("chromium", "chromium-browser", "google-chrome")
    return named or next(filter(None, map(shutil.which, known)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A Chromium driven by Playwright; tests that ask for it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium on this machine ({HOW})")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
