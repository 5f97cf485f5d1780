"""One slice of a scan as an interactive figure shows it: bytes of grey, classes, and its shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float32, Num, Shaped, UInt8

from ssl_lib.data.cohort import Case
from ssl_lib.data.downsampling import block_means, majority
from ssl_lib.figures.slices import Slice, choose_slice, shared_window

MOST_PIXELS = 144  # of the longer side


@dataclass(frozen=True)
class ShownSlice:
    """Where a scan is cut, and by how much its pixels are downsampled to fit a page; `pixel` is
    the height and width of one that is shown, in the unit of the spacing."""

    cut: Slice
    factors: tuple[int, int]
    grey: UInt8[np.ndarray, "row column"]
    pixel: tuple[float, float]
    words: str

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        return self.pixel[0] / self.pixel[1]

    def classes(self, label: Num[np.ndarray, "*space"]) -> UInt8[np.ndarray, "row column"]:
        """The label map of the slice; of downsampled pixels the most frequent class."""
        picture = np.asarray(self.cut.of(np.asarray(label)), np.uint8)
        return picture if max(self.factors) == 1 else majority(picture, self.factors)

    def numbers(self, volume: Num[np.ndarray, "*space"]) -> Float32[np.ndarray, "row column"]:
        """The slice of a map of numbers; of downsampled pixels the mean."""
        return block_means(np.asarray(self.cut.of(np.asarray(volume)), np.float32), self.factors)

    def data(self, truth: Num[np.ndarray, "*space"] | None = None) -> dict[str, Any]:
        """What every script needs of it: `grey`, `aspect`, `words`, and `truth` if it is known."""
        known = {} if truth is None else {"truth": self.classes(truth)}
        return {"grey": self.grey, "aspect": self.aspect, "words": self.words, **known}


def shown_slice(
    case: Case,
    truth: Shaped[np.ndarray, "*space"] | None = None,
    window: tuple[float, float] | None = None,
    axis: int | None = None,
) -> ShownSlice:
    """The slice of `choose_slice`, its grey levels as bytes over `window` (default: its own)."""
    return _at(case, choose_slice(case.image, truth, axis, case.axes), window)


def all_slices(
    case: Case, window: tuple[float, float] | None = None, axis: int | None = None
) -> list[ShownSlice]:
    """Every slice of a scan along `axis` (default: as `choose_slice`), as `shown_slice` shows one;
    of a 2D image the only one."""
    middle = choose_slice(case.image, axis=axis, axes=case.axes)
    count = 1 if middle.axis is None else case.image.shape[middle.axis]
    return [_at(case, replace(middle, index=index), window) for index in range(count)]


def _at(case: Case, cut: Slice, window: tuple[float, float] | None) -> ShownSlice:
    picture = np.asarray(cut.of(case.image), np.float32)
    factor = -(-max(picture.shape) // MOST_PIXELS)
    low, high = window or shared_window([case.image])
    small = block_means(picture, (factor, factor))
    grey = np.rint(np.clip((small - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    words = cut.words(case.image.shape)
    height, width = cut.pixel(case.spacing)
    return ShownSlice(cut, (factor, factor), grey, (factor * height, factor * width), words)
