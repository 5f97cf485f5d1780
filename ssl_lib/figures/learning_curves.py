"""Validation Dice over updates: a panel for each row, seeds as a band, one level to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_lib.evaluation.learning_curves import LearningCurves, learning_curves
from ssl_lib.figures.style import (
    INK,
    NARROW,
    QUIET,
    house_style,
    marked,
    new_figure,
    row_look,
    two_lines,
)
from ssl_lib.methods import row_name, row_words
from ssl_lib.utils.errors import InputError

Results = Sequence[Mapping[str, Any]]


@house_style()
def learning_curve_panels(
    results: Results, rows: Sequence[str], *, reference: str = "supervised_strong"
) -> Figure:
    """One panel a row: the mean validation Dice over seeds, and a band from the worst seed to the
    best one; a row of one seed has no band and says so.

    Every panel has the curve of `reference` in grey, and its last mean as a dashed line. The axis
    of Dice begins where the curves are after a tenth of the updates. Rows without a stored curve
    are left out. Raises `InputError` if no row has one.
    """
    found = [curves for row in rows if (curves := learning_curves(results, row)) is not None]
    if not found:
        raise InputError("no row has a validation curve", fix="train a row first: make rows")
    behind = learning_curves(results, reference)
    lines = -(-len(found) // 2)
    figure = new_figure(height=1.7 * lines + 0.75, width=NARROW)
    axes = figure.subplots(lines, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, curves in zip(axes, found, strict=False):
        _panel(ax, curves, behind)
    for ax in axes[len(found) :]:
        ax.set_axis_off()
    for ax in axes[max(len(found) - 2, 0) : len(found)]:
        ax.tick_params(labelbottom=True)
    axes[0].set_ylim(bottom=_bottom(found))
    figure.supxlabel(_key(behind), fontsize=8.5, color=INK)
    figure.supylabel("validation Dice", fontsize=8.5, color=INK)
    return marked(figure, results)


def _panel(ax: Axes, curves: LearningCurves, behind: LearningCurves | None) -> None:
    """The curve of one row with its band, over that of the reference."""
    if behind is not None:
        if curves.row != behind.row:
            ax.plot(behind.updates, behind.mean, color=QUIET, linewidth=1.2)
        ax.axhline(behind.mean[-1], color=INK, linewidth=1, linestyle=(0, (4, 3)))
    import seaborn  # brings pandas along: only where it draws

    look = row_look(curves.row)
    seaborn.lineplot(
        x=[int(at) for _ in curves.seeds for at in curves.updates],
        y=curves.values.ravel().tolist(),
        errorbar=("pi", 100) if len(curves.seeds) > 1 else None,
        color=look["color"],
        linestyle=look["linestyle"],
        linewidth=2,
        err_kws={"alpha": 0.25, "linewidth": 0},
        ax=ax,
    )
    count = len(curves.seeds)
    seeds = f"{count} seeds" if count > 1 else "one seed, no band"
    ax.set_title(f"{two_lines(row_name(curves.row), 24)}\n", fontsize=9, loc="left", pad=2)
    ax.text(0, 1.03, seeds, transform=ax.transAxes, fontsize=8, color=QUIET, va="bottom")
    ax.set(xlabel="", ylabel="")
    ax.locator_params(axis="x", nbins=4)
    ax.locator_params(axis="y", nbins=5)
    ax.set_xlim(left=0)


def _bottom(found: Sequence[LearningCurves]) -> float:
    """Where the axis of Dice begins: at the lowest value after the first tenth of the updates."""
    late = [one.values[:, one.updates > 0.1 * one.updates[-1]] for one in found]
    lowest = min(float(np.nanmin(values)) for values in late if not np.isnan(values).all())
    return max(0.0, lowest - 0.05)


def _key(behind: LearningCurves | None) -> str:
    """What the axis is, and what stands behind every curve."""
    lines = ["updates, warm-up included", "line: mean over seeds; band: worst to best seed"]
    if behind is not None:
        name = row_words(behind.row)
        lines.append(f"grey: {name}; dashed: its last mean, {behind.mean[-1]:.3f}")
    return "\n".join(lines)
