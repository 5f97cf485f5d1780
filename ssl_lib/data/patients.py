"""Which scans are of one patient, by their names alone: a guess, which patients.csv overrides.

A guess keeps scans together that would else lie on both sides of a split. It never refuses a
folder: where it cannot be kept, the split says so and goes on without it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

SUBJECT = re.compile(r"(?:^|[_.-])sub-([A-Za-z0-9]+)(?=$|[_.-])")
"""The entity of BIDS: one subject, whatever its sessions and runs."""
PART = re.compile(r"[_.\- ]+")
REPEATED = re.compile(
    r"(ses|sess|session|run|visit|vis|v|t|tp|time|timepoint|scan|exam|rep|repeat|frame|phase|series"
    r"|acq|day|week|month|year|y|m|fu|followup)\d{1,4}[a-z]?"
    r"|baseline|bl|followup|fu|pre|post|preop|postop|before|after|ed|es"
    r"|[lr]|left|right|lt|rt|lh|rh|sin|dex|od|os|[a-d]",
    re.IGNORECASE,
)
"""Last parts of a name that number a patient's scans, times, sides or eyes."""
NO_PATIENT = re.compile(
    r"(site|center|centre|scanner|hospital|clinic|vendor|study|cohort|batch|group|set|fold|dataset"
    r"|task|year|trial)[_.\- ]?\d{0,4}|(19|20)\d\d",
    re.IGNORECASE,
)
"""Beginnings that many patients share: places, data sets, years."""


def guess_patients(scans: Sequence[str], stated: Mapping[str, str] | None = None) -> dict[str, str]:
    """The guessed patient of scans that share one with another scan, or with a stated one.

    `stated` are patients by scan that a table names: these scans are not guessed, and what belongs
    to one of them by name gets its patient. In this order: the subject of BIDS (`sub-01`); names
    that agree up to sessions, runs, times or sides; names that agree up to the last part, if that
    beginning holds a number and no more than four scans or a quarter of the folder share it.
    """
    stated = stated or {}
    keys = {scan: _subject(scan) or _without_repeats(scan) for scan in scans}
    shared = Counter(keys.values())
    rest = [scan for scan in scans if shared[keys[scan]] == 1 and not _subject(scan)]
    beginnings = {scan: scan[: max(scan.rfind("_"), scan.rfind("-"), 0)] for scan in rest}
    counts = Counter(beginnings.values())
    largest = max((n for part, n in counts.items() if _is_a_patient(part)), default=0)
    if largest <= max(4, len(scans) / 4):
        keys |= {s: b for s, b in beginnings.items() if counts[b] > 1 and _is_a_patient(b)}
    shared = Counter(keys.values())
    if len(shared) < 2:  # one patient of all scans: no split could keep it together
        return {}
    known = {keys[scan]: patient for scan, patient in stated.items() if scan in keys}
    return {
        scan: known.get(key, key)
        for scan, key in keys.items()
        if scan not in stated and (shared[key] > 1 or key in known)
    }


def _subject(scan: str) -> str:
    match = SUBJECT.search(scan)
    return f"sub-{match[1]}" if match else ""


def _without_repeats(scan: str) -> str:
    """The name without last parts that number scans of one patient, if a number remains in it."""
    parts = PART.split(scan)
    rest = list(parts)
    while len(rest) > 1 and REPEATED.fullmatch(rest[-1]):
        rest.pop()
    beginning = "_".join(rest)
    return beginning if len(rest) < len(parts) and _has_number(beginning) else scan


def _is_a_patient(beginning: str) -> bool:
    """Whether a shared beginning may name a patient: it holds a number, and names no place."""
    return _has_number(beginning) and not NO_PATIENT.fullmatch(beginning)


def _has_number(text: str) -> bool:
    return any(character.isdigit() for character in text)
