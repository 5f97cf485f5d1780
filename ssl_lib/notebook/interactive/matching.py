"""A game with a score: which hidden defect has which training, by curves, snapshots, numbers?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from ssl_lib.data.cohort import Case
from ssl_lib.figures.scans import RIGHT, SURE_AND_WRONG, WRONG
from ssl_lib.figures.style import row_look
from ssl_lib.figures.training import running_median, training_curves
from ssl_lib.methods import row_name
from ssl_lib.notebook.interactive.page import class_colours, show_interactive
from ssl_lib.notebook.interactive.slices import ShownSlice, shown_slice
from ssl_lib.notebook.interactive.snapshots import Snapshots
from ssl_lib.utils.errors import InputError

SURE = 0.9
MOST_POINTS = 80


@runtime_checkable
class Defect(Protocol):
    """What the reader is to find, and what he is told: see `ssl_lib.notebook.museum.Exhibit`."""

    name: str
    sound: str
    broken: str
    hint: str
    because: str
    found_by: str


@runtime_checkable
class Trained(Protocol):
    """What is drawn of a training: its losses, its validation Dice, its snapshots."""

    history: Sequence[Mapping[str, float]]
    validation: Sequence[tuple[int, float]]
    snapshots: Snapshots


Scans = Mapping[str, tuple[Case, UInt8[np.ndarray, "*space"]]]


def matching(
    defects: Mapping[str, Defect],
    trainings: Mapping[str, Trained],
    scans: Scans,
    measured: Mapping[str, Mapping[str, str]],
    *,
    stage: int,
    alt: str,
) -> None:
    """Shows the trainings with a defect one by one; the reader says which defect each one has.

    `defects` maps letters to what is wrong. `trainings` holds the strong baseline, the sound
    training and one training a letter, by the names of their rows and in this order. `scans` has
    for each row but the first the scan that its snapshots show, and its truth; without any, there
    are no snapshots. `measured` has for each of those rows a few numbers as texts, by what they
    are. `stage` is the iteration after which unlabelled scans come in. Raises `InputError` if the
    trainings are not two more than the defects.
    """
    if len(trainings) != len(defects) + 2:
        raise InputError(
            f"{len(trainings)} trainings are given for {len(defects)} defects",
            expected="the strong baseline, the sound training, and one for each defect",
        )
    shown = {row: shown_slice(*scan) for row, scan in scans.items()}
    rows = [
        _row(row, one) | {"numbers": list(measured.get(row, {}).values())}
        | ({"snapshots": _slices(one.snapshots, shown[row], scans[row][1])} if row in scans else {})
        for row, one in trainings.items()
    ]  # fmt: skip
    words = [_words(letter, defect) for letter, defect in defects.items()]
    data = {
        "beside": rows[:2],
        "exhibits": [row | told for row, told in zip(rows[2:], words, strict=True)],
        "columns": list(next(iter(measured.values()))),
        "judged": [RIGHT, WRONG, SURE_AND_WRONG],
        "stage": stage,
    }
    first = training_curves(dict(list(trainings.items())[:3]))
    show_interactive("matching", data, alt=alt, label="Which defect is it?", stored=first)


def _words(letter: str, defect: Defect) -> dict[str, Any]:
    """The answer, the hint, and the changed line as it should be and as it is."""
    return {
        "letter": letter,
        "answer": defect.name,
        "hint": defect.hint,
        "because": defect.because,
        "lines": [defect.sound.strip(), defect.broken.strip()],
        "found": defect.found_by,
    }


def _row(row: str, training: Trained) -> dict[str, Any]:
    """Name, colour, and (iterations, values) of each loss, as a running median, and of the Dice."""
    terms = [key for entry in training.history for key in entry if key != "iteration"]
    curves = {f"loss: {term}": _loss(training, term) for term in dict.fromkeys(terms)}
    dice = np.array(training.validation, np.float64).reshape(-1, 2).T
    curves["validation Dice"] = dice.round(4).tolist()
    return {"name": row_name(row), "colour": row_look(row)["color"], "curves": curves}


def _loss(training: Trained, term: str) -> list[list[float]]:
    """Iterations and running median of a logged loss, at a few places in equal steps."""
    logged = [(entry["iteration"], entry[term]) for entry in training.history if term in entry]
    iterations, values = np.array(logged, np.float64).T
    places = np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int))
    median = running_median(values)[places]
    return [iterations[places].tolist(), [float(f"{value:.4g}") for value in median]]


def _slices(
    found: Snapshots, shown: ShownSlice, truth: UInt8[np.ndarray, "*space"]
) -> dict[str, Any]:
    """The slice of the scan; of each snapshot its classes, and where they are confident."""
    confidence = np.stack([shown.numbers(np.asarray(one["confidence"])) for one in found])
    return {
        **shown.data(truth),
        "iterations": [int(one["iteration"]) for one in found],
        "label": np.stack([shown.classes(np.asarray(one["label"])) for one in found]),
        "sure": (confidence >= SURE * 255).astype(np.uint8),
        "colours": class_colours(int(truth.max()) + 1),
    }
