"""The definitions of `notebooks/01_bidirectional_copy_paste.py`, written by `make sync`.

Edit the notebook, not this file.
"""


import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import torch
from scipy import ndimage

from ssl_lib.training.augmentation import paste, random_appearance, standardise
from ssl_lib.training.geometry import as_seen, moved
from ssl_lib.training.losses import dice_squared_all, segmentation_loss
from ssl_lib.training.loop import StepOutput


def interval(length, share, generator, device, *, pieces=1, exclusive=False):
    """Ones on one interval in each of `pieces` equal parts of an axis."""
    voxel, inside = torch.arange(length, device=device), torch.zeros(length, device=device)
    for piece in range(pieces):
        low, high = piece * length // pieces, (piece + 1) * length // pieces
        size = math.floor(share * (high - low) + 1e-9)
        places = high - low - size + (0 if exclusive else 1)
        start = low + torch.randint(max(places, 1), (1,), generator=generator, device=device)
        inside = inside + (voxel >= start) * (voxel < start + size)
    return inside


def copy_paste_mask(shape, generator, device, *, beta=2 / 3, kind="box", exclusive=False):
    """M (*space), zeros where the partner is pasted: one for a whole batch."""
    draw = partial(interval, generator=generator, device=device, exclusive=exclusive)
    if kind == "band":  # full width, as thick as the box is large
        sides = [draw(shape[0], beta ** len(shape)), *[draw(side, 1.0) for side in shape[1:]]]
    else:
        pieces = {"box": 1, "boxes": 3}[kind]
        sides = [draw(side, beta, pieces=pieces) for side in shape]
    pasted = torch.ones(shape, device=device)
    for axis, side in enumerate(sides):
        pasted = pasted * side.view([-1 if i == axis else 1 for i in range(len(shape))])
    return 1 - pasted


def mix(keeps, gives, mask):
    """`keeps` where M is 1, `gives` where it is 0; images or label maps."""
    return paste(keeps, gives, mask.expand(len(keeps), *mask.shape))


def partners(tensor, halves=False):
    """A batch and its neighbours, or (as published) its two halves."""
    return tensor.chunk(2) if halves else (tensor, tensor.roll(1, 0))


def mixtures(labelled, unlabelled, mask, halves=False):
    """X_in and X_out from (images, labels), each with both of its labels."""
    (x_i, x_j), (y_i, y_j) = (partners(tensor, halves) for tensor in labelled)
    (u_p, u_q), (v_p, v_q) = (partners(tensor, halves) for tensor in unlabelled)
    return {
        "inward": (mix(x_i, u_p, mask), y_i, v_p),
        "outward": (mix(u_q, x_j, mask), v_q, y_j),
    }


def largest_component(region, connectivity=None):
    """The largest connected part of a True/False array; corners touch."""
    touching = ndimage.generate_binary_structure(region.ndim, connectivity or region.ndim)
    parts, count = ndimage.label(region, touching)
    if count < 2:
        return region
    sizes = np.bincount(parts.ravel())[1:]
    return parts == 1 + sizes.argmax()


def largest_of_each_class(labels, connectivity=None):
    """One label map (*space): of each class only the largest part, sought in its bounding box."""
    kept = np.zeros_like(labels)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            kept[box][largest_component(labels[box] == index, connectivity)] = index
    return kept


def keep_largest_components(labels, n_classes, connectivity=None):
    """(batch, *space): the largest part of each class of each sample, one thread a sample."""
    host = labels.cpu().numpy()
    filter_one = partial(largest_of_each_class, connectivity=connectivity)
    kept = np.stack(list(filter_threads().map(filter_one, host)))
    return torch.from_numpy(kept).to(labels.device, non_blocking=True)


@cache
def filter_threads():
    """Threads for the filter: SciPy lets go of Python's lock while it labels."""
    return ThreadPoolExecutor(max(1, min(8, torch.get_num_threads())))


@torch.no_grad()
def pseudo_labels(
    teacher, images, *, components=True, connectivity=None, levels=standardise, parts=1
):
    """The teacher's classes on clean images, before and after the filter."""
    logits = torch.cat([teacher(part) for part in levels(images).chunk(parts)])
    raw = logits.argmax(dim=1).byte()
    if not components:
        return raw, raw
    return raw, keep_largest_components(raw, logits.shape[1], connectivity)


