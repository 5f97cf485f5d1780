"""Look at a folder of scans before anything is learnt from it: what is there, what cannot be used,
and what is likely a mistake.

Every file is read once and only its description is kept. Nothing is refused here: a file that
cannot be used is left out by name, with what was expected and how to mend it, and the rest goes on.
What lies where in the folder is told in `ssl_lib.data.folder_files`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from ssl_lib.data.folder_files import Listing, Problems, list_folder
from ssl_lib.data.preprocessing import is_placed, orientation_of, slice_axis
from ssl_lib.data.reading import Volume, as_image, as_label, read_nifti, same_grid
from ssl_lib.utils.errors import InputError

QUANTILES: tuple[float, ...] = (0.01, 0.25, 0.5, 0.75, 0.99)
Weight = Literal["left out", "likely mistake", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing to know about a file: left out, likely a mistake, or only a note."""

    weight: Weight
    file: str
    problem: str
    expected: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Facts:
    """One usable scan: `shape` and `spacing` (mm) along x (right), y (front), z (top).

    `orientation` is that of the file; `placed` whether its header states one. `quantiles` are grey
    levels at `QUANTILES`, `lowest` the two lowest different ones, `padding` the share of voxels at
    the lowest, `levels` how many different there are (counted up to 11). `classes` counts the
    voxels of each value of the label map, empty without one. `content` and `label_content` are
    hashes of the voxels. `mirrored` is the axis along which the flipped label map suits the image
    much better than the label map as it is, if there is one.
    """

    scan: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    orientation: str
    placed: bool
    quantiles: tuple[float, ...]
    lowest: tuple[float, float]
    padding: float
    levels: int
    content: str
    classes: Mapping[int, int]
    label_content: str = ""
    mirrored: int | None = None


@dataclass(frozen=True)
class Survey:
    """A folder's usable scans, and what was found about all of its files.

    `listing` names usable files only. `class_names` and `values` are the classes and the numbers
    that stand for them in the files; `axis` is where slices lie that are to be learnt singly (see
    `geometry.slice_axis`), None for volumes.
    """

    folder: Path
    listing: Listing
    facts: Mapping[str, Facts]
    findings: tuple[Finding, ...]
    class_names: tuple[str, ...]
    values: tuple[int, ...]
    axis: int | None

    @property
    def left_out(self) -> tuple[Finding, ...]:
        """Files that cannot be used."""
        return tuple(one for one in self.findings if one.weight == "left out")


