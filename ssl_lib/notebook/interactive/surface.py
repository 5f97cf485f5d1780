"""The surface of a predicted organ in 3D, coloured by its distance to the true surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from ssl_lib.data.cohort import Case, Cohort
from ssl_lib.evaluation.metrics import ClassScore, nan_mean, score_scan
from ssl_lib.figures.scans import prediction_grid
from ssl_lib.figures.style import show
from ssl_lib.figures.surfaces import (
    DIVERGING,
    Distances,
    Surface,
    signed_distances,
    surface_panels,
    surfaces_of,
)
from ssl_lib.methods import row_name
from ssl_lib.notebook.interactive.page import show_interactive
from ssl_lib.utils.errors import InputError

MOST_ROWS = 3
UNKNOWN = -32768  # the distance of a class that the truth does not have
FINE = 0.01  # of a distance, in the unit of the spacing
LIMITS = 20  # steps of the slider "farther than", from 0 to the end of the colours
STEPS = 1000  # of a place, from the middle to the farthest vertex

Label = UInt8[np.ndarray, "*space"]


def surface(
    cohort: Cohort,
    case: Case,
    truth: Label,
    predictions: Mapping[str, Label],
    *,
    alt: str,
) -> None:
    """Shows the surfaces of one scan's predictions, to be turned, beside each other or the truth.

    `predictions` holds a label map for each row, at most three; distances are in the unit of the
    cohort's spacing. 95HD, ASD and the shares of the surface are the library's, of all voxels of
    the surface; only the picture is coarser. A stack of slices that were segmented one by one is
    drawn with the steps between its slices. A scan of one slice has no surface: a sentence says so,
    and a picture of the slice is shown. Raises `InputError` for a wrong number of rows.
    """
    if not 1 <= len(predictions) <= MOST_ROWS:
        raise InputError(
            f"there are predictions of {len(predictions)} rows",
            expected=f"one to {MOST_ROWS}",
        )
    if truth.ndim < 3 or min(truth.shape) < 2:
        print("A surface needs a volume, and this scan is one slice: here it is, from above.")
        show(_from_above(cohort, case, truth, predictions), alt=alt)
        return
    shown = _Shown.of(cohort, case, truth, predictions)
    show_interactive(
        "surface",
        shown.data(),
        alt=alt,
        label="Surface in 3D",
        stored=shown.stored(),
        needs=["meshes"],
    )


@dataclass(frozen=True)
class _Row:
    """One label map: its surfaces, distances and scores by class; None where one is undefined."""

    surfaces: Sequence[Surface]
    distances: Sequence[Distances | None]
    scores: Sequence[ClassScore]

    def at_vertices(self) -> list[Float[np.ndarray, " vertex"]]:
        """The distance at every vertex, NaN where there is no true surface."""
        return [
            np.full(len(one.vertices), np.nan) if known is None else known.at(one.vertices)
            for one, known in zip(self.surfaces, self.distances, strict=True)
        ]


@dataclass(frozen=True)
class _Space:
    """Where a page has its middle, what one step of a place is, and the radius that it shows."""

    middle: Float[np.ndarray, "3"]
    scale: float
    radius: float


@dataclass(frozen=True)
class _Shown:
    """All that the page is told."""

    case_id: str
    names: Sequence[str]
    unit: str
    stack: bool
    stands: bool
    spacing: Sequence[float]
    step: float
    rows: Mapping[str, _Row]
    truth: Sequence[Surface]

    @classmethod
    def of(cls, cohort: Cohort, case: Case, truth: Label, maps: Mapping[str, Label]) -> _Shown:
        """Surfaces on one grid, and for each row the distances and scores of each class.

        Where the axes of the scan are known, surfaces lie along the patient's: x, y, z.
        """
        stack, count = cohort.dimensions == 2, cohort.n_classes
        order = [case.axes.index(name) for name in "xyz"] if case.axes else [0, 1, 2]
        sizes = [case.spacing[axis] for axis in order]
        labels = [truth, *maps.values()]
        found_surfaces, step = surfaces_of(labels, count, case.spacing, stack)
        true, *others = ([one.along(order) for one in parts] for parts in found_surfaces)
        solid = truth.transpose(order)
        rows = {
            key: _Row(
                surfaces,
                [
                    _distances(found.transpose(order) == k, solid == k, sizes)
                    for k in range(1, count)
                ],
                score_scan(found, truth, n_classes=count, spacing=case.spacing),
            )
            for (key, found), surfaces in zip(maps.items(), others, strict=True)
        }
        unit = "voxels" if cohort.spacing_unit == "voxel" else cohort.spacing_unit
        names = list(cohort.class_names)
        stands = not stack or bool(case.axes)
        return cls(case.case_id, names, unit, stack, stands, case.spacing, step, rows, true)

    @property
    def clip(self) -> float:
        """Where the colours end: all but the farthest twentieth lies within, in round numbers."""
        known = [one for row in self.rows.values() for one in row.distances if one is not None]
        far = np.concatenate([np.abs(one.signed) for one in known] or [np.ones(1)])
        return round_up(max(float(np.percentile(far, 95)), 2 * min(self.spacing)))

    def data(self) -> dict[str, Any]:
        """What `surface.js` reads."""
        space = self._space()
        return {
            "rows": [self._row(key, row, space) for key, row in self.rows.items()],
            "truth": [_part(one, space) for one in self.truth],
            "names": self.names,
            "map": list(DIVERGING),
            "unit": self.unit,
            "clip": self.clip,
            "limits": LIMITS,
            "near": min(round(min(self.spacing) / self.clip * LIMITS), LIMITS // 2),
            "scale": space.scale,
            "radius": space.radius,
            "fine": FINE,
            "stack": self.stack,
            "stands": self.stands,
            "note": self.note(),
        }

    def _row(self, key: str, row: _Row, space: _Space) -> dict[str, Any]:
        parts = zip(row.surfaces, row.at_vertices(), strict=True)
        numbers = zip(row.scores, row.distances, strict=True)
        return {
            "name": row_name(key),
            "parts": [_part(one, space, far) for one, far in parts],
            "classes": [_numbers(score, known, self.clip) for score, known in numbers],
            "mean": [
                _known(nan_mean([one.hd95 for one in row.scores])),
                _known(nan_mean([one.asd for one in row.scores])),
            ],
        }

    def _space(self) -> _Space:
        """The middle of the box around all surfaces, and how far they reach from there."""
        parts = [*self.truth, *(one for row in self.rows.values() for one in row.surfaces)]
        points = np.concatenate([one.vertices for one in parts])
        if not len(points):
            return _Space(np.zeros(3), 1.0, 1.0)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        away = np.linalg.norm(points - middle, axis=1)
        return _Space(middle, float(away.max()) / STEPS, float(np.percentile(away, 98)))

    def note(self) -> str:
        """What the colours and numbers are, and what is coarser than the scan."""
        steps = " Slices keep their steps: nothing is interpolated between them." * self.stack
        return (
            f"Scan {self.case_id}. Colours: the distance between voxel centres of predicted and "
            "true surface, the same scale in both pictures. 95HD looks both ways, ASD and shares "
            "from the prediction to the truth; they are of all voxels of the surface, and for all "
            f"classes 95HD and ASD are means. Surfaces are drawn on a grid of {self.step:.1f} "
            f"{self.unit} and slightly smoothed.{steps}"
        )

    def stored(self) -> Figure:
        """The same surfaces from one side, for pages without a script."""
        panels = {
            row_name(key): [
                (one, np.nan_to_num(far))
                for one, far in zip(row.surfaces, row.at_vertices(), strict=True)
            ]
            for key, row in self.rows.items()
        }
        return surface_panels(panels, self.clip, self.unit)


def _distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]
) -> Distances | None:
    """None if one of the two masks is empty."""
    if not prediction.any() or not truth.any():
        return None
    return signed_distances(prediction, truth, spacing)


def _part(one: Surface, space: _Space, far: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """A surface as it travels: numbers axis by axis, each as what it is more than the one before,
    which packs to two thirds of the size."""
    places = np.rint((one.vertices - space.middle) / space.scale).astype(int)
    parts = {"vertices": places, "triangles": one.triangles}
    found = {
        name: np.diff(array, axis=0, prepend=0).astype(np.int16).T.copy()
        for name, array in parts.items()
    }
    if far is not None:
        steps = np.rint(np.nan_to_num(far) / FINE).clip(-32767, 32767)
        found["distances"] = np.where(np.isnan(far), UNKNOWN, steps).astype(np.int16)
    return found


def _numbers(score: ClassScore, known: Distances | None, clip: float) -> dict[str, Any] | None:
    """95HD, ASD, how many voxels the surface has, and how many of them lie farther outside and
    inside than each limit of the slider."""
    if known is None:
        return None
    limits = np.arange(LIMITS + 1)[:, None] * clip / LIMITS + 1e-6
    return {
        "hd95": _known(score.hd95),
        "asd": _known(score.asd),
        "voxels": known.signed.size,
        "outside": (known.signed > limits).sum(axis=1).tolist(),
        "inside": (-known.signed > limits).sum(axis=1).tolist(),
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def round_up(value: float) -> float:
    """The next of 1, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    step = next(one for one in (1, 2, 3, 4, 5, 6, 8, 10) if one * power >= value - 1e-9)
    return float(round(step * power, 6))


def _from_above(
    cohort: Cohort, case: Case, truth: Label, predictions: Mapping[str, Label]
) -> Figure:
    maps = {key: {case.case_id: found} for key, found in predictions.items()}
    return prediction_grid([case], {case.case_id: truth}, maps, cohort.class_names)
