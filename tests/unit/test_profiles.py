"""Profiles: patches that the network takes, one budget for all rows, and the published one."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch

from ssl_lib import config as profiles
from ssl_lib.config import (
    best_device,
    earlier_settings,
    is_todays,
    quick_settings,
    settings_for,
)
from ssl_lib.data.cohort import Case, Cohort, seal
from ssl_lib.data.load import open_cohort
from ssl_lib.models.networks import SmallUNet, UNet, VNet
from ssl_lib.utils.errors import InputError

DIVISOR = {"small": SmallUNet.divisor, "unet": UNet.divisor, "vnet": VNet.divisor}


def cohort_of(*shapes: tuple[int, ...], name: str = "mine", dimensions: int = 3) -> Cohort:
    """One empty scan of each shape, at least four; the last one is the test scan."""
    cases = [
        Case(f"{i}", f"{i}", np.zeros(s, np.float32), (1.0,) * 3, np.zeros(s, np.uint8))
        for i, s in enumerate(shapes)
    ]
    return seal(
        labelled=cases[:1],
        unlabelled=cases[1:-2],
        validation=cases[-2:-1],
        test=cases[-1:],
        name=name,
        dimensions=dimensions,
        class_names=("background", "organ"),
        spacing_unit="voxel",
        licence="none",
        citation="none",
    )


@pytest.mark.parametrize("profile", ["smoke", "quick", "gpu"])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("shape", [(35, 51, 37), (10, 230, 260), (5, 5, 5), (64, 64, 64)])
def test_patches_are_what_the_network_takes(profile, dimensions, shape):
    settings = settings_for(profile, cohort_of(*[shape] * 4, dimensions=dimensions))
    assert len(settings.patch) == dimensions
    for side, length in zip(settings.patch, shape[-dimensions:], strict=True):
        assert side > 0 and side % DIVISOR[settings.network] == 0
        assert side <= max(length, 8)


def test_the_patch_is_the_median_scans_and_never_one_of_a_giant():
    shapes = [(30, 40, 50), (33, 41, 50), (34, 44, 50), (90, 90, 90), (20, 30, 50)]
    assert settings_for("quick", cohort_of(*shapes)).patch == (32, 40, 48)
    stacks = [(10, 100, 90), (3, 100, 90), (99, 100, 90), (1, 300, 90)]
    assert settings_for("quick", cohort_of(*stacks, dimensions=2)).patch == (96, 88)


def test_mirrored_scans_only_where_a_mirrored_one_could_be_real():
    shapes = [(32, 32, 32)] * 4
    flips = {
        n: settings_for("quick", cohort_of(*shapes, name=n)).flip_axes
        for n in ("hippocampus", "la2018", "mine", "phantom_3d")
    }
    assert flips == {"hippocampus": (0,), "la2018": (0, 1), "mine": (), "phantom_3d": ()}


def test_stored_parameters_are_known_as_todays_or_as_earlier_ones():
    for dimensions in (2, 3):
        chosen = settings_for("quick", cohort_of(*[(40, 40, 40)] * 4, dimensions=dimensions))
        stored = json.loads(json.dumps(asdict(chosen)))
        assert is_todays("quick", stored)
        assert not is_todays("quick", {**stored, "warm_up": chosen.warm_up + 1})
        assert not is_todays("quick", {**stored, "schedule": {**stored["schedule"], "decay": "x"}})
    assert is_todays("gpu", {}) and is_todays("quick", {"alpha": 0.5})


def test_results_of_earlier_settings_say_so():
    settings = json.loads(json.dumps(asdict(quick_settings((64, 64), ()))))
    todays = {"profile": "quick", "parameters": settings}
    before = {"profile": "quick", "parameters": {**settings, "warm_up": 800}}
    assert earlier_settings([todays]) == ""
    assert earlier_settings([todays, before]) == " (earlier settings, 800 + 500 iterations)"


def test_smoke_is_quick_in_small():
    cohort = cohort_of(*[(32, 32, 32)] * 4)
    smoke, quick = settings_for("smoke", cohort), settings_for("quick", cohort)
    different = {f.name for f in fields(quick) if getattr(smoke, f.name) != getattr(quick, f.name)}
    assert different == {"width", "warm_up", "schedule", "looks", "label_curve"}
    assert smoke.warm_up + smoke.schedule.iterations <= 10


def test_the_gpu_profile_alone_cuts_a_margin():
    cohort = cohort_of(*[(32, 32, 32)] * 4)
    found = {p: settings_for(p, cohort) for p in ("smoke", "quick", "gpu")}
    assert {p: s.margin for p, s in found.items()} == {"smoke": 0, "quick": 0, "gpu": 0.25}
    assert {s.geometry for s in found.values()} == {"ours"}


def test_a_result_from_before_a_setting_existed_is_todays():
    chosen = asdict(settings_for("quick", cohort_of(*[(40, 40, 40)] * 4)))
    stored = {k: v for k, v in chosen.items() if k not in ("geometry", "margin", "ramp_every")}
    assert is_todays("quick", stored)
    assert not is_todays("quick", {**stored, "geometry": "published"})


def test_a_warm_up_may_have_a_constant_rate_of_its_own():
    chosen = replace(
        settings_for("paper", cohort_of(*[(32, 32, 32)] * 4, name="la2018")),
        warm_up=6000,
        warm_up_rate=0.007,
    )
    first = chosen.supervised_schedule
    assert {first.rate(i) for i in (0, 2600, 5999)} == {0.007}
    assert chosen.schedule.rate(2600) == pytest.approx(0.001)


@pytest.mark.parametrize("profile", ("smoke", "quick", "gpu"))
def test_the_warm_up_has_the_schedule_of_the_method(profile):
    settings = settings_for(profile, cohort_of(*[(32, 32, 32)] * 4, name="la2018"))
    first = settings.supervised_schedule
    assert first.iterations == settings.warm_up
    assert replace(first, iterations=settings.schedule.iterations) == settings.schedule


@pytest.mark.parametrize(
    ("name", "dimensions", "network", "iterations"),
    [("la2018", 3, "vnet", (2000, 15000)), ("acdc", 2, "unet", (10000, 30000))],
)
def test_the_papers_profile_is_the_published_one(name, dimensions, network, iterations):
    shapes = [(32, 32, 32)] * 4
    cohort = cohort_of(*shapes, name=name, dimensions=dimensions)
    settings = settings_for("paper", cohort)
    assert settings_for("paper_equal", cohort) == settings
    assert settings.geometry == "published" and not settings.margin
    assert settings.network == network
    assert (settings.warm_up, settings.schedule.iterations) == iterations
    assert settings.schedule.optimiser == "sgd" and settings.schedule.rate(0) == 0.01
    assert all(side % DIVISOR[network] == 0 for side in settings.patch)


@pytest.mark.parametrize("name", ["phantom", "hippocampus", "mine"])
def test_no_paper_no_papers_profile(name):
    with pytest.raises(InputError, match=f"no published schedule for '{name}'"):
        settings_for("paper", cohort_of(*[(32, 32, 32)] * 4, name=name))


@pytest.mark.parametrize("profile", ["", "Quick", "fast"])
def test_an_unknown_profile_is_refused(profile):
    with pytest.raises(InputError, match="unknown profile"):
        settings_for(profile, cohort_of(*[(32, 32, 32)] * 4))


def test_the_best_device_is_a_gpu_if_there_is_one():
    assert best_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_quick_shrinks_large_volumes_and_gpu_takes_them_as_they_are(monkeypatch):
    monkeypatch.setitem(profiles.LARGEST_SIDE, "quick", 24)
    quick, gpu = (open_cohort("phantom_3d", profile, 2, None) for profile in ("quick", "gpu"))
    sides = [[max(case.image.shape) for case in cohort.labelled] for cohort in (quick, gpu)]
    assert max(sides[0]) <= 24 < min(sides[1])
    assert max(settings_for("quick", quick).patch) <= 24
