"""Charts of uncertainty: does it find errors, is it a probability, what does it take and cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import Interval
from ssl_lib.figures.style import (
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    QUIET,
    SKY,
    VERMILLION,
    house_style,
    new_figure,
    row_look,
)
from ssl_lib.methods import row_name

LOOKS = {
    "U": (PURPLE, "o", "-"),
    "entropy": (GREEN, "s", "--"),
    "1 − max p": (ORANGE, "^", "-."),
}
"""Colour, marker and line of each kind of uncertainty."""


@house_style()
def auroc_chart(table: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """One line a kind of error: the mean AUROC of each uncertainty with its interval over scans."""
    figure = new_figure(0.62 * len(table) + 1.1)
    ax = figure.subplots()
    for place, row in enumerate(table.values()):
        offsets = np.linspace(-0.22, 0.22, len(row))
        for offset, (name, found) in zip(offsets, row.items(), strict=True):
            if np.isnan(found.mean):
                continue
            colour, marker, _ = LOOKS[name]
            ax.plot([found.low, found.high], [place + offset] * 2, color=colour, linewidth=2.2)
            ax.plot(found.mean, place + offset, marker, color=colour, markersize=6)
            ax.annotate(
                f"{found.mean:.2f}",
                (max(found.mean, found.high if found.high > 0 else 0), place + offset),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
    ax.axvline(0.5, color=QUIET, linestyle="--", linewidth=1)
    ax.text(0.5, -0.62, " chance", fontsize=8, color=QUIET, va="center")
    ax.set_yticks(range(len(table)), list(table), color=INK, fontsize=9)
    ax.set(ylim=(len(table) - 0.5, -0.8), xlim=(None, 1.06), xlabel="AUROC, higher is better")
    ax.grid(axis="y", visible=False)
    figure.legend(handles=_look_handles(ax, solid=True), loc="outside lower center", ncols=3)
    return figure


@house_style()
def calibration_curves(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Left: how often voxels of an uncertainty are wrong. Right: errors without uncertain voxels.

    Each curve has `rate` and `count` for equal bins of the scaled uncertainty, and `left`, the
    share of all errors among the kept voxels when 0 to 100 % are dropped. Bins under 50 voxels are
    not drawn.
    """
    figure = new_figure(3.1)
    left, right = figure.subplots(1, 2)
    for name, curve in curves.items():
        colour, marker, line = LOOKS[name]
        rate, count = np.array(curve["rate"]), np.array(curve["count"])
        places = (np.arange(len(rate)) + 0.5) / len(rate)
        kept = count >= 50
        left.plot(places[kept], rate[kept], marker, color=colour, linestyle=line, markersize=4.5)
        share = np.linspace(0, 100, len(curve["left"]))
        right.plot(share, 100 * np.array(curve["left"]), color=colour, linestyle=line)
    left.plot([0, 1], [0, 1], color=FAINT, linewidth=1.4, zorder=0)
    right.plot([0, 100], [100, 0], color=QUIET, linestyle="--", linewidth=1)
    left.set(xlabel="uncertainty, scaled to its largest value", ylabel="share of wrong voxels")
    left.set(xlim=(0, 1), ylim=(0, 1))
    right.set(xlabel="most uncertain voxels dropped (%)", ylabel="errors left (%)")
    right.set(xlim=(0, 30), ylim=(0, 102))
    figure.legend(handles=_look_handles(left), loc="outside lower center", ncols=3)
    return figure


@house_style()
def repairs_by_maps(by_count: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Dice of held-out maps, damaged, repaired and redrawn clean, against the maps learnt from.

    `by_count` maps a number of label maps to one row for each seed.
    """
    figure = new_figure(2.9)
    ax = figure.subplots()
    counts = sorted(by_count, key=int)
    looks = {
        "clean": ("clean maps, redrawn", SKY, "^", "-."),
        "repaired": ("damaged maps, repaired", PURPLE, "o", "-"),
        "damaged": ("damaged maps", INK, "s", "--"),
    }
    for key, (name, colour, marker, line) in looks.items():
        values = [[row[key] for row in by_count[count]] for count in counts]
        numbers = [int(count) for count in counts]
        for number, scores in zip(numbers, values, strict=True):
            ax.plot([number] * len(scores), scores, marker, color=colour, alpha=0.35, markersize=4)
        means = [nan_mean(scores) for scores in values]
        ax.plot(numbers, means, marker, color=colour, linestyle=line, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks([int(count) for count in counts], list(counts))
    ax.minorticks_off()
    ax.set(xlabel="label maps learnt from", ylabel="Dice on validation maps")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@house_style()
def cost_bars(cases: Mapping[str, Mapping[str, Mapping[str, float]]], limit: float) -> Figure:
    """One panel a task: each step's cost relative to the mean teacher's, and what it adds.

    `cases` maps a task to steps with `relative` (median), `milliseconds` and `adds` (in words).
    """
    figure = new_figure(0.36 * max(map(len, cases.values())) + 1.5)
    axes = figure.subplots(1, len(cases), squeeze=False, sharey=True)[0]
    for ax, (task, steps) in zip(axes, cases.items(), strict=True):
        for place, (step, cost) in enumerate(steps.items()):
            ax.barh(place, cost["relative"], color=row_look(step)["color"], height=0.6)
            text = f"{cost['relative']:.2f} ({cost['milliseconds']:.0f} ms)"
            ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            offset = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
            right = max(cost["relative"], limit)  # beyond the dashed line, which no text crosses
            ax.annotate(text, (right, place), fontsize=8.5, bbox=ground, **offset)
        ax.axvline(limit, color=VERMILLION, linestyle="--", linewidth=1.2, zorder=0.5)
        ax.text(
            limit, -0.62, f" our aim: below {limit:g}", fontsize=8, color=VERMILLION, va="center"
        )
        most = max(limit, *(cost["relative"] for cost in steps.values()))
        ax.set(title=task, xlabel="cost of a step, mean teacher = 1", xlim=(0, 1.6 * most))
        ax.set_ylim(len(steps) - 0.5, -0.9)
        ax.grid(axis="y", visible=False)
    names = [f"{_short(step)}\n{cost['adds']}" for step, cost in next(iter(cases.values())).items()]
    axes[0].set_yticks(range(len(names)), names, color=INK, fontsize=8.5)
    return figure


def _short(step: str) -> str:
    """A row's abbreviation, if its name holds one."""
    name = row_name(step)
    return name.partition("(")[2].rstrip(")") or name


def _look_handles(ax: Axes, solid: bool = False) -> list:
    return [
        ax.plot([], [], marker, color=colour, linestyle="-" if solid else line, label=name)[0]
        for name, (colour, marker, line) in LOOKS.items()
    ]
