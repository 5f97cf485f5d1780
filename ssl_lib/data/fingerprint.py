"""The fingerprint of a folder of scans: what is there, what cannot be used, and what is likely a
mistake, before anything is learnt from it.

Every file is read once and only its description is kept. Nothing is refused here: a file that
cannot be used is excluded by name, with what was expected and how to fix it, and the rest goes on.
What lies where in the folder is told in `ssl_lib.data.folder_files`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from ssl_lib.data.dicom_seg import read_seg, refuse_seg, seg_file, segment_label, segment_labels
from ssl_lib.data.dicom_series import patient_id
from ssl_lib.data.findings import Finding, Findings, refuse_together, some
from ssl_lib.data.folder_files import Codes, Listing, list_folder
from ssl_lib.data.formats import on_stored_grid, read_labels, read_scan, volume_header
from ssl_lib.data.label_fit import Fit, better_fit
from ssl_lib.data.patients import guess_patients
from ssl_lib.data.pictures import colour_name, label_colours
from ssl_lib.data.preprocessing import Header, slice_axis
from ssl_lib.data.reading import (
    BESIDE_NOTED,
    Volume,
    as_image,
    as_label,
    nan_share,
    same_grid,
    value_counts,
)
from ssl_lib.data.spacing import common_spacing
from ssl_lib.data.suffixes import format_of
from ssl_lib.utils.errors import InputError, printable

QUANTILES: tuple[float, ...] = (0.01, 0.25, 0.5, 0.75, 0.99)
SAMPLED = 2_000_000
"""Grey levels of larger scans are described by every second, third, ... voxel."""


@dataclass(frozen=True)
class ScanProperties:
    """One usable scan: `shape` and `spacing` (mm) along x (right), y (front), z (top).

    `millilitres` is the volume of one voxel. `header` says where the file's axes point.
    `quantiles` are grey levels at `QUANTILES`, `lowest` the two lowest different ones, `padding`
    the share of voxels at the lowest, `levels` how many different there are (counted up to 11),
    `undefined` the share that was NaN and is filled with the lowest. `classes` counts the voxels of
    each value of the label map, empty without one. `content` and `label_content` are hashes of the
    voxels. `fit` is how the label map would suit the image much better, if it would; `gaps` the
    axis along which outlined slices alternate with empty ones, if they do; `beside` how many voxels
    it lies beside its image. `channels` are named by the numbers of their files, or by colours;
    grey levels are those of the first.
    """

    scan: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    millilitres: float
    header: Header
    quantiles: tuple[float, ...]
    lowest: tuple[float, float]
    padding: float
    levels: int
    content: str
    undefined: float
    classes: Mapping[int, int]
    label_content: str = ""
    fit: Fit | None = None
    gaps: int | None = None
    beside: float = 0.0
    channels: tuple[str, ...] = ("0000",)

    @property
    def orientation(self) -> str:
        """Where the axes of the file point: three letters of R, L, A, P, S, I."""
        return self.header.orientation

    @property
    def measure(self) -> tuple[float, str]:
        """What one voxel measures, and the unit: millilitres, for pictures pixels."""
        return (1.0, "pixels") if self.header.unit == "pixel" else (self.millilitres, "ml")

    @property
    def foreground(self) -> int:
        """Voxels of the label map that are not background."""
        return sum(count for value, count in self.classes.items() if value > 0)


def median_spacing(
    spacings: Sequence[Sequence[float]], axis: int | None
) -> tuple[float, float, float] | None:
    """The median voxel size (mm) if scans differ along another axis than that of their slices."""
    within = [[s for i, s in enumerate(sizes) if i != axis] for sizes in spacings]
    if common_spacing(within) is None:
        return None
    x, y, z = (float(round(size, 6)) for size in np.median(spacings, axis=0))
    return x, y, z


@dataclass(frozen=True)
class Fingerprint:
    """A folder's usable scans, and what was found about all of its files.

    `listing` names usable files only. `class_names` and `values` are the classes and the numbers
    that stand for them in the files; `axis` is where slices lie that are to be learnt singly (see
    `geometry.slice_axis`), None for volumes. `channel_names` are the channels of every usable scan,
    `broken_labels` those scans whose label map is there but cannot be used.
    """

    folder: Path
    listing: Listing
    properties: Mapping[str, ScanProperties]
    findings: tuple[Finding, ...]
    class_names: tuple[str, ...]
    values: tuple[int, ...]
    axis: int | None
    channel_names: tuple[str, ...] = ("image",)
    broken_labels: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What voxel sizes are measured in: "mm", for a folder of pictures "pixel"."""
        units = {one.header.unit for one in self.properties.values()}
        return "pixel" if units == {"pixel"} else "mm"

    @property
    def common_spacing(self) -> tuple[float, float, float] | None:
        """The voxel size along x, y and z (mm) that scans are resampled to for training, None where
        their voxels are of one size. The distance of slices that are learnt singly stays: it is
        that of the median scan here."""
        return median_spacing([one.spacing for one in self.properties.values()], self.axis)

    @property
    def excluded(self) -> tuple[Finding, ...]:
        """Files that cannot be used, and why."""
        return tuple(one for one in self.findings if one.weight == "excluded")


