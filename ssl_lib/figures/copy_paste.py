"""Pictures of copy-paste: the mixing strip, what a voxel weighs, component filter, feature density.

True labels are drawn solid, pseudo-labels hatched. Arrays are 2D pictures; `cut` a volume first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import gaussian_kde

from ssl_lib.figures.slices import class_legend, draw_scan, overlay, shared_window
from ssl_lib.figures.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    QUIET,
    SCALAR_MAP,
    VERMILLION,
    WIDTH,
    bare,
    class_colour,
    house_style,
    new_figure,
)
from ssl_lib.utils.words import percent

FRAME = 4.6
"""Width of a slider's frame in inches: many of them must fit on a page."""

FEWEST_VOXELS = 20
"""Below this a density is not estimated."""

Picture = Float[np.ndarray, "row column"]
LabelPicture = UInt8[np.ndarray, "row column"]
MaskPicture = Float[np.ndarray, "row column"]
Half = tuple[Picture, LabelPicture, bool]
"""An image, its label and whether that label is a pseudo-label."""


@house_style()
def mixing_strip(
    mixtures: Mapping[str, tuple[Half, Half, Picture]],
    mask: MaskPicture,
    class_names: Sequence[str],
) -> Figure:
    """One row a direction: the image that keeps its voxels, the one that gives, M, the mixture.

    `mixtures` maps a direction to (keeps, gives, mixed image). On the mixture lie the labels that
    are taught there: kept where M is 1, pasted where it is 0.
    """
    ratio = mask.shape[0] / mask.shape[1]
    figure = new_figure(height=len(mixtures) * (WIDTH / 4 * ratio + 0.32) + 0.5)
    axes = figure.subplots(len(mixtures), 4, squeeze=False)
    window = shared_window(half[0] for parts in mixtures.values() for half in parts[:2])
    for row, (direction, (keeps, gives, mixed)) in zip(axes, mixtures.items(), strict=True):
        for ax, (image, label, pseudo), role in zip(
            row, (keeps, gives), ("keeps", "gives"), strict=False
        ):
            draw_scan(ax, image, window)
            draw_label(ax, label, hatched=pseudo)
            ax.set_title(f"{'unlabelled' if pseudo else 'labelled'}, {role}")
        draw_mask(row[2], mask)
        row[2].set_title("mask M")
        row[2].set_xlabel("yellow: 1, kept; blue: 0, pasted", fontsize=8)
        draw_mosaic(row[3], mixed, keeps, gives, mask, window)
        row[3].set_title(f"{direction} mixture")
    figure.legend(handles=mixing_legend(class_names), loc="outside lower center", ncols=5)
    return figure


@house_style()
def mixture_frame(
    keeps: Half,
    gives: Half,
    mixed: Picture,
    mask: MaskPicture,
    prediction: LabelPicture,
    class_names: Sequence[str],
) -> Figure:
    """The mixture with what is taught on it, and what a network predicts: a slider's frame."""
    figure = new_figure(FRAME / 2 * mask.shape[0] / mask.shape[1] + 0.65, FRAME)
    left, right = figure.subplots(1, 2)
    window = shared_window([keeps[0], gives[0]])
    draw_mosaic(left, mixed, keeps, gives, mask, window)
    left.set_title(f"mixture ({percent(1 - float(mask.mean()))} pasted)")
    _backdrop(right, prediction.shape)
    draw_label(right, prediction)
    right.set_title("the network's prediction")
    handles = _by_rows(mixing_legend(class_names), 3)
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    _smooth(left)
    return figure


@house_style()
def weight_maps(
    maps: Mapping[str, MaskPicture],
    unit: str = "gradient at a voxel\n(1: mean without a box)",
) -> Figure:
    """Scalar pictures side by side with one colour scale from 0 to the largest value."""
    columns = len(maps)
    first = next(iter(maps.values()))
    figure = new_figure(height=(WIDTH - 0.9) / columns * first.shape[0] / first.shape[1] + 0.45)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    top = max(float(values.max()) for values in maps.values())
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        picture = ax.imshow(values, cmap=SCALAR_MAP, vmin=0, vmax=top, interpolation="nearest")
        bare(ax)
        ax.set_title(title)
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(unit)
    bar.outline.set_visible(False)
    bar.set_ticks([0, top / 2, top], labels=["0", f"{top / 2:.2g}", f"{top:.2g}"])
    return figure


@house_style()
def component_filter(
    image: Picture,
    stages: Mapping[str, LabelPicture],
    class_names: Sequence[str],
    truth: LabelPicture | None = None,
) -> Figure:
    """The truth, then the same pseudo-label in several stages; what a stage removed is marked.

    Removed voxels are those that are organ in the first stage and background now.
    """
    panels = len(stages) + (truth is not None)
    width = min(WIDTH, 2.5 * panels)
    figure = new_figure(width / panels * image.shape[0] / image.shape[1] + 0.85, width)
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    window = shared_window([image])
    if truth is not None:
        overlay(axes[0], image, truth, window=window)
        axes.pop(0).set_title("truth")
    raw = next(iter(stages.values()))
    for ax, (title, label) in zip(axes, stages.items(), strict=True):
        draw_scan(ax, image, window)
        draw_label(ax, label, hatched=True)
        removed = (raw > 0) & (label == 0)
        draw_region(ax, removed, VERMILLION, alpha=1)
        ax.set_title(title)
        if label is not raw:
            ax.set_xlabel(f"{int(removed.sum())} voxels removed", fontsize=8.5)
    *classes, _, pseudo = mixing_legend(class_names)
    handles = [*classes, pseudo, Patch(color=VERMILLION, label="removed")]
    columns = len(handles) if len(handles) < 5 else 3
    handles = _by_rows(handles, columns)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


