"""From a scan's voxels to what a network is shown, and from its answer back to the scan's file.

A scan is read with its axes to the right, front and top (`reading`), and normalised. Then slices
may become the first axis (a 2D task), or blocks of voxels their mean (`downsampling`).
Every step is undone here, so that a predicted file lies on the voxels of its scan.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped, UInt8
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    ornt_transform,
)
from torch import Tensor
from torch.nn import functional

from ssl_lib.data.cohort import Case
from ssl_lib.data.downsampling import block_means, smaller
from ssl_lib.data.nifti_bytes import length_unit, nifti_bytes, nifti_kind
from ssl_lib.data.reading import Volume
from ssl_lib.utils.atomic import not_ours, write_atomically
from ssl_lib.utils.errors import InputError

THICK = 3.0
"""Slices this many times as far apart as their voxels are wide are learnt singly, in 2D."""
FEW_SLICES = 16
"""Fewer slices than this are learnt singly: a volume of them is hardly more than one patch deep."""


def slice_axis(shapes: Iterable[Sequence[int]], spacings: Iterable[Sequence[float]]) -> int | None:
    """The axis across the slices if scans like these are to be learnt slice by slice, else None.

    Judged by medians over the scans: slices are learnt singly if they lie `THICK` times as far
    apart as voxels within them, or if there are fewer than `FEW_SLICES`. Networks know nothing of
    millimetres: to a cubic kernel ten thick slices are a short stack of strangers.
    """
    shape = np.median(np.array(list(shapes)), axis=0)
    spacing = np.median(np.array(list(spacings), dtype=float), axis=0)
    across = int(spacing.argmax())
    if spacing[across] >= THICK * np.delete(spacing, across).max():
        return across
    fewest = int(shape.argmin())
    return fewest if shape[fewest] < FEW_SLICES else None


@dataclass(frozen=True)
class Geometry:
    """How scans are shown to a network: slice by slice along `axis` (2D) or as volumes (axis None),
    each axis of a volume divided by its factor."""

    axis: int | None = None
    factors: tuple[int, int, int] = (1, 1, 1)

    @property
    def dimensions(self) -> Literal[2, 3]:
        """2 if slices are learnt singly, else 3."""
        return 3 if self.axis is None else 2

    def shown(self, volume: Volume) -> Float32[np.ndarray, "..."]:
        """The normalised image as a network sees it: (slice, height, width) or (x, y, z), behind an
        axis of channels if there are several.

        NaN becomes the lowest value. Raises `InputError` for an image with infinite values or a
        single value.
        """
        shown = [
            block_means(image, self.factors) if max(self.factors) > 1 else self.turned(image)
            for image in volume.images()
        ]
        return shown[0] if len(shown) == 1 else np.stack(shown)

    def turned(self, array: Shaped[np.ndarray, "x y z"]) -> Shaped[np.ndarray, "*space"]:
        """An array with its slices first where slices are learnt singly."""
        return (
            array if self.axis is None else np.ascontiguousarray(np.moveaxis(array, self.axis, 0))
        )

    def turned_sizes(self, sizes: Sequence[float]) -> tuple[float, ...]:
        """Voxel sizes in the same order of axes."""
        if self.axis is None:
            return tuple(sizes)
        return sizes[self.axis], *(s for i, s in enumerate(sizes) if i != self.axis)

    def shown_sizes(self, sizes: Sequence[float]) -> tuple[float, ...]:
        """Voxel sizes (mm along x, y, z) of a scan as a network is shown it."""
        return self.turned_sizes([mm * n for mm, n in zip(sizes, self.factors, strict=True)])

    def case(self, case: Case) -> Case:
        """A scan that was read whole, with its label, as a network is to see it."""
        if self.axis is None:
            return smaller(case, self.factors) if max(self.factors) > 1 else case
        label = None if case.label is None else self.turned(case.label)
        spacing = self.turned_sizes(case.spacing)
        image, *others = map(self.turned, case.channels)
        further = np.stack(others) if others else None
        axes = case.axes and case.axes[self.axis] + case.axes.replace(case.axes[self.axis], "")
        return replace(case, image=image, label=label, spacing=spacing, further=further, axes=axes)

    def classes(
        self, probabilities: Float32[Tensor, "class *space"], shape: Sequence[int]
    ) -> UInt8[np.ndarray, "x y z"]:
        """The most probable class of every voxel of a scan of that shape (x, y, z).

        Probabilities of downsampled scans are interpolated linearly between the centres of the
        blocks; voxels that fill no whole block at the end take the class of their neighbour.
        """
        if self.axis is not None:
            found = probabilities.argmax(dim=0).byte().cpu().numpy()
            return np.ascontiguousarray(np.moveaxis(found, 0, self.axis))
        if max(self.factors) == 1:
            return probabilities.argmax(dim=0).byte().cpu().numpy()
        return _spread(probabilities, self.factors, shape)


def _spread(
    probabilities: Float32[Tensor, "class *space"], factors: Sequence[int], shape: Sequence[int]
) -> UInt8[np.ndarray, "x y z"]:
    """Interpolated class by class, so that no more than two volumes are held at once."""
    pairs = zip(probabilities.shape[1:], factors, shape, strict=True)
    size = [count * min(factor, side) for count, factor, side in pairs]
    best = probabilities.new_full(size, -math.inf, dtype=torch.float32)
    winner = torch.zeros_like(best, dtype=torch.uint8)
    for index, one in enumerate(probabilities.float()):
        wide = functional.interpolate(
            one[None, None], size=size, mode="trilinear", align_corners=False
        )[0, 0]
        winner[wide > best] = index
        best = best.maximum(wide)
    rest = [(0, side - have) for side, have in zip(shape, size, strict=True)]
    return np.pad(winner.cpu().numpy(), rest, mode="edge")


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says of the place of its voxels.

    `orientation` is where its axes point (three letters of R, L, A, P, S, I), `placed` whether it
    states that at all. `apart` is how many voxels sform and qform differ where both are valid (the
    sform is used), `unit` the stated unit of length, and `broken_qform` whether the qform is
    invalid and ignored.
    """

    orientation: str
    placed: bool
    apart: float
    unit: str
    broken_qform: bool = False


