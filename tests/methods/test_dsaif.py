"""Structure-aware filtering: what must hold for every image, in 2D and 3D, and for the step."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from types import SimpleNamespace

import higra
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import area_closing, area_opening
from torch import Generator, nn

from ssl_lib.data import cache as filter_cache
from ssl_lib.data.cohort import Case
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.methods import classic, dsaif
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import gaussian_ramp
from ssl_lib.training.augmentation import random_affine, random_appearance, random_boxes
from ssl_lib.training.batches import Batch, Patches
from ssl_lib.training.loop import Moment
from ssl_lib.training.losses import cross_entropy, segmentation_loss
from ssl_lib.training.method import parameters_of
from ssl_lib.utils.errors import InputError

F = dsaif.filter_levels

SHAPES = st.one_of(
    st.tuples(st.integers(2, 9), st.integers(2, 9)),
    st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(2, 5)),
)
KINDS = st.sampled_from(["max", "min"])
AREAS = st.integers(1, 12)
SEEDS = st.integers(0, 2**31)
quickly = settings(max_examples=40, deadline=None)


def random_levels(shape: tuple[int, ...], seed: int, count: int | None = None) -> np.ndarray:
    """Noise, or smooth hills with noise: few levels give plateaus, many give chains."""
    rng = np.random.default_rng(seed)
    count = count or int(rng.integers(2, 40))
    noise = rng.normal(size=shape)
    hills = ndimage.gaussian_filter(noise, rng.uniform(0, 1.5))
    spread = np.ptp(hills) or 1.0
    return np.floor((hills - hills.min()) / spread * (count - 1e-9)).astype(np.int32)


# --- an oracle that knows no tree: all components of all thresholds


def components(levels: np.ndarray, kind: str, touching: str) -> list[tuple[np.ndarray, int]]:
    """Every distinct component as (mask, level), small ones first."""
    sign = 1 if kind == "max" else -1
    rank = 1 if touching == "sides" else levels.ndim
    structure = ndimage.generate_binary_structure(levels.ndim, rank)
    found = {}
    for threshold in np.unique(sign * levels):
        islands, count = ndimage.label(sign * levels >= threshold, structure)
        for number in range(1, count + 1):
            mask = islands == number
            found[mask.tobytes()] = (mask, int(sign * (sign * levels)[mask].min()))
    return sorted(found.values(), key=lambda node: node[0].sum())


def slow_filter(levels, kind="max", *, area=1, simplify=True, touching="corners") -> np.ndarray:
    """The definition to the letter, one node after the other."""
    nodes = components(levels, kind, touching)
    root = len(nodes) - 1
    kept = [i for i, (mask, _) in enumerate(nodes) if mask.sum() >= area or i == root]

    def parent(i: int) -> int:
        return next(j for j in kept if j > i and (nodes[j][0] >= nodes[i][0]).all())

    if simplify:
        parents = [parent(i) for i in kept if i != root]
        kept = [i for i in kept if i == root or parents.count(parent(i)) > 1]
    out = np.empty_like(levels)
    for i in reversed(kept):
        out[nodes[i][0]] = nodes[i][1]
    return out


@settings(max_examples=120, deadline=None)
@given(SHAPES, SEEDS, KINDS, AREAS, st.booleans(), st.sampled_from(["corners", "sides"]))
def test_the_filter_is_the_definition_bit_for_bit(shape, seed, kind, area, simplify, touching):
    levels = random_levels(shape, seed)
    options = {"area": area, "simplify": simplify, "touching": touching}
    np.testing.assert_array_equal(F(levels, kind, **options), slow_filter(levels, kind, **options))


@quickly
@given(SHAPES, SEEDS, AREAS)
def test_the_area_step_alone_is_an_area_opening_and_closing(shape, seed, area) -> None:
    # The oracle wants inner pixels, and has no root to keep.
    assume(min(shape) > 2 and area <= np.prod(shape))
    levels, touching = random_levels(shape, seed), len(shape)
    opened = area_opening(levels, area, connectivity=touching)
    closed = area_closing(levels, area, connectivity=touching)
    np.testing.assert_array_equal(F(levels, "max", area=area, simplify=False), opened)
    np.testing.assert_array_equal(F(levels, "min", area=area, simplify=False), closed)


@pytest.mark.parametrize(
    ("signal", "bright", "dark"),
    [
        ([0, 0, 1, 2, 3, 2, 1, 0, 0], [0] * 9, [0, 0, 3, 3, 3, 3, 3, 0, 0]),
        ([0, 3, 1, 4, 0, 2, 5, 6, 0], [0, 3, 1, 4, 0, 2, 2, 2, 0], [0, 3, 1, 5, 2, 2, 5, 6, 0]),
    ],
)
def test_hand_made_signals(signal, bright, dark) -> None:
    assert F(np.array(signal), "max").tolist() == bright
    assert slow_filter(np.array(signal), "min").tolist() == F(np.array(signal), "min").tolist()
    if signal[1]:
        assert F(np.array(signal), "min").tolist() == dark


# --- what both steps together guarantee


@quickly
@given(SHAPES, SEEDS, AREAS)
def test_max_never_brightens_and_min_never_darkens(shape, seed, area) -> None:
    levels = random_levels(shape, seed)
    assert (F(levels, "max", area=area) <= levels).all()
    assert (F(levels, "min", area=area) >= levels).all()


@quickly
@given(SHAPES, SEEDS, KINDS, AREAS)
def test_a_second_pass_changes_nothing(shape, seed, kind, area) -> None:
    once = F(random_levels(shape, seed), kind, area=area)
    np.testing.assert_array_equal(F(once, kind, area=area), once)


@quickly
@given(SHAPES, SEEDS, AREAS)
def test_the_min_tree_is_the_max_tree_of_the_negative(shape, seed, area) -> None:
    levels = random_levels(shape, seed)
    np.testing.assert_array_equal(
        F(levels, "min", area=area), 255 - F(255 - levels, "max", area=area)
    )


@quickly
@given(SHAPES, SEEDS, KINDS, AREAS)
def test_increasing_maps_of_grey_levels_commute(shape, seed, kind, area) -> None:
    levels = random_levels(shape, seed)
    brighter = np.cumsum(np.random.default_rng(seed).integers(1, 9, levels.max() + 1))
    np.testing.assert_array_equal(
        F(brighter[levels], kind, area=area), brighter[F(levels, kind, area=area)]
    )


@quickly
@given(SHAPES, SEEDS, KINDS, AREAS)
def test_flips_quarter_turns_and_axis_swaps_commute(shape, seed, kind, area) -> None:
    levels, run = random_levels(shape, seed), partial(F, kind=kind, area=area)
    moves = [partial(np.flip, axis=axis) for axis in range(len(shape))]
    moves += [partial(np.rot90, k=k, axes=(0, len(shape) - 1)) for k in (1, 2, 3)]
    moves += [lambda x: np.moveaxis(x, 0, -1)]
    for move in moves:
        np.testing.assert_array_equal(run(move(levels)), move(run(levels)))


def neighbours(levels: np.ndarray, out: np.ndarray):
    """Differences between all pairs of touching pixels, before and after."""
    levels, out = levels.astype(int), out.astype(int)
    for step in product((-1, 0, 1), repeat=levels.ndim):
        here = tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(step, levels.shape, strict=1))
        there = tuple(
            slice(max(0, -s), n + min(0, -s)) for s, n in zip(step, levels.shape, strict=1)
        )
        yield levels[here] - levels[there], out[here] - out[there]


@quickly
@given(SHAPES, SEEDS, KINDS, AREAS)
def test_no_edge_is_new_and_none_is_inverted(shape, seed, kind, area) -> None:
    levels = random_levels(shape, seed)
    for before, after in neighbours(levels, F(levels, kind, area=area)):
        assert not after[before == 0].any()
        assert (before * after >= 0).all()


def test_a_kept_edge_may_grow() -> None:
    before = np.array([0, 2, 3, 2, 4, 2, 0])
    assert F(before).tolist() == [0, 0, 3, 0, 4, 0, 0]


def tree_of(levels: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Number of children of each inner node, and which have none."""
    tree, _ = dsaif.component_tree(levels, kind)
    parents = tree.parents()[tree.num_leaves() : -1] - tree.num_leaves()
    children = np.bincount(parents, minlength=tree.num_vertices() - tree.num_leaves())
    return children, children == 0


