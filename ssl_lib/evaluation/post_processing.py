"""Post-processing, chosen class by class on validation scans: the largest component or nothing.

The rule is nnU-Net's (F. Isensee et al., Nature Methods 18:203-211, 2021, "empirical
configuration"): of a class only its largest connected component is kept if that raises the mean
validation Dice of this class. Test scans have no say in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ssl_lib.evaluation.components import largest_components
from ssl_lib.evaluation.metrics import class_dice, nan_mean
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.words import counted

FEWEST_SCANS = 3
"""With fewer validation scans nothing is chosen: one scan would decide."""

LabelMap = UInt8[np.ndarray, "*space"]


@dataclass(frozen=True)
class PostProcessing:
    """Of which `classes` (1, 2, ...) only the largest component is kept, and on what evidence.

    `without` and `kept` are the mean validation Dice of each foreground class as predicted, and
    with the largest component alone; NaN where no scan has a score.
    """

    classes: tuple[int, ...]
    without: tuple[float, ...]
    kept: tuple[float, ...]
    n_scans: int

    def applied(self, predicted: Mapping[str, LabelMap]) -> dict[str, LabelMap]:
        """Label maps by case id after post-processing."""
        return {name: keep_largest(label, self.classes) for name, label in predicted.items()}

    def record(self, test_dice: float) -> dict[str, Any]:
        """For a result file and for an exported model: plain values, None for undefined Dice.

        `test_dice` is the mean over test scans and classes after post-processing.
        """
        return {
            "largest_component": list(self.classes),
            "validation_scans": self.n_scans,
            "validation_dice": {
                "without": [_or_none(dice) for dice in self.without],
                "with": [_or_none(dice) for dice in self.kept],
            },
            "test_dice": _or_none(test_dice),
        }


def choose_post_processing(
    predicted: Mapping[str, LabelMap], truths: Mapping[str, LabelMap], n_classes: int
) -> PostProcessing:
    """The classes whose mean validation Dice rises if only their largest component is kept.

    Both hold one label map for each validation scan by case id. With fewer than `FEWEST_SCANS`
    scans no class is chosen. Raises `InputError` if the two do not hold the same scans.
    """
    if predicted.keys() != truths.keys():
        raise InputError(
            f"{counted(len(predicted), 'prediction')} of validation scans and"
            f" {counted(len(truths), 'label map')}",
            expected="one of each for every scan",
        )
    everything = tuple(range(1, n_classes))
    without = _by_class(predicted, truths, n_classes)
    cleaned = {name: keep_largest(label, everything) for name, label in predicted.items()}
    kept = _by_class(cleaned, truths, n_classes)
    enough = len(truths) >= FEWEST_SCANS
    pairs = zip(everything, without, kept, strict=True)
    chosen = tuple(index for index, before, after in pairs if enough and after > before)
    return PostProcessing(chosen, without, kept, len(truths))


def keep_largest(label: LabelMap, classes: Sequence[int]) -> LabelMap:
    """The label map with only the largest component of each of `classes`; other classes stay.

    Components are those of `largest_components`, of the whole array. Removed voxels become 0.
    """
    if not classes:
        return label
    largest = largest_components(label, max(classes) + 1)
    removed = np.isin(label, list(classes)) & (largest != label)
    return np.where(removed, np.uint8(0), label)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _by_class(
    predicted: Mapping[str, LabelMap], truths: Mapping[str, LabelMap], n_classes: int
) -> tuple[float, ...]:
    """The mean Dice over scans of each foreground class."""
    table = [class_dice(predicted[name], truths[name], n_classes) for name in truths]
    return tuple(nan_mean([row[place] for row in table]) for place in range(n_classes - 1))
