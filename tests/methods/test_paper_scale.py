"""The paper's profile in miniature: its network, optimiser, options and windows at tiny sizes.

`make gpu` runs the same code at full size. Here it runs on the CPU, or on a GPU if there is one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_lib.config import best_device, settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.results import read_results
from ssl_lib.methods import METHODS
from ssl_lib.models.networks import UNet, VNet
from ssl_lib.training import augmentation, geometry
from ssl_lib.training.study import Study, weights_hash

SMALL = {
    "la2018": {"patch": (32, 32, 16), "stride": (16, 16, 8)},
    "acdc": {"patch": (32, 32)},
}
TINY = {
    "width": 2,
    "warm_up": 2,
    "schedule.iterations": 2,
    "labelled_batch": 2,
    "unlabelled_batch": 2,
    "looks": 1,
}


def miniature(runs: Path | None, data: str = "la2018", profile: str = "paper") -> Study:
    """A benchmark's settings with everything small, on phantoms that go by its name."""
    dimensions = len(SMALL[data]["patch"])
    cohort = replace(phantom_cohort(2, dimensions=dimensions, max_scans=8), name=data)
    study = Study(cohort, settings_for(profile, cohort), profile, 0, best_device(), runs)
    return study.with_overrides({**TINY, **SMALL[data]})


def small(name: str):
    """The record of a method whose preparation is as short as its training here."""
    method = METHODS[name]
    if name != "aau":
        return method
    shorter = {
        data: replace(record, prepare_config={**record.prepare_config, "iterations": 2})
        for data, record in method.published.items()
    }
    return replace(method, published=shorter)


NAMES = (
    "supervised_strong",
    "mean_teacher",
    "bcp",
    "bcp_pretraining",
    "umct",
    "ua_mt",
    "aau",
    "dsaif",
)


@pytest.mark.parametrize("data", SMALL)
@pytest.mark.parametrize("name", NAMES)
def test_a_method_trains_and_is_scored_at_the_papers_profile(name, data, tmp_path):
    study = miniature(tmp_path / "runs", data)
    training = study.train(small(name))
    result = study.save("00_any", data, {name: training}, tmp_path)
    (stored,) = read_results(tmp_path, profile="paper")
    assert stored["rows"].keys() == result["rows"].keys() == {name}
    scored = {score["id"] for score in stored["rows"][name]["per_case"]}
    assert scored == {case.case_id for case in study.cohort.test}
    assert [row["iteration"] for row in training.history] == [1, 2, 3, 4]
    assert all(np.isfinite(list(row.values())).all() for row in training.history)
    if name != "umct":  # its networks are anisotropic
        kind = VNet if data == "la2018" else UNet
        assert isinstance(training.networks.student, kind)


def test_a_finished_row_is_found_again_and_not_trained_twice(tmp_path):
    first = miniature(tmp_path).train(METHODS["bcp"])
    stored = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("run.pt"))
    again = miniature(tmp_path).train(METHODS["bcp"])
    assert stored == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("run.pt"))
    hashes = [weights_hash(run.networks.student) for run in (first, again)]
    assert hashes[0] == hashes[1]


UNCHANGED = ("supervised_few", "supervised_weak", "mean_teacher", "bcp", "bcp_pretraining", "umct",
             "ua_mt", "aau", "dsaif", "supervised_all")  # fmt: skip


@pytest.mark.parametrize("profile", ["paper", "paper_equal"])
@pytest.mark.parametrize("name", UNCHANGED)
def test_a_row_as_published_changes_no_grey_level_in_training_or_at_test(
    name, profile, monkeypatch
):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("patches were standardised, or their appearance changed")

    modules = [augmentation, geometry]
    modules += [__import__(f"ssl_lib.methods.{m}", fromlist=["x"]) for m in METHOD_MODULES]
    modules += [__import__("ssl_lib.inference", fromlist=["x"])]
    for module in modules:
        for function in ("standardise", "random_appearance", "random_affine"):
            if hasattr(module, function):
                monkeypatch.setattr(module, function, refuse)
    study = miniature(None, "acdc", profile)
    training = study.train(small(name))
    study.predict(training.networks.student, study.cohort.test)


METHOD_MODULES = ("baselines", "bcp", "umct", "aau", "dsaif")


def test_a_row_in_our_geometry_is_tested_as_it_was_trained():
    study = miniature(None)
    strong = study.train(METHODS["supervised_strong"]).networks.student
    assert study.settings.geometry == "published" and strong.geometry == "ours"
    image = study.cohort.test[0]
    found = [study.probabilities(strong, image) for _ in range(2)]
    strong.geometry = "published"
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], study.probabilities(strong, image))
