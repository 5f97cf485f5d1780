"""Small scans with an organ in two parts, as NIfTI files in any orientation, for tests.

The organ lies on the right, so that a mirrored label map is another one; its front half is class 1,
its back half class 2, as the hippocampus has them.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, ornt_transform

SHAPE = (24, 22, 20)
SPACING = (1.0, 1.5, 2.0)
CODES = ("RAS", "LPS", "PIR", "SAL")


def organ(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Image (float32) and label map (uint8) of one scan, axes to the right, front and top."""
    random = np.random.default_rng(seed)
    centre = np.array([0.68, 0.5, 0.5]) + random.uniform(-0.04, 0.04, 3)
    grid = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in shape], indexing="ij")
    away = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, (0.2, 0.35, 0.3), strict=True))
    label = np.where(away < 1, np.where(grid[1] > centre[1], 1, 2), 0).astype(np.uint8)
    image = 100 + 60 * (label == 1) + 90 * (label == 2) + random.normal(0, 8, shape)
    return image.astype(np.float32), label


def write_oriented(
    path: Path,
    voxels: np.ndarray,
    orientation: str = "RAS",
    spacing: tuple[float, float, float] = SPACING,
) -> Path:
    """Voxels that lie to the right, front and top, stored in another orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-20.5, 13.25, 7.0)
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(orientation))
    nibabel.Nifti1Image(voxels, affine).as_reoriented(turn).to_filename(path)
    return path


def write_organs(folder: Path, labelled: int = 7, unlabelled: int = 2, mixed: bool = True) -> Path:
    """Scans a00, a01, ... with label maps and u00, u01, ... without, in several orientations."""
    for index in range(labelled + unlabelled):
        name = f"a{index:02}" if index < labelled else f"u{index - labelled:02}"
        image, label = organ(index)
        code = CODES[index % len(CODES)] if mixed else "RAS"
        write_oriented(folder / "imagesTr" / f"{name}.nii.gz", image, code)
        if index < labelled:
            write_oriented(folder / "labelsTr" / f"{name}.nii.gz", label, code)
    return folder
