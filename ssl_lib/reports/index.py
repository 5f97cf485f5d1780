"""`reports/index.html`: what was found, a card for each notebook with its pages, leaderboards.

Built from the pages and the result files alone, so it is the same whichever runs came last.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ssl_lib.config import earlier_settings
from ssl_lib.evaluation.decisions import MARGINS, Comparison, compare_rows
from ssl_lib.evaluation.results import read_result, read_rows
from ssl_lib.evaluation.statistics import Interval, bootstrap_interval, scan_scores
from ssl_lib.figures.leaderboard import VERDICT_MARKERS
from ssl_lib.methods import METHODS, in_order, is_exhibit, row_name
from ssl_lib.notebook.files import write_text
from ssl_lib.notebook.interactive.page import Piece
from ssl_lib.notebook.source import GLOSSARY
from ssl_lib.notebook.tables import interval_text
from ssl_lib.reports.findings import STRONG, cell, cohort_name, cohorts, table_lines
from ssl_lib.reports.forest import overview
from ssl_lib.reports.markdown import Markdown
from ssl_lib.reports.neighbours import link_pages
from ssl_lib.reports.offline import check_page
from ssl_lib.reports.render import (
    PageData,
    environment,
    read_claim,
    read_page_data,
    read_time,
    template_text,
)
from ssl_lib.reports.terms import with_anchors
from ssl_lib.reports.thumbnail import CHART_BITS, colour_entropy
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import notebook_number, of_a_folder
from ssl_lib.utils.provenance import git_commit, package_versions
from ssl_lib.utils.words import of_unit

Result = Mapping[str, Any]
HEADLINES = {notebook_number(one.notebook): name for name, one in METHODS.items() if one.ablation}
"""The row that the cards of a notebook, by its number, compare with the strong baseline."""


@dataclass(frozen=True)
class Entry:
    """One page on the card of its notebook; `headline` is a difference to that baseline."""

    page: PageData
    link: str
    name: str
    headline: str
    seeds: int


@dataclass(frozen=True)
class Card:
    """One notebook on the index: its claim, a reader's minutes without and with the tasks, a
    picture, and its pages. `compared` is the row whose difference to the baseline they show, "" for
    none."""

    number: str
    title: str
    claim: str
    time: tuple[int, int] | None
    thumbnail: str
    compared: str
    entries: list[Entry]

    @property
    def chart(self) -> bool:
        """Whether the picture is a chart on white, which dark mode turns dark."""
        return colour_entropy(self.thumbnail) < CHART_BITS

    @property
    def seeds(self) -> int:
        """The most seeds that one of its pages shows; 0 for a notebook that trains nothing."""
        return max(entry.seeds for entry in self.entries)


@dataclass(frozen=True)
class Line:
    """One row of the leaderboard."""

    name: str
    dice: str
    hd95: str
    seeds: int
    scans: int


@dataclass(frozen=True)
class Board:
    """The leaderboard of one data set, profile and number of labelled scans."""

    title: str
    profile: str
    unit: str
    lines: list[Line]


OWN = "own.html"
"""The index of pages about folders of one's own. Git passes it by, as it does these pages: names of
scans and pictures of patients are not to be published by mistake."""


def write_index(pages_dir: Path, results_dir: Path) -> Path:
    """Write the index anew, and the links between the pages; returns the path of the index.

    Pages about folders of scans stand on `OWN`, beside it, and nothing of them on the index. A
    broken result file is named on both.
    """
    link_pages(pages_dir, _name)
    results, problems = stored_results(results_dir)
    try:
        rows = read_rows(results_dir)
    except InputError as error:
        rows, problems = [], [*problems, error.problem]
    write_texts(pages_dir)
    for own in (True, False):
        wanted = [result for result in results if of_a_folder(result["dataset"]) == own]
        shown = [row for row in rows if of_a_folder(row["dataset"]) == own]
        cards = _cards(pages_dir, wanted, shown, own)
        if cards or not own:
            _write(pages_dir, own, cards, shown, problems)
        else:
            (pages_dir / OWN).unlink(missing_ok=True)
    return pages_dir / "index.html"


def _write(
    pages_dir: Path, own: bool, cards: list[Card], rows: Sequence[Result], problems: Sequence[str]
) -> None:
    html = (
        environment()
        .get_template("index.html.j2")
        .render(
            own=own,
            cards=cards,
            opening=Markup("") if own else _opening(pages_dir),
            overview=None if own else overview(rows),
            findings=([], []) if own else _findings(rows),
            verdicts={mark: verdict for verdict, mark in VERDICT_MARKERS.items()},
            margin=MARGINS["dice"],
            boards=boards(rows),
            problems=problems,
            provenance=_provenance(),
            style=template_text("style.css"),
            script=template_text("tables.js"),
        )
    )
    check_page(html)
    path = pages_dir / (OWN if own else "index.html")
    if not path.is_file() or _undated(path.read_text(encoding="utf-8")) != _undated(html):
        write_text(path, html)


def _undated(html: str) -> str:
    """An index without the line that says when, and by which commit, it was written."""
    return re.sub(r"<div><dt>(written|commit)</dt><dd>[^<]*</dd></div>", "", html)


TEXTS = {"glossary": "Glossary", "findings": "What was measured"}
"""The texts of `docs/` that have a page beside the index, with its title."""


def write_texts(pages_dir: Path) -> None:
    """Write the pages of the glossary, which every notebook links to, and of the findings."""
    page = environment().get_template("text.html.j2")
    for name, title in TEXTS.items():
        markdown = (GLOSSARY.parent / f"{name}.md").read_text(encoding="utf-8")
        text = Markdown(GLOSSARY.parent)(markdown)
        text = with_anchors(text) if name == GLOSSARY.stem else text
        html = page.render(title=title, text=Markup(text), style=template_text("style.css"))
        check_page(html)
        write_text(pages_dir / f"{name}.html", html)


def stored_results(results_dir: Path) -> tuple[list[Result], list[str]]:
    """All readable result files, and a message for each that is not."""
    results: list[Result] = []
    problems = []
    for path in sorted(results_dir.glob("*/*.json")):
        try:
            results.append(read_result(path))
        except InputError as error:
            problems.append(f"{path.relative_to(results_dir)}: {error.problem}")
    return results, problems


def boards(results: Sequence[Result]) -> list[Board]:
    """A leaderboard for each cohort, profile and number of labelled scans, best known order."""

    def key(result: Result) -> tuple:
        return *_run(result), result["cohort_hash"]

    groups = [(key, list(group)) for key, group in groupby(sorted(results, key=key), key)]
    return [
        Board(_board_title(key, group), key[1], _unit(group), _lines(group))
        for key, group in groups
    ]


def interval_of(results: Sequence[Result], row: str, score: str) -> Interval | None:
    """The mean of a row over scans and seeds with its interval; None if it cannot be formed."""
    try:
        scores = scan_scores(results, row, score)
    except InputError:
        return None
    return bootstrap_interval(scores)


def with_interval(interval: Interval | None, digits: int) -> str:
    """ "0.812 [0.790, 0.834]", or a dash for a mean that does not exist."""
    if interval is None or math.isnan(interval.mean):
        return "–"
    return interval_text(interval, digits=digits)


def _board_title(key: tuple, results: Sequence[Result]) -> str:
    dataset, profile, n_labelled, draw, data_hash = key
    name = cohort_name(dataset, n_labelled, profile, draw)
    return f"{name} (data {data_hash[:8]}){earlier_settings(results)}"


def _unit(results: Sequence[Result]) -> str:
    """The unit of distances, one for all rows of a cohort."""
    rows = (row for one in results for row in one["rows"].values())
    return of_unit(next(row["units"].get("hd95", "") for row in rows))


def _lines(results: Sequence[Result]) -> list[Line]:
    lines = []
    for row in _rows(results):
        dice, hd95 = (interval_of(results, row, score) for score in ("dice", "hd95"))
        lines.append(
            Line(
                name=row_name(row),
                dice=with_interval(dice, 3),
                hd95=with_interval(hd95, 1),
                seeds=dice.n_seeds if dice else 0,
                scans=dice.n_scans if dice else 0,
            )
        )
    return lines


def _rows(results: Sequence[Result]) -> list[str]:
    """The rows that any result has, in the order that holds everywhere; no spoilt trainings."""
    rows = (row for result in results for row in result["rows"])
    return in_order(row for row in rows if not is_exhibit(row))


def _opening(pages_dir: Path) -> Markup:
    """The figure that `ssl_lib.reports.opening` stored; empty without one."""
    file = pages_dir / "opening.json"
    return Markup(Piece(**json.loads(file.read_text())).html()) if file.is_file() else Markup("")


def _findings(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns and lines of the table of findings; empty where it cannot be formed."""
    found = cohorts([r for r in results if r["profile"] != "smoke"])
    try:
        return list(found), table_lines(found) if found else []
    except InputError:
        return [], []


