"""Pictures of co-training: what a view sees, how the views differ, and who teaches whom.

Every view has a colour. Where several views share a voxel their colours mix, and equal shares are
white. Arrays are 2D pictures unless a volume is said; `cut` a volume first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssl_lib.figures.slices import Slice, class_legend, draw_scan, overlay, shared_window
from ssl_lib.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    QUIET,
    SCALAR_MAP,
    SKY,
    VERMILLION,
    WIDTH,
    house_style,
    new_figure,
)
from ssl_lib.utils.words import percent

VIEW_COLOURS = (BLUE, VERMILLION, PURPLE, GREEN, ORANGE, SKY)
REACH = 12
"""Voxels shown on each side of the one whose influence is asked for."""
OF_SLICE = "wrong in this slice"
FRAME = 5.2
"""Width of a slider's frame in inches."""

Picture = Float[np.ndarray, "row column"]
LabelPicture = UInt8[np.ndarray, "row column"]
MaskPicture = Bool[np.ndarray, "row column"]
Shares = Float[np.ndarray, "view row column"]


@house_style()
def influence_maps(maps: Mapping[str, Float[np.ndarray, "*space"]], place: Sequence[int]) -> Figure:
    """One column a network, one row a cut through `place`: which voxels change what is predicted.

    `maps` holds gradient sizes over a volume or a picture. The scale is logarithmic, down to a
    ten-thousandth of the largest; black is exactly zero.
    """
    cuts = _cuts(place)
    figure = new_figure(height=len(cuts) * ((WIDTH - 1.8) / len(maps) + 0.1) + 0.3)
    axes = figure.subplots(len(cuts), len(maps), squeeze=False)
    for column, (title, volume) in zip(axes.T, maps.items(), strict=True):
        for ax, cut in zip(column, cuts, strict=True):
            picture = _around(cut, volume, place) / max(float(volume.max()), 1e-30)
            drawn = _influence(ax, picture)
        column[0].set_title(title)
    for ax, cut in zip(axes[:, 0], cuts, strict=True):
        if cut.axis is not None:
            ax.set_ylabel(f"cut across\naxis {cut.axis}")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("influence, logarithmic")
    bar.outline.set_visible(False)
    bar.set_ticks([-4, 0], labels=["little", "most"])
    return figure


