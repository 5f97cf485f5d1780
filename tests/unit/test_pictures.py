"""Pictures of pages: what the README shows is there, small, described, and in light and dark."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_lib.reports import screenshots as pictures
from ssl_lib.reports.screenshots import MOST_BYTES, SCHEMES, SHOTS, Shot, as_webp, take_pictures
from ssl_lib.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PAGE = """<!doctype html><html><head><meta name="color-scheme" content="light dark">
<style>body { background: Canvas } p { width: 200px; height: 100px; background: #c00 }</style>
</head><body><p>part</p></body></html>"""


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A page with one part."""
    if pictures.find_chromium() is None:
        pytest.skip(f"no Chromium on this machine ({pictures.HOW})")
    pytest.importorskip("playwright", reason="Playwright is not installed")
    (tmp_path / "page.html").write_text(PAGE)
    return tmp_path


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_the_readme_shows_each_picture_in_light_and_dark(shot):
    readme = (ROOT / "README.md").read_text()
    names = [f"reports/pictures/{shot.name}-{scheme}.webp" for scheme in SCHEMES]
    assert f'(prefers-color-scheme: dark)" srcset="{names[1]}"' in readme
    assert re.search(rf'<img src="{names[0]}" alt="[^"]{{40,}}"', readme)
    assert all((ROOT / name).stat().st_size <= MOST_BYTES for name in names)
    assert (ROOT / "reports" / shot.page).is_file()


def test_a_part_is_taken_with_some_page_around_it_in_both_schemes(reports):
    files = list(take_pictures(reports, (Shot("part", "page.html", "p"),)))
    assert [file.name for file in files] == ["part-light.webp", "part-dark.webp"]
    light, dark = (np.asarray(Image.open(file).convert("RGB")).astype(int) for file in files)
    side = pictures.MARGIN
    assert light.shape[1] <= 1.5 * (200 + 2 * side) and light.shape[0] == 1.5 * (100 + 2 * side)
    assert light[2, 2].min() > 240 and dark[2, 2].max() < 60
    assert (np.abs(light[75, 150] - (204, 0, 0)) < 12).all()


@pytest.mark.parametrize(
    ("shot", "word"),
    [
        (Shot("a", "none.html"), "no such page"),
        (Shot("a", "page.html", "canvas"), "the page has no canvas"),
    ],
)
def test_what_is_missing_is_named(reports, shot, word, monkeypatch):
    monkeypatch.setattr(pictures, "PATIENCE", 300)
    with pytest.raises(InputError, match=word):
        list(take_pictures(reports, (shot,)))


def test_large_pictures_lose_quality():
    noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(noise).save(png, format="PNG")
    assert len(as_webp(png.getvalue())) <= MOST_BYTES


def test_the_readme_opens_with_the_moving_handle():
    readme = (ROOT / "README.md").read_text()
    assert re.search(r"!\[[^\]]{80,}\]\(reports/pictures/opening.webp\)", readme)
    assert readme.index("opening.webp") < readme.index("## ")
    frames = Image.open(ROOT / "reports" / "pictures" / "opening.webp")
    assert frames.n_frames == len(pictures.SWEEP)
    assert (ROOT / "reports" / "pictures" / "opening.webp").stat().st_size <= MOST_BYTES
