"""Interactive figures in a browser: what they compute, by the same rules as the library, and how
they are moved. Each kind has a file of its own beside this one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import violations
from organ_scans import SPACING, organ
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.data.cohort import Case
from ssl_lib.figures import choose_slice
from ssl_lib.figures.scans import judge, verdict_shares
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.page import packed, quantised, version
from ssl_lib.utils.errors import InputError

NAMES = ("background", "one", "two")
pytestmark = pytest.mark.slow


def case_and_truth() -> tuple[Case, np.ndarray]:
    image, truth = organ(0)[:2]
    return Case("a", "a", image.astype(np.float32), SPACING), truth


def snapshots_of(truth: np.ndarray, seed: int) -> list[dict[str, object]]:
    """Three snapshots, each nearer to the truth."""
    random, found = np.random.default_rng(seed), []
    for number, noise in enumerate((0.5, 0.2, 0.05)):
        wrong = random.random(truth.shape) < noise
        label = np.where(wrong, random.integers(0, 3, truth.shape), truth).astype(np.uint8)
        confidence = random.integers(0, 256, truth.shape).astype(np.uint8)
        found.append({"iteration": 10 * number + 5, "label": label, "confidence": confidence})
    return found


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, object]]]:
    _, truth = case_and_truth()
    return {"mean_teacher": snapshots_of(truth, 1), "bcp": snapshots_of(truth, 2)}


@pytest.fixture(scope="module")
def file(tmp_path_factory, rows) -> Path:
    case, truth = case_and_truth()
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(
            patch,
            lambda: [
                interactive.snapshots(case, truth, rows, NAMES, alt=f"Snapshots {n}.")
                for n in (1, 2)
            ],
        )
    return write_piece_page(tmp_path_factory.mktemp("pieces") / "page.html", pieces)


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    assert opened.page.locator(".stored").count() == 0
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])


def test_what_figures_share_stands_once_in_a_page(file: Path) -> None:
    assert file.read_text().count("const unpack = ") == 1
    assert file.read_text().count("kinds.snapshots = ") == 1


def test_arrays_arrive_as_they_were_packed(file: Path, open_page) -> None:
    random = np.random.default_rng(0)
    arrays = [
        random.integers(0, 256, (3, 4)).astype(np.uint8),
        random.integers(-9, 9, 7).astype(np.int8),
        random.normal(size=(2, 2, 2)).astype(np.float32),
    ]
    numbers = random.random((5, 5))
    script = f"""async (data) => {{
        const found = await window["ssl-core-{version()}"].unpack(data);
        return found.map((one) => [one.shape, [...one.values]]);
    }}"""
    data = json.loads(json.dumps([*arrays, quantised(numbers)], default=packed))
    found = open_page(file).page.evaluate(script, data)
    for (shape, values), array in zip(found, arrays, strict=False):
        np.testing.assert_array_equal(np.reshape(values, shape), array)
    assert np.abs(np.reshape(found[-1][1], (5, 5)) - numbers).max() <= 0.5 / 255 + 1e-9


def test_shares_are_those_of_the_library(file: Path, rows, open_page) -> None:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    case, truth = case_and_truth()
    cut = choose_slice(case.image, truth)
    piece = page.locator(".ssl-piece").first
    for key, number in ("Home", 0), ("End", 2):
        piece.locator("input[type=range]").first.focus()
        page.keyboard.press(key)
        texts = piece.locator(".picture small").all_inner_texts()[1:]
        for snapshots, text in zip(rows.values(), texts, strict=True):
            one = snapshots[number]
            # the page knows 64 steps of confidence, the nearest to the byte
            sure = np.rint(cut.of(one["confidence"]) / 255 * 63) / 63
            shares = verdict_shares(judge(cut.of(one["label"]), sure, cut.of(truth)))
            right, wrong, surely = shares[0], shares[1] - shares[2], shares[2]
            numbers = [int(part.split("\u00a0%")[0]) for part in text.split(" · ")]
            assert sum(numbers) == 100, "they add up, though each is rounded"
            assert np.abs(np.subtract(numbers, [100 * x for x in (right, wrong, surely)])).max() < 1


def test_play_runs_to_the_end_and_stops(file: Path, open_page) -> None:
    page = open_page(file).page
    button = page.locator(".ssl-piece button", has_text="Play").first
    button.click()  # it stands at the end, so it starts anew
    assert page.locator(".ssl-piece input[type=range]").first.input_value() == "0"
    page.locator(".ssl-piece").first.locator("button", has_text="Play").wait_for()
    assert page.locator(".ssl-piece input[type=range]").first.input_value() == "2"


def test_without_a_script_the_stored_picture_stays(file: Path, browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator(".ssl-piece .stored").first.is_visible()
    assert not page.locator(".ssl-piece .stage").first.is_visible()
    context.close()


def test_what_has_no_place_in_a_page_is_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        quantised(np.array([0.0, np.nan]))
    with pytest.raises(InputError, match="float64"):
        packed(np.zeros(2))


def test_every_colour_that_a_script_asks_for_is_defined() -> None:
    folder = Path(interactive.__file__).parent
    style = (folder / "core.css").read_text()
    for script in folder.glob("*.js"):
        text = script.read_text()
        asked = set(re.findall(r"var\((--[\w-]+)\)", text))
        made = set(re.findall(r"(--[\w-]+):", style + text))
        assert asked <= made, f"{script.name} asks for {', '.join(asked - made)}"
