"""A folder of one's own scans as a cohort, by what its fingerprint found usable.

`folder_files` says what may lie in a folder, `fingerprint` what of it can be used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssl_lib.data.cohort import Case, Cohort, seal
from ssl_lib.data.downsampling import downsampling_factors, downsampling_note
from ssl_lib.data.findings import some, told
from ssl_lib.data.fingerprint import Fingerprint, read_label
from ssl_lib.data.folder_files import Listing
from ssl_lib.data.formats import read_scan
from ssl_lib.data.preprocessing import Geometry
from ssl_lib.data.scan_files import ScanStore
from ssl_lib.data.spacing import sizes_text
from ssl_lib.data.splits import Split, cap, hold_out, split_training
from ssl_lib.utils.errors import InputError, printable
from ssl_lib.utils.words import counted, percent

VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2
DRAWN = "Drawn by us from the labelled scans:"
"""How the sentence of a caveat begins that says what was held out."""
MOST_NAMED = 12
"""Excluded files that a caveat names; the findings name all of them."""


def folder_cohort(
    fingerprint: Fingerprint,
    n_labelled: int | None,
    *,
    max_scans: int | None = None,
    largest_side: int | None = None,
    split_seed: int = 0,
) -> tuple[Cohort, Geometry]:
    """The cohort of a folder's usable scans, and how they are shown to a network.

    Spacing is in mm (of pictures in pixels), axes to the right, front and top, grey levels z-scored
    per scan. Volumes whose median side is over `largest_side` are downsampled as they are read, so
    that no more than one is held whole (see `downsampling`); slices that are learnt singly and are
    over twice as long are resampled for the network, and predictions back. Scans that do not fit
    into memory are kept in files (see `scan_files`). Without `n_labelled` all labelled scans that
    are not held out keep their labels. Raises `InputError` if too few labelled scans remain, if
    none of those that are to be learnt from holds a class, or if the disk has no room either.
    """
    whole, listing, alone = _split_with_patients(fingerprint, n_labelled, split_seed)
    split = cap(whole, max_scans)
    left = len(whole.all) - len(split.all)
    missing = _missing_classes(fingerprint, split)
    shapes = [fingerprint.properties[scan].shape for scan in split.all]
    limit = largest_side if fingerprint.axis is None else None
    geometry = Geometry(fingerprint.axis, downsampling_factors(shapes, limit))
    store = ScanStore()
    cases = {
        scan: store.add(geometry.case(_read(fingerprint, listing, scan))) for scan in split.all
    }
    excluded = [one.file for one in fingerprint.excluded]
    named = some(excluded, MOST_NAMED)
    sentences = [f"Excluded because they cannot be used: {named}."] if excluded else []
    sentences += [
        f"{one.file}: {one.problem}." for one in fingerprint.findings if one.topic == "matched"
    ]
    sentences += [alone] if alone else []
    sentences += [missing] if missing else []
    common = _common_spacing(fingerprint, geometry, largest_side)
    sentences.append(_caveat(listing, whole, geometry, _resampling(fingerprint, common)))
    sentences += [f"Only {len(split.all)} of {len(whole.all)} scans are used."] if left else []
    share = _organ_share(fingerprint, split)
    sentences += [SMALL_ORGANS.format(percent(share, 2))] if share < SMALL else []
    caveat = " ".join(sentences)
    cohort = _sealed(fingerprint, listing, split, cases, geometry, caveat, share < SMALL)
    cohort = replace(cohort, common_spacing=common)
    return cohort, geometry


SMALL = 0.01
"""Organs that fill less than this share of the median labelled scan are small."""
SMALL_ORGANS = (
    "Organs fill {} of the median labelled scan: a third of the labelled patches is placed so"
    " that it holds one."
)


def _organ_share(fingerprint: Fingerprint, split: Split) -> float:
    """The share of voxels that are not background, the median over the labelled training scans."""
    labelled = [fingerprint.properties[scan] for scan in split.labelled]
    return float(np.median([one.foreground / math.prod(one.shape) for one in labelled]))


TOGETHER_NO_MORE = (
    "Names suggest patients with several scans, but keeping them together leaves too little to"
    " train on: each scan is taken for a patient of its own. patients.csv decides."
)


def _split_with_patients(
    fingerprint: Fingerprint, n_labelled: int | None, seed: int
) -> tuple[Split, Listing, str]:
    """The split; the listing with the patients that it keeps together; and a sentence if guessed
    patients had to be given up, because keeping them together leaves too little."""
    listing, folder = fingerprint.listing, fingerprint.folder
    try:
        return folder_split(folder, listing, n_labelled, seed), listing, ""
    except InputError as error:
        if listing.guessed and not _can_be_split(listing, folder, seed):
            free = replace(listing, guessed={})
            try:
                split = folder_split(folder, free, n_labelled, seed)
            except InputError:
                pass
            else:
                return split, free, TOGETHER_NO_MORE
        raise _too_little(fingerprint, error) from None


def _can_be_split(listing: Listing, folder: Path, seed: int) -> bool:
    """Whether the guessed patients leave at least one labelled scan to train on."""
    try:
        folder_split(folder, listing, 1, seed)
    except InputError:
        return False
    return True


def _too_little(fingerprint: Fingerprint, error: InputError) -> InputError:
    """The refusal of a split, with the files that were excluded before and folders not read."""
    unread = [one for one in fingerprint.findings if one.topic == "unread"]
    lost = [*fingerprint.excluded, *unread]
    if not lost:
        return error
    fix = "; ".join(part for part in (error.fix, "or fix what was excluded or not read:") if part)
    fix += "".join(f"\n    {line}" for line in told(lost))
    return InputError(error.problem, where=error.where, expected=error.expected, fix=fix)


def _missing_classes(fingerprint: Fingerprint, split: Split) -> str:
    """In words, which classes no labelled training scan holds. Raises `InputError` if none holds
    any: nothing could be learnt."""
    labelled = [fingerprint.properties[scan].classes for scan in split.labelled]
    held = {value for classes in labelled for value in classes}
    names = dict(zip(fingerprint.values, fingerprint.class_names, strict=True))
    missing = [name for value, name in names.items() if value > 0 and value not in held]
    if not missing and len(names) > 1:
        return ""
    which = some(split.labelled)
    if len(missing) == len(names) - 1:
        every = [one for one in fingerprint.properties.values() if one.classes]
        found = sum(one.foreground > 0 for one in every)
        raise InputError(
            f"no labelled training scan of {len(labelled)} ({which}) holds anything but"
            f" background: nothing can be learnt from them; {found} of the {len(every)} label maps"
            " of the folder hold a class",
            where=fingerprint.folder,
            expected="outlines in the label maps of labelsTr",
            fix="outline them, remove the empty label maps, or ask for more labelled scans"
            " (N_LABELLED)",
        )
    return (
        f"No labelled training scan of {len(labelled)} ({which}) holds"
        f" {', '.join(missing)}: what they do not show cannot be learnt."
    )


def _read(fingerprint: Fingerprint, listing: Listing, scan: str) -> Case:
    """A scan that was read for the fingerprint before, its label's values turned into classes."""
    volume = read_scan(listing.files(scan))
    label = None
    if scan in listing.labels:
        values = read_label(volume, listing.labels[scan], listing.codes)
        label = np.searchsorted(fingerprint.values, values).astype(np.uint8)
    image, *others = volume.images()
    further = np.stack(others) if others else None
    patient = listing.patient_of(scan)
    return Case(scan, patient, image, volume.spacing, label, volume.path, further, axes="xyz")


