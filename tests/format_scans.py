"""Small scans in the formats that people have: .mha and .nrrd, pictures, DICOM series; for tests.

The organs are those of `organ_scans`; files are written by SimpleITK and Pillow alone.
"""

from __future__ import annotations

import locale
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import highdicom
import numpy as np
import SimpleITK as sitk
from organ_scans import SPACING, organ, write_oriented
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

ORIGIN = (20.5, -13.25, 7.0)
COLOURS = np.uint8([[0, 0, 0], [255, 0, 0], [0, 128, 255]])
STRAIGHT = np.eye(3)
SERIES = "1.2.826.0.1.3680043.2.1125.1"


def oblique(degrees: float = 20.0) -> np.ndarray:
    """Directions (LPS) of a stack that was tilted about the axis from left to right."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def itk_image(
    voxels: np.ndarray, directions: np.ndarray = STRAIGHT, spacing: Sequence[float] = SPACING
) -> sitk.Image:
    """An image whose array axes are x, y, z, in ITK's own directions (left, back, top)."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing(tuple(map(float, spacing[: voxels.ndim])))
    image.SetOrigin(ORIGIN[: voxels.ndim])
    image.SetDirection(directions[: voxels.ndim, : voxels.ndim].ravel().tolist())
    return image


def write_itk(path: Path, voxels: np.ndarray, *place) -> Path:
    """Voxels as a file that SimpleITK writes by its ending, which may be in capitals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name.lower())
    sitk.WriteImage(itk_image(voxels, *place), str(part))
    return part.rename(path)


def write_dicom(
    folder: Path,
    voxels: np.ndarray,
    directions: np.ndarray = STRAIGHT,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    series: str = SERIES,
    without: Sequence[int] = (),
    moved: Callable[[int], np.ndarray] = lambda number: np.zeros(3),
    patient: str = "",
    tags: Mapping[str, str] | None = None,
) -> Path:
    """A series of one file a slice, its numbers falling where heights rise; grey levels are
    stored / slope - intercept. `without` are slices that are lost, `moved` shifts slices (mm);
    `tags` are changed afterwards, an empty one is taken away."""
    folder.mkdir(parents=True, exist_ok=True)
    image = itk_image(voxels, directions)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    common = {
        "0020|000e": series,
        "0008|0060": "CT",
        "0010|0020": patient,
        "0008|103e": f"series {series[-1]}",
        "0020|0037": "\\".join(f"{v:.10g}" for v in [*directions[:, 0], *directions[:, 1]]),
        "0028|1053": str(slope),
        "0028|1052": str(intercept),
        "0028|0100": "16",
        "0028|0101": "16",
        "0028|0102": "15",
        "0028|0103": "1",
    }
    depth = image.GetSize()[2]
    for z in (z for z in range(depth) if z not in without):
        one = sitk.Cast(image[:, :, z], sitk.sitkFloat64 if slope != 1 else sitk.sitkInt16)
        place = np.array(image.TransformIndexToPhysicalPoint((0, 0, z))) + moved(z)
        more = {
            "0008|0018": f"{series}.{z + 1}",
            "0020|0032": "\\".join(f"{v:.10g}" for v in place),
            "0020|0013": str(depth - z),
        }
        for key, value in {**common, **more}.items():
            one.SetMetaData(key, value)
        one.SetSpacing([*SPACING[:2]])
        writer.SetFileName(str(folder / f"IM{depth - z:04}.dcm"))
        spoken = locale.setlocale(locale.LC_ALL)
        writer.Execute(one)
        locale.setlocale(locale.LC_ALL, spoken)  # GDCM writes in the C locale, and stays there
        retag(Path(writer.GetFileName()), {**series_tags(series), **(tags or {})})
    return folder


def write_frames(
    path: Path,
    voxels: np.ndarray,
    directions: np.ndarray = STRAIGHT,
    *,
    order: Sequence[int] | None = None,
    times: int = 1,
    stacks: int = 1,
    intercepts: Sequence[int] | None = None,
    own_groups: bool = False,
) -> Path:
    """An enhanced CT: all slices in one file, as frames in the given order. Grey levels are stored
    minus the intercept of each slice. With `times` every place is there several times, `stacks`
    share the slices out; `own_groups` repeats directions and pixel sizes in each frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = voxels.shape[2]
    image, order = itk_image(voxels, directions), list(order or range(depth)) * times
    shift = np.array(intercepts or [-1024] * depth)
    tags = Dataset()
    tags.file_meta = FileMetaDataset()
    tags.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    tags.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    tags.SOPInstanceUID = f"{SERIES}.7.{sum(path.stem.encode())}"
    tags.StudyInstanceUID, tags.SeriesInstanceUID = f"{SERIES}.10", f"{SERIES}.8"
    tags.FrameOfReferenceUID, tags.Modality, tags.SeriesDescription = f"{SERIES}.20", "CT", "all"
    tags.PatientID = tags.PatientName = ""
    tags.Columns, tags.Rows, tags.NumberOfFrames = *voxels.shape[:2], len(order)
    tags.SamplesPerPixel, tags.PhotometricInterpretation = 1, "MONOCHROME2"
    tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation = 16, 16, 15, 1
    stored = np.round(voxels - shift).astype("<i2").transpose(2, 1, 0)
    tags.PixelData = np.ascontiguousarray(stored[order]).tobytes()
    cosines = [f"{value:.10g}" for value in (*directions[:, 0], *directions[:, 1])]
    common = {
        "PlaneOrientationSequence": {"ImageOrientationPatient": cosines},
        "PixelMeasuresSequence": {
            "PixelSpacing": [SPACING[1], SPACING[0]],
            "SliceThickness": SPACING[2],
        },
    }
    tags.SharedFunctionalGroupsSequence = [groups({} if own_groups else common)]
    frames = []
    for number, z in enumerate(order):
        place = image.TransformIndexToPhysicalPoint((0, 0, int(z)))
        own = {
            "PlanePositionSequence": {"ImagePositionPatient": [f"{v:.10g}" for v in place]},
            "FrameContentSequence": {"StackID": str(int(z) * stacks // depth + 1)},
            "PixelValueTransformationSequence": {
                "RescaleSlope": 1,
                "RescaleIntercept": int(shift[z]),
                "RescaleType": "HU",
            },
            **(common if own_groups else {}),
        }
        own["FrameContentSequence"]["TemporalPositionIndex"] = number // depth + 1
        frames.append(groups(own))
    tags.PerFrameFunctionalGroupsSequence = frames
    tags.save_as(path, enforce_file_format=True)
    return path


def groups(content: Mapping[str, Mapping[str, object]]) -> Dataset:
    """Functional groups of one item each."""
    found = Dataset()
    for name, tags in content.items():
        item = Dataset()
        for key, value in tags.items():
            setattr(item, key, value)
        setattr(found, name, [item])
    return found


def series_tags(series: str) -> dict[str, str]:
    """What GDCM leaves away or makes anew for each file: the study, the frame of reference."""
    return {"StudyInstanceUID": f"{series}.10", "FrameOfReferenceUID": f"{series}.20"}


def retag(path: Path, tags: Mapping[str, str]) -> None:
    """Change tags of a DICOM file; an empty one is taken away."""
    content = dcmread(path)
    for name, value in tags.items():
        setattr(content, name, value)
        if not value:
            delattr(content, name)
    content.save_as(path)


def write_picture(path: Path, pixels: np.ndarray, **options: object) -> Path:
    """Rows and columns of grey levels, numbers or colours, by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def flat_organ(seed: int, shape: tuple[int, int] = (40, 36)) -> tuple[np.ndarray, np.ndarray]:
    """A picture (uint8, rows and columns) of the organ and its label map."""
    image, label = organ(seed, (*shape, 5))
    return np.clip(image[..., 2], 0, 255).astype(np.uint8), label[..., 2]


Write = Callable[[Path, str, int], None]


def write_folder(folder: Path, write: Write, labelled: int = 7, unlabelled: int = 2) -> Path:
    """A folder of scans a00, a01, ... with label maps and u00, u01, ... without, each written by
    `write(part, name, seed)`, where the part is images or labels."""
    for index in range(labelled + unlabelled):
        name = f"a{index:02}" if index < labelled else f"u{index - labelled:02}"
        write(folder / "imagesTr", name, index)
        if index < labelled:
            write(folder / "labelsTr", name, index)
    return folder


def as_itk(ending: str, directions: np.ndarray = STRAIGHT) -> Write:
    """Images and label maps as files of one ending."""

    def write(part: Path, name: str, seed: int) -> None:
        voxels = organ(seed)[part.name == "labelsTr"]
        write_itk(part / f"{name}{ending}", voxels, directions)

    return write


def as_dicom(part: Path, name: str, seed: int) -> None:
    """Images as CT series with slope and intercept, label maps as .nrrd on their grid."""
    image, label = organ(seed)
    if part.name == "labelsTr":
        write_itk(part / f"{name}.nrrd", label, oblique())
    else:
        write_dicom(part / name, np.round(image) * 2 - 1024, oblique(), slope=2, intercept=-1024)


def as_frames(part: Path, name: str, seed: int) -> None:
    """Images as enhanced CT, one file each, label maps as .nrrd on their grid."""
    image, label = organ(seed)
    if part.name == "labelsTr":
        write_itk(part / f"{name}.nrrd", label, oblique())
    else:
        write_frames(part / f"{name}.dcm", np.round(image), oblique())


def as_dicom_seg(part: Path, name: str, seed: int) -> None:
    """Images as CT series, label maps as DICOM-SEG, whose segments are numbered now one way, now
    the other."""
    image, label = organ(seed)
    series = part.with_name("imagesTr") / name
    if part.name == "imagesTr":
        write_dicom(series, np.round(image), oblique())
    else:
        names = ["left", "right"]
        order = [1, 2] if seed % 2 else [2, 1]
        write_seg(part / f"{name}.dcm", series, label, [names[i - 1] for i in order], order)


def write_seg(
    path: Path,
    series: Path,
    label: np.ndarray,
    names: Sequence[str],
    classes: Sequence[int],
    **more: object,
) -> Path:
    """A DICOM-SEG of a series whose segments 1, 2, ... are these classes of a label map (x, y, z,
    as SimpleITK has the series), by highdicom, from all slices in the order of their files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = [dcmread(file) for file in sorted(series.iterdir())]
    for tags in sources:
        tags.SliceThickness = SPACING[2]
    planes = label.transpose(2, 1, 0)[::-1]  # file names fall where heights rise
    masks = np.stack([planes == value for value in classes], axis=-1)
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type="MANUAL",
        )
        for number, name in enumerate(names, start=1)
    ]
    highdicom.seg.Segmentation(
        **{
            "source_images": sources,
            "pixel_array": masks,
            "segmentation_type": "BINARY",
            "segment_descriptions": segments,
            "series_instance_uid": highdicom.UID(),
            "series_number": 2,
            "sop_instance_uid": highdicom.UID(),
            "instance_number": 1,
            "manufacturer": "somebody",
            "manufacturer_model_name": "a tool",
            "software_versions": "1",
            "device_serial_number": "1",
            **more,
        }
    ).save_as(path)
    return path


