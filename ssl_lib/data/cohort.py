"""Scans, and who may see which label.

A `Case` is one scan. A `Cohort` holds the four groups of a semi-supervised study. Labels of
unlabelled and test cases are not in it: they lie in `Cohort.sealed`, which opens only for a stated
purpose, so that no training code meets them by accident.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8

from ssl_lib.data.spacing import size_at
from ssl_lib.utils.errors import InputError

Purpose = Literal["final score", "teaching picture", "fully supervised reference", "test curve"]
PURPOSES: tuple[str, ...] = (
    "final score",
    "teaching picture",
    "fully supervised reference",
    "test curve",
)


@dataclass(frozen=True, eq=False)
class Case:
    """One scan: a volume, or the stack of slices (first axis) of a 2D task.

    `image` is its first channel, `further` are the others, if it has several. `axes` says where the
    axes of the arrays run: "x" to the right, "y" to the front, "z" to the top of the patient, such
    as "zxy" for a stack of axial slices; "" where it is not known. Pictures are upright by it, and
    nothing else depends on it.
    """

    case_id: str
    patient: str
    image: Float32[np.ndarray, "*space"]
    spacing: tuple[float, ...]
    label: UInt8[np.ndarray, "*space"] | None = None
    path: Path | None = None
    further: Float32[np.ndarray, "channel *space"] | None = None
    axes: str = ""

    @property
    def channels(self) -> list[Float32[np.ndarray, "*space"]]:
        """All channels in their order, the first one being `image`; nothing is copied."""
        return [self.image, *(() if self.further is None else self.further)]

    @property
    def seen(self) -> Float32[np.ndarray, "..."]:
        """What a network is shown: the image, or (channel, *space) if there are several."""
        return self.image if self.further is None else np.stack(self.channels)


class SealedLabels:
    """Labels that training must not see, opened only for a stated purpose."""

    def __init__(self, labels: Mapping[str, UInt8[np.ndarray, "*space"]]) -> None:
        self.__labels = dict(labels)
        for label in self.__labels.values():
            label.setflags(write=False)

    def __contains__(self, case_id: str) -> bool:
        return case_id in self.__labels

    def __repr__(self) -> str:
        return f"SealedLabels({len(self.__labels)} scans)"

    def open(self, case_id: str, purpose: Purpose) -> UInt8[np.ndarray, "*space"]:
        """The true label map of one scan, read-only.

        Raises `InputError` for an unstated purpose or a scan without a known label.
        """
        if purpose not in PURPOSES:
            raise InputError(
                f"sealed labels were asked for with the purpose {purpose!r}",
                expected=f"one of {', '.join(map(repr, PURPOSES))}",
            )
        if case_id not in self.__labels:
            raise InputError(f"no true label is known for scan {case_id!r}")
        return self.__labels[case_id].view()


@dataclass(frozen=True, eq=False)
class Cohort:
    """Four groups of scans, one task. `dimensions` is 2 when slices are learnt singly, else 3.
    `labelled_draw` is 0 where the data set says which scans are labelled (see `with_draw`).
    `channel_names` names the channels that every scan has; figures show the first. `common_spacing`
    is the voxel size (a number for each of the `dimensions`) that scans are resampled to for the
    network, None where their voxels are of one size. `small_organs` is set for scans of one's own
    whose organs fill little of them: a share of the labelled patches then holds one (`Settings`).

    Images and labels become read-only: what the hash was made of is what is trained on. Raises
    `InputError` for a label where none may be or a missing one, for a case id that stands twice,
    a patient in two splits, and arrays of the wrong type, shape or classes, naming the scan.
    """

    name: str
    dimensions: Literal[2, 3]
    class_names: tuple[str, ...]
    labelled: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    sealed: SealedLabels
    spacing_unit: Literal["mm", "voxel"]
    licence: str
    citation: str
    caveat: str = ""
    unit: Literal["scan", "patient"] = "scan"
    labelled_draw: int = 0
    channel_names: tuple[str, ...] = ("image",)
    common_spacing: tuple[float, ...] | None = None
    small_organs: bool = False
    content_hash: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if any(case.label is None for case in self.labelled + self.validation):
            raise InputError(f"cohort {self.name!r}: a labelled or validation scan has no label")
        if any(case.label is not None for case in self.unlabelled + self.test):
            raise InputError(f"cohort {self.name!r}: an unlabelled or test scan carries its label")
        _refuse_shared_identities(self)
        _refuse_shared_patients(self)
        for case in self.cases:
            _check_arrays(self, case)
            for channel in (case.image, case.further):
                if channel is not None:
                    channel.setflags(write=False)
            if case.label is not None:
                case.label.setflags(write=False)
        object.__setattr__(self, "content_hash", _content_hash(self))

    @property
    def groups(self) -> Mapping[str, tuple[Case, ...]]:
        """The four groups by name, in the order in which they are shown everywhere."""
        names = ("labelled", "unlabelled", "validation", "test")
        return MappingProxyType({name: getattr(self, name) for name in names})

    @property
    def cases(self) -> tuple[Case, ...]:
        """All scans, group after group."""
        return self.labelled + self.unlabelled + self.validation + self.test

    @property
    def n_labelled(self) -> int:
        """How many are labelled, in the unit that the split counts (ACDC: patients)."""
        return len(units_of(self.labelled, self.unit))

    def with_labels(self, n_labelled: int) -> Cohort:
        """The same cohort with the labels of the first `n_labelled` training scans (or patients)
        opened; the unlabelled scans stay, except those."""
        everything = self.with_all_labels()
        chosen = set(units_of(everything.labelled, self.unit)[:n_labelled])
        labelled = (c for c in everything.labelled if unit_of(c, self.unit) in chosen)
        return replace(everything, labelled=tuple(labelled))

    def with_draw(self, draw: int) -> Cohort:
        """The same cohort with as many other training scans (or patients) labelled.

        Draw 0 is the cohort as its data set states it. In draw 1, 2, ... the order of its training
        scans with a known label is that of sha256 of the draw and their unit, so that it depends on
        names alone; the labels of all others are sealed. Validation and test scans stay. Raises
        `InputError` for a negative draw.
        """
        if draw < 0 or self.labelled_draw:
            raise InputError(
                f"draw {draw} of a cohort of draw {self.labelled_draw} was asked for",
                expected="0 for the data set's own choice, 1, 2, ... for others",
            )
        if draw == 0:
            return self
        everything = self.with_all_labels()
        units = sorted(units_of(everything.labelled, self.unit), key=lambda one: _rank(draw, one))
        place = {unit: number for number, unit in enumerate(units)}
        ordered = sorted(everything.labelled, key=lambda case: place[unit_of(case, self.unit)])
        chosen = [c for c in ordered if place[unit_of(c, self.unit)] < self.n_labelled]
        others = [c for c in ordered if place[unit_of(c, self.unit)] >= self.n_labelled]
        labels = {case.case_id: known_label(self, case) for case in (*others, *self.test)}
        hidden = {name: label for name, label in labels.items() if label is not None}
        return replace(
            self,
            labelled=tuple(chosen),
            unlabelled=(*(replace(case, label=None) for case in others), *everything.unlabelled),
            sealed=SealedLabels(hidden),
            labelled_draw=draw,
        )

    def training_size(self, case: Case) -> tuple[int, ...]:
        """Voxels of a scan, or of its slices, along the axes of a patch, as the network sees it."""
        n = self.dimensions
        size = case.image.shape[-n:]
        if self.common_spacing is None:
            return size
        return size_at(size, case.spacing[-n:], self.common_spacing)

    @property
    def n_channels(self) -> int:
        """Number of channels that a network is shown."""
        return len(self.channel_names)

    @property
    def n_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.class_names)

    def with_all_labels(self) -> Cohort:
        """The same cohort with every known training label: only for the reference row.

        Its `content_hash` is another one, because other scans are labelled: results of the
        reference row are never mistaken for those of a row with few labels.
        """
        opened = tuple(
            replace(case, label=self.sealed.open(case.case_id, "fully supervised reference"))
            for case in self.unlabelled
            if case.case_id in self.sealed
        )
        unknown = tuple(case for case in self.unlabelled if case.case_id not in self.sealed)
        return replace(self, labelled=self.labelled + opened, unlabelled=unknown)


def _rank(draw: int, unit: str) -> str:
    return hashlib.sha256(f"draw {draw}: {unit}".encode()).hexdigest()


def unit_of(case: Case, unit: Literal["scan", "patient"]) -> str:
    """What a labelled scan is counted by: itself, or its patient."""
    return case.patient if unit == "patient" else case.case_id


def units_of(cases: Iterable[Case], unit: Literal["scan", "patient"]) -> list[str]:
    """The units of some cases in their order, each once."""
    return list(dict.fromkeys(unit_of(case, unit) for case in cases))


def seal(
    *,
    labelled: Iterable[Case],
    unlabelled: Iterable[Case],
    validation: Iterable[Case],
    test: Iterable[Case],
    **description: Any,
) -> Cohort:
    """A cohort from cases with labels: those of unlabelled and test scans are sealed."""
    unlabelled, test = tuple(unlabelled), tuple(test)
    return Cohort(
        labelled=tuple(labelled),
        unlabelled=tuple(replace(case, label=None) for case in unlabelled),
        validation=tuple(validation),
        test=tuple(replace(case, label=None) for case in test),
        sealed=SealedLabels(
            {case.case_id: case.label for case in unlabelled + test if case.label is not None}
        ),
        **description,
    )


def _refuse_shared_identities(cohort: Cohort) -> None:
    """Predictions, scores and sealed labels are found by case id, so each may stand only once."""
    counts = Counter(case.case_id for case in cohort.cases)
    twice = [case_id for case_id, count in counts.items() if count > 1]
    if twice:
        raise InputError(
            f"cohort {cohort.name!r}: the scan {twice[0]!r} stands in it {counts[twice[0]]} times",
            expected="another case id for each scan",
        )


def _check_arrays(cohort: Cohort, case: Case) -> None:
    """The image, and the label in sight or sealed, must be what every module relies on."""
    label = known_label(cohort, case)
    where = f"cohort {cohort.name!r}, scan {case.case_id!r}"
    if case.image.dtype != np.float32:
        raise InputError(f"the image is {case.image.dtype}", where=where, expected="float32")
    if len(case.channels) != len(cohort.channel_names) or any(
        one.shape != case.image.shape or one.dtype != np.float32 for one in case.channels
    ):
        raise InputError(
            f"it has {len(case.channels)} channels, or they differ in shape or type",
            where=where,
            expected=f"{len(cohort.channel_names)} alike: {', '.join(cohort.channel_names)}",
        )
    if label is None:
        return
    if label.dtype != np.uint8:
        raise InputError(f"the label map is {label.dtype}", where=where, expected="uint8")
    if label.shape != case.image.shape:
        raise InputError(
            f"the label map has the shape {label.shape}, its image {case.image.shape}",
            where=where,
            expected="one class for each voxel of the image",
        )
    if label.max(initial=0) >= cohort.n_classes:
        raise InputError(
            f"the label map holds the value {label.max()}",
            where=where,
            expected=f"0 to {cohort.n_classes - 1} for {', '.join(cohort.class_names)}",
        )


def known_label(cohort: Cohort, case: Case) -> UInt8[np.ndarray, "*space"] | None:
    """The label in sight, else the sealed one, else None: to check, hash or downsample a cohort."""
    if case.label is None and case.case_id in cohort.sealed:
        return cohort.sealed.open(case.case_id, "final score")
    return case.label


def _refuse_shared_patients(cohort: Cohort) -> None:
    """Training, validation and test must not share a patient (or a head cut in two)."""
    training = {case.patient for case in cohort.labelled + cohort.unlabelled}
    validation = {case.patient for case in cohort.validation}
    test = {case.patient for case in cohort.test}
    shared = (training & validation) | (training & test) | (validation & test)
    if shared:
        raise InputError(
            f"cohort {cohort.name!r}: patient {sorted(shared)[0]!r} stands in two splits",
            expected="each patient in one of training, validation and test",
        )


def _content_hash(cohort: Cohort) -> str:
    """sha256 over classes, groups, identities, images, spacings and every label."""
    digest = hashlib.sha256(repr((cohort.dimensions, cohort.class_names)).encode())
    for group, cases in cohort.groups.items():
        for case in cases:
            digest.update(repr((group, case.case_id, case.patient, case.spacing)).encode())
            for channel in case.channels:
                digest.update(_bytes(channel))
            label = known_label(cohort, case)
            if label is not None:
                digest.update(_bytes(label))
    return digest.hexdigest()[:16]


def _bytes(array: np.ndarray) -> bytes:
    return repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes()
