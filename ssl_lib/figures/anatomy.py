"""Pictures of anatomical doubt: label maps redrawn, doubt beside true errors, its trial, its cost.

Arrays are 2D pictures; `cut` a volume first. Wrong voxels are vermillion everywhere, doubt is shown
in cividis, and a map of doubt stands beside the true errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ssl_lib.figures.slices import class_legend, draw_scan, overlay
from ssl_lib.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    QUIET,
    SCALAR_MAP,
    SKY,
    VERMILLION,
    WIDTH,
    class_colour,
    house_style,
    new_figure,
    row_look,
)
from ssl_lib.metrics import nan_mean
from ssl_lib.results import row_name
from ssl_lib.statistics import Interval

Picture = Float[np.ndarray, "row column"]
LabelPicture = UInt8[np.ndarray, "row column"]
Redrawn = tuple[LabelPicture, LabelPicture, Picture]
"""A label map as shown to the autoencoder, as it came back, and U between the two."""

FRAME = 3.5
"""Width of a slider's frame in inches: many of them must fit on a page."""

LOOKS = {
    "U": (PURPLE, "o", "-"),
    "entropy": (GREEN, "s", "--"),
    "1 − max p": (ORANGE, "^", "-."),
}
"""Colour, marker and line of each kind of doubt."""


@house_style()
def label_maps(maps: Mapping[str, LabelPicture], class_names: Sequence[str]) -> Figure:
    """Label maps side by side under their names."""
    columns = len(maps)
    width = min(WIDTH, max(FRAME, 1.25 * columns))
    ratio = np.divide(*next(iter(maps.values())).shape)
    figure = new_figure(width / columns * ratio + 0.62, width)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for ax, (title, label) in zip(axes, maps.items(), strict=True):
        draw_map(ax, label)
        ax.set_title(title)
    _class_key(figure, class_names)
    return figure


