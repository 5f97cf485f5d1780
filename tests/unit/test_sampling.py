"""Batches: decided by seed and iteration, fair to every scan, cut from the scans as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_lib.data.cohort import Case, Cohort, seal
from ssl_lib.training import batches as sampling
from ssl_lib.training.batches import Batch, Patches, TwoStreams, derived_seed, generator_at
from ssl_lib.utils.errors import InputError

CPU = torch.device("cpu")
MARK = 200


def numbered(count: int, shape: tuple[int, ...], first: int = 0) -> list[Case]:
    """Scans whose every voxel is unlike all others, labelled with their place modulo 3."""
    voxels = int(np.prod(shape))
    return [
        Case(
            case_id=f"scan {first + i}",
            patient=f"patient {first + i}",
            image=(np.arange(voxels) + voxels * (first + i)).reshape(shape).astype(np.float32),
            spacing=(1.0,) * len(shape),
            label=(np.arange(voxels) % 3).reshape(shape).astype(np.uint8),
        )
        for i in range(count)
    ]


def cohort(unlabelled: int = 3, hidden: int = 0, dimensions: int = 3) -> Cohort:
    """Two labelled scans; hidden labels hold `hidden` everywhere."""
    cases = numbered(2 + unlabelled + 2, (6, 7, 8))
    secret = [replace(c, label=np.full(c.image.shape, hidden, np.uint8)) for c in cases[2:]]
    return seal(
        name="numbered",
        dimensions=dimensions,
        class_names=tuple("abc") if hidden < 3 else tuple(map(str, range(MARK + 1))),
        labelled=cases[:2],
        unlabelled=secret[:unlabelled],
        validation=numbered(1, (6, 7, 8), first=90),
        test=secret[unlabelled:],
        spacing_unit="voxel",
        licence="none",
        citation="none",
    )


def streams(seed: int = 0, **changes: object) -> TwoStreams:
    options = {"patch": (4, 4, 4), "labelled": 2, "unlabelled": 3, "seed": seed, "device": CPU}
    return TwoStreams(changes.pop("cohort", None) or cohort(), **{**options, **changes})


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch))


def test_a_batch_is_a_function_of_seed_and_iteration_alone():
    one, two = streams(), streams()
    for iteration in (7, 0, 123, 3):
        torch.manual_seed(iteration)
        np.random.seed(iteration)
        assert same(one.at(iteration), two.at(iteration))
    for iteration in (0, 1, 2):
        one.at(iteration)
    assert same(one.at(7), streams().at(7))
    assert not same(one.at(7), one.at(8))
    assert not same(one.at(7), streams(seed=1).at(7))


def test_the_two_streams_are_drawn_independently_of_each_other():
    few, many = streams(unlabelled=0).at(5), streams(unlabelled=3).at(5)
    assert torch.equal(few.images, many.images) and torch.equal(few.labels, many.labels)


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 9), size=st.integers(1, 7), epochs=st.integers(1, 4))
def test_epochs_visit_every_scan_equally(count, size, epochs):
    patches = Patches(numbered(count, (4, 4, 4)), 3, (4, 4, 4), CPU)
    batches = count * epochs  # size whole passes
    visits = Counter()
    for iteration in range(batches):
        images, _ = patches.draw(size, 0, "labelled", iteration)
        visits.update((images[:, 0, 0, 0, 0] // 64).int().tolist())
    assert visits == dict.fromkeys(range(count), size * epochs)


def test_epochs_are_reshuffled():
    patches = Patches(numbered(8, (2, 2, 2)), 3, (2, 2, 2), CPU)
    orders = [tuple(patches.draw(8, 0, "x", i)[0][:, 0, 0, 0, 0].tolist()) for i in range(4)]
    assert len(set(orders)) == 4


@pytest.mark.parametrize("dimensions", [2, 3])
def test_patches_are_the_scans_voxels_with_their_labels(dimensions):
    cases = numbered(3, (6, 7, 8))
    patch = (4, 3, 5)[3 - dimensions :]
    patches = Patches(cases, dimensions, patch, CPU)
    assert len(patches) == (3 if dimensions == 3 else 18)
    whole = np.stack([case.image for case in cases])
    places = set()
    for iteration in range(30):
        images, labels = patches.draw(4, 0, "labelled", iteration)
        assert images.shape == (4, 1, *patch) and labels.shape == (4, *patch)
        assert images.dtype == torch.float32 and labels.dtype == torch.uint8
        for image, label in zip(images[:, 0].numpy(), labels.numpy(), strict=True):
            corner = np.argwhere(whole == image.flat[0])[0]
            box = tuple(slice(c, c + p) for c, p in zip(corner[-dimensions:], patch, strict=True))
            number = tuple(corner[: 4 - dimensions])
            assert np.array_equal(image, whole[number][box])
            source = cases[number[0]].label[number[1:]]
            assert np.array_equal(label, source[box])
            places.add(tuple(corner[-dimensions:]))
    possible = [s - p + 1 for s, p in zip((6, 7, 8)[-dimensions:], patch, strict=True)]
    assert len(places) > 0.8 * min(np.prod(possible), 50)
    assert np.array_equal(np.max(list(places), axis=0) + 1, possible)


def test_small_scans_are_padded_evenly_with_their_minimum_and_background():
    (case,) = numbered(1, (3, 6, 4), first=5)
    patches = Patches([replace(case, label=np.ones_like(case.label))], 3, (6, 4, 6), CPU)
    images, labels = patches.draw(1, 0, "labelled", 0)
    inside = labels[0].numpy() == 1
    assert inside.sum() == 3 * 4 * 4
    assert inside[1:4, :, 1:5].all()
    assert torch.equal(images[0, 0][labels[0] == 0], torch.full((96,), float(case.image.min())))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_no_label_of_an_unlabelled_scan_is_anywhere_in_a_batch(dimensions):
    changed = cohort(hidden=MARK, dimensions=dimensions)
    assert (changed.sealed.open("scan 2", "teaching picture") == MARK).all()
    options = {"patch": (4, 4, 4)[:dimensions], "labelled": 2, "unlabelled": 3}
    kept = TwoStreams(changed, **options, seed=0, device=CPU)
    plain = TwoStreams(cohort(dimensions=dimensions), **options, seed=0, device=CPU)
    assert kept.unlabelled.labels == [] and kept.labelled.labels != []
    for iteration in range(12):
        batch = kept.at(iteration)
        assert {field.name for field in fields(batch)} == {"images", "labels", "unlabelled"}
        assert batch.labels.max() < 3
        assert same(batch, plain.at(iteration))
        assert batch.images.max() < 2 * 336 <= batch.unlabelled.min()


def test_validation_and_test_scans_are_in_no_stream():
    kept = streams()
    known = {case.image.min() for case in cohort().labelled + cohort().unlabelled}
    held = {float(scan.tensor.min()) for scan in kept.labelled.images + kept.unlabelled.images}
    assert held == known


def test_without_an_unlabelled_stream_the_batch_has_none():
    batch = streams(unlabelled=0).at(0)
    assert len(batch.unlabelled) == 0 and len(batch.images) == 2
    assert len(streams(unlabelled=0, cohort=cohort(unlabelled=0)).at(0).images) == 2


@pytest.mark.parametrize("emptied", ["labelled", "unlabelled"])
def test_a_stream_without_scans_is_refused(emptied):
    with pytest.raises(InputError, match="no scan for one of the two streams"):
        streams(cohort=replace(cohort(), **{emptied: ()}))


def test_drawing_writes_nothing_into_the_scans():
    kept = streams()
    before = [scan.tensor.clone() for scan in kept.labelled.images]
    batch = kept.at(0)
    batch.images.zero_(), batch.labels.zero_()
    after = [scan.tensor for scan in kept.labelled.images]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_seeds_depend_on_every_part():
    parts = [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), ("0", "a", 1), (0, "a1")]
    seeds = {derived_seed(*p) for p in parts}
    assert len(seeds) == len(parts) and all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(0, "a", 1) == derived_seed(0, "a", 1)
    one, two = (torch.rand(3, generator=generator_at("cpu", 1, "x")) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("patch", [4, 10], ids=["smaller than the scans", "larger"])
def test_scans_that_do_not_fit_give_the_same_batches(dimensions, patch, monkeypatch):
    """Wherever they are asked for from: in order, after a resume, or twice."""
    one = cohort(dimensions=dimensions)
    known = {case.case_id: case.image[None] * 2 for case in one.labelled + one.unlabelled}
    options = {"cohort": one, "patch": (patch,) * dimensions, "auxiliary": known}
    held = streams(**options)
    monkeypatch.setattr(sampling, "room_for_scans", lambda device: 100)
    stored = streams(**options)
    assert held.reader is None and stored.reader is not None
    for iteration in (0, 1, 2, 7, 8, 8, 3):
        assert same(held.at(iteration), stored.at(iteration))


def test_of_scans_that_do_not_fit_only_patches_are_read(tmp_path):
    """The scan stays a view of its file: nothing copies it whole."""
    shape = (256, 64, 64)
    image = np.lib.format.open_memmap(tmp_path / "scan.npy", "w+", np.float32, shape)
    image[::128] = 1
    image.flush()
    scan = np.load(tmp_path / "scan.npy", mmap_mode="r")
    patches = Patches([Case("scan", "patient", scan, (1.0,) * 3)], 3, (8, 8, 8), CPU, stored=True)
    drawn, _ = patches.draw(16, 0, "labelled", 0)
    assert drawn.shape == (16, 1, 8, 8, 8)
    assert np.shares_memory(patches.images[0].channels[0], scan)


def test_an_error_while_reading_ahead_is_not_lost(monkeypatch):
    monkeypatch.setattr(sampling, "room_for_scans", lambda device: 0)
    stored = streams()
    stored.at(0)
    stored.coming[1].result()
    monkeypatch.setattr(stored.labelled, "draw", lambda *_: 1 / 0)
    stored.at(1)
    with pytest.raises(ZeroDivisionError):
        stored.at(2)
