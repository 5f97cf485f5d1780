"""Trainings end as they did: the losses of every method against stored ones.

Run keys hold a version of the recipe instead of the code's text, so that moving a line costs no
training. This is the other half of the bargain: whoever changes what a method learns fails here,
raises `RECIPE_VERSION`, and stores the new losses:

    python tests/methods/test_recipe.py [METHOD ...]

Another processor rounds differently, and a pseudo-label at the threshold may turn: of the stored
losses one differed by 0.13 % on a second one. A change of a recipe moves them by more than that.
"""

import json
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from ssl_lib.config import settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.methods import METHODS
from ssl_lib.training.run_key import RECIPE_VERSION
from ssl_lib.training.study import Study

TOLERANCE = 5e-3
STORED = Path(__file__).with_name("recipe.json")
CASES = [(name, n) for name in METHODS for n in (2, 3) if (name, n) != ("umct_six_views", 2)]


def losses(name: str, dimensions: int) -> list[dict[str, float]]:
    """The losses of three iterations of warm-up and four of the method, small and short."""
    cohort = _cohort(dimensions)
    settings = settings_for("smoke", cohort)
    patch = tuple(min(side, 32) for side in settings.patch)
    settings = replace(settings, patch=patch, warm_up=3, looks=1)
    study = Study(cohort, settings, "smoke", 0, torch.device("cpu"))
    history = study.train(METHODS[name]).history
    return [{key: float(f"{value:.7g}") for key, value in row.items()} for row in history]


@lru_cache
def _cohort(dimensions: int):
    return phantom_cohort(2, dimensions=dimensions, max_scans=8)


def stored() -> dict[str, object]:
    return json.loads(STORED.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "dimensions"), CASES)
def test_a_training_loses_what_it_lost(name, dimensions):
    expected = stored()["losses"][f"{name}, {dimensions}D"]
    found = losses(name, dimensions)
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=TOLERANCE, abs=1e-6), "raise RECIPE_VERSION"


def test_the_stored_losses_are_of_this_version():
    assert stored()["version"] == RECIPE_VERSION


if __name__ == "__main__":
    names = sys.argv[1:] or list(METHODS)
    known = stored()["losses"] if sys.argv[1:] else {}
    known |= {f"{name}, {n}D": losses(name, n) for name, n in CASES if name in names}
    text = json.dumps({"version": RECIPE_VERSION, "losses": known}, indent=0, sort_keys=True)
    STORED.write_text(text + "\n", encoding="utf-8")
