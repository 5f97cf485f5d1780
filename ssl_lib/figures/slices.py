"""From a scan to one 2D picture: which slice, which grey window, which outlines.

Every figure goes through here, so that 2D stacks and 3D volumes are shown alike and all scans of a
figure share one window and level. `Slice` alone says how a slice is turned: upright where the axes
of a scan are known (`Case.axes`), else as it is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ssl_lib.figures.style import FAINT, INK, class_colour, house_style

HALO = [patheffects.withStroke(linewidth=2.0, foreground="#000000aa")]
LINE_STYLES: dict[str, Any] = {
    "truth": "solid",
    "prediction": (0, (3, 1.4)),
    "pseudo-label": (0, (1.2, 1.2)),
}


@dataclass(frozen=True)
class Slice:
    """Where a scan is cut: position `index` along `axis`; 2D arrays have `axis` None.

    `axes` are those of the scan (`Case.axes`), "" if they are not known.
    """

    axis: int | None
    index: int = 0
    axes: str = ""

    @property
    def _is_turned(self) -> bool:
        """Whether the first axis of the stored slice runs from left to right in the picture."""
        if not self.axes:
            return self.axis not in (0, None)
        first, second = (name for at, name in enumerate(self.axes) if at != self.axis)
        return first < second

    def of(self, volume: Shaped[np.ndarray, "*space"]) -> Shaped[np.ndarray, "row column"]:
        """The picture, upright as in the slice viewer if the axes are known: the right of the
        patient on the right (of a sagittal slice the front), the front above (else the top).

        Otherwise rows and columns as stored; cuts along y or z show x from left to right.
        """
        picture = volume if self.axis is None else np.take(volume, self.index, axis=self.axis)
        picture = picture.T if self._is_turned else picture
        return np.ascontiguousarray(picture[::-1]) if self.axes else picture

    def words(self, shape: Sequence[int]) -> str:
        """Which slice of how many, counted from 1; nothing where there is only one."""
        if self.axis is None or shape[self.axis] == 1:
            return ""
        return f"slice {self.index + 1} of {shape[self.axis]}"

    def pixel(self, spacing: Sequence[float]) -> tuple[float, float]:
        """Height and width of a pixel, in the unit of the spacing."""
        row, column = (step for axis, step in enumerate(spacing) if axis != self.axis)
        return (column, row) if self._is_turned else (row, column)

    def aspect(self, spacing: Sequence[float]) -> float:
        """Height of a pixel over its width."""
        row, column = self.pixel(spacing)
        return row / column


def slicing_axis(images: Iterable[Shaped[np.ndarray, "*space"]]) -> int | None:
    """The axis with the fewest slices over all images, None for 2D images.

    That is the slice axis of a stack, and for a volume the one whose slices are largest.
    """
    shapes = np.array([image.shape for image in images])
    return None if shapes.shape[1] == 2 else int(np.median(shapes, axis=0).argmin())


def choose_slice(
    image: Shaped[np.ndarray, "*space"],
    label: UInt8[np.ndarray, "*space"] | None = None,
    axis: int | None = None,
    axes: str = "",
) -> Slice:
    """The middle slice; with a label, of the slices in the organ's middle half that with most
    classes, and of those the one nearest to the organ's middle. `axes` as in `Slice`."""
    axis = slicing_axis([image]) if axis is None else axis
    if axis is None or image.ndim == 2:
        return Slice(None, axes=axes)
    if label is None or not label.any():
        return Slice(axis, image.shape[axis] // 2, axes)
    others = tuple(other for other in range(label.ndim) if other != axis)
    first, last = np.flatnonzero(label.any(axis=others))[[0, -1]]
    quarter, middle = (last - first) // 4, (first + last) / 2
    near = np.arange(first + quarter, last - quarter + 1)
    shown = np.take(label, near, axis)
    classes = sum((shown == k).any(axis=others).astype(int) for k in np.unique(label[label > 0]))
    return Slice(axis, int(near[np.lexsort((-np.abs(near - middle), classes))[-1]]), axes)


def shared_window(images: Iterable[Float[np.ndarray, "*space"]]) -> tuple[float, float]:
    """Grey levels shown as black and white for all images: percentiles 0.5 and 99.5 of them all."""
    sample = np.concatenate([np.asarray(image).ravel()[::7] for image in images])
    low, high = np.percentile(sample, [0.5, 99.5])
    return float(low), float(max(high, low + 1e-6))


def draw_scan(
    ax: Axes,
    picture: Float[np.ndarray, "row column"],
    window: tuple[float, float] | None = None,
    aspect: float = 1.0,
) -> None:
    """The grey picture without ticks or frame."""
    low, high = window or shared_window([picture])
    ax.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=aspect, interpolation="nearest")
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


