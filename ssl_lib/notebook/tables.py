"""Results as a table that a page can show, sort and copy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from IPython.display import HTML

from ssl_lib.evaluation.decisions import (
    ORACLE,
    READINGS,
    Comparison,
    compare_rows,
    readings,
    seconds_of,
)
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import smoke_note
from ssl_lib.evaluation.statistics import (
    Interval,
    bootstrap_interval,
    drawn_by,
    paired_difference,
    scan_scores,
)
from ssl_lib.figures.comparison import SCORE_NAMES
from ssl_lib.methods import METHODS, in_order, row_name, row_words
from ssl_lib.methods.constants import Line, constants_of
from ssl_lib.methods.published import DATA_SETS
from ssl_lib.utils.words import of_unit

Result = Mapping[str, Any]
Cell = Callable[[str], str]


def row_table(
    results: Sequence[Result],
    *,
    reference: str = "supervised_strong",
) -> HTML:
    """One line a row: Dice with its interval, the paired difference to `reference`, Jaccard, 95HD,
    ASD, empty predictions and seconds of training; means over seeds and test scans.

    The caption names the reference. Where rows differ in their number of seeds, a column says it.

    Every number is computed from the results given. Raises `InputError` if they do not belong
    together.
    """
    present = in_order(row for result in results for row in result["rows"])
    columns = _columns(results, reference)
    head = "".join(
        f'<th scope="col"{" class=number" * (place > 0)}>{escape(name)}</th>'
        for place, name in enumerate(("Row", *columns))
    )
    body = "".join(
        f'<tr><th scope="row">{escape(row_name(row))}</th>'
        + "".join(f'<td class="number">{escape(cell(row))}</td>' for cell in columns.values())
        + "</tr>"
        for row in present
    )
    seeds = sorted({r["seed"] for r in results})
    which = f"Seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    has = any(bootstrap_interval(scan_scores(results, row)).known for row in present)
    drawn = f"; in brackets 95 % intervals over {drawn_by(results)}"
    brackets = drawn if has else "; one scan has no interval"
    changed = ""
    if any("[" in row for row in present):
        changed = " In brackets behind a row: the parameters in which it differs from it."
    caption = (
        f"<caption>{smoke_note(results)} {which}{brackets}.{changed} "
        f"Difference: Dice minus that of “{escape(row_name(reference))}”, over the seeds that both "
        "have. Seconds: those of the fastest seed.</caption>"
    )
    return HTML(f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


WORDS = {"better": "a gain", "worse": "a loss", "equivalent": "equal", "undecided": "not shown"}
"""How a difference is called; `equal` lies within the margin of notebook 05."""


def gain_table(
    pairs: Mapping[str, tuple[str, str]], results: Sequence[Result], *, where: str = ""
) -> HTML:
    """One line a question: the paired difference in Dice of two rows, its interval, what it says;
    below the table the same in sentences.

    `pairs` maps the question, in words, to (row, reference). Rows that no result has both of are
    left out. A smoke run has no verdicts. `where` says in the caption where this was measured.
    """
    note, found = smoke_note(results), _compared(results, pairs)
    lines = [
        (
            words,
            interval_text(one.interval, "+"),
            "–" if note else WORDS[one.verdict],
            one.interval.n_seeds,
        )
        for words, one in found.items()
    ]
    caption = f"{note} {where} Paired over test scans; in brackets 95 % intervals."
    table = plain_table(("What", "Dice gained", "in words", "seeds"), lines, caption).data
    if note:
        return HTML(table)
    read = escape(in_sentences(found))
    return HTML(f"{table}<p><strong>Read from the table.</strong> {read}</p>")


READ_AS = {
    "better": "Gained",
    "worse": "Lost",
    "equivalent": "Equal for practical purposes",
    "undecided": "Not shown either way",
}
"""How each verdict of `practical_verdict` begins its sentence."""


def in_sentences(found: Mapping[str, Comparison]) -> str:
    """The verdicts in sentences, one for each kind, with the means of what gained or lost."""
    sentences = []
    for verdict, begins in READ_AS.items():
        of_kind = [(words, one) for words, one in found.items() if one.verdict == verdict]
        means = verdict in ("better", "worse")
        parts = [
            f"{words} ({number(one.interval.mean, 3, '+')})" if means else words
            for words, one in of_kind
        ]
        sentences += [f"{begins}: {'; '.join(parts)}."] if parts else []
    return " ".join(sentences) or "No stored run can answer."


def measured_table(results: Sequence[Result], rows: Sequence[str]) -> HTML:
    """One line a setting in which two or more of the rows are stored: the mean Dice in % of each,
    over the seeds that all of them have. Smoke runs are left out."""
    settings: dict[tuple[str, str, int], list[Result]] = {}
    for run in results:
        if run["profile"] != "smoke":
            key = (run["dataset"], run["profile"], run["n_labelled"])
            settings.setdefault(key, []).append(run)
    lines = []
    for (dataset, profile, count), runs in sorted(settings.items()):
        stored = [row for row in rows if any(row in run["rows"] for run in runs)]
        shared = [run for run in runs if all(row in run["rows"] for row in stored)]
        if len(stored) > 1 and shared:
            dice = {row: nan_mean([100 * run["rows"][row]["dice"] for run in shared])
                    for row in stored}  # fmt: skip
            texts = (f"{dice[row]:.2f}" if row in dice else "–" for row in rows)
            lines.append((f"{dataset}, {profile}, {count} labelled", *texts, len(shared)))
    caption = "Measured here: Dice in %, mean over seeds." if lines else "Nothing is stored yet."
    return plain_table(("Setting", *map(row_name, rows), "seeds"), lines, caption)


def _compared(
    results: Sequence[Result], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, Comparison]:
    """The comparisons that can be made, by their questions."""
    made = {words: compare_rows(results, [pair]) for words, pair in pairs.items()}
    return {words: found[0] for words, found in made.items() if found}


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> HTML:
    """A table of texts; the first column names the lines, columns of numbers stand to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    looks = [
        ' class="number"' * (place > 0 and all(re.match(NUMBER, row[place]) for row in texts))
        for place in range(len(heads))
    ]

    def line(cells: Sequence[str], name: str, scope: str) -> str:
        first, *rest = map(escape, cells)
        more = zip(rest, looks[1:], strict=True)
        others = "".join(f"<{name}{look}>{cell}</{name[:2]}>" for cell, look in more)
        return f'<tr><th scope="{scope}">{first}</th>{others}</tr>'

    head = line(heads, 'th scope="col"', "col")
    body = "".join(line(row, "td", "row") for row in texts)
    words = f"<caption>{escape(' '.join(caption.split()))}</caption>" if caption.strip() else ""
    return HTML(f"<table>{words}<thead>{head}</thead><tbody>{body}</tbody></table>")


