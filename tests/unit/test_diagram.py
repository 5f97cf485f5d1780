"""Diagrams: every arrow joins two boxes, no box covers another, every method's notebook has one.

And the steps of an update: together they light all of the diagram, and nothing that it lacks.
"""

from __future__ import annotations

from itertools import combinations

import pytest

from ssl_lib.figures import diagram_alt, method_diagram
from ssl_lib.figures.diagram import BOX, COLUMN, DIAGRAMS, ROW, Diagram
from ssl_lib.figures.style import to_image
from ssl_lib.notebook.interactive.update_steps import UPDATES
from ssl_lib.notebook.source import NOTEBOOKS_DIR
from ssl_lib.utils.errors import InputError

HOMES = {
    "mean_teacher": "00",
    "ua_mt": "00b",
    "dsaif_ablation": "00b",
    "bcp": "01",
    "umct": "02",
    "aau": "03",
    "dsaif": "04",
} | dict.fromkeys(("hard_labels", "cw_bass", "unimatch", "tracoco", "adawac"), "08")


@pytest.mark.parametrize("method", DIAGRAMS)
def test_arrows_join_boxes_that_do_not_cover_each_other(method: str) -> None:
    diagram = DIAGRAMS[method]
    joined = {name for arrow in diagram.arrows for name in (arrow.start, arrow.end)}
    assert joined == set(diagram.boxes)
    for one, other in combinations(diagram.boxes.values(), 2):
        apart = abs(one.column - other.column) * COLUMN, abs(one.row - other.row) * ROW
        assert apart[0] > BOX[0] or apart[1] > BOX[1], (one, other)


@pytest.mark.parametrize("method", DIAGRAMS)
def test_words_stay_inside_their_boxes(method: str) -> None:
    figure = method_diagram(method)
    to_image(figure)  # lays it out
    (axes,) = figure.axes
    boxes = [patch.get_window_extent() for patch in axes.patches]
    for text in axes.texts:
        words = text.get_window_extent()
        inside = [box.x0 <= words.x0 and words.x1 <= box.x1 for box in boxes
                  if box.y0 <= words.y0 and words.y1 <= box.y1]  # fmt: skip
        assert any(inside), text.get_text()


def test_no_gradient_reaches_a_teacher_and_nothing_follows_a_loss() -> None:
    for diagram in DIAGRAMS.values():
        for arrow in diagram.arrows:
            kinds = diagram.boxes[arrow.start].kind, diagram.boxes[arrow.end].kind
            if "teacher" in kinds or "frozen" in kinds:
                assert arrow.flow != "gradient"
            assert kinds[0] != "loss"


@pytest.mark.parametrize("method", HOMES)
def test_every_methods_notebook_shows_its_diagram(method: str) -> None:
    assert HOMES.keys() == DIAGRAMS.keys()
    (script,) = NOTEBOOKS_DIR.glob(f"{HOMES[method]}_*.py")
    assert f'interactive.update("{method}"' in script.read_text()
    assert len(diagram_alt(method)) > 100


def learning(diagram: Diagram) -> set[tuple[str, str]]:
    """The arrows along which a gradient comes back to a network that learns."""
    reached = {name for name, box in diagram.boxes.items() if box.kind == "student"}
    found: set[tuple[str, str]] = set()
    for _ in diagram.boxes:
        found |= {
            (arrow.start, arrow.end)
            for arrow in diagram.arrows
            if arrow.start in reached and arrow.flow == "gradient"
        }
        reached |= {end for _, end in found}
    return found


@pytest.mark.parametrize("method", DIAGRAMS)
def test_the_steps_light_all_of_the_diagram_and_nothing_else(method: str) -> None:
    diagram, steps = DIAGRAMS[method], UPDATES[method]
    pairs = [(arrow.start, arrow.end) for arrow in diagram.arrows]
    assert len(set(pairs)) == len(pairs)
    assert set().union(*(step.boxes for step in steps)) == set(diagram.boxes)
    assert set().union(*(step.arrows for step in steps)) == set(pairs)
    assert all(step.boxes and step.words.endswith(".") for step in steps)


@pytest.mark.parametrize("method", DIAGRAMS)
def test_an_update_ends_with_the_gradient_and_then_the_average(method: str) -> None:
    diagram, steps = DIAGRAMS[method], UPDATES[method]
    average = {(a.start, a.end) for a in diagram.arrows if a.flow == "average"}
    at = len(steps) - 1 - bool(average)
    assert [step.back for step in steps] == [place == at for place in range(len(steps))]
    assert steps[at].arrows == learning(diagram)
    losses = {name for name, box in diagram.boxes.items() if box.kind == "loss"}
    assert losses < steps[at].boxes
    lit = [step.arrows & average for step in steps]
    assert not any(lit[: at + 1])
    assert not average or lit[-1] == steps[-1].arrows == average


def test_every_diagram_has_its_steps_in_one_or_two_short_sentences() -> None:
    assert UPDATES.keys() == DIAGRAMS.keys()
    for steps in UPDATES.values():
        for step in steps:
            assert len(step.words.split()) <= 40, step.words


def test_a_method_without_a_diagram_is_named() -> None:
    with pytest.raises(InputError, match="'zebra' has no diagram"):
        method_diagram("zebra")
