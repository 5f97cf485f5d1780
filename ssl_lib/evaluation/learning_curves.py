"""Validation Dice along a training, over the seeds of a row, and when it reaches a level.

A stored row holds the validation Dice at every look (`validation_curve`), warm-up included. Rows
that were scored once, averages of several networks for example, have no curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import Result


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """`values[seed, look]`: mean Dice of the validation scans after `updates[look]` updates."""

    row: str
    seeds: tuple[int, ...]
    updates: Int[np.ndarray, " look"]
    values: Float[np.ndarray, "seed look"]

    @property
    def mean(self) -> Float[np.ndarray, " look"]:
        """The mean over seeds at each look, NaN where no seed has a Dice."""
        return np.array([nan_mean(look) for look in self.values.T])

    def updates_to(self, level: float) -> int | None:
        """Updates at the first look at which the mean over seeds is at least `level`; None where
        it never is. The truth lies between this look and the one before it."""
        reached = np.flatnonzero(self.mean >= level)
        return int(self.updates[reached[0]]) if reached.size else None


def learning_curves(results: Sequence[Result], row: str) -> LearningCurves | None:
    """The curves of a row over its stored seeds, at the looks that all of them share.

    None where no run holds the row with at least two such looks. Of two runs with the same seed the
    first one counts.
    """
    curves: dict[int, dict[int, float]] = {}
    for result in results:
        points = result["rows"].get(row, {}).get("validation_curve") or []
        if points:
            known = {int(at): np.nan if dice is None else float(dice) for at, dice in points}
            curves.setdefault(result["seed"], known)
    if not curves:
        return None
    seeds = tuple(sorted(curves))
    shared = sorted(set.intersection(*(set(curve) for curve in curves.values())))
    if len(shared) < 2:
        return None
    values = [[curves[seed][at] for at in shared] for seed in seeds]
    return LearningCurves(row, seeds, np.array(shared), np.array(values, float))
