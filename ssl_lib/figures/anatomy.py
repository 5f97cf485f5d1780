"""Pictures of anatomical uncertainty: label maps redrawn, and uncertainty beside the true errors.

Arrays are 2D pictures; `cut` a volume first. Wrong voxels are vermillion everywhere, uncertainty is
shown in cividis, and a map of uncertainty stands beside the true errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.figures.slices import class_legend, draw_scan, overlay
from ssl_lib.figures.style import (
    BLUE,
    SCALAR_MAP,
    VERMILLION,
    WIDTH,
    bare,
    class_colour,
    house_style,
    new_figure,
)
from ssl_lib.utils.words import percent

Picture = Float[np.ndarray, "row column"]
LabelPicture = UInt8[np.ndarray, "row column"]
Redrawn = tuple[LabelPicture, LabelPicture, Picture]
"""A label map as shown to the autoencoder, as it came back, and U between the two."""

GROUND = "#eef0f2"
"""Where there is no class and no error."""

FRAME = 3.5
"""Width of a slider's frame in inches: many of them must fit on a page."""


@house_style()
def label_maps(maps: Mapping[str, LabelPicture], class_names: Sequence[str]) -> Figure:
    """Label maps side by side under their names, cut to where one of them has an organ."""
    inner = _around_organ(list(maps.values()))
    maps = {title: label[inner] for title, label in maps.items()}
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
    """One column a map: what the autoencoder is shown, what it returns, and U, cut to where one of
    the maps has an organ."""
    top = max(float(uncertainty.max()) for *_, uncertainty in columns.values())
    inner = _around_organ([label for shown, back, _ in columns.values() for label in (shown, back)])
    columns = {
        title: (shown[inner], back[inner], uncertainty[inner])
        for title, (shown, back, uncertainty) in columns.items()
    }
    first = next(iter(columns.values()))[0]
    side = (WIDTH - 1.1) / len(columns)
    figure = new_figure(3 * side * np.divide(*first.shape) + 0.95)
    axes = figure.subplots(3, len(columns), squeeze=False)
    for column, (title, (shown, back, uncertainty)) in zip(axes.T, columns.items(), strict=True):
        draw_map(column[0], shown)
        draw_map(column[1], back)
        picture = draw_uncertainty(column[2], uncertainty, top)
        column[0].set_title(title)
    for ax, name in zip(axes[:, 0], ("shown", "returned", "U"), strict=True):
        ax.set_ylabel(name, fontweight="bold")
    bar = figure.colorbar(picture, ax=axes[2], shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    _class_key(figure, class_names)
    return figure


@house_style()
def uncertainty_panels(
    image: Picture,
    labels: Mapping[str, LabelPicture],
    wrong: Bool[np.ndarray, "row column"],
    scores: Mapping[str, Picture],
    class_names: Sequence[str],
) -> Figure:
    """A scan with label maps above; below, the true errors and every map of uncertainty.

    Each uncertainty has its own scale, from 0 to its largest value here, which stands under it.
    The legend takes the cell that is left empty below, if there is one.
    """
    columns = max(1 + len(labels), 1 + len(scores))
    below = 0.5 if columns == 1 + len(scores) else 0.2  # of the legend, or of the last words
    figure = new_figure(2 * (WIDTH / columns * np.divide(*image.shape) + 0.35) + below)
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
        draw_uncertainty(ax, values, float(values.max()))
        ax.set_title(title)
        ax.set_xlabel(f"dark 0, bright {values.max():.2f}", fontsize=8.5)
    handles = [*class_legend(class_names), Patch(color=VERMILLION, label="wrong")]
    if columns > 1 + len(scores):
        lower[-1].legend(handles=handles, loc="center", fontsize=8.5)
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


@house_style()
def most_uncertain(
    score: Picture, wrong: Bool[np.ndarray, "row column"], share: float, kind: str
) -> Figure:
    """The true errors beside the most uncertain voxels, `share` per cent of the picture.

    Found errors are blue, missed ones vermillion; right voxels that were uncertain are grey.
    """
    chosen = _highest(score, share)
    verdict = np.where(wrong, np.where(chosen, 1, 2), np.where(chosen, 3, 0))
    figure = new_figure(FRAME / 2 * np.divide(*score.shape) + 0.95, FRAME)
    left, right = figure.subplots(1, 2)
    draw_errors(left, wrong)
    left.set_title("true errors")
    colours = (GROUND, BLUE, VERMILLION, "#9aa1a9")
    right.imshow(verdict, cmap=ListedColormap(colours), vmin=0, vmax=3, interpolation="nearest")
    bare(right)
    right.set_title(f"{share:g} % most uncertain")
    found = errors_found(score, wrong, share)
    right.set_xlabel(f"{kind}:\n{percent(found)} of errors found", fontsize=8.5)
    names = ("error found", "error missed", "right, uncertain")
    handles = [Patch(color=c, label=n) for c, n in zip(colours[1:], names, strict=True)]
    options = {"ncols": 3, "handlelength": 1.2, "columnspacing": 1.0}
    figure.legend(handles=handles, loc="outside lower center", **options)
    return figure


def errors_found(score: Picture, wrong: Bool[np.ndarray, "row column"], share: float) -> float:
    """Which fraction of the errors lies in the most uncertain voxels, `share` per cent of all."""
    return float((_highest(score, share) & wrong).sum() / max(int(wrong.sum()), 1))


def _highest(score: Picture, share: float) -> Bool[np.ndarray, "row column"]:
    """True in the highest scores, `share` per cent of the picture, at least in one."""
    chosen = np.zeros(score.shape, bool)
    count = max(1, round(share / 100 * score.size))
    chosen.flat[np.argsort(-score, axis=None, kind="stable")[:count]] = True
    return chosen


@house_style()
def weight_frame(weight: Picture, wrong: Bool[np.ndarray, "row column"], gamma: float) -> Figure:
    """The true errors beside the weights, with the mean weight of right and wrong voxels."""
    figure = new_figure(FRAME / 2 * np.divide(*weight.shape) + 0.62, FRAME)
    left, right = figure.subplots(1, 2)
    draw_errors(left, wrong)
    left.set_title("true errors")
    picture = right.imshow(weight, cmap=SCALAR_MAP, vmin=0, vmax=1, interpolation="nearest")
    bare(right)
    right.set_title(f"weight, γ = {gamma:g}")
    means = [nan_mean(weight[region]) for region in (~wrong, wrong)]
    right.set_xlabel("right {:.2f}, wrong {:.2f}".format(*means), fontsize=8.5)
    beside = right.inset_axes((1.05, 0, 0.07, 1))  # as high as the map
    bar = figure.colorbar(picture, cax=beside, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    return figure


def draw_map(ax: Axes, label: LabelPicture) -> None:
    """Classes filled in their colours on a pale ground."""
    top = max(int(label.max()), 1)
    colours = [GROUND, *[class_colour(index) for index in range(1, top + 1)]]
    ax.imshow(label, cmap=ListedColormap(colours), vmin=0, vmax=top, interpolation="nearest")
    bare(ax)


def draw_uncertainty(ax: Axes, values: Picture, top: float) -> AxesImage:
    """A map of uncertainty from 0 to `top`; returns the picture, for a colour bar."""
    picture = ax.imshow(
        values, cmap=SCALAR_MAP, vmin=0, vmax=max(top, 1e-6), interpolation="nearest"
    )
    bare(ax)
    return picture


def draw_errors(ax: Axes, wrong: Bool[np.ndarray, "row column"]) -> None:
    """Wrong voxels on a pale ground."""
    colours = ListedColormap([GROUND, VERMILLION])
    ax.imshow(wrong, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    bare(ax)


def _around_organ(labels: Sequence[LabelPicture]) -> tuple[slice, slice]:
    """The part of the pictures that holds every organ, with a tenth of a side around it; all of
    them if there is none."""
    organ = np.any([label > 0 for label in labels], axis=0)
    parts = []
    for axis, side in enumerate(organ.shape):
        found = np.flatnonzero(organ.any(axis=1 - axis)) if organ.any() else np.array([0, side - 1])
        parts.append(slice(max(found[0] - side // 10, 0), found[-1] + side // 10 + 1))
    return parts[0], parts[1]


def _class_key(figure: Figure, class_names: Sequence[str]) -> None:
    """The legend of the classes below a figure, in as many columns as fit its width."""
    longest = max(map(len, class_names[1:]), default=1)
    columns = max(1, int(figure.get_figwidth() / (0.4 + 0.07 * longest)))
    options = {"ncols": min(columns, 4), "handlelength": 1.2, "columnspacing": 1.0}
    figure.legend(handles=class_legend(class_names), loc="outside lower center", **options)
