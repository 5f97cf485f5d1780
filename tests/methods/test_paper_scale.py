"""The paper's profile in miniature: its network, optimiser, options and windows at tiny sizes.

`make gpu` runs the same code at full size. Here it runs on the CPU, or on a GPU if there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ssl_lib.config import best_device, settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.results import read_results
from ssl_lib.models.ensemble import student_name
from ssl_lib.models.networks import VNet
from ssl_lib.notebook.source import load_method
from ssl_lib.training.loop import Training
from ssl_lib.training.losses import dice_linear
from ssl_lib.training.study import Study, weights_hash

baselines, bcp, umct, aau, dsaif = (
    load_method(name)
    for name in (
        "00_few_labels_many_scans",
        "01_bidirectional_copy_paste",
        "02_uncertainty_co_training",
        "03_anatomically_aware_uncertainty",
        "04_structure_aware_filtering",
    )
)
STRONG = baselines.supervised_step


def miniature(runs: Path | None) -> Study:
    """The left-atrium settings with everything small, on phantoms that go by that name."""
    cohort = replace(phantom_cohort(2, dimensions=3, max_scans=8), name="la2018")
    settings = settings_for("paper", cohort)
    small = replace(
        settings,
        width=2,
        patch=(32, 32, 16),
        warm_up=2,
        schedule=replace(settings.schedule, iterations=2),
        labelled_batch=2,
        unlabelled_batch=2,
        stride=(16, 16, 8),
        looks=1,
    )
    return Study(cohort, small, "paper", 0, best_device(), runs)


def train_bcp(study: Study) -> Training:
    options = {"strong": False, "halves": True, "dice": dice_linear}
    warm_up = partial(bcp.pretraining_step, **options)
    return study.train("bcp", partial(bcp.bcp_step, **options), warm_up=warm_up, teacher=True)


def train_umct(study: Study) -> Training:
    build = partial(umct.view_network, views=umct.views_of(3, 6))
    steps = {"step": umct.umct_step, "warm_up": umct.views_supervised_step}
    return study.ensemble(study.train("umct", **steps, members=6, build=build))


def train_aau(study: Study) -> Training:
    autoencoder = aau.new_autoencoder(study, 128)
    step = partial(aau.aau_step, gamma=1.0, per_class=True)
    frozen = {"autoencoder": autoencoder.requires_grad_(False)}
    return study.train("aau", step, warm_up=STRONG, teacher=True, frozen=frozen)


def train_dsaif(study: Study) -> Training:
    scans = study.cohort.labelled + study.cohort.unlabelled
    companions = dsaif.filtered_companions(scans, 3, None, area=5)
    step = partial(dsaif.dsaif_step, strong=False)
    return study.train("dsaif", step, warm_up=STRONG, members=2, companions=companions)


METHODS: dict[str, Callable[[Study], Training]] = {
    "supervised_strong": lambda study: study.train("strong", STRONG, warm_up=STRONG),
    "mean_teacher": lambda study: study.train(
        "mean teacher", baselines.mean_teacher_step, warm_up=STRONG, teacher=True
    ),
    "bcp": train_bcp,
    "umct": train_umct,
    "aau": train_aau,
    "dsaif": train_dsaif,
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_is_scored_at_the_papers_profile(name, tmp_path):
    study = miniature(tmp_path / "runs")
    training = METHODS[name](study)
    result = study.save("00_any", "la2018", {name: training}, tmp_path)
    (stored,) = read_results(tmp_path, profile="paper")
    assert stored["rows"].keys() == result["rows"].keys() == {name}
    scored = {score["id"] for score in stored["rows"][name]["per_case"]}
    assert scored == {case.identity for case in study.cohort.test}
    assert [row["iteration"] for row in training.history] == [1, 2, 3, 4]
    assert all(np.isfinite(list(row.values())).all() for row in training.history)
    if name != "umct":  # its networks are flat
        assert isinstance(training.networks[student_name(0)], VNet)


def test_a_finished_row_is_found_again_and_not_trained_twice(tmp_path):
    first = METHODS["bcp"](miniature(tmp_path))
    stored = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("run.pt"))
    again = METHODS["bcp"](miniature(tmp_path))
    assert stored == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("run.pt"))
    hashes = [weights_hash(run.networks["student"]) for run in (first, again)]
    assert hashes[0] == hashes[1]
