"""Which scan is labelled, unlabelled, validation or test: decided by names alone, never by voxels.

Scans of one patient (or of one head cut in two) form a group. Groups are drawn by the hash of their
name, so that a split depends neither on the order of a folder nor on a random generator's version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ssl_lib.utils.errors import InputError

GroupOf = Callable[[str], str]


@dataclass(frozen=True)
class Split:
    """Names of scans. Labelled and unlabelled ones together are the training scans."""

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every scan of the split."""
        return self.labelled + self.unlabelled + self.validation + self.test


def split_training(
    training: Sequence[str],
    validation: Sequence[str],
    test: Sequence[str],
    n_labelled: int,
) -> Split:
    """The first `n_labelled` training scans that are not for validation are labelled.

    Raises `InputError` if there are fewer, or if none was asked for.
    """
    pool = tuple(scan for scan in training if scan not in set(validation))
    refuse_label_count(n_labelled, len(pool))
    return Split(pool[:n_labelled], pool[n_labelled:], tuple(validation), tuple(test))


def refuse_label_count(n_labelled: int, available: int) -> None:
    """Raise `InputError` unless 1 <= n_labelled <= available."""
    if not 1 <= n_labelled <= available:
        raise InputError(
            f"{n_labelled} labelled scans were asked for, {available} can be had for training",
            expected=f"1 to {available}" if available else "at least one labelled training scan",
            fix="set N_LABELLED to a number in that range" if available else "",
        )


def hold_out(
    scans: Sequence[str],
    count: int,
    group_of: GroupOf,
    *,
    never: Sequence[str] = (),
    seed: int = 0,
) -> tuple[str, ...]:
    """About `count` of `scans`, at most that many if groups allow, in the order of `scans`.

    Whole groups are taken, ordered by sha256 of seed and group name, while they fit. Groups of the
    scans in `never` are not touched. One group is always taken if there is one to take.
    """
    kept = {group_of(scan) for scan in never}
    members: dict[str, list[str]] = {}
    for scan in scans:
        members.setdefault(group_of(scan), []).append(scan)
    order = sorted(members.keys() - kept, key=lambda group: _rank(group, seed))
    chosen: set[str] = set()
    for group in order:
        if not chosen or len(chosen) + len(members[group]) <= count:
            chosen.update(members[group])
    return tuple(scan for scan in scans if scan in chosen) if count else ()


def _rank(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()


def cap(split: Split, max_scans: int | None) -> Split:
    """The first scans of each group of a split, about `max_scans` in all, for quick checks.

    Half are training scans, a quarter each validation and test. Labelled scans all stay, and with
    them at least one unlabelled scan, even where that exceeds the half.
    """
    if max_scans is None:
        return split
    if max_scans < 4:
        raise InputError(f"max_scans={max_scans} was asked for", expected="4 or more, or None")
    quarter = max_scans // 4
    unlabelled = max(1, max_scans // 2 - len(split.labelled))
    return Split(
        split.labelled,
        split.unlabelled[:unlabelled],
        split.validation[:quarter],
        split.test[:quarter],
    )
