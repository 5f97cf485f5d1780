"""What is published: where the files of each public set lie, their hashes, terms and splits.

The hashes and lists are small text files in `data_lists/`; `NAME.sha256` has the format of the
`sha256sum` tool, so that `sha256sum -c` can check a folder without this library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from ssl_lib.utils.errors import InputError

PUBLIC_HOST = "https://raw.githubusercontent.com/"


@dataclass(frozen=True)
class OfficialArchive:
    """One large file that holds a whole set; `folders` maps our folder names to its own.

    A server that sends more than `most_bytes` is not believed.
    """

    url: str
    md5: str
    folders: Mapping[str, str]
    most_bytes: int = 100_000_000

    def member(self, path: str) -> str:
        """The name inside the archive of a file of the set."""
        folder, _, file = path.rpartition("/")
        return f"{self.folders[folder]}/{file}"


@dataclass(frozen=True)
class PublishedSet:
    """One public data set.

    `mirrors` are folders below `PUBLIC_HOST`, each at a pinned commit. `validation_count` is the
    number of training scans that we set aside where the benchmark has no validation scans. No file
    of the set has more than `most_bytes`: a mirror that sends more is not believed.
    """

    name: str
    title: str
    content: str
    class_names: tuple[str, ...]
    mirrors: tuple[str, ...]
    licence: str
    citation: str
    caveat: str
    published_label_counts: tuple[int, ...]
    most_bytes: int
    validation_count: int = 0
    unit: str = "scan"
    left_out: str = ""
    archive: OfficialArchive | None = None

    @cached_property
    def hashes(self) -> Mapping[str, str]:
        """sha256 of every file, by its path below a mirror, which is also its path on the disk."""
        return {path: digest for digest, path in _rows(f"{self.name}.sha256")}

    @cached_property
    def voxel_hashes(self) -> Mapping[str, str]:
        """`verification.voxel_hash` of each scan (ACDC: of each file); empty where none is kept."""
        if not _resource(f"{self.name}_voxels.sha256").is_file():
            return {}
        return {scan: digest for digest, scan in _rows(f"{self.name}_voxels.sha256")}

    @cached_property
    def training(self) -> tuple[str, ...]:
        """Training scans (ACDC: patients) in the published order: the first N are labelled."""
        return _names(f"{self.name}_training.list")

    @cached_property
    def validation(self) -> tuple[str, ...]:
        """Published validation scans (ACDC: patients); empty where the benchmark has none."""
        resource = f"{self.name}_validation.list"
        return _names(resource) if _resource(resource).is_file() else ()

    @cached_property
    def test(self) -> tuple[str, ...]:
        """Published test scans (ACDC: patients)."""
        return _names(f"{self.name}_test.list")

    @cached_property
    def _files_by_scan(self) -> Mapping[str, tuple[str, ...]]:
        grouped: dict[str, list[str]] = {}
        for path in self.hashes:
            grouped.setdefault(_scan_of(self.name, path), []).append(path)
        return {scan: tuple(paths) for scan, paths in grouped.items()}

    def files_of(self, scan: str) -> tuple[str, ...]:
        """Paths of all files of one scan (ACDC: of one patient)."""
        return self._files_by_scan[scan]

    def patient_of(self, scan: str) -> str:
        """What must not cross a split, and what intervals draw: the hippocampi 2k-1 and 2k come
        from one head, ACDC has two heart phases of each patient. Of other sets it is not known, and
        of names that are not this set's."""
        number = scan.rpartition("_")[2]
        if self.name == "hippocampus" and number.isdecimal():
            return f"pair {(int(number) + 1) // 2}"
        return scan.partition("_frame")[0] if self.name == "acdc" else scan

    def subset(self, count: int | None) -> tuple[tuple[str, ...], ...]:
        """The training, validation and test names of a small download; all of them for `None`.

        A subset of `count` holds the first `count` training names, and half as many of the other
        two lists.
        """
        if count is None:
            return self.training, self.validation, self.test
        if not 2 <= count <= len(self.training):
            raise InputError(
                f"a subset of {count} {self.unit}s of {self.name} was asked for",
                expected=f"2 to {len(self.training)}",
            )
        return self.training[:count], self.validation[: count // 2], self.test[: count // 2]


def published(name: str) -> PublishedSet:
    """The public set of that name. Raises `InputError` for any other name."""
    if name not in PUBLISHED:
        raise InputError(
            f"no public data set is called {name!r}", expected=f"one of {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[name]


def _resource(name: str) -> Traversable:
    return files("ssl_lib.data") / "lists" / name


def _names(resource: str) -> tuple[str, ...]:
    return tuple(_resource(resource).read_text(encoding="utf-8").split())


def _rows(resource: str) -> list[list[str]]:
    return [
        line.split("  ", maxsplit=1)
        for line in _resource(resource).read_text(encoding="utf-8").splitlines()
    ]


def _scan_of(name: str, path: str) -> str:
    """The scan (ACDC: the patient) to which a file belongs."""
    folder, _, file = path.rpartition("/")
    if name == "hippocampus":
        return file.removesuffix(".nii.gz")
    return folder.rpartition("/")[2] if name == "la2018" else file.split("_")[0]


_HIPPOCAMPUS = PublishedSet(
    name="hippocampus",
    title="Medical Segmentation Decathlon, Task 04 (hippocampus)",
    content="260 pairs of MRI and label, cut to the hippocampus, 19 MB",
    class_names=("background", "anterior hippocampus", "posterior hippocampus"),
    mirrors=(
        "udacity/nd320-c3-3d-imaging-starter/895fee683624aafe2033521f4d9b6d99accd66d5/"
        "data/TrainingSet/",
    ),
    licence="CC BY-SA 4.0",
    citation="Antonelli et al., The Medical Segmentation Decathlon, Nat. Commun. 13:4128, 2022",
    caveat=(
        "Two scans come from one head; the split, ours, keeps the two on one side. Left out as"
        " broken: 010, 118 and 281."
    ),
    published_label_counts=(11, 21, 43),
    most_bytes=1_000_000,
    validation_count=20,
    left_out=(
        "hippocampus_010, hippocampus_118 and hippocampus_281 of the source folder are broken on"
        " purpose (a label of the wrong size, or none) and are left out"
    ),
    archive=OfficialArchive(
        url="https://msd-for-monai.s3-us-west-2.amazonaws.com/Task04_Hippocampus.tar",
        md5="9d24dba78a72977dbd1d2e110310f31b",
        folders={
            "images": "Task04_Hippocampus/imagesTr",
            "labels": "Task04_Hippocampus/labelsTr",
        },
    ),
)

_LA2018 = PublishedSet(
    name="la2018",
    title="Left atrium, 2018 challenge, as prepared for the 80/20 benchmark",
    content="100 contrast-enhanced MRI scans with labels, HDF5, 233 MB",
    class_names=("background", "left atrium"),
    mirrors=(
        "yulequan/UA-MT/88ed29ad794f877122e542a7fa9505a76fa83515/data/",
        "antares0811/3DCardiac/7dcd89c9d5ca1e99e7a16a8a49221132ed62121d/data/LA/",
    ),
    licence="challenge data; no licence text is published: for research, with citation",
    citation=(
        "Xiong et al., Med. Image Anal. 67:101832, 2021; prepared by Yu et al., MICCAI 2019 (UA-MT)"
    ),
    caveat=(
        "Every scan is cropped to its true label box plus a margin, as in all published numbers on"
        " this benchmark. Scans come from fewer patients than scans, and which share one is not"
        " published: training and test may share patients."
    ),
    published_label_counts=(4, 8, 16),
    most_bytes=50_000_000,
    validation_count=8,
)

_ACDC = PublishedSet(
    name="acdc",
    title="ACDC, heart chambers on cine MRI, as prepared for the 70/10/20 benchmark",
    content="1312 training slices and 60 validation and test volumes of 100 patients, HDF5, 133 MB",
    class_names=("background", "right ventricle", "myocardium", "left ventricle"),
    mirrors=("antares0811/3DCardiac/7dcd89c9d5ca1e99e7a16a8a49221132ed62121d/data/ACDC/",),
    licence="CC BY-NC-SA 4.0",
    citation="Bernard et al., IEEE Trans. Med. Imaging 37(11):2514-2525, 2018",
    caveat="Voxel spacing is not stored: distances are in voxels, as in all published numbers.",
    published_label_counts=(3, 7, 14),
    most_bytes=133_000_000,
    unit="patient",
)

PUBLISHED: Mapping[str, PublishedSet] = {
    entry.name: entry for entry in (_HIPPOCAMPUS, _LA2018, _ACDC)
}


def patient_of_case(dataset: str, case_id: str) -> str:
    """The patient of a scan of any data set; the scan itself where patients are not known."""
    return PUBLISHED[dataset].patient_of(case_id) if dataset in PUBLISHED else case_id


def counted_by(dataset: str) -> str:
    """What labelled scans of a data set are counted by: "patient" or "scan"."""
    return PUBLISHED[dataset].unit if dataset in PUBLISHED else "scan"
