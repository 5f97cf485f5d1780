"""Command line of the reports: see `python -m ssl_lib.reports --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ssl_lib.errors import InputError
from ssl_lib.notebooks import read_parameters
from ssl_lib.reports.card import duration
from ssl_lib.reports.index import stored_results, write_index
from ssl_lib.reports.outcome import read_executed
from ssl_lib.reports.plan import Folders, Job, Request, plan
from ssl_lib.reports.render import PageData, write_page
from ssl_lib.reports.run import Ran, executed_path, run_job, store_outputs
from ssl_lib.results import safe_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, render and index; returns 0, 1 if a notebook failed, 2 if the request cannot be met."""
    options = _parser().parse_args(arguments)
    folders = Folders(options.root.resolve())
    try:
        jobs = plan(_request(options), folders)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        failed = _run_all(jobs, folders, options)
    except KeyboardInterrupt:
        print("stopped; finished runs are kept and will not be repeated", file=sys.stderr)
        return 130
    _, problems = stored_results(folders.results)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if failed or problems else 0


def _run_all(jobs: Sequence[Job], folders: Folders, options: argparse.Namespace) -> int:
    """Run every job and write its page; returns how many pages show a failure."""
    failed = pages = 0
    for _, group in groupby(jobs, lambda job: (job.notebook, job.page_name)):
        ran = [_run_and_say(job, folders, options) for job in group]
        page, data = _write_page_of(ran, folders)
        print(f"    {page.relative_to(folders.root)}", flush=True)
        for failure in data.failures:
            print(f"    failed: {failure}", flush=True)
        failed, pages = failed + bool(data.failures), pages + 1
        if options.store_outputs:
            _store_default_run(ran)
    index = write_index(folders.pages, folders.results)
    state = f"{failed} failed" if failed else "none failed"
    print(f"{pages} page{'s' * (pages != 1)}, {state}: {index.relative_to(folders.root)}")
    return failed


def _run_and_say(job: Job, folders: Folders, options: argparse.Namespace) -> Ran:
    name = f"{job.notebook}  {job.run_name}"
    print(f"{name}  ...", flush=True)
    ran = run_job(job, folders, force=options.force, timeout=options.timeout)
    state = "unchanged" if ran.skipped else "FAILED" if ran.failure else "ok"
    print(f"{name}  {state}  {'' if ran.skipped else duration(ran.seconds)}".rstrip(), flush=True)
    return ran


def _write_page_of(ran: Sequence[Ran], folders: Folders) -> tuple[Path, PageData]:
    """The page of these runs and of all other seeds that went well before."""
    job = ran[0].job
    others = executed_path(job, folders).parent.glob(f"{job.page_name}-seed*.ipynb")
    executed = [one.executed for one in ran]
    executed += [p for p in sorted(others) if p not in executed and read_executed(p)[2] is None]
    page = folders.pages / job.notebook / f"{job.page_name}.html"
    results = [
        result
        for result in stored_results(folders.results)[0]
        if result["notebook"] == job.notebook
        and result["dataset"] == safe_name(job.dataset)
        and result["profile"] == job.profile
        and result["n_labelled"] == job.n_labelled
    ]
    return page, write_page(executed, page, results, folders.notebooks)


def _store_default_run(ran: Sequence[Ran]) -> None:
    """Refresh the `.ipynb` of a notebook if its default run is among these and went well."""
    for one in ran:
        job = one.job
        asked = {
            "DATASET": job.dataset,
            "PROFILE": job.profile,
            "N_LABELLED": job.n_labelled,
            "SEED": job.seed,
        }
        defaults = read_parameters(job.script)
        is_default = all(defaults.get(name, value) == value for name, value in asked.items())
        if is_default and one.failure is None:
            print(f"    outputs stored in {store_outputs(one).name}")


def _request(options: argparse.Namespace) -> Request:
    return Request(
        notebooks=tuple(options.notebooks.split()),
        datasets=_datasets(options.datasets),
        profile=options.profile or None,
        n_labelled=_whole_numbers(options.n_labelled, "--n-labelled"),
        seeds=_whole_numbers(options.seeds, "--seeds"),
        data_dir=options.data_dir or None,
    )


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
    add("--profile", default="", help="smoke, quick, gpu or paper")
    add("--n-labelled", default="", help='numbers of labelled scans, such as "4 8"')
    add("--seeds", default="", help='seeds, such as "0 1 2"')
    add("--data-dir", default="", help="where downloaded data lie")
    add("--force", action="store_true", help="repeat runs that have not changed")
    add("--timeout", type=int, metavar="SECONDS", help="the most that one cell may take")
    add("--store-outputs", action="store_true", help="put the default run into the .ipynb")
    add("--root", type=Path, default=Path.cwd(), help="the project (default: this folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
