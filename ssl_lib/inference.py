"""From a trained network and a whole scan to probabilities and a label map.

One path for both kinds of task: a stack of slices is a batch of 2D items, a volume is one 3D item.
The network is shown what it was trained on: items are padded with their minimum, each window is
standardised, and the softmax outputs of overlapping windows are averaged with equal weight, as the
benchmark does. Scans are resampled to another grid only where training was, and their
probabilities back to their own. No component is removed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from ssl_lib.data.cohort import Case
from ssl_lib.data.grid import resize
from ssl_lib.data.spacing import coarse_axis, size_at
from ssl_lib.utils.errors import InputError


def standardise(
    images: Float[Tensor, "batch channel *space"],
) -> Float[Tensor, "batch channel *space"]:
    """Mean 0 and standard deviation 1 for each channel of each image; a constant one becomes all
    zeros.

    Training does it to its patches, inference to its windows: one and the same function.
    """
    axes = tuple(range(2, images.ndim))
    centred = images - images.mean(axes, keepdim=True)
    return centred / centred.square().mean(axes, keepdim=True).sqrt().clamp_min(1e-6)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside, each back in its own mode afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


VOXELS_TOGETHER = 2**20
"""Scans of one shape are predicted side by side, up to this many voxels."""


@torch.inference_mode()
def predict_together(
    network: nn.Module,
    images: Float32[np.ndarray, "scan ..."],
    *,
    dimensions: int,
    device: torch.device | str,
    window: tuple[int, ...] | None = None,
    stride: tuple[int, ...] | None = None,
    batch: int = 16,
    divisor: int = 16,
    use_autocast: bool = False,
    normalise: bool = True,
    grid: tuple[int, ...] | None = None,
    coarse: int | None = None,
) -> Float32[Tensor, "scan class *space"]:
    """Softmax of the network at every voxel of scans of one shape, on `device`.

    Each scan is a volume (`dimensions` 3) or a stack (slice, height, width) of which each slice is
    predicted alone (`dimensions` 2). Scans of several channels have them as their first axis.
    `window` (voxels, one number for each of the `dimensions`) is
    what the network sees at once and `stride` the step from window to window (default: half a
    window); without a window the whole item is seen at once, padded to a multiple of `divisor`.
    `batch` is the largest number of items or windows in one forward pass; what a scan's answer is
    does not depend on the others. `normalise` standardises every window (with its padding), as
    training does with its patches. Slices or volumes are resized to `grid` for the network, and the
    probabilities back; along the axis `coarse` by the nearest slice (see `common_grid`).
    Raises `InputError` if scans, window and stride do not fit each other.
    """
    _check_geometry(images[0], dimensions, window, stride)
    items = torch.tensor(np.ascontiguousarray(images), dtype=torch.float32, device=device)
    items = items if items.ndim == 5 else items[:, None]  # (scan, channel, *space)
    items = items.transpose(1, 2).flatten(0, 1) if dimensions == 2 else items
    own_size = items.shape[2:]
    items = items if grid is None else resize(items, grid, coarse)
    padded, inner = pad_to(items, _padded_size(items.shape[2:], window, divisor))

    def forward(
        part: Float[Tensor, "part channel *window"],
    ) -> Float32[Tensor, "part class *window"]:
        part = standardise(part) if normalise else part
        with torch.autocast(part.device.type, dtype=torch.bfloat16, enabled=use_autocast):
            logits = network(part)
        return logits.float().softmax(dim=1)

    with evaluating(network):
        if window is None or tuple(window) == tuple(padded.shape[2:]):
            parts = padded.tensor_split(-(-len(padded) // batch))  # even: one alone is slow
            probabilities = torch.cat([forward(part) for part in parts])
        else:
            probabilities = _slide(forward, padded, window, stride, batch)
    probabilities = probabilities[inner]
    probabilities = probabilities if grid is None else resize(probabilities, own_size, coarse)
    if dimensions == 2:
        return probabilities.unflatten(0, (len(images), -1)).transpose(1, 2)
    return probabilities


def common_grid(
    size: Sequence[int], spacing: Sequence[float], target: Sequence[float] | None
) -> dict[str, Any]:
    """The options `grid` and `coarse` of `predict_together` for a scan of that size (voxels) and
    voxel size (mm), if networks see voxels of the size `target`; none without one."""
    if target is None:
        return {}
    n = len(target)
    own = spacing[-n:]
    grid = size_at(size[-n:], own, target)
    return {"grid": grid, "coarse": coarse_axis(own, target) if n == 3 else None}


def predict_probabilities(
    network: nn.Module, image: Float32[np.ndarray, "..."], **options: Any
) -> Float32[Tensor, "class *space"]:
    """Softmax of the network at every voxel of one scan, (*space) or (channel, *space); `options`
    as in `predict_together`."""
    return predict_together(network, image[None], **options)[0]


def predict_label(
    network: nn.Module, image: Float32[np.ndarray, "*space"], **options: Any
) -> UInt8[np.ndarray, "*space"]:
    """The most probable class of each voxel; `options` as in `predict_together`."""
    return _labels(predict_probabilities(network, image, **options), 0)


def predict_cohort(
    network: nn.Module,
    cases: Iterable[Case],
    *,
    spacing: tuple[float, ...] | None = None,
    **options: Any,
) -> Mapping[str, UInt8[np.ndarray, "*space"]]:
    """The label map of each case by case id; `options` as in `predict_together`. With `spacing`
    every case is resampled to that voxel size (mm) for the network (see `common_grid`).

    Cases of one shape share forward passes: a CPU needs as long for one small volume as for two.
    """
    cases = list(cases)
    alike: dict[tuple[Any, ...], list[Case]] = {}
    for case in cases:
        own = None if spacing is None else case.spacing
        alike.setdefault((case.image.shape, own), []).append(case)
    found: dict[str, np.ndarray] = {}
    for (shape, own), group in alike.items():
        options = {**options, **common_grid(shape, own or (), spacing)}
        size = max(1, VOXELS_TOGETHER // math.prod(shape))
        for some in (group[first : first + size] for first in range(0, len(group), size)):
            images = np.stack([case.seen for case in some])
            labels = _labels(predict_together(network, images, **options), 1)
            found |= {case.case_id: label for case, label in zip(some, labels, strict=True)}
    return {case.case_id: found[case.case_id] for case in cases}


def _labels(probabilities: Float32[Tensor, "*any"], axis: int) -> UInt8[np.ndarray, "*rest"]:
    """The most probable class along the axis of classes, on the host.

    `max` finds it ten times faster than `argmax` where that axis is not the innermost in memory.
    """
    return probabilities.max(dim=axis).indices.to(torch.uint8).cpu().numpy()


def pad_to(
    items: Float[Tensor, "item channel *space"], size: Sequence[int]
) -> tuple[Float[Tensor, "item channel *size"], tuple[slice, ...]]:
    """The items grown to at least `size`, half on each side, and the index of the original inside.

    New voxels hold the minimum of the item's channel, as in training: for most scanners air.
    """
    missing = [max(0, goal - have) for goal, have in zip(size, items.shape[2:], strict=True)]
    before = [lack // 2 for lack in missing]
    widths = [w for b, lack in zip(before, missing, strict=True) for w in (lack - b, b)]
    inner = [slice(b, b + have) for b, have in zip(before, items.shape[2:], strict=True)]
    # torch counts the axes from the last one, each as (before, after)
    lowest = items.amin(dim=tuple(range(2, items.ndim)), keepdim=True)
    padded = functional.pad(items - lowest, widths[::-1]) + lowest if any(missing) else items
    return padded, (slice(None), slice(None), *inner)


def _padded_size(
    size: Sequence[int], window: tuple[int, ...] | None, divisor: int
) -> tuple[int, ...]:
    """The size to work at: the next multiple of `divisor`, or at least the window."""
    if window is None:
        return tuple(-(-length // divisor) * divisor for length in size)
    return tuple(max(length, side) for length, side in zip(size, window, strict=True))


def _slide(
    forward: Callable[[Tensor], Tensor],
    items: Float[Tensor, "item channel *size"],
    window: tuple[int, ...],
    stride: tuple[int, ...] | None,
    batch: int,
) -> Float32[Tensor, "item class *size"]:
    """Average of the overlapping windows' outputs, each window with the same weight.

    MONAI takes the overlap as a share of the window and rounds the step down; half a voxel more
    keeps the rounding from turning 18 into 17.
    """
    from monai.inferers import sliding_window_inference  # takes seconds to import

    stride = stride or tuple(max(1, side // 2) for side in window)
    overlap = [max(0.0, 1 - (step + 0.5) / side) for step, side in zip(stride, window, strict=True)]
    found: list[Any] = [
        sliding_window_inference(item, window, batch, forward, overlap) for item in items.split(1)
    ]
    return torch.cat(found)


def _check_geometry(
    image: np.ndarray,
    dimensions: int,
    window: tuple[int, ...] | None,
    stride: tuple[int, ...] | None,
) -> None:
    if dimensions not in (2, 3):
        raise InputError(f"dimensions is {dimensions}", expected="2 (slices) or 3 (volumes)")
    if image.ndim not in (3, 4):
        raise InputError(
            f"the image has {image.ndim} axes",
            expected="a volume (x, y, z) or a stack (slice, height, width)",
            fix="image[None] makes a stack of a single slice",
        )
    for name, sides in (("window", window), ("stride", stride)):
        if sides is not None and (len(sides) != dimensions or min(sides) < 1):
            raise InputError(f"the {name} is {sides}", expected=f"{dimensions} positive numbers")
    if stride is None:
        return
    if window is None:
        raise InputError("a stride was given without a window")
    if any(step > side for step, side in zip(stride, window, strict=True)):
        raise InputError(
            f"the stride {stride} is larger than the window {window}",
            expected="a stride of at most the window, or voxels between windows are never seen",
        )
