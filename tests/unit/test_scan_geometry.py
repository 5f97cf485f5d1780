"""Where patches come from: turned scans, crops with a margin, and grey levels left alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from ssl_lib.data.cohort import Case
from ssl_lib.training.augmentation import inner_grid, random_affine, standardise
from ssl_lib.training.batches import Patches
from ssl_lib.training.geometry import (
    Cut,
    as_seen,
    margins,
    moved,
    published_cut,
    random_turns,
    rotated,
    unmoved,
)
from ssl_lib.training.loop import Moment
from ssl_lib.utils.errors import InputError

CPU = torch.device("cpu")
SPACE, PATCH = (11, 14, 7), (6, 6, 4)


class Whole:
    """A scan whose voxels are all different."""

    def __init__(self, space: tuple[int, ...]):
        self.space = space
        self.tensor = torch.arange(int(np.prod(space))).view(1, *space).float()

    def cut(self, place: tuple[slice, ...]) -> torch.Tensor:
        return self.tensor[(slice(None), *place)]


def settings(geometry: str = "ours", **more: object) -> SimpleNamespace:
    return SimpleNamespace(**{"geometry": geometry, "margin": 0.0, "flip_axes": (), **more})


def moment(chosen: SimpleNamespace, seed: int = 0) -> Moment:
    return Moment(0, 10, torch.Generator().manual_seed(seed), chosen)


def test_a_published_patch_is_the_crop_of_the_turned_and_mirrored_scan():
    scan, random = Whole(SPACE), np.random.default_rng(0)
    corners = set()
    for _ in range(1000):
        cut = published_cut(SPACE, PATCH, random)
        whole = torch.rot90(scan.tensor, cut.quarters, (1, 2)).flip(1 + cut.mirror)
        patch = cut.of(scan)
        assert patch.shape == (1, *PATCH)
        ((_, *corner),) = (whole == patch[0, 0, 0, 0]).nonzero().tolist()
        place = [slice(c, c + side) for c, side in zip(corner, PATCH, strict=True)]
        assert torch.equal(whole[(slice(None), *place)], patch)
        last = [side - length for side, length in zip(whole.shape[1:], PATCH, strict=True)]
        assert all(c < most for c, most in zip(corner, last, strict=True))  # never the last place
        corners.add((whole.shape, *corner))
    # 11 - 6, 14 - 6, 7 - 4 places; as many with the first two sides exchanged
    assert len({c[1:] for c in corners if c[0][1] == 11}) > 100
    assert {tuple(s[0][1:]) for s in corners} == {(11, 14, 7), (14, 11, 7)}


def test_volumes_are_always_turned_and_slices_by_a_half_and_a_quarter():
    random = np.random.default_rng(0)
    volumes = [published_cut(SPACE, PATCH, random) for _ in range(400)]
    assert {(cut.quarters, cut.mirror) for cut in volumes} == {
        (k, axis) for k in range(4) for axis in range(2)
    }
    assert not any(cut.degrees for cut in volumes)
    slices = [published_cut((9, 9), (8, 8), random) for _ in range(4000)]
    mirrored = np.mean([cut.mirror is not None for cut in slices])
    turned = [cut.degrees for cut in slices if cut.degrees]
    assert mirrored == pytest.approx(0.5, abs=0.03)
    assert len(turned) / 4000 == pytest.approx(0.25 * 39 / 40, abs=0.03)
    assert min(turned) == -20 and max(turned) == 19
    assert not any(cut.degrees and cut.mirror is not None for cut in slices)


def cases(dimensions: int) -> list[Case]:
    random = np.random.default_rng(1)
    shapes = [(3, 20, 26), (2, 22, 24)] if dimensions == 2 else [(20, 26, 12), (22, 24, 10)]
    return [
        Case(
            str(i), str(i), random.normal(size=s).astype(np.float32), (1.0,) * 3,
            random.integers(0, 3, s).astype(np.uint8),
        )
        for i, s in enumerate(shapes)
    ]  # fmt: skip


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_published_batches_carry_their_labels_along_and_repeat(dimensions, stored):
    patch = (16, 16, 8)[:dimensions]
    scans = [
        Case(c.case_id, c.patient, c.label.astype(np.float32), c.spacing, c.label)
        for c in cases(dimensions)
    ]
    source = Patches(scans, dimensions, patch, CPU, geometry="published", stored=stored)
    for iteration in range(6):
        images, labels = source.draw(5, 0, "labelled", iteration)
        assert images.shape == (5, 1, *patch)
        assert torch.equal(images[:, 0].round().byte(), labels)
        again, _ = source.draw(5, 0, "labelled", iteration)
        assert torch.equal(images, again)
    other, _ = source.draw(5, 0, "labelled", 7)
    assert not torch.equal(other, images)


def test_a_slice_is_rotated_about_its_centre_and_what_enters_is_background():
    image = torch.zeros(2, 1, 41, 61) - 1
    image[:, :, 20, 10:51] = 3.0
    labels = (image[:, 0] > 0).byte()
    moved_image, moved_labels = rotated(image, labels, [0, 19])
    assert torch.equal(moved_image[0], image[0]) and torch.equal(moved_labels[0], labels[0])
    assert torch.equal((moved_image[1, 0] > 0).byte(), moved_labels[1])
    rows, columns = moved_labels[1].nonzero().double().T
    slope = np.polyfit(columns - 30, rows - 20, 1)
    assert abs(np.degrees(np.arctan(slope[0]))) == pytest.approx(19, abs=1.5)
    assert slope[1] == pytest.approx(0, abs=0.5)
    assert moved_image.min() == -1 and set(moved_image.unique().tolist()) == {-1.0, 3.0}


def test_a_patch_that_changes_its_shape_when_turned_is_refused():
    with pytest.raises(InputError, match="another shape after a quarter turn"):
        Patches(cases(3), 3, (8, 16, 8), CPU, geometry="published")
    with pytest.raises(InputError, match="unknown geometry 'publishd'"):
        Patches(cases(3), 3, (8, 8, 8), CPU, geometry="publishd")


def test_a_margin_shows_the_scan_around_the_patch_and_repeats_its_edge_beyond():
    scan = Whole((9, 8))
    place = (slice(2, 6), slice(0, 4))
    wide = Cut(place, (2, 3)).of(scan)
    assert wide.shape == (1, 8, 10)
    index = [torch.arange(0, 8), torch.arange(-3, 7).clamp_min(0)]
    assert torch.equal(wide[0], scan.tensor[0][index[0]][:, index[1]])
    assert torch.equal(wide[:, 2:6, 3:7], scan.cut(place))
    assert margins((8, 16), 0.25) == (2, 4) and margins((8, 16), 0) == ()


@pytest.mark.parametrize("space", [(24, 16), (16, 24, 16)])
def test_the_middle_of_a_larger_crop_is_moved_as_the_patch_alone_would_be(space):
    """Voxels whose source lies inside the patch are the same; the rest now are real ones."""
    wide = torch.randn(3, 1, *[2 * side for side in space])
    for _ in range(3):
        wide = functional.avg_pool2d(wide, 3, 1, 1) if len(space) == 2 else (
            functional.avg_pool3d(wide, 3, 1, 1))  # fmt: skip
    middle = [slice(side // 2, side // 2 + side) for side in space]
    alone, _ = random_affine(wide[(..., *middle)], None, torch.Generator().manual_seed(0))
    inner, _ = random_affine(wide, None, torch.Generator().manual_seed(0), inner=space)
    close = (alone - inner).abs() < 1e-4
    assert 0.55 < close.float().mean() < 0.99


def share_outside(patch: tuple[int, ...], margin: float, draws: int = 40) -> float:
    """The share of a moved patch's voxels that come from outside what was cut."""
    size = tuple(side + 2 * m for side, m in zip(patch, margins(patch, margin), strict=True)) if (
        margin) else patch  # fmt: skip
    images = torch.zeros(draws, 1, *size)
    grid = inner_grid(images, torch.Generator().manual_seed(0), (20.0, 0.15, 0.08), (0,), patch)
    return float((grid.abs() > 1).any(-1).float().mean())


