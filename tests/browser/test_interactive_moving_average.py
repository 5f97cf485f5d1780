"""The moving average in the page: the teacher's weight must be the one of training."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.config import Schedule
from ssl_lib.models.teacher import make_teacher, update_teacher
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.moving_average import averaged
from ssl_lib.notebook.interactive.page import version
from ssl_lib.utils.errors import InputError

pytestmark = pytest.mark.slow
OWN = f'window["ssl-core-{version()}"].kinds.moving_average'
CALL = f"([name, ...given]) => [...{OWN}[name](...given)]"
SCHEDULES = [
    Schedule(100, 0.1, teacher_decay=decay, teacher_warm_up=rising)
    for decay in (0.0, 0.5, 0.97, 0.999)
    for rising in (False, True)
]


def weights() -> tuple[np.ndarray, np.ndarray]:
    trend = 1 - np.exp(-np.arange(101) / 20)
    return trend + np.random.default_rng(0).normal(0, 0.25, len(trend)), trend


def trained(student: np.ndarray, schedule: Schedule) -> list[float]:
    """The teacher's weight as the training loop updates it."""
    network = torch.nn.Linear(1, 1, bias=False).double()
    network.weight.data.fill_(student[0])
    teacher = make_teacher(network)
    found = [teacher.weight.item()]
    for iteration, weight in enumerate(student[1:]):
        network.weight.data.fill_(weight)
        update_teacher(teacher, network, schedule.averaging(iteration))
        found.append(teacher.weight.item())
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    student, trend = weights()
    schedule = Schedule(100, 0.1, teacher_decay=0.9)
    with pytest.MonkeyPatch.context() as patch:
        pieces = shown_by(
            patch, lambda: interactive.moving_average(student, trend, schedule, alt="A weight.")
        )
    return write_piece_page(tmp_path_factory.mktemp("pieces") / "page.html", pieces)


@pytest.fixture
def page(file: Path, open_page) -> object:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece svg path")
    return page


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece svg path")
    for key in ("Home", "End"):
        opened.page.locator("input[type=range]").first.focus()
        opened.page.keyboard.press(key)
        assert violations(opened.page) == []
        assert faults(opened.page) == {}
    assert (opened.requests, opened.errors) == ([], [])


@pytest.mark.parametrize(
    "schedule", SCHEDULES, ids=lambda s: f"{s.teacher_decay}{s.teacher_warm_up}"
)
def test_the_teacher_is_the_one_of_training(schedule: Schedule, page) -> None:
    student, _ = weights()
    wanted = trained(student, schedule)
    options = [schedule.teacher_decay, schedule.teacher_warm_up]
    found = page.evaluate(CALL, ["averaged", student.tolist(), *options])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(averaged(student, schedule), wanted, rtol=0, atol=1e-12)
    for last in (0, 1, 60):
        shares = np.array(page.evaluate(CALL, ["shares", last, *options]))
        assert shares.sum() == pytest.approx(1)
        assert shares @ student[: last + 1] == pytest.approx(wanted[last], abs=1e-12)


def test_what_is_read_off_follows_the_controls(page) -> None:
    student, trend = (values.astype(np.float32).astype(float) for values in weights())
    page.locator("input[type=range]").first.focus()
    page.keyboard.press("End")
    page.locator("input[type=checkbox]").check()
    schedule = Schedule(100, 0.1, teacher_decay=0.999, teacher_warm_up=True)
    teacher, late = averaged(student, schedule), averaged(trend, schedule)
    numbers = [
        float(n) for n in re.findall(r"\d+\.?\d*", page.locator(".readout").nth(0).inner_text())
    ]
    height = (trend[0] + trend[-1]) / 2
    own, lagged = (np.interp(height, curve, np.arange(101)) for curve in (trend, late))
    rms = [
        np.sqrt(np.mean(np.square(d))) for d in (teacher - late, student - trend, teacher - trend)
    ]
    assert numbers == pytest.approx([1000, lagged - own, *rms], abs=0.051)
    assert numbers[2:] == pytest.approx(rms, abs=6e-4)


def test_pointing_reads_the_weights_and_so_does_the_slider(page) -> None:
    student, _ = weights()
    chart = page.locator(".ssl-piece svg").bounding_box()
    page.mouse.move(chart["x"] + chart["width"] * (34 + 0.25 * 552) / 600, chart["y"] + 40)
    assert (
        page.locator(".readout")
        .nth(1)
        .inner_text()
        .startswith(f"At update 25: student {student[25]:.3f}")
    )
    page.locator("input[type=range]").nth(1).focus()
    page.keyboard.press("ArrowRight")
    assert (
        page.locator(".readout")
        .nth(1)
        .inner_text()
        .startswith(f"At update 26: student {student[26]:.3f}")
    )


def test_a_teacher_that_never_gets_there_has_no_lag(page) -> None:
    page.locator("input[type=range]").first.focus()
    page.keyboard.press("End")
    assert "never reaches half of the rise" in page.locator(".readout").nth(0).inner_text()
    assert "lag" not in page.locator(".ssl-piece svg").text_content()


def test_what_makes_no_average_is_refused() -> None:
    student, trend = weights()
    with pytest.raises(InputError, match="100 of its trend"):
        interactive.moving_average(student, trend[1:], SCHEDULES[0], alt="A weight.")
    with pytest.raises(InputError, match=r"decay of 1\.0"):
        frozen = Schedule(9, 0.1, teacher_decay=1.0)
        interactive.moving_average(student, trend, frozen, alt="A weight.")


def test_words_of_other_lengths_move_no_slider(page) -> None:
    """Once the longest words were there: who drags a slider keeps it under the pointer."""
    slider, words = page.locator(".ssl-piece input[type=range]").last, page.locator(".readout")
    places = []
    for count in (200, 1, 50):
        words.first.evaluate("(line, n) => line.textContent = 'word '.repeat(n)", count)
        page.wait_for_timeout(100)
        places.append(slider.bounding_box()["y"])
    assert len({*places}) == 1
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(100)
    assert words.first.bounding_box()["height"] < 200, "of another width, it begins anew"
