"""The bug museum: every exhibit fails the one test that names its defect, and no other."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ssl_lib.methods import is_exhibit, row_name
from ssl_lib.notebook import museum
from ssl_lib.notebook.museum import EXHIBITS, MEAN_TEACHER, answers
from ssl_lib.notebook.source import load_method
from ssl_lib.reports.index import boards
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError

LABELLED = 2


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.open("phantom", "smoke", LABELLED, seed=0)


def failing(method, study: Study) -> list[str]:
    """The names of the notebook's tests that such a training fails."""
    notebook = load_method("07_bug_museum")
    subject = notebook.Subject(method, study, LABELLED)
    return [name for name, test in notebook.TESTS.items() if not test(subject)]


def test_the_sound_training_fails_nothing(study: Study) -> None:
    assert failing(load_method(MEAN_TEACHER), study) == []


def test_labels_are_counted_by_patients_where_the_data_are() -> None:
    study = Study.open("phantom", "smoke", 2 * LABELLED, seed=0)
    scans = enumerate(study.cohort.labelled)
    labelled = tuple(replace(scan, patient=f"p{place // 2}") for place, scan in scans)
    cohort = replace(study.cohort, labelled=labelled, unit="patient")
    assert failing(load_method(MEAN_TEACHER), replace(study, cohort=cohort)) == []


@pytest.mark.parametrize("letter", EXHIBITS)
def test_an_exhibit_fails_its_own_test_alone(study: Study, letter: str) -> None:
    exhibit = EXHIBITS[letter]
    assert failing(exhibit.method(), exhibit.study(study)) == [exhibit.found_by]


@pytest.mark.parametrize("letter", EXHIBITS)
def test_an_exhibit_is_never_found_as_the_sound_training(study: Study, letter: str) -> None:
    exhibit, sound = EXHIBITS[letter], load_method(MEAN_TEACHER)
    spoilt = exhibit.study(study).key(exhibit.method().mean_teacher_step)
    assert spoilt != study.key(sound.mean_teacher_step)
    assert study.key(exhibit.method().supervised_step) == study.key(sound.supervised_step)


def test_names_and_rows_are_told_apart() -> None:
    assert len({exhibit.name for exhibit in EXHIBITS.values()}) == len(EXHIBITS)
    rows = [f"exhibit_{letter.lower()}" for letter in EXHIBITS]
    assert all(map(is_exhibit, rows)) and not is_exhibit("mean_teacher")
    assert [row_name(row) for row in rows] == [f"Exhibit {letter}" for letter in EXHIBITS]


def test_answers_are_folded_and_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    html = answers()
    assert html.count("<details>") == html.count("</details>") == len(EXHIBITS)
    odd = museum.Exhibit("a < b", "x", "y", "", "", "")
    monkeypatch.setattr(museum, "EXHIBITS", {"A": odd})
    assert "A &lt; b" in answers()


def test_no_exhibit_stands_on_a_leaderboard(stored_result: Mapping[str, object]) -> None:
    (board,) = boards([stored_result])
    assert [line.name for line in board.lines] == [row_name("mean_teacher")]


@pytest.fixture
def stored_result() -> Mapping[str, object]:
    row = {"units": {"hd95": "voxels"}, "per_case": []}
    return {
        "dataset": "phantom",
        "profile": "smoke",
        "n_labelled": LABELLED,
        "cohort_hash": "0" * 16,
        "seed": 0,
        "parameters": {},
        "rows": {"mean_teacher": row, "exhibit_a": row},
    }


# --- a method with one text replaced


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "00_tiny.py"
    path.write_text('# %% tags=["definition"]\ndef half(value):\n    return value / 2\n')
    return path


def test_a_changed_method_is_another_module(script: Path) -> None:
    sound = load_method(script)
    changed = load_method(script, change=("value / 2", "value / 4"))
    assert (sound.half(8.0), changed.half(8.0)) == (4.0, 2.0)
    assert load_method(script) is sound
    assert load_method(script, change=("value / 2", "value / 4")) is changed


def test_the_text_of_a_changed_function_is_the_changed_one(script: Path) -> None:
    changed = load_method(script, change=("value / 2", "value / 4"))
    assert inspect.getsource(changed.half).splitlines()[-1].strip() == "return value / 4"


@pytest.mark.parametrize("text", ["value / 3", "value"])
def test_a_text_that_is_not_there_once_is_refused(script: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"00_tiny\.py.*times"):
        load_method(script, change=(text, "0"))