@quickly
@given(SHAPES, SEEDS, KINDS)
def test_no_only_child_is_left_and_every_extremum_stays(shape, seed, kind) -> None:
    levels = random_levels(shape, seed)
    before, after = tree_of(levels, kind)[1], tree_of(F(levels, kind), kind)
    single = before.sum() == 1  # one summit: flattened to the root's level
    assert not (after[0] == 1).any()
    assert after[1].sum() == before.sum()
    assert len(after[0]) <= 2 * before.sum() - 1 if not single else len(after[0]) == 1


@quickly
@given(SHAPES, SEEDS, AREAS)
def test_no_new_grey_level_and_the_root_keeps_its_own(shape, seed, area) -> None:
    levels = random_levels(shape, seed)
    for kind, extreme in (("max", np.min), ("min", np.max)):
        out = F(levels, kind, area=area)
        assert set(np.unique(out)) <= set(np.unique(levels))
        assert extreme(out) == extreme(levels)


@quickly
@given(SHAPES, SEEDS, KINDS)
def test_one_hill_becomes_flat_and_no_step_is_no_change(shape, seed, kind) -> None:
    grid = np.indices(shape)
    top = [np.random.default_rng(seed).integers(0, side) for side in shape]
    hill = -sum(np.abs(axis - place) for axis, place in zip(grid, top, strict=True))
    hill = hill if kind == "max" else -hill
    assert np.ptp(F(hill, kind)) == 0
    levels = random_levels(shape, seed)
    np.testing.assert_array_equal(F(levels, kind, area=1, simplify=False), levels)