@house_style()
def overlay(
    ax: Axes,
    picture: Float[np.ndarray, "row column"],
    label: UInt8[np.ndarray, "row column"] | None = None,
    prediction: UInt8[np.ndarray, "row column"] | None = None,
    *,
    kind: str = "prediction",
    window: tuple[float, float] | None = None,
    aspect: float = 1.0,
) -> None:
    """One picture with class outlines: the truth solid, a prediction dashed (pseudo-label: dotted).

    What is judged is filled with the classes' colours: the prediction if there is one, with the
    truth as a white line, else the label. `kind` is "prediction" or "pseudo-label".
    """
    draw_scan(ax, picture, window, aspect)
    if prediction is not None:
        _fill(ax, prediction, 0.45, aspect)
        _outline(ax, prediction, LINE_STYLES[kind])
    elif label is not None:
        _fill(ax, label, 0.25, aspect)
    if label is not None:
        _outline(ax, label, LINE_STYLES["truth"], None if prediction is None else "white")


def class_legend(
    class_names: Sequence[str], *, kinds: Sequence[str] = ("truth",)
) -> list[Line2D | Patch]:
    """Legend handles: a line for each foreground class, and for each kind if there are several: of
    what is judged a filled area with its border, of the truth a white line, as `overlay` draws."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=class_colour(index), linewidth=2.4, label=name)
        for index, name in enumerate(class_names)
        if index > 0
    ]
    if len(kinds) > 1:
        handles += [
            Patch(fc=FAINT, ec=INK, linewidth=1.2, linestyle=LINE_STYLES[kind], label=kind)
            for kind in kinds
            if kind != "truth"
        ]
        halo = [patheffects.withStroke(linewidth=3, foreground=INK)]
        handles.append(Line2D([], [], color="white", path_effects=halo, label="truth"))
    return handles


def _fill(ax: Axes, label: UInt8[np.ndarray, "row column"], alpha: float, aspect: float) -> None:
    """The organ in the colours of its classes."""
    top = int(max(label.max(), 1))
    ax.imshow(
        np.ma.masked_equal(label, 0),
        cmap=ListedColormap([class_colour(index) for index in range(1, top + 1)]),
        vmin=0.5,
        vmax=top + 0.5,
        alpha=alpha,
        aspect=aspect,
        interpolation="nearest",
    )


def _outline(
    ax: Axes,
    label: UInt8[np.ndarray, "row column"],
    style: object,
    colour: str | None = None,
) -> None:
    """The border of each class, closed at the edge of the picture; of two classes that share a
    border that of the smaller reach lies on top, such as a ventricle within its wall."""
    rows, columns = label.shape
    x, y = np.arange(-1, columns + 1), np.arange(-1, rows + 1)
    for index in sorted(np.unique(label[label > 0]), key=lambda index: _reach(label == index))[
        ::-1
    ]:
        mask = np.pad((label == index).astype(float), 1)
        lines = ax.contour(
            x,
            y,
            mask,
            [0.5],
            colors=[colour or class_colour(index)],
            linewidths=1.2,
            linestyles=[style],
        )
        if style == "solid":
            lines.set_path_effects([*HALO, patheffects.Normal()])
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))


def _reach(region: Bool[np.ndarray, "row column"]) -> int:
    """Pixels of the smallest upright box around a region."""
    sides = (np.flatnonzero(region.any(axis=axis)) for axis in (0, 1))
    return int(np.prod([side[-1] - side[0] + 1 for side in sides]))
