"""A study that trains in a second, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from ssl_lib.config import Settings
from ssl_lib.data.cohort import Cohort
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.training import study
from ssl_lib.training.augmentation import random_appearance, standardise, strong_augmentation
from ssl_lib.training.batches import AuxiliaryChannels
from ssl_lib.training.loop import Schedule, Step, StepOutput
from ssl_lib.training.losses import segmentation_loss
from ssl_lib.training.method import Method, Prepared
from ssl_lib.training.study import Build, Study

CPU = torch.device("cpu")
RAN = SimpleNamespace(warm_up=0, method=0)
"""How often each step was really executed in this process."""


def tiny_settings(**changes: object) -> Settings:
    options = {
        "network": "small",
        "width": 4,
        "patch": (32, 32),
        "warm_up": 6,
        "schedule": Schedule(iterations=8, learning_rate=3e-3, teacher_decay=0.8),
        "labelled_batch": 2,
        "unlabelled_batch": 2,
        "looks": 2,
    }
    return Settings(**{**options, **changes})


def tiny_study(
    runs_dir: Path | None = None, *, cohort: Cohort | None = None, seed: int = 0, **changes: object
) -> Study:
    """Two labelled and one unlabelled phantom; keywords change the settings."""
    cohort = cohort or phantom_cohort(2, max_scans=6)
    return Study(cohort, tiny_settings(**changes), "smoke", seed, CPU, runs_dir)


def warm_up(networks, batch, moment):
    RAN.warm_up += 1
    images, labels = strong_augmentation(batch.images, batch.labels, moment.generator)
    return StepOutput({"supervised": segmentation_loss(networks.student(images), labels)})


def method(networks, batch, moment):
    RAN.method += 1
    with torch.no_grad():
        target = networks.teacher(standardise(batch.unlabelled)).softmax(dim=1)
    view = networks.student(random_appearance(batch.unlabelled, moment.generator))
    supervised = segmentation_loss(networks.student(standardise(batch.images)), batch.labels)
    consistency = (view.softmax(dim=1) - target).square().mean()
    return StepOutput({"supervised": supervised, "consistency": consistency}, {"target": target})


def row(
    name: str,
    step: Step,
    warm_up: Step = warm_up,
    *,
    networks: int = 1,
    build: Build | None = None,
    frozen: Mapping[str, nn.Module] | None = None,
    auxiliary: AuxiliaryChannels | None = None,
    **more: object,
) -> Method:
    """A record for a toy step; what it needs before training is given instead of prepared."""
    prepared = Prepared(frozen or {}, auxiliary, networks, build)
    return Method(name, step, warm_up, prepare=lambda study: prepared, **more)


def train(made: Study) -> study.Training:
    return made.train(row("tiny", method, teacher=True))


def hashes(done: study.Training) -> str:
    return " ".join(
        f"{name} {study.weights_hash(net)}" for name, net in done.networks.changing.items()
    )
