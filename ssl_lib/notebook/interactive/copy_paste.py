"""Bidirectional copy-paste with a box that the reader drags: both mixtures, what a voxel weighs,
and what a network predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import floor

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from ssl_lib.figures.copy_paste import Half, mixing_strip
from ssl_lib.figures.slices import Slice, shared_window
from ssl_lib.notebook.interactive.page import class_colours, show_interactive

SIDES = (1 / 3, 1 / 2, 2 / 3)
PLACES = {2: 7, 3: 3}  # of the box along each side, for slices and for volumes
Predict = Callable[[Float[Tensor, "*space"]], Mapping[str, UInt8[np.ndarray, "row column"]]]


def copy_paste(
    known: Half,
    other: Half,
    predict: Predict,
    patch: Sequence[int],
    cut: Slice,
    class_names: Sequence[str],
    *,
    alt: str,
) -> None:
    """Shows a labelled and an unlabelled picture, each pasted into the other through one box.

    `known` and `other` are pictures (image, label, whether it is a pseudo-label), cut from patches
    of the shape `patch` at `cut`. `predict(mask)` is called for every place of the box with M
    (*space); it returns the network's classes on the "inward" and the "outward" mixture, cut alike.
    Weights and gradients are computed in the page, on this slice, for the loss of notebook 01 with
    `dice_squared_all`, and for a network that gives every class the same probability.
    """
    placed = [(box, beta) for beta in SIDES for box in _boxes(patch, cut, beta)]
    found = [predict(_mask(patch, cut, box, beta)) for box, beta in placed]
    boxes = [box for box, _ in placed]
    data = {
        "images": [_bytes(half[0], shared_window([known[0], other[0]])) for half in (known, other)],
        "labels": [np.asarray(half[1], np.uint8) for half in (known, other)],
        "boxes": np.array(boxes, np.int16).reshape(len(SIDES), -1, 4),
        "places": PLACES[len(patch)],
        "sides": [f"{beta:.2f}" for beta in SIDES],
        "predictions": np.stack([[one[way] for way in ("inward", "outward")] for one in found]),
        "names": list(class_names),
        "colours": class_colours(len(class_names)),
    }
    stored = _strip(known, other, class_names, boxes)
    show_interactive("copy_paste", data, alt=alt, label="Copy-paste", stored=stored)


def _boxes(patch: Sequence[int], cut: Slice, beta: float) -> list[tuple[int, int, int, int]]:
    """(first row, end, first column, end) of a box of side `beta` at each place of a grid."""
    shown = cut.of(np.zeros(patch)).shape
    sizes = [floor(beta * side + 1e-9) for side in shown]
    steps = [
        np.linspace(0, side - size, PLACES[len(patch)]).round().astype(int)
        for side, size in zip(shown, sizes, strict=True)
    ]
    return [(i, i + sizes[0], j, j + sizes[1]) for i, j in product(*(s.tolist() for s in steps))]


def _mask(
    patch: Sequence[int], cut: Slice, box: Sequence[int], beta: float
) -> Float[Tensor, "*space"]:
    """M: zeros in the box; in a volume it has the side `beta` across slices, too, around `cut`."""
    picture = np.ones(cut.of(np.zeros(patch)).shape, np.float32)
    picture[box[0] : box[1], box[2] : box[3]] = 0
    if cut.axis is None:
        return torch.from_numpy(picture)
    mask = np.ones(patch, np.float32)
    depth = floor(beta * patch[cut.axis] + 1e-9)
    first = min(max(cut.index - depth // 2, 0), patch[cut.axis] - depth)
    inside = [slice(None)] * len(patch)
    inside[cut.axis] = slice(first, first + depth)
    mask[tuple(inside)] = np.expand_dims(picture if cut.axis == 0 else picture.T, cut.axis)
    return torch.from_numpy(mask)


def _bytes(image: np.ndarray, window: tuple[float, float]) -> UInt8[np.ndarray, "row column"]:
    low, high = window
    return np.rint(np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _strip(
    known: Half, other: Half, class_names: Sequence[str], boxes: Sequence[Sequence[int]]
) -> Figure:
    """The picture for pages without a script: the box in the middle, its side 2/3."""
    mask = np.ones(known[1].shape)
    top, bottom, left, right = boxes[len(boxes) * 5 // 6]
    mask[top:bottom, left:right] = 0
    mixed = {
        "inward": (known, other, np.where(mask > 0, known[0], other[0])),
        "outward": (other, known, np.where(mask > 0, other[0], known[0])),
    }
    return mixing_strip(mixed, mask, class_names)
