"""One JSON file for each run: built, checked, written, read back and selected here.

Everything that a table, a figure or a report shows is read from these files. An undefined score is
NaN in Python and `null` in JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from ssl_lib.data.cohort import Cohort
from ssl_lib.evaluation.metrics import SCORES, score_scan, summarise
from ssl_lib.evaluation.result_form import check_result, parsed
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import safe_name
from ssl_lib.utils.provenance import device_name, git_commit, package_versions, peak_memory_bytes

# The order of the rows in every table and figure, and what they are called there.
ROW_NAMES: dict[str, str] = {
    "supervised_few": "Supervised, few labels",
    "supervised_strong": "Supervised, few labels, strong augmentation",
    "mean_teacher": "Mean teacher",
    "bcp_without_idea": "BCP without copy-paste",
    "bcp_one_direction": "BCP in one direction",
    "bcp": "Bidirectional copy-paste (BCP)",
    "umct_views_supervised": "One flat view, labels only",
    "umct_views_supervised_ensemble": "Flat views, labels only, averaged",
    "umct_two_views": "UMCT with two views",
    "umct_two_views_ensemble": "UMCT with two views, averaged",
    "umct_without_idea": "UMCT without uncertainty",
    "umct_without_idea_ensemble": "UMCT without uncertainty, averaged",
    "umct": "Uncertainty co-training (UMCT)",
    "umct_ensemble": "UMCT, views averaged",
    "umct_six_views": "UMCT with six views",
    "umct_six_views_ensemble": "UMCT with six views, averaged",
    "ua_mt": "Mean teacher with dropout entropy (UA-MT)",
    "aau": "Anatomically aware uncertainty (AAU)",
    "supervised_ensemble": "Two supervised networks, averaged",
    "dsaif_without_idea": "Cross pseudo supervision",
    "dsaif_without_idea_ensemble": "Cross pseudo supervision, averaged",
    "dsaif_only_child": "DSAIF, only children alone",
    "dsaif": "Structure-aware filtering (DSAIF)",
    "dsaif_ensemble": "DSAIF, both networks averaged",
    "supervised_all": "Supervised, all labels",
    **{f"exhibit_{letter.lower()}": f"Exhibit {letter}" for letter in "ABCDEFGHI"},
}


def is_exhibit(row: str) -> bool:
    """True for a training that was spoilt on purpose: no method, and on no leaderboard."""
    return row.startswith("exhibit_")


def row_name(row: str) -> str:
    """What a row is called in tables and figures; an unknown row keeps its own name, readable."""
    return ROW_NAMES.get(row, row.replace("_", " ").capitalize())


def score_cohort(
    predictions: Mapping[str, UInt8[np.ndarray, "*space"]], cohort: Cohort
) -> dict[str, object]:
    """The row of one method: its scores over the test scans, against the sealed truth.

    `predictions` holds one label map for each test scan by identity. Returns `dice`, `jaccard`,
    `hd95`, `asd` (means over scans and foreground classes), `units`, `empty_predictions` and
    `per_case`. Raises `InputError` if a test scan has no prediction or no known truth.
    """
    per_case = []
    for case in cohort.test:
        if case.identity not in predictions:
            raise InputError(f"test scan {case.identity!r} has no prediction")
        truth = cohort.sealed.open(case.identity, "final score")
        scores = score_scan(
            predictions[case.identity], truth, n_classes=cohort.n_classes, spacing=case.spacing
        )
        for score in scores:
            entry = asdict(score)
            per_case.append({"id": case.identity, "class": entry.pop("class_index"), **entry})
    distance = cohort.spacing_unit
    units = {"dice": "fraction", "jaccard": "fraction", "hd95": distance, "asd": distance}
    return {**summarise(per_case), "units": units, "per_case": per_case}


def build_result(
    *,
    notebook: str,
    dataset: str,
    cohort: Cohort,
    n_labelled: int,
    seed: int,
    profile: str,
    parameters: Mapping[str, object],
    rows: Mapping[str, Mapping[str, object]],
    seconds: float,
    device: torch.device | str,
    **more: object,
) -> dict[str, object]:
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
        "labelled_ids": [case.identity for case in cohort.labelled],
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


def result_path(results_dir: Path | str, result: Mapping[str, object]) -> Path:
    """Where a result is kept: one file for notebook, dataset, profile, labelled scans and seed."""
    name = "{dataset}-{profile}-n{n_labelled}-seed{seed}.json".format(**result)
    return Path(results_dir) / str(result["notebook"]) / name


def write_result(result: Mapping[str, object], results_dir: Path | str) -> Path:
    """Writes a checked result and returns its path; a kill leaves the old file or the new one."""
    path = result_path(results_dir, result)
    check_result(result, path)
    try:
        text = json.dumps(_without_nan(result), indent=1, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"the result cannot be written as JSON: {error}", where=path) from error
    write_atomically(path, text.encode())
    return path


def read_result(path: Path | str) -> dict[str, object]:
    """One result file. Raises `InputError` naming the file if it is not one."""
    try:
        result = parsed(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read as a result: {error}", where=path) from error
    _restore_nan(result)
    check_result(result, path)
    return result


def read_results(
    results_dir: Path | str,
    notebook: str | None = None,
    dataset: str | None = None,
    profile: str | None = None,
    n_labelled: int | None = None,
    cohort_hash: str | None = None,
) -> list[dict[str, object]]:
    """Every stored result that agrees with what is given, in the order of their paths.

    An empty list if there is none; `InputError` naming the file if one is malformed.
    """
    wanted = {
        "notebook": notebook,
        "dataset": None if dataset is None else safe_name(dataset),
        "profile": profile,
        "n_labelled": n_labelled,
        "cohort_hash": cohort_hash,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    folders = f"{notebook}/*.json" if notebook is not None else "*/*.json"
    results = [read_result(path) for path in sorted(Path(results_dir).glob(folders))]
    return [r for r in results if all(r[key] == value for key, value in wanted.items())]


def _without_nan(value: object) -> object:
    """The same nested value with every NaN as None."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _restore_nan(result: object) -> None:
    """Scores that are null become NaN again, in place; everything else is left to the check."""
    rows = result.get("rows") if isinstance(result, dict) else None
    for row in rows.values() if isinstance(rows, dict) else ():
        entries = row.get("per_case") if isinstance(row, dict) else None
        for entry in (row, *(entries if isinstance(entries, list) else ())):
            if isinstance(entry, dict):
                entry.update({key: math.nan for key in SCORES if entry.get(key, 0) is None})


def _plain(value: object) -> object:
    """NumPy numbers and paths as JSON can hold them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
