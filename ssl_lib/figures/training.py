"""Curves over training: losses, validation, pseudo-labels, averages of weights, ramps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from ssl_lib.evaluation.components import count_components
from ssl_lib.evaluation.learning_curves import learning_curves
from ssl_lib.evaluation.watching import class_shares
from ssl_lib.figures.style import (
    FAINT,
    SCALAR_MAP,
    VERMILLION,
    WIDTH,
    house_style,
    new_figure,
    row_look,
    row_marker,
    shortened,
)
from ssl_lib.methods import row_name
from ssl_lib.utils.errors import InputError

History = Sequence[Mapping[str, float]]
RIM = 1.6
"""By how much the white rim of a line is wider than the line, in points."""


@house_style()
def training_curves(
    trainings: Mapping[str, Any], stored: Sequence[Mapping[str, Any]] = ()
) -> Figure:
    """One panel for each named loss term, and one for the validation Dice, against iterations.

    `trainings` maps a row name to an object with `history` (a mapping with `iteration` and the loss
    terms for each logged iteration) and `validation` (pairs of iteration and Dice). Losses are
    drawn faintly as logged and strongly as a running median. Later rows have thinner lines, so that
    one that coincides with another is seen on it. `stored` are results of several seeds: a band
    reaches from the worst seed of a row to the best one.
    """
    histories = {row: training.history for row, training in trainings.items()}
    looks = nested(list(trainings))
    terms = _terms(histories)
    columns = 2 if len(terms) == 3 else min(len(terms) + 1, 3)
    rows = -(-(len(terms) + 1) // columns)
    figure = new_figure(height=2.35 * rows + 0.3 * -(-len(trainings) // 3) + 0.1)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(terms) + 1 :]:
        ax.set_axis_off()
    for ax, term in zip(axes, terms, strict=False):
        for row, history in histories.items():
            _loss_line(ax, looks[row], history, term)
        ax.set(title=f"loss: {term}", xlabel="iteration")
        ax.set_ylim(bottom=0)
    last = axes[len(terms)]
    for row, training in trainings.items():
        points = np.array(training.validation, dtype=float).reshape(-1, 2)
        last.plot(*points.T, marker=row_marker(row), label=row_name(row), **looks[row])
    words = "\n(band: stored seeds)" * _bands(last, stored, looks)
    last.set(title="validation Dice", xlabel=f"iteration{words}")
    columns = len(trainings) if len(trainings) < 4 else 2
    figure.legend(handles=last.get_lines(), loc="outside lower center", ncols=columns)
    return figure


def validation_ends(trainings: Mapping[str, Any]) -> dict[str, float]:
    """The last validation Dice of each row that was validated."""
    return {row: one.validation[-1][1] for row, one in trainings.items() if len(one.validation)}


def nested(rows: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The look of each row, with lines and markers from thick (the first) to thin (the last, on
    top): where rows coincide, as in a warm-up that they share, all of them are seen. A row whose
    colour an earlier one has gets a white rim, so that the two stay apart where they cross."""
    thin = np.linspace(1, 0, len(rows)) if len(rows) > 1 else [0.4]
    looks: dict[str, dict[str, Any]] = {}
    for row, one in zip(rows, thin, strict=True):
        look = {**row_look(row), "linewidth": 1.2 + 2.2 * one, "markersize": 3 + 3.5 * one}
        if look["color"] in (other["color"] for other in looks.values()):
            look["path_effects"] = [
                withStroke(linewidth=look["linewidth"] + RIM, foreground="white")
            ]
        looks[row] = look
    return looks


def _bands(
    ax: Axes, stored: Sequence[Mapping[str, Any]], looks: Mapping[str, dict[str, Any]]
) -> bool:
    """From the worst stored seed of each row to the best one; False where no row has two."""
    found = [curves for row in looks if (curves := learning_curves(stored, row)) is not None]
    found = [curves for curves in found if len(curves.seeds) > 1]
    for curves in found:
        ends = np.fmin.reduce(curves.values), np.fmax.reduce(curves.values)
        colour = looks[curves.row]["color"]
        ax.fill_between(curves.updates, *ends, color=colour, alpha=0.15, linewidth=0)
    return bool(found)


@house_style()
def ema_toy(
    series: Float[np.ndarray, " step"], averages: Mapping[float, Float[np.ndarray, " step"]]
) -> Figure:
    """One noisy weight over training and its exponential moving average for several decays."""
    figure = new_figure(height=3.2)
    ax = figure.subplots()
    ax.plot(series, color=FAINT, linewidth=1.2, label="weight of the student")
    colours = _scalar_colours(len(averages))
    for (decay, average), colour in zip(averages.items(), colours, strict=True):
        memory = f", remembers about {1 / (1 - decay):.0f} steps" if decay < 1 else ""
        ax.plot(average, color=colour, linewidth=2.2, label=f"teacher, decay {decay:g}{memory}")
    ax.set(xlabel="iteration", ylabel="value of one weight")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@house_style()
