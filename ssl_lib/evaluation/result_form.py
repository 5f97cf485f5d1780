"""What a result file holds: every key, the type of its value, and which values make sense.

Results come from other machines, and everything that is displayed comes from results: whatever does
not have the agreed form is refused here, before a table or a page stumbles over it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_lib.evaluation.metrics import SCORES
from ssl_lib.utils.errors import InputError

Kind = type | tuple[type, ...]
NUMBER = (int, float)
STORED = ("dice", "hd95", "asd")
"""Scores in a row's file; the Jaccard index is Dice / (2 - Dice)."""

# Every key of a result file and the type of its value.
KEYS: dict[str, Kind] = {
    "notebook": str,
    "dataset": str,
    "cohort_hash": str,
    "n_labelled": int,
    "labelled_ids": list,
    "seed": int,
    "profile": str,
    "parameters": dict,
    "rows": dict,
    "seconds": NUMBER,
    "peak_memory_bytes": int,
    "device": str,
    "versions": dict,
    "commit": str,
}
ROW_KEYS: dict[str, Kind] = {
    **dict.fromkeys(SCORES, NUMBER),
    "units": dict,
    "empty_predictions": int,
    "per_case": list,
}

ROW_FILE_KEYS: dict[str, Kind] = {
    key: kind for key, kind in KEYS.items() if key not in ("notebook", "rows", "seconds")
}
"""Keys of a row's own file beside those of the row."""

MORE_ROW_KEYS: dict[str, Kind] = {
    "seconds": NUMBER,
    "iterations": int,
    "labels_used": int,
    "same_patient": dict,
    "config": dict,
}
"""Keys of a trained row, checked where they are there."""
ENTRY_KEYS: dict[str, Kind] = {
    "id": str,
    "class": int,
    **dict.fromkeys(SCORES, NUMBER),
}


def check_result(result: Any, where: Path | str | None = None) -> None:
    """Refuses, with an `InputError` naming `where`, what is not a result of the agreed form."""
    _check_keys(result, KEYS, where, "the result")
    if not result["rows"]:
        raise InputError("the result holds no row", where=where, expected="at least one row")
    for name, row in result["rows"].items():
        _check_keys(row, ROW_KEYS, where, f"row {name!r}")
        _check_keys(
            row, {k: v for k, v in MORE_ROW_KEYS.items() if k in row}, where, f"row {name!r}"
        )
        _check_scores(row, where, f"row {name!r}")
        if not all(isinstance(unit, str) for unit in row["units"].values()):
            raise InputError(f"a unit of row {name!r} is no word", where=where)
        for entry in row["per_case"]:
            _check_keys(entry, ENTRY_KEYS, where, f"a per_case entry of row {name!r}")
            _check_scores(entry, where, f"a per_case entry of row {name!r}")


def check_row_file(content: Any, where: Path | str) -> None:
    """Refuses, with an `InputError` naming `where`, what is not the file of one row."""
    what = "the row's file"
    needed = {**ROW_KEYS, "row": str, "per_case": dict, **ROW_FILE_KEYS}
    if isinstance(content, Mapping):
        undefined = {key: math.nan for key in SCORES if content.get(key, ...) is None}
        content = {**content, **undefined}  # null in the file
        needed |= {key: kind for key, kind in MORE_ROW_KEYS.items() if key in content}
    _check_keys(content, needed, where, what)
    _check_scores(content, where, what)
    table = content["per_case"]
    _check_table(table, {"id", "class", *STORED}, _length(table.get("id")), where, "per_case")
    for name, part in content.items():
        if isinstance(part, Mapping) and "per_case" in part:
            what = f"per_case of {name}"
            _check_table(part["per_case"], {*STORED}, len(table["id"]), where, what)


def _check_table(columns: Any, needed: set[str], length: int, where: Path | str, what: str) -> None:
    """A table's columns are there and equally long, and hold what they should."""
    if not isinstance(columns, Mapping) or not needed <= columns.keys():
        raise InputError(
            f"{what} is no table of scores", where=where, expected=", ".join(sorted(needed))
        )
    for name, values in columns.items():
        if not isinstance(values, list):
            raise InputError(f"{name} in {what} is no list", where=where)
    for name, values in columns.items():
        if len(values) != length:
            raise InputError(f"{name} in {what} has no {length} values", where=where)
        kinds = {"id": str, "class": int}.get(name, (int, float, type(None)))
        wrong = [v for v in values if not isinstance(v, kinds) or isinstance(v, bool)]
        most = 1 if name == "dice" else math.inf
        if not wrong and name in STORED:
            wrong = [v for v in values if v is not None and not 0 <= v <= most]
        if wrong:
            raise InputError(f"{name} in {what} holds {wrong[0]!r:.60}", where=where)


def _length(values: Any) -> int:
    return len(values) if isinstance(values, list) else -1


def parsed(text: str) -> Any:
    """JSON without the numbers that JSON does not have, and without those that no score can be.

    Raises `ValueError` for them, and for a text that is no JSON.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_short)
    except RecursionError:
        raise ValueError("nested too deep") from None
    json.dumps(value, ensure_ascii=False).encode()  # half of a character is a `ValueError`
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number in JSON; an undefined score is null")


def _short(digits: str) -> float:
    return int(digits) if len(digits) < 20 else _no_number(f"{digits:.20}...")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _no_number(digits)


def _check_keys(value: Any, keys: Mapping[str, Kind], where: Path | str | None, what: str) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{what} is {type(value).__name__}", where=where, expected="an object")
    missing = [key for key in keys if key not in value]
    if missing:
        raise InputError(
            f"{what} lacks {', '.join(missing)}",
            where=where,
            expected=f"the keys {', '.join(keys)}",
            fix="run the notebook again to write the file anew",
        )
    for key, kind in keys.items():
        if not isinstance(value[key], kind) or isinstance(value[key], bool):
            raise InputError(
                f"{key} of {what} is {value[key]!r:.60}", where=where, expected=_kind_name(kind)
            )


def _check_scores(entry: Mapping[str, Any], where: Path | str | None, what: str) -> None:
    """Dice and Jaccard are 0 to 1, distances 0 or more; NaN where undefined."""
    for score in SCORES:
        most = 1 if score in ("dice", "jaccard") else math.inf
        if entry[score] < 0 or entry[score] > most:
            raise InputError(
                f"{score} of {what} is {entry[score]:g}",
                where=where,
                expected="0 to 1" if most == 1 else "0 or more",
            )


def _kind_name(kind: Kind) -> str:
    return " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