def two_region_loss(logits, kept, pasted, mask, weights, dice=dice_squared_all):
    """The loss on M and on 1 - M, each over its own voxels and labels."""
    inside = mask.expand_as(kept)
    return (
        weights[0] * segmentation_loss(logits, kept, inside, dice),
        weights[1] * segmentation_loss(logits, pasted, 1 - inside, dice),
    )


def appearance(images, moment, strong):
    """What the student sees of a source image before it is cut: strong or weak."""
    strongly = partial(random_appearance, generator=moment.generator)
    return strongly(images) if strong else as_seen(images, moment.settings)


def pretraining_step(
    networks, batch, moment, *, strong=True, halves=False, regions=False, dice=dice_squared_all,
    **mask_options,
):  # fmt: skip
    """Copy-paste among the labelled: all labels are true, and the loss asks for them on the whole
    mixture or, with `regions`, on both regions with weight 1."""
    images, labels = moved(batch.images, batch.labels, moment)
    images = appearance(images, moment, strong)
    mask = copy_paste_mask(images.shape[2:], moment.generator, images.device, **mask_options)
    pair, truths = partners(images, halves), partners(labels, halves)
    mixed, truth = mix(*pair, mask), mix(*truths, mask)
    logits = networks.student(mixed)
    if regions:
        loss = sum(two_region_loss(logits, *truths, mask, (1.0, 1.0), dice))
    else:
        loss = segmentation_loss(logits, truth, dice=dice)
    return StepOutput({"supervised": loss}, {"mask": mask, "images": mixed, "labels": truth})


def mixture_loss(student, mixtures, mask, alpha, dice=dice_squared_all):
    """Labelled and unlabelled part of the loss over the mixtures given."""
    parts = []
    for direction, (images, kept, pasted) in mixtures.items():
        weights = (1.0, alpha) if direction == "inward" else (alpha, 1.0)
        losses = two_region_loss(student(images), kept, pasted, mask, weights, dice)
        parts.append(losses if direction == "inward" else losses[::-1])
    labelled, unlabelled = zip(*parts, strict=True)
    return {"labelled": sum(labelled), "unlabelled": sum(unlabelled)}


def bcp_step(
    networks, batch, moment, *, alpha=0.5, directions=("inward", "outward"), strong=True,
    halves=False, components=True, connectivity=None, dice=dice_squared_all, **mask_options,
):  # fmt: skip
    """The teacher labels clean images, the student sees mixed ones."""
    images, labels = moved(batch.images, batch.labels, moment)
    clean, _ = moved(batch.unlabelled, None, moment)
    raw, pseudo = pseudo_labels(
        networks.teacher, clean, components=components, connectivity=connectivity,
        levels=partial(as_seen, settings=moment.settings), parts=2 if halves else 1,
    )  # fmt: skip
    mask = copy_paste_mask(images.shape[2:], moment.generator, images.device, **mask_options)
    labelled = (appearance(images, moment, strong), labels)
    unlabelled = (appearance(clean, moment, strong), pseudo)
    both = mixtures(labelled, unlabelled, mask, halves)
    used = {direction: both[direction] for direction in directions}
    losses = mixture_loss(networks.student, used, mask, alpha, dice)
    return StepOutput(losses, {"mask": mask, "clean": clean, "raw": raw, "pseudo": pseudo, **used})


def dice_of_whole_background(probabilities, target, mask=None):
    """Dice as first released: the sums of the background ignore the region."""
    whole = torch.ones_like(probabilities[:, :1])
    region = whole if mask is None else mask.unsqueeze(1)
    weight = torch.cat([whole, region.expand_as(probabilities[:, 1:])], dim=1)
    axes = (0, *range(2, probabilities.ndim))
    overlap = (weight * probabilities * target).sum(axes)
    total = (weight * (probabilities.square() + target.square())).sum(axes)
    return (1 - (2 * overlap + 1e-10) / (total + 1e-10)).mean()
