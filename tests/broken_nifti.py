"""NIfTI files that cannot be right: images and label maps."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from breaking import Broken, a_folder, flipped, group, missing
from tiny_scans import tiny_image, tiny_label, write_nifti

from ssl_lib.data.fingerprint import read_label
from ssl_lib.data.reading import as_image, read_nifti

# --- how scans are broken

FIELDS = {
    "size": (0, "<i"),
    "dim": (40, "<8h"),
    "datatype": (70, "<h"),
    "bitpix": (72, "<h"),
    "pixdim": (76, "<8f"),
    "offset": (108, "<f"),
    "slope": (112, "<f"),
    "codes": (252, "<2h"),
    "rows": (280, "<12f"),
    "magic": (344, "<4s"),
}
"""Where the fields of a NIfTI-1 header stand, and how."""
NO_AFFINE = {"codes": (0, 0)}
"""Then the voxel sizes of `pixdim` alone say where voxels lie."""


def nifti_bytes(voxels: np.ndarray | None = None, **fields: object) -> bytes:
    """A small scan as an unpacked NIfTI-1 file, some fields of its header overwritten."""
    voxels = tiny_image(0) if voxels is None else voxels
    content = bytearray(nibabel.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0])).to_bytes())
    for name, value in fields.items():
        place, form = FIELDS[name]
        struct.pack_into(form, content, place, *(value if isinstance(value, tuple) else (value,)))
    return bytes(content)


def scan(voxels: np.ndarray | None = None, *, cut: int | None = None, **fields: object):
    """Makes `scan.nii`: see `nifti_bytes`; only its first `cut` bytes."""

    def make(folder: Path) -> Path:
        path = folder / "scan.nii"
        path.write_bytes(nifti_bytes(voxels, **fields)[:cut])
        return path

    return make


def packed(change: Callable[[bytes], bytes], voxels: np.ndarray | None = None, **fields: object):
    """Makes `scan.nii.gz`, its packed bytes changed."""

    def make(folder: Path) -> Path:
        path = folder / "scan.nii.gz"
        path.write_bytes(change(gzip.compress(nifti_bytes(voxels, **fields), mtime=0)))
        return path

    return make


def with_voxel(value: float, voxels: np.ndarray | None = None) -> np.ndarray:
    """A scan with one voxel of that value."""
    spoilt = (tiny_image(0) if voxels is None else voxels).astype(np.float64)
    spoilt[1, 2, 3] = value
    return spoilt


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def another_name(folder: Path) -> Path:
    (folder / "scan.mha").write_bytes(nifti_bytes())
    return folder / "scan.mha"


def packed_under_a_plain_name(folder: Path) -> Path:
    (folder / "scan.nii").write_bytes(gzip.compress(nifti_bytes()))
    return folder / "scan.nii"


def colours() -> np.ndarray:
    return np.zeros((6, 5, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])


# --- the readers


def read_image(path: Path) -> object:
    return as_image(read_nifti(path).voxels, path)


def read_labels(path: Path) -> object:
    """The label map of the scan beside it."""
    beside = write_nifti(path.parent / "image.nii.gz", tiny_image(0))
    return read_label(read_nifti(beside), path)


def label(change: Callable[[np.ndarray], np.ndarray], *, spacing=(1.0, 2.0, 3.0)):
    """Makes `label.nii.gz` of a changed label map."""
    return lambda folder: write_nifti(folder / "label.nii.gz", change(tiny_label()), spacing)


def values(of_class_1: float, kind: type = np.float32) -> Callable[[np.ndarray], np.ndarray]:
    return lambda voxels: np.where(voxels == 1, np.array(of_class_1, kind), voxels).astype(kind)


TERABYTE = (3, 8000, 8000, 4000, 1, 1, 1, 1)
NAN = float("nan")
NIFTI: tuple[Broken, ...] = (
    *group(
        "NIfTI",
        read_nifti,
        ("an empty file", scan(cut=0), "is empty"),
        ("a header cut off", scan(cut=200), "NIfTI"),
        ("voxels cut off", scan(cut=-40), "cut off"),
        ("no voxels at all", scan(cut=352), "cut off"),
        ("another magic word", scan(magic=b"abcd"), "NIfTI"),
        ("a header of another size", scan(size=1234), "NIfTI"),
        ("a voxel size of 0", scan(**NO_AFFINE, pixdim=(1, 1, 0, 3, 0, 0, 0, 0)), "voxel size"),
        ("a voxel size below 0", scan(**NO_AFFINE, pixdim=(1, 1, 2, -3, 0, 0, 0, 0)), "voxel size"),
        (
            "a voxel of a picometre",
            scan(rows=(1e-9, 0, 0, 0, 0, 1e-9, 0, 0, 0, 0, 1e-9, 0)),
            "no valid voxel size",
        ),
        (
            "a voxel in another galaxy",
            scan(rows=(1, 0, 0, 1e25, 0, 2, 0, 0, 0, 0, 3, 0)),
            "no valid voxel size",
        ),
        ("a voxel size of NaN", scan(**NO_AFFINE, pixdim=(1, NAN, 2, 3, 0, 0, 0, 0)), "voxel size"),
        (
            "an affine of NaN",
            scan(rows=(1, 0, 0, NAN, 0, 2, 0, 0, 0, 0, 3, 0)),
            "no valid voxel size",
        ),
        (
            "an affine of infinity",
            scan(rows=(float("inf"), 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0)),
            "no valid voxel size",
        ),
        ("two axes in one direction", scan(rows=(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0)), "direction"),
        ("a single slice", scan(tiny_image(0, (6, 5))), "three axes"),
        ("two channels", scan(tiny_image(0, (6, 5, 4, 2))), "three axes"),
        ("five axes", scan(tiny_image(0, (6, 5, 4, 1, 3))), "three axes"),
        ("an axis of length 0", scan(dim=(3, 6, 0, 4, 1, 1, 1, 1)), "shape"),
        ("an axis of length -5", scan(dim=(3, 6, -5, 4, 1, 1, 1, 1)), "shape"),
        ("9 axes", scan(dim=(9, 6, 5, 4, 1, 1, 1, 1)), "its type of voxel is none"),
        ("an unknown type of voxel", scan(datatype=77), "its type of voxel is none"),
        ("voxels before the header ends", scan(offset=100.0), "NIfTI"),
        ("voxels at a place that is no number", scan(offset=NAN), "NIfTI"),
        ("a terabyte announced", scan(dim=TERABYTE), "cut off", "1,024.0 GB"),
        (
            "a terabyte announced in a packed file",
            packed(bytes, dim=TERABYTE),
            "cut off",
            "1,024.0 GB",
        ),
        (
            "2 GB announced in a packed file of 1 kB",
            packed(bytes, dim=(3, 1000, 1000, 500, 1, 1, 1, 1)),
            "cut off",
            "2.0 GB",
        ),
        ("a folder", a_folder("scan.nii.gz"), "folder"),
        ("a pipe", a_pipe, "no regular file"),
        ("nothing", missing("scan.nii.gz"), "is not there"),
        ("another ending", another_name, ".nii.gz"),
        ("a damaged start", packed(flipped(0)), "not packed"),
        ("a damaged middle", packed(flipped(150)), "damaged"),
        ("a wrong check sum", packed(flipped(-6)), "damaged"),
        ("a packed file cut off", packed(lambda c: c[:-30]), "cut off"),
        ("a trailer cut off", packed(lambda c: c[:-3]), "cut off"),
        ("a plain file named .gz", packed(gzip.decompress), "not packed"),
        ("a packed file named .nii", packed_under_a_plain_name, "is packed"),
        ("complex numbers", scan(tiny_image(0).astype(np.complex64)), "complex64"),
        ("colours", scan(colours()), "one number for each voxel"),
    ),
    *group(
        "NIfTI",
        read_image,
        ("a voxel that is NaN", scan(with_voxel(NAN)), "1 voxels are NaN"),
        ("an infinite voxel", scan(with_voxel(np.inf)), "infinite"),
        ("a voxel beyond float32", scan(with_voxel(1e300)), "infinite"),
        ("an infinite slope", scan(slope=np.inf), "scaled by infinity"),
        ("an image of one value", scan(np.ones((6, 5, 4))), "every voxel"),
    ),
    *group(
        "NIfTI",
        read_labels,
        ("a label of 0.5", label(values(0.5)), "0.5", "whole numbers"),
        ("a label of -1", label(values(-1, np.int16)), "-1", "whole numbers"),
        ("a label of 256", label(values(256, np.int32)), "256"),
        ("a label of 10^300", label(values(1e300, np.float64)), "1e+300"),
        ("a label of NaN", label(values(NAN)), "NaN"),
        ("complex labels", label(lambda v: v.astype(np.complex64)), "complex64"),
        ("an image as label", label(lambda v: tiny_image(0)), "not a label map"),
        ("a label of another shape", label(lambda v: v[1:]), "another scan"),
        (
            "a label in another place",
            label(lambda v: v, spacing=(1.0, 2.0, 3.5)),
            "beside its image",
        ),
    ),
)
