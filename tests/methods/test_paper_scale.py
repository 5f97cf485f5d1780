"""The paper's profile in miniature: its network, optimiser, options and windows at tiny sizes.

`make gpu` runs the same code at full size. Here it runs on the CPU, or on a GPU if there is one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssl_lib.config import best_device, settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.results import read_results
from ssl_lib.methods import METHODS
from ssl_lib.models.ensemble import student_name
from ssl_lib.models.networks import VNet
from ssl_lib.training.study import Study, weights_hash


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


NAMES = ("supervised_strong", "mean_teacher", "bcp", "umct", "aau", "dsaif")


@pytest.mark.parametrize("name", NAMES)
def test_a_method_trains_and_is_scored_at_the_papers_profile(name, tmp_path):
    study = miniature(tmp_path / "runs")
    training = study.train(METHODS[name])
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
    first = miniature(tmp_path).train(METHODS["bcp"])
    stored = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("run.pt"))
    again = miniature(tmp_path).train(METHODS["bcp"])
    assert stored == sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("run.pt"))
    hashes = [weights_hash(run.networks["student"]) for run in (first, again)]
    assert hashes[0] == hashes[1]
