"""What each profile trains: one table, so that every row of every notebook has the same budget.

`smoke` runs every cell and means nothing; `quick` shows the effect on two CPU cores; `gpu` takes
real scans at their resolution; `paper` follows the published benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from ssl_lib.cohorts import Cohort
from ssl_lib.errors import InputError
from ssl_lib.training import Schedule

PROFILES = ("smoke", "quick", "gpu", "paper")


@dataclass(frozen=True)
class Settings:
    """Everything a training needs besides its cohort, step and seed.

    `warm_up` iterations with labels only come first, then `schedule.iterations` of the method.
    """

    network: Literal["small", "unet", "vnet"]
    width: int
    patch: tuple[int, ...]
    warm_up: int
    schedule: Schedule
    labelled_batch: int = 8
    unlabelled_batch: int = 8
    consistency_weight: float = 10.0
    ramp: float = 0.3
    flip_axes: tuple[int, ...] = ()
    stride: tuple[int, ...] | None = None
    looks: int = 5

    @property
    def supervised_schedule(self) -> Schedule:
        """The same schedule for the warm-up iterations."""
        return replace(self.schedule, iterations=self.warm_up)


SCANS_AT_MOST = {"smoke": 12}
"""Scans that a profile reads (all of them where it is not named)."""


def settings_for(profile: str, cohort: Cohort) -> Settings:
    """The settings of a profile for a cohort. Raises `InputError` for an unknown profile."""
    if profile not in PROFILES:
        raise InputError(
            f"unknown profile {profile!r}", expected=", ".join(PROFILES), fix="set PROFILE to one"
        )
    if profile == "paper":
        return _paper(cohort)
    patch = _patch(cohort, {2: 256, 3: 128} if profile == "gpu" else {2: 96, 3: 64})
    flips = FLIP_AXES.get(cohort.name, ())
    if profile == "gpu":
        schedule = Schedule(iterations=3000, learning_rate=3e-3, teacher_decay=0.99)
        return Settings("small", 32, patch, 1500, schedule, flip_axes=flips)
    batch = {2: 8, 3: 4}[cohort.dimensions]
    iterations = {2: 400, 3: 250}[cohort.dimensions]
    settings = Settings(
        network="small",
        width={2: 16, 3: 12}[cohort.dimensions],
        patch=patch,
        warm_up=iterations,
        schedule=Schedule(iterations=iterations, learning_rate=4e-3),
        labelled_batch=batch,
        unlabelled_batch=batch,
        flip_axes=flips,
    )
    if profile == "smoke":
        tiny = replace(settings.schedule, iterations=4)
        return replace(settings, warm_up=4, schedule=tiny, width=4, looks=2)
    return settings


FLIP_AXES = {"hippocampus": (0,), "la2018": (0, 1)}
"""Axes along which a mirrored scan of that cohort could be a real one."""


def _patch(cohort: Cohort, largest: dict[int, int]) -> tuple[int, ...]:
    """The largest scan's size rounded up to a multiple of 8, capped for each axis."""
    cases = [case for group in cohort.groups.values() for case in group]
    shapes = [case.image.shape[-cohort.dimensions :] for case in cases]
    longest = [max(sides) for sides in zip(*shapes, strict=True)]
    return tuple(min(largest[cohort.dimensions], -(-side // 8) * 8) for side in longest)


def _paper(cohort: Cohort) -> Settings:
    """Network, patch, batch and schedule of the published benchmark of this cohort."""
    if cohort.name == "la2018":
        schedule = Schedule(4000, 0.01, optimiser="sgd", decay="steps", teacher_decay=0.99)
        return Settings(
            network="vnet",
            width=16,
            patch=(112, 112, 80),
            warm_up=2000,
            schedule=schedule,
            labelled_batch=2,
            unlabelled_batch=2,
            consistency_weight=0.1,
            ramp=1.0,
            flip_axes=(0, 1),
            stride=(18, 18, 4),
        )
    if cohort.name == "acdc":
        schedule = Schedule(20000, 0.01, optimiser="sgd", decay="poly", teacher_decay=0.99)
        return Settings(
            network="unet",
            width=16,
            patch=(256, 256),
            warm_up=10000,
            schedule=schedule,
            labelled_batch=12,
            unlabelled_batch=12,
            consistency_weight=0.1,
            ramp=1.0,
            flip_axes=(0, 1),
        )
    raise InputError(
        f"the profile 'paper' has no published schedule for {cohort.name!r}",
        expected="la2018 or acdc",
        fix="use PROFILE=gpu for this cohort",
    )


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
