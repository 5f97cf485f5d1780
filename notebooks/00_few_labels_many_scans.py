# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Few labels, many scans

# %% tags=["parameters"]
DATASET = "phantom"  # phantom, phantom_3d, hippocampus, la2018, acdc, or a folder of NIfTI files
PROFILE = "quick"  # smoke (tests), quick (laptop), gpu, paper
N_LABELLED = 4  # scans whose labels training may see
SEED = 0  # initial weights, batches and augmentation
DATA_DIR = "data"  # where downloaded data sets lie
RESULTS_DIR = "reports/results"  # where result files are written and read
RUNS_DIR = "build/runs"  # where trainings are stored and found again

# %% tags=["setup"]
import torch

from ssl_lib.augmentation import paste, random_affine, random_appearance, random_boxes
from ssl_lib.augmentation import standardise, strong_augmentation
from ssl_lib.losses import segmentation_loss
from ssl_lib.teacher import gaussian_ramp
from ssl_lib.training import StepOutput


# %% tags=["definition"]
def supervised_plain_step(networks, batch, moment):
    logits = networks.student(standardise(batch.images))
    return StepOutput({"supervised": segmentation_loss(logits, batch.labels)})


# %% tags=["definition"]
def supervised_step(networks, batch, moment):
    images, labels = strong_augmentation(
        batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes
    )
    loss = segmentation_loss(networks.student(images), labels)
    return StepOutput({"supervised": loss}, {"images": images, "labels": labels})


# %% tags=["definition"]
def two_views(unlabelled, teacher, generator, flip_axes=()):
    moved, _ = random_affine(unlabelled, None, generator, flip_axes=flip_axes)
    with torch.no_grad():
        target = teacher(standardise(moved)).float().softmax(dim=1)
    view = random_appearance(moved, generator)
    boxes = random_boxes(view.shape[2:], len(view), generator, view.device)
    return paste(view.roll(1, 0), view, boxes), paste(target.roll(1, 0), target, boxes)


# %% tags=["definition"]
def consistency_loss(logits, target):
    return (logits.float().softmax(dim=1) - target).square().mean()


# %% tags=["definition"]
def mean_teacher_step(networks, batch, moment):
    settings, generator = moment.settings, moment.generator
    images, labels = strong_augmentation(
        batch.images, batch.labels, generator, flip_axes=settings.flip_axes
    )
    view, target = two_views(batch.unlabelled, networks.teacher, generator, settings.flip_axes)
    logits = networks.student(torch.cat([images, view]))
    labelled, unlabelled = logits.split([len(images), len(view)])
    ramp = gaussian_ramp(moment.iteration, settings.ramp * moment.iterations)
    losses = {
        "supervised": segmentation_loss(labelled, labels),
        "consistency": settings.consistency_weight * ramp * consistency_loss(unlabelled, target),
    }
    return StepOutput(losses, {"view": view, "target": target, "student": unlabelled})
