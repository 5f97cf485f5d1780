"""Which row is better, and how sure we are: scores per scan, intervals, labels' worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssl_lib.data.published import counted_by
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import (
    Interval,
    ScanScores,
    bootstrap_interval,
    paired_difference,
    scan_scores,
)
from ssl_lib.figures.style import (
    BLUE,
    GREEN,
    INK,
    QUIET,
    SKY,
    VERMILLION,
    house_style,
    marked,
    new_figure,
    row_look,
    row_marker,
    two_lines,
)
from ssl_lib.figures.ticks import set_round_ticks
from ssl_lib.methods import ROW_NAMES, row_name, row_words
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.words import signed

MARKERS = "os^Dv<>P"
SCORE_NAMES = {"dice": "Dice", "jaccard": "Jaccard", "hd95": "95HD", "asd": "ASD"}


@house_style()
def row_comparison(
    results: Sequence[Mapping[str, Any]],
    *,
    score: str = "dice",
    reference: str = "supervised_strong",
    rows: Sequence[str] | None = None,
) -> Figure:
    """One line a row: every scan of every seed, the mean with its 95 % interval, the difference.

    The numbers at the right are the mean and below it the paired difference to `reference` with its
    95 % interval. Rows stand in the order of `ROW_NAMES` (unknown ones last) unless `rows`
    says otherwise. Scans without a score and empty predictions are counted, never hidden.
    """
    rows = list(rows or _ordered_rows(results))
    figure = new_figure(height=0.6 * len(rows) + 1.3)
    ax, right = figure.subplots(1, 2, width_ratios=(2.4, 1), sharey=True)
    everything = {row: scan_scores(results, row, score) for row in rows}
    intervals = {row: bootstrap_interval(one) for row, one in everything.items()}
    _points(ax, everything)
    for place, (row, interval) in enumerate(intervals.items()):
        _mean(ax, place, interval)
        right.text(
            0,
            place,
            _verdict(results, row, reference, score, interval),
            va="center",
            fontsize=8.5,
        )
    unit = next(r["rows"][rows[0]]["units"][score] for r in results if rows[0] in r["rows"])
    better = "higher" if score in ("dice", "jaccard") else "lower"
    quantity = SCORE_NAMES[score] + ("" if unit == "fraction" else f" ({unit})")
    ax.set(xlabel=f"{quantity} of each test scan, {better} is better", ylabel="")
    set_round_ticks(ax)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    names = [two_lines(row_name(row), 24) for row in rows]
    ax.set_yticks(range(len(rows)), names, color=INK, fontsize=9)
    ax.grid(axis="y", visible=False)
    right.set(xlim=(0, 1), xticks=[])
    right.set_axis_off()
    _seed_legend(figure, results, any(one.known for one in intervals.values()))
    title = fill(f"mean, and difference to {row_words(reference)}", 22)
    right.set_title(title, loc="left", fontsize=8.5)
    return marked(figure, results)


def row_message(
    results: Sequence[Mapping[str, Any]],
    *,
    reference: str = "supervised_strong",
    rows: Sequence[str] | None = None,
) -> str:
    """What `row_comparison` shows, in words: which row has the highest mean Dice, that with all
    labels left out, and its paired difference to `reference` with its 95 % interval."""
    shown = [row for row in rows or _ordered_rows(results) if row != "supervised_all"]
    means = {row: bootstrap_interval(scan_scores(results, row)).mean for row in shown}
    means = {row: mean for row, mean in means.items() if not math.isnan(mean)}
    each = "Dice of each test scan by row, with means and intervals."
    if not means:
        return each
    best = max(means, key=lambda row: means[row])
    of = "Of these rows, all labels aside, the highest mean is"
    if rows is None:
        of = "Without all labels the highest mean is"
    said = f"{of} {means[best]:.3f}, of “{row_name(best)}”"
    both = [run for run in results if {best, reference} <= set(run["rows"])]
    if best != reference and both:
        gap = bootstrap_interval(paired_difference(both, best, reference))
        between = f" [{signed(gap.low)}, {signed(gap.high)}]" if gap.known else ""
        said += f": {signed(gap.mean)}{between} against “{row_name(reference)}”"
    return f"{each} {said}."


@house_style()
def label_curve(
    points: Mapping[int, Sequence[float]],
    *,
    level: float | None = None,
    n_labelled: int | None = None,
    level_name: str = "Mean teacher",
    unit: str = "scan",
) -> Figure:
    """Supervised Dice against the number of labelled scans, and what a method's level is worth.

    `points` maps a number of labelled scans (or patients: `unit`) to the mean Dice of each seed.
    `level` is the method's mean Dice with `n_labelled` of them; the figure reads off how many
    labels supervised training needs for it (straight lines between points, logarithmic axis).
    """
    numbers = sorted(points)
    means = [nan_mean(points[number]) for number in numbers]
    figure = new_figure(height=3.1)
    ax = figure.subplots()
    import seaborn  # brings pandas along: only where it draws

    pairs = [(number, dice) for number in numbers for dice in points[number]]
    places, scores = map(list, zip(*pairs, strict=True))
    seaborn.scatterplot(x=places, y=scores, color=BLUE, alpha=0.35, s=28, linewidth=0, ax=ax)
    band = "; band: all seeds" * (len(pairs) > len(numbers))
    seaborn.lineplot(
        x=places, y=scores, errorbar=("pi", 100), color=BLUE, marker="o", markeredgewidth=0,
        label=f"Supervised{band}", ax=ax,
    )  # fmt: skip
    if level is not None and n_labelled is not None:
        _draw_level(ax, numbers, means, level, n_labelled, level_name, unit)
    ax.set_xscale("log")
    ax.set_xticks(numbers, [str(number) for number in numbers])
    ax.minorticks_off()
    ax.set(xlabel=f"labelled {unit}s (logarithmic)", ylabel="Dice, mean over test scans")
    ax.legend(loc="lower right")
    return figure


def worth_in_labels(numbers: Sequence[int], means: Sequence[float], level: float) -> float:
    """How many labelled scans supervised training needs to reach `level`.

    Read off straight lines between the points over the logarithm of the number: infinity if no
    point reaches it; the smallest number if the first one does already. NaN points are left out.
    """
    known = [(n, m) for n, m in zip(numbers, means, strict=True) if not math.isnan(m)]
    if not known:
        raise InputError("the label curve has no defined point")
    if known[0][1] >= level:
        return float(known[0][0])
    for (left, low), (right, high) in pairwise(known):
        if low < level <= high:
            share = (level - low) / (high - low)
            return float(np.exp(np.log(left) + share * (np.log(right) - np.log(left))))
    return math.inf


def _ordered_rows(results: Sequence[Mapping[str, Any]]) -> list[str]:
    found = dict.fromkeys(row for result in results for row in result["rows"])
    if not found:
        raise InputError(
            "there is no stored result to compare",
            fix="run a notebook first; it writes its scores to reports/results",
        )
    return [r for r in ROW_NAMES if r in found] + [r for r in found if r not in ROW_NAMES]


def _points(ax: Axes, everything: Mapping[str, ScanScores]) -> None:
    """One marker for each scan and seed of all rows, above the mean: the marker is that of the row
    in every figure, hollow for a method without its idea; the height tells the seed."""
    seeds = sorted({seed for scores in everything.values() for seed in scores.seeds})
    heights = np.linspace(-0.32, -0.08, len(seeds)) if len(seeds) > 1 else [-0.18]
    at = dict(zip(seeds, heights, strict=True))
    for place, (row, scores) in enumerate(everything.items()):
        look = row_look(row)
        for seed, values in zip(scores.seeds, scores.values, strict=True):
            ax.scatter(
                values,
                np.full(values.size, place + at[seed]),
                s=24,
                marker=row_marker(row),
                facecolors=look["markerfacecolor"],
                edgecolors=look["color"],
                linewidths=0.8,
                alpha=0.5,
            )


def _mean(ax: Axes, place: int, interval: Interval) -> None:
    ax.plot([interval.low, interval.high], [place + 0.14] * 2, color=INK, linewidth=2.6)
    ax.plot(interval.mean, place + 0.14, "D", color=INK, markersize=7, markeredgecolor="white")


def _seed_legend(figure: Figure, results: Sequence[Mapping[str, Any]], bars: bool) -> None:
    """What a small marker is, which height is which seed, and what the diamond is."""
    seeds = [str(seed) for seed in sorted({result["seed"] for result in results})]
    words = f"a test scan; seeds {', '.join(seeds)} from top to bottom"
    words = words if len(seeds) > 1 else f"a test scan, seed {seeds[0]}"
    scan = Line2D([], [], color=QUIET, linestyle="", markersize=5, marker="o", label=words)
    label = "mean, 95 % interval" if bars else "mean"
    mean = Line2D([], [], color=INK, marker="D", linewidth=2.6 * bars, label=label)
    figure.legend(handles=[scan, mean], loc="outside lower center", ncols=2)


def _verdict(
    results: Sequence[Mapping[str, Any]],
    row: str,
    reference: str,
    score: str,
    interval: Interval,
) -> str:
    """Mean, difference with interval, and what is undefined or empty, as text."""
    digits = 3 if score in ("dice", "jaccard") else 2
    lines = [f"{interval.mean:.{digits}f}"]
    scores = scan_scores(results, row, score)
    undefined = int(np.isnan(scores.values).sum())
    empty = sum(r["rows"][row]["empty_predictions"] for r in results if row in r["rows"])
    lines[0] += f"  ({undefined} undefined)" * bool(undefined) + f"  ({empty} empty)" * bool(empty)
    if row != reference and any(reference in result["rows"] for result in results):
        paired = paired_difference(results, row, reference, score)
        gap = bootstrap_interval(paired)
        low, high = (signed(end, digits) for end in (gap.low, gap.high))
        lines.append(signed(gap.mean, digits) + f" [{low}, {high}]" * gap.known)
    return "\n".join(lines)


def _draw_level(
    ax: Axes,
    numbers: Sequence[int],
    means: Sequence[float],
    level: float,
    n_labelled: int,
    name: str,
    unit: str,
) -> None:
    """The method's level, and the arrow down to the number of labels that it is worth."""
    worth = worth_in_labels(numbers, means, level)
    ax.plot(n_labelled, level, "D", color=SKY, markersize=8, markeredgecolor=INK, label=name)
    reached = math.isfinite(worth)
    end = worth if reached else numbers[-1]
    ax.plot([n_labelled, end], [level, level], color=SKY, linestyle="--")
    if reached:
        ax.vlines(worth, 0, level, color=SKY, linestyle=":")  # down to the axis
    text = (
        f"worth {worth:.0f} labelled {unit}{'s' * (round(worth) != 1)}"
        if reached
        else f"worth more than {numbers[-1]}"
    )
    if worth == numbers[0]:
        text = f"worth at most {numbers[0]}"
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    ax.annotate(
        text, (n_labelled, level), xytext=(0, 12), textcoords="offset points", color=INK,
        ha="center", bbox=ground, zorder=5,
    )  # fmt: skip
    low, high = min(*means, level), max(*means, level)
    room = 0.15 * max(high - low, 0.01)
    ax.set_ylim(low - room, high + room)


