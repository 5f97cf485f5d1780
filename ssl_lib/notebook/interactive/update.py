"""The diagram of a method, stepped through: what happens in one update, and where in the code."""

from __future__ import annotations

from typing import Any

from ssl_lib.figures.diagram import (
    BOXES,
    FLOWS,
    KIND_WORDS,
    Arrow,
    Diagram,
    Kind,
    diagram_of,
    method_diagram,
)
from ssl_lib.notebook.interactive.page import show_interactive
from ssl_lib.notebook.interactive.update_steps import UPDATES, Step

DASHES = {"-": "", "--": "5 3", ":": "1.5 3"}
"""Line styles as SVG has them."""


def update(method: str, *, alt: str) -> None:
    """Shows one update of a method: first the whole diagram, then one step after the other.

    Each step lights its boxes and arrows, says what happens there, and names the lines that do it.
    Raises `InputError` for a method without a diagram.
    """
    diagram = diagram_of(method)
    names = list(diagram.boxes)
    kinds = dict.fromkeys(box.kind for box in diagram.boxes.values())
    flows = {arrow.flow for arrow in diagram.arrows}
    data = {
        "boxes": [vars(box) for box in diagram.boxes.values()],
        "arrows": [_arrow(arrow, names) for arrow in diagram.arrows],
        "steps": [_step(step, diagram, names) for step in UPDATES[method]],
        "kinds": {kind: _look(kind) for kind in KIND_WORDS if kind in kinds},
        "flows": {flow: (DASHES[line], words) for flow, (line, words) in FLOWS.items()
                  if flow in flows},
    }  # fmt: skip
    label, stored = "One update, step by step", method_diagram(method)
    show_interactive("update", data, alt=alt, label=label, stored=stored)


def _arrow(arrow: Arrow, names: list[str]) -> dict[str, Any]:
    ends = {"start": names.index(arrow.start), "end": names.index(arrow.end)}
    return {**vars(arrow), **ends}


def _step(step: Step, diagram: Diagram, names: list[str]) -> dict[str, Any]:
    """A step with the places of its boxes and arrows in the diagram's lists."""
    pairs = [(arrow.start, arrow.end) for arrow in diagram.arrows]
    lit = {
        "boxes": sorted(names.index(name) for name in step.boxes),
        "arrows": sorted(pairs.index(pair) for pair in step.arrows),
    }
    return {"words": step.words, "where": step.where, "code": step.code, "back": step.back, **lit}


def _look(kind: Kind) -> dict[str, Any]:
    """How a kind of box is drawn: as in the stored picture, greys as shades of the text."""
    look = BOXES[kind]
    return {
        "words": KIND_WORDS[kind],
        "colour": None if kind in ("change", "answer") else look["edgecolor"],
        "dash": DASHES[look.get("linestyle", "-")],
        "filled": look["facecolor"] != "white",
    }
