"""What notebook 05 says in sentences that depend on stored rows: scans, seconds, checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import HTML

from ssl_lib.evaluation.decisions import (
    MARGINS,
    ORACLE,
    READINGS,
    Comparison,
    median_training,
    readings,
    seconds_of,
)
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import smoke_note
from ssl_lib.evaluation.statistics import (
    Result,
    bootstrap_interval,
    drawn_by,
    paired_difference,
)
from ssl_lib.methods import row_name, row_words
from ssl_lib.notebook.comparison_tables import read_from
from ssl_lib.notebook.tables import interval_text, plain_table
from ssl_lib.utils.names import base_row
from ssl_lib.utils.words import counted, signed

STRONG, WEAK, ALL = "supervised_strong", "supervised_weak", "supervised_all"
SAME_WORK = (STRONG, ALL)
"""Rows that do the same work in every update."""


def one_scan_sentence(results: Sequence[Result], compared: Sequence[Comparison]) -> HTML:
    """Which mean gains would be less than half as large without the one test scan of the largest
    gain."""
    found = {one: _without_largest(results, one) for one in compared if one.interval.mean > 0}
    carried = {one: rest for one, rest in found.items() if rest < 0.5 * one.interval.mean}
    if not carried:
        text = "No mean gain falls to less than half when its scan of the largest gain is left out."
        return _read(results, "figure", text if found else "No row has a mean gain above zero.")
    parts = [
        f"{row_name(one.row)} {signed(rest)} instead of {signed(one.interval.mean)}"
        for one, rest in carried.items()
    ]
    scans = max(one.interval.n_scans for one in carried)
    text = (
        f"More than half of a gain comes from one of {scans} test scans. Mean without the scan of "
        f"the largest gain: {'; '.join(parts)}."
    )
    return _read(results, "figure", text)


def _without_largest(results: Sequence[Result], one: Comparison) -> float:
    """The mean gain in Dice without the scan of the largest gain."""
    values = paired_difference(results, one.row, one.reference).values
    gains = np.array([nan_mean(scan) for scan in values.T])
    gains = np.sort(gains[~np.isnan(gains)])
    return nan_mean(gains[:-1])


def patients_sentence(results: Sequence[Result], compared: Sequence[Comparison]) -> HTML:
    """What intervals and tests draw, and how much narrower they would be if they drew scans."""
    dataset = str(results[0]["dataset"])
    best = max(compared, key=lambda one: one.interval.mean)
    found = paired_difference(results, best.row, best.reference)
    scans, patients = len(found.identities), len(set(found.patients))
    if dataset in ("phantom", "phantom_3d"):
        text = "Intervals and tests draw subjects: here every scan is a subject of its own."
    elif drawn_by(results) == "scans":
        text = (
            "Intervals and tests draw scans: which of these share a patient is not known. Scans of "
            "one patient are alike, and then such intervals are too narrow."
        )
    else:
        by_scan = interval_text(bootstrap_interval(found.values), "+")
        text = (
            f"Intervals and tests draw patients with all their scans: these {scans} scans come "
            f"from {patients} patients, and scans of one patient are alike. The gain of the row "
            f"{row_name(best.row)} is {interval_text(best.interval, '+')}; drawn by scan its "
            f"interval would be {by_scan}."
        )
    return _read(results, "scans", text)


def cost_table(results: Sequence[Result], rows: Sequence[str]) -> HTML:
    """One line a row: seconds of its fastest seed, divided by those of the strong baseline (or of
    the first row, without it), and the number of seeds."""
    base = STRONG if STRONG in rows else rows[0]
    seconds = {row: seconds_of(results, row) for row in rows}
    lines = [
        (row_name(row), f"{seconds[row] / seconds[base]:.1f}", str(len(_seeds(results, row))))
        for row in rows
    ]
    words = f"Seconds of training of the fastest seed, divided by those of the {row_words(base)}."
    return plain_table(("Row", "times as long", "seeds"), lines, words)


def seconds_sentence(results: Sequence[Result]) -> HTML:
    """How far seconds can be trusted: how much they differ between trainings that do the same
    work."""
    groups: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for result in results:
        for row, content in result["rows"].items():
            if key := _work(row):
                groups.setdefault(key, {}).setdefault(row, []).append(content["seconds"])
    parts, most = [], 1.0
    for rows in groups.values():
        times = [seconds for of_row in rows.values() for seconds in of_row]
        if len(times) > 1:
            most = max(most, max(times) / min(times))
            if len(rows) > 1:
                parts.append(f"{' and '.join(map(row_name, rows))}: {_fastest(rows)}")
    if most == 1.0:
        return _read(
            results, "seconds", "No two trainings here do the same work: nothing to compare."
        )
    text = (
        "Seeds of one row, a row with another decay of its teacher, the strong baseline and all "
        f"labels: these do the same work. Here the slowest such training took up to {most:.1f} "
        "times as long as the fastest. A smaller ratio in the table below says little."
    )
    text += f" Fastest seeds of such rows: {'; '.join(parts)}." if parts else ""
    return _read(results, "seconds", text)


def _work(row: str) -> tuple[str, ...]:
    """What stands for the work of an update: the same for rows that do the same; () for a row of
    other changed parameters."""
    if row in SAME_WORK:
        return SAME_WORK
    changed = row.partition("[")[2].rpartition("]")[0]
    same = not changed or re.fullmatch(r"schedule\.teacher_decay=[^,]*", changed)
    return (base_row(row),) if same else (row,)


def _fastest(rows: Mapping[str, Sequence[float]]) -> str:
    return " and ".join(f"{min(seconds):.0f}" for seconds in rows.values()) + " s"


def watched_sentence(
    watched: Sequence[Mapping[str, Any]], results: Sequence[Result], apart: bool
) -> HTML:
    """Which trainings the figure of checkpoints is of, how long they were, and which of them its
    left panel shows. `apart`: they are stored apart from the rows of the page."""
    lengths = _joined({one["iterations"][-1] for one in watched})
    rows = {
        row["iterations"] for run in results for row in run["rows"].values() if "iterations" in row
    }
    text = f"{counted(len(watched), 'training')} of {lengths} updates each, warm-up included"
    if apart:
        text += ", stored apart"
        same = {one["iterations"][-1] for one in watched} == rows
        text += f"; the rows of this page have {_joined(rows)}" if rows and not same else ""
    else:
        text += ", the rows of the figures"
        if any("[" in row for run in results for row in run["rows"]):
            text += "; rows with changed parameters, in brackets in the table, are left out"
    shown = median_training(watched)
    text += (
        f". The left panel shows the one whose gain by the best test look is the median: "
        f"{row_name(str(shown['row']))}, seed {shown['seed']}."
    )
    return _read(results, "figure", text)


SEEN: dict[str, tuple[str, str]] = {
    "largest component": (
        "blue square",
        "right about the organ and wrong elsewhere, and a filter of three lines is worth something",
    ),
    "best on validation": ("circle", "better on the way than at the end of the training"),
}
"""The mark of a reading, and what it means for a row to gain by it."""
ON_TEST = "A cross is what a paper would have reported that looks at the test scans."


def _seen(reading: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """Which rows gain by a reading more than the margin, and what that means."""
    gains = {
        row: one[reading] - one["last weights"] for row, one in found.items() if reading in one
    }
    large = [row_name(row) for row, gain in gains.items() if gain > MARGINS["dice"]]
    mark, meaning = SEEN[reading]
    start = f"By the reading “{reading}” ({mark})"
    if not large:
        return f"{start} no row gains more than {MARGINS['dice']} Dice."
    return (
        f"{start} these rows gain more than {MARGINS['dice']} Dice, so they are {meaning}: "
        f"{'; '.join(large)}."
    )


def readings_sentence(results: Sequence[Result], rows: Sequence[str]) -> HTML:
    """How to read the figure of readings, of what it shows alone, and which rows it lacks."""
    found = {row: readings(results, row) for row in rows}
    there = {reading for values in found.values() for reading in values}
    parts = [_seen(reading, found) for reading in SEEN if reading in there]
    parts += [ON_TEST] if ORACLE in there else []
    absent = [name for name in (*READINGS, ORACLE) if name not in there]
    if absent:
        parts.append(f"Not stored here: {', '.join(absent)}.")
    weak = any(WEAK in run["rows"] for run in results)
    parts.append(
        "The columns “minus” of the table say how much of the way from the weak baseline to a "
        "method is augmentation."
        if weak
        else "The weak baseline is not stored here."
    )
    once = [row_name(row) for row, values in found.items() if len(values) == 1]
    if once:
        parts.append(f"Read in one way only, so not shown: {', '.join(once)}.")
    return _read(results, "figure", " ".join(parts))


def _joined(numbers: set[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))


def _seeds(results: Sequence[Result], row: str) -> set[int]:
    return {result["seed"] for result in results if row in result["rows"]}


def _read(results: Sequence[Result], what: str, text: str) -> HTML:
    """A sentence below the figure or table, after the note of a smoke run."""
    return read_from(what, f"{smoke_note(results)} {text}".strip())