@house_style()
def view_predictions(
    image: Picture,
    truth: LabelPicture,
    predictions: Mapping[str, LabelPicture],
    together: LabelPicture,
    class_names: Sequence[str],
) -> Figure:
    """Predictions of the views, of their average, where they differ and where the average is wrong.

    `together` is the prediction of the averaged views. Under each prediction stands its share of
    wrong voxels in the picture.
    """
    labels = np.stack(list(predictions.values()))
    columns = max(3, len(predictions))
    ratio = _ratio(image)
    figure = new_figure(height=2 * (WIDTH / columns * ratio + 0.45) + 0.4)
    axes = figure.subplots(2, columns, squeeze=False)
    for ax in axes.ravel():
        ax.set_axis_off()
    window = shared_window([image])
    for ax, (title, label) in zip(axes[0], predictions.items(), strict=False):
        overlay(ax, image, truth, label, window=window)
        _name(ax, title, f"{percent((label != truth).mean(), 1)} {OF_SLICE}")
    overlay(axes[1, 0], image, truth, together, window=window)
    _name(axes[1, 0], "averaged", f"{percent((together != truth).mean(), 1)} {OF_SLICE}")
    differ = (labels != labels[0]).any(axis=0)
    _mark(axes[1, 1], image, differ, BLUE)
    _name(axes[1, 1], "views disagree", f"in {percent(differ.mean(), 1)} of this slice")
    _mark(axes[1, 2], image, together != truth, VERMILLION)
    _name(axes[1, 2], "the average is wrong", _shared_part(together != truth, differ))
    handles = class_legend(class_names, kinds=("truth", "prediction"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


@house_style()
def uncertainty_maps(
    uncertainties: Mapping[str, Picture], errors: Mapping[str, MaskPicture]
) -> Figure:
    """The uncertainty of each view on one scale, and below it where that view is truly wrong."""
    ratio = _ratio(next(iter(uncertainties.values())))
    figure = new_figure(2 * ((WIDTH - 0.9) / len(uncertainties) * ratio + 0.45))
    axes = figure.subplots(2, len(uncertainties), squeeze=False)
    top = max(float(uncertainty.max()) for uncertainty in uncertainties.values())
    for column, (title, uncertainty) in zip(axes.T, uncertainties.items(), strict=True):
        drawn = _scalar(column[0], uncertainty, top)
        _name(column[0], f"U of {title}")
        _mark(column[1], None, errors[title], VERMILLION)
        _name(column[1], f"errors of {title}", f"{percent(errors[title].mean(), 1)} {OF_SLICE}")
    _scale(figure, drawn, axes[0].tolist(), top)
    return figure


@house_style()
def map_and_errors(
    title: str,
    values: Picture,
    errors: MaskPicture,
    *,
    top: float = 1.0,
    more: bool = False,
    names: Sequence[str] = (),
) -> Figure:
    """A scalar picture from 0 to `top` beside the true errors: a slider's frame.

    With `more` the scale says that its last colour also stands for larger values. `names` are what
    0 and `top` stand for in a picture of these two values only: then they replace the scale.
    """
    side = (FRAME - (0.2 if names else 0.8)) / 2
    figure = new_figure(side * _ratio(values) + 0.55 + 0.25 * bool(names), FRAME)
    left, right = figure.subplots(1, 2)
    drawn = _scalar(left, values, top)
    _name(left, title)
    _mark(right, None, errors, VERMILLION)
    _name(right, "true errors", f"{percent(errors.mean(), 1)} {OF_SLICE}")
    if names:
        colours = drawn.cmap([0.0, 1.0])
        keys = [Patch(color=c, label=name) for c, name in zip(colours, names, strict=True)]
        figure.legend(handles=keys, loc="outside lower center", ncols=2)
    else:
        _scale(figure, drawn, [left], top, "\nor more" if more else "")
    return figure


@house_style()
def kernel_comparison(kernels: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """For each kernel: Dice of single views and of their average, and how often views disagree.

    `kernels` maps a kernel's name to its runs, each with `views` (a Dice for each view),
    `averaged` and `disagreement` (a fraction of the voxels).
    """
    figure = new_figure(height=1.0 + 0.62 * len(kernels))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    for place, runs in enumerate(kernels.values()):
        for run in runs.values():
            dots = [[dice, place - 0.1] for dice in run["views"]]
            left.plot(*zip(*dots, strict=True), "o", color=QUIET, alpha=0.7)
            left.plot(run["averaged"], place + 0.16, "D", color=BLUE, markersize=7)
            right.plot(100 * run["disagreement"], place, "s", color=VERMILLION, markersize=7)
    left.set_yticks(range(len(kernels)), list(kernels), color=INK)
    left.set(xlabel="validation Dice", ylim=(len(kernels) - 0.5, -0.5))
    most = max(run["disagreement"] for runs in kernels.values() for run in runs.values())
    right.set(xlabel="voxels in which views differ (%)", xlim=(0, 115 * most))
    looks = (
        ("o", QUIET, "a view"),
        ("D", BLUE, "views averaged"),
        ("s", VERMILLION, "views differ"),
    )
    handles = [Line2D([], [], ls="", marker=m, color=c, label=words) for m, c, words in looks]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


@house_style()
def fusion_strip(
    shares: Shares,
    targets: Mapping[str, LabelPicture],
    image: Picture,
    truth: LabelPicture,
    class_names: Sequence[str],
    names: Sequence[str],
) -> Figure:
    """Whose word counts where, then one or more fused targets with their true errors.

    `shares` are the teaching views' weights, adding up to 1 at each voxel; `names` are theirs.
    """
    columns = 1 + len(targets)
    figure = new_figure(WIDTH / columns * _ratio(image) + 0.95)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    axes[0].imshow(mixed_colours(shares), interpolation="nearest")
    _name(axes[0], "weights", "white: equal")
    axes[0].spines[:].set(visible=True, color=QUIET)  # equal weights are a white picture
    window = shared_window([image])
    for ax, (title, label) in zip(axes[1:], targets.items(), strict=True):
        overlay(ax, image, truth, label, kind="pseudo-label", window=window)
        _name(ax, title, f"{percent((label != truth).mean(), 1)} {OF_SLICE}")
    views = zip(VIEW_COLOURS, names, strict=False)
    patches = [Patch(color=colour, label=name) for colour, name in views]
    handles = [*patches, *class_legend(class_names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def mixed_colours(shares: Shares) -> Float[np.ndarray, "row column 3"]:
    """Weights as colours: one view alone in its own, equal ones white, mixtures between.

    Views without any weight in the whole picture are left out: two equal speakers are white, too.
    """
    colours = np.array([to_rgb(colour) for colour in VIEW_COLOURS[: len(shares)]])
    speak = shares.reshape(len(shares), -1).max(axis=1) > 0
    beyond = np.where(speak[:, None, None], shares - shares[speak].min(axis=0), 0)
    return np.clip(1 - np.tensordot(beyond, 1 - colours, (0, 0)), 0, 1)


def _cuts(place: Sequence[int]) -> list[Slice]:
    if len(place) == 2:
        return [Slice(None)]
    return [Slice(axis, index) for axis, index in enumerate(place)]


def _around(cut: Slice, volume: Float[np.ndarray, "*space"], place: Sequence[int]) -> Picture:
    """The cut, no further than `REACH` voxels from the place; zeros outside the volume."""
    padded = np.pad(volume, REACH)
    inner = tuple(slice(index, index + 2 * REACH + 1) for index in place)
    centre = cut if cut.axis is None else Slice(cut.axis, REACH)
    return centre.of(padded[inner])


def _influence(ax: Axes, picture: Picture) -> AxesImage:
    shown = np.ma.masked_less_equal(picture, 0)
    ax.set_facecolor("black")
    drawn = ax.imshow(np.ma.log10(shown), SCALAR_MAP, vmin=-4, vmax=0, interpolation="nearest")
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return drawn


def _mark(ax: Axes, image: Picture | None, mask: MaskPicture, colour: str) -> None:
    """Marked voxels on the grey picture, or on a pale ground."""
    if image is None:
        ax.imshow(np.ones(mask.shape), cmap="gray", vmin=0, vmax=1.08)
    else:
        draw_scan(ax, image, None)
    marked = np.ma.masked_equal(mask.astype(np.uint8), 0)
    ax.imshow(marked, cmap=ListedColormap([colour]), interpolation="nearest")


def _scalar(ax: Axes, values: Picture, top: float) -> AxesImage:
    """Values from 0 to `top` in the scalar colours."""
    top = max(top, 1e-9)
    return ax.imshow(values, SCALAR_MAP, vmin=0, vmax=top, interpolation="nearest")


def _scale(
    figure: Figure, drawn: AxesImage, axes: list[Axes], top: float, beyond: str = ""
) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_ticks([0, max(top, 1e-9)], labels=["0", f"{top:.2g}{beyond}"])


def _ratio(picture: Picture) -> float:
    return picture.shape[0] / picture.shape[1]


def _name(ax: Axes, title: str, below: str = "") -> None:
    """A title, a line below, and nothing else around the picture."""
    ax.set_axis_on()
    ax.grid(False)
    ax.set(xticks=[], yticks=[], title=title)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(below, fontsize=8.5)


def _shared_part(errors: MaskPicture, differ: MaskPicture) -> str:
    """How much of the error lies where the views disagree."""
    if not errors.any():
        return "nowhere"
    return f"{percent((errors & differ).sum() / errors.sum())} of it where views disagree"
