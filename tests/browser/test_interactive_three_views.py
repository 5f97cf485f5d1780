"""Views of one voxel: the page's formulas are the method's, and the voxel moves by hand and key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from browser import violations
from pieces import shown_by, write_piece_page
from playwright.sync_api import expect
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.methods.umct import confidence, fused_target
from ssl_lib.notebook.interactive import three_views
from ssl_lib.utils.errors import InputError

NAMES = ("background", "pool", "muscle")
SHAPE, VIEWS = (6, 8, 7), 3
pytestmark = pytest.mark.slow


class Predictions(NamedTuple):
    means: np.ndarray
    uncertainties: np.ndarray
    truth: np.ndarray


def random_predictions(shape: tuple[int, ...] = SHAPE) -> Predictions:
    """Predictions in the very steps in which they travel, so that nothing is lost on the way, and
    without classes that are equally likely."""
    random = np.random.default_rng(0)
    one, two = random.integers(0, 32, (2, VIEWS, *shape))
    tie = (one == two) | (63 - one - two == np.maximum(one, two))
    one, two = np.where(tie, 30, one), np.where(tie, 12, two)
    means = np.stack([63 - one - two, one, two], axis=1) / 63
    roots = 0.5 * random.integers(0, 256, (VIEWS, *shape)) / 255
    return Predictions(means, roots**2, random.integers(0, 3, shape).astype(np.uint8))


def show(shape: tuple[int, ...] = SHAPE) -> None:
    image = np.random.default_rng(1).random([2 * side for side in shape])
    across, spacing = [0, 1, 2] if len(shape) == 3 else [], [1.0] * len(shape)
    predictions = random_predictions(shape)
    three_views(image, *predictions, NAMES, spacing=spacing, across=across, alt="Views.")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(patch, lambda: [show(), show((9, 7))])
    return write_piece_page(tmp_path_factory.mktemp("pieces") / "page.html", pieces)


@pytest.fixture
def piece(file: Path, open_page):
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    return page.locator(".ssl-piece").first


def voxel(piece) -> list[int]:
    return [int(n) - 1 for n in re.findall(r"\d+", piece.locator(".readout").inner_text())[:3]]


def bars(piece) -> np.ndarray:
    """Probabilities (view, said or taught, class) as the bars of the page state them."""
    labels = [bar.get_attribute("aria-label") for bar in piece.locator("svg").all()]
    found = [[float(number) for number in re.findall(r"\d\.\d{3}", label)] for label in labels]
    return np.reshape(found, (VIEWS, 2, len(NAMES)))


def wanted(power: float = 1.0, scope: str = "voxel", hard: bool = False) -> torch.Tensor:
    """The fused targets (view, class, *space) of the method's own functions."""
    one = random_predictions()
    means = [torch.as_tensor(mean)[None] for mean in one.means]
    trust = [
        confidence(torch.as_tensor(u)[None, None], power=power, scope=scope)
        for u in one.uncertainties
    ]
    return torch.cat([fused_target(means, trust, own, hard) for own in range(VIEWS)])


def move_slider(piece, label: str, steps: int) -> None:
    for _ in range(abs(steps)):
        piece.get_by_label(label).press("ArrowRight" if steps > 0 else "ArrowLeft")


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look][1]
    planes = [one.locator("canvas").count() for one in opened.page.locator(".ssl-piece").all()]
    assert planes == [3, 1], "a picture has one plane"


@pytest.mark.parametrize(
    ("steps", "options"),
    [(0, {}), (-4, {"power": 0.0}), (4, {"power": 2.0}), (0, {"scope": "scan"})],
)
def test_targets_are_those_of_the_method(piece, steps: int, options: dict[str, object]) -> None:
    move_slider(piece, "power γ", steps)
    piece.get_by_label("confidence of each").select_option(label=options.get("scope", "voxel"))
    for axis, side in enumerate(SHAPE):
        at = tuple(voxel(piece))
        found = bars(piece)
        said = random_predictions().means[(slice(None), slice(None), *at)]
        taught = wanted(**options)[(slice(None), slice(None), *at)].numpy()
        np.testing.assert_allclose(found[:, 0], said, atol=6e-4)
        np.testing.assert_allclose(found[:, 1], taught, atol=6e-4)
        move_slider(piece, f"voxel along axis {axis}", 2 if at[axis] < side - 2 else -2)


def test_shares_of_wrong_voxels_are_counted_over_the_scan(piece) -> None:
    for hard in (False, True):
        piece.get_by_label("target", exact=True).select_option("1" if hard else "0")
        wrong = wanted(hard=hard).argmax(dim=1).numpy() != random_predictions().truth
        texts = piece.get_by_text("wrong voxels").all_inner_texts()
        shares = [re.findall(r"[\d.]+\u00a0%", text)[1] for text in texts]
        assert shares == [f"{100 * one.mean():.2f}\u00a0%" for one in wrong]
    labels = random_predictions().means.argmax(axis=1)
    share = (labels != labels[0]).any(axis=0).mean()
    assert f"disagree in {100 * share:.1f}\u00a0% of" in piece.locator(".readout").inner_text()


def test_a_view_that_does_not_teach_is_not_heard(piece) -> None:
    piece.get_by_label("teaches").nth(1).uncheck()
    found = bars(piece)
    np.testing.assert_allclose(found[0, 1], found[2, 0], atol=1e-3)
    np.testing.assert_allclose(found[2, 1], found[0, 0], atol=1e-3)
    piece.get_by_label("teaches").nth(0).uncheck()
    piece.get_by_label("teaches").nth(2).uncheck()
    assert piece.get_by_text("Nobody teaches it.").count() == VIEWS


def test_keys_and_clicks_move_the_voxel(piece) -> None:
    canvas = piece.locator("canvas").first
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 2.5 / SHAPE[2], "y": box["height"] * 3.5 / SHAPE[1]})
    first = voxel(piece)
    assert first[1:] == [3, 2]
    assert piece.get_by_label("voxel along axis 1").input_value() == "3"
    for key in ("ArrowRight", "ArrowUp", "PageUp" if first[0] < SHAPE[0] - 1 else "PageDown"):
        piece.page.keyboard.press(key)
    assert voxel(piece) == [first[0] + (1 if first[0] < SHAPE[0] - 1 else -1), 2, 3]
    now = voxel(piece)[0]
    canvas.hover()
    piece.page.mouse.wheel(0, -100 if now else 100)
    expect(piece.locator(".readout")).to_contain_text(f"Voxel {now if now else 2}, 3, 4")


def test_a_large_scan_shows_some_slices_and_stays_small(monkeypatch) -> None:
    given: dict[str, object] = {}
    monkeypatch.setitem(
        three_views.__globals__, "show_interactive", lambda _, data, **words: given.update(data)
    )
    show((40, 32, 32))
    assert given["truth"].shape == (19, 32, 32) and given["factors"] == [1, 1, 1]
    assert given["grey"].steps.shape == given["truth"].shape
    assert given["total"] == given["truth"].size and given["spacing"] == [2.0, 2.0, 2.0]


def test_an_image_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="whole number of times finer"):
        three_views(
            np.zeros((7, 8, 7)), *random_predictions(), NAMES, spacing=(1, 1, 1), alt="Views."
        )