def _cards(
    pages_dir: Path, results: Sequence[Result], rows: Sequence[Result], own: bool
) -> list[Card]:
    """A card for each notebook that has a page, in the order of their names; on each card pages of
    the profile `smoke` come last. `own` are pages about folders, else all others."""
    pages = [(path, read_page_data(path)) for path in sorted(pages_dir.glob("*/*.html"))]
    known = [(path, page) for path, page in pages if page and of_a_folder(page.dataset) == own]
    known.sort(key=lambda pair: (pair[1].notebook, pair[1].profile == "smoke"))
    return [
        _card(list(group), pages_dir, results, rows)
        for _, group in groupby(known, lambda pair: pair[1].notebook)
    ]


def _card(
    pages: Sequence[tuple[Path, PageData]],
    pages_dir: Path,
    results: Sequence[Result],
    rows: Sequence[Result],
) -> Card:
    (path, page), number = pages[0], notebook_number(pages[0][1].notebook)
    entries = [_entry(*pair, pages_dir, results, rows) for pair in pages]
    last_first = sorted((one for _, one in reversed(pages)), key=lambda one: one.profile == "smoke")
    return Card(
        number=number,
        title=page.title,
        claim=read_claim(path),
        time=read_time(path),
        thumbnail=next((page.thumbnail for page in last_first if page.thumbnail), ""),
        compared=row_name(HEADLINES[number]) if number in HEADLINES else "",
        entries=entries,
    )


