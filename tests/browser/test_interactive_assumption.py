"""Label spreading in a page is that of the library, and fails where its assumption does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.assumption import (
    GAP,
    clouds,
    nearest_label,
    spread_labels,
    with_gap,
)

pytestmark = pytest.mark.slow
FOUND = """([rule, points, classes, labelled]) =>
    document.querySelector(".ssl-piece .stage")[rule](points, classes, labelled)"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(patch, lambda: interactive.assumption(alt="Two clouds."))
    return write_piece_page(tmp_path_factory.mktemp("clouds") / "page.html", pieces)


def labels_of(classes: np.ndarray, seed: int, each: int) -> np.ndarray:
    order = np.random.default_rng(seed).permutation(len(classes))
    chosen = [order[classes[order] == k][:each] for k in (0, 1)]
    return np.isin(np.arange(len(classes)), np.concatenate(chosen))


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece svg .mark")
    assert violations(opened.page) == []
    assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])


@pytest.mark.parametrize(("gap", "each"), [(0.0, 3), (GAP, 1), (1.1, 8)])
def test_both_rules_are_those_of_the_library(file: Path, gap: float, each: int, open_page) -> None:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece svg .mark")
    base, cloud = clouds(0)
    points, labelled = with_gap(base, cloud, gap), labels_of(cloud, 5, each)
    for name, rule in (("nearest", nearest_label), ("spread", spread_labels)):
        given = [name, points.tolist(), cloud.tolist(), labelled.tolist()]
        assert page.evaluate(FOUND, given) == rule(points, cloud, labelled).tolist()


def test_spreading_gains_in_a_gap_and_loses_by_convention() -> None:
    """The two sentences of notebook 00, over many draws of one label a class."""
    base, cloud = clouds(0)
    points = with_gap(base, cloud, GAP)
    convention = (base[:, 0] > np.median(base[:, 0])).astype(int)
    gains = {}
    for words, classes in (("gap", cloud), ("convention", convention)):
        found = [
            (rule(points, classes, labelled) == classes).mean()
            for labelled in (labels_of(classes, seed, 1) for seed in range(12))
            for rule in (spread_labels, nearest_label)
        ]
        gains[words] = np.mean(found[::2]) - np.mean(found[1::2])
    assert gains["gap"] > 0.1 and gains["convention"] < -0.05
    shares = [
        np.mean(
            [(spread_labels(p, cloud, labels_of(cloud, n, 1)) == cloud).mean() for n in range(12)]
        )
        for p in (points, with_gap(base, cloud, 0.25))
    ]
    assert shares[0] > shares[1] + 0.1


def test_the_reader_sees_what_a_choice_does(file: Path, open_page) -> None:
    page = open_page(file).page
    text = page.locator(".picture small").nth(1)
    text.filter(has_text="100\u00a0% right").wait_for()
    page.select_option(".ssl-piece select", "1")
    assert text.inner_text() != "100\u00a0% right"
    assert "wrong" in page.locator(".readout").inner_text()
    page.select_option(".ssl-piece select", "0")
    page.focus("input[type=range] >> nth=1")
    page.keyboard.press("End")  # 99 % and 100 % are right
    assert "1 percentage point more is right" in page.locator(".readout").inner_text()