def take_fingerprint(folder: str | Path) -> Fingerprint:
    """Read every file of the folder once and describe what is usable.

    A scan whose label map cannot be used stays as an unlabelled one; of scans with the same voxels
    the first (a labelled one before others) stays. Raises `InputError` only if there is no image,
    or none that can be read.
    """
    from ssl_lib.data.integrity import integrity_checks  # it describes what is defined here

    folder = Path(folder)
    findings = Findings(folder)
    listing = _with_segments(_with_colours(list_folder(folder, findings), findings), findings)
    properties: dict[str, ScanProperties] = {}
    for scan in listing.images:
        with findings.collected():
            properties[scan] = _look_at(listing, scan, findings)
    for scan in listing.labels.keys() - properties.keys():
        image = listing.images[scan].name
        findings.note(listing.labels[scan], f"is not used, for its image {image} cannot be used")
    _exclude_scouts(listing, properties, findings)
    if not properties:
        excluded = [one for one in findings.found if one.weight == "excluded"]
        raise refuse_together(
            folder, excluded, f"none of its {len(listing.images)} scans can be used"
        )
    _exclude_other_channels(listing, properties, findings)
    _exclude_duplicates(listing, properties, findings)
    names, values = _classes(listing, properties, findings)
    usable = _with_patients(_only(listing, properties), findings)
    usable = replace(usable, codes={**usable.codes, **_segment_values(names, values)})
    axis = slice_axis(
        [one.shape for one in properties.values()], [one.spacing for one in properties.values()]
    )
    found = [*findings.found, *integrity_checks(properties, usable, names, values, axis)]
    channels = _channel_names(listing, properties)
    broken = tuple(
        scan for scan in listing.labels if scan in properties and scan not in usable.labels
    )
    return Fingerprint(
        folder, usable, properties, tuple(found), names, values, axis, channels, broken
    )


def _with_colours(listing: Listing, findings: Findings) -> Listing:
    """The listing with the value of each colour, where label maps are colour pictures: stated by
    dataset.json, or else counted here and told."""
    pictures = [path for path in listing.labels.values() if format_of(path) == "picture"]
    if not pictures:
        return listing
    found, stated = label_colours(pictures), listing.description.get("colours")
    colours = stated or found.values
    if colours and not stated:
        words = [f"{colour_name(colour)} is {value}" for colour, value in colours.items()]
        findings.note(
            "label maps",
            f"colours stand for classes: {some(words, 8)}",
            "",
            'to choose names and values, write "labels": {"background": "#000000", ...} into'
            " dataset.json",
        )
    for path in found.plain:
        findings.warn(
            path,
            "holds plain numbers, other label maps colours: its numbers are taken as they are",
            "label maps of one kind",
            "save all of them as index images, or all of them in colours",
        )
    for path in found.repainted:
        findings.warn(
            path,
            "its palette shows a number in another colour than other files do: numbers count here,"
            " not colours",
            "one number for each class in all files",
            "if the colours are right, save all label maps as RGB",
        )
    return replace(listing, codes=cast(Codes, colours))