def line_chart(
    positions: Float[np.ndarray, " point"],
    curves: Mapping[str, Float[np.ndarray, " point"]],
    *,
    x: str,
    y: str,
) -> Figure:
    """Lines over a common axis, one a name; `x` and `y` name the axes with their units."""
    figure = new_figure(height=2.8)
    ax = figure.subplots()
    colours = _scalar_colours(len(curves))
    for number, ((name, values), colour) in enumerate(zip(curves.items(), colours, strict=True)):
        ax.plot(
            positions, values, color=colour, linestyle=("-", "--", "-.")[number % 3], label=name
        )
    ax.set(xlabel=x, ylabel=y)
    figure.legend(loc="outside lower center", ncols=len(curves) if len(curves) < 4 else 2)
    return figure


@house_style()
def ramp_curve(
    curves: Mapping[str, Float[np.ndarray, " step"]],
    iterations: Float[np.ndarray, " step"] | None = None,
    mark: int | None = None,
    x: str = "iteration",
) -> Figure:
    """The weight of the consistency over training, one line a name where there are several; `mark`
    points at a step, and `x` names the axis."""
    figure = new_figure(height=2.6)
    ax = figure.subplots()
    colours = _scalar_colours(len(curves))
    for number, ((name, weights), colour) in enumerate(zip(curves.items(), colours, strict=True)):
        steps = np.arange(len(weights)) if iterations is None else iterations
        style = ("-", "--", "-.", ":")[number % 4]
        ax.plot(steps, weights, color=colour, linestyle=style, label=name)
    if mark is not None:
        ax.axvline(mark, color=VERMILLION, linewidth=1.2, linestyle="--")
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        ax.annotate(f"iteration {mark}", (mark, 0.5), xytext=(4, 0), **place)  # type: ignore[arg-type]
    ax.set(xlabel=x, ylabel="weight of the consistency", ylim=(0, None))
    if len(curves) > 1:
        ax.legend(loc="upper left")
    return figure


def _terms(histories: Mapping[str, History]) -> list[str]:
    """The loss terms of all rows in the order in which they first appear."""
    terms = [key for history in histories.values() for entry in history for key in entry]
    terms = [term for term in dict.fromkeys(terms) if term != "iteration"]
    if not terms:
        raise InputError("no training has a loss to show", expected="a history that is not empty")
    return terms


def _loss_line(ax: Axes, look: Mapping[str, Any], history: History, term: str) -> None:
    """One row's loss: faint as logged, strong as the median of a fifteenth of the run."""
    logged = [(entry["iteration"], entry[term]) for entry in history if term in entry]
    if not logged:
        return
    iterations, values = np.array(logged, dtype=float).T
    smooth = running_median(values)
    line = {key: value for key, value in look.items() if not key.startswith("marker")}
    ax.plot(iterations, values, color=look["color"], linewidth=0.6, alpha=0.15)
    ax.plot(iterations, smooth, **line)


def running_median(values: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """At each place the median of the fifteenth of the run around it."""
    half = max(1, len(values) // 30)
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return np.array([np.median(window) for window in windows])


def _scalar_colours(count: int) -> list[tuple[float, ...]]:
    """Ordered colours for ordered values, without the palest of the map."""
    return [matplotlib.colormaps[SCALAR_MAP](x) for x in np.linspace(0.05, 0.7, max(count, 1))]


@house_style()
def snapshot_signs(trainings: Mapping[str, Any], scan: str, n_classes: int) -> Figure:
    """The pseudo-label of one unlabelled scan, which the title names, over the iterations, one line
    a row, later ones thinner: left the share of foreground in %, right the number of connected
    components, all classes together.

    `trainings` maps a row to an object with `snapshots`, each with `iteration` and `label`.
    """
    figure = new_figure(height=3.0 + 0.2 * -(-len(trainings) // 2))
    figure.suptitle(shortened(f"Scan {scan}", WIDTH - 0.4, 10), fontsize=10)
    shares, parts = figure.subplots(1, 2)
    looks = nested(list(trainings))
    for row, training in trainings.items():
        steps = [snapshot["iteration"] for snapshot in training.snapshots]
        labels = [np.asarray(snapshot["label"]) for snapshot in training.snapshots]
        foreground = [100 * sum(class_shares(label, n_classes)) for label in labels]
        counts = [sum(count_components(label, n_classes)) for label in labels]
        look = {"marker": row_marker(row), **looks[row]}
        shares.plot(steps, foreground, label=row_name(row), **look)
        parts.plot(steps, counts, **look)
    shares.set(title="Foreground", xlabel="iteration", ylabel="% of all voxels")
    parts.set(title="Connected components", xlabel="iteration", ylabel="number")
    parts.yaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in (shares, parts):
        ax.set_ylim(bottom=0)
    figure.legend(handles=shares.get_lines(), loc="outside lower center", ncols=2)
    return figure
