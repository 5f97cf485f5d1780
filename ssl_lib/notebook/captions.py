"""What a figure says in one sentence, read from the results or the trainings that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ssl_lib.evaluation.decisions import compare_rows
from ssl_lib.evaluation.results import smoke_note
from ssl_lib.evaluation.watching import class_shares
from ssl_lib.figures.training import validation_ends
from ssl_lib.methods import row_name
from ssl_lib.notebook.tables import in_sentences, number


def gains_caption(
    what: str,
    pairs: Mapping[str, tuple[str, str]],
    results: Sequence[Mapping[str, Any]],
    *,
    against: str = "",
) -> str:
    """`what` a figure shows, then which rows gained and lost.

    `pairs` maps a row, in words, to (row, reference). Those that no result has both of are left
    out; without any, and for smoke runs, `what` stands alone. `against` says what each is compared
    with, where `pairs` does not.
    """
    made = {words: compare_rows(results, [pair]) for words, pair in pairs.items() if results}
    found = {words: one[0] for words, one in made.items() if one}
    if not found or smoke_note(results):
        return what
    compared = f"Compared with {against}. " if against else ""
    return f"{what} {compared}{in_sentences(found)}"


def curves_caption(trainings: Mapping[str, Any]) -> str:
    """What training curves show, and where the validation Dice of each row ends."""
    ends = {row: dice for row, dice in validation_ends(trainings).items() if not np.isnan(dice)}
    what = "Losses and validation Dice over training; later rows have thinner lines, so that rows"
    what += " which coincide, as in a warm-up that they share, are seen on each other."
    parts = ", ".join(f"{row_name(row)} {number(dice)}" for row, dice in ends.items())
    return f"{what} Validation Dice at the end: {parts}." if parts else what


def signs_caption(trainings: Mapping[str, Any], n_classes: int) -> str:
    """What the signs of one scan's pseudo-label show, and how far the rows are apart at the end."""
    what = "Foreground and components of one unlabelled scan's pseudo-label over the iterations."
    last = [one.snapshots[-1]["label"] for one in trainings.values() if one.snapshots]
    shares = [100 * sum(class_shares(np.asarray(label), n_classes)) for label in last]
    if not shares:
        return what
    low, high = (number(end, 1) for end in (min(shares), max(shares)))
    return f"{what} At the end the rows call between {low} and {high} % of the voxels foreground."
