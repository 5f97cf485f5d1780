"""Where this machine keeps a Chromium."""

from __future__ import annotations

import os
import shutil

HOW = "apt-get install chromium, or name a Chromium in SSL_CHROMIUM"


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome of this machine."""
    named = os.environ.get("SSL_CHROMIUM")
    known = ("chromium", "chromium-browser", "google-chrome")
    return named or next(filter(None, map(shutil.which, known)), None)
