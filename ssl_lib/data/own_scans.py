"""One's own scans, from a folder's name to a study: checked, split, ready to be trained on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ssl_lib.config import LARGEST_SIDE, SCANS_AT_MOST, check_choice
from ssl_lib.data.cohort import Cohort
from ssl_lib.data.download import data_folder
from ssl_lib.data.example_folder import EXAMPLE, write_example_folder
from ssl_lib.data.findings import refuse_together
from ssl_lib.data.fingerprint import Fingerprint, take_fingerprint
from ssl_lib.data.folder import folder_cohort
from ssl_lib.data.folder_files import folder_at
from ssl_lib.data.folds import leave_patients_out, read_splits
from ssl_lib.data.preprocessing import Geometry
from ssl_lib.data.published import PUBLISHED
from ssl_lib.utils.errors import InputError


@dataclass(frozen=True)
class OwnScans:
    """A folder as it was found, the cohort that was made of it, and how scans are shown.

    With `folds`, each labelled scan is tested in one of them and `cohort` trains on all (see
    `leave_patients_out`)."""

    fingerprint: Fingerprint
    cohort: Cohort
    geometry: Geometry
    folds: tuple[Cohort, ...] = ()

    @property
    def content_hash(self) -> str:
        """The cohort's hash, and one of all usable scans and of what was excluded: scans outside
        the cohort are predicted, too."""
        every = self.fingerprint.properties.values()
        usable = sorted((one.scan, one.content, one.label_content) for one in every)
        left = [(one.file, one.problem) for one in self.fingerprint.excluded]
        digest = hashlib.sha256(repr((usable, left)).encode()).hexdigest()
        return self.cohort.content_hash + digest[:16]


def open_own_scans(
    dataset: str,
    profile: str,
    n_labelled: int,
    data_dir: str | Path | None = None,
    *,
    exclude_broken: bool = True,
    folds: int = 0,
) -> OwnScans:
    """Fingerprint the folder `dataset` (or the example folder) and make the cohort a profile sees.

    Files that cannot be used are excluded by name; without `exclude_broken` they are refused,
    all together. With `folds` (a number from 2) there is no held-out set and `n_labelled` does not
    count: every labelled scan trains, and is tested in one of the folds; a `splits_final.json` in
    the folder says in which. Raises `InputError` for a folder that does not exist, an unknown
    profile, or if too little remains.
    """
    check_choice(dataset, profile, n_labelled)
    found = take_fingerprint(folder_of(dataset, data_dir))
    if found.excluded and not exclude_broken:
        raise refuse_together(found.folder, found.excluded)
    cohort, geometry = folder_cohort(
        found,
        None if folds else n_labelled,
        max_scans=SCANS_AT_MOST.get(profile),
        largest_side=LARGEST_SIDE.get(profile),
    )
    if not folds:
        return OwnScans(found, cohort, geometry)
    splits = read_splits(found.folder)
    splits = splits and [found.listing.scans_called(names) for names in splits]
    everything, parts = leave_patients_out(cohort, folds, splits)
    return OwnScans(found, everything, geometry, parts)


def folder_of(dataset: str, data_dir: str | Path | None = None) -> Path:
    """The folder of that path; the example folder is written into `data_dir` when first used.

    Raises `InputError` if there is no such folder.
    """
    if dataset == EXAMPLE:
        return write_example_folder(data_folder(data_dir) / EXAMPLE)
    folder = folder_at(dataset)
    if folder is not None:
        return folder
    raise InputError(
        f"there is no folder {dataset!r:.200}",
        expected="a folder that holds imagesTr/ and labelsTr/, or images/ and labels/;"
        f" or {EXAMPLE} for an example",
        fix=f"{dataset} names a data set in other notebooks; set DATASET to the path of a folder"
        if dataset in PUBLISHED
        else "set DATASET to the path of your scans",
    )


def how_much_to_believe(n_scans: int) -> str:
    """What a ranking on that many test scans can say, in words.

    The smallest two-sided p of the signed-rank test is 2 / 2^n: it belongs to n differences of one
    sign.
    """
    if n_scans < 2:
        return "One test scan: there is no interval. A ranking on it is an anecdote."
    smallest = 2.0 ** (1 - n_scans)
    if smallest > 0.05:
        return (
            f"{n_scans} test scans: even if one row were better on every one of them, the"
            f" signed-rank test could not go below p = {smallest:.3g}. The order of the rows is a"
            " hint, no finding."
        )
    if n_scans < 10:
        return (
            f"{n_scans} test scans: only a difference of one sign on nearly all of them can be told"
            " from chance. Intervals over so few scans are rough themselves."
        )
    return (
        f"{n_scans} test scans: the intervals speak of other scans of this kind, not of other"
        " hospitals, and not of another choice of the labelled scans."
    )


def scan_groups(scans: OwnScans) -> dict[str, str]:
    """The group of every usable scan by name; "outside" for those that are in none."""
    groups = dict.fromkeys(scans.fingerprint.listing.images, "outside")
    for name, cases in scans.cohort.groups.items():
        groups.update({case.case_id: name for case in cases})
    return groups
