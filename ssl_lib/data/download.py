"""Fetching, checking and citing the public data sets; `data_download.py` is its command line.

A file stands under its final name, `DATA_DIR/NAME/PATH` with the path of the source, only after its
sha256 was found right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import requests
from filelock import FileLock
from tqdm import tqdm

from ssl_lib.data.archive import take_from_archive
from ssl_lib.data.published import PUBLIC_HOST, PUBLISHED, PublishedSet, published
from ssl_lib.data.transfer import Mirror, Wanted, obtain, set_aside
from ssl_lib.data.verification import STAMP, require, wrong_files
from ssl_lib.utils.atomic import cannot_write, is_unchanged, replace_own, write_atomically
from ssl_lib.utils.errors import InputError

SUBSET = ".subset"


def data_folder(data_dir: str | Path | None = None) -> Path:
    """The folder of all data sets: the argument, else `SSL_DATA_DIR`, else `data`."""
    return Path(data_dir or os.environ.get("SSL_DATA_DIR") or "data").expanduser()


def cite(name: str) -> str:
    """Title, content, licence, citation and known limits of a public set, a line each."""
    entry = published(name)
    lines = [
        f"{entry.name}: {entry.title}",
        f"  content:  {entry.content}",
        f"  licence:  {entry.licence}",
        f"  cite:     {entry.citation}",
        f"  note:     {entry.caveat}",
    ]
    return "\n".join(lines + ([f"  left out: {entry.left_out}"] if entry.left_out else []))


def mirrors_of(entry: PublishedSet, mirror: str | None = None) -> list[Mirror]:
    """Where to ask, in order: the given mirror (or `SSL_MIRROR`), then the public host.

    A mirror is a folder, a `file://` or an `http(s)://` address that stands for the public host:
    behind it come the same owner, repository, commit and path.
    """
    given = mirror or os.environ.get("SSL_MIRROR")
    hosts = ([given] if given else []) + [PUBLIC_HOST]
    return [Mirror(host.rstrip("/") + "/" + folder) for host in hosts for folder in entry.mirrors]


def fetch(
    name: str,
    data_dir: str | Path | None = None,
    *,
    mirror: str | None = None,
    subset: int | None = None,
    workers: int = 8,
    say: Callable[[str], None] = print,
) -> Path:
    """Download what is missing of a public set (or of its first `subset` scans); return its folder.

    Says licence and citation before the first byte. Raises `InputError` for files that no mirror
    delivers, after having fetched all others.
    """
    entry, folder = published(name), data_folder(data_dir) / name
    paths = [p for scans in entry.subset(subset) for scan in scans for p in entry.files_of(scan)]
    say(cite(name))
    fetch_files(entry, folder, paths, mirror=mirror, workers=workers, say=say)
    _remember_subset(entry, folder, subset)
    return folder


def fetch_files(
    entry: PublishedSet,
    folder: Path,
    paths: Sequence[str],
    *,
    mirror: str | None = None,
    workers: int = 8,
    say: Callable[[str], None] = print,
) -> None:
    """Download those of `paths` that are not there and right, several at a time.

    A second process that fetches the same set waits. Raises `InputError` that names every file
    which no mirror delivered, or when the folder cannot be written to.
    """
    with _alone_in(folder), _session(workers) as session:
        for path in wrong_files(entry, folder, paths):
            kept = set_aside(folder / path, folder / "quarantine", Path(path).name)
            say(f"{path}: wrong sha256, moved to {kept}, fetched again")
        missing = [path for path in paths if not (folder / path).exists()]
        mirrors = mirrors_of(entry, mirror)
        failures = _fetch_missing(entry, folder, missing, mirrors, session, workers, say)
        if failures and entry.archive:
            quarantine = folder / "quarantine"
            problems = take_from_archive(entry, folder, list(failures), quarantine, session)
            failures = {path: [*failures[path], problem] for path, problem in problems.items()}
        wrong_files(entry, folder, missing)
        _write_tables(entry, folder)
    if failures:
        _refuse(entry, failures, len(missing), unreachable=all(one.dead for one in mirrors))


def _write_tables(entry: PublishedSet, folder: Path) -> None:
    """Write `patients.csv` and `dataset.json` beside NIfTI files: the folder can then be opened as
    one's own scans are (notebook 06), with its patients kept together. A file that somebody has
    changed stays."""
    own = [path for path in entry.hashes if path.endswith(".nii.gz")]
    there = [Path(path).name for path in own if (folder / path).exists()]
    scans = sorted({name.removesuffix(".nii.gz") for name in there})
    about = {
        "labels": {name: value for value, name in enumerate(entry.class_names)},
        "licence": entry.licence,
        "reference": entry.citation,
    }
    lines = ["scan,patient", *(f"{scan},{entry.patient_of(scan)}" for scan in scans)]
    texts = {"patients.csv": "\n".join(lines), "dataset.json": json.dumps(about, indent=1)}
    for name, text in texts.items() if scans else ():
        if is_unchanged(folder / name):
            replace_own(folder / name, f"{text}\n".encode())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make the folder and wait until no other process fetches into it."""
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _session(workers: int) -> requests.Session:
    session = requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=workers))
    return session


