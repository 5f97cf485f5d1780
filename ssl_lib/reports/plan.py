"""What to run: every wanted notebook with every data set, number of labels and seed.

All that can be wrong with a request is found here, before any kernel starts. What needs PyTorch is
imported where it is used: a worker that passes runs on to kernels should be up at once, and small.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ssl_lib.notebook.source import check_parameters, read_parameters
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import (
    draw_suffix,
    folds_suffix,
    methods_suffix,
    notebook_number,
    safe_name,
)

READS_FOLDERS = "EXCLUDE_BROKEN"
"""A notebook with this parameter reads folders of scans and leaves out what cannot be used."""
LIBRARY = Path(__file__).resolve().parents[1]
PROJECT = LIBRARY.parent


@dataclass(frozen=True)
class Folders:
    """Where things lie below the project's root."""

    root: Path
    results_name: str = "reports/results"

    @property
    def notebooks(self) -> Path:
        """The percent scripts."""
        return self.root / "notebooks"

    @property
    def pages(self) -> Path:
        """The pages and their index."""
        return self.root / "reports"

    @property
    def results(self) -> Path:
        """The result files."""
        return self.root / self.results_name

    @property
    def build(self) -> Path:
        """Everything that can be made again."""
        return self.root / "build"


@dataclass(frozen=True)
class Request:
    """What was asked for; None or empty means the notebook's own default."""

    notebooks: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    profile: str | None = None
    n_labelled: tuple[int, ...] = ()
    draws: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    data_dir: str | None = None
    folds: int | None = None
    methods: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One notebook with one set of parameters. `parameters` are those that are passed to it.

    With `folds` no number of labelled scans counts; `methods` are empty for the notebook's own.
    """

    script: Path
    dataset: str
    profile: str
    n_labelled: int
    draw: int
    seed: int
    parameters: tuple[tuple[str, Any], ...]
    data_hash: str = ""
    folds: int = 0
    methods: str = ""

    @property
    def notebook(self) -> str:
        """The notebook's name."""
        return self.script.stem

    @property
    def page_name(self) -> str:
        """The name of the page, without its ending; all seeds share it."""
        return self._named(f"-n{self.n_labelled}", methods_suffix(self.methods))

    @property
    def run_name(self) -> str:
        """The name of this run, without an ending."""
        return f"{self.page_name}-seed{self.seed}"

    def result_path(self, results: Path) -> Path | None:
        """The notebook's result file of this seed, None if there is none; runs with other methods
        write the same one. Folds train on every labelled scan, however many these are."""
        name = f"{self._named('-n*' if self.folds else f'-n{self.n_labelled}')}-seed{self.seed}"
        return next(iter(sorted((results / self.notebook).glob(f"{name}.json"))), None)

    def _named(self, labelled: str, methods: str = "") -> str:
        begins = f"{safe_name(self.dataset)}-{self.profile}{labelled}{draw_suffix(self.draw)}"
        return begins + folds_suffix(self.folds) + methods

    @property
    def only_reads(self) -> bool:
        """True for a notebook without a seed: it trains nothing and reads what others measured."""
        return "SEED" not in dict(self.parameters)


def plan(request: Request, folders: Folders) -> list[Job]:
    """Every job of a request once, in the order of notebooks, data sets, labels and seeds.

    A notebook that reads folders is passed over for a named data set, unless it is the only one.
    Raises `InputError` for an unknown notebook, profile or parameter, a wrong type, and data that
    cannot be used.
    """
    from ssl_lib.config import PROFILES

    if request.profile is not None and request.profile not in PROFILES:
        raise InputError(f"unknown profile {request.profile!r}", expected=", ".join(PROFILES))
    scripts = find_notebooks(request.notebooks, folders.notebooks)
    _refuse_unused(request, scripts)
    jobs = list(dict.fromkeys(j for script in scripts for j in _jobs_of(script, request, folders)))
    if not jobs:
        raise InputError(
            f"{', '.join(script.stem for script in scripts)} reads a folder of scans, and"
            f" {', '.join(request.datasets)} is none",
            expected="DATASET=path/to/folder, or no DATASET for the example folder",
        )
    hashes: dict[tuple, str] = {}
    for job in jobs:
        key = _cohort_key(job)
        hashes[key] = hashes.get(key) or usable_data(job, folders)
    return [Job(**{**vars(job), "data_hash": hashes[_cohort_key(job)]}) for job in jobs]


