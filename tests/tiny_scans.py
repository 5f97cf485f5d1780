"""Tiny files in the layouts of the real data sets, for tests."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np

SHAPE = (6, 5, 4)


def tiny_image(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Random voxels that no other seed has."""
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def tiny_label(n_classes: int = 3, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Every class in turn."""
    return (np.arange(np.prod(shape)) % n_classes).reshape(shape).astype(np.uint8)


def write_nifti(
    path: Path, voxels: np.ndarray, spacing: tuple[float, ...] = (1.0, 2.0, 3.0)
) -> Path:
    """A NIfTI file whose axes point to the right, front and top."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(voxels, np.diag([*spacing, 1.0])).to_filename(path)
    return path


def write_folder(folder: Path, labelled: int = 8, unlabelled: int = 3) -> Path:
    """A folder in the layout of the decathlon, scans a00, a01, ... and u00, u01, ..."""
    for index in range(labelled):
        write_nifti(folder / "imagesTr" / f"a{index:02}.nii.gz", tiny_image(index))
        write_nifti(folder / "labelsTr" / f"a{index:02}.nii.gz", tiny_label())
    for index in range(unlabelled):
        write_nifti(folder / "imagesTr" / f"u{index:02}.nii.gz", tiny_image(100 + index))
    return folder


def write_hdf5(path: Path, image: np.ndarray, label: np.ndarray, **options: object) -> Path:
    """An HDF5 file with the two arrays of the heart benchmarks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as content:
        content.create_dataset("image", data=image, **options)
        content.create_dataset("label", data=label, **options)
    return path