def test_order_of_steps_and_of_trees_matters() -> None:
    crumbs = np.array([0, 1, 0, 1, 1, 0])
    assert F(crumbs, area=2).tolist() != F(F(crumbs), area=2, simplify=False).tolist()
    signal = np.array([0, 3, 1, 4, 0, 2, 5, 6, 0])
    assert F(F(signal, "max"), "min").tolist() != F(F(signal, "min"), "max").tolist()


def test_it_is_not_increasing_so_it_is_no_opening() -> None:
    lower = np.array([0, 3, 1, 4, 0])
    higher = np.array([0, 3, 3, 4, 0])
    assert (lower <= higher).all() and not (F(lower) <= F(higher)).all()


def test_connectivity_joins_corners_unless_asked_otherwise() -> None:
    corner = np.array([[2, 0], [0, 3]])
    assert F(corner).tolist() == [[0, 0], [0, 0]]
    assert F(corner, touching="sides").tolist() == corner.tolist()
    degrees = {2: (8, 4), 3: (26, 6)}
    for n, (corners, sides) in degrees.items():
        for touching, expected in (("corners", corners), ("sides", sides)):
            graph = dsaif.pixel_graph((3,) * n, touching)
            assert graph.degree(3**n // 2) == expected


def test_the_root_alone_is_left_when_everything_is_small() -> None:
    levels = random_levels((5, 6), 1)
    assert (F(levels, area=1000) == levels.min()).all()
    assert (F(levels, "min", area=1000) == levels.max()).all()


# --- from scans to levels and back


@quickly
@given(SHAPES, SEEDS, st.integers(2, 1000), st.floats(1e-3, 1e6), st.floats(-1e6, 1e6))
def test_levels_are_whole_cover_the_range_and_come_back(shape, seed, count, scale, shift) -> None:
    image = shift + scale * np.random.default_rng(seed).normal(size=shape)
    assume(np.ptp(image) > 0)
    whole, (low, step) = dsaif.to_levels(image, count)
    assert whole.min() == 0 and whole.max() == count - 1 and whole.dtype.kind == "u"
    assert np.abs(low + step * whole - image).max() <= 0.5 * step * (1 + 1e-6)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e30])
def test_a_constant_image_stays_as_it_is(value) -> None:
    for kind in ("max", "min"):
        image = np.full((4, 5), value, np.float32)
        np.testing.assert_array_equal(dsaif.filter_image(image, kind, area=3), image)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.array([[0.0, np.nan], [1, 2]]), "1 pixels are NaN"),
        (np.array([[0.0, np.inf], [1, -np.inf]]), "2 pixels are NaN or infinite"),
        (np.zeros((1, 8)), "at least 2 pixels along each axis"),
        (np.zeros((8, 8, 1)), "leave out axes of one pixel"),
        (np.zeros((2, 2, 2, 2)), r"shape \(2, 2, 2, 2\)"),
        (np.zeros((0, 4)), "at least 2 pixels"),
        (np.array([[0.0, 1e300], [1, 2]]), "overflow"),
        (np.array([[-1.7e308, 1.7e308], [1, 2]]), "overflow"),
    ],
)
def test_what_has_no_tree_is_refused_with_a_reason(image, words) -> None:
    with pytest.raises(InputError, match=words):
        dsaif.filter_image(image)