def find_notebooks(names: Sequence[str], folder: Path) -> list[Path]:
    """The scripts of the given numbers (such as "00", which is not "00b"), or whose names begin
    with the given words; all without any.

    Raises `InputError` that lists the known names and the nearest one.
    """
    known = sorted(folder.glob("*.py"))
    if not known:
        raise InputError("there is no notebook", where=folder, fix="run this in the project's root")
    chosen = []
    for name in names:
        found = [path for path in known if notebook_number(path.stem) == name]
        found = found or [p for p in known if p.stem.startswith(name.removesuffix(".py"))]
        if not found:
            stems = [path.stem for path in known]
            near = difflib.get_close_matches(name, stems, n=1)
            raise InputError(
                f"no notebook is called {name!r}",
                expected=f"the beginning of one of {', '.join(stems)}",
                fix=f"did you mean {near[0]}?" if near else "",
            )
        chosen += [path for path in found if path not in chosen]
    return chosen or known


def digest(job: Job, folders: Folders) -> str:
    """A hash of everything that a run depends on: sources, parameters, data and versions.

    A notebook that opens no cohort depends on the stored results instead.
    """
    from ssl_lib.utils.provenance import package_versions

    content = hashlib.sha256()
    if job.only_reads:
        for path in sorted(folders.results.glob("*/*.json")):
            content.update(path.name.encode() + path.read_bytes())
    for path in [job.script, *_library_files()]:
        content.update(path.name.encode() + path.read_bytes())
    stated = [job.parameters, job.data_hash, job.run_name, package_versions()]
    content.update(json.dumps(stated, sort_keys=True, default=str).encode())
    return content.hexdigest()


def usable_data(job: Job, folders: Folders) -> str:
    """The content hash of a job's cohort, "" for a notebook that opens none.

    Raises `InputError` if it cannot be used.
    """
    from ssl_lib.config import settings_for
    from ssl_lib.data.download import data_folder
    from ssl_lib.data.load import open_cohort

    if job.only_reads:
        return ""
    defaults = read_parameters(job.script)
    data_dir = dict(job.parameters).get("DATA_DIR") or defaults.get("DATA_DIR")
    where = folders.root / data_folder(data_dir)
    if READS_FOLDERS in defaults:
        from ssl_lib.data.own_scans import open_own_scans

        strict = bool(defaults[READS_FOLDERS])
        own = open_own_scans(
            job.dataset,
            job.profile,
            job.n_labelled,
            where,
            exclude_broken=strict,
            folds=job.folds,
        )
        settings_for(job.profile, own.cohort)
        return own.content_hash
    cohort = open_cohort(job.dataset, job.profile, job.n_labelled, where).with_draw(job.draw)
    settings_for(job.profile, cohort)
    return cohort.content_hash


def code_version() -> str:
    """A hash of the code of this installation that decides what a run gives: the library, and the
    notebooks beside it, from which other notebooks load their baselines."""
    content = hashlib.sha256()
    for path in [*_library_files(), *sorted((PROJECT / "notebooks").glob("*.py"))]:
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()


