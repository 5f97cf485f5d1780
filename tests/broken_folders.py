"""Folders, tables, notebooks and parameters that cannot be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from breaking import Broken, group, written
from tiny_scans import write_folder

from ssl_lib import methods
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.notebook.files import read_cells
from ssl_lib.notebook.source import NOTEBOOKS_DIR, check_parameters, load_method, read_parameters
from ssl_lib.training.study import Study

# --- tables


def beside(name: str, content: bytes | None) -> Callable[[Path], Path]:
    """Makes a folder of scans with that file in it (None: a folder in its place)."""

    def make(folder: Path) -> Path:
        write_folder(folder, labelled=4, unlabelled=0)
        path = folder / name
        path.mkdir() if content is None else path.write_bytes(content)
        return folder

    return make


def strict(folder: Path) -> object:
    """The reader that refuses a folder with any problem."""
    return open_own_scans(str(folder), "quick", 1, exclude_broken=False)


def description(content: bytes | None) -> Callable[[Path], Path]:
    return beside("dataset.json", content)


def patients(content: bytes | None) -> Callable[[Path], Path]:
    return beside("patients.csv", b"scan,patient\n" + content if content else None)


TABLES: tuple[Broken, ...] = (
    *group(
        "dataset.json",
        strict,
        ("cut off", description(b'{"labels": {'), "cannot be used"),
        ("a list", description(b"[1]"), "no table of names"),
        ("another encoding", description(b"\xff\xfe{\x00}\x00"), "cannot be used"),
        ("nested too deep", description(b"[" * 200_000), "cannot be used"),
        ("a folder", description(None), "cannot be used"),
        ("labels in a list", description(b'{"labels": ["a", "b"]}'), "cannot be used"),
        ("no background", description(b'{"labels": {"1": "a", "2": "b"}}'), "the value 0"),
        ("a label of 1.5", description(b'{"labels": {"a": 0, "b": 1.5}}'), "whole numbers"),
        ("half a character", description(b'{"labels": {"0": "a", "1": "\\ud800"}}'), "no text"),
        ("a region", description(b'{"labels": {"a": 0, "b": [1, 2]}}'), "whole numbers"),
        named="dataset.json",
    ),
    *group(
        "dataset.json",
        strict,
        ("no name", description(b'{"labels": {"0": "a", "1": "b"}}'), "holds the value 2"),
        named="labelsTr/a00.nii.gz",
    ),
    *group(
        "patients.csv",
        strict,
        ("no headings", beside("patients.csv", b"a00,A\n"), "scan,patient"),
        ("an unknown scan beside a wrong line", patients(b"b17,A\na00,\n"), "'a00'"),
        ("two patients of a scan", patients(b"a00,A\na00,B\n"), "two patients"),
        ("no patient of a scan", patients(b"a00,\na01,\n"), "no patient"),
        ("a row too long", patients(b"a00,A,B\n"), "line 2 has 3 cells"),
        ("another encoding", patients(b"a00,\xff\n"), "as a table"),
        ("a cell of a megabyte", patients(b"a00," + b"A" * 10**6), "as a table"),
        ("a folder", patients(None), "as a table"),
        named="patients.csv",
    ),
    *group(
        "folder",
        strict,
        ("a name of two lines", beside("imagesTr/b\nc.nii", b"1"), "no text"),
        named="imagesTr/b\\nc.nii",
    ),
    *group(
        "folder",
        strict,
        ("a name that is no text", beside("imagesTr/\udcff.nii", b"1"), "no text"),
        named="imagesTr/\\udcff.nii",
    ),
    *group(
        "folder", take_fingerprint, ("no scans", lambda folder: folder, "no scan in this folder")
    ),
)


# --- notebooks

PARAMETERS_CELL = b'# %% tags=["parameters"]\n'

NOTEBOOKS: tuple[Broken, ...] = (
    *group(
        "notebook",
        read_cells,
        ("cut off", written("00_a.ipynb", b'{"cells": ['), "make sync"),
        ("a list", written("00_a.ipynb", b"[]"), "cannot be read"),
        ("nested too deep", written("00_a.ipynb", b"[" * 200_000), "cannot be read"),
        ("nothing", lambda folder: folder / "00_a.py", "no such notebook"),
    ),
    *group(
        "notebook",
        load_method,
        ("another encoding", written("00_a.py", b"# %%\n\xff = 1"), "cannot be read"),
        ("no method", written("00_a.py", b"# %%\nx = 1\n"), "no cell is tagged"),
    ),
    *group(
        "notebook",
        read_parameters,
        ("no Python", written("00_a.py", PARAMETERS_CELL + b"SEED = = 0\n"), "is no Python"),
        ("derived", written("00_a.py", PARAMETERS_CELL + b"SEED = 2 * 3\n"), "literals only"),
    ),
)


# --- parameters

GOOD = {"DATASET": "phantom", "PROFILE": "smoke", "N_LABELLED": 2, "SEED": 0}


def given(**changes: object) -> Callable[[Path], dict[str, object]]:
    """Makes parameters, some of them wrong."""
    return lambda folder: {**GOOD, **changes}


def only(**parameters: object) -> Callable[[Path], dict[str, object]]:
    return lambda folder: parameters


def own_folder(**changes: object) -> Callable[[Path], dict[str, object]]:
    """Makes a folder of scans, and parameters that name it."""

    def make(folder: Path) -> dict[str, object]:
        return {**GOOD, "DATASET": str(write_folder(folder / "mine")), **changes}

    return make


def open_study(parameters: Mapping[str, object]) -> object:
    return Study.open(*parameters.values())


def open_folder(parameters: Mapping[str, object]) -> object:
    return open_own_scans(*list(parameters.values())[:3])


def set_parameters(parameters: Mapping[str, object]) -> object:
    return check_parameters(NOTEBOOKS_DIR / "00_few_labels_many_scans.py", parameters)


def choose_methods(parameters: Mapping[str, object]) -> object:
    method = load_method("06_your_own_scans")
    return method.chosen_methods(parameters["METHODS"].split(), True)


def choose_levels(parameters: Mapping[str, object]) -> object:
    method = methods.dsaif
    return method.to_levels(np.arange(16.0).reshape(4, 4), parameters["levels"])


PARAMETERS: tuple[Broken, ...] = (
    *group(
        "PROFILE",
        open_study,
        ("misspelt", given(PROFILE="qick"), "did you mean quick?"),
        ("None", given(PROFILE=None), "smoke, quick, evening, gpu, paper_equal, paper"),
        ("a list", given(PROFILE=["quick"]), "smoke, quick, evening, gpu, paper_equal, paper"),
        ("not for this data", given(PROFILE="paper", N_LABELLED=1), "la2018 or acdc"),
        named="PROFILE",
    ),
    *group(
        "N_LABELLED",
        open_study,
        ("0", given(N_LABELLED=0), "from 1"),
        ("below 0", given(N_LABELLED=-3), "from 1"),
        ("four", given(N_LABELLED="four"), "'four'", "a whole number"),
        ("4.0", given(N_LABELLED=4.0), "a whole number"),
        ("true", given(N_LABELLED=True), "a whole number"),
        ("a billion", given(N_LABELLED=10**9), "between 1 and 64"),
        ("a billion of hippocampus", given(DATASET="hippocampus", N_LABELLED=10**9), "1 to 188"),
        named="N_LABELLED",
    ),
    *group(
        "DATASET",
        open_study,
        ("nothing", given(DATASET="nowhere"), "'nowhere'", "phantom_3d"),
        ("empty", given(DATASET=""), "a name"),
        ("None", given(DATASET=None), "a name"),
        ("nobody's folder", given(DATASET="~nobody_at_all/scans"), "~nobody_at_all"),
        ("a name too long", given(DATASET="x" * 5000), "no folder"),
        named="DATASET",
    ),
    *group(
        "own scans",
        open_folder,
        ("no folder", given(DATASET="nowhere"), "'nowhere'"),
        ("nobody's folder", given(DATASET="~nobody_at_all/scans"), "~nobody_at_all"),
        named="DATASET",
    ),
    *group(
        "own scans",
        open_folder,
        ("a billion labels", own_folder(N_LABELLED=10**9), "5 remain for training"),
        named="N_LABELLED",
    ),
    *group("own scans", open_folder, ("misspelt", own_folder(PROFILE="smok")), named="PROFILE"),
    *group(
        "SEED",
        set_parameters,
        ("-1", only(SEED=-1), "a number from 0"),
        ("zero", only(SEED="zero"), "a value of type int"),
        ("1.5", only(SEED=1.5), "a value of type int"),
        named="SEED",
    ),
    *group(
        "parameter",
        set_parameters,
        ("N_LABELLED of 0", only(N_LABELLED=0), "a number from 1"),
        ("N_LABELLED of text", only(N_LABELLED="four"), "a value of type int"),
        named="N_LABELLED",
    ),
    *group("parameter", set_parameters, ("unknown", only(ALPHA=7), "one of"), named="ALPHA"),
    *group("METHODS", choose_methods, ("misspelt", only(METHODS="bpc")), named="bpc"),
    *group("levels", choose_levels, ("1 grey level", only(levels=1), "2 to 65536"), named="1 grey"),
)
