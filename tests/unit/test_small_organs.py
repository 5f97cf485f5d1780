"""Where organs are small, a share of the labelled patches holds one; elsewhere nothing changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from format_scans import write_folder
from organ_scans import write_organs, write_oriented
from tiny_study import CPU

from ssl_lib.config import FOREGROUND, settings_for
from ssl_lib.data.cohort import Case
from ssl_lib.data.load import load_cohort
from ssl_lib.methods import METHODS
from ssl_lib.training.batches import Patches
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError

PATCH = {2: (8, 8), 3: (8, 8, 8)}


def speck(seed: int, shape: tuple[int, ...] = (40, 36, 32)) -> Case:
    """A scan with a speck of 3 voxels a side, of class 1 or 2, at the edge or inside."""
    random = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    corner = [int(random.integers(0, side - 2)) for side in shape]
    label[tuple(slice(c, c + 3) for c in corner)] = 1 + seed % 2
    image = random.normal(size=shape).astype(np.float32) + 3 * label
    return Case(f"s{seed}", f"p{seed}", image, (1.0,) * 3, label)


def held(patches: Patches, draws: int = 60, size: int = 6) -> np.ndarray:
    """How many of the patches hold an organ, by their place in the batch."""
    labels = [patches.draw(size, 0, "labelled", number)[1] for number in range(draws)]
    return np.mean([(one.flatten(1) > 0).any(dim=1).numpy() for one in labels], axis=0)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.25])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_third_of_the_patches_holds_the_organ(dimensions, margin, stored):
    cases = [speck(seed) for seed in range(4)]
    options = {"stored": stored, "margin": margin}
    shares = held(Patches(cases, dimensions, PATCH[dimensions], CPU, foreground=1 / 3, **options))
    assert (shares[-2:] == 1).all() and shares[:4].mean() < 0.5
    anywhere = Patches(cases, dimensions, PATCH[dimensions], CPU, **options)
    with_share = Patches(cases, dimensions, PATCH[dimensions], CPU, foreground=1 / 3, **options)
    for iteration in range(5):  # the other patches are those that they were
        images, _ = anywhere.draw(6, 0, "labelled", iteration)
        others, _ = with_share.draw(6, 0, "labelled", iteration)
        assert (images[:4] == others[:4]).all()


def test_the_organ_lies_anywhere_in_its_patch():
    label = np.zeros((40, 36, 32), np.uint8)
    label[18:21, 18:21, 15:18] = 1
    patches = Patches([replace(speck(3), label=label)], 3, PATCH[3], CPU, foreground=1.0)
    labels = [patches.draw(4, 0, "labelled", number)[1] for number in range(60)]
    where = np.concatenate([np.argwhere(one.numpy() > 0)[:, 1:] for one in labels])
    assert where.min(axis=0).max() == 0 and where.max(axis=0).min() == 7


def test_scans_smaller_than_the_patch_and_without_an_organ_go_through():
    small = speck(0, (6, 36, 5))
    empty = replace(speck(1), label=np.zeros((40, 36, 32), np.uint8))
    shares = held(Patches([small, empty], 3, PATCH[3], CPU, foreground=0.5))
    assert (shares[-3:] == 1).all()
    assert held(Patches([empty], 3, PATCH[3], CPU, foreground=0.5)).max() == 0


def test_published_patches_lie_anywhere():
    with pytest.raises(InputError, match="foreground"):
        Patches([speck(0)], 3, PATCH[3], CPU, geometry="published", foreground=0.5)


def test_own_scans_with_small_organs_say_what_is_done(tmp_path):
    def write(part: Path, name: str, seed: int) -> None:
        case = speck(seed)
        voxels = case.label if part.name == "labelsTr" else case.image
        write_oriented(part / f"{name}.nii.gz", voxels)

    cohort = load_cohort(str(write_folder(tmp_path / "mine", write)), 2)
    assert cohort.small_organs and "Organs fill 0.06\u00a0%" in cohort.caveat
    settings = settings_for("smoke", cohort)
    assert settings.foreground == FOREGROUND
    study = Study(cohort, settings, "smoke", 0, CPU)
    done = study.train(METHODS["mean_teacher"])
    assert study.score(done)["parameters"]["foreground"] == FOREGROUND
    assert study.with_overrides({"foreground": 0.0}).settings.foreground == 0


def test_other_scans_are_trained_as_they_were(tmp_path):
    cohort = load_cohort(str(write_organs(tmp_path / "mine")), 2)
    assert not cohort.small_organs and "Organs fill" not in cohort.caveat
    assert settings_for("smoke", cohort).foreground == 0