@house_style()
def reconstructions(columns: Mapping[str, Redrawn], class_names: Sequence[str]) -> Figure:
    """One column a map: what the autoencoder is shown, what it returns, and U."""
    first = next(iter(columns.values()))[0]
    side = (WIDTH - 1.1) / len(columns)
    figure = new_figure(3 * side * np.divide(*first.shape) + 0.95)
    axes = figure.subplots(3, len(columns), squeeze=False)
    top = max(float(doubt.max()) for *_, doubt in columns.values())
    for column, (title, (shown, back, doubt)) in zip(axes.T, columns.items(), strict=True):
        draw_map(column[0], shown)
        draw_map(column[1], back)
        picture = draw_doubt(column[2], doubt, top)
        column[0].set_title(title)
    for ax, name in zip(axes[:, 0], ("shown", "returned", "U"), strict=True):
        ax.set_ylabel(name, fontweight="bold")
    bar = figure.colorbar(picture, ax=axes[2], shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    _class_key(figure, class_names)
    return figure


@house_style()
def defect_frame(
    shown: LabelPicture, back: LabelPicture, doubt: Picture, class_names: Sequence[str]
) -> Figure:
    """A painted label map, its projection and U on a fixed scale: a slider's frame."""
    figure = new_figure(FRAME / 3 * np.divide(*shown.shape) + 0.62, FRAME)
    axes = figure.subplots(1, 3)
    draw_map(axes[0], shown)
    draw_map(axes[1], back)
    draw_doubt(axes[2], doubt, 2.0)
    for ax, title in zip(axes, ("painted", "returned", "U (0 to 2)"), strict=True):
        ax.set_title(title)
    _class_key(figure, class_names)
    return figure


@house_style()
def doubt_panels(
    image: Picture,
    labels: Mapping[str, LabelPicture],
    wrong: Bool[np.ndarray, "row column"],
    scores: Mapping[str, Picture],
    class_names: Sequence[str],
) -> Figure:
    """A scan with label maps above; below, the true errors and every map of doubt beside them.

    Each doubt has its own scale, from 0 to its largest value here, which stands under it.
    """
    columns = max(1 + len(labels), 1 + len(scores))
    figure = new_figure(2 * (WIDTH / columns * np.divide(*image.shape) + 0.35) + 0.5)
    upper, lower = figure.subplots(2, columns, squeeze=False)
    for ax in (*upper[1 + len(labels) :], *lower[1 + len(scores) :]):
        ax.set_axis_off()
    draw_scan(upper[0], image)
    upper[0].set_title("scan")
    for ax, (title, label) in zip(upper[1:], labels.items(), strict=False):
        overlay(ax, image, label)
        ax.set_title(title)
    draw_errors(lower[0], wrong)
    lower[0].set_title("true errors")
    for ax, (title, values) in zip(lower[1:], scores.items(), strict=False):
        draw_doubt(ax, values, float(values.max()))
        ax.set_title(title)
        ax.set_xlabel(f"0 to {values.max():.2f}", fontsize=8.5)
    handles = [*class_legend(class_names), Patch(color=VERMILLION, label="wrong")]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


@house_style()
def most_doubted(
    score: Picture, wrong: Bool[np.ndarray, "row column"], share: float, kind: str
) -> Figure:
    """The true errors beside the most doubted voxels, `share` per cent of the picture.

    Found errors are blue, missed ones vermillion; right voxels that were doubted are grey.
    """
    count = max(1, round(share / 100 * score.size))
    chosen = np.zeros(score.size, bool)
    chosen[np.argsort(-score, axis=None, kind="stable")[:count]] = True
    chosen = chosen.reshape(score.shape)
    verdict = np.where(wrong, np.where(chosen, 1, 2), np.where(chosen, 3, 0))
    figure = new_figure(FRAME / 2 * np.divide(*score.shape) + 0.8, FRAME)
    left, right = figure.subplots(1, 2)
    draw_errors(left, wrong)
    left.set_title("true errors")
    colours = ("white", BLUE, VERMILLION, "#9aa1a9")
    right.imshow(verdict, cmap=ListedColormap(colours), vmin=0, vmax=3, interpolation="nearest")
    _bare(right)
    right.set_title(f"{share:g} % most doubted")
    found = (chosen & wrong).sum() / max(int(wrong.sum()), 1)
    right.set_xlabel(f"{kind}: {found:.0%} of errors found", fontsize=8.5)
    names = ("error found", "error missed", "right, doubted")
    handles = [Patch(color=c, label=n) for c, n in zip(colours[1:], names, strict=True)]
    options = {"ncols": 3, "handlelength": 1.2, "columnspacing": 1.0}
    figure.legend(handles=handles, loc="outside lower center", **options)
    return figure


@house_style()
def weight_frame(weight: Picture, wrong: Bool[np.ndarray, "row column"], gamma: float) -> Figure:
    """The true errors beside the weights, with the mean weight of right and wrong voxels."""
    figure = new_figure(FRAME / 2 * np.divide(*weight.shape) + 0.62, FRAME)
    left, right = figure.subplots(1, 2)
    draw_errors(left, wrong)
    left.set_title("true errors")
    picture = right.imshow(weight, cmap=SCALAR_MAP, vmin=0, vmax=1, interpolation="nearest")
    _bare(right)
    right.set_title(f"weight, γ = {gamma:g}")
    means = [nan_mean(weight[region]) for region in (~wrong, wrong)]
    right.set_xlabel("right {:.2f}, wrong {:.2f}".format(*means), fontsize=8.5)
    bar = figure.colorbar(picture, ax=right, shrink=0.8, pad=0.03, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    return figure


@house_style()
def auroc_chart(table: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """One line a kind of error: the mean AUROC of each doubt with its interval over scans."""
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
                color=colour,
            )
    ax.axvline(0.5, color=QUIET, linestyle="--", linewidth=1)
    ax.text(0.5, -0.62, " a coin", fontsize=8, color=QUIET, va="center")
    ax.set_yticks(range(len(table)), list(table), color=INK, fontsize=9)
    ax.set(ylim=(len(table) - 0.5, -0.8), xlim=(None, 1.06), xlabel="AUROC, higher is better")
    ax.grid(axis="y", visible=False)
    figure.legend(handles=_look_handles(ax), loc="outside lower center", ncols=3)
    return figure


@house_style()
def calibration_curves(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Left: how often voxels of a doubt are wrong. Right: errors left when doubted voxels go.

    Each curve has `rate` and `count` for equal bins of the scaled doubt, and `left`, the share of
    all errors among the kept voxels when 0 to 100 % are dropped. Bins under 50 voxels are left out.
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
    left.set(xlabel="doubt, scaled to its largest value", ylabel="share of wrong voxels")
    left.set(xlim=(0, 1), ylim=(0, 1))
    right.set(xlabel="most doubted voxels dropped (%)", ylabel="errors left (%)")
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
            ax.annotate(text, (cost["relative"], place), fontsize=8.5, bbox=ground, **offset)
        ax.axvline(limit, color=VERMILLION, linestyle="--", linewidth=1.2, zorder=0.5)
        ax.text(limit, -0.62, f" limit {limit:g}", fontsize=8, color=VERMILLION, va="center")
        most = max(cost["relative"] for cost in steps.values())
        ax.set(title=task, xlabel="cost of a step, mean teacher = 1", xlim=(0, 1.45 * most))
        ax.set_ylim(len(steps) - 0.5, -0.9)
        ax.grid(axis="y", visible=False)
    names = [f"{_short(step)}\n{cost['adds']}" for step, cost in next(iter(cases.values())).items()]
    axes[0].set_yticks(range(len(names)), names, color=INK, fontsize=8.5)
    return figure


def draw_map(ax: Axes, label: LabelPicture) -> None:
    """Classes filled in their colours on a pale ground."""
    top = max(int(label.max()), 1)
    colours = ["#eef0f2", *[class_colour(index) for index in range(1, top + 1)]]
    ax.imshow(label, cmap=ListedColormap(colours), vmin=0, vmax=top, interpolation="nearest")
    _bare(ax)


def draw_doubt(ax: Axes, values: Picture, top: float) -> object:
    """A map of doubt from 0 to `top`; returns the picture, for a colour bar."""
    picture = ax.imshow(
        values, cmap=SCALAR_MAP, vmin=0, vmax=max(top, 1e-6), interpolation="nearest"
    )
    _bare(ax)
    return picture


def draw_errors(ax: Axes, wrong: Bool[np.ndarray, "row column"]) -> None:
    """Wrong voxels on a pale ground."""
    colours = ListedColormap(["#eef0f2", VERMILLION])
    ax.imshow(wrong, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    _bare(ax)


def _class_key(figure: Figure, class_names: Sequence[str]) -> None:
    """The legend of the classes below a figure, in as many columns as fit its width."""
    longest = max(map(len, class_names[1:]), default=1)
    columns = max(1, int(figure.get_figwidth() / (0.4 + 0.07 * longest)))
    options = {"ncols": min(columns, 4), "handlelength": 1.2, "columnspacing": 1.0}
    figure.legend(handles=class_legend(class_names), loc="outside lower center", **options)


def _short(step: str) -> str:
    """A row's abbreviation, if its name holds one."""
    name = row_name(step)
    return name.partition("(")[2].rstrip(")") or name


def _look_handles(ax: Axes) -> list:
    return [
        ax.plot([], [], marker, color=colour, linestyle=line, label=name)[0]
        for name, (colour, marker, line) in LOOKS.items()
    ]


def _bare(ax: Axes) -> None:
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
