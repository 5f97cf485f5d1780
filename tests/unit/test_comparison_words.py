"""What notebook 05 says of its rows holds for the rows that are there."""

from __future__ import annotations

import re

import numpy as np

from ssl_lib.evaluation.decisions import compare_rows, median_training
from ssl_lib.figures import gained_words
from ssl_lib.notebook.comparison_words import (
    cost_table,
    one_scan_sentence,
    patients_sentence,
    readings_sentence,
    seconds_sentence,
    watched_sentence,
)

STRONG = "supervised_strong"


def run(
    scores: dict[str, list[float]], dataset: str = "acdc", seed: int = 0, **seconds: float
) -> dict:
    """A run of rows with these Dice, one for each scan: two scans a patient."""
    rows = {
        row: {
            "per_case": [
                {"id": f"patient{i // 2:03}_frame{1 + i % 2:02}", "class": 1, "dice": value}
                for i, value in enumerate(values)
            ],
            "seconds": seconds.get(row, 10.0),
            "iterations": 1000,
            "units": {"dice": "fraction", "hd95": "voxel"},
        }
        for row, values in scores.items()
    }
    shared = {"cohort_hash": "h", "profile": "evening", "n_labelled": 3, "seed": seed}
    return {**shared, "dataset": dataset, "rows": rows}


def text(html: object) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html.data).split())


def test_a_gain_that_one_scan_carries_is_named() -> None:
    base = [0.5] * 10
    runs = [run({STRONG: base, "bcp": [*base[:9], 0.9], "aau": [0.6] * 10})]
    made = compare_rows(runs, [("bcp", STRONG), ("aau", STRONG)])
    said = text(one_scan_sentence(runs, made))
    assert "one of 10 test scans" in said and "(BCP) 0.000 instead of +0.040" in said
    assert "AAU" not in said
    assert "No mean gain falls" in text(one_scan_sentence(runs, made[1:]))
    worse = compare_rows(runs, [(STRONG, "aau")])
    assert "No row has a mean gain" in text(one_scan_sentence(runs, worse))


def test_it_says_what_intervals_draw_and_how_narrow_they_were_by_scan() -> None:
    gains = np.repeat([0.0, 0.1, 0.02, 0.2, 0.05, 0.0], 2)
    runs = [run({STRONG: [0.5] * 12, "bcp": (0.5 + gains).tolist()})]
    (patients,) = compare_rows(runs, [("bcp", STRONG)])
    said = text(patients_sentence(runs, [patients]))
    assert "these 12 scans come from 6 patients" in said
    shown, by_scan = re.findall(r"\[\+([\d.]+),\s\+([\d.]+)\]", said)
    assert float(by_scan[0]) > float(shown[0]) and float(by_scan[1]) < float(shown[1])
    for dataset, words in (("phantom", "subject of its own"), ("la2018", "is not known")):
        other = [runs[0] | {"dataset": dataset}]
        assert words in text(patients_sentence(other, compare_rows(other, [("bcp", STRONG)])))


def test_seconds_are_compared_between_trainings_of_the_same_work() -> None:
    later = "bcp[schedule.teacher_decay=0.97]"
    seconds = {"bcp": 10.0, later: 21.0, "bcp[alpha=0.3]": 90.0, STRONG: 5.0}
    runs = [run({row: [0.5, 0.6] for row in seconds}, **seconds)]
    said = text(seconds_sentence(runs))
    assert "up to 2.1 times" in said and "10 and 21 s" in said and "alpha" not in said
    table = text(cost_table(runs, ["bcp", STRONG]))
    assert "those of the strong baseline" in table and "(BCP) 2.0 1" in table
    assert "nothing to compare" in text(seconds_sentence([run({"bcp": [0.5, 0.6]})]))


def watched(row: str, best: float, updates: int = 1600) -> dict:
    looks = {"iterations": [800, updates], "validation": [0.5, 0.6], "test": [best, 0.6]}
    return {"row": row, "seed": 0, **looks}


def test_watched_trainings_say_their_length_and_which_one_is_shown() -> None:
    trainings = [watched("bcp", 0.9), watched("aau", 0.7), watched(STRONG, 0.6)]
    assert median_training(trainings)["row"] == "aau"
    runs = [run({STRONG: [0.5, 0.6]})]
    said = text(watched_sentence(trainings, runs, apart=True))
    assert "3 trainings of 1600 updates" in said and "rows of this page have 1000" in said
    assert "(AAU), seed 0" in said
    assert "1000" not in text(watched_sentence(trainings, runs, apart=False))


def test_only_readings_that_are_there_are_explained() -> None:
    one = run({STRONG: [0.5, 0.6], "bcp": [0.5, 0.6]})
    one["rows"]["bcp"]["largest_component"] = {"per_case": one["rows"]["bcp"]["per_case"]}
    said = text(readings_sentence([one], [STRONG, "bcp"]))
    assert "blue square" in said and "circle" not in said and "cross" not in said.lower()
    assert "weak baseline is not stored" in said and "not shown: Strong baseline" in said
    assert "no row gains more than 0.01" in said
    better = [{**entry, "dice": entry["dice"] + 0.02} for entry in one["rows"]["bcp"]["per_case"]]
    one["rows"]["bcp"]["largest_component"] = {"per_case": better}
    said = text(readings_sentence([one], [STRONG, "bcp"]))
    assert "wrong elsewhere" in said and "Bidirectional copy-paste (BCP)." in said


def test_a_distance_is_reduced_and_has_its_unit() -> None:
    runs = [run({STRONG: [0.5, 0.6]})]
    assert gained_words(runs, "hd95") == "95HD reduced by (voxels)"
    assert gained_words(runs, "dice") == "difference in Dice"
