"""`reports/index.html`: a card for each page, a leaderboard of the stored results, provenance.

Built from the pages and the result files alone, so it is the same whichever runs came last.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from ssl_lib.errors import InputError
from ssl_lib.notebook_files import write_text
from ssl_lib.provenance import git_commit, package_versions
from ssl_lib.reports.card import duration
from ssl_lib.reports.offline import check_page
from ssl_lib.reports.render import (
    PageData,
    environment,
    read_page_data,
    template_text,
)
from ssl_lib.results import ROW_NAMES, is_exhibit, read_result, row_name
from ssl_lib.statistics import Interval, bootstrap_interval, scan_scores

Result = Mapping[str, object]
RUN_KEYS = ("dataset", "profile", "n_labelled")
NOT_ON_CARDS = ("supervised_few", "bcp_one_direction")
"""Rows that a card leaves to its page; the method without its idea is always shown."""


@dataclass(frozen=True)
class Card:
    """One page on the index, with its headline numbers as (row, "mean [low, high]")."""

    page: PageData
    link: str
    headline: list[tuple[str, str]]
    seeds: int
    time: str


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
    lines: list[Line]


def write_index(pages_dir: Path, results_dir: Path) -> Path:
    """Write the index anew; returns its path. A broken result file is named on the page."""
    results, problems = stored_results(results_dir)
    cards = [_card(page, pages_dir, results) for page in sorted(pages_dir.glob("*/*.html"))]
    html = (
        environment()
        .get_template("index.html.j2")
        .render(
            cards=[card for card in cards if card],
            boards=boards(results),
            problems=problems,
            provenance=_provenance(),
            style=template_text("style.css"),
            script=template_text("tables.js"),
        )
    )
    check_page(html)
    write_text(pages_dir / "index.html", html)
    return pages_dir / "index.html"


def stored_results(results_dir: Path) -> tuple[list[Result], list[str]]:
    """All readable result files, and a message for each that is not."""
    results, problems = [], []
    for path in sorted(results_dir.glob("*/*.json")):
        try:
            results.append(read_result(path))
        except InputError as error:
            problems.append(f"{path.relative_to(results_dir)}: {error.problem}")
    return results, problems


def boards(results: Sequence[Result]) -> list[Board]:
    """A leaderboard for each cohort, profile and number of labelled scans, best known order."""

    def key(result: Result) -> tuple:
        return *(result[name] for name in RUN_KEYS), result["cohort_hash"]

    return [
        Board(_board_title(key), key[1], _lines(list(group)))
        for key, group in groupby(sorted(results, key=key), key)
    ]


def interval_of(results: Sequence[Result], row: str, score: str) -> Interval | None:
    """The mean of a row over scans and seeds with its interval; None if it cannot be formed."""
    try:
        scores = scan_scores(results, row, score)
    except InputError:
        return None
    return bootstrap_interval(scores.values)


def with_interval(interval: Interval | None, digits: int) -> str:
    """ "0.812 [0.790, 0.834]", or a dash for a mean that does not exist."""
    if interval is None or math.isnan(interval.mean):
        return "–"
    mean = f"{interval.mean:.{digits}f}"
    if math.isnan(interval.low):
        return mean
    return f"{mean} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _board_title(key: tuple) -> str:
    dataset, profile, n_labelled, data_hash = key
    return f"{dataset}, {profile}, {n_labelled} labelled scans (data {data_hash[:8]})"


def _lines(results: Sequence[Result]) -> list[Line]:
    lines = []
    for row in _rows(results):
        dice, hd95 = (interval_of(results, row, score) for score in ("dice", "hd95"))
        unit = next(r["rows"][row]["units"].get("hd95", "") for r in results if row in r["rows"])
        distance = with_interval(hd95, 1)
        lines.append(
            Line(
                name=row_name(row),
                dice=with_interval(dice, 3),
                hd95=distance if distance == "–" else f"{distance} {unit}",
                seeds=dice.n_seeds if dice else 0,
                scans=dice.n_scans if dice else 0,
            )
        )
    return lines


def _rows(results: Sequence[Result]) -> list[str]:
    """The rows that any result has, in the order that holds everywhere; no spoilt trainings."""
    found = {row for result in results for row in result["rows"] if not is_exhibit(row)}
    order = list(ROW_NAMES)
    return sorted(found, key=lambda row: (order.index(row) if row in order else len(order), row))


def _card(path: Path, pages_dir: Path, results: Sequence[Result]) -> Card | None:
    page = read_page_data(path)
    if page is None:
        return None
    wanted = {"notebook": page.notebook, **{key: getattr(page, key) for key in RUN_KEYS}}
    own = [r for r in results if all(r[key] == value for key, value in wanted.items())]
    rows = [r for r in _rows(own) if r not in NOT_ON_CARDS]
    return Card(
        page=page,
        link=path.relative_to(pages_dir).as_posix(),
        headline=[(row_name(row), with_interval(interval_of(own, row, "dice"), 3)) for row in rows],
        seeds=len({result["seed"] for result in own}),
        time=duration(page.seconds),
    )


def _provenance() -> list[tuple[str, str]]:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [("written", now), ("commit", git_commit()), *package_versions().items()]