def _jobs_of(script: Path, request: Request, folders: Folders) -> list[Job]:
    from ssl_lib.data.load import DATASETS

    defaults = read_parameters(script)
    profile = request.profile or str(defaults.get("PROFILE", "quick"))
    folds, methods = _folds(request, defaults), _methods(request, defaults)
    jobs = []
    for dataset in request.datasets or (str(defaults.get("DATASET", "phantom")),):
        if READS_FOLDERS in defaults and dataset in DATASETS:
            continue  # named data sets are for the other notebooks
        counts = () if folds else request.n_labelled
        counts = counts or (int(defaults.get("N_LABELLED", 4)),)
        for n_labelled, draw in product(counts, _draws(request, defaults)):
            for seed in _seeds(request, defaults):
                wanted = {
                    "DATASET": dataset,
                    "PROFILE": profile,
                    "N_LABELLED": n_labelled,
                    "LABELLED_DRAW": draw,
                    "SEED": seed,
                    "DATA_DIR": request.data_dir,
                    "RESULTS_DIR": folders.results_name,
                    "FOLDS": folds or None,
                    "METHODS": methods or None,
                }
                given = {k: v for k, v in wanted.items() if k in defaults and v is not None}
                check_parameters(script, given)
                choice = (dataset, profile, n_labelled, draw, seed)
                parameters = tuple(given.items())
                jobs.append(Job(script, *choice, parameters, folds=folds, methods=methods))
    return jobs


def _refuse_unused(request: Request, scripts: Sequence[Path]) -> None:
    """Raises `InputError` where folds or methods are asked for and no notebook takes any."""
    for name, asked in (("FOLDS", request.folds), ("METHODS", " ".join(request.methods))):
        if asked and not any(name in read_parameters(script) for script in scripts):
            known = sorted(scripts[0].parent.glob("*.py"))
            able = [script.stem for script in known if name in read_parameters(script)]
            chosen = ", ".join(script.stem for script in scripts)
            raise InputError(
                f"{name} is {asked}, and {chosen} has no such parameter",
                expected=f"{name} for a notebook that has it: {', '.join(able) or 'none has'}",
                fix=f"add NOTEBOOKS={notebook_number(able[0]) or able[0]}, or leave {name} out"
                if able
                else f"leave {name} out",
            )


def _folds(request: Request, defaults: Mapping[str, Any]) -> int:
    """The number of folds, 0 for none and for a notebook that knows none."""
    if "FOLDS" not in defaults:
        return 0
    return int(defaults["FOLDS"]) if request.folds is None else request.folds


def _methods(request: Request, defaults: Mapping[str, Any]) -> str:
    """The methods asked for, each once, in the order of all tables; "" for the notebook's own.

    Raises `InputError` for an unknown one.
    """
    from ssl_lib.methods import METHODS

    if not request.methods or "METHODS" not in defaults:
        return ""
    for name in request.methods:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, n=1)
            raise InputError(
                f"there is no method {name!r}",
                expected=f"some of {', '.join(METHODS)}",
                fix=f"did you mean {near[0]}?" if near else "",
            )
    own = set(str(defaults["METHODS"]).split())
    return (
        "" if own == set(request.methods) else " ".join(m for m in METHODS if m in request.methods)
    )


def _draws(request: Request, defaults: Mapping[str, Any]) -> tuple[int, ...]:
    """The choices of labelled scans asked for; a notebook that knows no other runs once."""
    if "LABELLED_DRAW" not in defaults:
        return (0,)
    return request.draws or (int(defaults["LABELLED_DRAW"]),)


def _seeds(request: Request, defaults: Mapping[str, Any]) -> tuple[int, ...]:
    """The seeds asked for; a notebook without a seed, which only reads results, runs once."""
    if "SEED" not in defaults:
        return (0,)
    return request.seeds or (int(defaults["SEED"]),)


def _cohort_key(job: Job) -> tuple:
    data_dir = dict(job.parameters).get("DATA_DIR")
    reads_folders = READS_FOLDERS in read_parameters(job.script)
    choice = (job.dataset, job.n_labelled, job.draw, job.profile, job.folds)
    return *choice, data_dir, job.only_reads, reads_folders


def _library_files() -> list[Path]:
    """The library's modules, without those that only run and show."""
    files = sorted(LIBRARY.rglob("*.py"))
    return [path for path in files if LIBRARY / "reports" not in path.parents]