def header_of(header: nibabel.Nifti1Header) -> Header:
    """What the header of a file says (`Volume.stored`)."""
    affine = header.get_best_affine()
    sform, qform, broken, apart = header.get_sform(coded=True)[0], None, False, 0.0
    try:
        qform = header.get_qform(coded=True)[0]
    except Exception:  # nibabel raises many kinds; with a valid sform nobody needs it
        broken = True
    if sform is not None and qform is not None:
        corners = np.array([[0, 0, 0, 1], [*header.get_data_shape()[:3], 1]]).T
        smallest = min(nibabel.affines.voxel_sizes(affine))
        apart = float(np.abs((sform - qform) @ corners).max() / smallest)
    return Header(
        orientation="".join(nibabel.aff2axcodes(affine)),
        placed=bool(header["qform_code"] > 0 or header["sform_code"] > 0),
        apart=apart,
        unit=length_unit(header),
        broken_qform=broken,
    )


WRITTEN = "ssl_lib prediction "
"""How the description in the header of a written label map begins; a hash of its voxels follows."""


def write_label_map(
    path: Path,
    label: UInt8[np.ndarray, "x y z"],
    scan: Volume,
    values: Sequence[int] | None = None,
) -> Path:
    """Write a label map onto the voxels of its NIfTI scan: same shape, axes, affine and codes.

    `label` has its axes to the right, front and top, as `read_nifti` gives images; `values` are the
    numbers to write for the classes 0, 1, ... (default: those). Voxels are uint8; a fourth axis of
    length 1 is not written. Returns `path`. Raises `InputError` if the name is not that of a NIfTI
    file, if the scan comes from a file of another format, if the shapes differ, and if `path` is
    the scan itself, a link to it, or any file that was not written here or was changed since.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(
            "is no name for a label map", where=path, expected="a name that ends in .nii.gz or .nii"
        )
    if scan.stored is None:
        raise InputError("is no NIfTI file: its label map has another format", where=scan.path)
    _refuse_to_replace(path, scan.path)
    header = scan.stored.copy()
    affine, shape = header.get_best_affine(), header.get_data_shape()[:3]
    back = ornt_transform(axcodes2ornt("RAS"), scan.turn)
    stored = apply_orientation(label if values is None else np.take(values, label), back)
    if stored.shape != shape:
        raise InputError(
            f"the label map has the shape {stored.shape}, its scan {shape}", where=scan.path
        )
    stored = np.ascontiguousarray(stored, dtype=np.uint8)
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, 0
    header["descrip"] = b""
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    content = _with_description(kind(stored, affine, header).to_bytes())
    is_packed = path.name.lower().endswith(".gz")
    write_atomically(path, gzip.compress(content, mtime=0) if is_packed else content)
    return path


def write_new_label_map(
    path: Path, stored: UInt8[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> Path:
    """Write a label map with an affine (voxels to mm, RAS) as NIfTI, for a scan of another format.

    Returns `path`. Raises `InputError` if a file is there that was not written here.
    """
    if not is_own_label_map(path):
        raise not_ours(path)
    image = nibabel.Nifti1Image(stored, affine)
    image.header.set_xyzt_units("mm")
    content = _with_description(image.to_bytes())
    is_packed = path.name.lower().endswith(".gz")
    write_atomically(path, gzip.compress(content, mtime=0) if is_packed else content)
    return path


def _with_description(content: bytes) -> bytes:
    """A file's bytes with a hash of them in the description of the header."""
    header = nifti_kind(content).header_class(content[: _header_size(content)], check=False)
    header["descrip"] = (WRITTEN + hashlib.sha256(content).hexdigest()[:16]).encode()
    return header.binaryblock + content[_header_size(content) :]


def _header_size(content: bytes) -> int:
    return nifti_kind(content).header_class.sizeof_hdr


def _refuse_to_replace(path: Path, scan: Path) -> None:
    """Refuse to write over the scan, over a link, or over anything that was not written here."""
    if path.exists() and scan.exists() and os.path.samefile(path, scan):
        raise InputError(
            "is the scan itself: the label map would replace it",
            where=path,
            expected="another file for the label map",
            fix="choose another name or folder for the output",
        )
    if not is_own_label_map(path):
        raise not_ours(path)


def is_own_label_map(path: Path) -> bool:
    """Whether nothing is there, or a label map as `write_label_map` has written it: neither its
    voxels nor its header were changed since."""
    if path.is_symlink():
        return False
    if not path.exists():
        return True
    try:
        content = nifti_bytes(path)
        header = nifti_kind(content).header_class(content[: _header_size(content)], check=False)
        header["descrip"] = b""
        plain = header.binaryblock + content[_header_size(content) :]
        return content == _with_description(plain)
    except Exception:  # a damaged file, which is somebody's all the same
        return False
