"""What each profile trains: one table, so that every row of every notebook has the same budget.

`smoke` runs every cell and means nothing; `quick` takes minutes on two CPU cores; `evening` takes
5 to 30 minutes a row there; `gpu` takes real scans at their resolution; `paper` trains every method
by its own published schedule, and `paper_equal` all of them by the one of bidirectional copy-paste.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    from ssl_lib.data.cohort import Cohort

GeometryName = Literal["ours", "published", "unmoved"]
"""How patches are moved; see `ssl_lib.training.geometry`."""

PROFILES = ("smoke", "quick", "evening", "gpu", "paper_equal", "paper")

PAPER_PROFILES = ("paper_equal", "paper")
"""Profiles that take a data set with a published protocol and follow it."""


def warm_decay(iteration: int, decay: float) -> float:
    """min(1 - 1 / (t + 1), decay) with t from 0: the first update copies the student (UA-MT)."""
    return min(1 - 1 / (iteration + 1), decay)


@dataclass(frozen=True)
class Schedule:
    """Optimiser and learning rate of one training.

    `decay` is how the rate falls: 'cosine' to zero, 'poly' with power 0.9, 'steps' by 10 every 2500
    iterations (the left-atrium benchmark's), or 'none'. `decay_over` is the number of iterations
    after which it has fallen, where that is not where training ends. The teacher's decay rises as
    1 - 1 / (t + 1) to `teacher_decay` with `teacher_warm_up`, and its normalisation statistics are
    averaged with `teacher_buffers`; both as some released codes do.
    """

    iterations: int
    learning_rate: float
    optimiser: str = "adamw"
    decay: str = "cosine"
    weight_decay: float = 1e-4
    teacher_decay: float = 0.97
    decay_over: int | None = None
    teacher_warm_up: bool = False
    teacher_buffers: bool = False

    def rate(self, iteration: int) -> float:
        """Learning rate at an iteration (counted from 0)."""
        done = iteration / max(1, self.decay_over or self.iterations)
        factors = {
            "cosine": 0.5 * (1 + math.cos(math.pi * done)),
            "poly": (1 - done) ** 0.9,
            "steps": 0.1 ** (iteration // 2500),
            "none": 1.0,
        }
        if self.decay not in factors:
            raise InputError(f"unknown decay {self.decay!r}", expected=", ".join(factors))
        return self.learning_rate * factors[self.decay]

    def averaging(self, iteration: int) -> float:
        """What share of itself the teacher keeps at the update of an iteration (from 0)."""
        if self.teacher_warm_up:
            return warm_decay(iteration, self.teacher_decay)
        return self.teacher_decay

    def build(self, networks: Sequence[nn.Module]) -> torch.optim.Optimizer:
        """One optimiser over the weights of all trained networks."""
        weights = [p for network in networks for p in network.parameters()]
        if self.optimiser == "adamw":
            return torch.optim.AdamW(weights, weight_decay=self.weight_decay, fused=True)
        if self.optimiser == "sgd":
            return torch.optim.SGD(weights, momentum=0.9, weight_decay=self.weight_decay, lr=0.01)
        raise InputError(f"unknown optimiser {self.optimiser!r}", expected="'adamw' or 'sgd'")


@dataclass(frozen=True)
class Settings:
    """Everything a training needs besides its cohort, step and seed.

    `warm_up` iterations with labels only come first, then `schedule.iterations` of the method.
    `ramp` is the share of the latter over which the unlabelled weight rises; `looks` is how often
    each stage is validated and leaves a snapshot; `grid` is the common size that slices are resized
    to for the network, and back from (None: as they are); `label_curve` are further numbers of
    labelled scans for which the supervised row is trained.

    `spacing` is the voxel size (mm along the axes of a patch) that scans are resampled to for the
    network, and back from (None: as they are). `foreground` is the share of labelled patches of a
    batch that are placed so that they hold an organ (0: all are placed anywhere, as in published
    benchmarks). `geometry` says how patches are moved and whether
    they are standardised (see `ssl_lib.training.geometry`); `margin` is the share of a patch's
    sides that the crop reaches beyond it on every side, so that a rotation finds real voxels there.
    `ramp_every` makes the unlabelled weight rise in steps of so many iterations, as released. The
    warm-up may have a learning rate of its own (`warm_up_rate`), and hand the optimiser's momentum
    on (`keep_momentum`).

    `test_curve` scores the test scans, too, at every look: an oracle that nothing uses, stored to
    show what choosing the checkpoint by the test set would have been worth.
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
    grid: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None
    foreground: float = 0.0
    label_curve: tuple[int, ...] = ()
    geometry: GeometryName = "ours"
    margin: float = 0.0
    ramp_every: int = 1
    warm_up_rate: float | None = None
    keep_momentum: bool = False
    test_curve: bool = False

    @property
    def supervised_schedule(self) -> Schedule:
        """The same schedule for the warm-up iterations; at a constant rate if it has its own."""
        if self.warm_up_rate is None:
            return replace(self.schedule, iterations=self.warm_up)
        constant = replace(self.schedule, decay="none", learning_rate=self.warm_up_rate)
        return replace(constant, iterations=self.warm_up)


ON_PAPER = ("la2018", "acdc")
"""Data sets for which a schedule is published."""

SCANS_AT_MOST = {"smoke": 12}
"""Scans that a profile reads (all of them where it is not named)."""

LARGEST_SIDE = {"smoke": 64, "quick": 64, "evening": 64}
"""Voxels along an axis of the median volume; larger volumes are downsampled."""


def check_choice(dataset: str, profile: str, n_labelled: int) -> None:
    """Raise `InputError`, naming the parameter, for what no data set could be opened with.

    Called before a file is read: a misspelt profile must not cost a minute of reading.
    """
    if not isinstance(dataset, str) or not dataset.strip():
        raise InputError(
            f"it is {dataset!r}", where="DATASET", expected="a name, or the path of a folder"
        )
    _known_profile(profile)
    if profile in PAPER_PROFILES and dataset not in ON_PAPER:
        raise _not_on_paper(dataset, profile)
    if not isinstance(n_labelled, int) or isinstance(n_labelled, bool) or n_labelled < 1:
        raise InputError(
            f"{n_labelled!r} labelled scans were asked for",
            where="N_LABELLED",
            expected="a whole number from 1",
        )


def _known_profile(profile: str) -> None:
    if profile not in PROFILES:
        near = difflib.get_close_matches(str(profile), PROFILES, n=1)
        raise InputError(
            f"unknown profile {profile!r}",
            where="PROFILE",
            expected=", ".join(PROFILES),
            fix=f"did you mean {near[0]}?" if near else "",
        )


def settings_for(profile: str, cohort: Cohort) -> Settings:
    """The settings of a profile for a cohort. Raises `InputError` for an unknown profile."""
    _known_profile(profile)
    if profile in PAPER_PROFILES:
        return paper_settings(cohort.name, profile)
    foreground = FOREGROUND if cohort.small_organs else 0.0
    settings = _our_settings(profile, cohort)
    return replace(settings, spacing=cohort.common_spacing, foreground=foreground)


FOREGROUND = 1 / 3
"""Share of labelled patches that hold an organ, where organs are small (nnU-Net's share)."""


def _our_settings(profile: str, cohort: Cohort) -> Settings:
    """Those of a profile of this repository, whatever the voxel sizes of the scans."""
    flips = FLIP_AXES.get(cohort.name, ())
    if cohort.name == "acdc":
        return _acdc(profile, flips)
    if profile == "gpu":
        schedule = Schedule(iterations=3000, learning_rate=3e-3, teacher_decay=0.99)
        patch = _patch(cohort, largest={2: 256, 3: 128})
        more: dict[str, Any] = {"flip_axes": flips, "label_curve": CURVE, "margin": MARGIN}
        return Settings("small", 32, patch, 3000, schedule, **more)
    quick = quick_settings(_patch(cohort, largest=LARGEST_PATCH), flips)
    if profile == "quick":
        return quick
    if profile == "evening":
        schedule = replace(quick.schedule, iterations=6000)
        return replace(quick, warm_up=1000, schedule=schedule, looks=10, test_curve=True)
    tiny = replace(quick.schedule, iterations=4)
    return replace(quick, width=4, warm_up=4, schedule=tiny, looks=2, label_curve=(1,))


def overridden(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """Settings with some of them replaced, by dotted names: `{"schedule.learning_rate": 0.01}`.

    Raises `InputError` for a name that no setting has, and for a value of another type.
    """
    for name, value in overrides.items():
        first, _, rest = name.partition(".")
        known = {one.name: getattr(settings, one.name) for one in fields(settings)}
        if first not in known or (rest and not is_dataclass(known[first])):
            near = difflib.get_close_matches(first, known, n=1)
            raise InputError(
                f"there is no setting {name!r}",
                expected=f"one of {', '.join(known)}",
                fix=f"did you mean {near[0]}?" if near else "",
            )
        if rest:
            value = overridden(known[first], {rest: value})
        elif not _same_kind(value, known[first]):
            raise InputError(
                f"the setting {name!r} was given {value!r}",
                expected=f"a value such as {known[first]!r}",
            )
        settings = replace(settings, **{first: value})
    return settings


def _same_kind(value: Any, default: Any) -> bool:
    kinds = (int, float) if isinstance(default, float) else type(default)
    alike = isinstance(value, bool) == isinstance(default, bool)
    return default is None or (isinstance(value, kinds) and alike)


def _acdc(profile: str, flips: tuple[int, ...]) -> Settings:
    """Slices on a common grid: a small network at 64 or 128 voxels a side, the benchmark's U-Net at
    256. Rates are those of the other cohorts, by habit. The teacher's decay at `evening` was chosen
    on validation scans (0.97 or the papers' 0.99, seed 0: both rows are stored)."""
    if profile == "gpu":
        schedule = Schedule(iterations=4000, learning_rate=1e-3, teacher_decay=0.99)
        return Settings(
            network="unet",
            width=16,
            patch=(256, 256),
            warm_up=1000,
            schedule=schedule,
            labelled_batch=12,
            unlabelled_batch=12,
            flip_axes=flips,
            grid=(256, 256),
            label_curve=CURVE,
        )
    if profile == "evening":
        schedule = Schedule(iterations=6000, learning_rate=4e-3, teacher_decay=0.99)
        evening = Settings("small", 16, (128, 128), 1000, schedule, flip_axes=flips)
        return replace(evening, grid=(128, 128), label_curve=CURVE, looks=10, test_curve=True)
    quick = replace(quick_settings((128, 128), flips), grid=(128, 128))
    if profile == "quick":
        return quick
    tiny = replace(quick.schedule, iterations=4)
    small: dict[str, Any] = {
        "width": 4,
        "warm_up": 4,
        "schedule": tiny,
        "looks": 2,
        "label_curve": (1,),
    }
    return replace(quick, patch=(64, 64), grid=(64, 64), **small)


CURVE = (1, 16)
"""Numbers of labelled scans on the label curve, beside the study's own number and all of them."""


MARGIN = 0.25
"""Share of a patch's sides that the profile `gpu` cuts more on each side: with it a rotation by 20
degrees finds nearly all of its voxels in the scan (a test measures it)."""


LARGEST_PATCH = {2: 128, 3: 64}
"""Voxels along an axis of the quick profile's patches, by their dimensions."""


def quick_settings(patch: tuple[int, ...], flips: tuple[int, ...]) -> Settings:
    """A minute or two on two CPU cores for all rows of a notebook together."""
    if len(patch) == 2:
        schedule = Schedule(iterations=500, learning_rate=4e-3)
        return Settings("small", 16, patch, 500, schedule, flip_axes=flips, label_curve=CURVE)
    return Settings(
        network="small",
        width=12,
        patch=patch,
        warm_up=225,
        schedule=Schedule(iterations=225, learning_rate=1e-2),
        labelled_batch=2,
        unlabelled_batch=2,
        flip_axes=flips,
        label_curve=CURVE,
    )


def is_todays(profile: str, parameters: Mapping[str, Any]) -> bool:
    """Whether stored parameters of a run are those that the profile would choose today.

    Only the quick profile has changed since results were stored. What no study wrote is not judged.
    """
    if profile != "quick" or not {"patch", "flip_axes"} <= parameters.keys():
        return True
    chosen = quick_settings(tuple(parameters["patch"]), tuple(parameters["flip_axes"]))
    own: dict[str, Any] = {name: parameters.get(name) for name in ("grid", "spacing")}
    chosen = replace(chosen, **own, foreground=parameters.get("foreground", 0.0))
    return same_settings(chosen, parameters)


def same_settings(settings: Any, stored: Mapping[str, Any]) -> bool:
    """Whether stored parameters are these settings; what was not yet stored had its default."""
    for one in fields(settings):
        now, then = getattr(settings, one.name), stored.get(one.name, one.default)
        if is_dataclass(now):
            if not same_settings(now, then):
                return False
        elif json.loads(json.dumps(now)) != json.loads(json.dumps(then)):
            return False
    return True


def earlier_settings(results: Iterable[Mapping[str, Any]]) -> str:
    """The schedule in words if a result was trained with another one than its profile has today."""
    for result in results:
        settings = result["parameters"]
        if not is_todays(result["profile"], settings):
            iterations = f"{settings['warm_up']} + {settings['schedule']['iterations']} iterations"
            return f" (earlier settings, {iterations})"
    return ""


FLIP_AXES = {"hippocampus": (0,), "la2018": (0, 1), "acdc": ()}
"""Axes along which a mirrored scan of that cohort could be a real one."""


def _patch(cohort: Cohort, largest: dict[int, int]) -> tuple[int, ...]:
    """The median scan's size rounded down to a multiple of 8, at least 8 and capped on each axis.

    A patch as large as the largest scan would be padding for most: small organs then drown in
    background, and training does not start.
    """
    cases = [case for group in cohort.groups.values() for case in group]
    shapes = np.array([cohort.training_size(case) for case in cases])
    sides = np.median(shapes, axis=0).astype(int) // 8 * 8
    return tuple(int(min(largest[cohort.dimensions], max(8, side))) for side in sides)


def paper_settings(dataset: str, profile: str = "paper") -> Settings:
    """Network, patch, batch, geometry and schedule of bidirectional copy-paste on this benchmark:
    LA 2000 + 15000 iterations, ACDC 10000 + 30000.

    In `paper_equal` every row is trained by them; in `paper` they are BCP's own, and what the
    other methods change stands in `ssl_lib.methods.published`. Raises `InputError` for a data set
    without a published protocol.
    """
    shared: dict[str, Any] = {"consistency_weight": 0.1, "ramp": 1.0, "flip_axes": (0, 1)}
    shared |= {"geometry": "published"}
    if dataset == "la2018":
        schedule = Schedule(15000, 0.01, optimiser="sgd", decay="steps", teacher_decay=0.99)
        return Settings(
            network="vnet",
            width=16,
            patch=(112, 112, 80),
            warm_up=2000,
            schedule=schedule,
            labelled_batch=4,
            unlabelled_batch=4,
            stride=(18, 18, 4),
            warm_up_rate=0.01,
            **shared,
        )
    if dataset == "acdc":
        schedule = Schedule(30000, 0.01, optimiser="sgd", decay="none", teacher_decay=0.99)
        return Settings(
            network="unet",
            width=16,
            patch=(256, 256),
            grid=(256, 256),
            warm_up=10000,
            schedule=replace(schedule, teacher_buffers=True),
            labelled_batch=12,
            unlabelled_batch=12,
            keep_momentum=True,
            **shared,
        )
    raise _not_on_paper(dataset, profile)


def _not_on_paper(dataset: str, profile: str) -> InputError:
    return InputError(
        f"the profile {profile!r} has no published schedule for {dataset!r}",
        expected=" or ".join(ON_PAPER),
        fix="use PROFILE=gpu for this cohort",
    )


def best_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