def as_pictures(part: Path, name: str, seed: int) -> None:
    """Pictures of several sizes, label maps as index images."""
    image, label = flat_organ(seed, (40 + 4 * (seed % 3), 36))
    write_picture(part / f"{name}.png", label if part.name == "labelsTr" else image)


def as_coloured(part: Path, name: str, seed: int) -> None:
    """Pictures whose label maps are colour pictures."""
    image, label = flat_organ(seed)
    write_picture(part / f"{name}.png", COLOURS[label] if part.name == "labelsTr" else image)


def as_two_channels(part: Path, name: str, seed: int) -> None:
    """nnU-Net's files: the organ in one channel, an inverted and noisier one in the other."""
    image, label = organ(seed)
    if part.name == "labelsTr":
        write_oriented(part / f"{name}.nii.gz", label)
        return
    other = 300 - image + np.random.default_rng([seed, 1]).normal(0, 20, image.shape)
    for number, voxels in enumerate((image, other.astype(np.float32))):
        write_oriented(part / f"{name}_{number:04}.nii.gz", voxels, "RAS" if number else "LPS")


def as_colour_pictures(part: Path, name: str, seed: int) -> None:
    """Colour pictures, label maps as index images."""
    image, label = flat_organ(seed)
    noise = np.random.default_rng(seed).integers(0, 40, (*image.shape, 2)).astype(np.uint8)
    colour = np.dstack([image, noise])
    write_picture(part / f"{name}.png", label if part.name == "labelsTr" else colour)


def as_two_sizes(part: Path, name: str, seed: int) -> None:
    """Volumes of one field of view, every third one with voxels twice as long along x and z."""
    coarse = seed % 3 == 2
    shape, spacing = ((12, 22, 10), (2.0, 1.5, 4.0)) if coarse else ((24, 22, 20), SPACING)
    voxels = organ(seed, shape)[part.name == "labelsTr"]
    write_oriented(part / f"{name}.nii.gz", voxels, "RAS" if coarse else "LPS", spacing)


def as_slices_of_two_sizes(part: Path, name: str, seed: int) -> None:
    """Thick slices, every third stack with pixels twice as large."""
    coarse = seed % 3 == 2
    shape, spacing = ((12, 11, 8), (2.0, 2.0, 9.0)) if coarse else ((24, 22, 8), (1.0, 1.0, 8.0))
    voxels = organ(seed, shape)[part.name == "labelsTr"]
    write_oriented(part / f"{name}.nii.gz", voxels, "RAS", spacing)
