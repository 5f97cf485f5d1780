"""What notebook 05 says of stored rows in tables and sentences: classes, updates, draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from IPython.display import HTML

from ssl_lib.evaluation.classes import class_gains, classes_of
from ssl_lib.evaluation.learning_curves import LearningCurves, learning_curves
from ssl_lib.evaluation.results import smoke_note
from ssl_lib.evaluation.statistics import (
    Result,
    bootstrap_interval,
    drawn_by,
    scan_scores,
)
from ssl_lib.evaluation.variance import Components, draw_of, variance_components
from ssl_lib.figures.comparison import SCORE_NAMES
from ssl_lib.methods import row_name, row_words
from ssl_lib.notebook.tables import interval_text, plain_table
from ssl_lib.utils.words import of_unit, percent

REFERENCE = "supervised_strong"
PARTS = {
    "draw": "labelled scans",
    "seed": "seed",
    "scan": "test scan",
    "rest": "rest",
}
"""The parts of `Components` as the table calls them."""


def read_from(what: str, text: str) -> HTML:
    """A computed sentence that stands below a table or a figure."""
    return HTML(f"<p><strong>Read from the {escape(what)}.</strong> {escape(text)}</p>")


def class_table(
    results: Sequence[Result], rows: Sequence[str], names: Sequence[str], score: str = "dice"
) -> HTML:
    """One line a row, one column a class: the mean of a score over seeds and test scans, its 95 %
    interval over patients, and how many scores are undefined.

    `names` are the classes by number, background first.
    """
    classes = classes_of(results)
    lines = [
        (row_name(row), *(_class_cell(results, row, score, index) for index in classes))
        for row in rows
    ]
    unit = _unit(results, rows[0], score)
    less = " Less is better." if score in ("hd95", "asd") else ""
    caption = f"""{smoke_note(results)} {SCORE_NAMES[score]}{unit} of each class, mean over seeds
        and test scans; in brackets 95 % intervals over {drawn_by(results)}.{less}"""
    return plain_table(("Row", *(names[index] for index in classes)), lines, caption)


def _class_cell(results: Sequence[Result], row: str, score: str, index: int) -> str:
    found = scan_scores(results, row, score, index)
    interval, undefined = bootstrap_interval(found), int(np.isnan(found.values).sum())
    digits = 3 if score in ("dice", "jaccard") else 1
    return interval_text(interval, digits=digits) + f", {undefined} undefined" * bool(undefined)


def class_sentence(results: Sequence[Result], rows: Sequence[str], names: Sequence[str]) -> HTML:
    """Which class gains most from the unlabelled scans, in Dice and in 95HD: the gains over the
    strong baseline, their median over the rows, in how many rows that class is first, and whether
    it is told apart from the next one. A smoke run has no such sentence."""
    if note := smoke_note(results):
        return read_from("figure", note)
    parts = [_gains_in_words(results, rows, names, score) for score in ("dice", "hd95")]
    return read_from("figure", " ".join(parts))


def _gains_in_words(
    results: Sequence[Result], rows: Sequence[str], names: Sequence[str], score: str
) -> str:
    found = class_gains(results, rows, REFERENCE, score)
    digits = 3 if score == "dice" else 1
    each = [f"{names[k]} {interval_text(found.gains[k], '+', digits)}" for k in found.order]
    count = len(found.rows)
    whose = row_name(found.rows[0]) if count == 1 else f"median of {count} rows"
    begins = (
        f"Dice gained over the strong baseline ({whose} with unlabelled scans)"
        if score == "dice"
        else f"{SCORE_NAMES[score]} reduced by{_unit(results, found.rows[0], score)}"
    )
    text = f"{begins}: {', '.join(each)}."
    if found.over_next is None:
        return text
    first, told = names[found.order[0]], found.over_next.low > 0
    gap = interval_text(found.over_next, "+", digits)
    ending = "" if told else ": not told apart"
    if found.gains[found.order[0]].mean <= 0:
        return f"{text} No class gains."
    rows_led = found.leads.get(found.order[0], 0)
    rows_too = f"; it gains most in {rows_led} of {count} rows" if count > 1 else ""
    return f"{text} The {first} gains most, {gap} more than the next class{ending}{rows_too}."


def updates_sentence(results: Sequence[Result], rows: Sequence[str]) -> HTML:
    """After how many updates the rows reach the last validation Dice of the strong baseline."""
    level = learning_curves(results, REFERENCE)
    if level is None:
        return read_from("figure", "The strong baseline has no stored curve: no level to reach.")
    last = float(level.mean[-1])
    curves = [found for row in rows if (found := learning_curves(results, row)) is not None]
    reached = {one.row: one.updates_to(last) for one in curves}
    words = [f"{_whose(one)}: {reached[one.row]}" for one in curves if reached[one.row] is not None]
    never = [_whose(one) for one in curves if reached[one.row] is None]
    seeds = "" if len(level.seeds) > 1 else ", one seed"
    text = (
        f"The strong baseline ends at a validation Dice of {last:.3f} after {level.updates[-1]} "
        f"updates (mean over seeds{seeds}). First look at which a row's mean is as high: "
        f"{'; '.join(words) or 'none'}."
    )
    text += f" Never: {'; '.join(never)}." if never else ""
    return read_from("figure", f"{smoke_note(results)} {text}".strip())


def _whose(curves: LearningCurves) -> str:
    """A row's name, and that it has one seed only."""
    return row_name(curves.row) + (", one seed" if len(curves.seeds) == 1 else "")