@pytest.mark.parametrize("count", [1, 0, -5, 2**16 + 1])
def test_a_number_of_levels_that_makes_no_sense_is_refused(count) -> None:
    with pytest.raises(InputError, match="2 to 65536"):
        dsaif.to_levels(np.eye(3), count)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int64, np.float16, bool])
def test_any_kind_of_number_is_filtered_without_overflow(dtype) -> None:
    image = np.eye(6, dtype=dtype)
    if dtype == np.int64:
        image = image * np.iinfo(np.int64).max - np.eye(6, dtype=dtype)[::-1] * 2**62
    if dtype == np.int16:
        image = image * 32767 - np.eye(6, dtype=dtype)[::-1] * 32767
    out = dsaif.filter_image(image, "min")
    assert out.dtype == np.float32 and (out >= image.astype(np.float64) - np.ptp(out) / 255).all()


def test_fractions_are_refused_where_whole_levels_are_wanted() -> None:
    with pytest.raises(InputError, match="to_levels"):
        F(np.eye(3))


def test_a_stack_is_filtered_slice_by_slice_and_a_volume_as_a_whole() -> None:
    image = np.random.default_rng(0).normal(size=(3, 8, 9)).astype(np.float32)
    stack, volume = (dsaif.filter_scan(image, n, area=3) for n in (2, 3))
    assert stack.shape == volume.shape == (2, 3, 8, 9) and stack.dtype == np.float32
    for number, kind in enumerate(("max", "min")):
        slices = [dsaif.filter_image(part, kind, area=3) for part in image]
        np.testing.assert_array_equal(stack[number], slices)
        np.testing.assert_array_equal(volume[number], dsaif.filter_image(image, kind, area=3))
    assert (stack != volume).any()


def test_the_threshold_is_a_share_of_the_patch_and_never_less_than_two() -> None:
    assert dsaif.area_threshold((96, 96, 96)) == 50
    assert dsaif.area_threshold((8, 8, 8)) == 2
    assert dsaif.area_threshold((128, 128)) == pytest.approx(4 * dsaif.area_threshold((64, 64)))


# --- the control: blurs that change as much


def hills(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth bright and dark places with noise on them."""
    noise = np.random.default_rng(seed).normal(size=(2, *shape))
    return (ndimage.gaussian_filter(noise[0], 2) + 0.1 * noise[1]).astype(np.float32)


def mean_changes(versions: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Mean absolute change of the scan in each of its versions."""
    return np.abs(versions - image).reshape(len(versions), -1).mean(1)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 3), st.integers(2, 6), st.integers(12, 24), SEEDS, st.integers(1, 9))
def test_a_blur_changes_as_much_as_its_filter_or_as_much_as_it_can(
    dimensions, depth, side, seed, area
) -> None:
    image = hills((depth, side, side + 3), seed)
    wanted, found = (
        mean_changes(make(image, dimensions, area=area), image)
        for make in (dsaif.filter_scan, dsaif.blur_scan)
    )
    within = tuple(range(3 - dimensions, 3))
    most = np.abs(image - image.mean(within, keepdims=True)).mean()
    reached = wanted < 0.9 * most
    np.testing.assert_allclose(found[reached], wanted[reached], rtol=0.01)
    assert (found <= 1.01 * wanted).all()


def test_on_the_scans_of_notebook_04_every_blur_reaches_its_filter() -> None:
    for scan in phantom_cohort(2, dimensions=2, max_scans=8).labelled:
        filtered, blurred = (
            make(scan.image, 2, area=4) for make in (dsaif.filter_scan, dsaif.blur_scan)
        )
        assert blurred.shape == filtered.shape and blurred.dtype == np.float32
        changes = [mean_changes(versions, scan.image) for versions in (filtered, blurred)]
        np.testing.assert_allclose(*changes, rtol=0.01)
        assert not np.allclose(blurred, filtered)


