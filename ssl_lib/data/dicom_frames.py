"""Slices of DICOM: one in a file of its own, or many as the frames of one file.

Frames say in *functional groups* where they lie, one group for all or one for each (DICOM PS3.3,
C.7.6.16). They are read by pydicom, their grey levels by highdicom.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32

from ssl_lib.data.nifti_bytes import AGAIN
from ssl_lib.data.suffixes import is_dicom
from ssl_lib.utils.errors import InputError, printable

if TYPE_CHECKING:
    from pydicom import Dataset

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of DICOM-SEG: segments of their own frames, or one label map."""
DCM2NIIX = "convert it with dcm2niix, which writes a NIfTI file for each, and use the one meant"


@dataclass(frozen=True)
class Slice:
    """One slice of a series: its size, place and directions (mm, LPS), and its series in words.

    `frame` counts from 1 where one file holds all slices, and is 0 for a file of its own.
    """

    path: Path
    size: tuple[int, ...]
    series: str
    words: str
    affine: Float[np.ndarray, "4 4"]
    placed: bool
    components: int = 1
    frame: int = 0

    @property
    def name(self) -> str:
        """What a message calls it."""
        return f"frame {self.frame}" if self.frame else self.path.name

    @property
    def normal(self) -> Float[np.ndarray, " 3"]:
        """The direction across the slice, of length 1."""
        across = np.cross(self.affine[:3, 0], self.affine[:3, 1])
        return across / np.linalg.norm(across)


def read_tags(path: Path, *, voxels: bool = False) -> Dataset:
    """The tags of a DICOM file, its voxels only if asked for.

    Raises `InputError` for a file that is none, or cut off.
    """
    from pydicom import dcmread

    try:
        return dcmread(path, stop_before_pixels=not voxels)
    except Exception:  # pydicom raises many kinds for a damaged file
        raise InputError(
            "cannot be read as DICOM", where=path, expected="a whole DICOM file", fix=AGAIN
        ) from None


def holds_frames(path: Path) -> bool:
    """Whether a file is DICOM with many slices in it, or a DICOM-SEG."""
    if not path.is_file() or not is_dicom(path):
        return False
    try:
        tags = read_tags(path)
        return is_seg(tags) or int(tags.get("NumberOfFrames") or 1) > 1
    except (InputError, ValueError):
        return False


def is_seg(tags: Dataset) -> bool:
    """Whether a file is a DICOM-SEG."""
    return tags.get("SOPClassUID") in SEGMENTATIONS


def frames_in(path: Path) -> list[Slice]:
    """The slices of a file that holds all of them (enhanced CT, MR or PET), as they are stored.

    Raises `InputError` for a DICOM-SEG, frames that do not say where they lie, and several stacks
    or several images for each place (time points, echoes).
    """
    tags = read_tags(path)
    if is_seg(tags):
        raise InputError(
            "is a DICOM-SEG, a label map",
            where=path,
            expected="a scan",
            fix="move it into labelsTr, under the name of its scan",
        )
    count = int(tags.NumberOfFrames)
    words = " ".join(printable(tags.get(key, "")) for key in ("Modality", "SeriesDescription"))
    common = (tags.Columns, tags.Rows), str(tags.get("SeriesInstanceUID", "")), words.strip()
    placed = [frame_affine(tags, index, path) for index in range(count)]
    slices = [
        Slice(path, *common, affine, True, tags.get("SamplesPerPixel", 1), index + 1)
        for index, affine in enumerate(placed)
    ]
    stacks = {
        (str(group(tags, index, "FrameContentSequence").get("StackID", "")), *turned(affine))
        for index, affine in enumerate(placed)
    }
    places = {tuple(np.round(affine[:3, 3], 3)) for affine in placed}
    if len(stacks) > 1 or len(places) < count:
        several = f"{len(stacks)} stacks of slices"
        raise InputError(
            f"holds {several if len(stacks) > 1 else f'{count} images for {len(places)} places'}",
            where=path,
            expected="one stack, one image for each place: no time points, no echoes",
            fix=DCM2NIIX,
        )
    return slices


def frame_affine(tags: Dataset, index: int, path: Path) -> Float[np.ndarray, "4 4"]:
    """From column, row and slice of a frame (counted from 0) to mm, LPS; slices 1 mm apart.

    Raises `InputError` where its functional groups do not say it.
    """
    try:
        place = group(tags, index, "PlanePositionSequence").ImagePositionPatient
        cosines = group(tags, index, "PlaneOrientationSequence").ImageOrientationPatient
        down, along = group(tags, index, "PixelMeasuresSequence").PixelSpacing
    except AttributeError as error:
        missing = str(error).rpartition("'")[0].rpartition("'")[2]
        raise InputError(
            f"is a multi-frame file that does not say where its frames lie ({missing} is missing)",
            where=path,
            expected="enhanced CT, MR or PET, or one slice in each file",
            fix="convert it with dcm2niix, and use its NIfTI file",
        ) from None
    x, y = np.reshape(np.array(cosines, float), (2, 3))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([x * float(along), y * float(down), np.cross(x, y)], axis=1)
    affine[:3, 3] = np.array(place, float)
    return affine


def group(tags: Dataset, index: int, name: str) -> Dataset:
    """A functional group of a frame (counted from 0): its own, else that of all; empty if none."""
    from pydicom import Dataset

    own = tags.get("PerFrameFunctionalGroupsSequence") or []
    shared = tags.get("SharedFunctionalGroupsSequence") or []
    for item in (*own[index : index + 1], *shared[:1]):
        if item.get(name):
            return item.get(name)[0]
    return Dataset()


def turned(affine: Float[np.ndarray, "4 4"]) -> tuple[float, ...]:
    """The directions and pixel sizes of a slice, rounded: those of one stack are equal."""
    return tuple(np.round(affine[:3, :2].ravel(), 3) + 0.0)


def frame_voxels(slices: list[Slice]) -> list[Float32[np.ndarray, "x y z"]]:
    """The channels of the frames of one file in the order of `slices`, with rescale slope and
    intercept. Raises `InputError` for voxels that cannot be decoded."""
    import highdicom

    path = slices[0].path
    try:
        frames = highdicom.imread(path).get_frames(
            [one.frame for one in slices],
            dtype=np.float32,
            apply_real_world_transform=False,
            apply_presentation_lut=False,
        )
    except Exception as error:  # decoders raise many kinds
        raise InputError(
            f"its voxels cannot be decoded ({str(error).splitlines()[0]:.200})",
            where=path,
            expected="a whole file, uncompressed or as JPEG, JPEG-LS, JPEG 2000 or RLE",
            fix="convert it with dcm2niix, and use its NIfTI file",
        ) from None
    stacked = frames.reshape(*frames.shape[:3], -1)
    return [stacked[..., channel].transpose(2, 1, 0) for channel in range(stacked.shape[-1])]
