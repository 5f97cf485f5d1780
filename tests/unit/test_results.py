"""Result files: round trip, refusal of malformed ones, selection, sealed labels, provenance."""

from __future__ import annotations

import json
import math
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssl_lib.data.cohort import Case, seal
from ssl_lib.data.example_folder import EXAMPLE
from ssl_lib.data.load import DATASETS
from ssl_lib.evaluation import results
from ssl_lib.evaluation.metrics import SCORES
from ssl_lib.evaluation.result_form import KEYS
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.names import NAMED
from ssl_lib.utils.provenance import device_name, git_commit, package_versions, peak_memory_bytes


def case(name: str, label: np.ndarray) -> Case:
    return Case(name, name, label.astype(np.float32), (2.0, 1.0, 1.0), label)


@pytest.fixture
def cohort():
    label = np.zeros((3, 8, 8), np.uint8)
    label[:, 2:5, 2:5], label[:, 5:7, 5:7] = 1, 2
    names = {"labelled": "l", "unlabelled": "u", "validation": "v", "test": "t"}
    groups = {
        group: [case(f"{name}{i}", np.roll(label, i, axis=1)) for i in range(2)]
        for group, name in names.items()
    }
    return seal(
        **groups,
        name="toy",
        dimensions=2,
        class_names=("background", "square", "spot"),
        spacing_unit="mm",
        licence="-",
        citation="-",
    )


def perfect(cohort):
    truths = {c.case_id: cohort.sealed.open(c.case_id, "final score") for c in cohort.test}
    return {name: truth.copy() for name, truth in truths.items()}


def build(cohort, row, **changes):
    values = {
        "notebook": "00_toy",
        "dataset": "toy",
        "cohort": cohort,
        "n_labelled": 2,
        "seed": 0,
        "profile": "smoke",
        "parameters": {"alpha": 0.5},
        "rows": {"supervised_few": row},
        "seconds": 1.5,
        "device": "cpu",
    }
    return results.build_result(**{**values, **changes})


def test_a_perfect_prediction_scores_one_and_no_distance(cohort):
    row = results.score_cohort(perfect(cohort), cohort)
    assert (row["dice"], row["jaccard"], row["hd95"], row["asd"]) == (1, 1, 0, 0)
    assert row["units"]["hd95"] == "mm"
    assert [(e["id"], e["class"]) for e in row["per_case"]] == [
        ("t0", 1), ("t0", 2), ("t1", 1), ("t1", 2),
    ]  # fmt: skip


def test_an_empty_prediction_is_counted_not_rewarded(cohort):
    predictions = perfect(cohort)
    predictions["t1"][predictions["t1"] == 2] = 0
    row = results.score_cohort(predictions, cohort)
    assert row["empty_predictions"] == 1
    assert row["dice"] == pytest.approx(0.75)
    assert math.isnan(row["per_case"][-1]["hd95"])


def test_test_scans_of_one_patient_are_known_and_no_patient_is_named(cohort):
    first = replace(cohort.test[0], patient="Ada")
    pair = replace(cohort, test=(first, replace(first, case_id="later"), *cohort.test[1:]))
    assert results.same_patient(pair) == {"later": first.case_id}
    assert results.same_patient(cohort) == {}


def test_scans_that_are_named_by_patient_need_no_list(cohort):
    first, second = (
        replace(cohort.test[0], case_id=f"patient011_frame0{k}", patient="patient011")
        for k in (1, 2)
    )
    assert results.same_patient(replace(cohort, test=(first, second), name="acdc")) == {}
    assert results.same_patient(replace(cohort, test=(first, second), name="mine")) != {}


def test_a_missing_prediction_is_refused(cohort):
    predictions = perfect(cohort)
    del predictions["t1"]
    with pytest.raises(InputError, match="t1"):
        results.score_cohort(predictions, cohort)


