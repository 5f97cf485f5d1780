"""Pictures of scans: the cohort, predictions side by side, augmentation, and snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ssl_lib.data.cohort import Case, Cohort
from ssl_lib.evaluation.metrics import mean_dice
from ssl_lib.figures.slices import (
    choose_slice,
    class_legend,
    draw_scan,
    overlay,
    shared_window,
    slicing_axis,
)
from ssl_lib.figures.style import (
    BLUE,
    QUIET,
    VERMILLION,
    WIDTH,
    YELLOW,
    house_style,
    new_figure,
    shortened,
)
from ssl_lib.methods import row_name
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.words import counted, percent

RIGHT, WRONG, SURE_AND_WRONG = BLUE, YELLOW, VERMILLION


NAME_SIZE = 7
"""Points of the case ids above the pictures of a cohort."""
FAR_APART = 3.0
"""Scans are drawn in windows of their own if the widest is this many times the narrowest."""


@house_style()
def cohort_grid(cohort: Cohort, n: int = 5) -> Figure:
    """Up to `n` labelled scans with their outlines, then as many unlabelled and test scans, each
    below its case id.

    Middle slices, one window for all, unless the scanners' grey levels lie so far apart that some
    would be black (`FAR_APART`). Labels of unlabelled and test scans stay sealed.
    """
    names = ("labelled", "unlabelled", "test")
    groups = {name: cohort.groups[name][:n] for name in names if cohort.groups[name]}
    cases = [case for group in groups.values() for case in group]
    windows = [shared_window([case.image]) for case in cases]
    spans = [high - low for low, high in windows]
    shared = shared_window(case.image for case in cases)
    window = None if max(spans) > FAR_APART * min(spans) else shared
    axis = slicing_axis(case.image for case in cases)
    columns = max(len(group) for group in groups.values())
    wide = (WIDTH - 1.1) / columns
    figure = new_figure(height=len(groups) * (wide * _ratio(cases, axis) + 0.14) + 0.4)
    axes = figure.subplots(len(groups), columns, squeeze=False)
    for row, (name, group) in enumerate(groups.items()):
        for ax in axes[row]:
            ax.set_axis_off()
        for ax, case in zip(axes[row], group, strict=False):
            _show_case(ax, case, window, axis, case.label)
            title = shortened(case.case_id, wide - 0.06, NAME_SIZE)
            ax.set_title(title, fontsize=NAME_SIZE, fontweight="normal", color=QUIET, pad=2)
        axes[row, 0].text(
            -0.08,
            0.5,
            f"{name}\n{counted(len(cohort.groups[name]), 'scan')}",
            transform=axes[row, 0].transAxes,
            ha="right",
            va="center",
            fontweight="bold",
        )
    _legend(figure, class_legend(cohort.class_names))
    return figure


@house_style()
def prediction_grid(
    cases: Sequence[Case],
    truths: Mapping[str, UInt8[np.ndarray, "*space"]],
    predictions: Mapping[str, Mapping[str, UInt8[np.ndarray, "*space"]]],
    class_names: Sequence[str],
) -> Figure:
    """One row a scan, one column a method; the truth solid, the prediction dashed and filled.

    `truths` and each method's `predictions` hold label maps by case id. Under each
    picture stands the mean Dice over classes of the *whole* scan, not of the slice, and below the
    truth which slice it is.
    """
    window = shared_window(case.image for case in cases)
    axis = slicing_axis(case.image for case in cases)
    columns = 1 + len(predictions)
    lines = 0.22 if axis is None else 0.38
    heights = [WIDTH / columns * _ratio([case], axis) + lines for case in cases]
    figure = new_figure(height=sum(heights) + 0.9)
    axes = figure.subplots(len(cases), columns, squeeze=False, height_ratios=heights)
    for row, case in zip(axes, cases, strict=True):
        truth = truths[case.case_id]
        cut = choose_slice(case.image, truth, axis, case.axes)
        picture, aspect = cut.of(case.image), cut.aspect(case.spacing)
        overlay(row[0], picture, cut.of(truth), window=window, aspect=aspect)
        place = cut.words(case.image.shape)
        name = shortened(case.case_id, WIDTH / columns - 0.2, 8.5)
        row[0].set_xlabel(f"{name}\n{place}".rstrip(), fontsize=8.5, color=QUIET)
        for ax, maps in zip(row[1:], predictions.values(), strict=True):
            found = maps[case.case_id]
            overlay(ax, picture, cut.of(truth), cut.of(found), window=window, aspect=aspect)
            dice = mean_dice(found, truth, len(class_names))
            ax.set_xlabel(f"Dice {dice:.2f}" + "\nof all slices" * bool(place), fontsize=8.5)
    wrap = max(9, 78 // columns)
    for ax, title in zip(axes[0], ["Truth", *map(row_name, predictions)], strict=True):
        ax.set_title(fill(title, wrap), fontsize=8.5)
    _legend(figure, class_legend(class_names, kinds=("truth", "prediction")))
    return figure


@house_style()
def augmentation_grid(
    draws: Sequence[tuple[Float[np.ndarray, "*space"], UInt8[np.ndarray, "*space"] | None]],
    class_names: Sequence[str],
    titles: Sequence[str] | None = None,
) -> Figure:
    """The same slice under several draws, each an image with its label map moved along.

    The slice is chosen on the first draw, which is best the unchanged scan.
    """
    images = [image for image, _ in draws]
    columns = min(len(draws), 5)
    rows = -(-len(draws) // columns)
    cut = choose_slice(*draws[0])
    ratio = np.divide(*cut.of(images[0]).shape)
    figure = new_figure(height=rows * (WIDTH / columns * ratio + 0.25) + 0.35)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    window = shared_window(images)
    for ax in axes:
        ax.set_axis_off()
    for number, (ax, (image, label)) in enumerate(zip(axes, draws, strict=False)):
        overlay(ax, cut.of(image), None if label is None else cut.of(label), window=window)
        ax.set_title(titles[number] if titles else f"draw {number}" if number else "original")
    _legend(figure, class_legend(class_names))
    return figure


@house_style()
def snapshot_strip(
    case: Case,
    truth: UInt8[np.ndarray, "*space"],
    frames: Sequence[Mapping[str, Any]],
    threshold: float = 0.9,
    most: int = 6,
) -> Figure:
    """A pseudo-label over training: where it is right, wrong, and confidently wrong.

    Each frame holds `iteration`, `label` (class of each voxel) and `confidence` (its probability,
    a fraction or 0 to 255). Shares are of the voxels of the whole scan that truth or pseudo-label
    call organ, also where one slice is drawn; background called background is left out. Confident:
    at least `threshold`.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))
    cut = choose_slice(case.image, truth, axes=case.axes)
    picture, aspect = cut.of(case.image), cut.aspect(case.spacing)
    panels = len(chosen) + 2
    columns = min(panels, 4)
    rows = -(-panels // columns)
    ratio = picture.shape[0] / picture.shape[1] * aspect
    figure = new_figure(height=rows * (WIDTH / columns * ratio + 0.62) + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[panels:]:
        ax.set_axis_off()
    window = shared_window([case.image])
    overlay(axes[0], picture, cut.of(truth), window=window, aspect=aspect)
    axes[0].set_title("truth")
    axes[0].set_xlabel(cut.words(case.image.shape), fontsize=8)
    verdicts = [judge(frame["label"], frame["confidence"], truth, threshold) for frame in frames]
    for ax, number in zip(axes[1:], chosen, strict=False):
        draw_scan(ax, picture, window, aspect)
        _draw_verdict(ax, cut.of(verdicts[number]), aspect)
        ax.set_title(f"iteration {frames[number]['iteration']}")
        ax.set_xlabel(_share_text(verdicts[number]), fontsize=8)
    _share_curves(axes[panels - 1], [frame["iteration"] for frame in frames], verdicts)
    if cut.words(case.image.shape):
        axes[panels - 1].set_title("all slices, share in %")
    names = ("right", "wrong, less sure", f"confidently wrong (at least {percent(threshold)} sure)")
    colours = (RIGHT, WRONG, SURE_AND_WRONG)
    _legend(figure, [Patch(color=c, label=name) for c, name in zip(colours, names, strict=True)])
    return figure


def judge(
    label: UInt8[np.ndarray, "*space"],
    confidence: Float[np.ndarray, "*space"],
    truth: UInt8[np.ndarray, "*space"],
    threshold: float = 0.9,
) -> UInt8[np.ndarray, "*space"]:
    """Verdict on each voxel: 0 agreed background, 1 right, 2 wrong, 3 confidently wrong.

    `confidence` is a fraction, or a whole number from 0 to 255. Raises `InputError` if the shapes
    differ.
    """
    label, confidence = np.asarray(label), np.asarray(confidence)
    if not label.shape == confidence.shape == truth.shape:
        raise InputError(
            f"a frame has label {label.shape} and confidence {confidence.shape}",
            expected=f"the shape of the truth, {truth.shape}",
        )
    sure: Bool[np.ndarray, "*space"] = confidence >= threshold * _full_scale(confidence)
    wrong = label != truth
    verdict = np.where(wrong, np.where(sure, 3, 2), 1)
    return np.where((label == 0) & (truth == 0), 0, verdict).astype(np.uint8)


def _full_scale(confidence: np.ndarray) -> float:
    return 255.0 if confidence.dtype.kind in "ui" else 1.0


def verdict_shares(verdict: UInt8[np.ndarray, "*space"]) -> tuple[float, float, float]:
    """Shares of right, wrong and confidently wrong voxels among those that `judge` marked.

    The confidently wrong are part of the wrong. NaN if nothing is marked.
    """
    right, wrong, sure = np.bincount(verdict.ravel(), minlength=4)[1:]
    total = right + wrong + sure
    if total == 0:
        return (float("nan"),) * 3
    return float(right / total), float((wrong + sure) / total), float(sure / total)


def _share_text(verdict: UInt8[np.ndarray, "*space"]) -> str:
    right, _, sure = verdict_shares(verdict)
    if np.isnan(right):
        return "no organ in truth\nor pseudo-label"
    rounded, certain = round(100 * right), round(100 * sure)
    unsure = 100 - rounded - certain  # so that the three make 100
    shares = [percent(count / 100) for count in (rounded, unsure, certain)]
    return "right {}, wrong {}\nconfidently wrong {}".format(*shares)


def _draw_verdict(ax: Axes, verdict: UInt8[np.ndarray, "row column"], aspect: float) -> None:
    ax.imshow(
        np.ma.masked_equal(verdict, 0),
        cmap=ListedColormap([RIGHT, WRONG, SURE_AND_WRONG]),
        vmin=1,
        vmax=3,
        alpha=0.7,
        aspect=aspect,
        interpolation="nearest",
    )


def _share_curves(
    ax: Axes, iterations: Sequence[int], verdicts: Sequence[UInt8[np.ndarray, "*space"]]
) -> None:
    """The three shares over all frames, also those not shown; the wrong without the sure ones."""
    shares = 100 * np.array([verdict_shares(verdict) for verdict in verdicts])
    shares[:, 1] -= shares[:, 2]
    styles = zip(shares.T, (RIGHT, WRONG, SURE_AND_WRONG), "os^", strict=True)
    for values, colour, marker in styles:
        edge: dict[str, Any] = {"markeredgecolor": QUIET, "markeredgewidth": 0.5}
        ax.plot(iterations, values, marker, color=colour, linestyle="-", markersize=4, **edge)
    ax.set(title="share in %", ylim=(-4, 112), yticks=[0, 50, 100], xlabel="iteration")
    ax.tick_params(axis="y", length=0, pad=-3, labelsize=7.5)
    for text in ax.get_yticklabels():  # inside the panel, so that it is as wide as the pictures
        text.set(ha="left", va="bottom")


def _show_case(
    ax: Axes,
    case: Case,
    window: tuple[float, float] | None,
    axis: int | None,
    label: UInt8[np.ndarray, "*space"] | None,
) -> None:
    """The middle slice with its outlines; without a window the scan's own one."""
    cut = choose_slice(case.image, axis=axis, axes=case.axes)
    picture = cut.of(case.image)
    outline = None if label is None else cut.of(label)
    overlay(ax, picture, outline, window=window, aspect=cut.aspect(case.spacing))


def _ratio(cases: Sequence[Case], axis: int | None) -> float:
    """Height over width of the tallest picture."""
    cuts = [choose_slice(case.image, axis=axis, axes=case.axes) for case in cases]
    shapes = [cut.of(case.image).shape for cut, case in zip(cuts, cases, strict=True)]
    aspects = [cut.aspect(case.spacing) for cut, case in zip(cuts, cases, strict=True)]
    return max(h / w * aspect for (h, w), aspect in zip(shapes, aspects, strict=True))


def _legend(figure: Figure, handles: list) -> None:
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 5), handlelength=2.2
    )