class Findings(Problems):
    """Problems as findings: those that a reader reports mean that the file is left out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.found: list[Finding] = []

    def add(self, path: str | Path | None, problem: str, expected: str = "", fix: str = "") -> None:
        """A file that cannot be used."""
        self.found.append(Finding("left out", self.name_of(path), problem, expected, fix))


def survey(folder: str | Path) -> Survey:
    """Read every file of the folder once and describe what is usable.

    A scan whose label map cannot be used stays as an unlabelled one; of scans with the same voxels
    the first (a labelled one before others) stays. Raises `InputError` only if there is no image,
    or none that can be read.
    """
    from ssl_lib.data.integrity import likely_mistakes  # it describes what is defined here

    folder = Path(folder)
    findings = Findings(folder)
    listing = list_folder(folder, findings)
    facts: dict[str, Facts] = {}
    for scan in listing.images:
        with findings.collected():
            facts[scan] = _look_at(listing, scan, findings)
    if not facts:
        raise InputError(
            f"none of its {len(listing.images)} scans can be read",
            where=folder,
            expected="NIfTI files with one volume each",
            fix="; ".join(f"{one.file}: {one.problem}" for one in findings.found[:3]),
        )
    _leave_out_twins(listing, facts, findings)
    names, values = _classes(listing, facts, findings)
    usable = _only(listing, facts)
    guessed, patients = _with_patients(usable)
    found = [*findings.found, *guessed, *likely_mistakes(facts, patients, names, values)]
    axis = slice_axis(
        [one.shape for one in facts.values()], [one.spacing for one in facts.values()]
    )
    return Survey(folder, patients, facts, tuple(found), names, values, axis)


def _look_at(listing: Listing, scan: str, findings: Findings) -> Facts:
    """The facts of one scan; a label map that cannot be used is noted and passed over."""
    path = listing.images[scan]
    volume = read_nifti(path)
    image = as_image(volume.voxels, path)
    lowest = np.unique(image)[:11]
    facts = Facts(
        scan=scan,
        shape=image.shape,
        spacing=volume.spacing,
        orientation=orientation_of(path),
        placed=is_placed(path),
        quantiles=tuple(float(level) for level in np.quantile(image, QUANTILES)),
        lowest=(float(lowest[0]), float(lowest[1])),
        padding=float(np.mean(image == lowest[0])),
        levels=len(lowest),
        content=_hash(image),
        classes={},
    )
    with findings.collected():
        if scan in listing.labels:
            label = read_label(volume, listing.labels[scan])
            values, counts = np.unique(label, return_counts=True)
            facts = replace(
                facts,
                classes=dict(zip(values.tolist(), counts.tolist(), strict=True)),
                label_content=_hash(label) if label.any() else "",
                mirrored=mirrored_axis(image, label),
            )
    return facts


def read_label(image: Volume, path: Path) -> UInt8[np.ndarray, "x y z"]:
    """The label map of an image, on its voxels.

    Raises `InputError` for a file that is no label map or lies elsewhere; the message says so where
    the two headers differ in the direction of an axis.
    """
    volume = read_nifti(path)
    try:
        same_grid(image, volume)
    except InputError as error:
        theirs, ours = orientation_of(path), orientation_of(image.path)
        if theirs == ours or volume.voxels.shape != image.voxels.shape:
            raise
        raise InputError(
            f"{error.problem}; its header says {theirs}, that of its image {ours}:"
            " mirrored against it, if both arrays were stored alike",
            where=path,
            expected=error.expected,
            fix="look at both in a viewer, then give the label map the affine of its image",
        ) from None
    return as_label(volume.voxels, path)


def mirrored_axis(
    image: Float[np.ndarray, "x y z"], label: UInt8[np.ndarray, "x y z"]
) -> int | None:
    """The axis along which the flipped label map explains the grey levels much better, or None.

    Compared is the share of the grey levels' variance that lies between the classes. Much better:
    more than twice as much, and by more than a tenth of the variance.
    """
    if not label.any():
        return None
    low, high = np.quantile(image, (0.01, 0.99))
    grey = np.clip(image, low, high)
    own = explained_variance(grey, label)
    flipped = [explained_variance(grey, np.flip(label, axis)) for axis in range(3)]
    best = int(np.argmax(flipped))
    return best if flipped[best] > max(2 * own, own + 0.1) else None


def explained_variance(
    image: Float[np.ndarray, "*space"], label: UInt8[np.ndarray, "*space"]
) -> float:
    """The variance between the means of the classes over the whole variance, 0 to 1."""
    counts = np.bincount(label.ravel())
    sums = np.bincount(label.ravel(), weights=image.ravel())
    there = counts > 0
    means = sums[there] / counts[there]
    whole = image.mean(dtype=np.float64)
    between = (counts[there] * (means - whole) ** 2).sum() / counts.sum()
    return float(between / max(image.var(dtype=np.float64), 1e-12))


def _leave_out_twins(listing: Listing, facts: dict[str, Facts], findings: Findings) -> None:
    """Of scans with the same voxels keep the first, a labelled one before others."""
    first: dict[str, str] = {}
    for scan in sorted(facts, key=lambda scan: not facts[scan].classes):
        kept = first.setdefault(facts[scan].content, scan)
        if kept != scan:
            findings.add(
                listing.images[scan],
                f"has the same voxels as {findings.name_of(listing.images[kept])}",
                "each scan once: on both sides of a split it would be tested on what it learnt",
                "remove one of the two",
            )
            del facts[scan]


def _classes(
    listing: Listing, facts: dict[str, Facts], findings: Findings
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and values of the classes; label maps with other values lose their labels.

    Without names in dataset.json, the classes are the values that at least two label maps use (or
    the only one, if there is only one).
    """
    labelled = [scan for scan in facts if facts[scan].classes]
    uses = Counter(value for scan in labelled for value in facts[scan].classes)
    names = listing.description.get("labels")
    if names is None:
        least = 1 if len(labelled) < 2 else 2
        values = tuple(sorted({0, *(value for value, n in uses.items() if n >= least)}))
        names = ("background", *(f"class {value}" for value in values[1:]))
        fix = "mend it; if it is a class, name all classes in dataset.json"
        expected = f"values that other label maps use, too: {', '.join(map(str, values))}"
    else:
        values = tuple(range(len(names)))
        expected, fix = f"0 to {len(names) - 1}, as dataset.json names them", "mend one of the two"
    for scan in labelled:
        extra = sorted(facts[scan].classes.keys() - set(values))
        if extra:
            problem = f"holds the value {', '.join(map(str, extra))}"
            findings.add(listing.labels[scan], problem, expected, fix)
            facts[scan] = replace(facts[scan], classes={}, label_content="", mirrored=None)
    return tuple(names), values


def _only(listing: Listing, facts: Mapping[str, Facts]) -> Listing:
    """The listing without files that cannot be used."""
    return replace(
        listing,
        images={scan: path for scan, path in listing.images.items() if scan in facts},
        labels={
            scan: path
            for scan, path in listing.labels.items()
            if scan in facts and facts[scan].classes
        },
        test=tuple(scan for scan in listing.test if scan in facts),
    )


def _with_patients(listing: Listing) -> tuple[list[Finding], Listing]:
    """Patients guessed from names where no table states them: noted, and kept together."""
    if listing.patients:
        return [], listing
    guess = guess_patients(tuple(listing.images))
    if not guess:
        return [], listing
    several = {p: [s for s in guess if guess[s] == p] for p in sorted(set(guess.values()))}
    example = max(several.values(), key=len)
    note = Finding(
        "note",
        "imagesTr",
        f"names suggest patients with several scans, such as {', '.join(example[:3])}:"
        f" {len(several)} of them, each kept on one side of the split",
        "patients.csv, if the guess is wrong",
        "write a line scan,patient for each scan",
    )
    return [note], replace(listing, patients=guess)


def guess_patients(scans: Sequence[str]) -> dict[str, str]:
    """Scans whose names agree up to the last `_` or `-` part, if that beginning holds a number.

    Returns the guessed patient of scans that share one; {} if that would make one patient of all,
    or of more than four scans and a quarter of the folder: then it is a year, or a study's name.
    """
    beginnings = {scan: scan[: max(scan.rfind("_"), scan.rfind("-"), 0)] for scan in scans}
    counts = Counter(part for part in beginnings.values() if any(c.isdigit() for c in part))
    guess = {scan: part for scan, part in beginnings.items() if counts[part] > 1}
    several = len(set(guess.values())) + len(scans) - len(guess) > 1
    largest = max(Counter(guess.values()).values(), default=0)
    return guess if several and largest <= max(4, len(scans) / 4) else {}


def _hash(array: np.ndarray) -> str:
    """A hash of shape and voxels."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
