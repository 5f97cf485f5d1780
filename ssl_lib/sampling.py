"""Batches of patches from scans that lie on the device.

Scans are moved there once. What is drawn at an iteration is a function of (seed, stream, iteration)
alone, so a resumed run needs no state to go on with the very same batches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Integer
from torch import Generator, Tensor

from ssl_lib.cohorts import Case, Cohort
from ssl_lib.errors import InputError

Companions = Mapping[str, Float32[np.ndarray, "channel *space"]]
"""Further images of scans by identity, each as large as its scan: filtered versions, for example.
"""


@dataclass(frozen=True)
class Batch:
    """What one training step sees. Labels are (batch, *space), images (batch, 1, *space), with
    companions (batch, 1 + k, *space): channel 0 is the scan itself."""

    images: Float[Tensor, "labelled channel *space"]
    labels: Integer[Tensor, "labelled *space"]
    unlabelled: Float[Tensor, "unlabelled channel *space"]


def derived_seed(*parts: object) -> int:
    """A 63-bit seed that depends on every part; the same parts give the same seed everywhere."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def generator_at(device: torch.device | str, *parts: object) -> Generator:
    """A generator on the device, seeded from the parts (seed, purpose, iteration, ...)."""
    return Generator(device=device).manual_seed(derived_seed(*parts))


class Patches:
    """Scans on the device, cut into random patches; 2D stacks are split into their slices.

    `companions` are further images of each scan, by identity: they become its channels 1 to k.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        dimensions: int,
        patch: tuple[int, ...],
        device: torch.device,
        companions: Companions | None = None,
    ) -> None:
        pairs = [(_with_companions(case, companions), case.label) for case in cases]
        if dimensions == 2:
            pairs = [
                (image[:, i], None if label is None else label[i])
                for image, label in pairs
                for i in range(image.shape[1])
            ]
        self.patch, self.device = patch, device
        self.images = [_padded_channels(image, patch, device) for image, _ in pairs]
        self.labels = [_padded(label, patch, device) for _, label in pairs if label is not None]

    def __len__(self) -> int:
        return len(self.images)

    def draw(
        self, size: int, seed: int, stream: str, iteration: int
    ) -> tuple[Float[Tensor, "batch channel *space"], Integer[Tensor, "batch *space"] | None]:
        """`size` patches: scans in reshuffled epochs, places uniform over the scan."""
        order = self._order(size, seed, stream, iteration)
        random = np.random.default_rng(derived_seed(seed, stream, "place", iteration))
        corners = [
            [
                int(random.integers(0, s - p + 1))
                for s, p in zip(image.shape[1:], self.patch, strict=True)
            ]
            for image in (self.images[i] for i in order)
        ]
        images = self._stack(self.images, order, corners)
        return images, self._stack(self.labels, order, corners) if self.labels else None

    def _stack(self, scans: list[Tensor], order: list[int], corners: list[list[int]]) -> Tensor:
        """One patch of each scan in the order given, from its corner on."""
        return torch.stack(
            [
                scans[i][(..., *(slice(c, c + p) for c, p in zip(corner, self.patch, strict=True)))]
                for i, corner in zip(order, corners, strict=True)
            ]
        )

    def _order(self, size: int, seed: int, stream: str, iteration: int) -> list[int]:
        """Scan numbers of this batch: an endless row of shuffled epochs, cut into batches."""
        numbers = []
        for position in range(iteration * size, (iteration + 1) * size):
            epoch, place = divmod(position, len(self))
            numbers.append(_shuffled(len(self), seed, stream, epoch)[place])
        return numbers


@lru_cache(maxsize=64)
def _shuffled(count: int, seed: int, stream: str, epoch: int) -> list[int]:
    """The scan numbers of one epoch in their order."""
    random = np.random.default_rng(derived_seed(seed, stream, "epoch", epoch))
    return random.permutation(count).tolist()


def _with_companions(
    case: Case, companions: Companions | None
) -> Float32[np.ndarray, "channel *space"]:
    """The scan and its companions as channels."""
    if not companions:
        return case.image[None]
    others = companions.get(case.identity)
    if others is None or others.shape[1:] != case.image.shape:
        raise InputError(
            "there are no companions" if others is None else f"the companions are {others.shape}",
            where=f"scan {case.identity!r}",
            expected=f"k images of the shape {case.image.shape} for every training scan",
        )
    return np.concatenate([case.image[None], others.astype(np.float32)])


def _padded_channels(
    image: np.ndarray, patch: tuple[int, ...], device: torch.device
) -> Float[Tensor, "channel *space"]:
    """Each channel padded with its own minimum."""
    return torch.stack([_padded(channel, patch, device) for channel in image])


def _padded(array: np.ndarray, patch: tuple[int, ...], device: torch.device) -> Tensor:
    """The scan on the device, padded evenly to the patch (its minimum, or background)."""
    tensor = torch.tensor(np.ascontiguousarray(array))  # a copy: the array is read-only
    missing = [max(0, p - s) for p, s in zip(patch, tensor.shape, strict=True)]
    margins = [side for m in reversed(missing) for side in (m // 2, m - m // 2)]
    fill = tensor.min().item() if tensor.is_floating_point() else 0
    return F.pad(tensor, margins, value=fill).to(device)


class TwoStreams:
    """Labelled and unlabelled patches side by side, as every semi-supervised method wants them.

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
        companions: Companions | None = None,
    ) -> None:
        self.sizes, self.seed, self.device = (labelled, unlabelled), seed, device
        how = (cohort.dimensions, patch, device, companions)
        self.labelled = Patches(cohort.labelled, *how)
        self.unlabelled = Patches(cohort.unlabelled if unlabelled else (), *how)
        for stream, wanted in ((self.labelled, labelled), (self.unlabelled, unlabelled)):
            if wanted and not len(stream):
                raise InputError(
                    f"cohort {cohort.name!r} has no scan for one of the two streams",
                    expected="at least one labelled and one unlabelled scan",
                    fix="ask for fewer labelled scans",
                )

    def at(self, iteration: int) -> Batch:
        """The batch of this iteration: a function of the seed and the iteration alone."""
        images, labels = self.labelled.draw(self.sizes[0], self.seed, "labelled", iteration)
        if not self.sizes[1]:
            return Batch(images, labels, images[:0])
        unlabelled, _ = self.unlabelled.draw(self.sizes[1], self.seed, "unlabelled", iteration)
        return Batch(images, labels, unlabelled)