NUMBER = r"[-+−–]?\d|[–-]$|undefined"
CONSTANTS = ("Constant", "Paper", "Released code", "Ours at `paper`", "Same, or why not")


def constants_table(*names: str) -> HTML:
    """The constants of methods on LA 2018 and ACDC, folded, line by line, ours looked up where the
    training looks. Raises `InputError` for a method without such a table."""
    return HTML("".join(_constants(name, data) for name in names for data in DATA_SETS))


def _constants(name: str, data: str) -> str:
    lines = constants_of(METHODS[name], data)
    same = sum(line.verdict == "same" for line in lines)
    counts = f"{len(lines)} constants, {same} the same, {len(lines) - same} with a reason"
    title = f"{escape(row_name(name))} on {escape(data)}: {counts}"
    head = "".join(f'<th scope="col">{escape(title.replace("`", ""))}</th>' for title in CONSTANTS)
    body = "".join(map(_constant, lines))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<details><summary>{title}</summary>{table}</details>"


def _constant(line: Line) -> str:
    cells = (line.paper, line.released, line.ours, line.verdict)
    rest = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(line.what)}</th>{rest}</tr>'


def _columns(results: Sequence[Result], reference: str) -> dict[str, Cell]:
    """What each column shows of a row."""
    units = next(iter(results[0]["rows"].values()))["units"]

    def score(name: str) -> Cell:
        return lambda row: number(nan_mean(scan_scores(results, row, name).values.ravel()), 2)

    def dice(row: str) -> str:
        return interval_text(bootstrap_interval(scan_scores(results, row)))

    def difference(row: str) -> str:
        if row == reference or not any(
            row in r["rows"] and reference in r["rows"] for r in results
        ):
            return "–"
        found = paired_difference(results, row, reference)
        return interval_text(bootstrap_interval(found), sign="+")

    def of_rows(key: str, combine: Callable) -> Callable[[str], float]:
        return lambda row: combine(
            [r["rows"][row].get(key, np.nan) for r in results if row in r["rows"]]
        )

    counts = {row: sum(row in r["rows"] for r in results) for r in results for row in r["rows"]}
    uneven = len(set(counts.values())) > 1
    empty = of_rows("empty_predictions", sum)
    return {
        **({"seeds": lambda row: str(counts[row])} if uneven else {}),
        "Dice": dice,
        "difference": difference,
        "Jaccard": score("jaccard"),
        f"{SCORE_NAMES['hd95']} ({of_unit(units.get('hd95', '?'))})": score("hd95"),
        f"{SCORE_NAMES['asd']} ({of_unit(units.get('asd', '?'))})": score("asd"),
        "empty": lambda row: str(empty(row)),
        "seconds": lambda row: number(seconds_of(results, row), 0),
    }


