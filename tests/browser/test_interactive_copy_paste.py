"""The box of copy-paste in a page: mixtures and gradients are those of the method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.figures.slices import Slice
from ssl_lib.methods.bcp import interval, mixtures, two_region_loss
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.copy_paste import SIDES, _boxes, _mask

NAMES, PATCH = ("background", "one", "two"), (20, 16)
pytestmark = pytest.mark.slow


def scans() -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.default_rng(3)
    labels = random.choice(3, (2, *PATCH), p=(0.7, 0.2, 0.1)).astype(np.uint8)
    return list(random.normal(size=(2, *PATCH)).astype(np.float32)), list(labels)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    (known, other), (true, guessed) = scans()

    def predict(mask: torch.Tensor) -> dict[str, np.ndarray]:
        """Right in the box, background elsewhere."""
        inside = mask.numpy() == 0
        return {way: np.where(inside, label, 0).astype(np.uint8) for way, label in
                (("inward", guessed), ("outward", true))}  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(
            patch,
            lambda: interactive.copy_paste(
                (known, true, False),
                (other, guessed, True),
                predict,
                PATCH,
                Slice(None),
                NAMES,
                alt="A box.",
            ),
        )
    return write_piece_page(tmp_path_factory.mktemp("box") / "page.html", pieces)


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    opened.page.select_option(".ssl-piece select", "1")
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_gradients_are_those_of_the_loss(file: Path, alpha: float, open_page) -> None:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    _, labels = scans()
    true, guessed = (torch.from_numpy(label)[None].long() for label in labels)
    for beta in SIDES:
        box = _boxes(PATCH, Slice(None), beta)[10]
        mask = _mask(PATCH, Slice(None), box, beta)
        both = mixtures((true.float(), true), (guessed.float(), guessed), mask)
        for way, weights in (("inward", (1.0, alpha)), ("outward", (alpha, 1.0))):
            logits = torch.zeros(1, len(NAMES), *PATCH, requires_grad=True)
            sum(two_region_loss(logits, *both[way][1:], mask, weights)).backward()
            wanted = logits.grad.abs().sum(1).numpy().ravel()
            script = """([box, way, alpha]) => {
                const stage = document.querySelector(".ssl-piece .stage");
                return [...stage.pullOf(stage.maskOf(box), way, alpha).values];
            }"""
            found = page.evaluate(script, [box, ["inward", "outward"].index(way), alpha])
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-9)


def test_no_gradient_is_black_and_an_even_share_is_not_the_darkest_colour(file: Path, open_page):
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    script = """([box, way, alpha]) => {
        const stage = document.querySelector(".ssl-piece .stage"), mask = stage.maskOf(box);
        const pull = stage.pullOf(mask, way, alpha).values;
        return [1, 0].map((kept) => stage.logarithmic(pull[mask.indexOf(kept)]).map(Math.round));
    }"""
    box, darkest = _boxes(PATCH, Slice(None), SIDES[0])[24], [0, 0x22, 0x4E]
    outside, inside = page.evaluate(script, [box, 0, 0.0])
    assert inside == [0, 0, 0] and outside[0] > 0x1A, "α = 0: only the box is black"
    outside, inside = page.evaluate(script, [box, 1, 0.5])
    assert darkest != outside and outside[0] < inside[0], "the box with true labels pulls harder"


def test_the_box_is_as_large_as_the_methods_own() -> None:
    for beta in SIDES:
        for top, bottom, left, right in _boxes(PATCH, Slice(None), beta):
            for side, length in ((bottom - top, PATCH[0]), (right - left, PATCH[1])):
                drawn = interval(length, beta, torch.Generator().manual_seed(0), "cpu")
                assert side == int(drawn.sum())
            assert top >= 0 and bottom <= PATCH[0] and left >= 0 and right <= PATCH[1]


def test_in_a_volume_the_box_is_a_box_around_the_slice() -> None:
    patch, cut = (12, 10, 9), Slice(2, 4)
    box = _boxes(patch, cut, 2 / 3)[0]
    mask = _mask(patch, cut, box, 2 / 3).numpy()
    zeros = np.argwhere(mask == 0)
    sides = zeros.max(0) - zeros.min(0) + 1
    assert tuple(sides) == (8, 6, 6)
    assert (mask == 0).sum() == sides.prod()
    shown = cut.of(mask)
    assert (shown[box[0] : box[1], box[2] : box[3]] == 0).all() and (shown == 0).sum() == 6 * 8


def test_dragging_moves_the_box_in_all_pictures(file: Path, open_page) -> None:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    sliders = page.locator(".ssl-piece input[type=range]")
    box = page.locator(".ssl-piece canvas").nth(2).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 2)
    page.mouse.up()
    assert [sliders.nth(k).input_value() for k in (2, 3)] == ["0", "6"]
    assert "inside 100\u00a0%" in page.locator(".picture small").nth(4).inner_text()