def variance_table(
    results: Sequence[Result], rows: Sequence[str], pairs: Sequence[tuple[str, str]] = ()
) -> HTML:
    """One line a row, and one for each paired difference: the standard deviations of Dice due to
    the labelled scans, the seed, the test scan, and the rest, with their shares of the variance.

    `results` hold every stored draw. What too few draws or seeds cannot tell is "not measured";
    what was trained only once is left out. See `ssl_lib.evaluation.variance` for the definition.
    """
    asked: list[tuple[str, str, str | None]] = [(row_name(row), row, None) for row in rows]
    asked += [(f"{row_name(row)} minus {row_words(other)}", row, other) for row, other in pairs]
    found = {
        words: variance_components(results, row, other)
        for words, row, other in asked
        if _held(results, row, other)
    }
    lines = [
        (words, *_component_cells(one))
        for words, one in found.items()
        if sum(one.trainings.values()) > 1
    ]
    caption = f"""{smoke_note(results)} Standard deviations of the Dice of one test scan, and shares
        of its variance; 0 where the estimate is negative. Numbers of seeds are joined by + where
        there are several draws."""
    return plain_table(("Row", "seeds", *PARTS.values()), lines, caption)


def _held(results: Sequence[Result], row: str, other: str | None) -> bool:
    wanted = {row} if other is None else {row, other}
    return any(wanted <= result["rows"].keys() for result in results)


def _component_cells(found: Components) -> list[str]:
    """Seeds of each draw, then each part; shares only where all parts are measured."""
    parts = found.parts
    total = sum(parts.values())
    trainings = " + ".join(str(count) for count in found.trainings.values())
    return [trainings, *(_spread(value, total) for value in parts.values())]


def _spread(variance: float, total: float) -> str:
    if math.isnan(variance):
        return "not measured"
    share = "" if math.isnan(total) or total == 0 else f" ({percent(variance / total)})"
    return f"{math.sqrt(variance):.3f}{share}"


def variance_sentence(results: Sequence[Result], rows: Sequence[str]) -> HTML:
    """What the table of `variance_table` shows of draws and seeds, or that nothing is measured."""
    rows = [row for row in rows if _held(results, row, None)]
    draws = {draw_of(run, row) for run in results for row in rows if row in run["rows"]}
    found = {row: variance_components(results, row) for row in rows}
    known = {row: one for row, one in found.items() if not math.isnan(one.draw)}
    if not known:
        text = (
            f"What the choice of labelled scans is worth is not measured here: {len(draws)} draw"
            f"{'' if len(draws) == 1 else 's'} stored, and it takes two draws, one of them with "
            "two seeds."
        )
        return read_from("table", f"{smoke_note(results)} {text}".strip())
    other = [
        math.sqrt(
            one.parts["scan"] / len(set(scan_scores(_of_one_draw(results, row), row).patients))
        )
        for row, one in known.items()
    ]
    larger = [row for row, one in known.items() if one.parts["draw"] > one.parts["seed"]]
    spread = {row: math.sqrt(one.parts["draw"]) for row, one in known.items()}
    most, least = max(spread, key=spread.__getitem__), min(spread, key=spread.__getitem__)
    text = (
        f"Another choice of labelled scans moves a row's mean Dice by a standard deviation of "
        f"{spread[least]:.3f} ({row_name(least)}) to {spread[most]:.3f} ({row_name(most)}). It is "
        f"larger than that of the seed in {len(larger)} of {len(known)} rows. As many other test "
        f"{drawn_by(results)} would move it by {min(other):.3f} to {max(other):.3f}. "
        f"{len(draws)} draws tell the order of magnitude, no more."
    )
    once = [row_name(row) for row in found if row not in known]
    if once:
        text += f" Not measured, for want of draws or seeds: {', '.join(once)}."
    return read_from("table", f"{smoke_note(results)} {text}".strip())


def _of_one_draw(results: Sequence[Result], row: str) -> list[Result]:
    """The results of a row's first stored draw."""
    held = [run for run in results if row in run["rows"]]
    return [run for run in held if draw_of(run, row) == draw_of(held[0], row)]


def _unit(results: Sequence[Result], row: str, score: str) -> str:
    """The unit of a score in brackets, nothing for a fraction."""
    unit = next(run["rows"][row]["units"][score] for run in results if row in run["rows"])
    return "" if unit == "fraction" else f" ({of_unit(unit)})"
