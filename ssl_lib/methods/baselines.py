"""The definitions of `notebooks/00_few_labels_many_scans.py`, written by `make sync`.

Edit the notebook, not this file.
"""


import textwrap

import numpy as np
import torch

from ssl_lib.training import augmentation
from ssl_lib.training.augmentation import paste, random_affine, random_appearance, random_boxes
from ssl_lib.training.losses import cross_entropy, dice_squared_all, one_hot, segmentation_loss
from ssl_lib.training.batches import TwoStreams, generator_at
from ssl_lib.training.study import Study
from ssl_lib.models.teacher import gaussian_ramp, make_teacher, update_teacher
from ssl_lib.training.loop import StepOutput


def supervised_plain_step(networks, batch, moment):
    logits = networks.student(augmentation.standardise(batch.images))
    return StepOutput({"supervised": segmentation_loss(logits, batch.labels)})


def supervised_step(networks, batch, moment):
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes
    )
    loss = segmentation_loss(networks.student(images), labels)
    return StepOutput({"supervised": loss}, {"images": images, "labels": labels})


def two_views(unlabelled, teacher, generator, flip_axes=()):
    moved, _ = random_affine(unlabelled, None, generator, flip_axes=flip_axes)
    with torch.no_grad():
        target = teacher(augmentation.standardise(moved)).float().softmax(dim=1)
    view = random_appearance(moved, generator)
    boxes = random_boxes(view.shape[2:], len(view), generator, view.device)
    return paste(view.roll(1, 0), view, boxes), paste(target.roll(1, 0), target, boxes)


def consistency_loss(logits, target):
    return (logits.float().softmax(dim=1) - target).square().mean()


def mean_teacher_step(networks, batch, moment):
    settings, generator = moment.settings, moment.generator
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, generator, flip_axes=settings.flip_axes
    )
    supervised = segmentation_loss(networks.student(images), labels)
    view, target = two_views(batch.unlabelled, networks.teacher, generator, settings.flip_axes)
    consistency = consistency_loss(networks.student(view), target)
    ramp = gaussian_ramp(moment.iteration, settings.ramp * moment.iterations)
    weight = settings.consistency_weight * ramp
    losses = {"supervised": supervised, "consistency": weight * consistency}
    return StepOutput(losses, {"view": view, "target": target})