def _run(page: Mapping[str, Any]) -> tuple:
    """What was run: of a page or of a result, of which older ones know no draw but the first."""
    stated = (page[key] for key in ("dataset", "profile", "n_labelled"))
    return *stated, page.get("labelled_draw", 0)


def _name(page: PageData) -> str:
    name = cohort_name(page.dataset, page.n_labelled, page.profile, page.labelled_draw)
    if page.folds:
        name = f"{page.dataset}, in {page.folds} folds"
        name += "" if page.profile == "quick" else f", {page.profile}"
    return f"{name}, {page.methods.replace(' ', ', ')}" if page.methods else name


def _is_of(result: Result, page: PageData) -> bool:
    """Whether a result is of a page's notebook and cohort; folds train on all labelled scans."""
    if result["notebook"] != page.notebook or result.get("folds", 0) != page.folds:
        return False
    like = {**result, "n_labelled": page.n_labelled} if page.folds else result
    return _run(like) == _run(vars(page))


def _entry(
    path: Path,
    page: PageData,
    pages_dir: Path,
    results: Sequence[Result],
    rows: Sequence[Result],
) -> Entry:
    """A page on its card. The difference takes all stored seeds of the two rows on the page's
    scans, as the page's tables do; where no row files hold both, the notebook's own runs."""
    own = [r for r in results if _is_of(r, page)]
    scans = {result["cohort_hash"] for result in own}
    stored = [] if page.folds else [r for r in rows if r["cohort_hash"] in scans]
    headline = HEADLINES.get(notebook_number(page.notebook), "")
    found = _difference([r for r in stored if _run(r) == _run(vars(page))], headline)
    found = found or _difference(own, headline)
    return Entry(
        page=page,
        link=path.relative_to(pages_dir).as_posix(),
        name=_name(page) + earlier_settings(own),
        headline=cell(found).strip("–"),
        seeds=found.interval.n_seeds if found else len({result["seed"] for result in own}),
    )


def _difference(results: Sequence[Result], row: str) -> Comparison | None:
    """The row's Dice minus the strong baseline's, with interval; None where one is missing."""
    try:
        return next(iter(compare_rows(results, [(row, STRONG)])), None)
    except InputError:
        return None


def _provenance() -> list[tuple[str, str]]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [("written", now), ("commit", git_commit()), *package_versions().items()]
