"""Notebook 06, cell by cell, on a folder as people have them: files renamed by hand, orientations
mixed, one image broken, one label map missing. What it writes must lie on the scans and score as
its result file says."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import format_scans
import nibabel
import numpy as np
import pytest
from organ_scans import CODES, organ, write_organs, write_oriented

from ssl_lib.config import settings_for
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.formats import read_volume, volume_header
from ssl_lib.data.load import DATASETS
from ssl_lib.data.reading import read_nifti
from ssl_lib.evaluation.metrics import mean_dice
from ssl_lib.evaluation.results import DIGITS, read_result
from ssl_lib.export.model import ExportedModel, predict_scan
from ssl_lib.methods import METHODS
from ssl_lib.notebook.files import cell_tags, read_cells
from ssl_lib.notebook.source import NOTEBOOKS_DIR, load_method
from ssl_lib.reports import plan
from ssl_lib.training import study
from ssl_lib.utils.errors import InputError

NOTEBOOK = NOTEBOOKS_DIR / "06_your_own_scans.py"


def renamed_by_hand(folder: Path) -> Path:
    """Nine scans under names that somebody made up; see the module's text for what is wrong."""
    write_organs(folder, labelled=8, unlabelled=1)
    for part in ("imagesTr", "labelsTr"):
        for number in (1, 2):
            path = folder / part / f"a0{number}.nii.gz"
            path.rename(path.with_name(f"My scan {number} (final).nii.gz"))
        unpacked = nibabel.load(folder / part / "a03.nii.gz")
        unpacked.to_filename(folder / part / "Patient-C.nii")
        (folder / part / "a03.nii.gz").unlink()
    broken = folder / "imagesTr" / "a04.nii.gz"
    broken.write_bytes(broken.read_bytes()[:900])
    (folder / "labelsTr" / "a05.nii.gz").unlink()
    return folder


def run_cells(**parameters: object) -> dict[str, object]:
    """The names that all code cells of the notebook define, with these parameters."""
    names: dict[str, object] = {"__name__": "__main__", "display": lambda *_: None}
    for cell in read_cells(NOTEBOOK):
        if cell.cell_type == "code":
            exec(compile(cell.source, str(NOTEBOOK), "exec"), names)
            if "parameters" in cell_tags(cell):
                assert parameters.keys() <= names.keys()
                names.update(parameters)
    return names


def run_on(
    folder: Path, root: Path, n_labelled: int, methods: str, **more: object
) -> SimpleNamespace:
    """The notebook on a folder, as for a page; what it defined, wrote, and how often it opened each
    file."""
    opened, open_file = Counter(), Path.open

    def counted(path: Path, *more: object, **options: object) -> object:
        opened[path] += 1
        return open_file(path, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", counted)
        patch.setenv("SSL_STATIC", "1")
        patch.chdir(NOTEBOOKS_DIR.parent)
        names = run_cells(
            DATASET=str(folder),
            PROFILE="smoke",
            N_LABELLED=n_labelled,
            METHODS=methods,
            RESULTS_DIR=str(root / "results"),
            RUNS_DIR=str(root / "runs"),
            OUTPUT_DIR=str(root / "out"),
            **more,
        )
    (result,) = (root / "results").glob("*/*.json")
    content = read_result(result)
    return SimpleNamespace(folder=folder, root=root, result=content, names=names, opened=opened)


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> SimpleNamespace:
    """The notebook on that folder, with one method and the control."""
    root = tmp_path_factory.mktemp("own")
    return run_on(renamed_by_hand(root / "scans"), root, 2, "mean_teacher")


def test_a_scan_is_opened_to_survey_train_predict_score_and_show_it(ran):
    """However many rows there are: each scan is predicted by all of them, and scored, at once."""
    cohort = ran.names["cohort"]
    test, again = {case.path for case in cohort.test}, ran.names["new_scan"]
    assert len(ran.names["trainings"]) > 1
    for case in cohort.cases:
        most = 5 if case.path in test else 4
        assert 2 <= ran.opened[case.path] <= most + (case.path in again), case.path


def test_the_broken_file_is_named_and_left_out(ran):
    assert [line.split(":")[0] for line in ran.result["excluded"]] == ["imagesTr/a04.nii.gz"]
    assert "damaged" in ran.result["excluded"][0]
    assert "imagesTr/a04.nii.gz" in ran.names["cohort"].caveat


def letters_of(path):
    return volume_header(read_volume(path)).orientation


def test_every_other_scan_is_predicted_on_its_own_voxels(ran):
    predictions = {path.name: path for path in (ran.root / "out").glob("*/predictions/*/*.nii.gz")}
    images = [path for path in (ran.folder / "imagesTr").iterdir() if path.name != "a04.nii.gz"]
    assert len(images) == 8
    for image in images:
        written = predictions[image.name.removesuffix(".gz").removesuffix(".nii") + ".nii.gz"]
        stored, scan = nibabel.load(written), nibabel.load(image)
        np.testing.assert_array_equal(stored.affine, scan.affine)
        assert stored.shape == scan.shape and stored.get_data_dtype() == np.uint8
        assert letters_of(written) == letters_of(image)
    assert len({letters_of(image) for image in images}) > 2


def test_scores_equal_those_of_the_written_files(ran):
    """Computed here with nibabel and a plain formula, on the voxels as they are stored."""
    for row, scores in ran.result["rows"].items():
        for entry in scores["per_case"]:
            (written,) = (ran.root / "out").glob(f"*/predictions/{row}/{entry['id']}.nii.gz")
            truth = next((ran.folder / "labelsTr").glob(f"{entry['id']}.nii*"))
            mine, theirs = (
                np.asarray(nibabel.load(path).dataobj) == entry["class"]
                for path in (written, truth)
            )
            dice = 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum())
            assert dice == pytest.approx(entry["dice"], abs=0.51 * 10**-DIGITS)


