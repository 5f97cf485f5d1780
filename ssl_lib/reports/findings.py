"""The tables of findings in the README and in `docs/findings.md`, from the stored results.

python -m ssl_lib.reports.findings      rewrites the tables

The README has the rows of ACDC on two cores. `docs/findings.md` reads them in several ways, with
other parameters and with other patients labelled, and has the rows of ACDC on a GPU, and every
named cohort on which at least two methods were measured: Dice of each row minus Dice of the strong
baseline, and of each method minus the same without its idea, paired, averaged over test scans and
seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ssl_lib.config import earlier_settings
from ssl_lib.data.load import DATASETS
from ssl_lib.data.published import counted_by
from ssl_lib.evaluation.decisions import (
    MARGINS,
    ORACLE,
    READINGS,
    Comparison,
    compare_rows,
    practical_verdict,
    readings,
)
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import add_trial, read_rows
from ssl_lib.evaluation.statistics import bootstrap_interval, paired_difference, scan_scores
from ssl_lib.evaluation.variance import draw_of
from ssl_lib.figures.leaderboard import VERDICT_MARKERS
from ssl_lib.methods import AVERAGED, ablations, in_order, row_name, row_words
from ssl_lib.notebook.files import write_text
from ssl_lib.notebook.tables import interval_text
from ssl_lib.utils.words import counted, signed

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "reports" / "results"
BOXES = ROOT / "reports" / "validation" / "00_boxes.json"
WITHOUT = "without boxes"
LEADING: dict[str, Any] = {"dataset": "acdc", "profile": "gpu", "n_labelled": 3}
TWO_CORES: dict[str, Any] = {"dataset": "acdc", "profile": "evening", "n_labelled": 3}
BASELINES = ("supervised_weak", "supervised_strong", "mean_teacher")
STRONG = "supervised_strong"
METHODS = tuple(ablations())
CEILING = "supervised_all"
ABLATION = "bcp_ablation"  # an ablation that leads on some data
COHORT = ("dataset", "n_labelled", "profile", "cohort_hash")
FEWEST_METHODS = 2

Results = Sequence[Mapping[str, Any]]


def cohorts(results: Results) -> dict[str, Results]:
    """The runs of each named cohort that has enough methods at today's settings, by its name.

    Where a data set was measured at `evening`, its shorter `quick` trainings are left out.
    """
    found: dict[tuple, list[Mapping[str, Any]]] = {}
    for result in results:
        found.setdefault(tuple(result[key] for key in COHORT), []).append(result)
    longer = {(key[0], key[2]) for key in found}
    return {
        cohort_name(*key[:3]): runs
        for key, runs in sorted(found.items())
        if len(measured(runs)) >= FEWEST_METHODS
        and key[0] in DATASETS
        and not (key[2] == "quick" and (key[0], "evening") in longer)
        and not earlier_settings(runs)
    }


def cohort_name(dataset: str, n_labelled: int, profile: str = "quick", draw: int = 0) -> str:
    """A cohort in words; profile and draw of the labelled scans are named unless the usual ones."""
    unit = counted_by(dataset)
    name = f"{dataset}, {n_labelled} labelled {unit}{'s' * (n_labelled > 1)}"
    name += f", draw {draw} of the labelled {unit}s" if draw else ""
    return name if profile == "quick" else f"{name}, {profile}"


def measured(results: Results) -> list[str]:
    """The methods that some run holds."""
    return [row for row in METHODS if any(row in result["rows"] for result in results)]


def table() -> str:
    """The table in Markdown: one line a row, one column a cohort."""
    stored = stored_cohorts()
    return _markdown(["Dice", *stored], table_lines(stored))


def _markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    every = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)


def stored_cohorts() -> dict[str, Results]:
    """The cohorts of all stored results but those of the smoke profile, which mean nothing."""
    return cohorts([result for result in read_rows(RESULTS) if result["profile"] != "smoke"])


def idea_table() -> str:
    """Each method minus the same method without its idea, in Markdown: one column a cohort. A
    cell with fewer seeds than the most of its column says so."""
    pairs = [(row, other) for row, other in ablations().items() if other != STRONG]
    columns = {
        name: {one.row: one for one in compare_rows(results, pairs)}
        for name, results in stored_cohorts().items()
    }
    columns = {name: column for name, column in columns.items() if column}
    most = {name: _most(column.values()) for name, column in columns.items()}
    lines = []
    for row, other in pairs:
        found = {name: column.get(row) for name, column in columns.items()}
        cells = [cell(one) + _fewer(one, most[name]) for name, one in found.items()]
        lines.append([f"{row_name(row)} minus {row_words(other)}", *cells])
    return _markdown(["Dice", *columns], lines)


def _most(column: Iterable[Comparison]) -> int:
    """The largest number of seeds of a column."""
    return max(one.interval.n_seeds for one in column)


def leading_table() -> str:
    """All rows of the leading cohort in Markdown: scores of the last weights, and the Dice with
    only the largest part of each class."""
    results = read_rows(RESULTS, **LEADING)
    lines = []
    for row in in_order(row for result in results for row in result["rows"]):
        dice, distance = (scan_scores(results, row, score) for score in ("dice", "hd95"))
        largest = [r["rows"][row]["largest_component"]["dice"] for r in results if row in r["rows"]]
        interval = bootstrap_interval(dice)
        numbers = f"{nan_mean(distance.values):.1f}", f"{nan_mean(largest):.3f}"
        lines.append([row_name(row), interval_text(interval), *numbers, str(interval.n_seeds)])
    heads = ["row", "Dice", "95HD (voxels)", "Dice, largest parts alone", "seeds"]
    return _markdown(heads, lines)


def reading_lines(*, varied: bool = False, short: bool = False) -> str:
    """Rows of the two-core cohort in Markdown: what each baseline, each checkpoint and the largest
    component are worth (see `ssl_lib.evaluation.decisions.READINGS`); the methods as they are, or
    those `varied` by other parameters and averages of two networks. `short` has the last weights
    alone."""
    results = read_rows(RESULTS, **TWO_CORES)
    stored = in_order(row for result in results for row in result["rows"])
    others = [] if short else [*(name for name in READINGS if READINGS[name]), ORACLE]
    heads = [
        "row",
        "seeds",
        "Dice [95 %]",
        *(f"minus {row_words(base)}" for base in BASELINES),
    ]
    heads += [f"{name}: gain" for name in others]
    lines = []
    for row in (row for row in stored if varied == ("[" in row or row.endswith(AVERAGED))):
        interval = bootstrap_interval(scan_scores(results, row))
        made = {one.reference: one for one in compare_rows(results, [(row, b) for b in BASELINES])}
        cells = [row_name(row), str(interval.n_seeds), interval_text(interval)]
        cells += [cell(made.get(base)) for base in BASELINES]
        read = {} if short else readings(results, row)
        cells += [_gain(read, name) for name in others]
        lines.append(cells)
    return _markdown(heads, lines)


def draw_lines() -> str:
    """The two-core cohort with other patients labelled, in Markdown: one column a draw."""
    draws: dict[int, list[dict[str, Any]]] = {}
    for result in read_rows(RESULTS, **TWO_CORES, labelled_draw=None):
        draws.setdefault(draw_of(result, next(iter(result["rows"]))), []).append(result)
    names = {draw: f"draw {draw}" if draw else "the published patients" for draw in sorted(draws)}
    return _within({name: draws[draw] for draw, name in names.items()}, mean="mean over the draws")


def label_lines() -> str:
    """The two-core cohort with more patients labelled, in Markdown: one column a number."""
    numbers: dict[int, list[dict[str, Any]]] = {}
    for result in read_rows(RESULTS, **{**TWO_CORES, "n_labelled": None}):
        numbers.setdefault(result["n_labelled"], []).append(result)
    return _within({f"{number} patients": numbers[number] for number in sorted(numbers)})


def _within(groups: Mapping[str, Results], mean: str = "") -> str:
    """Groups of results side by side in Markdown: the level of the strong baseline, then each
    row's difference to it within its group; rows that only the first group has are left out.
    `mean` is the head of a last column, in which each group weighs the same."""
    others = [run for runs in list(groups.values())[1:] for run in runs]
    rows = in_order(row for run in others for row in run["rows"] if row != STRONG)
    levels = [nan_mean(scan_scores(runs, STRONG).values) for runs in groups.values()]
    columns = [
        {one.row: one for one in compare_rows(runs, [(row, STRONG) for row in rows])}
        for runs in groups.values()
    ]
    most = _most(one for column in columns for one in column.values())
    lines = [[row_name(STRONG), *(f"{level:.3f}" for level in levels)]]
    for row in rows:
        found = [column.get(row) for column in columns]
        lines.append([row_name(row), *(cell(one) + _fewer(one, most) for one in found)])
    if mean:
        lines[0].append(f"{nan_mean(levels):.3f}")
        for line, row in zip(lines[1:], rows, strict=True):
            line.append(_mean_of_groups(list(groups.values()), row))
    return _markdown(["Dice", *groups, *([mean] if mean else [])], lines)


def _mean_of_groups(groups: Sequence[Results], row: str) -> str:
    """A row's difference to the strong baseline, mean over the groups that have the row."""
    held = [runs for runs in groups if any(row in run["rows"] for run in runs)]
    made = [paired_difference(runs, row, STRONG) for runs in held]
    values = np.array([np.mean(one.values, axis=0) for one in made])
    interval = bootstrap_interval(replace(made[0], seeds=tuple(range(len(made))), values=values))
    marker = VERDICT_MARKERS[practical_verdict(interval, MARGINS["dice"])]
    fewer = f", {counted(len(made), 'draw')}" if len(made) < len(groups) else ""
    return f"{marker} {interval_text(interval, '+')}{fewer}"


