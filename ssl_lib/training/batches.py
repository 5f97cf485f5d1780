"""Batches of patches from scans that lie on the device.

Scans are moved there once. What is drawn at an iteration is a function of (seed, stream, iteration)
alone, so a resumed run needs no state to go on with the very same batches.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Integer, Shaped
from torch import Generator, Tensor

from ssl_lib.data.cohort import Case, Cohort
from ssl_lib.data.scan_files import room_for_scans
from ssl_lib.training.geometry import (
    Cut,
    Place,
    Scan,
    check_geometry,
    margins,
    published_cut,
    rotated,
    taken,
)
from ssl_lib.utils.errors import InputError

AuxiliaryChannels = Mapping[str, Float32[np.ndarray, "channel *space"]]
"""Further images of scans by case id, each as large as its scan: filtered versions, for example.
"""

Channels = Sequence[Shaped[np.ndarray, "*space"]]
"""The channels of one scan, and of its label map the only one."""


@dataclass(frozen=True)
class Batch:
    """What one training step sees. Labels are (batch, *space), images (batch, c, *space) with the c
    channels of the scans (mostly 1), with auxiliary ones (batch, 1 + k, *space): channel 0 is the
    scan itself."""

    images: Float[Tensor, "labelled channel *space"]
    labels: Integer[Tensor, "labelled *space"]
    unlabelled: Float[Tensor, "unlabelled channel *space"]


def derived_seed(*parts: object) -> int:
    """A 63-bit seed that depends on every part; the same parts give the same seed everywhere."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def generator_at(device: torch.device | str, *parts: object) -> Generator:
    """A generator on the device, seeded from the parts (seed, purpose, iteration, ...)."""
    return Generator(device=device).manual_seed(derived_seed(*parts))


class HeldScan:
    """Channels of one scan on the device, padded to the patch, once and for all."""

    def __init__(self, channels: Channels, patch: tuple[int, ...], device: torch.device) -> None:
        whole = [_padded(channel, patch, _fill(channel)) for channel in channels]
        self.tensor = torch.stack(whole).to(device)
        self.space = tuple(self.tensor.shape[1:])

    def cut(self, place: tuple[slice, ...]) -> Shaped[Tensor, "channel *patch"]:
        return self.tensor[(slice(None), *place)]


class StoredScan:
    """Channels of one scan where they are, in memory or in a file; only patches are read."""

    def __init__(self, channels: Channels, patch: tuple[int, ...]) -> None:
        self.channels, self.patch = channels, patch
        self.fills = [_fill(channel) for channel in channels]
        self.space = tuple(map(max, channels[0].shape, patch))

    def cut(self, place: tuple[slice, ...]) -> Shaped[Tensor, "channel *patch"]:
        pairs = zip(self.channels, self.fills, strict=True)
        return torch.stack([_padded(channel[place], self.patch, fill) for channel, fill in pairs])


