"""HDF5 files that cannot be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from breaking import Broken, a_folder, group, missing
from tiny_scans import tiny_image, tiny_label, write_hdf5

from ssl_lib.data.reading import read_hdf5


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


def unknown_voxel() -> np.ndarray:
    image = tiny_image(0)
    image[0, 0, 0] = np.nan
    return image


HDF5: tuple[Broken, ...] = (
    *group(
        "HDF5",
        read_hdf5,
        ("empty", hdf5(change=lambda c: b""), "cut off or damaged"),
        ("cut off", hdf5(change=lambda c: c[:-500]), "cut off"),
        ("another format", hdf5(change=lambda c: b"P5" + c), "damaged"),
        ("nothing", missing("scan.h5"), "does not exist"),
        ("a folder", a_folder("scan.h5"), "damaged"),
        ("no image", hdf5_with(lambda c: None), "'image' and 'label'"),
        ("a group", hdf5_with(lambda c: c.create_group("image")), "lacks"),
        ("text", hdf5(np.array([b"an", b"image"])), "one number for each voxel"),
        ("records", hdf5_with(records), "one number for each voxel"),
        ("complex", hdf5(tiny_image(0) + 1j), "complex64"),
        ("a number", hdf5(1.0, 1), "the shape ()"),
        ("no voxel", hdf5(np.zeros((0, 4)), np.zeros((0, 4))), "shape"),
        ("shapes apart", hdf5(mask=tiny_label()[1:]), "another scan"),
        ("a voxel of NaN", hdf5(unknown_voxel()), "NaN"),
        ("an image as label", hdf5(mask=tiny_image(1)), "not a label map"),
        ("an external link", hdf5_with(external_link), "link"),
        ("links in a circle", hdf5_with(loop), "link"),
        ("voxels of another file", hdf5_with(virtual), "another file"),
        ("voxels elsewhere", hdf5_with(raw_elsewhere), "another file"),
        ("a terabyte announced", hdf5_with(terabyte), "1,024.0 GB"),
    ),
)