def _sealed(
    fingerprint: Fingerprint,
    listing: Listing,
    split: Split,
    cases: Mapping[str, Case],
    geometry: Geometry,
    caveat: str,
    small_organs: bool,
) -> Cohort:
    about = listing.description
    return seal(
        labelled=[cases[scan] for scan in split.labelled],
        unlabelled=[cases[scan] for scan in split.unlabelled],
        validation=[cases[scan] for scan in split.validation],
        test=[cases[scan] for scan in split.test],
        name=fingerprint.folder.resolve().name,
        dimensions=geometry.dimensions,
        class_names=fingerprint.class_names,
        small_organs=small_organs,
        channel_names=fingerprint.channel_names,
        spacing_unit="voxel" if fingerprint.unit == "pixel" else "mm",
        licence=printable(about.get("licence") or about.get("license") or "not stated"),
        citation=printable(about.get("reference") or "not stated"),
        caveat=caveat,
    )


def _common_spacing(
    fingerprint: Fingerprint, geometry: Geometry, largest_side: int | None
) -> tuple[float, ...] | None:
    """The voxel size that scans are resampled to, in the order of a patch's axes: the common one
    where they differ, a larger one where slices are long. On patches of large slices a network sees
    too little of each (trials/06_acdc_as_a_folder.py)."""
    common: tuple[float, ...] | None = fingerprint.common_spacing
    scans = fingerprint.properties.values()
    if geometry.axis is not None and largest_side is not None:
        sizes = np.array(common or np.median([one.spacing for one in scans], axis=0))
        lengths = np.median([np.multiply(one.shape, one.spacing) for one in scans], axis=0)
        longest = max(geometry.turned_sizes(lengths / sizes)[1:])
        if longest > 2 * largest_side:
            common = tuple(float(size) for size in sizes * longest / (2 * largest_side))
    return None if common is None else geometry.shown_sizes(common)[-geometry.dimensions :]


