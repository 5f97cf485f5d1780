"""The definitions of `notebooks/00_few_labels_many_scans.py`, written by `make sync`.

Edit the notebook, not this file.
"""


import inspect
import textwrap

import numpy as np
import torch

from ssl_lib.training import augmentation
from ssl_lib.training.augmentation import paste, random_affine, random_appearance, random_boxes
from ssl_lib.training.losses import cross_entropy, dice_squared_all, one_hot, segmentation_loss
from ssl_lib.training.batches import TwoStreams, generator_at
from ssl_lib.training.geometry import as_seen, inner_size, random_turns, unmoved
from ssl_lib.training.study import Study
from ssl_lib.models.teacher import gaussian_ramp, make_teacher, update_teacher
from ssl_lib.training.loop import Loop, StepOutput


def supervised_plain_step(networks, batch, moment, *, dice=dice_squared_all):
    images, labels = unmoved(batch.images, batch.labels, moment.settings)
    logits = networks.student(as_seen(images, moment.settings))
    return StepOutput({"supervised": segmentation_loss(logits, labels, dice=dice)})


def supervised_weak_step(networks, batch, moment, *, dice=dice_squared_all):
    images, labels = unmoved(batch.images, batch.labels, moment.settings)
    if moment.settings.geometry == "ours":
        images, labels = random_turns(images, labels, moment.generator)
    logits = networks.student(as_seen(images, moment.settings))
    return StepOutput({"supervised": segmentation_loss(logits, labels, dice=dice)})


def supervised_step(networks, batch, moment, *, strong=True, dice=dice_squared_all):
    if not strong:
        return supervised_weak_step(networks, batch, moment, dice=dice)
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes,
        inner=inner_size(moment.settings),
    )  # fmt: skip
    loss = segmentation_loss(networks.student(images), labels, dice=dice)
    return StepOutput({"supervised": loss}, {"images": images, "labels": labels})


def two_views(unlabelled, teacher, generator, flip_axes=(), inner=None):
    moved, _ = random_affine(unlabelled, None, generator, flip_axes=flip_axes, inner=inner)
    with torch.no_grad():
        target = teacher(augmentation.standardise(moved)).float().softmax(dim=1)
    view = random_appearance(moved, generator)
    boxes = random_boxes(view.shape[2:], len(view), generator, view.device)
    return paste(view.roll(1, 0), view, boxes), paste(target.roll(1, 0), target, boxes)


def consistency_loss(logits, target):
    return (logits.float().softmax(dim=1) - target).square().mean()


def mean_teacher_step(networks, batch, moment, *, released=False, **options):
    if released:
        return released_step(networks, batch, moment, **options)
    settings, generator = moment.settings, moment.generator
    flips, inner = settings.flip_axes, inner_size(settings)
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, generator, flip_axes=flips, inner=inner
    )
    supervised = segmentation_loss(networks.student(images), labels)
    view, target = two_views(batch.unlabelled, networks.teacher, generator, flips, inner)
    consistency = consistency_loss(networks.student(view), target)
    ramp = gaussian_ramp(moment.iteration, settings.ramp * moment.iterations)
    weight = settings.consistency_weight * ramp
    losses = {"supervised": supervised, "consistency": weight * consistency}
    return StepOutput(losses, {"view": view, "target": target})


def noisy(images, generator, level=0.1):
    """The images with normal noise, cut off at twice its standard deviation."""
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return images + (level * noise).clamp(-2 * level, 2 * level)


def risen(moment):
    """The weight of the consistency: w r(k), k in whole steps of `ramp_every` iterations."""
    settings = moment.settings
    reached = moment.iteration // settings.ramp_every * settings.ramp_every
    length = settings.ramp * moment.iterations
    return settings.consistency_weight * gaussian_ramp(reached, length)


def released_step(networks, batch, moment, *, weigh=None, dice=dice_squared_all, silent=0,
                  everywhere=False):  # fmt: skip
    """The mean teacher as released. `silent` iterations go without consistency; `everywhere` asks
    for it on labelled patches, too; `weigh(networks, images, prediction, moment)` weighs voxels."""
    labelled = len(batch.images)
    everything = torch.cat([batch.images, batch.unlabelled])
    first = 0 if everywhere else labelled
    with torch.no_grad():
        heard = noisy(everything[first:], moment.generator)
        target = networks.teacher(heard).float().softmax(dim=1)
    logits = networks.student(everything)
    errors = (logits[first:].float().softmax(dim=1) - target).square()
    maps = weigh(networks, everything[first:], target, moment) if weigh else {}
    if weigh:
        weight = maps["clean weight"]
        consistency = (weight * errors).sum() / (2 * weight.sum() + 1e-16)
    else:
        consistency = errors.mean()
    factor = risen(moment) if moment.iteration >= silent else 0.0
    supervised = segmentation_loss(logits[:labelled], batch.labels, dice=dice)
    losses = {"supervised": supervised, "consistency": factor * consistency}
    return StepOutput(losses, {"view": everything[first:], "target": target, **maps})
