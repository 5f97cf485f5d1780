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
DATE = re.compile(r"[_.\- ](19|20)\d\d[_.\-]?(0\d|1[0-2])[_.\-]?[0-3]\d$")
"""A last part such as 2019-03-04 or 20190304."""
NUMBERED = re.compile(
    r"(ses|sess|session|run|visit|vis|v|t|tp|time|timepoint|scan|exam|rep|repeat|frame|phase|series"
    r"|acq|day|week|month|year|y|m|fu|followup)\d{1,4}[a-z]?|[lr]|[a-d]",
    re.IGNORECASE,
)
"""Last parts of a name that number a patient's scans; a number must remain before them."""
SAID = re.compile(
    r"baseline|followup|pre|post|preop|postop|before|after|ed|es|left|right|lt|rt|lh|rh|sin|dex"
    r"|od|os",
    re.IGNORECASE,
)
"""First or last parts that say which scan, side or eye of a patient it is."""
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
    that agree up to dates, sessions, runs, times or sides; names that agree up to the last part, if
    that beginning holds a number and patients usually have no more than four scans or a quarter of
    the folder (else it is a year, or a study's name).
    """
    stated = stated or {}
    keys = {scan: _subject(scan) or _without_repeats(scan) for scan in scans}
    shared = Counter(keys.values())
    rest = [scan for scan in scans if shared[keys[scan]] == 1 and not _subject(scan)]
    beginnings = {scan: "_".join(PART.split(scan)[:-1]) for scan in rest}
    counts = Counter(part for part in beginnings.values() if _is_a_patient(part))
    several = sorted(count for count in counts.values() if count > 1)
    if several and several[len(several) // 2] <= max(4, len(scans) / 4):
        keys |= {s: b for s, b in beginnings.items() if counts[b] > 1}
    shared = Counter(keys.values())
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
    """The name without a date, and without first or last parts that number scans of one patient."""
    parts = PART.split(DATE.sub("", scan))
    rest = list(parts)
    while len(rest) > 1 and (
        SAID.fullmatch(rest[-1]) or (NUMBERED.fullmatch(rest[-1]) and _has_number(rest[:-1]))
    ):
        rest.pop()
    if len(rest) > 1 and SAID.fullmatch(rest[0]):
        rest = rest[1:]
    beginning = "_".join(rest)
    changed = len(rest) < len(parts) or DATE.search(scan)
    return beginning if changed and len(beginning) > 1 and not _is_a_word(beginning) else scan


def _is_a_word(beginning: str) -> bool:
    """Whether what is left names an organ or a kind of file, not a patient."""
    return beginning.lower() in ("scan", "image", "img", "case", "heart", "brain", "knee", "eye")


def _is_a_patient(beginning: str) -> bool:
    """Whether a shared beginning may name a patient: it holds a number, and names no place."""
    return _has_number(beginning) and not NO_PATIENT.fullmatch(beginning)


def _has_number(text: str | list[str]) -> bool:
    return any(character.isdigit() for part in text for character in part)
