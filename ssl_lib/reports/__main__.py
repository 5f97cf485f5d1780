"""Command line of the reports: see `python -m ssl_lib.reports --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ssl_lib.config import PROFILES
from ssl_lib.data.findings import some
from ssl_lib.notebook.source import read_parameters
from ssl_lib.reports.card import duration
from ssl_lib.reports.index import OWN, stored_results, write_index
from ssl_lib.reports.outcome import read_executed
from ssl_lib.reports.plan import Folders, Job, Request, plan
from ssl_lib.reports.render import PageData, write_page
from ssl_lib.reports.renew import renew_pages
from ssl_lib.reports.run import Ran, executed_path, run_job, store_outputs
from ssl_lib.utils.errors import InputError, printable
from ssl_lib.utils.names import safe_name
from ssl_lib.utils.words import counted

STATES = ("ok", "unchanged", "failed")

Page = tuple[str, str]  # a notebook and the name of one of its pages
Several = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, render and index; returns 0, 1 if a notebook failed, 2 if the request cannot be met."""
    options = _parser().parse_args(arguments)
    folders = Folders(options.root.resolve())
    try:
        several = _several(options)
        jobs = plan(_request(options), folders)
        failed = _run_all(jobs, folders, options, several)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; finished runs are kept and will not be repeated", file=sys.stderr)
        return 130
    _, problems = stored_results(folders.results)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if failed or problems else 0


def _run_all(
    jobs: Sequence[Job], folders: Folders, options: argparse.Namespace, several: Several
) -> int:
    """Run every job and write the pages; returns how many pages show a failure.

    A page is written when its last run has ended; those that were begun also when all is stopped.
    """
    started, states = time.monotonic(), Counter[str]()
    asked = Counter(map(_page_of, jobs))
    begun: dict[Page, list[Ran]] = {}
    pages: list[PageData] = []
    try:
        with closing(_runs(jobs, folders, options, several)) as runs:
            for ran in runs:
                states[_say(ran, folders)] += 1
                page = _page_of(ran.job)
                begun.setdefault(page, []).append(ran)
                if len(begun[page]) == asked[page]:
                    pages.append(_write_and_say(begun.pop(page), folders, options))
    except (InputError, KeyboardInterrupt):
        for some in begun.values():
            _write_and_say(some, folders, options)
        if states:
            renew_pages(folders.pages)
            write_index(folders.pages, folders.results)
        raise
    renew_pages(folders.pages)
    index = write_index(folders.pages, folders.results).relative_to(folders.root)
    failed = sum(bool(page.failures) for page in pages)
    print(f"{counted(len(jobs), 'run')} in {duration(time.monotonic() - started)}: ", end="")
    print(", ".join(f"{states[state]} {state}" for state in STATES), end="; ")
    print(f"{counted(len(pages), 'page')}, {failed or 'none'} with a failure: {index}")
    if (folders.pages / OWN).is_file():
        print(f"pages about your own scans: {(folders.pages / OWN).relative_to(folders.root)}")
    return failed


def _runs(
    jobs: Sequence[Job], folders: Folders, options: argparse.Namespace, several: Several
) -> Generator[Ran, None, None]:
    """Every run as it ends; on a cluster those that only read results come last, in the caller."""
    again: dict[str, Any] = {"force": options.force, "timeout": options.timeout}
    if several:
        from ssl_lib.reports.cluster import run_on_cluster  # takes a second: only where it is used

        trained = [job for job in jobs if not job.only_reads]
        yield from run_on_cluster(trained, folders, **several, **again)
        jobs = [job for job in jobs if job.only_reads]
    for job in jobs:
        print(f"{job.notebook}  {job.run_name}  ...", flush=True)
        yield run_job(job, folders, **again)


def _say(ran: Ran, folders: Folders) -> str:
    """Print how a run ended, and which files it left out; returns the former in a word."""
    state = "unchanged" if ran.skipped else "failed" if ran.failure else "ok"
    shown = "FAILED" if ran.failure else state
    took = "" if ran.skipped else duration(ran.seconds)
    print(f"{ran.job.notebook}  {ran.job.run_name}  {shown}  {took}".rstrip(), flush=True)
    excluded = _excluded(ran.job, folders) if state == "ok" else []
    if excluded:
        named = printable(some(excluded, 3))
        print(f"    {counted(len(excluded), 'file')} excluded, see the page: {named}", flush=True)
    return state


def _excluded(job: Job, folders: Folders) -> list[str]:
    """The files that a run did not use, as its result names them; a damaged result names none."""
    path = job.result_path(folders.results)
    try:
        lines = json.loads(path.read_text(encoding="utf-8"))["excluded"] if path else []
        return list(dict.fromkeys(line.partition(": ")[0] for line in lines))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _write_and_say(ran: Sequence[Ran], folders: Folders, options: argparse.Namespace) -> PageData:
    """Write the page of these runs and print where it is and what failed."""
    ran = sorted(ran, key=lambda one: one.job.seed)
    page, data = _write_page_of(ran, folders)
    print(f"    {page.relative_to(folders.root)}", flush=True)
    for failure in data.failures:
        print(f"    failed: {failure}", flush=True)
    if options.store_outputs:
        _store_default_run(ran)
    return data


def _page_of(job: Job) -> Page:
    return job.notebook, job.page_name


