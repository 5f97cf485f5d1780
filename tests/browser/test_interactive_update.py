"""One update, step by step: each step lights the parts that it names, and says what happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import violations
from pieces import shown_by, write_piece_page
from test_figures_in_browser import faults
from test_pages_in_browser import LOOKS

from ssl_lib.figures.diagram import DIAGRAMS, diagram_alt
from ssl_lib.notebook import interactive
from ssl_lib.notebook.interactive.update_steps import UPDATES
from ssl_lib.utils.errors import InputError

pytestmark = pytest.mark.slow
MOST = 100_000

STATE = """(piece) => {
  const lit = (one) => one.dataset.lit === "true";
  const groups = [...piece.querySelectorAll("svg[role=img] > g")];
  const boxes = groups.filter((one) => one.querySelector("text"));
  const arrows = groups.filter((one) => !one.querySelector("text"));
  const code = piece.querySelector("pre");
  return {
    boxes: boxes.map(lit),
    arrows: arrows.map(lit),
    said: piece.querySelector(".readout").textContent,
    code: code.hidden ? "" : code.querySelector("code").textContent,
    where: code.hidden ? "" : code.querySelector("small").textContent,
    step: piece.querySelector("output").textContent,
    label: piece.querySelector("svg[role=img]").getAttribute("aria-label"),
  };
}"""
# Texts that leave their box, boxes that meet, parts that leave the drawing.
CRAMPED = """(piece) => {
  const svg = piece.querySelector("svg[role=img]"), whole = svg.getBoundingClientRect(), wrong = [];
  const inside = (a, b) => a.left > b.left - 1 && a.right < b.right + 1
    && a.top > b.top - 1 && a.bottom < b.bottom + 1;
  const meet = (a, b) => a.left < b.right && b.left < a.right
    && a.top < b.bottom && b.top < a.bottom;
  const frames = [];
  for (const group of svg.querySelectorAll(":scope > g")) {
    if (!inside(group.getBoundingClientRect(), whole)) wrong.push("outside " + group.textContent);
    const frame = group.querySelector("rect")?.getBoundingClientRect();
    if (!frame) continue;
    for (const text of group.querySelectorAll("text"))
      if (!inside(text.getBoundingClientRect(), frame)) wrong.push("wide " + text.textContent);
    for (const other of frames)
      if (meet(frame, other)) wrong.push("meets " + group.textContent);
    frames.push(frame);
  }
  return wrong;
}"""


@pytest.fixture(scope="module")
def pieces() -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        found = shown_by(
            patch, lambda: [interactive.update(name, alt=diagram_alt(name)) for name in DIAGRAMS]
        )
    return dict(zip(DIAGRAMS, found, strict=True))


@pytest.fixture(scope="module")
def file(pieces: dict[str, str], tmp_path_factory) -> Path:
    return write_piece_page(tmp_path_factory.mktemp("pieces") / "page.html", [*pieces.values()])


@pytest.fixture
def page(file: Path, open_page) -> object:
    page = open_page(file).page
    page.wait_for_selector(".ssl-piece svg[role=img] rect")
    return page


@pytest.mark.parametrize("look", LOOKS)
def test_they_are_whole_readable_and_quiet(file: Path, look: str, open_page) -> None:
    opened = open_page(file, *LOOKS[look])
    opened.page.wait_for_selector(".ssl-piece svg[role=img] rect")
    for _ in range(2):
        assert violations(opened.page) == []
        assert faults(opened.page) == {}
        for piece in opened.page.locator(".ssl-piece").all():
            assert piece.evaluate(CRAMPED) == []
            piece.get_by_role("button", name="Next").click()
    assert (opened.requests, opened.errors) == ([], [])


@pytest.mark.parametrize("method", DIAGRAMS)
def test_each_step_lights_its_boxes_and_arrows(method: str, page) -> None:
    diagram, steps = DIAGRAMS[method], UPDATES[method]
    piece = page.locator(".ssl-piece").nth([*DIAGRAMS].index(method))
    whole = piece.evaluate(STATE)
    assert (whole["step"], whole["code"]) == ("all", "")
    assert not any(whole["boxes"] + whole["arrows"])
    for number, step in enumerate(steps, start=1):
        piece.get_by_role("button", name="Next").click()
        found = piece.evaluate(STATE)
        assert found["boxes"] == [name in step.boxes for name in diagram.boxes]
        pairs = [(arrow.start, arrow.end) for arrow in diagram.arrows]
        assert found["arrows"] == [pair in step.arrows for pair in pairs]
        assert found["said"] == f"{number} of {len(steps)}: {step.words}"
        assert (found["where"], found["code"]) == (f"in {step.where}", step.code)
        assert found["label"].startswith(f"Step {number}, lit: ")


def test_previous_next_and_the_slider_go_round_by_keyboard(page) -> None:
    piece = page.locator(".ssl-piece").first
    last = f"{len(UPDATES['mean_teacher'])} of {len(UPDATES['mean_teacher'])}"
    for name, wanted in (("Previous", last), ("Next", "all"), ("Next", "1 of")):
        piece.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        assert piece.evaluate(STATE)["step"].startswith(wanted)
    piece.locator("input[type=range]").focus()
    page.keyboard.press("End")
    assert piece.evaluate(STATE)["said"].startswith(last)
    page.keyboard.press("Home")
    assert piece.evaluate(STATE)["said"].startswith("All of one update.")


def test_play_moves_on_by_itself_and_stops_when_the_reader_steps_in(page) -> None:
    page.clock.install()
    piece = page.locator(".ssl-piece").first
    piece.get_by_role("button", name="Play").click()
    for number in (1, 2):
        page.clock.run_for(6000)
        assert piece.evaluate(STATE)["step"].startswith(f"{number} of")
    piece.get_by_role("button", name="Next").click()
    page.clock.run_for(30000)
    assert piece.evaluate(STATE)["step"].startswith("3 of")
    assert piece.get_by_role("button", name="Play").count() == 1


def test_a_gradient_runs_against_its_arrows(page) -> None:
    piece = page.locator(".ssl-piece").first
    heads = """(piece) => [...piece.querySelectorAll("svg[role=img] > g")]
        .filter((one) => !one.querySelector("text"))
        .map((one) => one.querySelectorAll("path")[1].getAttribute("d").split("L")[0])"""
    before = piece.evaluate(heads)
    at = next(k for k, step in enumerate(UPDATES["mean_teacher"], start=1) if step.back)
    for _ in range(at):
        piece.get_by_role("button", name="Next").click()
    turned = [a != b for a, b in zip(before, piece.evaluate(heads), strict=True)]
    assert turned == piece.evaluate(STATE)["arrows"]


def test_a_figure_is_small_and_an_unknown_method_is_named(pieces: dict[str, str]) -> None:
    assert max(map(len, pieces.values())) < MOST
    with pytest.raises(InputError, match="'zebra' has no diagram"):
        interactive.update("zebra", alt="A zebra.")
