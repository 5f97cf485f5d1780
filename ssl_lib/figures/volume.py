"""Looking into a volume: three cuts through one point, with outlines over the scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from matplotlib.figure import Figure

from ssl_lib.figures.scans import _legend
from ssl_lib.figures.slices import Slice, class_legend, overlay, shared_window
from ssl_lib.figures.style import QUIET, WIDTH, YELLOW, house_style, new_figure

CUTS = (("axial", 2, "right", "front"), ("coronal", 1, "right", "top"),
        ("sagittal", 0, "front", "top"))  # fmt: skip


@house_style()
def three_cuts(
    image: Float[np.ndarray, "x y z"],
    spacing: Sequence[float],
    point: Sequence[int],
    *,
    truth: UInt8[np.ndarray, "x y z"] | None = None,
    prediction: UInt8[np.ndarray, "x y z"] | None = None,
    class_names: Sequence[str],
    title: str = "",
) -> Figure:
    """Axial, coronal and sagittal cut through `point` (voxels along x, y, z), linked by thin lines.

    Axes run to the right, front and top, as `read_nifti` gives volumes; pictures have their true
    proportions in mm, with the front, or the top, above and the patient's right on the right. The
    truth is a white line, the prediction filled and dashed; grey window from percentile 0.5 to 99.5
    of the whole scan.
    """
    extents = [n * size for n, size in zip(image.shape, spacing, strict=True)]
    shown = [Slice(axis, int(point[axis])) for _, axis, _, _ in CUTS]
    widths = [extents[0], extents[0], extents[1]]
    heights = [extents[1], extents[2], extents[2]]
    height = max(heights) / sum(widths) * (WIDTH - 0.6)
    figure = new_figure(height=min(max(height, 1.6), 5.0) + 1.0)
    axes = figure.subplots(1, 3, width_ratios=widths)
    window = shared_window([image])
    for ax, (name, axis, across, up), cut in zip(axes, CUTS, shown, strict=True):
        pictures = [_upright(volume, cut) for volume in (image, truth, prediction)]
        overlay(ax, *pictures, window=window, aspect=_aspect(spacing, axis))
        columns, rows = (other for other in range(3) if other != axis)
        ax.axvline(point[columns], color=YELLOW, linewidth=0.6, alpha=0.8)
        ax.axhline(image.shape[rows] - 1 - point[rows], color=YELLOW, linewidth=0.6, alpha=0.8)
        ax.set_title(f"{name}, {'xyz'[axis]} = {point[axis]}", fontsize=8.5)
        ax.set_xlabel(f"{across} →", fontsize=7.5, color=QUIET)
        ax.set_ylabel(f"{up} →", fontsize=7.5, color=QUIET)
    if title:
        figure.suptitle(title, fontsize=9.5)
    kinds = ("truth", "prediction") if truth is not None else ("prediction",)
    _legend(figure, class_legend(class_names, kinds=kinds))
    return figure


def organ_point(label: UInt8[np.ndarray, "x y z"], axis: int, index: int) -> tuple[int, int, int]:
    """A point at `index` along `axis`, elsewhere in the middle of what is outlined there.

    Where that slice holds no organ, in the middle of the whole organ; without any, of the scan.
    """
    there = np.take(label, [index], axis=axis) > 0
    mask = there if there.any() else label > 0
    middle = np.argwhere(mask).mean(axis=0) if mask.any() else (np.array(label.shape) - 1) / 2
    point = [round(float(value)) for value in middle]
    point[axis] = index
    return point[0], point[1], point[2]


def _upright(
    volume: Shaped[np.ndarray, "x y z"] | None, cut: Slice
) -> Shaped[np.ndarray, "row column"] | None:
    """A cut with the first of its two axes from left to right and the second upwards."""
    return None if volume is None else np.take(volume, cut.index, axis=cut.axis).T[::-1]


def _aspect(spacing: Sequence[float], axis: int) -> float:
    across, up = (size for other, size in enumerate(spacing) if other != axis)
    return up / across