def _with_segments(listing: Listing, findings: Findings) -> Listing:
    """The listing with the value of each segment's label, where label maps are DICOM-SEG: stated by
    dataset.json, or else in the order of their numbers, and told."""
    numbers: dict[str, int] = {}
    for path in listing.labels.values():
        if format_of(path) == "dicom":
            with suppress(InputError):  # refused by name where it is used
                for number, label in segment_labels(path).items():
                    numbers.setdefault(label, number)
    if not numbers:
        return listing
    description = dict(listing.description)
    if not description.get("labels"):
        ordered = sorted(numbers, key=lambda label: (numbers[label], label))
        description["labels"] = ("background", *ordered)
        description["values"] = tuple(range(len(ordered) + 1))
        words = [f"{label} is {value}" for value, label in enumerate(ordered, start=1)]
        findings.note(
            "label maps",
            f"segments stand for classes by their labels: {some(words, 8)}",
            "",
            'to choose values, write "labels": {"background": 0, ...} into dataset.json',
        )
    segments = _segment_values(description["labels"], description["values"])
    return replace(listing, description=description, codes={**listing.codes, **segments})


def _segment_values(names: Sequence[str], values: Sequence[int]) -> Codes:
    """The value of each class by the label of its segment; the background is none."""
    return dict(zip(map(segment_label, names[1:]), values[1:], strict=True))


def _look_at(listing: Listing, scan: str, findings: Findings) -> ScanProperties:
    """The properties of one scan; a label map that cannot be used is noted and passed over."""
    path = listing.images[scan]
    volume = read_scan(listing.files(scan))
    further = [as_image(voxels, file, fill_nan=True) for voxels, file in volume.further]
    undefined = nan_share(volume.voxels)
    image = as_image(volume.voxels, path, fill_nan=True)
    sample = sampled(image)
    levels = np.unique(sample)[:11]
    lowest = float(image.min())
    next_level = float(np.min(image, where=image > lowest, initial=np.inf))
    properties = ScanProperties(
        scan=scan,
        shape=image.shape,
        spacing=volume.spacing,
        millilitres=volume.millilitres,
        header=volume_header(volume),
        quantiles=tuple(float(level) for level in np.quantile(sample, QUANTILES)),
        lowest=(lowest, next_level),
        padding=float(np.mean(image == lowest)),
        levels=len(levels),
        content="".join(map(_hash, [image, *further])),
        channels=_channels(listing, scan, len(further)),
        undefined=undefined,
        classes={},
    )
    if format_of(path) == "dicom":
        _warn_without_seg(path, findings)
    with findings.collected():
        if scan in listing.labels:
            label, beside = label_beside(volume, listing.labels[scan], listing.codes)
            _refuse_ignored(label, listing, scan)
            counts = value_counts(label)
            properties = replace(
                properties,
                classes={int(value): int(counts[value]) for value in np.flatnonzero(counts)},
                label_content=_hash(label) if label.any() else "",
                fit=better_fit(image, label, properties.quantiles),
                gaps=sparse_axis(label),
                beside=beside,
            )
            if beside > BESIDE_NOTED:
                findings.note(
                    listing.labels[scan],
                    f"lies {beside:.2g} voxels beside its image: used as if it lay on it",
                )
    return properties


def _warn_without_seg(path: Path, findings: Findings) -> None:
    """Tell of a series for which no DICOM-SEG can be written, before hours of training."""
    try:
        refuse_seg(path)
    except InputError as error:
        findings.warn(error.where, error.problem, error.expected, error.fix)


COLOUR_NAMES = ("red", "green", "blue")


def _channels(listing: Listing, scan: str, further: int) -> tuple[str, ...]:
    """What the channels of a scan are called: numbers of its files, the colours of a picture, or
    the places of several numbers in one file."""
    numbers = sorted(listing.channels.get(scan, {0: ""}))
    if len(numbers) == 1 + further:
        return tuple(f"{number:04}" for number in numbers)
    is_picture = format_of(listing.images[scan]) == "picture" and further == 2
    return COLOUR_NAMES if is_picture else tuple(f"{number:04}" for number in range(1 + further))


def _exclude_other_channels(
    listing: Listing, properties: dict[str, ScanProperties], findings: Findings
) -> None:
    """Scans with other channels than most (of two kinds as frequent the labelled one stays)."""
    counts = Counter(one.channels for one in properties.values())
    labelled = Counter(one.channels for one in properties.values() if one.classes)
    usual = max(counts, key=lambda channels: (counts[channels], labelled[channels]))
    for scan, one in list(properties.items()):
        if one.channels != usual:
            findings.exclude(
                listing.images[scan],
                f"has the channels {', '.join(one.channels)}; most scans have {', '.join(usual)}",
                "the same channels in every scan",
                "add what is missing, or remove the scan",
            )
            del properties[scan]