def test_what_is_written_is_read_back(cohort, tmp_path):
    predictions = {name: np.zeros_like(label) for name, label in perfect(cohort).items()}
    result = build(
        cohort, results.score_cohort(predictions, cohort), label_curve=[[4, np.float64(0.5)]]
    )
    path = results.write_result(result, tmp_path)
    assert path == tmp_path / "00_toy" / "toy-smoke-n2-seed0.json"
    text = results.row_path(tmp_path, result, "supervised_few").read_text()
    assert "NaN" not in text and "null" in text
    (again,) = results.read_results(tmp_path)
    assert math.isnan(again["rows"]["supervised_few"]["hd95"])
    assert again["rows"]["supervised_few"]["empty_predictions"] == 4
    assert again["labelled_ids"] == ["l0", "l1"]
    assert again["cohort_hash"] == cohort.content_hash
    assert again["label_curve"] == [[4, 0.5]]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_scores_of_the_same_scans_in_another_way_are_read_back(cohort, tmp_path):
    predictions = perfect(cohort)
    predictions["t0"][:2] = 0
    predictions["t1"][predictions["t1"] == 2] = 0
    one, other = (results.score_cohort(p, cohort) for p in (predictions, perfect(cohort)))
    written = {**one, "largest_component": other, "best_on_validation": {"iteration": 5, **one}}
    result = build(cohort, written)
    results.write_result(result, tmp_path)
    text = results.row_path(tmp_path, result, "supervised_few").read_text()
    assert text.count('"t0"') == 2, "a scan is named once for each class, not in each table"
    (again,) = results.read_results(tmp_path)
    row = again["rows"]["supervised_few"]
    for name, scores in (("", one), ("largest_component", other), ("best_on_validation", one)):
        found = row[name] if name else row
        assert found["hd95"] == pytest.approx(scores["hd95"], nan_ok=True)
        for entry, expected in zip(found["per_case"], scores["per_case"], strict=True):
            expected.pop("empty_prediction", None)
            numbers = {key: pytest.approx(expected[key], abs=1e-5, nan_ok=True) for key in SCORES}
            assert entry == {**expected, **numbers}


