"""Supervised losses, in the flavours that the published codes really use.

They differ: which classes count, whether denominators are squared, whether sums run over the
batch. `mask` restricts every sum to a region (1 inside, 0 outside), each region normalised by its
own size, as bidirectional copy-paste needs it. One-hot targets and probabilities are
(batch, class, *space).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

Probabilities = Float[Tensor, "batch class *space"]
Labels = Integer[Tensor, "batch *space"]
Mask = Float[Tensor, "batch *space"]
DiceLoss = Callable[..., Float[Tensor, ""]]


def full_precision(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Switches mixed precision off inside: sums over a million voxels want float32, in every
    flavour of loss alike."""

    @wraps(loss)
    def precise(logits: Tensor, *arguments: object, **options: Any) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            return loss(logits.float(), *arguments, **options)

    return precise


def one_hot(labels: Labels, n_classes: int) -> Probabilities:
    """Labels (batch, *space) as 0/1 maps (batch, class, *space), float32."""
    classes = torch.arange(n_classes, device=labels.device).view(1, -1, *[1] * (labels.ndim - 1))
    return (labels.unsqueeze(1) == classes).float()


@full_precision
def dice_squared_foreground(
    probabilities: Probabilities, target: Probabilities, mask: Mask | None = None
) -> Float[Tensor, ""]:
    """1 - mean over foreground classes of (2 sum pt + s) / (sum p^2 + sum t^2 + s), sums over the
    whole batch, s = 1e-5. Two classes: the loss of yulequan/UA-MT; more: the one of AAU's code."""
    return _dice_squared(probabilities, target, mask, smooth=1e-5)[1:].mean()


@full_precision
def dice_squared_all(
    probabilities: Probabilities,
    target: Probabilities,
    mask: Mask | None = None,
    smooth: float = 1e-5,
) -> Float[Tensor, ""]:
    """The squared form over all classes, background included, sums over the whole batch
    (HiLab-git/SSL4MIS; bidirectional copy-paste on ACDC uses s = 1e-10)."""
    return _dice_squared(probabilities, target, mask, smooth).mean()


def dice_squared_bare(
    probabilities: Probabilities, target: Probabilities, mask: Mask | None = None
) -> Float[Tensor, ""]:
    """`dice_squared_all` with s = 1e-10: bidirectional copy-paste on ACDC."""
    return dice_squared_all(probabilities, target, mask, smooth=1e-10)


@full_precision
def dice_linear(
    probabilities: Probabilities, target: Probabilities, mask: Mask | None = None
) -> Float[Tensor, ""]:
    """1 - mean over samples and classes of (2 sum pt + s) / (sum p + sum t + s), background
    included, s = 1e-5 (bidirectional copy-paste on LA and pancreas)."""
    weight = 1.0 if mask is None else mask.unsqueeze(1)
    space = tuple(range(2, probabilities.ndim))
    overlap = (weight * probabilities * target).sum(space)
    total = (weight * (probabilities + target)).sum(space)
    return 1 - ((2 * overlap + 1e-5) / (total + 1e-5)).mean()


def _dice_squared(
    probabilities: Probabilities, target: Probabilities, mask: Mask | None, smooth: float
) -> Float[Tensor, " class"]:
    inside, truth = probabilities, target
    if mask is not None:
        inside, truth = mask.unsqueeze(1) * probabilities, mask.unsqueeze(1) * target
    overlap = _sum_of_products(inside, target)
    total = _sum_of_products(inside, probabilities) + _sum_of_products(truth, target)
    return 1 - (2 * overlap + smooth) / (total + smooth)


def _sum_of_products(first: Probabilities, second: Probabilities) -> Float[Tensor, " class"]:
    """The sum over batch and space of both maps' product, which is never written to memory."""
    return torch.linalg.vecdot(first.flatten(2), second.flatten(2).to(first.dtype)).sum(0)


@full_precision
def cross_entropy(
    logits: Probabilities, labels: Labels, mask: Mask | None = None
) -> Float[Tensor, ""]:
    """Cross-entropy averaged over the voxels of the mask (over all of them without one)."""
    return _of_the_label(logits.log_softmax(1), labels, mask)


def _of_the_label(
    log_probabilities: Probabilities, labels: Labels, mask: Mask | None
) -> Float[Tensor, ""]:
    """Minus the log-probability of each voxel's label, averaged over the mask."""
    per_voxel = F.nll_loss(log_probabilities, labels.long(), reduction="none")
    if mask is None:
        return per_voxel.mean()
    return (per_voxel * mask).sum() / (mask.sum() + 1e-16)


@full_precision
def segmentation_loss(
    logits: Probabilities,
    labels: Labels,
    mask: Mask | None = None,
    dice: DiceLoss = dice_squared_all,
) -> Float[Tensor, ""]:
    """Half cross-entropy, half Dice: the supervised loss of all four methods' codes."""
    # Class by class in memory, as the labels are; channels-last pays for convolutions only.
    logs = logits.float().contiguous().log_softmax(1)
    overlap = dice(logs.exp(), one_hot(labels, logits.shape[1]), mask)
    return 0.5 * (_of_the_label(logs, labels, mask) + overlap)