def test_a_blur_of_a_stack_mixes_no_slices() -> None:
    image = np.broadcast_to(np.arange(4, dtype=np.float32)[:, None, None], (4, 8, 8)).copy()
    np.testing.assert_allclose(dsaif.blur_like(image, image + 1, 2), image, atol=1e-6)
    assert np.abs(dsaif.blur_like(image, image + 0.1, 3) - image).mean() == pytest.approx(0.1)


def test_no_change_is_no_blur_and_more_than_a_blur_can_is_the_widest() -> None:
    image = hills((2, 16, 16), 0)
    assert dsaif.blur_like(image, image, 2) is image
    flat = dsaif.blur_like(image, image + 100, 2)
    assert np.isfinite(flat).all() and np.ptp(flat) < 0.2 * np.ptp(image)


def test_blurred_scans_are_kept_beside_the_filtered_ones(tmp_path) -> None:
    filtered = dsaif.filtered_versions(scans(), 2, tmp_path, area=3)
    blurred = dsaif.filtered_versions(scans(), 2, tmp_path, dsaif.blur_scan, area=3)
    assert len(set(tmp_path.iterdir())) == 4
    for scan in scans():
        found = blurred[scan.case_id]
        np.testing.assert_array_equal(found, dsaif.blur_scan(scan.image, 2, area=3))
        assert (found != filtered[scan.case_id]).any()


# --- filtered once, found again


def scans(count: int = 2) -> list[Case]:
    rng = np.random.default_rng(3)
    images = [rng.normal(size=(2, 8, 8)).astype(np.float32) for _ in range(count)]
    return [
        Case(f"scan {i}", f"scan {i}", image, (1.0, 1.0, 1.0)) for i, image in enumerate(images)
    ]


def test_filtered_scans_are_found_again_and_depend_on_content(tmp_path, monkeypatch) -> None:
    made = dsaif.filtered_versions(scans(), 2, tmp_path, area=3)
    files = set(tmp_path.iterdir())
    assert len(files) == 2
    with monkeypatch.context() as context:
        context.setattr(filter_cache, "write_atomically", None)  # would fail if it were called
        again = dsaif.filtered_versions(scans(), 2, tmp_path, area=3)
    for name, array in made.items():
        np.testing.assert_array_equal(array, again[name])
        assert array.shape == (2, 2, 8, 8)
    other = [replace(scans()[0], image=scans()[0].image + 1)]
    dsaif.filtered_versions(other, 2, tmp_path, area=3)
    dsaif.filtered_versions(scans(), 2, tmp_path, area=4)
    dsaif.filtered_versions(scans(), 3, tmp_path, area=3)
    assert len(set(tmp_path.iterdir())) == 2 + 1 + 2 + 2


def test_a_damaged_file_is_made_anew(tmp_path) -> None:
    def make() -> np.ndarray:
        return np.arange(5)

    filter_cache.made_once(tmp_path, ("x",), make)
    (file,) = tmp_path.iterdir()
    for content in (b"", b"no archive", file.read_bytes()[:-30]):
        file.write_bytes(content)
        np.testing.assert_array_equal(filter_cache.made_once(tmp_path, ("x",), make), make())
    assert filter_cache.made_once(tmp_path, ("x",), lambda: None).tolist() == [0, 1, 2, 3, 4]
    assert filter_cache.made_once(None, ("x",), lambda: 7) == 7


def test_names_tell_types_shapes_and_values_apart() -> None:
    arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.ones(4)]
    parts = [(a,) for a in arrays] + [(arrays[0], 1), (arrays[0], "1"), ("ab", "c"), ("a", "bc")]
    assert len({filter_cache.content_name(*part) for part in parts}) == len(parts)


# --- who sees what, and the step


def generator(seed: int = 1) -> Generator:
    return Generator().manual_seed(seed)


@quickly
@given(st.integers(1, 64), st.floats(0, 1), SEEDS)
def test_two_networks_see_the_scan_both_or_one_version_each(batch, gate, seed) -> None:
    first, second = dsaif.choose_versions(batch, gate, generator(seed), "cpu")
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    assert pairs <= {(0, 0), (1, 2), (2, 1)}
    again = dsaif.choose_versions(batch, gate, generator(seed), "cpu")
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])


@quickly
@given(st.integers(1, 64), st.floats(0, 1), SEEDS)
def test_of_one_filter_both_networks_see_what_network_1_saw_of_two(batch, gate, seed) -> None:
    usual, _ = dsaif.choose_versions(batch, gate, generator(seed), "cpu")
    first, second = dsaif.choose_versions(batch, gate, generator(seed), "cpu", same=True)
    assert torch.equal(first, usual) and torch.equal(second, usual)