class Patches:
    """Random patches of scans; 2D stacks are split into their slices.

    `auxiliary` are further images of each scan, by case id: they become its channels 1 to k.
    Scans lie on the device, unless they are `stored`: then each patch is cut where its scan is.
    `geometry`, `margin` (a share of the patch's sides) and `foreground` (the share of patches that
    hold an organ) are those of the settings.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        dimensions: int,
        patch: tuple[int, ...],
        device: torch.device,
        auxiliary: AuxiliaryChannels | None = None,
        *,
        stored: bool = False,
        geometry: str = "ours",
        margin: float = 0.0,
        foreground: float = 0.0,
    ) -> None:
        check_geometry(geometry, patch)
        if foreground and geometry == "published":
            raise InputError(
                f"a share of {foreground:g} of patches with foreground was asked for",
                expected="0 for the geometry 'published': its patches lie anywhere",
            )
        self.geometry, self.margin = geometry, margins(patch, margin)
        pairs = [(_with_auxiliary(case, auxiliary), case.label) for case in cases]
        if dimensions == 2:
            pairs = [
                ([channel[i] for channel in channels], None if label is None else label[i])
                for channels, label in pairs
                for i in range(len(channels[0]))
            ]
        self.patch, self.device = patch, device
        keep: Callable[[Channels], Scan] = partial(HeldScan, patch=patch, device=device)
        if stored:
            keep = partial(StoredScan, patch=patch)
        self.images = [keep(image) for image, _ in pairs]
        self.labels = [keep([label]) for _, label in pairs if label is not None]
        self.foreground = foreground
        known = [label for _, label in pairs if foreground and label is not None]
        self.organs = [_voxels_of_classes(label) for label in known]

    def __len__(self) -> int:
        return len(self.images)

    def draw(
        self, size: int, seed: int, stream: str, iteration: int
    ) -> tuple[Float[Tensor, "batch channel *space"], Integer[Tensor, "batch *space"] | None]:
        """`size` patches: scans in reshuffled epochs, places uniform over the scan."""
        order = self._order(size, seed, stream, iteration)
        random = np.random.default_rng(derived_seed(seed, stream, "place", iteration))
        places = [
            tuple(
                slice(corner := int(random.integers(0, side - length + 1)), corner + length)
                for side, length in zip(self.images[number].space, self.patch, strict=True)
            )
            for number in order
        ]
        if self.geometry == "published":
            return self._turned(order, seed, stream, iteration)
        places = self._on_organs(order, places, seed, stream, iteration)
        cuts = [Cut(place, self.margin) for place in places] if self.margin else places
        images = self._stack(self.images, order, cuts)
        return images, self._stack(self.labels, order, cuts)[:, 0] if self.labels else None

    def _on_organs(
        self, order: list[int], places: list[Place], seed: int, stream: str, iteration: int
    ) -> list[Place]:
        """The places, the last `foreground` share of them moved onto a voxel of a random class; a
        scan or slice without an organ is replaced by one with it, in `order`, too."""
        having = [number for number, organs in enumerate(self.organs) if organs]
        count = math.ceil(self.foreground * len(order)) if having else 0
        random = np.random.default_rng(derived_seed(seed, stream, "foreground", iteration))
        for position in range(len(order) - count, len(order)):
            if not self.organs[order[position]]:
                order[position] = having[int(random.integers(len(having)))]
            organs = self.organs[order[position]]
            voxels = organs[int(random.integers(len(organs)))]
            voxel = voxels[int(random.integers(len(voxels)))]
            space = self.images[order[position]].space
            places[position] = _around(voxel, space, self.patch, random)
        return places

    def _stack(self, scans: list[Scan], order: list[int], places: Sequence[Place | Cut]) -> Tensor:
        """One patch of each scan in the order given, on the device."""
        patches = [taken(scans[i], place) for i, place in zip(order, places, strict=True)]
        stacked = torch.stack(patches)
        if stacked.device.type != self.device.type:  # pinned: the copy need not be waited for
            stacked = stacked.pin_memory()
        return stacked.to(self.device, non_blocking=True)

    def _turned(
        self, order: list[int], seed: int, stream: str, iteration: int
    ) -> tuple[Float[Tensor, "batch channel *space"], Integer[Tensor, "batch *space"] | None]:
        """Patches of scans that were turned and mirrored before the crop, as published."""
        random = np.random.default_rng(derived_seed(seed, stream, "turn", iteration))
        cuts = [published_cut(self.images[number].space, self.patch, random) for number in order]
        images = self._stack(self.images, order, cuts)
        labels = self._stack(self.labels, order, cuts)[:, 0] if self.labels else None
        return rotated(images, labels, [cut.degrees for cut in cuts])

    def _order(self, size: int, seed: int, stream: str, iteration: int) -> list[int]:
        """Scan numbers of this batch: an endless row of shuffled epochs, cut into batches."""
        numbers = []
        for position in range(iteration * size, (iteration + 1) * size):
            epoch, place = divmod(position, len(self))
            numbers.append(_shuffled(len(self), seed, stream, epoch)[place])
        return numbers


MOST_VOXELS = 10_000
"""Voxels of a class that patches are placed on at most, evenly spread over it."""


def _voxels_of_classes(
    label: Integer[np.ndarray, "*space"],
) -> list[Integer[np.ndarray, "voxel axis"]]:
    """Where the voxels of each class that is there lie, background left out."""
    found = [np.flatnonzero(label == value) for value in np.unique(label) if value > 0]
    some = [flat[:: -(-len(flat) // MOST_VOXELS)] for flat in found]
    return [np.stack(np.unravel_index(flat, label.shape), axis=1) for flat in some]


def _around(
    voxel: Sequence[int] | Integer[np.ndarray, " axis"],
    space: Sequence[int],
    patch: Sequence[int],
    random: np.random.Generator,
) -> Place:
    """A patch inside the scan that holds the voxel, anywhere in it; along an axis on which the scan
    is smaller than the patch there is one place only."""
    place = []
    for at, side, length in zip(voxel, space, patch, strict=True):
        low, high = max(0, int(at) - length + 1), min(int(at), side - length)
        corner = int(random.integers(low, high + 1)) if low <= high else 0
        place.append(slice(corner, corner + length))
    return tuple(place)


@lru_cache(maxsize=64)
def _shuffled(count: int, seed: int, stream: str, epoch: int) -> list[int]:
    """The scan numbers of one epoch in their order."""
    random = np.random.default_rng(derived_seed(seed, stream, "epoch", epoch))
    return random.permutation(count).tolist()


def _with_auxiliary(case: Case, auxiliary: AuxiliaryChannels | None) -> Channels:
    """The channels of the scan and its auxiliary ones."""
    if not auxiliary:
        return case.channels
    others = auxiliary.get(case.case_id)
    if others is None or others.shape[1:] != case.image.shape:
        raise InputError(
            "there are no auxiliary" if others is None else f"the auxiliary are {others.shape}",
            where=f"scan {case.case_id!r}",
            expected=f"k images of the shape {case.image.shape} for every training scan",
        )
    return [*case.channels, *others.astype(np.float32)]


def _fill(channel: np.ndarray) -> float:
    """What is put beside a scan that is smaller than the patch: its minimum, or background."""
    return float(channel.min()) if channel.dtype.kind == "f" else 0


def _padded(array: np.ndarray, patch: tuple[int, ...], fill: float) -> Tensor:
    """The array padded evenly to the patch."""
    tensor = torch.tensor(np.ascontiguousarray(array))  # a copy: the array is read-only
    missing = [max(0, p - s) for p, s in zip(patch, tensor.shape, strict=True)]
    margins = [side for m in reversed(missing) for side in (m // 2, m - m // 2)]
    return F.pad(tensor, margins, value=fill)


class TwoStreams:
    """Labelled and unlabelled patches side by side, as every semi-supervised method wants them.

    Scans that fit lie on the device. Of more than `room_for_scans` a thread cuts the next
    iteration's patches while the device works on this one's; the batches are the same to the bit.
    Raises `InputError` when patches are wanted of a group that has no scan.
    """

    def __init__(
        self,
        cohort: Cohort,
        *,
        patch: tuple[int, ...],
        labelled: int,
        unlabelled: int,
        seed: int,
        device: torch.device,
        auxiliary: AuxiliaryChannels | None = None,
        geometry: str = "ours",
        margin: float = 0.0,
        foreground: float = 0.0,
    ) -> None:
        self.sizes, self.seed, self.device = (labelled, unlabelled), seed, device
        unseen = cohort.unlabelled if unlabelled else ()
        needed = sum(_bytes(case, auxiliary) for case in (*cohort.labelled, *unseen))
        stored = needed > room_for_scans(device)
        cut = partial(Patches, dimensions=cohort.dimensions, patch=patch, device=device)
        cut = partial(cut, geometry=geometry, margin=margin)
        labelled_only = {"auxiliary": auxiliary, "stored": stored, "foreground": foreground}
        self.labelled = cut(cohort.labelled, **labelled_only)
        self.unlabelled = cut(unseen, auxiliary=auxiliary, stored=stored)
        self.reader = ThreadPoolExecutor(1) if stored else None
        self.coming: dict[int, Future[Batch]] = {}
        for stream, wanted in ((self.labelled, labelled), (self.unlabelled, unlabelled)):
            if wanted and not len(stream):
                raise InputError(
                    f"cohort {cohort.name!r} has no scan for one of the two streams",
                    expected="at least one labelled and one unlabelled scan",
                    fix="ask for fewer labelled scans",
                )

    def at(self, iteration: int) -> Batch:
        """The batch of this iteration: a function of the seed and the iteration alone."""
        if self.reader is None:
            return self._cut(iteration)
        ready = self.coming.pop(iteration, None)
        batch = ready.result() if ready else self._cut(iteration)
        self.coming = {iteration + 1: self.reader.submit(self._cut, iteration + 1)}
        return batch

    def close(self) -> None:
        """Stop reading ahead, once a training has ended or failed."""
        if self.reader is not None:
            self.reader.shutdown(cancel_futures=True)
        self.coming.clear()

    def _cut(self, iteration: int) -> Batch:
        images, labels = self.labelled.draw(self.sizes[0], self.seed, "labelled", iteration)
        assert labels is not None
        if not self.sizes[1]:
            return Batch(images, labels, images[:0])
        unlabelled, _ = self.unlabelled.draw(self.sizes[1], self.seed, "unlabelled", iteration)
        return Batch(images, labels, unlabelled)


def _bytes(case: Case, auxiliary: AuxiliaryChannels | None) -> int:
    """What a scan takes on the device, its label and auxiliary included."""
    label = 0 if case.label is None else case.label.nbytes
    more = auxiliary[case.case_id].nbytes if auxiliary and case.case_id in auxiliary else 0
    return sum(channel.nbytes for channel in case.channels) + label + more
