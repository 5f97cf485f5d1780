"""Result files: built, checked, written, read back and selected here.

Each trained row has one file, `rows/<data set>-<profile>-n<labels>-<cohort>/<row>-seed<seed>.json`,
with its scores and every parameter that it was trained with. One whose method was edited in a
notebook has `-edited-<hash>` in its name and never replaces the method's own. A notebook's file
names the rows that it shows, and holds what it measured beside them. Everything that a table, a
figure or a report shows is read from these files. An undefined score is NaN in Python and `null` in
JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from ssl_lib.data.cohort import Cohort
from ssl_lib.data.published import patient_of_case
from ssl_lib.evaluation.metrics import SCORES, score_scan, summarise
from ssl_lib.evaluation.result_form import (
    ROW_FILE_KEYS,
    STORED,
    check_result,
    check_row_file,
    parsed,
)
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import ROWS, draw_suffix, folds_suffix, safe_name
from ssl_lib.utils.provenance import device_name, git_commit, package_versions, peak_memory_bytes

SMOKE = "A smoke run: its numbers mean nothing."
"""What stands beside the numbers of the profile `smoke`: it only proves that every cell runs."""
PLACE = ("id", "class")
"""Columns of a row's table of scores that say which scan and class a score is of."""
DIGITS = 5
"""Decimal places of these scores: of a fraction, a voxel or a millimetre."""
PROVENANCE = ("peak_memory_bytes", "device", "versions", "commit")


def score_cohort(
    predictions: Mapping[str, UInt8[np.ndarray, "*space"]], cohort: Cohort
) -> dict[str, Any]:
    """The row of one method: its scores over the test scans, against the sealed truth.

    `predictions` holds one label map for each test scan by case id. Returns `dice`, `jaccard`,
    `hd95`, `asd` (means over scans and foreground classes), `units`, `empty_predictions` and
    `per_case`. Raises `InputError` if a test scan has no prediction or no known truth.
    """
    per_case = []
    for case in cohort.test:
        if case.case_id not in predictions:
            raise InputError(f"test scan {case.case_id!r} has no prediction")
        truth = cohort.sealed.open(case.case_id, "final score")
        scores = score_scan(
            predictions[case.case_id], truth, n_classes=cohort.n_classes, spacing=case.spacing
        )
        for score in scores:
            entry = asdict(score)
            per_case.append({"id": case.case_id, "class": entry.pop("class_index"), **entry})
    distance = cohort.spacing_unit
    units = {"dice": "fraction", "jaccard": "fraction", "hd95": distance, "asd": distance}
    return {**summarise(per_case), "units": units, "per_case": per_case}


def same_patient(cohort: Cohort) -> dict[str, str]:
    """For each test scan whose patient has an earlier test scan: the id of the first one.

    A result holds this, not the names of patients. It is empty where a data set's scans are named
    by patient, as in ACDC (`patient_of_case`), and where every test scan is a patient's only one.
    """
    first: dict[str, str] = {}
    for case in cohort.test:
        first.setdefault(case.patient, case.case_id)
    return {
        case.case_id: first[case.patient]
        for case in cohort.test
        if first[case.patient] != case.case_id
        and patient_of_case(cohort.name, case.case_id) == case.case_id
    }


def smoke_note(results: Sequence[Mapping[str, Any]]) -> str:
    """`SMOKE` if one of the results is of the profile `smoke`, else nothing."""
    return SMOKE if any(result.get("profile") == "smoke" for result in results) else ""


def build_result(
    *,
    notebook: str,
    dataset: str,
    cohort: Cohort,
    n_labelled: int,
    seed: int,
    profile: str,
    parameters: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    seconds: float,
    device: torch.device | str,
    **more: Any,
) -> dict[str, Any]:
    """A checked result with its provenance: the content of one file.

    `rows` maps a row name to `score_cohort`'s answer (with `seconds`, `iterations`, ... added at
    will); `seconds` is the whole run's wall-clock time; `more` are further top-level keys. The
    labelled scans are listed from the cohort.
    """
    result = {
        "notebook": notebook,
        "dataset": safe_name(dataset),
        "cohort_hash": cohort.content_hash,
        "n_labelled": n_labelled,
        "labelled_ids": [case.case_id for case in cohort.labelled],
        "labelled_draw": cohort.labelled_draw,
        "seed": seed,
        "profile": profile,
        "parameters": dict(parameters),
        "rows": {name: dict(row) for name, row in rows.items()},
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes(device),
        "device": device_name(device),
        "versions": package_versions(),
        "commit": git_commit(),
        **more,
    }
    check_result(result)
    return result