def test_the_gate_and_the_swap_are_fair_coins_and_have_their_ends() -> None:
    first, _ = dsaif.choose_versions(4000, 0.5, generator(), "cpu")
    shares = [(first == k).float().mean().item() for k in range(3)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.04)
    assert not dsaif.choose_versions(500, 1.0, generator(), "cpu")[0].any()
    assert dsaif.choose_versions(500, 0.0, generator(), "cpu")[1].all()


def test_picking_takes_each_samples_own_channel() -> None:
    images = torch.arange(12).view(4, 3, 1)
    assert dsaif.pick(images, torch.tensor([0, 2, 1, 0])).flatten().tolist() == [0, 5, 7, 9]
    single = torch.arange(4.0).view(4, 1, 1)
    assert torch.equal(dsaif.pick(single, torch.tensor([0, 2, 1, 0])), single)


@quickly
@given(st.integers(2, 4), SHAPES, SEEDS)
def test_each_network_is_taught_the_others_classes_and_teaches_without_gradient(
    n_classes, shape, seed
) -> None:
    first, second = torch.randn(2, 2, n_classes, *shape, generator=generator(seed))
    first.requires_grad_(True)
    loss, classes = classic.cross_pseudo_loss([first, second])
    assert torch.equal(classes[0], first.argmax(1)) and torch.equal(classes[1], second.argmax(1))
    loss.backward()
    slope = first.grad.clone()
    first.grad = None
    cross_entropy(first, second.argmax(1)).backward()
    assert torch.equal(slope, first.grad)


def test_gamma_standardises_and_leaves_the_order_of_grey_levels() -> None:
    images = torch.randn(6, 1, 7, 8, generator=generator())
    out = dsaif.random_gamma(images, generator())
    assert out.mean((2, 3)).abs().max() < 1e-4
    for before, after in zip(images.flatten(1), out.flatten(1), strict=True):
        assert (after[before.argsort()].diff() >= -1e-6).all()
    changed = [not torch.equal(o, i) for o, i in zip(out, dsaif.standardise(images), strict=True)]
    assert any(changed)


@pytest.fixture(params=[(16, 24), (8, 16, 8)], ids=["2D", "3D"])
def trial(request) -> SimpleNamespace:
    """Two networks without dropout, a batch of scans with auxiliary, and a moment."""
    shape, random = request.param, generator(0)
    pair = [
        build_network("small", dimensions=len(shape), n_classes=3, width=4, seed=seed)
        for seed in (0, 1)
    ]
    for network in pair:
        network.dropout.p = 0.0
    images, unlabelled = torch.randn(2, 4, 3, *shape, generator=random)
    labels = torch.randint(3, (4, *shape), generator=random).byte()
    return SimpleNamespace(
        pair=pair,
        networks=Networks(tuple(pair)),
        batch=Batch(images, labels, unlabelled),
        moment=lambda: Moment(3, 10, generator(1), SimpleNamespace(flip_axes=(0,), ramp=0.3)),
    )


def scans_alone(batch: Batch, channels: int) -> Batch:
    """The identity filter: every channel is the scan itself."""
    parts = (batch.images, batch.unlabelled)
    images, unlabelled = (x[:, :1].expand(-1, channels, *x.shape[2:]).clone() for x in parts)
    return Batch(images, batch.labels, unlabelled)


def plain_cross_pseudo_supervision(trial, *, coins: bool = True) -> dict[str, torch.Tensor]:
    """Written again without versions, gates and channels; the same random numbers are drawn, those
    for DSAIF's `coins`, too."""
    moment, (one, two) = trial.moment(), trial.pair
    random, move = moment.generator, {"flip_axes": (0,)}
    images, labels = random_affine(trial.batch.images[:, :1], trial.batch.labels, random, **move)
    clean, _ = random_affine(trial.batch.unlabelled[:, :1], None, random, **move)

    def two_views(batch):
        if coins:
            torch.rand(len(batch), generator=random), torch.rand(len(batch), generator=random)
        return [random_appearance(batch, random) for _ in range(2)]

    known = two_views(images)
    boxes = random_boxes(images.shape[2:], 4, random, images.device, probability=0.5).bool()
    known = [torch.where(boxes.unsqueeze(1), x.roll(1, 0), x) for x in known]
    labels = torch.where(boxes, labels.roll(1, 0), labels)
    seen = two_views(clean)
    supervised = segmentation_loss(one(known[0]), labels) + segmentation_loss(two(known[1]), labels)
    first, second = one(seen[0]), two(seen[1])
    cross = cross_entropy(first, second.argmax(1)) + cross_entropy(second, first.argmax(1))
    return {"supervised": supervised, "cross": gaussian_ramp(3, 4.0) * cross}