@house_style()
def feature_density(
    features: Mapping[str, tuple[Float[np.ndarray, " voxel"], Float[np.ndarray, " voxel"]]],
) -> Figure:
    """One panel a network: density of a feature over labelled and over unlabelled voxels.

    `features` maps a title to (labelled, unlabelled). The shaded part is what both densities share:
    1 means that the network sees no difference. A network that found too few voxels is named.
    """
    import seaborn  # brings pandas along: only where it draws

    figure = new_figure(height=2.7)
    axes = figure.subplots(1, len(features), squeeze=False)[0]
    for ax, (title, (labelled, unlabelled)) in zip(axes, features.items(), strict=True):
        if min(len(labelled), len(unlabelled)) < FEWEST_VOXELS:
            ax.set(title=title, xticks=[], yticks=[], xlabel="found in too few voxels")
            continue
        places, first, second = densities(labelled, unlabelled)
        shared = np.minimum(first, second)
        ax.fill_between(places, shared, color=FAINT, label="shared")
        look = {"bw_method": "scott", "gridsize": len(places), "clip": (places[0], places[-1])}
        seaborn.kdeplot(x=labelled, color=BLUE, label="labelled scans", ax=ax, **look)
        seaborn.kdeplot(
            x=unlabelled, color=ORANGE, linestyle="--", label="unlabelled scans", ax=ax, **look
        )
        overlap = float(np.trapezoid(shared, places))
        ax.set(xlabel="mean of the last feature", ylabel="", yticks=[], ylim=(0, None))
        ax.set_title(f"{title}\nshared {overlap:.2f}")
    axes[0].set_ylabel("density")
    handles, names = max((ax.get_legend_handles_labels() for ax in axes), key=lambda h: len(h[0]))
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def densities(
    first: Float[np.ndarray, " voxel"], second: Float[np.ndarray, " voxel"], points: int = 200
) -> tuple[Float[np.ndarray, " point"], ...]:
    """Places and the kernel density estimates of two samples there (Gaussian, Scott's width)."""
    both = np.concatenate([first, second])
    margin = 0.15 * (both.max() - both.min()) + 1e-6
    places = np.linspace(both.min() - margin, both.max() + margin, points)
    return places, gaussian_kde(first)(places), gaussian_kde(second)(places)


def draw_mosaic(
    ax: Axes,
    mixed: Picture,
    keeps: Half,
    gives: Half,
    mask: MaskPicture,
    window: tuple[float, float],
) -> None:
    """A mixture with the label of each region and the border of what was pasted."""
    inside = mask > 0
    draw_scan(ax, mixed, window)
    for (_, label, pseudo), region in ((keeps, inside), (gives, ~inside)):
        draw_label(ax, np.where(region, label, 0).astype(np.uint8), hatched=pseudo)
    if inside.any() and not inside.all():
        ax.contour(mask, [0.5], colors="white", linewidths=1.2)


def draw_label(ax: Axes, label: LabelPicture, *, hatched: bool = False) -> None:
    """Classes filled in their colours, or hatched with dotted outlines for a pseudo-label."""
    for index in np.unique(label[label > 0]):
        draw_region(ax, label == index, class_colour(int(index)), hatched=hatched)


def draw_region(
    ax: Axes,
    region: Bool[np.ndarray, "row column"],
    colour: str,
    *,
    hatched: bool = False,
    alpha: float = 0.45,
) -> None:
    """One region, filled or hatched, with its outline; `alpha` is the filling's."""
    if not region.any():
        return
    rows, columns = region.shape
    x, y = np.arange(-1, columns + 1), np.arange(-1, rows + 1)
    values = np.pad(region.astype(float), 1)
    if hatched:
        area = ax.contourf(x, y, values, [0.5, 2], colors="none", hatches=["////"])
        area.set(edgecolor=colour, linewidth=0)
    else:
        ax.contourf(x, y, values, [0.5, 2], colors=[colour], alpha=alpha)
    style = (0, (1.2, 1.2)) if hatched else "solid"
    ax.contour(x, y, values, [0.5], colors=[colour], linewidths=1.3, linestyles=[style])
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))


def draw_mask(ax: Axes, mask: MaskPicture) -> None:
    """The mask: ones pale, zeros dark."""
    ax.imshow(mask, cmap=SCALAR_MAP, vmin=0, vmax=1, interpolation="nearest")
    bare(ax)


def mixing_legend(class_names: Sequence[str]) -> list[Patch | Line2D]:
    """Classes, then what solid and hatched mean."""
    solid = Patch(facecolor="#9aa1a9", edgecolor=INK, label="true label")
    hatched = Patch(facecolor="none", edgecolor=QUIET, hatch="////", label="pseudo-label")
    return [*class_legend(class_names), solid, hatched]


def _smooth(ax: Axes) -> None:
    """Interpolate the grey picture: its file is a third as large."""
    ax.images[0].set_interpolation("bilinear")


def _backdrop(ax: Axes, shape: tuple[int, int]) -> None:
    """A plain dark ground of a scan's size: frames with one scan each take half the bytes."""
    ax.imshow(np.zeros(shape), cmap="gray", vmin=-0.2, vmax=1)
    bare(ax)


def _by_rows(handles: Sequence[Patch | Line2D], columns: int) -> list[Patch | Line2D]:
    """Legend handles, which fill columns first, in the order that reads along rows."""
    return [handles[i] for c in range(columns) for i in range(c, len(handles), columns)]