def result_path(results_dir: Path | str, result: Mapping[str, Any]) -> Path:
    """A notebook's file: one for notebook, dataset, profile, labelled scans, folds and seed."""
    which = draw_suffix(result.get("labelled_draw", 0)) + folds_suffix(result.get("folds", 0))
    name = f"{{dataset}}-{{profile}}-n{{n_labelled}}{which}-seed{{seed}}.json".format(**result)
    return Path(results_dir) / str(result["notebook"]) / name


def row_path(results_dir: Path | str, result: Mapping[str, Any], row: str) -> Path:
    """A row's file; another cohort, seed or config is another file, and so is an edited method."""
    folder = "{dataset}-{profile}-n{n_labelled}-{cohort_hash:.8}".format(**result)
    edit = _edit(result.get("rows", {}).get(row, {}))
    return Path(results_dir) / ROWS / folder / f"{row}{edit}-seed{result['seed']}.json"


def _edit(row: Mapping[str, Any]) -> str:
    """Part of a file's name that tells an edited method from the library's; "" for the latter."""
    texts = row.get("config", {}).get("edited")
    if not texts:
        return ""
    return "-edited-" + hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:8]


def write_result(result: Mapping[str, Any], results_dir: Path | str) -> Path:
    """Writes a checked result: a file for each row, then the notebook's; returns the latter's path.

    A kill leaves old files or new ones, and no file that names a row which is not there.
    """
    path = result_path(results_dir, result)
    check_result(result, path)
    rows = {row: write_row(result, row, results_dir) for row in result["rows"]}
    names = {row: one.relative_to(results_dir).as_posix() for row, one in rows.items()}
    return _write({**result, "rows": names}, path)


def write_row(result: Mapping[str, Any], row: str, results_dir: Path | str) -> Path:
    """Writes the file of one row of a result and returns its path.

    A file that already says the same, provenance aside, stays as it is.
    """
    path = row_path(results_dir, result, row)
    content = {key: result[key] for key in ROW_FILE_KEYS}
    content |= {"row": row, **packed(result["rows"][row])}
    if path.is_file():
        with suppress(InputError):
            old = _read(path)
            if _told(old) == _told(json.loads(_text(content, path))):
                return path
    return _write(content, path)


def read_result(path: Path | str) -> dict[str, Any]:
    """One notebook's result with its rows. Raises `InputError` naming the file if it is not one."""
    result = _read(path)
    rows = result.get("rows") if isinstance(result, dict) else None
    if isinstance(rows, dict):
        result["rows"] = {
            name: read_row(Path(path).parents[1] / file) if isinstance(file, str) else file
            for name, file in rows.items()
        }
    check_result(result, path)
    return result


def read_rows(
    results_dir: Path | str,
    dataset: str | None = None,
    profile: str | None = None,
    n_labelled: int | None = None,
    labelled_draw: int | None = 0,
) -> list[dict[str, Any]]:
    """Every stored row, whoever trained it, as one result for each cohort, profile and seed.

    Rows of edited methods do not count: only the notebook that trained one shows it.

    Such a result has the keys of a notebook's, with `notebook` empty. `labelled_draw` is which
    choice of the labelled scans counts (0: the data set's own; None: all of them, which are cohorts
    of their own). Raises `InputError` naming
    the file if one is malformed.
    """
    wanted = _wanted(dataset=dataset, profile=profile, n_labelled=n_labelled)
    together: dict[tuple, dict[str, Any]] = {}
    for path in sorted(Path(results_dir).glob(f"{ROWS}/*/*.json")):
        content = read_row(path)
        if any(content[key] != value for key, value in wanted.items()) or _edit(content):
            continue
        if labelled_draw not in (None, content.get("labelled_draw", 0)):
            continue
        key = tuple(content[name] for name in ("dataset", "profile", "n_labelled", "cohort_hash"))
        result = together.setdefault(
            (*key, content["seed"]),
            {"notebook": "", **{k: content[k] for k in ROW_FILE_KEYS}, "rows": {}, "seconds": 0.0},
        )
        result["rows"][content["row"]] = content
        result["seconds"] += content.get("seconds", 0.0)
    return [together[key] for key in sorted(together)]


def add_trial(results: Sequence[Mapping], file: Path | str, change: str) -> list[dict[str, Any]]:
    """The runs with the rows of a trial, each named by its row and `change`: "aau without boxes".

    A trial's file names its `profile`, and each of its `lines` the dataset, n_labelled, seed and
    row, in `validation` the mean Dice on validation scans, and in `test` that of each test scan.
    Without that file nothing is added.
    """
    trial = json.loads(Path(file).read_text("utf-8")) if Path(file).exists() else {"lines": []}
    found = []
    for run in results:
        rows = dict(run["rows"])
        for line in trial["lines"]:
            line = {"profile": trial["profile"], **line}
            if all(line[key] == run[key] for key in ("dataset", "profile", "n_labelled", "seed")):
                scans = [
                    {"id": scan, "class": 1, "dice": dice} for scan, dice in line["test"].items()
                ]
                row = {"per_case": scans, "validation": line["validation"]}
                rows[f"{line['row']} {change}"] = row
        found.append({**run, "rows": rows})
    return found


