"""Label maps as DICOM-SEG: written for a DICOM series by highdicom, and read onto its voxels.

A DICOM-SEG holds a picture of ones and zeros for each class and slice, and says of each where it
lies. It carries patient and study of the series that it segments, and refers to its slices, so that
an archive or a viewer shows it on them. Classes are known by the labels of its segments.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from ssl_lib.data.dicom_frames import (
    Slice,
    frame_affine,
    group,
    holds_frames,
    is_seg,
    read_tags,
)
from ssl_lib.data.dicom_series import series_in
from ssl_lib.data.itk_files import TO_RAS
from ssl_lib.data.reading import BESIDE, Volume
from ssl_lib.data.suffixes import dicom_files
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
"""Tags without which a DICOM-SEG cannot say what it segments; and, for slices with a place: """
PLACE = "FrameOfReferenceUID"
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime",
)  # fmt: skip
"""Tags that every DICOM object has, if only without a value: an anonymised one may lack them."""
AS_NIFTI = "write the label map as NIfTI (a name that ends in .nii.gz), or export the series again"
LONGEST_LABEL = 64


def segment_label(name: str) -> str:
    """The name of a class as a segment's label: 64 bytes, no backslash (DICOM's LO)."""
    whole = name.replace("\\", "/").strip().encode()
    return whole[:LONGEST_LABEL].decode(errors="ignore").strip()


def seg_bytes(
    label: UInt8[np.ndarray, "column row slice"], series: Path, class_names: Sequence[str]
) -> bytes:
    """The content of a DICOM-SEG of a series.

    `label` holds the classes 0 (background), 1, ... as `read_dicom` stores the voxels of the
    series: its slices in the order of their places. `class_names` begin with the background. Raises
    `InputError` where the series lacks a tag that is needed.
    """
    import highdicom
    from highdicom.seg import Segmentation

    slices, _ = series_in(series)
    sources, planes = _sources(slices), label.transpose(2, 1, 0)
    if slices[0].frame:  # planes as the frames are stored
        planes = planes[np.argsort([one.frame for one in slices])]
    described = [_described(i, name) for i, name in enumerate(class_names) if i > 0]
    try:
        with warnings.catch_warnings():  # of tags of the series that are not quite as they should
            warnings.simplefilter("ignore")
            seg = Segmentation(
                source_images=sources,
                pixel_array=planes if len(planes) > 1 else planes[0],
                segmentation_type="BINARY",
                segment_descriptions=described,
                series_instance_uid=highdicom.UID(),
                series_number=1000,
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="ssl_lib",
                manufacturer_model_name="ssl_lib",
                software_versions=version("ssl_lib"),
                device_serial_number="none",
                series_description="predicted by ssl_lib",
                content_label="PREDICTION",
                specific_character_set="ISO_IR 192",
            )
            content = io.BytesIO()
            seg.save_as(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"no DICOM-SEG can be written for this series ({str(error).splitlines()[0]:.200})",
            where=series,
            fix=AS_NIFTI,
        ) from None
    return content.getvalue()


def refuse_seg(series: Path) -> None:
    """Raise `InputError` if the first slice of a series lacks what a DICOM-SEG needs."""
    files = dicom_files(series)
    if files:
        _refuse_lack(read_tags(files[0]), files[0])


def read_seg(
    path: Path, image: Volume, codes: Mapping[str, int] | None = None
) -> UInt8[np.ndarray, "x y z"]:
    """The label map of a DICOM-SEG on the voxels of an image, axes as those of the image.

    `codes` are the values of segments by their labels; without it the numbers of segments count.
    Frames that hold nothing may be missing; frames without a place lie on a single slice. Raises
    `InputError` for a file that is no DICOM-SEG or a fractional one, for a segment of another
    label, for segments that overlap, and for frames that do not lie on the voxels of the image.
    """
    tags = _seg_tags(path, voxels=True)
    values = _values(tags, codes, path)
    frames = _frames(tags, path)
    found = np.zeros(image.voxels.shape, np.uint8)
    to_voxels = np.linalg.inv(TO_RAS @ image.affine)
    flat = not group(tags, 0, "PlanePositionSequence") and min(found.shape) == 1
    for index, frame in enumerate(frames):
        affine = _stored_affine(image) if flat else frame_affine(tags, index, path)
        x, y, z = _places(to_voxels @ affine, frame.shape, image, path)
        number = group(tags, index, "SegmentIdentificationSequence").get("ReferencedSegmentNumber")
        classes = values[frame] if number is None else values[number] * frame
        before = found[x, y, z]
        if np.any((before > 0) & (classes > 0) & (before != classes)):
            raise InputError(
                "its segments overlap",
                where=path,
                expected="one class for each voxel",
                fix="decide for one of them where they do",
            )
        found[x, y, z] = np.maximum(before, classes)
    return found


def segment_labels(path: Path) -> dict[int, str]:
    """The label of each segment of a DICOM-SEG by its number; empty for any other file or folder.

    Raises `InputError` as `read_tags`.
    """
    file = seg_file(path)
    return {} if file is None else _labels(read_tags(file))


def seg_file(path: Path) -> Path | None:
    """The DICOM-SEG at a path: the file itself, or the one file of a folder; None if there is
    none."""
    files = dicom_files(path)
    one = files[0] if len(files) == 1 and holds_frames(files[0]) else None
    return one if one is not None and is_seg(read_tags(one)) else None


def _labels(tags: Dataset) -> dict[int, str]:
    segments = tags.get("SegmentSequence") or []
    found = {int(one.SegmentNumber): str(one.get("SegmentLabel", "")).strip() for one in segments}
    return {number: label for number, label in found.items() if number > 0}


def _described(number: int, name: str) -> SegmentDescription:
    """A segment without anatomy codes: what a class is, only its name says."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=number,
        segment_label=segment_label(name),
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name="ssl_lib", version=version("ssl_lib"), family=codes.DCM.ArtificialIntelligence
        ),
    )