def reading_table(results: Sequence[Result], rows: Sequence[str], baselines: Sequence[str]) -> HTML:
    """One line a row: Dice of the last weights, what each other reading adds, and the difference to
    each baseline.

    A reading is another choice from the same training (see `ssl_lib.evaluation.decisions`). The
    oracle chooses on the test scans, and nothing uses it. Rows that were read in one way only, and
    readings that no row has, are not shown.
    """
    shown = [row for row in rows if len(readings(results, row)) > 1]
    others = [reading for reading in READINGS if READINGS[reading]]
    minus = [f"minus {row_words(baseline)}" for baseline in baselines]
    heads = ["Row", "Dice", *others, ORACLE, *minus]
    lines = []
    for row in shown:
        means = readings(results, row)
        cells = [number(means["last weights"])]
        gains = [means.get(name, np.nan) - means["last weights"] for name in (*others, ORACLE)]
        cells += ["–" if np.isnan(gain) else number(gain, 3, "+") for gain in gains]
        cells += [_over(results, row, baseline) for baseline in baselines]
        lines.append([row_name(row), *cells])
    caption = (
        "Dice of the last weights, and what each other reading of the same trainings adds to it;"
        " differences of the last weights, in brackets 95 % intervals over"
        f" {drawn_by(results)}."
    )
    known = [place for place in range(len(heads)) if any(line[place] != "–" for line in lines)]
    if heads.index(ORACLE) in known:
        caption += " The oracle chooses on the test scans."
    parts = [[line[place] for place in known] for line in lines]
    return plain_table([heads[place] for place in known], parts, caption)


def _over(results: Sequence[Result], row: str, reference: str) -> str:
    """The paired difference of two rows with its interval; a dash where they do not meet."""
    met = [r for r in results if row in r["rows"] and reference in r["rows"]]
    if row == reference or not met:
        return "–"
    return interval_text(bootstrap_interval(paired_difference(met, row, reference)), sign="+")


def number(value: float, digits: int = 3, sign: str = "") -> str:
    """A number for a table, with a true minus; an undefined one is said to be so, and zero has no
    sign."""
    text = f"{value:{sign}.{digits}f}"
    if np.isnan(value):
        return "undefined"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def interval_text(interval: Interval, sign: str = "", digits: int = 3) -> str:
    """The mean and, in brackets, its interval, which no line break parts; the mean alone where
    there is no interval."""
    mean, low, high = (
        number(end, digits, sign) for end in (interval.mean, interval.low, interval.high)
    )
    return f"{mean} [{low},\u00a0{high}]" if interval.known else mean