@pytest.mark.parametrize("same", [{}, {"same": True}])
@pytest.mark.parametrize("gate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_identity_filter_is_cross_pseudo_supervision_bit_for_bit(
    trial, gate, channels, same
) -> None:
    expected = plain_cross_pseudo_supervision(trial)
    batch = scans_alone(trial.batch, channels)
    found = dsaif.dsaif_step(trial.networks, batch, trial.moment(), gate=gate, **same).losses
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_step_of_notebook_00b_is_cross_pseudo_supervision_bit_for_bit(trial) -> None:
    expected = plain_cross_pseudo_supervision(trial, coins=False)
    batch = scans_alone(trial.batch, 1)
    found = classic.cross_pseudo_step(trial.networks, batch, trial.moment()).losses
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_closed_gate_is_cross_pseudo_supervision_and_an_open_one_is_not(trial) -> None:
    expected = plain_cross_pseudo_supervision(trial)
    closed, open_ = (
        dsaif.dsaif_step(trial.networks, trial.batch, trial.moment(), gate=gate).losses
        for gate in (1.0, 0.0)
    )
    assert torch.equal(closed["cross"], expected["cross"])
    assert not torch.equal(open_["cross"], expected["cross"])
    assert not torch.equal(open_["supervised"], expected["supervised"])


def test_one_filter_for_both_changes_the_second_network_alone(trial) -> None:
    """With all scans filtered, network 1 sees what it saw; its key is that of DSAIF as before."""
    two, one = (
        dsaif.dsaif_step(trial.networks, trial.batch, trial.moment(), gate=0.0, **choice)
        for choice in ({}, {"same": True})
    )
    for part in ("known", "seen"):
        assert torch.equal(two.maps[part][0], one.maps[part][0])
        assert not torch.equal(two.maps[part][1], one.maps[part][1])
    assert torch.equal(two.maps["classes"][0], one.maps["classes"][0])
    assert "same" not in parameters_of(dsaif.dsaif_step), "a new default is a new run key"


def test_weight_zero_silences_the_unlabelled_scans(trial) -> None:
    losses = dsaif.dsaif_step(trial.networks, trial.batch, trial.moment(), weight=0.0).losses
    sum(losses.values()).backward()
    with_zero = [p.grad.clone() for network in trial.pair for p in network.parameters()]
    trial.networks.student.zero_grad(), trial.networks.students[1].zero_grad()
    losses = dsaif.dsaif_step(trial.networks, trial.batch, trial.moment(), weight=0.0).losses
    losses["supervised"].backward()
    without = [p.grad for network in trial.pair for p in network.parameters()]
    assert losses["cross"] == 0 and all(map(torch.equal, with_zero, without))


def test_both_networks_learn_and_see_one_image_of_each_sample(trial) -> None:
    seen = [[], []]
    for network, calls in zip(trial.pair, seen, strict=True):
        network.register_forward_hook(lambda *call, calls=calls: calls.append(call[1][0]))
    output = dsaif.dsaif_step(trial.networks, trial.batch, trial.moment())
    sum(output.losses.values()).backward()
    for network, calls in zip(trial.pair, seen, strict=True):
        assert [x.shape[:2] for x in calls] == [(4, 1), (4, 1)]
        assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("strong", [True, False])
def test_labels_stay_with_their_voxels_whatever_is_seen(trial, strong) -> None:
    """AuxiliaryChannels that hold the label itself must come out where the label says."""
    batch = trial.batch
    coded = batch.labels.unsqueeze(1).float().expand(-1, 3, *batch.labels.shape[1:]).clone()
    options = {"strong": strong, "gate": 0.0}
    coded = Batch(coded, batch.labels, batch.unlabelled)
    maps = dsaif.dsaif_step(trial.networks, coded, trial.moment(), **options).maps
    for images in maps["known"]:
        means = [images[:, 0][maps["labels"] == k].mean().item() for k in range(3)]
        assert means == sorted(means) and means[2] - means[0] > 0.8


