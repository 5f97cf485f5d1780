"""Results and checkpoints that cannot be right."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from breaking import Broken, a_folder, group, missing

from ssl_lib.evaluation.results import read_result
from ssl_lib.training import checkpoint

# --- results

ENTRY = {"id": "t0", "class": 1, "dice": 0.5, "jaccard": 0.4, "hd95": 2.0, "asd": 1.0}
MEANS = {key: ENTRY[key] for key in ("dice", "jaccard", "hd95", "asd")}
UNITS = {"dice": "fraction", "jaccard": "fraction", "hd95": "mm", "asd": "mm"}
ROW = {**MEANS, "units": UNITS, "empty_predictions": 0, "per_case": [ENTRY], "seconds": 3.0}
RESULT = {
    "notebook": "00_toy",
    "dataset": "toy",
    "cohort_hash": "0123456789abcdef",
    "n_labelled": 2,
    "labelled_ids": ["l0", "l1"],
    "seed": 0,
    "profile": "smoke",
    "parameters": {"alpha": 0.5},
    "rows": {"supervised_few": ROW},
    "seconds": 1.5,
    "peak_memory_bytes": 1000,
    "device": "CPU",
    "versions": {"torch": "2"},
    "commit": "unknown",
}


def result(old: str = "", new: str = "", *, change: Callable[[bytes], bytes] = bytes):
    """Makes `run.json` from a sound result, some text exchanged and its bytes changed."""

    def make(folder: Path) -> Path:
        text = json.dumps(RESULT)
        assert old in text
        path = folder / "run.json"
        path.write_bytes(change(text.replace(old, new, 1).encode() if old else text.encode()))
        return path

    return make


RESULTS: tuple[Broken, ...] = (
    *group(
        "result",
        read_result,
        ("empty", result(change=lambda c: b""), "cannot be read"),
        ("cut off", result(change=lambda c: c[:-9]), "cannot be read"),
        ("a list", result(change=lambda c: b"[1, 2]"), "is list"),
        ("text", result(change=lambda c: b'"a"'), "is str"),
        (
            "another encoding",
            result(change=lambda c: c.decode().encode("utf-16")),
            "cannot be read",
        ),
        ("latin letters", result(change=lambda c: c.replace(b"CPU", b"\xb5")), "cannot be read"),
        ("half of a character", result('"CPU"', '"\\ud800"'), "surrogates"),
        ("nested too deep", result(change=lambda c: b"[" * 200_000), "nested too deep"),
        ("NaN", result("1.5", "NaN"), "NaN, which is no number"),
        ("infinity", result("2.0", "-Infinity"), "Infinity"),
        ("beyond float", result("1.5", "1e999"), "1e999"),
        ("a number of 5000 digits", result("1.5", "1" * 5000), "cannot be read"),
        ("a missing key", result('"seed"', '"sed"'), "lacks seed"),
        ("a seed of text", result('"seed": 0', '"seed": "0"'), "seed"),
        ("a seed that is true", result('"seed": 0', '"seed": true'), "seed"),
        (
            "rows in a list",
            result(
                '{"supervised_few"',
                '[{"a"',
                change=lambda c: c.replace(b'}, "seconds"', b'}], "seconds"'),
            ),
            "rows",
        ),
        ("a row of null", result(json.dumps(ROW), "null"), "row 'supervised_few'"),
        ("a score of text", result('"dice": 0.5', '"dice": "good"'), "dice"),
        ("a class of text", result('"class": 1', '"class": "one"'), "class of a per_case"),
        ("a folder", a_folder("run.json"), "directory"),
        ("nothing", missing("run.json"), "No such file"),
    ),
)


# --- checkpoints


class Command:
    """What a malicious pickle would hold: code that runs while it is read."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of a file was run')",)


def saved(path: Path) -> Path:
    checkpoint.save(path, {"iteration": 1, "weights": torch.ones(50)})
    return path


def bytes_of_checkpoint(change: Callable[[bytes], bytes]):
    """Makes `run.pt` from a sound checkpoint, its bytes changed."""

    def make(folder: Path) -> Path:
        path = saved(folder / "run.pt")
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def zip_of_something_else(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "run.pt", "w") as archive:
        archive.writestr("holiday.txt", "no weights")
    return folder / "run.pt"


def stored(value: object):
    """Makes `run.pt` by torch itself from any value."""

    def make(folder: Path) -> Path:
        torch.save(value, folder / "run.pt")
        return folder / "run.pt"

    return make


def both_damaged(folder: Path) -> Path:
    path = saved(saved(folder / "run.pt"))
    for one in (path, checkpoint.previous(path)):
        one.write_bytes(one.read_bytes()[:-100])
    return path


CHECKPOINTS: tuple[Broken, ...] = (
    *group(
        "checkpoint",
        checkpoint.load,
        ("empty", bytes_of_checkpoint(lambda c: b""), "damaged"),
        ("cut off", bytes_of_checkpoint(lambda c: c[:-200]), "damaged", "delete"),
        (
            "a bit flipped",
            bytes_of_checkpoint(
                lambda c: c.replace(struct.pack("<f", 1.0), struct.pack("<f", 2.0), 1)
            ),
            "damaged",
        ),
        ("a pickle with code", bytes_of_checkpoint(lambda c: pickle.dumps(Command())), "damaged"),
        ("code in a zip", stored({"weights": Command()}), "damaged"),
        ("a whole module", stored(torch.nn.Linear(2, 2)), "damaged"),
        ("a list", stored([1, 2]), "damaged"),
        ("another zip", zip_of_something_else, "damaged"),
        ("both damaged", both_damaged, "the one before"),
        ("a folder", a_folder("run.pt"), "damaged"),
    ),
)