def _channel_names(listing: Listing, properties: Mapping[str, ScanProperties]) -> tuple[str, ...]:
    """The names of the channels that all scans have: those of dataset.json, else colours or
    "channel 0", "channel 1", ...; "image" for a single one."""
    found = next(iter(properties.values())).channels
    stated = listing.description.get("channel_names") or listing.description.get("modality")
    if isinstance(stated, Mapping) and len(stated) == len(found):
        return tuple(printable(name) for name in stated.values())
    if len(found) == 1:
        return ("image",)
    return found if found == COLOUR_NAMES else tuple(f"channel {int(name)}" for name in found)


def sampled(image: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "*space"]:
    """The image, or about `SAMPLED` of its voxels, evenly spread along every axis."""
    step = max(1, round((image.size / SAMPLED) ** (1 / 3)))
    return image[::step, ::step, ::step]


def _refuse_ignored(label: UInt8[np.ndarray, "x y z"], listing: Listing, scan: str) -> None:
    """Voxels that nobody outlined are neither background nor a class."""
    if listing.ignored is None:
        return
    count = int(np.count_nonzero(label == listing.ignored))
    if count:
        raise InputError(
            f"leaves {count} voxels open (value {listing.ignored}, 'ignore' in dataset.json):"
            " label maps with open voxels are not supported",
            where=listing.labels[scan],
            expected="a class or background for every voxel",
            fix="outline the whole scan, or remove its label map: it then counts as unlabelled",
        )


def sparse_axis(label: UInt8[np.ndarray, "x y z"]) -> int | None:
    """The axis along which outlined slices alternate with empty ones inside the organ, or None.

    It alternates if half of the slices between the first and the last outlined one are empty, in
    two gaps or more, and no more than two outlined slices lie together; or if a quarter of them
    are, in two gaps or more of one or two slices. Two organs side by side have one gap.
    """
    for axis in range(3):
        there = np.any(label, axis=tuple(other for other in range(3) if other != axis))
        inside = there[there.argmax() : len(there) - there[::-1].argmax()]
        runs = np.diff(np.flatnonzero(np.diff(np.r_[0, inside.astype(np.int8), 0])))
        gaps, empty = len(runs) // 2, float(np.mean(~inside)) if inside.size else 0.0
        thin = gaps >= 2 and empty >= 1 / 2 and runs[::2].max() <= 2
        if thin or (gaps >= 2 and empty >= 0.25 and runs[1::2].max() <= 2):
            return axis
    return None


def read_label(image: Volume, path: Path, codes: Codes | None = None) -> UInt8[np.ndarray, "x y z"]:
    """The label map of an image, on its voxels; see `label_beside`."""
    return label_beside(image, path, codes)[0]


def label_beside(
    image: Volume, path: Path, codes: Codes | None = None
) -> tuple[UInt8[np.ndarray, "x y z"], float]:
    """The label map of an image, on its voxels, and how many voxels it lies beside it; `codes` are
    the values of colours in pictures and of segments in DICOM-SEG (`Listing.codes`).

    Raises `InputError` for a file that is no label map or lies elsewhere; the message says so where
    the two headers differ in the direction of an axis.
    """
    named = {name: value for name, value in (codes or {}).items() if isinstance(name, str)}
    if format_of(path) == "dicom" and (seg := seg_file(path)):
        return read_seg(seg, image, named), 0.0
    colours = {name: value for name, value in (codes or {}).items() if not isinstance(name, str)}
    volume = read_labels(path, colours=colours)
    if volume.unit == "pixel" and image.unit != "pixel":
        volume = on_stored_grid(volume, image)
    if not np.array_equal(volume.turn, image.turn):  # type: ignore[arg-type]  # two None are equal
        alike = read_labels(path, turned_as=image, colours=colours)
        with suppress(InputError):  # only a rounding apart: then the image's turn is right
            same_grid(image, alike)
            volume = alike
    try:
        beside = same_grid(image, volume)
    except InputError as error:
        theirs, ours = (volume_header(one).orientation for one in (volume, image))
        if theirs == ours or volume.voxels.shape != image.voxels.shape:
            raise
        raise InputError(
            f"lies elsewhere than its image {image.path.name}: its header says {theirs}, that of"
            f" its image {ours}; mirrored against it, if both arrays were stored alike",
            where=path,
            expected=error.expected,
            fix="look at both in a viewer, then give the label map the affine of its image",
        ) from None
    return as_label(volume.voxels, path), beside


