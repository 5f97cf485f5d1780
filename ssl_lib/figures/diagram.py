"""One diagram a method, all in one grammar: what is labelled, who learns, where no gradient flows.

A diagram is data: boxes on a grid (column from the left, row from the top) and arrows between them.
Boxes differ by their line and their words, arrows by their line, nothing by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ssl_lib.figures.style import (
    BLUE,
    GREEN,
    INK,
    PURPLE,
    QUIET,
    VERMILLION,
    house_style,
    new_figure,
)
from ssl_lib.utils.errors import InputError

Kind = Literal[
    "labelled", "unlabelled", "change", "student", "teacher", "frozen", "prediction", "loss"
]
Flow = Literal["gradient", "none", "average"]

COLUMN, ROW, BOX = 1.0, 0.62, (0.8, 0.4)
"""Distances of the grid and the size of a box, in units of the drawing."""

BOXES: Mapping[Kind, Mapping[str, Any]] = {
    "labelled": {"facecolor": "#e4f3ec", "edgecolor": GREEN, "linewidth": 1.6},
    "unlabelled": {"facecolor": "white", "edgecolor": GREEN, "linewidth": 1.6, "linestyle": "--"},
    "change": {"facecolor": "#f1f2f4", "edgecolor": "#f1f2f4"},
    "student": {"facecolor": "#dcebf7", "edgecolor": BLUE, "linewidth": 1.8},
    "teacher": {"facecolor": "white", "edgecolor": BLUE, "linewidth": 1.8, "linestyle": "--"},
    "frozen": {"facecolor": "white", "edgecolor": PURPLE, "linewidth": 1.8, "linestyle": ":"},
    "prediction": {"facecolor": "white", "edgecolor": "#c5cad0"},
    "loss": {"facecolor": "#fbe9df", "edgecolor": VERMILLION, "linewidth": 1.8},
}
KIND_WORDS: Mapping[Kind, str] = {
    "labelled": "labelled scan",
    "unlabelled": "unlabelled scan",
    "change": "operation",
    "student": "network that learns",
    "teacher": "teacher",
    "frozen": "frozen network",
    "prediction": "prediction",
    "loss": "loss",
}
FLOWS: Mapping[Flow, tuple[Any, str]] = {
    "gradient": ("-", "gradient flows back"),
    "none": ("--", "no gradient"),
    "average": (":", "average of weights"),
}


@dataclass(frozen=True)
class Box:
    """A box at (column, row) of the grid with its words; `\\n` ends a line."""

    column: float
    row: float
    kind: Kind
    words: str


@dataclass(frozen=True)
class Arrow:
    """From box to box; `bend` curves it, `flow` says what runs along it."""

    start: str
    end: str
    flow: Flow = "gradient"
    bend: float = 0.0


@dataclass(frozen=True)
class Diagram:
    """The boxes of one method by name, its arrows, and what it shows, for those who cannot see."""

    boxes: Mapping[str, Box]
    arrows: Sequence[Arrow]
    alt: str


def _paths(*chains: str, flow: Flow = "gradient") -> list[Arrow]:
    """Arrows along chains of names, such as "a b c"."""
    names = [chain.split() for chain in chains]
    return [Arrow(a, b, flow) for one in names for a, b in pairwise(one)]


_SCANS = {
    "labelled": Box(0, 0, "labelled", "labelled\nscan, label"),
    "unlabelled": Box(0, 2, "unlabelled", "unlabelled\nscan"),
}
_TEACHER = {
    "student": Box(2, 0.5, "student", "student"),
    "teacher": Box(2, 2, "teacher", "teacher"),
}

_FRAME = {
    **_SCANS,
    **_TEACHER,
    "strong": Box(1, 0, "change", "strong\naugmentation"),
    "harder": Box(1, 1, "change", "harder view,\nCutMix"),
    "easy": Box(1, 2, "change", "easy view"),
    "prediction": Box(3, 0.5, "prediction", "predictions"),
    "supervised": Box(4, 0, "loss", "supervised\nloss"),
}
_FRAME_ARROWS = [
    *_paths("labelled strong student prediction supervised", "unlabelled harder student"),
    *_paths("unlabelled easy", flow="none"),
    Arrow("student", "teacher", "average"),
]

_PAIR = {
    **_SCANS,
    "first": Box(2.2, 0.4, "student", "network 1"),
    "second": Box(2.2, 1.6, "student", "network 2"),
    "p1": Box(3.2, 0.4, "prediction", "classes 1"),
    "p2": Box(3.2, 1.6, "prediction", "classes 2"),
    "loss1": Box(4.3, 0, "loss", "label, and\nclasses 2"),
    "loss2": Box(4.3, 2, "loss", "label, and\nclasses 1"),
}
_PAIR_ARROWS = [
    *_paths("labelled one first p1 loss1", "labelled two second p2 loss2"),
    *_paths("unlabelled one", "unlabelled two"),
    Arrow("p1", "loss2", "none"),
    Arrow("p2", "loss1", "none"),
]

DIAGRAMS: Mapping[str, Diagram] = {
    "mean_teacher": Diagram(
        {
            **_FRAME,
            "pseudo": Box(3, 2, "prediction", "pseudo-label"),
            "consistency": Box(4, 1.4, "loss", "consistency\n× ramp"),
        },
        [
            *_FRAME_ARROWS,
            *_paths("easy teacher pseudo consistency", flow="none"),
            *_paths("prediction consistency"),
        ],
        "Mean teacher: labelled scans train the student by the supervised loss; the teacher, an"
        " average of the student, labels an easy view of unlabelled scans without gradient, and the"
        " student has to agree on a harder view.",
    ),
    "ua_mt": Diagram(
        {
            **_SCANS,
            "student": Box(1.2, 0.4, "student", "student"),
            "teacher": Box(1.2, 2, "teacher", "teacher"),
            "prediction": Box(2.3, 0.4, "prediction", "predictions"),
            "passes": Box(2.3, 2.4, "prediction", "8 dropout\npasses: μ"),
            "pseudo": Box(3.3, 1.35, "prediction", "pseudo-label"),
            "gate": Box(3.3, 2.4, "change", "entropy H,\ngate H < τ"),
            "supervised": Box(4.3, 0, "loss", "supervised\nloss"),
            "consistency": Box(4.3, 1.05, "loss", "consistency\nif H < τ"),
        },
        [
            *_paths("labelled student prediction supervised", "unlabelled student"),
            *_paths("prediction consistency"),
            *_paths("unlabelled teacher pseudo consistency", flow="none"),
            *_paths("teacher passes gate consistency", flow="none"),
            Arrow("student", "teacher", "average"),
        ],
        "UA-MT: a mean teacher that also predicts eight times with dropout; the student has to"
        " agree with it only in voxels where the entropy of the mean of these passes is small.",
    ),
    "dsaif_ablation": Diagram(
        {
            **_PAIR,
            "one": Box(1.1, 0.4, "change", "appearance 1"),
            "two": Box(1.1, 1.6, "change", "appearance 2"),
        },
        _PAIR_ARROWS,
        "Cross pseudo supervision: two networks see each scan in two appearances; each learns the"
        " labels, and on unlabelled scans the classes that the other one predicts.",
    ),
    "bcp": Diagram(
        {
            **_SCANS,
            "teacher": Box(1, 2, "teacher", "teacher"),
            "filter": Box(2, 2, "change", "largest\ncomponent"),
            "pseudo": Box(3, 2, "prediction", "pseudo-label"),
            "box": Box(1, 0.9, "change", "box M,\nboth ways"),
            "mixed": Box(2, 0.4, "prediction", "two mixtures"),
            "student": Box(3, 0.4, "student", "student"),
            "true": Box(4, 0, "loss", "loss on true\nvoxels"),
            "others": Box(4, 1.3, "loss", "α × loss on\npseudo-labels"),
        },
        [
            *_paths("labelled box mixed student true", "unlabelled box", "student others"),
            *_paths("unlabelled teacher filter pseudo others", flow="none"),
            Arrow("labelled", "true", "none", -0.2),
            Arrow("student", "teacher", "average"),
        ],
        "Bidirectional copy-paste: a labelled and an unlabelled scan exchange a box of voxels; the"
        " student is judged on true voxels by true labels and on the others by the teacher's"
        " filtered pseudo-labels.",
    ),
    "umct": Diagram(
        {
            **_SCANS,
            "first": Box(1.2, 0, "student", "view 1"),
            "second": Box(1.2, 1, "student", "view 2"),
            "third": Box(1.2, 2, "student", "view 3"),
            "p2": Box(2.3, 1, "prediction", "p₂, U₂ from\ndropout passes"),
            "p3": Box(2.3, 2, "prediction", "p₃, U₃ from\ndropout passes"),
            "fused": Box(3.3, 1.5, "change", "mean weighted\nby 1 / U"),
            "supervised": Box(4.3, 0, "loss", "supervised\nloss, view 1"),
            "cross": Box(4.3, 1.2, "loss", "λ × loss\nof view 1"),
        },
        [
            *_paths("labelled first supervised", "unlabelled first", "first cross"),
            *_paths("unlabelled second p2 fused cross", "unlabelled third p3 fused", flow="none"),
        ],
        "Uncertainty-aware co-training, from the side of view 1: the other views predict with"
        " dropout, their predictions are averaged with weights from their uncertainty, and view 1"
        " learns the result. Each view takes this place in turn.",
    ),
    "aau": Diagram(
        {
            **_SCANS,
            "student": Box(1.2, 0.4, "student", "student"),
            "teacher": Box(1.2, 2, "teacher", "teacher"),
            "prediction": Box(2.3, 0.7, "prediction", "predictions"),
            "pseudo": Box(2.3, 2, "prediction", "pseudo-label p"),
            "auto": Box(3.3, 2, "frozen", "autoencoder\nof label maps"),
            "weight": Box(4.3, 2, "change", "U = ‖p̂ − p‖²\nw = e^(−γU)"),
            "supervised": Box(4.3, 0, "loss", "supervised\nloss"),
            "consistency": Box(4.3, 1, "loss", "weighted\nconsistency"),
        },
        [
            *_paths("labelled student prediction supervised", "unlabelled student"),
            *_paths("prediction consistency"),
            *_paths("unlabelled teacher pseudo auto weight consistency", flow="none"),
            Arrow("pseudo", "consistency", "none", -0.18),
            Arrow("student", "teacher", "average"),
        ],
        "Anatomically aware uncertainty: a mean teacher whose consistency is weighted, voxel by"
        " voxel, by how far a frozen autoencoder of label maps moves the teacher's prediction.",
    ),
    "dsaif": Diagram(
        {
            **_PAIR,
            "one": Box(1.1, 0.4, "change", "Max-tree\nfilter"),
            "two": Box(1.1, 1.6, "change", "Min-tree\nfilter"),
        },
        _PAIR_ARROWS,
        "Structure-aware filtering: two networks see a Max-tree and a Min-tree filtered version of"
        " each scan; each learns the labels, and on unlabelled scans the other's classes.",
    ),
    "hard_labels": Diagram(
        {
            **_FRAME,
            "filter": Box(3, 2, "change", "largest\ncomponent"),
            "pseudo": Box(4, 2, "prediction", "hard label"),
            "loss": Box(4, 1, "loss", "loss on the\nview × ramp"),
        },
        [
            *_FRAME_ARROWS,
            *_paths("easy teacher filter pseudo loss", flow="none"),
            *_paths("prediction loss"),
        ],
        "Hard pseudo-labels: the teacher's likeliest class of each voxel, of each class only its"
        " largest connected component, is the label of the student's harder view.",
    ),
    "cw_bass": Diagram(
        {
            **_FRAME,
            "pseudo": Box(3, 2, "prediction", "hard label,\nconfidence c"),
            "weight": Box(4, 2, "change", "weight c,\nnone below T"),
            "loss": Box(4, 1, "loss", "weighted loss,\nborders twice"),
        },
        [
            *_FRAME_ARROWS,
            *_paths("easy teacher pseudo weight loss", flow="none"),
            *_paths("prediction loss"),
        ],
        "CW-BASS: each voxel of the hard pseudo-label counts by the teacher's confidence, none"
        " below a threshold, and voxels at borders once more.",
    ),
    "unimatch": Diagram(
        {
            **_FRAME,
            "harder": Box(1, 1, "change", "two harder\nviews"),
            "prediction": Box(3, 0, "prediction", "predictions"),
            "dropped": Box(3, 1, "prediction", "with features\ndropped"),
            "pseudo": Box(3, 2, "prediction", "hard label\nif c ≥ 0.95"),
            "loss": Box(4, 1, "loss", "mean of the\nlosses × ramp"),
        },
        [
            *_FRAME_ARROWS,
            *_paths("easy student", "student dropped loss", "prediction loss"),
            *_paths("easy teacher pseudo loss", flow="none"),
        ],
        "UniMatch: one confident hard pseudo-label of an easy view is the label of two harder"
        " views, and of the easy view whose features are partly dropped.",
    ),
    "tracoco": Diagram(
        {
            **_FRAME,
            "harder": Box(1, 1, "change", "harder view,\ncrops A and B"),
            "pseudo": Box(3, 2, "prediction", "hard label,\nconfidence c"),
            "overlap": Box(4, 1, "loss", "KL where A\nand B overlap"),
            "loss": Box(4, 2, "loss", "weighted loss\nof A and of B"),
        },
        [
            *_FRAME_ARROWS,
            *_paths("easy teacher pseudo loss", flow="none"),
            *_paths("prediction overlap", "prediction loss"),
        ],
        "TraCoCo: the student predicts two overlapping crops of one harder view; where they overlap"
        " the predictions must agree, and both learn the teacher's confident hard labels.",
    ),
    "adawac": Diagram(
        {
            **_FRAME,
            "pseudo": Box(3, 2, "prediction", "hard label,\nprobabilities"),
            "loss": Box(4, 1, "loss", "w × ℓ +\n(1 − w) × d"),
            "weight": Box(4, 2, "change", "w per patch\nfrom ℓ − d"),
        },
        [
            *_FRAME_ARROWS,
            *_paths("easy teacher pseudo weight loss", flow="none"),
            *_paths("prediction loss"),
        ],
        "AdaWAC: for each patch a weight divides the loss between its hard pseudo-label and its"
        " distance to the teacher's probabilities; the larger of the two gets the larger weight.",
    ),
}


def diagram_of(method: str) -> Diagram:
    """The diagram of a method. Raises `InputError` for one without."""
    if method not in DIAGRAMS:
        raise InputError(f"{method!r} has no diagram", expected=f"one of {', '.join(DIAGRAMS)}")
    return DIAGRAMS[method]


def diagram_alt(method: str) -> str:
    """What the diagram of a method shows, in words. Raises `InputError` for one without."""
    return diagram_of(method).alt


@house_style()
def method_diagram(method: str) -> Figure:
    """One update of a method as boxes and arrows. Raises `InputError` for one without a diagram."""
    diagram = diagram_of(method)
    rows = max(box.row for box in diagram.boxes.values())
    bent = min(arrow.bend for arrow in diagram.arrows) < -0.19  # over the first row
    figure = new_figure(height=1.3 + 0.72 * rows + 0.5 * bent)
    axes = figure.subplots()
    for box in diagram.boxes.values():
        _draw_box(axes, box)
    for arrow in diagram.arrows:
        _draw_arrow(axes, diagram.boxes[arrow.start], diagram.boxes[arrow.end], arrow)
    right = max(box.column for box in diagram.boxes.values())
    axes.set_xlim(-0.5, right * COLUMN + 0.5)
    axes.set_ylim(-rows * ROW - 0.3, 0.75 if bent else 0.3)
    axes.axis("off")
    used = [flow for flow in FLOWS if any(arrow.flow == flow for arrow in diagram.arrows)]
    lines = [Line2D([], [], color=INK, linestyle=FLOWS[flow][0]) for flow in used]
    words = [FLOWS[flow][1] for flow in used]
    figure.legend(lines, words, loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def _draw_box(axes: Axes, box: Box) -> None:
    x, y = box.column * COLUMN, -box.row * ROW
    corner = (x - BOX[0] / 2, y - BOX[1] / 2)
    look = BOXES[box.kind]
    axes.add_patch(
        FancyBboxPatch(corner, *BOX, boxstyle="round,pad=0,rounding_size=0.06", zorder=3, **look)
    )
    words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5, "linespacing": 1.15}
    axes.text(x, y, box.words, zorder=4, color=INK, **words)


def _draw_arrow(axes: Axes, start: Box, end: Box, arrow: Arrow) -> None:
    first, last = _edges(start, end, upright=arrow.flow == "average")
    axes.add_patch(
        FancyArrowPatch(
            first,
            last,
            arrowstyle="-|>",
            mutation_scale=10,
            linestyle=FLOWS[arrow.flow][0],
            linewidth=1.3,
            color=INK if arrow.flow == "gradient" else QUIET,
            connectionstyle=f"arc3,rad={arrow.bend}",
            shrinkA=1,
            shrinkB=1,
        )
    )


def _edges(
    start: Box, end: Box, upright: bool = False
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves one box and meets the other: sides, or top and bottom if `upright` or
    in one column."""
    (x0, y0), (x1, y1) = ((box.column * COLUMN, -box.row * ROW) for box in (start, end))
    if upright or abs(x1 - x0) < BOX[0]:
        half = BOX[1] / 2 if y1 > y0 else -BOX[1] / 2
        return (x0, y0 + half), (x1, y1 - half)
    half = BOX[0] / 2 if x1 > x0 else -BOX[0] / 2
    return (x0 + half, y0), (x1 - half, y1)