def test_hardly_a_voxel_comes_from_outside_a_crop_with_a_margin():
    patch = (28, 28, 20)  # the atrium's in the same proportions
    today, wide = share_outside(patch, 0.0), share_outside(patch, 0.25)
    assert 0.15 < today < 0.35
    assert wide < 0.01
    slices = [share_outside((32, 32), margin) for margin in (0.0, 0.25)]
    assert slices[0] > 0.08 and slices[1] < 0.002


def test_no_organ_at_the_edge_of_a_scan_is_called_background():
    scan = Case(
        "0", "0", np.ones((40, 40, 40), np.float32), (1.0,) * 3, np.ones((40,) * 3, np.uint8)
    )
    chosen = settings(patch=(16, 16, 16), margin=0.25)
    source = Patches([scan], 3, (16, 16, 16), CPU, margin=0.25)
    for iteration in range(5):
        images, labels = source.draw(4, 0, "labelled", iteration)
        assert images.shape == (4, 1, 24, 24, 24)
        images, labels = moved(images, labels, moment(chosen, iteration))
        assert images.shape == (4, 1, 16, 16, 16) and labels.min() == 1


def test_the_patch_without_its_margin_is_the_one_without_a_margin():
    narrow = Patches(cases(3), 3, (16, 16, 8), CPU).draw(4, 0, "labelled", 3)
    wide = Patches(cases(3), 3, (16, 16, 8), CPU, margin=0.25).draw(4, 0, "labelled", 3)
    found = unmoved(*wide, settings(patch=(16, 16, 8), margin=0.25))
    assert all(torch.equal(a, b) for a, b in zip(narrow, found, strict=True))


def test_only_our_geometry_moves_and_standardises_patches():
    images, labels = torch.randn(2, 1, 16, 16), torch.randint(0, 2, (2, 16, 16))
    for name in ("published", "unmoved"):
        same = moved(images, labels, moment(settings(name)))
        assert same[0] is images and same[1] is labels
        assert as_seen(images, settings(name)) is images
    ours = moved(images, labels, moment(settings()))
    expected = random_affine(images, labels, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))
    assert torch.equal(as_seen(images, settings()), standardise(images))


@pytest.mark.parametrize(("space", "ways"), [((6, 6, 3), 8), ((6, 4, 3), 4), ((6, 6), 8)])
def test_a_patch_is_laid_down_in_every_way_that_fits_its_shape(space, ways):
    image = torch.arange(float(np.prod(space))).view(1, 1, *space).repeat(200, 1, *[1] * len(space))
    images, labels = random_turns(image, image[:, 0].int(), torch.Generator().manual_seed(0))
    assert torch.equal(images[:, 0].int(), labels)
    assert len({tuple(one.flatten().tolist()) for one in images}) == ways
    assert torch.equal(images.flatten(1).sort().values, image.flatten(1))
