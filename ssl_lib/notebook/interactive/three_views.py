"""Three views of one voxel: what each network says, how sure it is, and what it is taught."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from matplotlib.figure import Figure

from ssl_lib.figures.slices import Slice, shared_window
from ssl_lib.figures.views import VIEW_COLOURS, fusion_strip
from ssl_lib.methods.umct import confidence, fused_target
from ssl_lib.notebook.interactive.page import class_colours, quantised, show_interactive
from ssl_lib.utils.errors import InputError

EPSILON = 1e-4
MARGIN = 3
MOST_VOXELS, MOST_PIXELS = 20_000, 60_000  # of the predictions, and of the finer image

Volume = Float[np.ndarray, "i j k"]
Labels = UInt8[np.ndarray, "i j k"]


class _Predictions(NamedTuple):
    """What the views say of one scan: probabilities p and uncertainty U of each, and the truth."""

    means: Float[np.ndarray, "view class *space"]
    uncertainties: Float[np.ndarray, "view *space"]
    truth: UInt8[np.ndarray, "*space"]

    @property
    def organ(self) -> Bool[np.ndarray, "*space"]:
        """True where truth or a view see an organ."""
        return (self.means.argmax(axis=1) > 0).any(axis=0) | (self.truth > 0)

    def part(self, box: tuple[slice, ...]) -> _Predictions:
        """The same, of some voxels."""
        place: tuple[Any, ...] = (..., *box)
        return _Predictions(*(array[place] for array in self))


def three_views(
    image: Float[np.ndarray, "*fine"],
    means: Float[np.ndarray, "view class *space"],
    uncertainties: Float[np.ndarray, "view *space"],
    truth: UInt8[np.ndarray, "*space"],
    class_names: Sequence[str],
    *,
    spacing: Sequence[float],
    across: Sequence[int] = (),
    alt: str,
) -> None:
    """Shows one voxel through all slices: who says what, who is sure, and what each is taught.

    `means` and `uncertainties` are p and U of each view. `image` is as fine as they are or a whole
    number of times finer; a large one is downsampled to their grid. `spacing` is that of its
    voxels, `across` names for each view the axis along which it does not look. The page computes
    confidences and fused targets from p and U; the reader chooses the voxel, the power of the
    confidence, who teaches, and what colours show. Raises `InputError` if `image` does not fit.
    """
    predictions = _Predictions(means, uncertainties, truth)
    if truth.ndim == 2:
        image, predictions = (
            image[None],
            _Predictions(*(array[..., None, :, :] for array in predictions)),
        )
        spacing = (1.0, *spacing)
    factors = [
        fine // side for fine, side in zip(image.shape, predictions.truth.shape, strict=True)
    ]
    wanted = tuple(np.multiply(factors, predictions.truth.shape))
    if wanted != image.shape or len({*factors} - {1}) > 1:
        raise InputError(
            f"the image has shape {image.shape}, the predictions {predictions.truth.shape}",
            expected="an image that is a whole number of times finer along each axis",
        )
    box = _box(predictions)
    near, coarse = predictions.part(box), _coarse(image, factors)[box]
    scale = [*factors]
    grey = image[tuple(_finer(part, factor) for part, factor in zip(box, factors, strict=True))]
    if grey.size > MOST_PIXELS:
        grey, scale = coarse, [1, 1, 1]
    low, high = shared_window([image])
    place = _first_voxel(near)
    data = {
        "grey": quantised(np.clip((grey - low) / (high - low), 0, 1) * 255, 32, (0, 255)),
        "factors": scale,
        "truth": near.truth,
        "organs": quantised(near.means[:, 1:], 64, within=(0, 1)),
        # steps of the root: fine where U is small, and there the confidence is large
        "root": quantised(np.sqrt(near.uncertainties), 256, within=(0, 0.5)),
        "scan": [float(uncertainty.mean()) for uncertainty in predictions.uncertainties],
        "total": _counted(predictions, box),
        "epsilon": EPSILON,
        "place": place.tolist(),
        "spacing": [float(s * f / k) for s, f, k in zip(spacing, factors, scale, strict=True)],
        "across": [int(axis) for axis in across],
        "names": list(class_names),
        "colours": class_colours(len(class_names)),
        "views": list(VIEW_COLOURS[: len(near.means)]),
    }
    stored = _stored(coarse, near, class_names, int(place[0]))
    show_interactive("three_views", data, alt=alt, label="Views of one voxel", stored=stored)


def _finer(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _coarse(image: Volume, factors: Sequence[int]) -> Volume:
    """Block means of the image, on the grid of the predictions."""
    sides = [side // factor for side, factor in zip(image.shape, factors, strict=True)]
    (a, b, c), (i, j, k) = factors, sides
    return image.reshape(i, a, j, b, k, c).mean(axis=(1, 3, 5))


def _box(predictions: _Predictions) -> tuple[slice, ...]:
    """The voxels around all that truth or a view call organ, and some more; of a large organ as
    many slices of the first axis as fit, around its middle."""
    organ = predictions.organ
    places = np.argwhere(organ) if organ.any() else np.argwhere(np.ones_like(organ))
    low = np.maximum(places.min(axis=0) - MARGIN, 0)
    high = np.minimum(places.max(axis=0) + 1 + MARGIN, organ.shape)
    most = max(1, MOST_VOXELS // int(np.prod((high - low)[1:])))
    spare = max(int(high[0] - low[0]) - most, 0)
    low[0], high[0] = low[0] + spare // 2, high[0] - (spare - spare // 2)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _counted(predictions: _Predictions, box: tuple[slice, ...]) -> int:
    """The voxels that shares are of: all of the scan, or of the slices that are shown. Those beside
    the box are background to everybody, and so to every target."""
    whole = predictions.organ[box].sum() == predictions.organ.sum()
    return predictions.truth.size if whole else int(predictions.truth[box[0]].size)


def _first_voxel(predictions: _Predictions) -> Int[np.ndarray, "3"]:
    """Where the views that disagree are most unsure; else in the middle of the organ."""
    labels = predictions.means.argmax(axis=1)
    differ = (labels != labels[0]).any(axis=0)
    unsure = predictions.uncertainties.sum(axis=0) * differ
    if not differ.any():
        unsure = predictions.truth > 0
    return np.array(np.unravel_index(int(unsure.argmax()), unsure.shape))


def _stored(image: Volume, near: _Predictions, class_names: Sequence[str], index: int) -> Figure:
    """Weights as colours and the fused targets, on the first slice that the page shows."""
    means = [torch.as_tensor(mean)[None] for mean in near.means]
    trust = [confidence(torch.as_tensor(one)[None, None]) for one in near.uncertainties]
    cut = Slice(0, index)
    shares = torch.stack(trust)[:, 0, 0] / sum(trust)[0, 0]
    names = [f"view {number + 1}" for number in range(len(means))]
    targets = {
        f"taught to {name}": cut.of(fused_target(means, trust, own)[0].argmax(dim=0).byte().numpy())
        for own, name in enumerate(names)
    }
    weights = np.stack([cut.of(share.numpy()) for share in shares])
    return fusion_strip(weights, targets, cut.of(image), cut.of(near.truth), class_names, names)
