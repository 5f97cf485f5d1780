"""The run card of a page: what ran on what, for how long, on which data and code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_lib.data.published import PUBLISHED, counted_by

Result = Mapping[str, Any]


def run_facts(notes: Mapping[str, Any], results: Sequence[Result]) -> list[tuple[str, str]]:
    """The run card: what ran on what, for how long, on which data and code."""
    result = _result_of(notes, results)
    facts = [
        ("Data", f"{notes.get('dataset', '?')}, {_labelled(notes)}"),
        *_terms(notes),
        ("Profile", str(notes.get("profile", "?"))),
        *(_seed_facts(notes, results) if _has_seed(notes) else []),
        ("Notebook took", duration(float(notes.get("seconds", 0)))),
        ("Executed", str(notes.get("when", "?"))[:16].replace("T", " ")),
    ]
    if result:
        facts += [
            ("Device", str(result["device"])),
            ("Peak memory", f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB"),
            ("Commit", str(result["commit"])),
            ("Data hash", str(result["cohort_hash"])),
        ]
    return facts


def _terms(notes: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Source and terms of a public set, whose scans a page shows."""
    entry = PUBLISHED.get(str(notes.get("dataset")))
    return [("Scans on this page", f"{entry.citation}; {entry.licence}")] if entry else []


def _labelled(notes: Mapping[str, Any]) -> str:
    """How many are labelled, in the unit of the data set's split."""
    number, unit = notes.get("n_labelled", "?"), counted_by(str(notes.get("dataset")))
    if folds := notes.get("folds", 0):
        return f"each labelled {unit} tested once, in {folds} folds"
    draw = notes.get("labelled_draw", 0)
    return f"{number} labelled {unit}{'s' * (number != 1)}" + (f", draw {draw}" if draw else "")


def run_details(
    notes: Mapping[str, Any], results: Sequence[Result]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """The folded part of the run card: every parameter, the labelled scans and the versions."""
    result = _result_of(notes, results)
    parameters = {**dict(notes.get("parameters", {})), **(result or {}).get("parameters", {})}
    details = [("Parameters", [(name, str(value)) for name, value in parameters.items()])]
    if result:
        versions = [(name, str(value)) for name, value in result["versions"].items()]
        details += [
            ("Labelled scans", [("case ids", ", ".join(map(str, result["labelled_ids"])))]),
            ("Versions", versions),
        ]
    return details


def duration(seconds: float) -> str:
    """A time for people: "8 s", "2 min 05 s", "1 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _has_seed(notes: Mapping[str, Any]) -> bool:
    """False for a notebook that only reads results: it trains nothing."""
    parameters = notes.get("parameters") or {"SEED": None}
    return "SEED" in parameters


def _seed_facts(notes: Mapping[str, Any], results: Sequence[Result]) -> list[tuple[str, str]]:
    """Which seed the page trained or loaded, which seeds the notebook was run with, and that tables
    take more: "0 (runs of this notebook: 0, 1, 2); tables take all stored seeds of a row"."""
    seeds = sorted({int(result["seed"]) for result in results})
    of = f" (runs of this notebook: {', '.join(map(str, seeds))})" if seeds else ""
    seed = notes.get("seed", "?")
    return [("Seed shown", f"{seed}{of}; tables take all stored seeds of a row")]


def _result_of(notes: Mapping[str, Any], results: Sequence[Result]) -> Result | None:
    return next((result for result in results if result["seed"] == notes.get("seed")), None)