def _fetch_missing(
    entry: PublishedSet,
    folder: Path,
    missing: Sequence[str],
    mirrors: Sequence[Mirror],
    session: requests.Session,
    workers: int,
    say: Callable[[str], None],
) -> dict[str, list[str]]:
    """Fetch files side by side; return those that no mirror delivered, with the reasons."""
    failures: dict[str, list[str]] = {}

    def fetch_one(path: str) -> tuple[str, list[str]]:
        wanted = Wanted(path, entry.hashes[path], entry.most_bytes)
        quarantine = folder / "quarantine"
        return path, obtain(wanted, folder / path, mirrors, quarantine, session=session)

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(fetch_one, path) for path in missing]
        try:
            for job in tqdm(as_completed(jobs), entry.name, len(jobs), unit="file"):
                path, trouble = job.result()
                for line in trouble:
                    if "wrong sha256" in line:
                        say(line)
                if not (folder / path).exists():
                    failures[path] = trouble
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failures


def _refuse(
    entry: PublishedSet, failures: Mapping[str, Sequence[str]], asked: int, *, unreachable: bool
) -> None:
    """One message for all files that could not be fetched; the reasons for one of them in full."""
    first = max(failures, key=lambda path: len(failures[path]))
    others = sorted(path for path in failures if path != first)
    reasons = list(dict.fromkeys(failures[first]))
    named = [f"{first}:", *(f"  {line}" for line in reasons[-4:]), *others[:5]]
    named += [f"and {len(others) - 5} more"] if len(others) > 5 else []
    raise InputError(
        f"{len(failures)} of {asked} files of {entry.name} could not be fetched"
        + (": no mirror could be reached" if unreachable else "")
        + "".join(f"\n    {line}" for line in named),
        expected="files with the published sha256",
        fix=(
            "check the network, or name another source: --mirror URL_OR_PATH or the environment"
            " variable SSL_MIRROR"
        ),
    )


def verify(name: str, data_dir: str | Path | None = None) -> int:
    """Hash every file again; return how many there are.

    Raises `InputError` that names the missing and the wrong ones. After a subset was fetched, that
    subset is what must be there.
    """
    entry, folder = published(name), data_folder(data_dir) / name
    (folder / STAMP).unlink(missing_ok=True)
    scans = [scan for group in entry.subset(fetched_subset(name, data_dir)) for scan in group]
    paths = [path for scan in scans for path in entry.files_of(scan)]
    require(entry, folder, paths)
    return len(paths)


def fetched_subset(name: str, data_dir: str | Path | None = None) -> int | None:
    """The size of the subset that was fetched, or None after a full download (or none)."""
    return _noted_subset(data_folder(data_dir) / name / SUBSET)


def _noted_subset(marker: Path) -> int | None:
    text = marker.read_text(encoding="ascii", errors="replace") if marker.exists() else ""
    return int(text) if text.isdecimal() else None


def _remember_subset(entry: PublishedSet, folder: Path, subset: int | None) -> None:
    """Note that only a part is here on purpose; a full set stays a full set."""
    marker = folder / SUBSET
    if subset is None or all((folder / path).exists() for path in entry.hashes):
        marker.unlink(missing_ok=True)
    else:
        write_atomically(marker, str(max(_noted_subset(marker) or 0, subset)).encode())


def overview() -> str:
    """One line per public set."""
    return "\n".join(
        f"{entry.name:12} {entry.content} ({entry.licence})" for entry in PUBLISHED.values()
    )
