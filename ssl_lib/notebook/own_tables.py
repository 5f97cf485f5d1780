"""Tables of notebook 06: what post-processing is worth, which scans to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from IPython.display import HTML

from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.post_processing import FEWEST_SCANS, PostProcessing
from ssl_lib.evaluation.watching import Watched
from ssl_lib.methods import row_name
from ssl_lib.notebook.tables import number, plain_table
from ssl_lib.utils.words import counted


def post_processing_table(chosen: Mapping[str, PostProcessing], class_names: Sequence[str]) -> HTML:
    """One line a row and class: mean validation Dice as predicted, with the largest component
    alone, and the choice. `class_names` begin with the background."""
    lines = [
        (
            f"{row_name(row)}: {name}",
            number(one.without[index - 1]),
            number(one.kept[index - 1]),
            "largest component" if index in one.classes else "as predicted",
        )
        for row, one in chosen.items()
        for index, name in enumerate(class_names)
        if index > 0
    ]
    count = min((one.n_scans for one in chosen.values()), default=0)
    caption = f"Mean Dice on {counted(count, 'validation scan')}."
    if count < FEWEST_SCANS:
        caption += f" Fewer than {FEWEST_SCANS}: nothing is chosen."
    return plain_table(("Row and class", "as predicted", "largest", "choice"), lines, caption)


SUSPICIOUS = 5
"""Scans that are shown: those to be looked at first."""


def suspicious_table(watched: Sequence[Watched], class_names: Sequence[str]) -> HTML:
    """The first scans of `watch_scans`, one line each; an agreement only where there is something
    to compare. `class_names` begin with the background."""
    names = " / ".join(class_names[1:])
    teacher = any(not np.isnan(one.teacher) for one in watched)
    seeds = any(not np.isnan(one.seeds) for one in watched)
    heads = (
        "Scan",
        f"% of voxels: {names}",
        "components",
        *(["teacher and student"] if teacher else []),
        "between rows",
        *(["between seeds"] if seeds else []),
        "mean place",
    )
    lines = [
        (
            one.case_id,
            " / ".join(f"{100 * share:.2f}" for share in one.shares),
            " / ".join(map(str, one.components)),
            *([_agreed(one.teacher)] if teacher else []),
            _agreed(one.rows),
            *([_agreed(one.seeds)] if seeds else []),
            f"{one.place:.1f}",
        )
        for one in watched[:SUSPICIOUS]
    ]
    count = counted(len(watched), "unlabelled scan")
    caption = f"{len(lines)} of {count}, the most suspicious first."
    return plain_table(heads, lines, caption)


def _agreed(dice: float) -> str:
    """An agreement; a dash where there is nothing to compare."""
    return "–" if np.isnan(dice) else number(dice)


def doors_table(trial: Mapping[str, Any]) -> HTML:
    """What was stored by trials/06_acdc_as_a_folder.py: one line a door, mean test Dice, and the
    difference to the built-in door with its interval."""
    dice: dict[str, list[float]] = {}
    for run in trial["runs"]:
        dice.setdefault(run["door"], []).append(nan_mean(list(run["dice"].values())))
    lines = []
    for door, values in dice.items():
        one = trial["minus_built_in"].get(door)
        less = f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]" if one else "–"
        lines.append((door, number(nan_mean(values)), less))
    settings = trial["settings"]
    seeds = ", ".join(map(str, settings["seeds"]))
    caption = (
        f"Does a folder train like a built-in set? ACDC, {settings['patients']} labelled patients,"
        f" strong baseline, profile {settings['profile']}, seed {seeds}; in brackets the 95 %"
        " interval over test scans. As notebook 06: slices resampled so that the longer side of"
        " the median one is 128 pixels. The patches are cut at the resolution of the scans and"
        " show less of the body."
    )
    return plain_table(("How the scans came in", "test Dice", "minus built in"), lines, caption)


def fits_table(trial: Mapping[str, Any]) -> HTML:
    """What was stored by trials/06_mirrored_label_maps.py: one line a set, right label maps that
    were doubted, and wrong ones that were found."""
    lines = []
    for name, one in trial["sets"].items():
        found, tried = (sum(pair[place] for pair in one["found"].values()) for place in (0, 1))
        lines.append((name, f"{one['doubted']} of {one['label_maps']}", f"{found} of {tried}"))
    caption = (
        "Is a flipped or turned label map found? Every label map of public sets as it is (right)"
        " and flipped or turned (wrong); the check's threshold was set on them so that no right one"
        " is doubted."
    )
    return plain_table(("Set", "right ones doubted", "wrong ones found"), lines, caption)


def next_scan_table(trial: Mapping[str, Any]) -> HTML:
    """What was stored by trials/06_which_scan_next.py: one line a rule, the mean test Dice of each
    seed, and the gain over the random choices with its interval; below it in sentences."""
    seeds, gains = trial["settings"]["seeds"], trial["gain_over_random"]
    rules = list(dict.fromkeys(run["rule"] for run in trial["runs"]))
    lines = []
    for rule in rules:
        runs = {run["seed"]: run["dice"] for run in trial["runs"] if run["rule"] == rule}
        dice = [number(nan_mean(list(runs[seed].values()))) for seed in seeds]
        one = gains.get(rule)
        gain = f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]" if one else "–"
        lines.append((rule, *dice, gain))
    added, labelled = trial["settings"]["added"], trial["settings"]["labelled"]
    caption = (
        f"Test Dice of the strong baseline on the phantom, {labelled} labelled scans and {added}"
        " added by each rule; in brackets the 95 % interval over test scans."
    )
    heads = ("Rule", *(f"seed {s}" for s in seeds), "over random")
    table = plain_table(heads, lines, caption).data
    return HTML(f"{table}<p><strong>Read from the table.</strong> {escape(_next_words(trial))}</p>")


def _next_words(trial: Mapping[str, Any]) -> str:
    """What the stored choices say: the rules against random choices, on average and seed by seed,
    and how many different scans the rules took."""
    dice = {
        (run["rule"], run["seed"]): nan_mean(list(run["dice"].values())) for run in trial["runs"]
    }
    gains, seeds = trial["gain_over_random"], trial["settings"]["seeds"]
    sentences = []
    for rule, gain in gains.items():
        draws = [(seed, draw) for draw, seed in dice if draw.startswith("random")]
        ahead = [(seed, draw) for seed, draw in draws if dice[draw, seed] > dice[rule, seed]]
        better = "more" if gain["low"] > 0 else "less" if gain["high"] < 0 else "not surely more"
        such = "for example " * (len(ahead) > 1)
        which = "".join(f" ({such}{draw} of seed {seed})" for seed, draw in ahead[:1])
        sentences.append(
            f"“{rule}”: on average {better} Dice than random choices"
            f" ({number(gain['mean'], 3, '+')}); {len(ahead)} of {len(draws)} random choices"
            f" did better{which}."
        )
    taken = [name for run in trial["runs"] if run["rule"] in gains for name in run["added"]]
    return " ".join(
        [
            *sentences,
            f"In {counted(len(seeds), 'seed')} the rules took {len(taken)} scans, of which"
            f" {len(set(taken))} are different: these are few independent choices.",
        ]
    )