def test_a_failed_write_leaves_the_old_file(cohort, tmp_path, monkeypatch):
    result = build(cohort, results.score_cohort(perfect(cohort), cohort))
    path = results.write_result(result, tmp_path)
    before = path.read_text()
    monkeypatch.setattr("os.replace", lambda old, new: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(InputError, match="full"):
        results.write_result({**result, "seconds": 9.0}, tmp_path)
    assert path.read_text() == before
    assert len(list(path.parent.iterdir())) == 1


def test_selection(cohort, tmp_path):
    row = results.score_cohort(perfect(cohort), cohort)
    for notebook, seed, profile in (("00_a", 0, "quick"), ("00_a", 1, "quick"), ("01_b", 0, "gpu")):
        results.write_result(
            build(cohort, row, notebook=notebook, seed=seed, profile=profile), tmp_path
        )
    assert len(results.read_results(tmp_path)) == 3
    assert [r["seed"] for r in results.read_results(tmp_path, "00_a")] == [0, 1]
    assert len(results.read_results(tmp_path, profile="gpu")) == 1
    assert len(results.read_results(tmp_path, dataset="toy", n_labelled=2)) == 3
    assert results.read_results(tmp_path, cohort_hash="other") == []
    assert results.read_results(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("file", "damage", "word"),
    [
        ("notebook", lambda text: text[: len(text) // 2], "cannot be read"),
        ("notebook", lambda text: "[1, 2]", "list"),
        ("notebook", lambda text: text.replace('"seed"', '"seeed"'), "lacks seed"),
        ("notebook", lambda text: text.replace('"seed": 0', '"seed": "0"'), "seed"),
        ("row", lambda text: text[: len(text) // 2], "cannot be read"),
        ("row", lambda text: "[1, 2]", "list"),
        ("row", lambda text: text.replace('"seed"', '"seeed"'), "lacks seed"),
        ("row", lambda text: text.replace('"dice": [', '"dice": [0.5, '), "dice in per_case"),
        (
            "row",
            lambda text: text.replace('"dice": [1.0', '"dice": [2'),
            "dice in per_case holds 2",
        ),
        ("row", lambda text: text.replace('"dice": [1.0', '"dice": ["a"'), "holds 'a'"),
        ("row", lambda text: text.replace('"per_case": {"dice"', '"per_case": {"mice"'), "largest"),
        ("row", lambda text: text.replace('"id": ["t0"', '"id": [0'), "per_case"),
        ("row", lambda text: text.replace('"units"', '"unit"'), "units"),
        (
            "row",
            lambda text: re.sub(r'"id": \[[^]]*\]', '"id": null', text),
            "id in per_case is no",
        ),
        ("row", lambda text: "3", "is int"),
        ("row", lambda text: text.replace('"dice": 1.0', '"dice": 7'), "dice"),
        ("row", lambda text: text.replace('"dice": 1.0', '"dice": "a"'), "dice"),
        ("row", lambda text: text.replace('"row"', '"seconds": "a", "row"'), "seconds"),
        ("row", lambda text: text.replace('"row"', '"config": [1], "row"'), "config"),
    ],
)
def test_a_malformed_file_is_named(cohort, tmp_path, file, damage, word):
    row = results.score_cohort(perfect(cohort), cohort)
    result = build(cohort, {**row, "largest_component": row})
    path = results.write_result(result, tmp_path)
    if file == "row":
        path = results.row_path(tmp_path, result, "supervised_few")
    path.write_text(damage(path.read_text()))
    for read in (results.read_results, results.read_rows):
        if (file, read) != ("notebook", results.read_rows):
            with pytest.raises(InputError, match=word) as caught:
                read(tmp_path)
            assert str(path) in str(caught.value) or file == "row"


def test_a_row_has_one_file_whichever_notebook_trained_it(cohort, tmp_path):
    row = results.score_cohort(perfect(cohort), cohort)
    for notebook in ("00_a", "01_b"):
        results.write_result(build(cohort, row, notebook=notebook, commit="x"), tmp_path)
    (path,) = (tmp_path / results.ROWS).glob("*/*.json")
    stored = results.read_rows(tmp_path)
    assert [r["rows"].keys() for r in stored] == [{"supervised_few"}]
    assert stored[0]["rows"]["supervised_few"]["dice"] == row["dice"]
    before = path.stat().st_mtime_ns
    results.write_result(build(cohort, row, notebook="02_c", commit="later"), tmp_path)
    assert path.stat().st_mtime_ns == before, "only provenance differs: the file stays"
    results.write_result(build(cohort, {**row, "config": {"alpha": 1}}, notebook="02_c"), tmp_path)
    assert path.stat().st_mtime_ns != before


def test_infinity_and_unknown_objects_are_not_written(cohort, tmp_path):
    row = results.score_cohort(perfect(cohort), cohort)
    for value in (float("inf"), object()):
        with pytest.raises(InputError, match="JSON"):
            results.write_result(build(cohort, row, parameters={"alpha": value}), tmp_path)


def test_names_of_folders_are_made_safe():
    name = results.safe_name("/home/someone/My scans (new)/")
    assert re.fullmatch(r"My_scans_new-[0-9a-f]{6}", name)
    assert results.safe_name(name) == name, "a name that was made stays as it is"
    assert results.safe_name("phantom_3d") == "phantom_3d"
    assert re.fullmatch(r"scans-[0-9a-f]{6}", results.safe_name("/home/someone/数据"))
    with pytest.raises(InputError):
        results.safe_name("")


def test_folders_of_one_name_have_names_of_their_own(tmp_path, monkeypatch):
    for parent in "AB":
        (tmp_path / parent / "data").mkdir(parents=True)
    names = {results.safe_name(str(tmp_path / parent / "data")) for parent in "AB"}
    assert len(names) == 2
    monkeypatch.chdir(tmp_path / "A")
    assert results.safe_name("data") in names, "a folder in the working directory is one, too"
    assert results.safe_name("./data") == results.safe_name("data")
    (tmp_path / "A" / "phantom").mkdir()
    assert results.safe_name("phantom") == "phantom", "the data set of that name"


def test_the_names_of_data_sets_are_known_where_files_are_named():
    assert set(NAMED) == {*DATASETS, EXAMPLE}


def test_provenance_says_what_ran():
    assert package_versions(["torch"])["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert package_versions(["no-such-package"])["no-such-package"] == "missing"
    assert "CPU" in device_name("cpu")
    assert 10e6 < peak_memory_bytes("cpu") < 1e12


def test_commit_tells_a_clean_from_a_changed_checkout(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    assert git_commit(tmp_path) == "unknown"
    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "first")
    assert len(git_commit(tmp_path)) == 12
    (tmp_path / "file").write_text("two")
    assert git_commit(tmp_path).endswith("+changes")


def test_the_file_is_plain_json(cohort, tmp_path):
    path = results.write_result(
        build(cohort, results.score_cohort(perfect(cohort), cohort)), tmp_path
    )
    assert set(KEYS) <= set(json.loads(path.read_text()))


def test_rows_of_a_trial_stand_beside_the_stored_ones(tmp_path) -> None:
    runs = [
        {"dataset": "toy", "profile": "quick", "n_labelled": 2, "seed": seed, "rows": {"aau": {}}}
        for seed in (0, 1)
    ]
    line = {"dataset": "toy", "n_labelled": 2, "seed": 1, "row": "aau"}
    line |= {"validation": 0.25, "test": {"t0": 0.5}}
    file = tmp_path / "trial.json"
    assert results.add_trial(runs, file, "turned") == runs
    for profile, found in (("evening", 0), ("quick", 1)):
        file.write_text(json.dumps({"profile": profile, "lines": [line]}))
        added = results.add_trial(runs, file, "turned")
        names = [set(run["rows"]) for run in added]
        assert names == [{"aau"}, {"aau", "aau turned"} if found else {"aau"}]
    row = added[1]["rows"]["aau turned"]
    (entry,) = row["per_case"]
    assert (entry["id"], entry["dice"], row["validation"]) == ("t0", 0.5, 0.25)
    assert set(runs[1]["rows"]) == {"aau"}
