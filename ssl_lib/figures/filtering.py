"""Pictures of trees (1D signals), filtered scans (2D pictures), edges, and mistakes of two nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssl_lib.evaluation.statistics import bootstrap_interval
from ssl_lib.figures.copy_paste import FRAME
from ssl_lib.figures.slices import class_legend, draw_scan, overlay, shared_window
from ssl_lib.figures.style import (
    BLUE,
    FAINT,
    INK,
    QUIET,
    SCALAR_MAP,
    SKY,
    VERMILLION,
    WIDTH,
    YELLOW,
    house_style,
    new_figure,
    row_look,
    row_marker,
    two_lines,
)
from ssl_lib.methods import row_name
from ssl_lib.utils.words import counted, percent

MISTAKES = (YELLOW, BLUE, VERMILLION)
"""Wrong in the first network, in the second, in both: no colours of the first four classes."""
Picture = Float[np.ndarray, "row column"]
Steps = Integer[np.ndarray, "edge 4"]
"""Pairs of neighbours: row and column of the first, row and column of the second."""


@dataclass(frozen=True)
class SignalTree:
    """The nodes of a 1D signal's tree, root last: each covers `first` to `last` at its `level`."""

    first: Integer[np.ndarray, " node"]
    last: Integer[np.ndarray, " node"]
    level: Float[np.ndarray, " node"]
    parent: Integer[np.ndarray, " node"]
    removed: Bool[np.ndarray, " node"]


@house_style()
def signal_trees(
    signal: Float[np.ndarray, " point"],
    trees: Mapping[str, tuple[SignalTree, Float[np.ndarray, " point"]]],
) -> Figure:
    """One row a tree: the signal with its tree drawn on it, and the filtered signal.

    A node is a bar at its level, hung on its parent; the dashed ones, only children, go.
    """
    figure = new_figure(height=2.3 * len(trees) + 0.45)
    axes = figure.subplots(len(trees), 2, squeeze=False, sharey=True, sharex=True)
    for (left, right), (name, (tree, after)) in zip(axes, trees.items(), strict=True):
        _draw_signal(left, signal, FAINT)
        _draw_tree(left, tree)
        left.set(title=f"{name}: {counted(len(tree.level), 'node')}", ylabel="grey level")
        _draw_signal(right, signal, FAINT)
        right.stairs(after, np.arange(len(after) + 1) - 0.5, color=BLUE, linewidth=2, baseline=None)
        left_over = len(tree.level) - int(tree.removed.sum())
        right.set_title(f"filtered: {counted(left_over, 'node')} left")
    low, high = float(signal.min()), float(signal.max())
    edge = 0.08 * (high - low or 1.0)
    axes[0, 0].set_ylim(low - edge, high + edge)
    figure.legend(handles=_tree_legend(), loc="outside lower center", ncols=4)
    return figure


@house_style()
def filtered_views(
    image: Picture,
    filtered: Mapping[str, Picture],
    *,
    label: UInt8[np.ndarray, "row column"],
    class_names: Sequence[str],
) -> Figure:
    """The scan, with its organ below, beside its filtered versions and what each changed.

    Every picture has a grey window of its own: a filter moves the grey levels of a whole region,
    and what it leaves would be one shade in the scan's window.
    """
    columns = 1 + len(filtered)
    ratio = image.shape[0] / image.shape[1]
    figure = new_figure(height=2 * (WIDTH - 0.9) / columns * ratio + 0.95)
    axes = figure.subplots(2, columns)
    draw_scan(axes[0, 0], image)
    overlay(axes[1, 0], image, label, window=shared_window([image]))
    axes[0, 0].set_title("scan")
    axes[1, 0].set_title("the organ")
    span = float(np.ptp(image)) or 1.0
    changes = {name: 100 * np.abs(picture - image) / span for name, picture in filtered.items()}
    top = max(float(change.max()) for change in changes.values()) or 1.0
    for (above, below), (name, picture) in zip(axes[:, 1:].T, filtered.items(), strict=True):
        draw_scan(above, picture)
        above.set_title(name)
        shown = below.imshow(changes[name], cmap=SCALAR_MAP, vmin=0, vmax=top)
        below.set_axis_off()
        below.set_title("filled" if picture.mean() > image.mean() else "taken away")
    bar = figure.colorbar(shown, ax=axes, shrink=0.5, pad=0.02)
    bar.set_label("change, in % of the scan's range")
    bar.outline.set_visible(False)
    figure.legend(handles=class_legend(class_names), loc="outside lower center", ncols=4)
    return figure