def _resampling(fingerprint: Fingerprint, common: tuple[float, ...] | None) -> str:
    """In words, what scans are resampled to for the network, and why; "" if they are not."""
    if common is None:
        return ""
    why = "Slices are large" if fingerprint.common_spacing is None else "Voxel sizes differ"
    unit = "pixels" if fingerprint.unit == "pixel" else "mm"
    return (
        f"{why}: for the network scans are resampled to {sizes_text(common)} {unit}, and"
        " predictions back."
    )


def folder_split(folder: Path, listing: Listing, n_labelled: int | None, seed: int = 0) -> Split:
    """The split of a folder by patient.

    Without `n_labelled` every labelled scan that is not held out keeps its label.

    Labelled test scans are the test set; without any, a fifth of the labelled scans is. Validation
    is about a seventh of the labelled training scans. Unlabelled scans of a patient who is held
    out are in no group. Raises `InputError` if too few labelled scans remain for training.
    """
    labelled = [scan for scan in listing.training if scan in listing.labels]
    least = 2 if listing.scored_test else 3
    if len(labelled) < least:
        aims = "one to train on, one to validate on" + ("" if least == 2 else ", one to test on")
        have = f"{len(labelled)} of them have" if len(labelled) != 1 else "1 of them has"
        raise InputError(
            f"of {len(listing.training)} usable training scans {have} a usable label map",
            where=folder,
            expected=f"{least} or more: {aims}"
            + ("" if listing.scored_test else " (labelsTs holds no label map of a test scan)"),
            fix="outline more scans (labelsTr/NAME.nii.gz)",
        )
    patient_of = listing.patient_of
    test = listing.scored_test or hold_out(
        labelled, _share(TEST_SHARE, labelled), patient_of, seed=seed
    )
    validation = hold_out(
        labelled, _share(VALIDATION_SHARE, labelled), patient_of, never=test, seed=seed
    )
    tested = {patient_of(scan) for scan in test}
    pool = [
        scan
        for scan in labelled
        if scan not in {*validation, *test} and patient_of(scan) not in tested
    ]
    n_labelled = max(1, len(pool)) if n_labelled is None else n_labelled
    if not 1 <= n_labelled <= len(pool):
        raise InputError(
            f"asked for: {counted(n_labelled, 'labelled scan')}; of {len(labelled)} in labelsTr,"
            f" {len(labelled) - len(pool)} are held out and {len(pool)} remain for training",
            where=folder,
            expected=f"1 to {len(pool)}" if pool else "label maps of more patients in labelsTr",
            fix="set N_LABELLED to a number in that range, or outline more scans"
            if pool
            else "outline scans of other patients: scans of one are kept together",
        )
    away = {patient_of(scan) for scan in (*validation, *test)}
    unlabelled = [scan for scan in listing.training if scan not in listing.labels]
    free = [scan for scan in unlabelled if patient_of(scan) not in away]
    return split_training(pool + free, validation, test, n_labelled)


def _share(share: float, scans: Sequence[str]) -> int:
    return max(1, round(share * len(scans)))


def _caveat(listing: Listing, split: Split, geometry: Geometry, resampling: str) -> str:
    """The decisions on this folder in words."""
    held = counted(len(split.test), "test scan")
    test = "" if listing.scored_test else f"{held} (labelsTs has none) and "
    sentences = [f"{DRAWN} {test}{counted(len(split.validation), 'validation scan')}."]
    if listing.guessed:
        stated = "Those of patients.csv aside, patients" if listing.patients else "Patients"
        sentences.append(f"{stated} are guessed from the names of scans; patients.csv decides.")
    elif not listing.patients:
        sentences.append("Each scan is taken for a patient of its own (there is no patients.csv).")
    lost = set(listing.training) - set(split.all)
    if lost:
        sentences.append(f"Not used: {counted(len(lost), 'unlabelled scan')} of held-out patients.")
    unscored = len(listing.test) - len(listing.scored_test)
    if unscored:
        sentences.append(
            f"Neither learnt nor scored: {counted(unscored, 'scan')} of imagesTs without label map."
        )
    if geometry.dimensions == 2:
        sentences.append("Slices are thick or few: they are learnt singly, in 2D.")
    if max(geometry.factors) > 1:
        sentences.append(downsampling_note(geometry.factors))
    sentences += [resampling] if resampling else []
    return " ".join(sentences)