@house_style()
def gains_by_labels(
    results: Sequence[Mapping[str, Any]], pairs: Mapping[str, tuple[str, str]]
) -> Figure:
    """Paired differences in Dice against the number of labelled scans, with 95 % intervals.

    `pairs` maps what is compared, in words, to (row, reference). Every number of labelled scans
    for which a result has both rows of a pair gets a group of points; intervals are over test
    scans, seeds averaged.
    """
    met = {
        words: [r for r in results if all(row in r["rows"] for row in pair)]
        for words, pair in pairs.items()
    }
    numbers = sorted({result["n_labelled"] for runs in met.values() for result in runs})
    figure = new_figure(height=3.0)
    ax = figure.subplots()
    ax.axhline(0, color=QUIET, linewidth=1)
    for place, (words, pair) in enumerate(pairs.items()):
        shift = 0.06 * (place - (len(pairs) - 1) / 2)
        here = {n: [r for r in met[words] if r["n_labelled"] == n] for n in numbers}
        places = [number for number, runs in enumerate(here.values()) if runs]
        gaps = [
            bootstrap_interval(paired_difference(runs, *pair)) for runs in here.values() if runs
        ]
        means = np.array([gap.mean for gap in gaps])
        reach = np.abs(np.array([[gap.low, gap.high] for gap in gaps]).reshape(-1, 2).T - means)
        look: dict[str, Any] = {
            "color": (BLUE, VERMILLION, GREEN, INK)[place % 4],
            "marker": MARKERS[place],
        }
        ax.errorbar(
            np.array(places) + shift,
            means,
            reach,
            linestyle="",
            capsize=3,
            label=words,
            **look,
        )
    ax.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    units = sorted({counted_by(result["dataset"]) for result in results})
    ax.set(xlabel=f"labelled {' or '.join(units)}s", ylabel="gain in Dice")
    ax.set_xlim(-0.6, len(numbers) - 0.4)
    figure.legend(loc="outside lower center", ncols=2)
    return marked(figure, results)
