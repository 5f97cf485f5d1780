"""Dice, Jaccard, 95 % Hausdorff distance and average surface distance, one class at a time.

The distances follow the benchmark's definitions, which libraries disagree about:

* 95HD pools the surface distances of both directions and takes their 95th percentile. (Some
  libraries take the percentile per direction and then the larger one, which is larger, or smaller
  by no more than what lies between two neighbouring distances.)
* ASD is *directed*: the mean distance from the prediction's surface to the true surface. It is not
  symmetric: a prediction that misses half of the organ but stays on the other half's surface scores
  well. Published tables of this benchmark report this one, so do we; read it beside 95HD.

Beside others, on 200 pairs of masks (`tests/unit/test_metric_parity.py` checks every line):

* MedPy: all four scores are the same. A distance to an empty mask is an error there, NaN here.
* MONAI: Dice, Jaccard and (directed) ASD are the same, 95HD is the larger one of two directions.
  Without a truth its Dice is NaN, where an invented organ scores 0 here; without a prediction its
  ASD is infinite, where the scan is counted as empty here.
* surface-distance: Dice is the same. Its surfaces run through the corners of voxels and are
  weighted by area: the largest distances differ by at most the diagonal of a voxel.

A mask's surface is the set of its voxels with a face neighbour outside the mask; beyond the edge of
the scan is outside. Distances run between voxel centres. An axis of length 1 is left out: a single
slice is scored as the 2D mask that it is. An undefined score is NaN, never the best possible value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from ssl_lib.utils.errors import InputError

SCORES: tuple[str, ...] = ("dice", "jaccard", "hd95", "asd")
_NAN = float("nan")


@dataclass(frozen=True)
class ClassScore:
    """Scores of one foreground class in one scan; `hd95` and `asd` in the unit of the spacing.

    `empty_prediction`: the class is in the truth but nowhere in the prediction.
    """

    class_index: int
    dice: float
    jaccard: float
    hd95: float
    asd: float
    empty_prediction: bool = False


def score_scan(
    prediction: UInt8[np.ndarray, "*space"],
    truth: UInt8[np.ndarray, "*space"],
    *,
    n_classes: int,
    spacing: Sequence[float],
) -> list[ClassScore]:
    """One `ClassScore` for each foreground class 1 .. `n_classes` - 1.

    `spacing` is the distance between voxel centres along each axis, in mm (or 1 for voxels).
    Class absent from both maps: four NaN. Absent from one of them: Dice and Jaccard 0, distances
    NaN; only an empty prediction of a present class counts as `empty_prediction`.
    Raises `InputError` if the maps differ in shape, hold other values than classes, or the spacing
    does not fit them.
    """
    _check_maps(prediction, truth, n_classes)
    spacing = _check_spacing(spacing, prediction.ndim)
    kept = [axis for axis, length in enumerate(prediction.shape) if length > 1] or [0]
    dropped = tuple(axis for axis in range(prediction.ndim) if axis not in kept)
    prediction, truth = prediction.squeeze(dropped), truth.squeeze(dropped)
    spacing = tuple(spacing[axis] for axis in kept)
    return [
        score_class(prediction == index, truth == index, class_index=index, spacing=spacing)
        for index in range(1, n_classes)
    ]


def score_class(
    prediction: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    *,
    class_index: int = 1,
    spacing: Sequence[float],
) -> ClassScore:
    """The scores of one pair of masks; see `score_scan` for empty masks.

    Dice = 2 |P and T| / (|P| + |T|), Jaccard = |P and T| / |P or T|.
    """
    predicted, true = np.count_nonzero(prediction), np.count_nonzero(truth)
    if predicted == 0 and true == 0:
        return ClassScore(class_index, _NAN, _NAN, _NAN, _NAN)
    if predicted == 0 or true == 0:
        return ClassScore(class_index, 0.0, 0.0, _NAN, _NAN, empty_prediction=bool(predicted == 0))
    shared = np.count_nonzero(prediction & truth)
    to_truth, to_prediction = surface_distances(prediction, truth, spacing=spacing)
    return ClassScore(
        class_index,
        dice=2 * shared / (predicted + true),
        jaccard=shared / (predicted + true - shared),
        hd95=float(np.percentile(np.concatenate([to_truth, to_prediction]), 95)),
        asd=float(to_truth.mean()),
    )


def mean_dice(
    prediction: UInt8[np.ndarray, "*space"], truth: UInt8[np.ndarray, "*space"], n_classes: int
) -> float:
    """Mean Dice over the foreground classes, without distances: fast enough for every validation.

    A class absent from both maps is left out; NaN if all are.
    """
    return nan_mean(class_dice(prediction, truth, n_classes))


def class_dice(
    prediction: UInt8[np.ndarray, "*space"], truth: UInt8[np.ndarray, "*space"], n_classes: int
) -> list[float]:
    """Dice of each foreground class; NaN for a class that is absent from both maps."""
    scores = []
    for index in range(1, n_classes):
        predicted, true = prediction == index, truth == index
        total = np.count_nonzero(predicted) + np.count_nonzero(true)
        scores.append(2 * np.count_nonzero(predicted & true) / total if total else _NAN)
    return scores


def surface_distances(
    prediction: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    *,
    spacing: Sequence[float],
) -> tuple[Float[np.ndarray, " predicted_surface"], Float[np.ndarray, " true_surface"]]:
    """Distances from each surface voxel of one mask to the other's surface, in spacing units.

    First the prediction's surface to the true one, then the reverse. Both masks must hold a voxel.
    Work is done in the box around both masks: nothing outside it can change a distance.
    """
    box = ndimage.find_objects((prediction | truth).astype(np.uint8))[0]
    predicted_surface, true_surface = surface(prediction[box]), surface(truth[box])
    from_truth = ndimage.distance_transform_edt(~true_surface, sampling=spacing)
    from_prediction = ndimage.distance_transform_edt(~predicted_surface, sampling=spacing)
    return from_truth[predicted_surface], from_prediction[true_surface]


def surface(mask: Bool[np.ndarray, "*space"]) -> Bool[np.ndarray, "*space"]:
    """The voxels of `mask` with a face neighbour outside it (or beyond the array's edge)."""
    return mask & ~ndimage.binary_erosion(mask)


def summarise(per_case: Iterable[Mapping[str, Any]]) -> dict[str, float | int]:
    """Mean of each score over scans and classes without the NaN, and `empty_predictions`.

    `per_case` holds one mapping for each scan and class, with the four scores and
    `empty_prediction`. A score that is nowhere defined has the mean NaN.
    """
    rows = list(per_case)
    means = {score: nan_mean([row[score] for row in rows]) for score in SCORES}
    return {**means, "empty_predictions": sum(bool(row["empty_prediction"]) for row in rows)}


def nan_mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean of the defined values, NaN (without a warning) if there is none."""
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else _NAN


def _check_maps(prediction: np.ndarray, truth: np.ndarray, n_classes: int) -> None:
    if prediction.shape != truth.shape:
        raise InputError(
            f"the prediction has the shape {prediction.shape}, the truth {truth.shape}",
            expected="two label maps of one shape",
            fix="predict on the scan as it is stored, without resampling",
        )
    if prediction.size == 0:
        raise InputError(f"the label maps are empty, shape {prediction.shape}")
    for name, values in (("prediction", prediction), ("truth", truth)):
        if values.dtype.kind not in "ui":
            raise InputError(
                f"the {name} holds {values.dtype} values",
                expected="integer class numbers",
                fix="take the argmax of probabilities first",
            )
        if values.min() < 0 or values.max() >= n_classes:
            raise InputError(
                f"the {name} holds the values {values.min()} to {values.max()}",
                expected=f"class numbers 0 to {n_classes - 1}",
            )


def _check_spacing(spacing: Sequence[float], dimensions: int) -> tuple[float, ...]:
    values = tuple(float(step) for step in spacing)
    if len(values) != dimensions or not all(np.isfinite(step) and step > 0 for step in values):
        raise InputError(
            f"the spacing is {values}",
            expected=f"{dimensions} positive numbers, one for each axis of the label map",
        )
    return values