def _sources(slices: list[Slice]) -> list[Dataset]:
    """The tags of the slices (of a multi-frame file once), with what highdicom asks for and a
    series need not have."""
    paths = list(dict.fromkeys(one.path for one in slices))
    sources = [read_tags(path) for path in paths]
    for tags, path in zip(sources, paths, strict=True):
        _refuse_lack(tags, path)
        for name in ("StudyInstanceUID", PLACE):
            if tags.get(name) != sources[0].get(name):
                raise InputError(
                    f"its {name} is another than that of {paths[0].name}",
                    where=path,
                    expected="files of one study, in one frame of reference",
                    fix=AS_NIFTI,
                )
        for name in MAY_BE_EMPTY:
            if name not in tags:
                setattr(tags, name, "")
        if "ImagePositionPatient" in tags:  # differences of a rounding are none
            tags.ImageOrientationPatient = sources[0].ImageOrientationPatient
            if len(slices) > 1:
                apart = slices[1].affine[:3, 3] - slices[0].affine[:3, 3]
                tags.SpacingBetweenSlices = round(float(np.linalg.norm(apart)), 6)
            tags.SliceThickness = tags.get("SliceThickness") or tags.get("SpacingBetweenSlices", 1)
        _share_groups(tags)
    return sources


def _share_groups(tags: Dataset) -> None:
    """Directions and pixel sizes that each frame states for itself, stated once for all."""
    shared = (tags.get("SharedFunctionalGroupsSequence") or [None])[0]
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if shared is not None and name not in shared:
            setattr(shared, name, [group(tags, 0, name)])


def _refuse_lack(tags: Dataset, path: Path) -> None:
    """Refuse a file without a tag that a DICOM-SEG needs, by the name of the tag."""
    placed = "ImagePositionPatient" in tags or "PerFrameFunctionalGroupsSequence" in tags
    for name in (*NEEDED, *([PLACE] if placed else [])):
        if not tags.get(name):
            raise InputError(
                f"its tag {name} is missing: without it no DICOM-SEG can refer to the series",
                where=path,
                expected=f"files with {', '.join((*NEEDED, PLACE))}",
                fix=AS_NIFTI,
            )


def _seg_tags(path: Path, *, voxels: bool) -> Dataset:
    tags = read_tags(path, voxels=voxels)
    fractional = tags.get("SegmentationType") == "FRACTIONAL"
    if not is_seg(tags) or fractional:
        raise InputError(
            "is a DICOM-SEG of fractions" if fractional else "is no DICOM-SEG",
            where=path,
            expected="a DICOM-SEG of type BINARY or LABELMAP",
            fix="threshold it, and save it as one of these" if fractional else "",
        )
    return tags


def _values(
    tags: Dataset, codes: Mapping[str, int] | None, path: Path
) -> UInt8[np.ndarray, " number"]:
    """The value of each number of a segment."""
    labels = _labels(tags)
    values = np.zeros(max(labels, default=0) + 1, np.uint8)
    for number, label in labels.items():
        if codes and label not in codes:
            raise InputError(
                f"its segment {number} is called {label!r}",
                where=path,
                expected=f"segments called {', '.join(codes)}",
                fix="rename it, or name all classes in dataset.json",
            )
        values[number] = codes[label] if codes else number
    return values


def _frames(tags: Dataset, path: Path) -> UInt8[np.ndarray, "frame column row"]:
    """The frames, columns first."""
    try:
        pixels = tags.pixel_array
    except Exception:  # pydicom raises many kinds
        raise InputError(
            "its voxels cannot be decoded", where=path, expected="a whole, uncompressed DICOM-SEG"
        ) from None
    frames = pixels.reshape(-1, tags.Rows, tags.Columns).astype(np.uint8)
    return frames.transpose(0, 2, 1)


def _stored_affine(image: Volume) -> Float[np.ndarray, "4 4"]:
    """From the voxels of an image as its file stores them to mm, LPS."""
    back = ornt_transform(axcodes2ornt("RAS"), image.turn)
    return TO_RAS @ image.affine @ inv_ornt_aff(back, image.voxels.shape)


def _places(
    to_voxels: Float[np.ndarray, "4 4"], size: Sequence[int], image: Volume, path: Path
) -> tuple[Int[np.ndarray, "column row"], ...]:
    """The voxels of an image under the pixels of a frame, one index for each axis, broadcast over
    columns and rows."""
    whole = np.rint(to_voxels[:3, :2])
    corners = np.array([[0, 0, 0, 1], [size[0] - 1, size[1] - 1, 0, 1]]).T
    first, last = (to_voxels @ corners)[:3].T
    start = np.rint(first)
    end = start + whole @ np.array([size[0] - 1, size[1] - 1])
    beside = max(np.abs(first - start).max(), np.abs(last - end).max())
    ends = np.array([start, end])
    inside = (ends >= 0).all() and (ends < image.voxels.shape).all()
    if beside > BESIDE or not inside or np.abs(whole).sum() != 2:
        raise InputError(
            f"does not lie on the voxels of its image {image.path.name}",
            where=path,
            expected="a DICOM-SEG of that very series",
            fix="is it that of another series? If not, resample it onto this one (3D Slicer)",
        )
    column, row = np.ogrid[: size[0], : size[1]]
    return tuple(
        (start[axis] + whole[axis, 0] * column + whole[axis, 1] * row).astype(int)
        for axis in range(3)
    )