def read_results(
    results_dir: Path | str,
    notebook: str | None = None,
    dataset: str | None = None,
    profile: str | None = None,
    n_labelled: int | None = None,
    cohort_hash: str | None = None,
) -> list[dict[str, Any]]:
    """Every stored result that agrees with what is given, in the order of their paths.

    Without a `cohort_hash` only the data set's own choice of labelled scans counts: other draws are
    other cohorts. An empty list if there is none; `InputError` naming the file if one is malformed.
    """
    wanted = _wanted(
        notebook=notebook,
        dataset=dataset,
        profile=profile,
        n_labelled=n_labelled,
        cohort_hash=cohort_hash,
    )
    paths = sorted(Path(results_dir).glob(f"{notebook or '*'}/*.json"))
    results = [read_result(path) for path in paths]
    if cohort_hash is None:
        results = [result for result in results if not result.get("labelled_draw", 0)]
    return [r for r in results if all(r[key] == value for key, value in wanted.items())]


def packed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its scores of scans and classes as arrays: a seventh of the bytes.

    The row's table says which scan and class each score is of; tables within it have the
    same order. The Jaccard index of a scan is not written: it is Dice / (2 - Dice).
    """
    columns = _as_arrays(row["per_case"])
    found = {**row, "per_case": columns}
    for name, part in _parts(row):
        inner = _as_arrays(part["per_case"])
        same = {key for key in PLACE if inner[key] == columns[key]}
        found[name] = {**part, "per_case": {k: v for k, v in inner.items() if k not in same}}
    return found


def unpacked(row: Mapping[str, Any]) -> dict[str, Any]:
    """The opposite of `packed`, with undefined scores as NaN."""
    place = {key: row["per_case"][key] for key in PLACE}
    found = {**_with_nan(row), "per_case": _as_entries(row["per_case"])}
    for name, part in _parts(row):
        found[name] = {**_with_nan(part), "per_case": _as_entries({**place, **part["per_case"]})}
    return found


def _parts(row: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Scores of the same scans in another way: the largest component, other weights."""
    return [(k, v) for k, v in row.items() if isinstance(v, Mapping) and "per_case" in v]


def _with_nan(scores: Mapping[str, Any]) -> dict[str, Any]:
    return {k: math.nan if k in SCORES and v is None else v for k, v in scores.items()}


def read_row(path: Path) -> dict[str, Any]:
    """One row's file. Raises `InputError` naming the file if it is not one."""
    content = _read(path)
    check_row_file(content, path)
    return unpacked(content)


def _as_arrays(entries: Sequence[Mapping[str, Any]]) -> dict[str, list]:
    columns = {key: [entry[key] for entry in entries] for key in (*PLACE, *STORED)}
    return {
        key: [round(v, DIGITS) if isinstance(v, float) else v for v in values]
        for key, values in columns.items()
    }


def _as_entries(columns: Mapping[str, list]) -> list[dict[str, Any]]:
    rows = zip(*columns.values(), strict=True)
    entries = [_with_nan(dict(zip(columns, row, strict=True))) for row in rows]
    return [{**entry, "jaccard": entry["dice"] / (2 - entry["dice"])} for entry in entries]


def _wanted(**values: Any) -> dict[str, Any]:
    if values.get("dataset") is not None:
        values["dataset"] = safe_name(values["dataset"])
    return {key: value for key, value in values.items() if value is not None}


def _told(content: Mapping[str, Any]) -> dict[str, Any]:
    """A row's file without what says when, where and how fast it was made."""
    return {k: v for k, v in content.items() if k not in (*PROVENANCE, "seconds")}


def _read(path: Path | str) -> Any:
    try:
        return parsed(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a result: {error}", where=path) from error


def _write(content: Mapping[str, Any], path: Path) -> Path:
    write_atomically(path, _text(content, path).encode())
    return path


def _text(content: Mapping[str, Any], path: Path) -> str:
    try:
        lines = [
            f"{json.dumps(key)}: {json.dumps(_without_nan(value), allow_nan=False, default=_plain)}"
            for key, value in content.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n}\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"the result cannot be written as JSON: {error}", where=path) from error


def _without_nan(value: object) -> object:
    """The same nested value with every NaN as None."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(value: object) -> object:
    """NumPy numbers and paths as JSON can hold them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
