"""Scans that cannot be right: NIfTI and HDF5 files, label maps, and the readers that get them."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel
import numpy as np
from tiny_scans import tiny_image, tiny_label, write_hdf5, write_nifti

from ssl_lib.reading import as_image, read_hdf5, read_nifti
from ssl_lib.survey import read_label


@dataclass(frozen=True)
class Broken:
    """One input that must be refused.

    `make` writes it into an empty folder and returns what `read`, a public reader, is given. The
    message must hold all `words`, and `named`: the name of the file, unless another is stated (the
    name of a parameter, for example).
    """

    name: str
    make: Callable[[Path], object]
    read: Callable[[object], object]
    words: tuple[str, ...]
    named: str = ""


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


def flipped(place: int) -> Callable[[bytes], bytes]:
    """Turns over the bits of one byte; places below 0 count from the end."""

    def change(content: bytes) -> bytes:
        spoilt = bytearray(content)
        spoilt[place] ^= 255
        return bytes(spoilt)

    return change


def with_voxel(value: float, voxels: np.ndarray | None = None) -> np.ndarray:
    """A scan with one voxel of that value."""
    spoilt = (tiny_image(0) if voxels is None else voxels).astype(np.float64)
    spoilt[1, 2, 3] = value
    return spoilt


def a_folder(folder: Path) -> Path:
    (folder / "scan.nii.gz").mkdir()
    return folder / "scan.nii.gz"


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
SCANS: tuple[Broken, ...] = (
    Broken("an empty file", scan(cut=0), read_nifti, ("is empty",)),
    Broken("a header cut off", scan(cut=200), read_nifti, ("NIfTI",)),
    Broken("voxels cut off", scan(cut=-40), read_nifti, ("cut off",)),
    Broken("no voxels at all", scan(cut=352), read_nifti, ("cut off",)),
    Broken("another magic word", scan(magic=b"abcd"), read_nifti, ("NIfTI",)),
    Broken("a header of another size", scan(size=1234), read_nifti, ("NIfTI",)),
    Broken(
        "a voxel size of 0",
        scan(**NO_AFFINE, pixdim=(1, 1, 0, 3, 0, 0, 0, 0)),
        read_nifti,
        ("voxel size",),
    ),
    Broken(
        "a voxel size below 0",
        scan(**NO_AFFINE, pixdim=(1, 1, 2, -3, 0, 0, 0, 0)),
        read_nifti,
        ("voxel size",),
    ),
    Broken(
        "a voxel size of NaN",
        scan(**NO_AFFINE, pixdim=(1, NAN, 2, 3, 0, 0, 0, 0)),
        read_nifti,
        ("voxel size",),
    ),
    Broken(
        "an affine of NaN",
        scan(rows=(1, 0, 0, NAN, 0, 2, 0, 0, 0, 0, 3, 0)),
        read_nifti,
        ("no valid voxel size",),
    ),
    Broken(
        "an affine of infinity",
        scan(rows=(float("inf"), 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0)),
        read_nifti,
        ("no valid voxel size",),
    ),
    Broken(
        "two axes in one direction",
        scan(rows=(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0)),
        read_nifti,
        ("direction",),
    ),
    Broken("a single slice", scan(tiny_image(0, (6, 5))), read_nifti, ("three axes",)),
    Broken("two channels", scan(tiny_image(0, (6, 5, 4, 2))), read_nifti, ("three axes",)),
    Broken("five axes", scan(tiny_image(0, (6, 5, 4, 1, 3))), read_nifti, ("three axes",)),
    Broken("an axis of length 0", scan(dim=(3, 6, 0, 4, 1, 1, 1, 1)), read_nifti, ("shape",)),
    Broken("an axis of length -5", scan(dim=(3, 6, -5, 4, 1, 1, 1, 1)), read_nifti, ("shape",)),
    Broken("9 axes", scan(dim=(9, 6, 5, 4, 1, 1, 1, 1)), read_nifti, ("no type of voxel",)),
    Broken("an unknown type of voxel", scan(datatype=77), read_nifti, ("77 stands for no type",)),
    Broken("voxels before the header ends", scan(offset=100.0), read_nifti, ("NIfTI",)),
    Broken("voxels at a place that is no number", scan(offset=NAN), read_nifti, ("NIfTI",)),
    Broken("a terabyte announced", scan(dim=TERABYTE), read_nifti, ("cut off", "1,024.0 GB")),
    Broken(
        "a terabyte announced in a packed file",
        packed(bytes, dim=TERABYTE),
        read_nifti,
        ("cut off", "1,024.0 GB"),
    ),
    Broken(
        "2 GB announced in a packed file of 1 kB",
        packed(bytes, dim=(3, 1000, 1000, 500, 1, 1, 1, 1)),
        read_nifti,
        ("cut off", "2.0 GB"),
    ),
    Broken("a folder", a_folder, read_nifti, ("folder",)),
    Broken("a pipe", a_pipe, read_nifti, ("no regular file",)),
    Broken("nothing", lambda folder: folder / "scan.nii.gz", read_nifti, ("No such file",)),
    Broken("another ending", another_name, read_nifti, (".nii.gz",)),
    Broken("a damaged start", packed(flipped(0)), read_nifti, ("not packed",)),
    Broken("a damaged middle", packed(flipped(150)), read_nifti, ("damaged",)),
    Broken("a wrong check sum", packed(flipped(-6)), read_nifti, ("damaged",)),
    Broken("a packed file cut off", packed(lambda c: c[:-30]), read_nifti, ("cut off",)),
    Broken("a trailer cut off", packed(lambda c: c[:-3]), read_nifti, ("cut off",)),
    Broken("a plain file named .gz", packed(gzip.decompress), read_nifti, ("not packed",)),
    Broken("a packed file named .nii", packed_under_a_plain_name, read_nifti, ("is packed",)),
    Broken("complex numbers", scan(tiny_image(0).astype(np.complex64)), read_nifti, ("complex64",)),
    Broken("colours", scan(colours()), read_nifti, ("one number for each voxel",)),
    Broken("a voxel that is NaN", scan(with_voxel(NAN)), read_image, ("1 voxels are NaN",)),
    Broken("an infinite voxel", scan(with_voxel(np.inf)), read_image, ("infinite",)),
    Broken("a voxel beyond float32", scan(with_voxel(1e300)), read_image, ("infinite",)),
    Broken("an infinite slope", scan(slope=np.inf), read_image, ("scaled by infinity",)),
    Broken("an image of one value", scan(np.ones((6, 5, 4))), read_image, ("every voxel",)),
    Broken("a label of 0.5", label(values(0.5)), read_labels, ("0.5", "whole numbers")),
    Broken("a label of -1", label(values(-1, np.int16)), read_labels, ("-1", "whole numbers")),
    Broken("a label of 256", label(values(256, np.int32)), read_labels, ("256",)),
    Broken("a label of 10^300", label(values(1e300, np.float64)), read_labels, ("1e+300",)),
    Broken("a label of NaN", label(values(NAN)), read_labels, ("NaN",)),
    Broken("complex labels", label(lambda v: v.astype(np.complex64)), read_labels, ("complex64",)),
    Broken("an image as label", label(lambda v: tiny_image(0)), read_labels, ("not a label map",)),
    Broken("a label of another shape", label(lambda v: v[1:]), read_labels, ("another scan",)),
    Broken(
        "a label in another place",
        label(lambda v: v, spacing=(1.0, 2.0, 3.5)),
        read_labels,
        ("beside its image",),
    ),
)


# --- HDF5


def hdf5(image: object = None, mask: object = None, *, change: Callable[[bytes], bytes] = bytes):
    """Makes `scan.h5`, its bytes changed."""

    def make(folder: Path) -> Path:
        arrays = (tiny_image(0) if image is None else image, tiny_label() if mask is None else mask)
        path = write_hdf5(folder / "scan.h5", *arrays)
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def hdf5_with(fill: Callable[[h5py.File], object]):
    """Makes `scan.h5` from an empty file; beside it lies a sound one, `other.h5`."""

    def make(folder: Path) -> Path:
        write_hdf5(folder / "other.h5", tiny_image(0), tiny_label())
        with h5py.File(folder / "scan.h5", "w") as content:
            content["label"] = tiny_label()
            fill(content)
        return folder / "scan.h5"

    return make


def external_link(content: h5py.File) -> None:
    content["image"] = h5py.ExternalLink("other.h5", "image")


def loop(content: h5py.File) -> None:
    content["image"], content["there"] = h5py.SoftLink("/there"), h5py.SoftLink("/image")


def virtual(content: h5py.File) -> None:
    layout = h5py.VirtualLayout((6, 5, 4), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "image", (6, 5, 4))
    content.create_virtual_dataset("image", layout)


def raw_elsewhere(content: h5py.File) -> None:
    content.create_dataset("image", (6, 5, 4), "f4", external=[("other.h5", 0, 480)])


def terabyte(content: h5py.File) -> None:
    content.create_dataset("image", (8000, 8000, 4000), "f4", chunks=(100, 100, 100))


def records(content: h5py.File) -> None:
    content["image"] = np.zeros((6, 5, 4), [("R", "u1"), ("G", "u1")])


HDF5: tuple[Broken, ...] = (
    Broken("HDF5: empty", hdf5(change=lambda c: b""), read_hdf5, ("cut off or damaged",)),
    Broken("HDF5: cut off", hdf5(change=lambda c: c[:-500]), read_hdf5, ("cut off",)),
    Broken("HDF5: another format", hdf5(change=lambda c: b"P5" + c), read_hdf5, ("damaged",)),
    Broken("HDF5: nothing", lambda folder: folder / "scan.h5", read_hdf5, ("does not exist",)),
    Broken("HDF5: a folder", lambda folder: folder, read_hdf5, ("damaged",)),
    Broken("HDF5: no image", hdf5_with(lambda c: None), read_hdf5, ("'image' and 'label'",)),
    Broken("HDF5: a group", hdf5_with(lambda c: c.create_group("image")), read_hdf5, ("lacks",)),
    Broken(
        "HDF5: text", hdf5(np.array([b"an", b"image"])), read_hdf5, ("one number for each voxel",)
    ),
    Broken("HDF5: records", hdf5_with(records), read_hdf5, ("one number for each voxel",)),
    Broken("HDF5: complex", hdf5(tiny_image(0) + 1j), read_hdf5, ("complex64",)),
    Broken("HDF5: a number", hdf5(1.0, 1), read_hdf5, ("the shape ()",)),
    Broken("HDF5: no voxel", hdf5(np.zeros((0, 4)), np.zeros((0, 4))), read_hdf5, ("shape",)),
    Broken("HDF5: shapes apart", hdf5(mask=tiny_label()[1:]), read_hdf5, ("another scan",)),
    Broken("HDF5: a voxel of NaN", hdf5(with_voxel(NAN)), read_hdf5, ("NaN",)),
    Broken("HDF5: an image as label", hdf5(mask=tiny_image(1)), read_hdf5, ("not a label map",)),
    Broken("HDF5: an external link", hdf5_with(external_link), read_hdf5, ("link",)),
    Broken("HDF5: links in a circle", hdf5_with(loop), read_hdf5, ("link",)),
    Broken("HDF5: voxels of another file", hdf5_with(virtual), read_hdf5, ("another file",)),
    Broken("HDF5: voxels elsewhere", hdf5_with(raw_elsewhere), read_hdf5, ("another file",)),
    Broken("HDF5: a terabyte announced", hdf5_with(terabyte), read_hdf5, ("1,024.0 GB",)),
)
