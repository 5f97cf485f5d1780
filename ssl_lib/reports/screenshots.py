"""Pictures of the pages for the README, taken by a browser from the stored pages themselves.

python -m ssl_lib.reports.screenshots

Writes `reports/pictures/NAME-light.webp` and `NAME-dark.webp`, and `opening.webp`, in which the
handle of the front page's first figure moves. Needs Playwright, a development dependency, and a
Chromium of this machine.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect

HOW = "apt-get install chromium, or name a Chromium in SSL_CHROMIUM"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
MOST_BYTES = 150_000
SWEEP = (*range(50, 92, 3), *range(92, 8, -3), *range(8, 50, 3))
"""Where the handle stands in the frames of the moving picture, in per cent."""
FRAME_TIME = 90  # milliseconds
PATIENCE = 10_000  # milliseconds until a part must be there
MARGIN = 16  # pixels of the page around a part of it


@dataclass(frozen=True)
class Shot:
    """A picture: of which page below `reports`, and of which part; without one, its top."""

    name: str
    page: str
    part: str = ""
    width: int = 1300
    height: int = 760


SHOTS = (
    Shot("front", "index.html", width=1240, height=800),
    Shot(
        "scans",
        "00_few_labels_many_scans/acdc-quick-n3.html",
        '.ssl-piece[aria-label="Every test scan"]:has(canvas)',
        width=800,
    ),
    Shot(
        "copy_paste",
        "01_bidirectional_copy_paste/acdc-quick-n3.html",
        '.ssl-piece[aria-label="Copy-paste"]:has(canvas)',
        width=800,
    ),
    Shot(
        "repair",
        "03_anatomically_aware_uncertainty/phantom-quick-n4.html",
        '.ssl-piece[aria-label="Paint and repair"]:has(canvas)',
        width=800,
    ),
    Shot(
        "max_tree",
        "04_structure_aware_filtering/acdc-quick-n3.html",
        '.ssl-piece[aria-label="Filters on a Max-tree"]:has(canvas)',
        width=800,
    ),
    Shot(
        "leaderboard",
        "05_comparison/acdc-evening-n3.html",
        '.table-box:has(th:has-text("Jaccard"))',
    ),
    Shot("viewer", "06_your_own_scans/phantom_folder-quick-n4.html", ".ssl-look:has(canvas)"),
)


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome of this machine; `SSL_CHROMIUM` names another one."""
    named = os.environ.get("SSL_CHROMIUM")
    known = ("chromium", "chromium-browser", "google-chrome")
    return named or next(filter(None, map(shutil.which, known)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A Chromium driven by Playwright. Raises `InputError` without one."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("Playwright is not installed", fix="pip install '.[dev]'") from None
    chromium = find_chromium()
    if chromium is None:
        raise InputError("no Chromium on this machine", fix=HOW)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def take_pictures(reports: Path, shots: tuple[Shot, ...] = SHOTS) -> Iterator[Path]:
    """Write each picture in light and dark; yields the files.

    Raises `InputError` without a browser, or if a page or its part is missing.
    """
    with open_browser() as browser:
        for shot in shots:
            for scheme in SCHEMES:
                path = reports / "pictures" / f"{shot.name}-{scheme}.webp"
                write_atomically(path, as_webp(_taken(browser, reports, shot, scheme)))
                yield path


def take_opening(reports: Path) -> Path:
    """Write `opening.webp`, the front page's first figure while its handle moves; returns the file.

    Raises `InputError` without a browser, or if the figure is missing.
    """
    path = reports / "pictures" / "opening.webp"
    with open_browser() as browser:
        write_atomically(path, _moving(browser, reports / "index.html"))
    return path


def _moving(browser: Browser, file: Path) -> bytes:
    """The front page's first figure as a WebP that moves, one frame a place of its handle."""
    page = browser.new_page(viewport={"width": 1000, "height": 900}, device_scale_factor=1)
    page.goto(file.resolve().as_uri())
    stack = page.locator(".ssl-piece .wipe")
    try:
        stack.wait_for(timeout=PATIENCE)
    except Exception:
        raise InputError("the front page has no first figure", where=file) from None
    slider, frames = page.locator(".ssl-piece input[type=range]").first, []
    for place in SWEEP:
        slider.fill(str(place))
        frames.append(Image.open(io.BytesIO(stack.screenshot())).convert("RGB"))
    page.close()
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": frames[1:], "duration": FRAME_TIME, "loop": 0}
    frames[0].save(buffer, format="WEBP", quality=45, method=4, minimize_size=True, **more)
    return buffer.getvalue()


def as_webp(png: bytes) -> bytes:
    """The picture as WebP, in the best quality that takes at most `MOST_BYTES`."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (90, 80, 65, 50, 30, 10):
        buffer = io.BytesIO()
        image.save(buffer, format="WEBP", quality=quality, method=6)
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()


def _taken(browser: Browser, reports: Path, shot: Shot, scheme: Scheme) -> bytes:
    """The picture as PNG, one and a half pixels for each of the page."""
    file = reports / shot.page
    if not file.is_file():
        raise InputError("there is no such page", where=file, fix="run `make reports` first")
    page = browser.new_page(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme=scheme,
        reduced_motion="reduce",
        device_scale_factor=1.5,
    )
    try:
        page.goto(file.resolve().as_uri())
        if not shot.part:
            return page.screenshot()
        parts = page.locator(shot.part)
        try:
            parts.first.wait_for(timeout=PATIENCE)
        except Exception:
            raise InputError(f"the page has no {shot.part}", where=file) from None
        # the page's bar would lie over the part
        page.add_style_tag(content=".bar { display: none !important; }")
        box = parts.first.evaluate(
            "e => { const b = e.getBoundingClientRect();"
            " return [b.x + scrollX, b.y + scrollY, b.width, b.height]; }"
        )
        return page.screenshot(full_page=True, clip=_with_margin(box, shot.width))
    finally:
        page.close()


def _with_margin(box: list[float], width: int) -> FloatRect:
    left, top = max(box[0] - MARGIN, 0), max(box[1] - MARGIN, 0)
    right = min(box[0] + box[2] + MARGIN, width)
    return {"x": left, "y": top, "width": right - left, "height": box[3] + 2 * MARGIN}


def main() -> int:
    """The command line; returns the exit code."""
    try:
        for path in (*take_pictures(Path("reports")), take_opening(Path("reports"))):
            print(f"{path} ({path.stat().st_size // 1000} kB)")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