def _exclude_scouts(
    listing: Listing, properties: dict[str, ScanProperties], findings: Findings
) -> None:
    """Single slices among volumes: overviews that a scanner takes before a series."""
    if not properties:
        return
    axis = slice_axis(
        [one.shape for one in properties.values()], [one.spacing for one in properties.values()]
    )
    for scan, one in list(properties.items()):
        thin = [a for a in range(3) if one.shape[a] == 1 and a != axis]
        if thin:
            findings.exclude(
                listing.images[scan],
                f"is a single slice of {' x '.join(map(str, one.shape))} voxels",
                "volumes, as most scans are" if axis is None else "slices of the usual plane",
                "remove it: it is probably an overview (scout)",
            )
            del properties[scan]


def _exclude_duplicates(
    listing: Listing, properties: dict[str, ScanProperties], findings: Findings
) -> None:
    """Of scans with the same voxels keep the first, a labelled one before others."""
    first: dict[str, str] = {}
    for scan in sorted(properties, key=lambda scan: not properties[scan].classes):
        kept = first.setdefault(properties[scan].content, scan)
        if kept != scan:
            findings.exclude(
                listing.images[scan],
                f"has the same voxels as {findings.name_of(listing.images[kept])}",
                "each scan once: on both sides of a split it would be tested on what it learnt",
                "remove one of the two",
            )
            del properties[scan]


