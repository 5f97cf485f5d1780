"""Figures of the comparison: differences with their region of no matter, cost, labels, seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, ScalarFormatter

from ssl_lib.data.published import counted_by
from ssl_lib.evaluation.decisions import (
    Choice,
    Comparison,
    chosen_looks,
    median_training,
    readings,
    seconds_of,
    selection_gain,
)
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.statistics import bootstrap_interval, scan_scores
from ssl_lib.figures.comparison import SCORE_NAMES
from ssl_lib.figures.style import (
    BLUE,
    FAINT,
    INK,
    PURPLE,
    QUIET,
    VERMILLION,
    house_style,
    marked,
    new_figure,
    row_look,
    row_marker,
    two_lines,
)
from ssl_lib.methods import row_name, row_words
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.words import signed

Results = Sequence[Mapping[str, Any]]
VERDICT_MARKERS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "?"}
LEVEL = 0.05
"""The level of the tests, after the correction for their number."""


@house_style()
def forest(
    comparisons: Sequence[Comparison],
    *,
    margin: float,
    score: str = "dice",
    names: Mapping[str, str] | None = None,
    results: Results = (),
) -> Figure:
    """One line a comparison: a dot for each seed, the mean with its 95 % interval, the verdict.

    The grey band is the region of practical equivalence, plus and minus `margin`. `names` are the
    lines and their names by row, default the rows compared; a row that is not says so, and lines
    keep their places from one cohort to the next. `results`, where the comparisons come from, mark
    those of a smoke run and know the unit of `score`; the axis of a distance says by how much it is
    reduced.
    """
    if not comparisons:
        raise InputError("there is nothing to compare", fix="run more rows or seeds first")
    names = names or {one.row: row_name(one.row) for one in comparisons}
    figure = new_figure(height=0.42 * len(names) + 1.5)
    ax, right = figure.subplots(1, 2, width_ratios=(1.7, 1), sharey=True)
    ax.axvspan(-margin, margin, color=FAINT, alpha=0.6, linewidth=0)
    ax.axvline(0, color=QUIET, linewidth=1)
    compared = {one.row: one for one in comparisons}
    for place, row in enumerate(names):
        said, colour = "not measured", QUIET
        if row in compared:
            _difference(ax, place, compared[row])
            said, colour = difference_text(compared[row]), INK
        right.text(0, place, said, va="center", fontsize=8.5, family="DejaVu Sans", color=colour)
    dots = "; dots: seeds" * any(one.interval.n_seeds > 1 for one in comparisons)
    words = gained_words(results, score)
    ax.set(xlabel=f"{words}, right is better{dots}", ylim=(len(names) - 0.5, -0.6))
    ax.locator_params(axis="x", nbins=5)
    ax.set_yticks(
        range(len(names)), [two_lines(name) for name in names.values()], color=INK, fontsize=8.5
    )
    ax.grid(axis="y", visible=False)
    right.set(xlim=(0, 1), xticks=[])
    right.set_axis_off()
    brackets = " [95 % interval]" * any(one.interval.known for one in comparisons)
    what = "reduced by" if score in DISTANCES else "difference"
    right.set_title(f"{what}{brackets}\ncorrected p, verdict", loc="left", fontsize=8.5)
    return marked(figure, results)


DISTANCES = ("hd95", "asd")
"""Scores of which less is better."""


def gained_words(results: Results, score: str) -> str:
    """What a positive difference in a score is called, with the unit where results tell it: a
    distance of a better row is smaller, so it is the reference minus the row."""
    if score not in DISTANCES:
        return f"difference in {SCORE_NAMES[score]}"
    rows = (row for run in results for row in run["rows"].values())
    unit = next((row["units"][score] for row in rows), "")
    return f"{SCORE_NAMES[score]} reduced by" + f" ({_plural(unit)})" * bool(unit)


def _plural(unit: str) -> str:
    return "voxels" if unit == "voxel" else unit


def difference_text(one: Comparison) -> str:
    """Mean, interval, corrected p and verdict of a comparison on two lines.

    The interval is of the mean, p asks about ranks: a gain that few scans carry is better or worse
    "on average".
    """
    gap = one.interval
    digits = 3 if abs(gap.mean) < 1 else 2
    interval = signed(gap.mean, digits)
    if gap.known:
        interval += f" [{signed(gap.low, digits)}, {signed(gap.high, digits)}]"
    p = "p < 0.001" if one.adjusted < 0.001 else f"p = {one.adjusted:.3f}"
    few = one.verdict in ("better", "worse") and one.adjusted >= LEVEL
    words = f"{one.verdict} on average" if few else one.verdict
    return f"{interval}\n{p}, {VERDICT_MARKERS[one.verdict]} {words}"


@house_style()
def dice_against_seconds(results: Results, rows: Sequence[str]) -> Figure:
    """Mean Dice of each row, with its interval, against the seconds of its fastest training, on a
    logarithmic axis: rows take from one to many times as long.

    Names stand beside the figure on lines of their own, so that they never overlap. A row of one
    seed says so where others have more.
    """
    figure = new_figure(height=3.6)
    ax, legend = figure.subplots(1, 2, width_ratios=(1.9, 1))
    found = {row: bootstrap_interval(scan_scores(results, row)) for row in rows}
    most = max(gap.n_seeds for gap in found.values())
    for row, gap in found.items():
        marker = row_marker(row)
        reach = [[max(0.0, gap.mean - gap.low)], [max(0.0, gap.high - gap.mean)]]
        look = {key: value for key, value in row_look(row).items() if key != "linestyle"}
        ax.errorbar(
            seconds_of(results, row),
            gap.mean,
            reach,
            marker=marker,
            capsize=3,
            markersize=8,
            **look,
        )
        name = two_lines(row_name(row)) + ", one seed" * (gap.n_seeds == 1 < most)
        legend.plot([], [], marker=marker, linestyle="", label=name, **look)
    ax.set(xlabel="seconds of training, warm-up included (logarithmic)")
    ax.set(ylabel="Dice, mean over test scans", xscale="log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.minorticks_off()
    ax.margins(x=0.1)
    legend.set_axis_off()
    legend.legend(loc="center left", fontsize=8)
    return marked(figure, results)


STEP = 0.012
"""How far apart the rows of one number of labels stand, as a share of the way to the next number: a
few pixels, so that a point is still read at its number."""


@house_style()
def dice_by_labels(
    results: Results, rows: Sequence[str], ceiling: str = "supervised_all"
) -> Figure:
    """Mean Dice of each row against the number of labelled scans; bars reach from the worst seed to
    the best. The row `ceiling`, which has all labels whatever their number, is a line across."""
    numbers = sorted({result["n_labelled"] for result in results})
    figure = new_figure(height=3.6)
    ax = figure.subplots()
    lines = [row for row in rows if row != ceiling]
    for place, row in enumerate(lines):
        seeds = [_seed_means([r for r in results if r["n_labelled"] == n], row) for n in numbers]
        there = [at for at, values in enumerate(seeds) if values]
        means = np.array([nan_mean(seeds[at]) for at in there])
        ends = np.array([[min(seeds[at]), max(seeds[at])] for at in there]).T
        shift = STEP * (place - (len(lines) - 1) / 2)
        ax.errorbar(np.array(there) + shift, means, np.abs(ends - means), linewidth=1.4,
                    elinewidth=1, marker=row_marker(row), markersize=6, label=row_name(row),
                    **row_look(row))  # fmt: skip
    if ceiling in rows:
        level = nan_mean([dice for n in numbers for dice in _seed_means(
            [r for r in results if r["n_labelled"] == n], ceiling)])  # fmt: skip
        colour = row_look(ceiling)["color"]
        ax.axhline(level, color=colour, linestyle="--", label=row_name(ceiling))
    units = sorted({counted_by(result["dataset"]) for result in results})
    words = f"labelled {' or '.join(units)}s; bars: worst to best seed"
    ax.set(xlabel=words, ylabel="Dice, mean over test scans")
    ax.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    ax.set_xlim(-0.3, len(numbers) - 0.7)
    named = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    order = sorted(named, key=lambda name: [row_name(row) for row in rows].index(name))
    figure.legend([named[name] for name in order], order, loc="outside lower center", ncols=2)
    return marked(figure, results)


READING_LOOKS = {
    "last weights": ("D", INK),
    "largest component": ("s", BLUE),
    "best on validation": ("o", PURPLE),
    "best on test (oracle)": ("x", VERMILLION),
}
"""Marker and colour of each reading of a row (see `ssl_lib.evaluation.decisions`)."""

CHOICES: dict[Choice, tuple[str, str, str]] = {
    "last": ("last weights", *READING_LOOKS["last weights"]),
    "validation_best": ("best on validation scans", *READING_LOOKS["best on validation"]),
    "test_best": ("best on the test scans", *READING_LOOKS["best on test (oracle)"]),
}


@house_style()
def reading_choice(results: Results, rows: Sequence[str], baselines: Sequence[str] = ()) -> Figure:
    """One line a row: its mean Dice over seeds and scans, read in each way; the oracle is named.

    `baselines` are rows whose last weights are drawn as vertical lines. Raises `InputError` if no
    row was read in more than one way.
    """
    found = {row: readings(results, row) for row in rows}
    found = {row: values for row, values in found.items() if len(values) > 1}
    if not found:
        raise InputError("no row was read in several ways", fix="train it at the profile evening")
    figure = new_figure(height=0.42 * len(found) + 1.5)
    ax = figure.subplots()
    for number, baseline in enumerate(baselines):
        level = readings(results, baseline).get("last weights")
        if level is not None:
            style = ("--", ":")[number % 2]
            ax.axvline(level, color=QUIET, linestyle=style, label=row_words(baseline))
    for place, values in enumerate(found.values()):
        ax.plot([min(values.values()), max(values.values())], [place] * 2, color=FAINT, linewidth=3)
    for reading, (marker, colour) in READING_LOOKS.items():
        there = [(v[reading], place) for place, v in enumerate(found.values()) if reading in v]
        if there:
            ax.plot(*zip(*there, strict=True), marker, color=colour, label=reading, markersize=7)
    names = [two_lines(row_name(row)) for row in found]
    ax.set_yticks(range(len(found)), names, color=INK, fontsize=8.5)
    ax.set(xlabel="Dice, mean over test scans and seeds", ylim=(len(found) - 0.5, -0.6))
    ax.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3)
    return marked(figure, results)


@house_style()
def checkpoint_choice(trainings: Sequence[Mapping[str, Any]]) -> Figure:
    """What choosing a checkpoint buys: the curves of the training with the median gain, and the
    gain for every row and seed.

    `trainings` are those of `watched_rows`, or of a file in `reports/selection/`; gains are over
    the last weights.
    """
    rows = list(dict.fromkeys(str(one["row"]) for one in trainings))
    figure = new_figure(height=max(3.4, 0.9 + 0.42 * len(rows)))
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    _watched(left, median_training(trainings))
    shifts: dict[Choice, float] = {"validation_best": -0.14, "test_best": 0.14}
    for kind, shift in shifts.items():
        words, marker, colour = CHOICES[kind]
        for place, row in enumerate(rows):
            gains = [selection_gain(one, kind) for one in trainings if one["row"] == row]
            label = words if place == 0 else None
            right.plot(gains, [place + shift] * len(gains), marker, color=colour,
                       label=label, markersize=7, alpha=0.8)  # fmt: skip
    right.axvline(0, color=QUIET, linewidth=1)
    names = [two_lines(row_name(row)) for row in rows]
    right.set_yticks(range(len(rows)), names, color=INK, fontsize=8.5)
    right.set(xlabel="Dice gained over\nthe last weights", ylim=(len(rows) - 0.5, -0.6))
    right.locator_params(axis="x", nbins=4)
    right.grid(axis="y", visible=False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _watched(ax: Axes, training: Mapping[str, Any]) -> None:
    """Test and validation Dice along one training, with the three checkpoints marked."""
    looks, test = training["iterations"], training["test"]
    ax.plot(looks, test, color=INK, linewidth=1.2, label="test scans")
    ax.plot(looks, training["validation"], color=QUIET, linestyle="--", label="validation scans")
    chosen = chosen_looks(training["validation"], test)
    for kind, (words, marker, colour) in CHOICES.items():
        at = chosen[kind]
        ax.plot(looks[at], test[at], marker, color=colour, markersize=9, label=words)
    ax.set(xlabel="iteration", ylabel="mean Dice")
    ax.set_title(f"{row_name(str(training['row']))}, seed {training['seed']}", fontsize=9)


def _seed_means(results: Results, row: str) -> list[float]:
    """The mean Dice of each seed of a row, empty where no run has it."""
    if not any(row in result["rows"] for result in results):
        return []
    return [nan_mean(seed) for seed in scan_scores(results, row).values]


def _difference(ax: Axes, place: int, one: Comparison) -> None:
    colour = row_look(one.row)["color"]
    ax.plot(one.by_seed, [place - 0.2] * len(one.by_seed), "o", color=colour, alpha=0.55)
    gap = one.interval
    ax.plot([gap.low, gap.high], [place + 0.1] * 2, color=INK, linewidth=2.4)
    ax.plot(gap.mean, place + 0.1, "D", color=INK, markersize=6.5, markeredgecolor="white")
