"""From a data set's name, or a folder, to a `Cohort`: the only door by which scans come in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ssl_lib.config import LARGEST_SIDE, SCANS_AT_MOST, check_choice
from ssl_lib.data import download
from ssl_lib.data.cohort import Case, Cohort, seal
from ssl_lib.data.downsampling import downsampled
from ssl_lib.data.findings import Finding, told
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.folder import folder_cohort
from ssl_lib.data.folder_files import folder_at
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.data.phantom import CLASS_NAMES, phantom_cohort
from ssl_lib.data.published import PUBLISHED, PublishedSet
from ssl_lib.data.published_scans import read_scan
from ssl_lib.data.splits import Split, cap, hold_out, split_training
from ssl_lib.utils.errors import InputError

DATASETS: dict[str, str] = {
    "phantom": "procedural heart, 2D slices; nothing to download",
    "phantom_3d": "procedural heart, 3D volumes; nothing to download",
    "hippocampus": "260 hippocampus MRI scans, 3D, fetched when first used (19 MB)",
    "la2018": "100 left-atrium MRI scans, 3D (233 MB: python data_download.py fetch la2018)",
    "acdc": "100 patients, heart MRI, 2D slices (133 MB: python data_download.py fetch acdc)",
}
"""Names that `load_cohort` knows, with a line on each. A folder of scans is named by path."""

FETCHED_BY_ITSELF = ("hippocampus",)


def open_cohort(dataset: str, profile: str, n_labelled: int, data_dir: str | Path | None) -> Cohort:
    """The cohort as a profile sees it: part of its scans, or smaller ones.

    Files of a folder that cannot be used are excluded by name, as everywhere (see `own_scans`), and
    told. Raises `InputError` for an unknown dataset or profile, or too many labelled scans.
    """
    check_choice(dataset, profile, n_labelled)
    if dataset not in DATASETS:
        _existing_folder(dataset)
        scans = open_own_scans(dataset, profile, n_labelled, data_dir)
        _tell(scans.fingerprint.findings)
        _say(f"{scans.cohort.name}: {scans.cohort.caveat}")
        return scans.cohort
    cohort = load_cohort(
        dataset, n_labelled, data_dir=data_dir, max_scans=SCANS_AT_MOST.get(profile)
    )
    return downsampled(cohort, LARGEST_SIDE[profile]) if profile in LARGEST_SIDE else cohort


def load_cohort(
    dataset: str,
    n_labelled: int,
    *,
    data_dir: str | Path | None = None,
    max_scans: int | None = None,
    split_seed: int = 0,
) -> Cohort:
    """The cohort of a named data set or of a folder, its first `n_labelled` scans labelled.

    `n_labelled` counts scans, for acdc patients (two scans each). `max_scans` reads only the first
    scans of each group (see `splits.cap`). `split_seed` draws validation scans where a benchmark
    has none, and test scans of a folder. Raises `InputError` for an unknown name, missing or broken
    files, and more labels than there are.
    """
    if dataset in ("phantom", "phantom_3d"):
        return phantom_cohort(n_labelled, 3 if dataset == "phantom_3d" else 2, max_scans)
    if dataset in PUBLISHED:
        folder = download.data_folder(data_dir) / dataset
        subset = download.fetched_subset(dataset, data_dir)
        return _published_cohort(
            PUBLISHED[dataset], folder, n_labelled, subset, max_scans, split_seed
        )
    fingerprint = take_fingerprint(_existing_folder(dataset))
    _tell(fingerprint.findings)
    return folder_cohort(fingerprint, n_labelled, max_scans=max_scans, split_seed=split_seed)[0]


def class_names_of(dataset: str, n_classes: int) -> tuple[str, ...]:
    """The classes of a data set by number, background first, without reading it.

    Those of a folder are not known here: they are called "class 1", "class 2", ...
    """
    if dataset in ("phantom", "phantom_3d", "phantom_folder"):
        return CLASS_NAMES
    if dataset in PUBLISHED:
        return PUBLISHED[dataset].class_names
    return ("background", *(f"class {index}" for index in range(1, n_classes)))


def published_split(
    entry: PublishedSet, n_labelled: int, *, subset: int | None = None, seed: int = 0
) -> Split:
    """The split of a public set. Its own lists decide; only a missing validation list is ours.

    Validation scans are then drawn from training scans outside all published labelled sets. In a
    small download (`subset`) they come from the second half of its training scans.
    """
    training, validation, test = entry.subset(subset)
    if not validation:
        first = max(entry.published_label_counts) if subset is None else subset // 2
        count = entry.validation_count if subset is None else max(1, subset // 4)
        validation = hold_out(training, count, entry.patient_of, never=training[:first], seed=seed)
    return split_training(training, validation, test, n_labelled)


def _existing_folder(dataset: str) -> Path:
    folder = folder_at(dataset)
    if folder is not None:
        return folder
    raise InputError(
        f"there is no data set and no folder {dataset!r:.200}",
        expected=f"one of {', '.join(DATASETS)}, or the path of a folder with imagesTr/ in it",
        fix="set DATASET to one of them",
    )


def _published_cohort(
    entry: PublishedSet,
    folder: Path,
    n_labelled: int,
    subset: int | None,
    max_scans: int | None,
    seed: int,
) -> Cohort:
    split = published_split(entry, n_labelled, subset=subset, seed=seed)
    per_name = 2 if entry.unit == "patient" else 1
    split = cap(split, None if max_scans is None else max(4, max_scans // per_name))
    _make_ready(entry, folder, [path for scan in split.all for path in entry.files_of(scan)])

    def cases(scans: Sequence[str]) -> list[Case]:
        return [case for scan in scans for case in read_scan(entry, folder, scan)]

    return seal(
        labelled=cases(split.labelled),
        unlabelled=cases(split.unlabelled),
        validation=cases(split.validation),
        test=cases(split.test),
        name=entry.name,
        dimensions=2 if entry.name == "acdc" else 3,
        unit=entry.unit,
        class_names=entry.class_names,
        spacing_unit="mm" if entry.name == "hippocampus" else "voxel",
        licence=entry.licence,
        citation=entry.citation,
        caveat=_caveat(entry, split, subset, max_scans),
    )


def _make_ready(entry: PublishedSet, folder: Path, paths: Sequence[str]) -> None:
    """See that the files are there, fetching small sets unasked, and that each one is right."""
    if entry.name in FETCHED_BY_ITSELF and any(not (folder / path).exists() for path in paths):
        _say(download.cite(entry.name))
        download.fetch_files(entry, folder, paths, say=_say)
    download.require(entry, folder, paths)


def _tell(findings: Sequence[Finding]) -> None:
    """Name the files of a folder that cannot be used, which the cohort's caveat names, too, and
    those that should be looked at."""
    for weight in ("excluded", "warning"):
        for line in told([one for one in findings if one.weight == weight]):
            _say(f"{weight}: {line}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _caveat(entry: PublishedSet, split: Split, subset: int | None, max_scans: int | None) -> str:
    """The set's own caveat, and what this split adds to it."""
    sentences = [entry.caveat]
    if not entry.validation:
        sentences.append(
            f"The benchmark has no validation scans: {len(split.validation)} of its training scans"
            " serve as such here and are not trained on."
        )
    halves = {entry.patient_of(scan) for scan in split.labelled}
    halved = [scan for scan in split.unlabelled if entry.patient_of(scan) in halves]
    if halved:
        sentences.append(
            f"{', '.join(halved)} (unlabelled) and a labelled scan come from one head."
        )
    if subset is not None or max_scans is not None:
        sentences.append("Only a part of the set was read: numbers compare with no other run.")
    return " ".join(sentences)
