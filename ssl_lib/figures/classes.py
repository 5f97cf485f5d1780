"""What each class gains: paired differences to one row, class by class, in Dice and in distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_lib.evaluation.classes import class_gain, classes_of, rows_beside
from ssl_lib.evaluation.statistics import Interval
from ssl_lib.figures.comparison import MARKERS, SCORE_NAMES
from ssl_lib.figures.style import (
    INK,
    NARROW,
    QUIET,
    class_colour,
    house_style,
    marked,
    new_figure,
    two_lines,
)
from ssl_lib.methods import row_name

Results = Sequence[Mapping[str, Any]]


@house_style()
def class_gain_chart(
    results: Results,
    rows: Sequence[str],
    names: Sequence[str],
    *,
    reference: str = "supervised_strong",
    scores: Sequence[str] = ("dice", "hd95"),
) -> Figure:
    """One line a row, in it a mark for each class: the mean paired gain over `reference` with its
    95 % interval over scans, a panel for each score; to the right is better.

    `names` are the classes by number, background first. Rows that never meet the reference in a run
    are left out. Raises `InputError` if none is left.
    """
    met = rows_beside(results, rows, reference)
    classes = classes_of(results)
    figure = new_figure(height=(0.34 + 0.15 * len(classes)) * len(met) + 1.1, width=NARROW)
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for ax, score in zip(axes, scores, strict=True):
        ax.axvline(0, color=QUIET, linewidth=1)
        for place in range(1, len(met), 2):
            ax.axhspan(place - 0.5, place + 0.5, color=INK, alpha=0.05, linewidth=0)
        for number, index in enumerate(classes):
            gains = [class_gain(results, row, reference, index, score) for row in met]
            shift = 0.64 * ((number + 0.5) / len(classes) - 0.5)
            _marks(ax, gains, shift, index, names[index])
        ax.set_xlabel(_quantity(results, met[0], score), fontsize=8.5)
        ax.locator_params(axis="x", nbins=4)
        ax.spines["left"].set_visible(False)
    names = [two_lines(row_name(row), 20) for row in met]
    axes[0].set_yticks(range(len(met)), names, color=INK, fontsize=8.5)
    for ax in axes:
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)
    axes[0].set_ylim(len(met) - 0.5, -0.5)
    axes[-1].set_zorder(-1)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(classes), 3))
    return marked(figure, results)


def _marks(ax: Axes, gains: Sequence[Interval], shift: float, index: int, name: str) -> None:
    """One class: a mark and its interval for each row."""
    means = np.array([gain.mean for gain in gains])
    ends = np.array([[gain.low, gain.high] for gain in gains]).T
    ax.errorbar(
        means,
        np.arange(len(means)) + shift,
        xerr=np.abs(ends - means),
        linestyle="",
        marker=MARKERS[(index - 1) % len(MARKERS)],
        markersize=6,
        color=class_colour(index),
        markeredgecolor=INK,
        markeredgewidth=0.6,
        elinewidth=2.2,
        label=name,
    )


def _quantity(results: Results, row: str, score: str) -> str:
    """The axis in words, with the unit."""
    unit = next(run["rows"][row]["units"][score] for run in results if row in run["rows"])
    if unit == "fraction":
        return f"{SCORE_NAMES[score]} gained"
    return f"{SCORE_NAMES[score]} reduced by ({'voxels' if unit == 'voxel' else unit})"