@pytest.mark.parametrize("strong", [True, False])
def test_the_same_moment_gives_the_same_losses(trial, strong) -> None:
    first, second = (
        dsaif.dsaif_step(trial.networks, trial.batch, trial.moment(), strong=strong).losses
        for _ in range(2)
    )
    assert first == second and all(bool(torch.isfinite(loss)) for loss in first.values())


def test_the_first_of_two_supervised_networks_is_the_strong_control(trial) -> None:
    batch = scans_alone(trial.batch, 1)
    control = dsaif.baselines.supervised_step(Networks((trial.pair[0],)), batch, trial.moment())
    control.losses["supervised"].backward()
    expected = [p.grad.clone() for p in trial.pair[0].parameters()]
    trial.pair[0].zero_grad()
    dsaif.supervised_pair_step(trial.networks, batch, trial.moment()).losses[
        "supervised"
    ].backward()
    assert all(
        torch.equal(p.grad, e) for p, e in zip(trial.pair[0].parameters(), expected, strict=True)
    )
    assert all(p.grad is not None for p in trial.pair[1].parameters())


def test_companions_reach_the_networks_where_they_belong() -> None:
    """A patch of a filtered scan is the filtered patch of the library's sampler."""
    (scan,) = scans(1)
    auxiliary = dsaif.filtered_versions([scan], 2, None, area=2)
    patches = Patches([scan], 2, (8, 8), torch.device("cpu"), auxiliary)
    for number, stored in enumerate(held.tensor for held in patches.images):
        np.testing.assert_array_equal(stored[0], scan.image[number])
        for channel, kind in ((1, "max"), (2, "min")):
            expected = dsaif.filter_image(scan.image[number], kind, area=2)
            np.testing.assert_array_equal(stored[channel], expected)


def test_networks_of_any_kind_can_be_the_pair() -> None:
    """The step asks nothing of a network but logits for images of one channel."""
    pair = Networks((nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 3, padding=1)))
    images, labels = torch.randn(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8)
    moment = Moment(0, 10, generator(), SimpleNamespace(flip_axes=()))
    output = dsaif.dsaif_step(pair, Batch(images, labels, images), moment)
    assert torch.isfinite(sum(output.losses.values()))


def test_higra_marks_no_pixel_as_a_component() -> None:
    """Small components vanish with their subtree: a kept node has kept ancestors only."""
    tree, _ = dsaif.component_tree(random_levels((9, 9), 5))
    kept = dsaif.large_nodes(tree, 4)
    parents = tree.parents()
    assert not kept[: tree.num_leaves()].any()
    assert kept[parents[kept]].all()
    assert (higra.attribute_area(tree)[kept] >= 4).all()


@quickly
@given(SHAPES, SEEDS, KINDS, AREAS)
def test_the_kept_nodes_are_those_of_the_filtered_images_own_tree(shape, seed, kind, area) -> None:
    """What is counted is what is left: nodes, the root among them, and nothing else."""
    levels = random_levels(shape, seed)
    tree, _ = dsaif.component_tree(levels, kind)
    kept = dsaif.kept_nodes(tree, area)
    left, _ = dsaif.component_tree(F(levels, kind, area=area), kind)
    assert kept[-1] and kept.sum() == left.num_vertices() - left.num_leaves()
    assert dsaif.kept_nodes(tree, levels.size + 1).sum() == 1


# --- the diagnosis


@quickly
@given(SHAPES, SEEDS)
def test_the_overlap_of_mistakes_has_its_ends_and_no_order(shape, seed) -> None:
    rng = np.random.default_rng(seed)
    first, second, truth = rng.integers(0, 3, (3, *shape))
    overlap = dsaif.error_overlap(first, second, truth)
    assert 0 <= overlap <= 1 or np.isnan(overlap)
    assert overlap == pytest.approx(dsaif.error_overlap(second, first, truth), nan_ok=True)
    if (first != truth).any():
        assert dsaif.error_overlap(first, first, truth) == 1
        assert dsaif.error_overlap(first, truth, truth) == 0
    assert np.isnan(dsaif.error_overlap(truth, truth, truth))
