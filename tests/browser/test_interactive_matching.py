"""The game of exhibits: what is drawn, how it is moved, and how tries are counted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from browser import violations
from organ_scans import SPACING, organ
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_interactive import snapshots_of
from test_pages_in_browser import LOOKS

from ssl_lib.data.cohort import Case
from ssl_lib.figures import choose_slice
from ssl_lib.figures.scans import judge, verdict_shares
from ssl_lib.figures.training import running_median
from ssl_lib.notebook import interactive
from ssl_lib.notebook.museum import EXHIBITS
from ssl_lib.utils.errors import InputError

STAGE, LETTERS = 60, "BCG"
DEFECTS = {letter: EXHIBITS[letter] for letter in LETTERS}
ROWS = ("supervised_strong", "mean_teacher", *(f"exhibit_{letter.lower()}" for letter in LETTERS))
pytestmark = pytest.mark.slow


def trained(seed: int) -> SimpleNamespace:
    """A training that was never run: noisy losses, three validations, three snapshots."""
    random, truth = np.random.default_rng(seed), organ(0)[1]
    history = [
        {"iteration": i, "supervised": float(random.exponential(1 / (i + 1)))}
        | ({"consistency": float(random.exponential(0.01))} if i > STAGE and seed else {})
        for i in range(120)
    ]
    validation = [(i, float(random.random())) for i in (40, 80, 120)]
    return SimpleNamespace(
        history=history, validation=validation, snapshots=snapshots_of(truth, seed)
    )


@pytest.fixture(scope="module")
def trainings() -> dict[str, SimpleNamespace]:
    return {row: trained(seed) for seed, row in enumerate(ROWS)}


def game(trainings: dict[str, SimpleNamespace], scans: bool = True) -> None:
    image, truth = organ(0)[:2]
    scan = (Case("a", "a", image.astype(np.float32), SPACING), truth)
    measured = {row: {"gain": f"+0.{n}", "apart": f"{n} %"} for n, row in enumerate(ROWS[1:])}
    followed = dict.fromkeys(ROWS[1:], scan) if scans else {}
    interactive.matching(DEFECTS, trainings, followed, measured, stage=STAGE, alt="A game.")


@pytest.fixture(scope="module")
def file(tmp_path_factory, trainings) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(patch, lambda: [game(trainings), game(trainings, scans=False)])
    return write_piece_page(tmp_path_factory.mktemp("pieces") / "page.html", pieces)


@pytest.fixture
def piece(file: Path, open_page):
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece canvas")
    return page.locator(".ssl-piece").first


def choose(piece, letter: str, name: str) -> None:
    piece.get_by_role("button", name=f"exhibit {letter}").click()
    options = sorted(defect.name for defect in DEFECTS.values())
    piece.locator("select").select_option(str(options.index(name) + 1))


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece canvas")
    piece = opened.page.locator(".ssl-piece").first
    choose(piece, "B", EXHIBITS["C"].name)
    piece.get_by_text("Check", exact=True).click()
    piece.get_by_text("Show the answer").click()
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= LOOKS[look][1]
    assert opened.page.locator(".ssl-piece").last.locator("canvas").count() == 0


def test_curves_are_running_medians_of_the_losses(piece, trainings) -> None:
    lines = piece.locator("svg").first.locator("polyline").all()
    points = [line.get_attribute("points").split() for line in lines]
    heights = np.array([[float(point.split(",")[1]) for point in one] for one in points])
    rows = ("supervised_strong", "mean_teacher", "exhibit_b")
    places = np.unique(np.linspace(0, 119, 80).round().astype(int))
    wanted = np.array([
        running_median(np.array([entry["supervised"] for entry in trainings[row].history]))
        for row in rows
    ])[:, places]  # fmt: skip
    np.testing.assert_allclose(heights, 126 - 102 * wanted / wanted.max(), atol=0.1)


def test_shares_are_those_of_the_library(piece, trainings) -> None:
    truth = organ(0)[1]
    cut = choose_slice(organ(0)[0], truth)
    piece.get_by_role("button", name="exhibit G").click()
    slider = piece.locator("input[type=range]")
    for key, number in ("Home", 0), ("End", 2):
        slider.press(key)
        for row, place in ("mean_teacher", 0), ("exhibit_g", 1):
            one = trainings[row].snapshots[number]
            found = judge(cut.of(one["label"]), cut.of(one["confidence"]), cut.of(truth), 0.9)
            right, wrong, sure = verdict_shares(found)
            text = piece.locator(".picture").nth(place).locator("small").first.inner_text()
            numbers = [int(part.split("\u00a0%")[0]) for part in text.split(" · ")]
            assert sum(numbers) == 100
            for percent, share in zip(numbers, (right, wrong - sure, sure), strict=True):
                assert abs(percent - 100 * share) < 1


def test_only_the_first_try_counts(piece) -> None:
    names = {letter: defect.name for letter, defect in DEFECTS.items()}
    choose(piece, "B", names["B"])
    choose(piece, "C", names["G"])
    assert piece.get_by_role("button", name="exhibit B, chosen, not checked").count() == 1
    piece.get_by_text("Check", exact=True).click()
    assert piece.locator(".readout").inner_text() == "1 of 2 right: B. Look again at C:"
    assert piece.locator(".stage > ul li").last.inner_text() == f"C: {EXHIBITS['C'].hint}"
    choose(piece, "C", names["C"])
    piece.get_by_text("Check", exact=True).click()
    assert piece.locator(".readout").inner_text() == "2 of 2 right: B, C."
    assert piece.get_by_text("Right at the first try: 1; tried: 2 of 3").count() == 1


def test_an_answer_that_is_shown_counts_as_missed(piece) -> None:
    choose(piece, "G", EXHIBITS["G"].name)
    assert not piece.get_by_text(EXHIBITS["G"].because).count()
    piece.get_by_text("Show the answer").click()
    assert piece.get_by_text(EXHIBITS["G"].because).is_visible()
    assert piece.locator("pre").inner_text().splitlines()[1] == f"+ {EXHIBITS['G'].broken}"
    piece.get_by_text("Check", exact=True).click()
    assert piece.get_by_text("Right at the first try: 0; tried: 1 of 3").count() == 1


def test_arrow_keys_move_from_exhibit_to_exhibit(piece) -> None:
    piece.get_by_role("button", name="exhibit B").focus()
    piece.page.keyboard.press("ArrowRight")
    assert piece.locator("[aria-pressed=true]").inner_text() == "C"
    assert piece.locator("thead").inner_text().split() == ["Mean", "teacher", "C"]
    piece.page.keyboard.press("ArrowLeft")
    piece.page.keyboard.press("ArrowLeft")
    assert piece.page.evaluate("document.activeElement.textContent") == "G"


def test_a_training_too_few_is_refused(trainings) -> None:
    with pytest.raises(InputError, match="4 trainings are given for 3 defects"):
        game({row: trainings[row] for row in ROWS[:-1]})