def _classes(
    listing: Listing, properties: dict[str, ScanProperties], findings: Findings
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and values of the classes; label maps with other values lose their labels.

    Without names in dataset.json, the classes are the values that at least two label maps use (or
    the only one, if there is only one); a single class is the foreground, whatever its value.
    """
    labelled = [scan for scan in properties if properties[scan].classes]
    uses = Counter(value for scan in labelled for value in properties[scan].classes)
    names = listing.description.get("labels")
    if names is None:
        shared = any(n >= 2 for value, n in uses.items() if value > 0)
        least = 2 if shared and len(labelled) > 1 else 1
        values = tuple(sorted({0, *(value for value, n in uses.items() if n >= least)}))
        several = tuple(f"class {value}" for value in values[1:])
        names = ("background", *(several if len(several) > 1 else ("foreground",) * len(several)))
        fix = "fix it; if it is a class, name all classes in dataset.json"
        expected = f"values that other label maps use, too: {', '.join(map(str, values))}"
    else:
        values = tuple(listing.description["values"])
        stated = ", ".join(map(str, values))
        expected, fix = f"{stated}, as dataset.json names them", "fix one of the two"
    for scan in labelled:
        extra = sorted(properties[scan].classes.keys() - set(values))
        if extra:
            problem = f"holds the value {', '.join(map(str, extra))}"
            findings.exclude(listing.labels[scan], problem, expected, fix)
            properties[scan] = replace(
                properties[scan], classes={}, label_content="", fit=None, gaps=None, beside=0.0
            )
    return tuple(names), values


def _only(listing: Listing, properties: Mapping[str, ScanProperties]) -> Listing:
    """The listing without files that cannot be used."""
    return replace(
        listing,
        images={scan: path for scan, path in listing.images.items() if scan in properties},
        labels={
            scan: path
            for scan, path in listing.labels.items()
            if scan in properties and properties[scan].classes
        },
        test=tuple(scan for scan in listing.test if scan in properties),
    )


def _with_patients(listing: Listing, findings: Findings) -> Listing:
    """Patients guessed from the names of scans that no table names: told, and kept together."""
    guess = guess_patients(tuple(listing.images), listing.patients)
    of_series = _patients_of_series(listing)
    guess |= of_series
    unnamed = [scan for scan in listing.images if scan not in listing.patients]
    if listing.patients and unnamed:
        findings.warn(
            "patients.csv",
            f"does not name {some(unnamed)}: their patients are guessed from their names",
            "a line for every scan",
            "add them, a patient's scans with one name",
        )
    listing = replace(listing, guessed=guess)
    several: dict[str, list[str]] = {}
    for scan in listing.images:
        several.setdefault(listing.patient_of(scan), []).append(scan)
    several = {patient: scans for patient, scans in several.items() if len(scans) > 1}
    guessed = {p: scans for p, scans in several.items() if any(s in guess for s in scans)}
    if guessed:
        example = max(guessed.values(), key=len)
        tags = ", or their DICOM files," if of_series else ""
        findings.note(
            "imagesTr",
            f"names{tags} suggest {len(guessed)} patients with several scans, such as"
            f" {', '.join(example[:3])}: each is kept on one side of the split",
            "patients.csv, if the guess is wrong: it decides",
            "write a line scan,patient for each scan",
        )
    if len(set(map(listing.patient_of, listing.images))) == 1 and len(listing.images) > 1:
        findings.warn(
            "imagesTr",
            "all scans seem to be of one patient: no test on it says anything about another one",
            "scans of several patients",
            "if they are, say so in patients.csv",
        )
    _warn_of_sequences(guessed, findings)
    return _apart(listing, several, findings)


def _patients_of_series(listing: Listing) -> dict[str, str]:
    """DICOM series of one patient by scan: those whose files name the same one. The patient is
    called by the first scan's name: what the files say stays in them."""
    series = [scan for scan, path in listing.images.items() if format_of(path) == "dicom"]
    named: dict[str, list[str]] = {}
    for scan in series:
        if scan not in listing.patients and (patient := patient_id(listing.images[scan])):
            named.setdefault(patient, []).append(scan)
    return {scan: scans[0] for scans in named.values() if len(scans) > 1 for scan in scans}


SEQUENCES = {
    "t1", "t1w", "t1c", "t1ce", "t1n", "t1gd", "t2", "t2w", "t2f", "t2star", "flair", "dwi", "adc",
    "pd", "pdw", "swi", "ct", "cta", "ctp", "pet", "mr", "mri", "dce", "hbv",
}  # fmt: skip


def _warn_of_sequences(several: Mapping[str, Sequence[str]], findings: Findings) -> None:
    """Tell names that end in the name of a sequence: several images of one examination."""
    ends = {
        scan: scan.replace("-", "_").split("_")[-1].lower() for s in several.values() for scan in s
    }
    kinds = sorted({end for end in ends.values() if end in SEQUENCES})
    if len(kinds) > 1:
        findings.warn(
            "imagesTr",
            f"names end in {', '.join(kinds)}: are these images of one examination? Each is taken"
            " for a scan of its own, and networks meet all of them alike",
            "one kind of image",
            "make a folder for each kind, or name the images of one scan as its channels:"
            " NAME_0000, NAME_0001, ...",
        )


def _apart(listing: Listing, several: Mapping[str, Sequence[str]], findings: Findings) -> Listing:
    """See that no patient stands in training and test: of a stated one the training scans are not
    used, of a guessed one the test scan is taken for another patient's. Scans of imagesTs without a
    label map are not tested on."""
    test, guess = set(listing.scored_test), dict(listing.guessed)
    for scans in several.values():
        if {scan in test for scan in scans} != {True, False}:
            continue
        if all(scan in listing.patients for scan in scans):
            lost = [scan for scan in scans if scan not in test]
            findings.warn(
                "imagesTr",
                f"{', '.join(lost)} are not used: their patient has scans in imagesTs, too",
                "each patient in one of the two folders",
                "move all scans of this patient into one of them",
            )
            continue
        findings.warn(
            "imagesTs",
            f"names suggest that {', '.join(scans[:3])} are one patient, some in imagesTr and some"
            " in imagesTs: those in imagesTs are taken for other patients",
            "each patient in one of the two folders",
            "if it is one patient, say so in patients.csv, which decides",
        )
        for scan in scans:
            if scan in test and scan not in listing.patients:
                guess.pop(scan, None)
            elif scan not in test and scan not in listing.patients:
                guess[scan] = f"{guess.get(scan, scan)} (imagesTr)"
    return replace(listing, guessed=guess)


def _hash(array: Shaped[np.ndarray, "*space"]) -> str:
    """A hash of shape and voxels."""
    digest = hashlib.sha256(repr(array.shape).encode())
    for part in array:  # a copy of one slice at a time
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:16]