def test_the_control_is_always_there_and_the_choice_is_made_on_validation_scans(ran):
    assert set(ran.result["rows"]) == {"supervised_strong", "mean_teacher"}
    assert ran.names["best"] in ran.result["rows"]
    assert ran.names["validation"].keys() == ran.result["rows"].keys()


def test_every_unlabelled_scan_is_watched_once(ran):
    unlabelled = {case.case_id for case in ran.names["cohort"].unlabelled}
    watched = ran.names["watched"]
    assert len(watched) == len(unlabelled) and {one.case_id for one in watched} == unlabelled
    places = [one.place for one in watched]
    assert places == sorted(places)


def test_the_choice_of_post_processing_stands_in_the_result_and_in_the_weights(ran):
    records = ran.result["post_processing"]
    assert records.keys() == ran.result["rows"].keys()
    for row, model in ran.names["exported"].items():
        assert list(model.post_processed) == records[row]["largest_component"] == []
        assert records[row]["validation_scans"] < 3, "so nothing is chosen"


def test_no_outline_of_an_expert_is_replaced_or_asked_for_again(ran):
    """Labels that are sealed for training are labels all the same."""
    outlined = ran.names["fingerprint"].listing.labels
    sealed = {case.case_id for case in ran.names["cohort"].unlabelled} & set(outlined)
    assert sealed, "training saw two of them only"
    (folder,) = (ran.root / "out").glob("*/nnunet/Dataset001_mine")
    written = {p.name.removesuffix(".nii.gz"): p for p in (folder / "labelsTr").glob("*.nii.gz")}
    tests = {case.case_id for case in ran.names["cohort"].test}
    assert set(outlined) - tests <= set(written) and not tests & set(written)
    for name in set(outlined) - tests:
        mine, theirs = (
            nibabel.as_closest_canonical(nibabel.load(path))
            for path in (written[name], outlined[name])
        )
        np.testing.assert_array_equal(np.asarray(mine.dataobj), np.asarray(theirs.dataobj))
    assert not set(ran.names["following"]) & set(outlined)


def test_too_few_validation_scans_choose_nothing():
    """Not even the row: the recommended one is used, where it was trained."""
    row_to_use = load_method("06_your_own_scans").row_to_use
    ranking = ["mean_teacher", "recommended", "supervised_strong"]
    assert [row_to_use(ranking, count)[0] for count in (0, 2, 3)] == [
        "recommended", "recommended", "mean_teacher"
    ]  # fmt: skip
    assert row_to_use(ranking[::2], 1)[0] == "mean_teacher", "it was not trained"


def test_the_scan_whose_label_is_missing_is_an_unlabelled_one(ran):
    cohort = ran.names["cohort"]
    groups = {case.case_id: name for name, cases in cohort.groups.items() for case in cases}
    assert groups.get("a05", "outside") in ("unlabelled", "outside")
    assert "a05" not in cohort.sealed