def _gain(read: Mapping[str, float], name: str) -> str:
    """What another reading adds to the last weights' Dice."""
    if name not in read:
        return "–"
    return signed(read[name] - read["last weights"])


def pasting_lines() -> str:
    """Ideas on the two-core cohort where method and ablation were both trained with other
    parameters, in Markdown: one line a change."""
    results = read_rows(RESULTS, **TWO_CORES)
    stored = in_order(row for result in results for row in result["rows"])
    pairs: dict[str, str] = {}
    for row, other in ablations().items():
        changes = [name.removeprefix(row) for name in stored if name.startswith(f"{row}[")]
        both = [change for change in changes if f"{other}{change}" in stored]
        pairs |= {f"{row}{change}": f"{other}{change}" for change in ["", *both] if both}
    heads = ["row", "with its idea", "without", "the idea alone", "seeds"]
    return _markdown(heads, [[row_name(row), *_pair(results, row, pairs[row])] for row in pairs])


def box_lines() -> str:
    """Rows trained without a pasted box, beside the same rows with boxes, in Markdown."""
    results = add_trial(read_rows(RESULTS, profile="evening"), BOXES, WITHOUT)
    lines = []
    for dataset in sorted({result["dataset"] for result in results}):
        runs = [result for result in results if result["dataset"] == dataset]
        names = {row for run in runs for row in run["rows"]}
        for row in in_order(name for name in names if f"{name} {WITHOUT}" in names):
            other = f"{row} {WITHOUT}"
            both = [run["rows"] for run in runs if other in run["rows"]]
            validation = [r[row]["validation_curve"][-1][1] - r[other]["validation"] for r in both]
            *cells, seeds = _pair(runs, row, other)
            cells += [signed(nan_mean(validation)), seeds]
            lines.append([f"{dataset}, {row_words(row)}", *cells])
    alone = ("the boxes alone", "the same on validation scans")
    return _markdown(["row", "with boxes", "without", *alone, "seeds"], lines)


