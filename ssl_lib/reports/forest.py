"""What the front page says in one look: three numbers, and each row's gain with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_lib.evaluation.statistics import bootstrap_interval, scan_scores
from ssl_lib.methods import in_order, is_exhibit, row_name
from ssl_lib.reports.findings import CEILING, STRONG, TWO_CORES, differences
from ssl_lib.utils.words import counted, signed

BEST = "mean_teacher"


@dataclass(frozen=True)
class Bar:
    """One row of the forest plot; positions are per cent of the plot's width. `seeds` says how many
    seeds it has, where others have more."""

    name: str
    text: str
    verdict: str
    seeds: str
    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Overview:
    """The leading cohort in short: how many patients have labels, (words, mean Dice, interval,
    seeds) of three rows, and all methods' differences to the strong baseline; `zero` is where
    no difference lies, `ends` are the differences at both ends of the plot."""

    labelled: int
    numbers: list[tuple[str, str, str, int]]
    bars: list[Bar]
    zero: float
    ends: tuple[str, str]


def overview(results: Sequence[Mapping[str, Any]]) -> Overview | None:
    """The overview of ACDC on two cores (`TWO_CORES`); None without its three rows."""
    own = [r for r in results if all(r[key] == value for key, value in TWO_CORES.items())]
    named = {
        STRONG: "labels only",
        BEST: "and unlabelled scans (mean teacher)",
        CEILING: "all labels",
    }
    if not all(any(row in result["rows"] for result in own) for row in named):
        return None
    numbers = [(words, *_number(own, row)) for row, words in named.items()]
    found = differences(own)
    span = [value for one in found.values() for value in (one.interval.low, one.interval.high)]
    low, high = min(0.0, *span), max(span)
    most = max(one.interval.n_seeds for one in found.values())

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    bars = [
        Bar(
            row_name(row),
            signed(one.interval.mean),
            one.verdict,
            counted(one.interval.n_seeds, "seed") if one.interval.n_seeds < most else "",
            *(place(value) for value in (one.interval.mean, one.interval.low, one.interval.high)),
        )
        for row, one in ((row, found[row]) for row in in_order(found) if not is_exhibit(row))
    ]
    left, right = (signed(value, 2) for value in (low, high))
    return Overview(TWO_CORES["n_labelled"], numbers, bars, place(0.0), (left, right))


def _number(results: Sequence[Mapping[str, Any]], row: str) -> tuple[str, str, int]:
    """Mean Dice over scans and seeds, its interval over patients, and the number of seeds."""
    interval = bootstrap_interval(scan_scores(results, row))
    between = f"[{interval.low:.2f}, {interval.high:.2f}]"
    return f"{interval.mean:.2f}", between, interval.n_seeds
