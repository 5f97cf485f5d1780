"""The definitions of `notebooks/00b_two_classic_methods.py`, written by `make sync`.

Edit the notebook, not this file.
"""


import math
from functools import partial

import torch

from ssl_lib.methods import baselines
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import gaussian_ramp
from ssl_lib.training.augmentation import (
    paste,
    random_appearance,
    random_boxes,
    standardise,
    strong_augmentation,
)
from ssl_lib.training.geometry import inner_size, moved
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.losses import cross_entropy, segmentation_loss


@torch.no_grad()
def noisy_passes(network, images, passes, generator, noise=0.1):
    """Softmax (passes, batch, class, *space) of noisy copies, in one forward pass."""
    copies = standardise(images).repeat(passes, *[1] * (images.ndim - 1))
    jitter = torch.randn(copies.shape, generator=generator, device=copies.device)
    jitter = (noise * jitter).clamp(-2 * noise, 2 * noise)
    predictions = network(copies + jitter).float().softmax(dim=1)
    return predictions.unflatten(0, (passes, len(images)))


def entropy(probabilities):
    """H (batch, 1, *space) of probabilities (batch, class, *space)."""
    return -(probabilities * (probabilities + 1e-6).log()).sum(dim=1, keepdim=True)


def entropy_gate(moment, n_classes, ln2=False):
    """The entropy below which a voxel counts."""
    ramp = gaussian_ramp(moment.iteration, moment.iterations)
    return (0.75 + 0.25 * ramp) * math.log(2 if ln2 else n_classes)


def weighted_consistency(logits, target, weight, *, half=False):
    """Squared difference of probabilities, averaged with the weight (its mean set to 1)."""
    errors = (logits.float().softmax(dim=1) - target).square()
    loss = (errors * (weight / weight.mean().clamp_min(1e-16))).mean()
    return loss / 2 if half else loss


def weighted_step(networks, batch, moment, weigh, half=False):
    """The mean teacher with weights: `weigh(networks, images, prediction, moment)` gives maps."""
    settings, generator = moment.settings, moment.generator
    images, labels = strong_augmentation(
        batch.images, batch.labels, generator, flip_axes=settings.flip_axes,
        inner=inner_size(settings),
    )  # fmt: skip
    supervised = segmentation_loss(networks.student(images), labels)
    patches, _ = moved(batch.unlabelled, None, moment)
    with torch.no_grad():
        prediction = networks.teacher(standardise(patches)).float().softmax(dim=1)
    view = random_appearance(patches, generator)
    boxes = random_boxes(view.shape[2:], len(view), generator, view.device)
    logits = networks.student(paste(view.roll(1, 0), view, boxes))
    maps = weigh(networks, patches, prediction, moment)
    target, weight = (
        paste(clean.roll(1, 0), clean, boxes) for clean in (prediction, maps["clean weight"])
    )
    consistency = weighted_consistency(logits, target, weight, half=half)
    factor = settings.consistency_weight
    factor = factor * gaussian_ramp(moment.iteration, settings.ramp * moment.iterations)
    losses = {"supervised": supervised, "consistency": factor * consistency}
    return StepOutput(losses, {"target": target, "weight": weight, "boxes": boxes, **maps})


def ua_mt_weights(networks, images, prediction, moment, *, passes, ln2):
    """The entropy of dropout passes, gated."""
    mean = noisy_passes(networks.teacher, images, passes, moment.generator).mean(dim=0)
    uncertainty = entropy(mean)
    gate = entropy_gate(moment, prediction.shape[1], ln2)
    return {"uncertainty": uncertainty, "clean weight": (uncertainty < gate).float()}


def released_ua_mt_weights(networks, images, prediction, moment, *, passes, ln2):
    """The same as released: the patches twice in each forward pass, their grey levels as they are,
    the gate's ramp in its own length."""
    twice = images.repeat(2, *[1] * (images.ndim - 1))
    with torch.no_grad():
        found = [
            networks.teacher(baselines.noisy(twice, moment.generator)).float().softmax(dim=1)
            for _ in range(passes // 2)
        ]
    mean = torch.cat(found).unflatten(0, (passes, len(images))).mean(dim=0)
    uncertainty = entropy(mean)
    gate = entropy_gate(moment, prediction.shape[1], ln2)
    return {"uncertainty": uncertainty, "clean weight": (uncertainty < gate).float()}


def ua_mt_step(networks, batch, moment, *, passes=8, ln2=False, released=False, **options):
    """UA-MT: only voxels that dropout passes agree on."""
    if released:
        weigh = partial(released_ua_mt_weights, passes=passes, ln2=ln2)
        return baselines.released_step(networks, batch, moment, weigh=weigh, **options)
    return weighted_step(networks, batch, moment, partial(ua_mt_weights, passes=passes, ln2=ln2))


def cross_pseudo_loss(logits):
    """Each network is taught the other's classes; the sum of both losses, and the classes."""
    first, second = (one.float() for one in logits)
    classes = first.argmax(dim=1), second.argmax(dim=1)
    return cross_entropy(first, classes[1]) + cross_entropy(second, classes[0]), classes


def two_appearances(images, moment):
    """What the two networks see of a batch: each another scanner's version of it."""
    return [random_appearance(images, moment.generator) for _ in range(2)]


def copy_paste(pair, labels, generator):
    """The strong baseline's copy-paste: one box for both versions and the labels."""
    shape = labels.shape[1:]
    boxes = random_boxes(shape, len(labels), generator, labels.device, probability=0.5)
    pasted = [paste(images.roll(1, 0), images, boxes) for images in pair]
    return pasted, paste(labels.roll(1, 0), labels, boxes)


def cross_pseudo_step(
    networks, batch, moment, *, see=two_appearances, weight=1.0, full_at=0.4, pasted=True, every=1
):
    """Two networks, each the other's teacher; `see(images, moment)` says what each of them sees."""
    pair, generator = networks.students, moment.generator
    images, labels = moved(batch.images, batch.labels, moment)
    clean, _ = moved(batch.unlabelled, None, moment)
    known = see(images, moment)
    if pasted:
        known, labels = copy_paste(known, labels, generator)
    seen = see(clean, moment)
    supervised = [segmentation_loss(net(x), labels) for net, x in zip(pair, known, strict=True)]
    cross, classes = cross_pseudo_loss([net(x) for net, x in zip(pair, seen, strict=True)])
    reached = moment.iteration // every * every
    ramp = weight * gaussian_ramp(reached, full_at * moment.iterations)
    losses = {"supervised": sum(supervised), "cross": ramp * cross}
    return StepOutput(losses, {"known": known, "seen": seen, "classes": classes, "labels": labels})