def _pair(results: Results, row: str, other: str) -> list[str]:
    """The Dice of two rows, their difference, and the number of seeds, of the runs with both."""
    runs = [run for run in results if {row, other} <= set(run["rows"])]
    (made,) = compare_rows(runs, [(row, other)])
    dice = [f"{nan_mean(scan_scores(runs, name).values):.3f}" for name in (row, other)]
    return [*dice, cell(made), str(made.interval.n_seeds)]


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"rows": partial(reading_lines, short=True)},
    "docs/findings.md": {
        "readings": reading_lines,
        "varied readings": partial(reading_lines, varied=True),
        "pasting": pasting_lines,
        "boxes": box_lines,
        "draws": draw_lines,
        "labels": label_lines,
        "acdc": leading_table,
        "findings": table,
        "ideas": idea_table,
    },
}
"""For each text what stands between its marks `<!-- name -->` and `<!-- end of name -->`."""


def table_lines(stored: Mapping[str, Results]) -> list[list[str]]:
    """The table's lines: the level of the strong baseline, how many seeds most rows have, then each
    row's difference to the baseline. A row with fewer seeds says so."""
    columns = [differences(results) for results in stored.values()]
    levels = [nan_mean(scan_scores(results, STRONG).values) for results in stored.values()]
    most = [_most(column.values()) for column in columns]
    lines = [
        [row_name(STRONG), *(f"{level:.3f}" for level in levels)],
        ["Seeds", *map(str, most)],
    ]
    for row in (*in_order((*METHODS, ABLATION)), CEILING):
        made = [column.get(row) for column in columns]
        cells = [cell(one) + _fewer(one, count) for one, count in zip(made, most, strict=True)]
        lines.append([row_name(row), *cells])
    return lines


def _fewer(one: Comparison | None, most: int) -> str:
    """The number of seeds of a difference that has fewer than others."""
    fewer = one is not None and one.interval.n_seeds < most
    return f", {counted(one.interval.n_seeds, 'seed')}" if one is not None and fewer else ""


def differences(results: Results) -> dict[str, Comparison]:
    """Each method and the row with all labels, against the strong baseline."""
    pairs = [(row, STRONG) for row in (*measured(results), ABLATION, CEILING)]
    return {one.row: one for one in compare_rows(results, pairs)}


def cell(one: Comparison | None) -> str:
    """A difference with its interval and verdict; a dash where it was not measured."""
    if one is None:
        return "–"
    return f"{VERDICT_MARKERS[one.verdict]} {interval_text(one.interval, '+')}"


def main() -> None:
    for place, tables in TABLES.items():
        text = (ROOT / place).read_text(encoding="utf-8")
        for name, written in tables.items():
            start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
            before, rest = text.split(start)
            text = f"{before}{start}\n{written()}\n{end}{rest.split(end)[1]}"
        write_text(ROOT / place, text)


if __name__ == "__main__":
    main()