def _write_page_of(ran: Sequence[Ran], folders: Folders) -> tuple[Path, PageData]:
    """The page of these runs and of all other seeds that went well before."""
    job = ran[0].job
    others = executed_path(job, folders).parent.glob(f"{job.page_name}-seed*.ipynb")
    executed = [one.executed for one in ran]
    executed += [path for path in sorted(others) if path not in executed and _went_well(path)]
    page = folders.pages / job.notebook / f"{job.page_name}.html"
    results = [r for r in stored_results(folders.results)[0] if _is_result_of(r, job)]
    return page, write_page(executed, page, results, folders.notebooks)


def _is_result_of(result: Mapping[str, Any], job: Job) -> bool:
    """Whether a result is of the same notebook, cohort and profile, whatever its seed."""
    return (
        result["notebook"] == job.notebook
        and result["dataset"] == safe_name(job.dataset)
        and result["profile"] == job.profile
        and result.get("folds", 0) == job.folds
        and (job.folds > 0 or result["n_labelled"] == job.n_labelled)
        and result.get("labelled_draw", 0) == job.draw
    )


def _went_well(executed: Path) -> bool:
    """Whether an earlier run can be shown; one whose file is damaged cannot."""
    try:
        return read_executed(executed)[2] is None
    except InputError:
        return False


def _store_default_run(ran: Sequence[Ran]) -> None:
    """Refresh the `.ipynb` of a notebook if its default run is among these and went well."""
    for one in ran:
        job = one.job
        asked = {
            "DATASET": job.dataset,
            "PROFILE": job.profile,
            "N_LABELLED": job.n_labelled,
            "LABELLED_DRAW": job.draw,
            "SEED": job.seed,
            "FOLDS": job.folds,
        }
        defaults = read_parameters(job.script)
        is_default = not job.methods and all(
            defaults.get(name, value) == value for name, value in asked.items()
        )
        if is_default and one.failure is None:
            print(f"    outputs stored in {store_outputs(one).name}")


def _request(options: argparse.Namespace) -> Request:
    return Request(
        notebooks=tuple(options.notebooks.split()),
        datasets=_datasets(options.datasets),
        profile=options.profile or None,
        n_labelled=_whole_numbers(options.n_labelled, "--n-labelled"),
        draws=_whole_numbers(options.draws, "--draws"),
        seeds=_whole_numbers(options.seeds, "--seeds"),
        data_dir=options.data_dir or None,
        folds=_folds(options.folds),
        methods=tuple(options.methods.replace(",", " ").split()),
    )


def _folds(text: str) -> int | None:
    """The number of folds; None if none is given. Raises `InputError` for what is no number."""
    if not text.strip():
        return None
    if text.strip().isdecimal() and int(text) != 1:
        return int(text)
    raise InputError(
        f"--folds is {text!r}",
        expected="a whole number from 2, or 0 for one held-out set",
        fix="5 is usual; with few patients as many as there are patients with a label map",
    )


def _several(options: argparse.Namespace) -> Several:
    """The arguments of `run_on_cluster`; none for one run at a time, here."""
    if options.jobs and options.scheduler:
        raise InputError(
            "both --jobs and --scheduler were given",
            expected="one of them: workers on this machine, or those of a scheduler",
        )
    if options.scheduler:
        return {"scheduler": options.scheduler}
    if options.jobs and not (options.jobs.isdecimal() and int(options.jobs) > 0):
        raise InputError(
            f"--jobs is {options.jobs!r}",
            expected="a whole number from 1, of runs at a time",
            fix="2 is a start for a laptop; every run takes about 1 GB of memory",
        )
    return {"workers": int(options.jobs)} if int(options.jobs or 1) > 1 else {}


def _datasets(text: str) -> tuple[str, ...]:
    """Names and folders; a folder whose path has spaces must stand alone."""
    return (text,) if Path(text).expanduser().is_dir() and text else tuple(text.split())


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split())
    except ValueError:
        raise InputError(
            f"{option} is {text!r}", expected="whole numbers, such as '0 1 2'"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ssl_lib.reports",
        description="Run notebooks and write a page for each. Options left out or empty take the"
        " notebook's own value.",
    )
    add = parser.add_argument
    add("--notebooks", default="", help='beginnings of names, such as "00 02" (default: all)')
    add("--datasets", default="", help="names of data sets, or the path of a folder of scans")
    add("--profile", default="", help=f"one of {', '.join(PROFILES)}")
    add("--n-labelled", default="", help='numbers of labelled scans, such as "4 8"')
    add("--draws", default="", help="choices of the labelled scans (0: the data set's own)")
    add("--seeds", default="", help='seeds, such as "0 1 2"')
    add("--folds", default="", help="test every labelled scan once, in so many folds over patients;"
        " --n-labelled does not count then (notebooks with FOLDS: 06)")  # fmt: skip
    add("--methods", default="", help='methods to train, such as "mean_teacher bcp" (notebooks'
        " with METHODS: 06); each choice has a page of its own")  # fmt: skip
    add("--data-dir", default="", help="where downloaded data lie")
    add("--force", action="store_true", help="repeat runs that have not changed")
    add("--jobs", default="", help="how many runs at a time on this machine (default: 1)")
    add("--scheduler", default="", help="send the runs to a Dask scheduler, tcp://host:port")
    add("--timeout", type=int, metavar="SECONDS", help="the most that one cell may take")
    add("--store-outputs", action="store_true", help="put the default run into the .ipynb")
    add("--root", type=Path, default=Path.cwd(), help="the project (default: this folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