@house_style()
def filter_frame(panels: Mapping[str, Picture]) -> Figure:
    """Pictures side by side, each in its own grey window."""
    first = next(iter(panels.values()))
    columns = len(panels)
    figure = new_figure(1.2 * FRAME / columns * first.shape[0] / first.shape[1] + 0.3, 1.2 * FRAME)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for ax, (title, picture) in zip(axes, panels.items(), strict=True):
        draw_scan(ax, picture)
        ax.images[0].set_interpolation("bilinear")
        ax.set_title(title)
    return figure


@house_style()
def surviving_edges(image: Picture, edges: Mapping[str, tuple[Steps, Steps]]) -> Figure:
    """One panel a filter: the pixel borders that it kept, over those that it erased."""
    ratio = image.shape[0] / image.shape[1]
    figure = new_figure(height=WIDTH / len(edges) * ratio + 0.75)
    axes = figure.subplots(1, len(edges), squeeze=False)[0]
    low, high = shared_window([image])
    for ax, (name, (kept, erased)) in zip(axes, edges.items(), strict=True):
        draw_scan(ax, image, (low, high + 0.8 * (high - low)))
        _draw_borders(ax, erased, VERMILLION, 0.9)
        _draw_borders(ax, kept, SKY, 1.5)
        share = len(kept) / max(len(kept) + len(erased), 1)
        ax.set_title(name)
        ax.set_xlabel(f"{percent(share)} of {len(kept) + len(erased)} edges kept", fontsize=8.5)
    handles = [
        Line2D([], [], color=SKY, linewidth=2.2, label="kept, where it was"),
        Line2D([], [], color=VERMILLION, linewidth=1.4, label="erased"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@house_style()
def versions_seen(seen: Sequence[Sequence[tuple[str, Picture]]]) -> Figure:
    """One row a network, one column a sample: what it sees, titled by the version's name."""
    columns, ratio = len(seen[0]), np.divide(*seen[0][0][1].shape)
    figure = new_figure(len(seen) * (5.4 / columns * ratio + 0.26) + 0.1, 6.2)
    axes = figure.subplots(len(seen), columns, squeeze=False)
    for number, (row, samples) in enumerate(zip(axes, seen, strict=True), start=1):
        for ax, (name, picture) in zip(row, samples, strict=True):
            draw_scan(ax, picture)
            ax.images[0].set_interpolation("bilinear")
            ax.set_title(name, fontsize=8.5)
        row[0].set_ylabel(f"network {number}", fontweight="bold")
    return figure


@house_style()
def error_maps(
    image: Picture,
    truth: UInt8[np.ndarray, "row column"],
    pairs: Mapping[str, tuple[UInt8[np.ndarray, "row column"], UInt8[np.ndarray, "row column"]]],
    overlaps: Mapping[str, float],
    class_names: Sequence[str],
) -> Figure:
    """One row a pair of networks: what each predicts, and where one or both of them are wrong.

    `pairs` maps a row to two label maps, `overlaps` to the Dice between their mistakes in the scan.
    """
    figure = new_figure(len(pairs) * (1.74 * image.shape[0] / image.shape[1] + 0.42) + 0.6, 5.6)
    axes = figure.subplots(len(pairs), 3, squeeze=False)
    window = shared_window([image])
    for row, (name, both) in zip(axes, pairs.items(), strict=True):
        row[0].set_ylabel(fill(pair_name(name), 18), fontsize=8.5)
        for number, (ax, label) in enumerate(zip(row, both, strict=False), start=1):
            overlay(ax, image, truth, label, window=window)
            ax.set_title(f"network {number}")
        _draw_mistakes(row[2], image, window, both[0] != truth, both[1] != truth)
        row[2].set_title("mistakes")
        row[2].set_xlabel(f"overlap {overlaps[name]:.2f}", fontsize=8.5)
    handles = [*class_legend(class_names, kinds=("truth", "prediction")), *_mistake_legend()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def pair_name(row: str) -> str:
    """A row's name without "averaged": here its two networks are looked at apart."""
    return row_name(row).removesuffix(", averaged")


@house_style()
def overlap_comparison(overlaps: Mapping[str, Float[np.ndarray, "seed scan"]]) -> Figure:
    """One line a pair of networks: overlap of their mistakes in every scan, mean and interval. Each
    pair has the marker of its row, hollow for an ablation, so that colour alone tells nothing; the
    mean stands at the right as a number.

    Below its name stands of how many seeds it is; a seed without any number does not count.
    """
    figure = new_figure(height=0.62 * len(overlaps) + 1.0)
    ax = figure.subplots()
    known = {row: values[~np.isnan(values).all(axis=1)] for row, values in overlaps.items()}
    for place, (row, values) in enumerate(known.items()):
        jitter = np.linspace(-0.22, 0.22, values.shape[0] + 2)[1:-1, None]
        places = np.broadcast_to(place + jitter, values.shape)
        look = {key: row_look(row)[key] for key in ("color", "markerfacecolor")}
        look |= {"marker": row_marker(row), "markersize": 4.5, "linestyle": "none"}
        ax.plot(values.ravel(), places.ravel(), alpha=0.45, **look)
        found = bootstrap_interval(values)
        ax.plot([found.low, found.high], [place, place], color=INK, linewidth=2.4)
        ax.plot(found.mean, place, "D", color=INK, markersize=7)
        ax.text(1.01, place, f"{found.mean:.3f}", transform=ax.get_yaxis_transform(),
                va="center", fontsize=8.5)  # fmt: skip
    names = [
        f"{two_lines(pair_name(row))}\n{counted(len(values), 'seed')}"
        for row, values in known.items()
    ]
    ax.set_yticks(range(len(overlaps)), names, color=INK, fontsize=9)
    ax.set(xlabel="overlap of the two networks' mistakes in each test scan, lower is better")
    ax.set_ylim(len(overlaps) - 0.5, -0.6)
    ax.set_title("mean", x=1.01, ha="left", fontsize=8.5)
    ax.grid(axis="y", visible=False)
    return figure


def _draw_signal(ax: Axes, signal: Float[np.ndarray, " point"], colour: str) -> None:
    edges = np.arange(len(signal) + 1) - 0.5
    ax.stairs(signal, edges, color=colour, fill=True, baseline=float(signal.min()))
    ax.set_xticks([])


def _draw_tree(ax: Axes, tree: SignalTree) -> None:
    """Bars over what each node covers, threads from the middle of a node to its parent's level."""
    middles = (tree.first + tree.last) / 2
    for middle, level, parent in zip(middles, tree.level, tree.parent, strict=True):
        ax.plot([middle, middle], [level, tree.level[parent]], color=QUIET, linewidth=0.9)
    bars = zip(tree.first, tree.last, middles, tree.level, tree.removed, strict=True)
    for first, last, middle, level, removed in bars:
        colour, line = (VERMILLION, (0, (2, 1))) if removed else (INK, "-")
        ax.plot([first - 0.35, last + 0.35], [level] * 2, color=colour, ls=line, linewidth=2.2)
        face = "white" if removed else INK
        ax.plot(middle, level, "o", markersize=5.5, mfc=face, mec=colour, mew=1.4)


def _tree_legend() -> list[Line2D | Patch]:
    look: dict[str, Any] = {"marker": "o", "linewidth": 2.2, "markersize": 5.5}
    gone: dict[str, Any] = {
        "color": VERMILLION,
        "linestyle": (0, (2, 1)),
        "markerfacecolor": "white",
    }
    return [
        Patch(color=FAINT, label="signal"),
        Line2D([], [], color=INK, label="node", **look),
        Line2D([], [], label="only child: removed", **gone, **look),
        Line2D([], [], color=BLUE, linewidth=2, label="filtered signal"),
    ]


def _draw_borders(ax: Axes, steps: Steps, colour: str, width: float) -> None:
    """The border between two neighbours: the side that they share, drawn as a line."""
    middle = (steps[:, :2] + steps[:, 2:]) / 2
    across = steps[:, 2:] - steps[:, :2]
    half = across[:, ::-1] / 2
    ends = np.stack([middle - half, middle + half], axis=1)[..., ::-1]
    ax.add_collection(LineCollection(list(ends), colors=colour, linewidths=width, capstyle="round"))


def _draw_mistakes(
    ax: Axes,
    image: Picture,
    window: tuple[float, float],
    first: Bool[np.ndarray, "row column"],
    second: Bool[np.ndarray, "row column"],
) -> None:
    """Voxels that one network, the other, or both get wrong."""
    draw_scan(ax, image, window)
    kinds = np.ma.masked_equal(first + 2 * second.astype(np.uint8), 0)
    ax.imshow(kinds, cmap=ListedColormap(MISTAKES), vmin=0.5, vmax=3.5, interpolation="nearest")


def _mistake_legend() -> list[Patch]:
    names = ("only network 1 wrong", "only network 2 wrong", "both wrong")
    return [Patch(color=c, label=name) for c, name in zip(MISTAKES, names, strict=True)]
