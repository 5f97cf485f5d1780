"""Our metrics beside those of MedPy, MONAI and surface-distance, on the same 200 pairs of masks.

Where definitions agree, numbers must; where they differ (see `metrics`), the difference must
 be the stated one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
import torch
from scipy import ndimage

from ssl_lib.evaluation.metrics import ClassScore, score_class, surface_distances

SHAPES = ((17, 23), (9, 11, 13))
RANDOM_PAIRS = 36
"""Pairs of random masks for each number of axes, beside 64 of degenerate ones."""
CLOSE = {"rel": 1e-5, "abs": 1e-5}
"""MONAI computes in float32."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two masks with the size of their voxels."""

    name: str
    prediction: np.ndarray
    truth: np.ndarray
    spacing: tuple[float, ...]

    @property
    def ours(self) -> ClassScore:
        return score_class(self.prediction, self.truth, spacing=self.spacing)

    @property
    def is_empty(self) -> bool:
        """One of the two holds nothing."""
        return not (self.prediction.any() and self.truth.any())

    @property
    def distances(self) -> tuple[np.ndarray, np.ndarray]:
        return surface_distances(self.prediction, self.truth, spacing=self.spacing)

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As (batch, channel, *space), the way MONAI takes them."""
        return tuple(torch.tensor(m[None, None]).float() for m in (self.prediction, self.truth))


def blob(random: np.random.Generator, shape: tuple[int, ...], share: float) -> np.ndarray:
    """A smooth mask that may touch the border and fall apart."""
    noise = ndimage.gaussian_filter(random.normal(size=shape), 1.2)
    return noise > np.quantile(noise, 1 - share)


def degenerate(random: np.random.Generator, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    masks = {name: np.zeros(shape, bool) for name in ("empty", "voxel", "corner", "slab", "sheet")}
    masks["voxel"][tuple(side // 2 for side in shape)] = True
    masks["corner"][(0,) * len(shape)] = True
    masks["slab"][:3] = True
    masks["sheet"][4] = True
    chequered = np.indices(shape).sum(axis=0) % 2 == 0
    return {**masks, "full": np.ones(shape, bool), "chequered": chequered,
            "blob": blob(random, shape, 0.3)}  # fmt: skip


@lru_cache
def pairs() -> tuple[Pair, ...]:
    random, found = np.random.default_rng(7), []
    for shape in SHAPES:
        for one, two in product(degenerate(random, shape).items(), repeat=2):
            names, masks = zip(one, two, strict=True)
            found.append((f"{len(shape)}D {names[0]} and {names[1]}", *masks))
        for number in range(RANDOM_PAIRS):
            masks = [blob(random, shape, random.uniform(0.02, 0.6)) for _ in range(2)]
            found.append((f"{len(shape)}D random {number}", *masks))
    return tuple(Pair(*one, tuple(random.uniform(0.4, 3.0, one[1].ndim))) for one in found)


def full_pairs() -> Iterator[Pair]:
    return (pair for pair in pairs() if not pair.is_empty)


def empty_pairs() -> Iterator[Pair]:
    return (pair for pair in pairs() if pair.is_empty)


def test_there_are_200_pairs_of_every_kind() -> None:
    assert len(pairs()) == 200 and len({pair.name for pair in pairs()}) == 200
    assert sum(pair.is_empty for pair in pairs()) == 30
    assert all(max(p.spacing) / min(p.spacing) > 1.001 for p in pairs()), "voxels are no cubes"


def test_medpy_scores_alike() -> None:
    medpy = pytest.importorskip("medpy.metric.binary")
    for pair in full_pairs():
        masks, ours = (pair.prediction, pair.truth), pair.ours
        assert ours.dice == pytest.approx(medpy.dc(*masks)), pair.name
        assert ours.jaccard == pytest.approx(medpy.jc(*masks)), pair.name
        assert ours.hd95 == pytest.approx(medpy.hd95(*masks, pair.spacing)), pair.name
        assert ours.asd == pytest.approx(medpy.asd(*masks, pair.spacing)), pair.name


def test_medpy_has_no_distance_to_an_empty_mask() -> None:
    medpy = pytest.importorskip("medpy.metric.binary")
    for pair in empty_pairs():
        for distance in (medpy.hd95, medpy.asd):
            with pytest.raises(RuntimeError):
                distance(pair.prediction, pair.truth, pair.spacing)
        assert math.isnan(pair.ours.hd95) and math.isnan(pair.ours.asd)


def monai_scores(pair: Pair, **options: object) -> dict[str, float]:
    import monai.metrics as monai

    how = {"include_background": True}
    there = {**how, "spacing": list(pair.spacing)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of empty masks
        return {
            "dice": monai.compute_dice(*pair.tensors, **how, **options).item(),
            "jaccard": monai.compute_iou(*pair.tensors, **how, **options).item(),
            "hd95": monai.compute_hausdorff_distance(*pair.tensors, percentile=95, **there).item(),
            "asd": monai.compute_average_surface_distance(*pair.tensors, **there).item(),
        }


def test_monai_scores_alike_but_takes_the_larger_95hd_of_the_two_directions() -> None:
    larger = 0
    for pair in full_pairs():
        monai, ours = monai_scores(pair), pair.ours
        assert monai["dice"] == pytest.approx(ours.dice, **CLOSE), pair.name
        assert monai["jaccard"] == pytest.approx(ours.jaccard, **CLOSE), pair.name
        assert monai["asd"] == pytest.approx(ours.asd, **CLOSE), pair.name
        each = [np.percentile(distances, 95) for distances in pair.distances]
        assert monai["hd95"] == pytest.approx(max(each), **CLOSE), pair.name
        gap = np.diff(np.sort(np.concatenate(pair.distances))).max(initial=0)
        assert monai["hd95"] >= ours.hd95 - gap - 1e-4, pair.name
        larger += monai["hd95"] > ours.hd95 + 1e-3
    assert larger > 50, "the difference is no rounding"


def test_monai_leaves_out_what_we_count_as_missed_or_invented() -> None:
    """Without the truth, MONAI has no Dice and we score an invented organ 0; without a prediction
    it says infinity for the ASD and we say that it is undefined, and count the scan."""
    for pair in empty_pairs():
        monai, ours = monai_scores(pair), pair.ours
        nothing = not pair.prediction.any() and not pair.truth.any()
        assert math.isnan(monai["dice"]) == (not pair.truth.any()), pair.name
        assert math.isnan(ours.dice) if nothing else ours.dice == 0, pair.name
        assert math.isnan(monai["hd95"]) and not math.isfinite(monai["asd"]), pair.name
        assert math.isnan(ours.hd95) and math.isnan(ours.asd), pair.name
        assert ours.empty_prediction == (pair.truth.any() and not pair.prediction.any())
    both = next(p for p in empty_pairs() if not p.prediction.any() and not p.truth.any())
    assert monai_scores(both, ignore_empty=False)["dice"] == 1, "if asked to, it scores 1"


def test_surface_distance_measures_between_corners_of_voxels() -> None:
    """Its surfaces run through the corners where a mask ends, half a diagonal from our voxels at
    most; so the largest distances differ by no more than a voxel's diagonal. Averages are weighted
    by area there, and only near ours."""
    other = pytest.importorskip("surface_distance")
    apart = []
    for pair in full_pairs():
        masks = (pair.truth, pair.prediction)
        assert other.compute_dice_coefficient(*masks) == pytest.approx(pair.ours.dice), pair.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses names that SciPy will drop
            measured = other.compute_surface_distances(*masks, pair.spacing)
        diagonal = float(np.linalg.norm(pair.spacing))
        largest = max(distances.max() for distances in pair.distances)
        theirs = other.compute_robust_hausdorff(measured, 100)
        assert abs(theirs - largest) <= diagonal + 1e-9, pair.name
        _, mean = other.compute_average_surface_distance(measured)
        apart.append(abs(mean - pair.ours.asd) / diagonal)
    assert 0 < np.median(apart) < 0.5