def test_the_kept_weights_predict_a_scan_without_the_notebook(ran, tmp_path):
    row = ran.names["best"]
    (weights,) = (ran.root / "out").glob(f"*/weights/{row}.safetensors")
    image = ran.folder / "imagesTr" / "Patient-C.nii"
    done = predict_scan(weights, image, tmp_path / "label.nii.gz")
    (before,) = (ran.root / "out").glob(f"*/predictions/{row}/Patient-C.nii.gz")
    assert done.path.read_bytes() == before.read_bytes()
    assert mean_dice(done.label, read_nifti(before).voxels, 3) in (
        1.0,
        pytest.approx(np.nan, nan_ok=True),
    )


# --- a series of slices, everything labelled, values with a gap


def test_slices_without_any_unlabelled_scan_go_through(tmp_path):
    folder = tmp_path / "scans"
    for number in range(5):
        image, label = organ(number)
        for part, voxels in (("images", image), ("labels", np.float32([0, 1, 255])[label])):
            path = folder / f"{part}Tr" / f"{number}.nii.gz"
            write_oriented(path, voxels, CODES[number % 4], (1.0, 1.0, 6.0))
    ran = run_on(folder, tmp_path, 3, "mean_teacher bcp")
    assert ran.names["cohort"].dimensions == 2 and not ran.names["cohort"].unlabelled
    assert list(ran.result["rows"]) == ["supervised_strong"]
    written = sorted((tmp_path / "out").glob("*/predictions/supervised_strong/*.nii.gz"))
    assert len(written) == 5
    for path in written:
        scan = nibabel.load(folder / "imagesTr" / path.name)
        np.testing.assert_array_equal(nibabel.load(path).affine, scan.affine)
        assert set(np.unique(np.asarray(nibabel.load(path).dataobj))) <= {0, 1, 255}


# --- when there is nothing to be found, and when a file goes wrong on the way


@pytest.mark.parametrize(
    ("write", "ending", "more"),
    [
        (format_scans.as_itk(".nrrd"), ".nrrd", {}),
        (format_scans.as_dicom_seg, ".dcm", {}),
        (format_scans.as_frames, ".nii.gz", {"DICOM_AS": ".nii.gz"}),
        (format_scans.as_coloured, ".png", {}),
        (format_scans.as_colour_pictures, ".png", {}),
        (format_scans.as_two_channels, ".nii.gz", {}),
        (format_scans.as_two_sizes, ".nii.gz", {}),
    ],
    ids=[
        "nrrd",
        "series and SEG",
        "frames",
        "colour labels",
        "colour pictures",
        "two channels",
        "two voxel sizes",
    ],
)
def test_the_notebook_takes_folders_of_every_kind(tmp_path, write, ending, more):
    folder = format_scans.write_folder(tmp_path / "mine", write)
    ran = run_on(folder, tmp_path, 2, "mean_teacher", **more)
    assert ran.result["excluded"] == []
    written = list((tmp_path / "out").glob(f"*/predictions/*/*{ending}"))
    assert len({path.name for path in written}) == 9, "every scan is predicted"


def test_healthy_test_scans_in_which_nothing_is_found_end_in_undefined_scores(tmp_path):
    """No row is scored, nothing divides by nothing, and the notebook runs to its end."""
    folder = write_organs(tmp_path / "scans", labelled=6, unlabelled=2)
    for number in range(2):
        image, label = organ(40 + number)
        image[:3] = np.nan  # outside of the body
        write_oriented(folder / "imagesTs" / f"t{number}.nii.gz", image)
        write_oriented(folder / "labelsTs" / f"t{number}.nii.gz", 0 * label)

    def nothing(network, cases, **options):
        return {case.case_id: np.zeros(case.image.shape, np.uint8) for case in cases}

    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "predict_cohort", nothing)
        patch.setattr(
            ExportedModel, "segment", lambda self, volume: np.zeros(volume.voxels.shape, np.uint8)
        )
        patch.setattr("builtins.print", lambda *words, **_: shown.append(" ".join(map(str, words))))
        ran = run_on(folder, tmp_path, 2, "mean_teacher")
    assert all(np.isnan(row["dice"]) for row in ran.result["rows"].values())
    lines = [line for line in shown if "Strong baseline" in line]
    assert any("undefined" in line for line in lines)
    assert [line for line in lines if re.search(r"\bnan\b", line)] == []
    assert any("every voxel is background" in line for line in shown)


def test_a_corrected_prediction_stays_and_the_next_run_writes_elsewhere(tmp_path):
    folder = write_organs(tmp_path / "scans", labelled=7, unlabelled=2)
    first = run_on(folder, tmp_path, 2, "mean_teacher")
    scan = first.names["test_names"][0]
    corrected = first.names["output"] / "predictions" / "mean_teacher" / f"{scan}.nii.gz"
    corrected.write_bytes(corrected.read_bytes()[:-9])
    kept = corrected.read_bytes()
    again = run_on(folder, tmp_path, 2, "mean_teacher")
    assert corrected.read_bytes() == kept
    assert again.names["output"].name == first.names["output"].name + "-2"
    assert again.names["refused"] == {row: {} for row in again.result["rows"]}
    assert again.result["rows"]["mean_teacher"]["dice"] == pytest.approx(
        first.result["rows"]["mean_teacher"]["dice"], nan_ok=True
    )


# --- few labelled scans: folds


def test_in_folds_every_labelled_scan_is_scored_and_the_exported_network_has_seen_all(tmp_path):
    folder = write_organs(tmp_path / "scans", labelled=5, unlabelled=2)
    ran = run_on(folder, tmp_path, 1, "mean_teacher", FOLDS=3)
    labelled = {f"a0{number}" for number in range(5)}
    assert ran.result["folds"] == 3 and ran.result["n_labelled"] == 5
    for scores in ran.result["rows"].values():
        assert {entry["id"] for entry in scores["per_case"]} == labelled
    model = ran.names["exported"][ran.names["best"]]
    assert model.config["training"]["labelled"] == 5
    assert model.config["scores"]["folds"] == 3 and model.config["scores"]["n_scans"] == 5
    assert model.config["post_processing"]["validation_scans"] == 5
    (card,) = (tmp_path / "out").glob(f"*/weights/{ran.names['best']}.md")
    assert "in 3 folds; this network was trained on all of them" in card.read_text()
    assert len(list((tmp_path / "out").glob("*/predictions/*/*.nii.gz"))) == 7


# --- every method can be called


@pytest.fixture(scope="module")
def method():
    return load_method(NOTEBOOK.stem)


def test_methods_are_chosen_by_name_with_the_control(method):
    assert method.chosen_methods([], True) == ["supervised_strong"]
    assert method.chosen_methods(["bcp", "supervised_few"], True) == [
        "supervised_few",
        "supervised_strong",
        "bcp",
    ]
    assert method.chosen_methods(["bcp"], False) == ["supervised_strong"]
    with pytest.raises(InputError, match="no method 'bpc'"):
        method.chosen_methods(["bpc"], True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bcp", "umct", "aau", "dsaif"])
def test_each_method_trains_on_a_folder(ran, name):
    cohort = ran.names["cohort"]
    tiny = study.Study(cohort, settings_for("smoke", cohort), "smoke", 0, study.best_device())
    rows = tiny.rows(METHODS[name])
    assert name in rows
    for training in rows.values():
        predictions = tiny.predict(training.networks.student, cohort.test)
        assert all(label.max() < cohort.n_classes for label in predictions.values())


# --- the report command


def test_folders_are_planned_and_named_data_sets_passed_by(ran, tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("00_few_labels_many_scans", NOTEBOOK.stem):
        shutil.copy(NOTEBOOKS_DIR / f"{name}.py", tmp_path / "notebooks")
    folders = plan.Folders(tmp_path)
    request = {"profile": "smoke", "n_labelled": (2,)}
    assert "phantom" in DATASETS
    both = plan.plan(plan.Request(datasets=("phantom",), **request), folders)
    assert [job.notebook for job in both] == ["00_few_labels_many_scans"]
    with pytest.raises(InputError, match="reads a folder of scans"):
        plan.plan(plan.Request(("06",), ("phantom",), **request), folders)
    (job,) = plan.plan(plan.Request(("06",), (str(ran.folder),), **request), folders)
    assert job.data_hash.startswith(ran.names["cohort"].content_hash)
    extra = ran.folder / "imagesTs" / "new.nii.gz"
    extra.parent.mkdir()
    shutil.copy(ran.folder / "imagesTr" / "u00.nii.gz", extra)
    (again,) = plan.plan(plan.Request(("06",), (str(ran.folder),), **request), folders)
    shutil.rmtree(extra.parent)
    assert again.data_hash != job.data_hash, "a scan that is only predicted counts, too"
    assert take_fingerprint(ran.folder).excluded
