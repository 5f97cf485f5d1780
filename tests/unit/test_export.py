"""Exported models: they predict as they did, say what they are, refuse what cannot be right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from organ_scans import SPACING, organ, write_organs, write_oriented
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_study import CPU, tiny_settings

from ssl_lib import methods
from ssl_lib.data.downsampling import majority
from ssl_lib.data.own_scans import OwnScans, open_own_scans, scan_groups
from ssl_lib.data.reading import read_nifti
from ssl_lib.evaluation.metrics import mean_dice
from ssl_lib.evaluation.post_processing import keep_largest
from ssl_lib.export import file as model_file
from ssl_lib.export import model as exporting
from ssl_lib.export.checks import checked_description
from ssl_lib.export.model import load_model, predict_scan
from ssl_lib.export.output import output_folder
from ssl_lib.export.predictions import predict_files, read_classes, score_files, write_list
from ssl_lib.training.loop import Schedule
from ssl_lib.training.method import Method
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError

SIZES = {"dimensions": 3, "n_classes": 3, "width": 8}


def small_study(scans: OwnScans, iterations: int = 40, **changes) -> Study:
    """A study that learns the organ of the test scans well enough to find it."""
    patch = (16, 16, 16)[: scans.cohort.dimensions]
    settings = tiny_settings(
        patch=patch, warm_up=iterations, schedule=Schedule(iterations, 2e-2), width=8, **changes
    )
    return Study(scans.cohort, settings, "smoke", 0, CPU)


def trained(folder: Path, scans: OwnScans, **options) -> SimpleNamespace:
    """A supervised row of a folder: study, training, result and the path of the weights."""
    study = small_study(scans, **options)
    step = methods.baselines.supervised_plain_step
    done = study.train(Method("row", step, step))
    result = study.save("06_your_own_scans", "mine", {"supervised_few": done}, folder / "results")
    network = done.networks.student
    path = exporting.export_model(
        folder, "supervised_few", network, study=study, scans=scans, result=result
    )
    return SimpleNamespace(study=study, network=network, result=result, path=path, scans=scans)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("exported")
    scans = open_own_scans(str(write_organs(folder / "mine")), "gpu", 3)
    return trained(folder, scans)


@pytest.fixture
def scan(tmp_path) -> Path:
    return write_oriented(tmp_path / "new.nii.gz", organ(77)[0], "LPS")


# --- what was exported predicts as before


def test_the_exported_network_predicts_what_the_trained_one_did(made, tmp_path):
    loaded = load_model(made.path)
    before = made.study.predict(made.network, made.scans.cohort.cases)
    for case in made.scans.cohort.cases:
        np.testing.assert_array_equal(loaded.segment(read_nifti(case.path)), before[case.case_id])


def predict(made, names, folder):
    """What the exported network predicts into `folder/row`, and what it refuses."""
    parts = {"row": load_model(made.path)}, made.scans.fingerprint, names, folder
    return tuple(of["row"] for of in predict_files(*parts))


def score(made, names, folder):
    """Means and entries of what was predicted there."""
    return score_files(folder, made.scans.fingerprint, {"row": names})["row"]


def test_scores_of_the_written_files_are_those_of_the_result(made, tmp_path):
    names = [case.case_id for case in made.scans.cohort.test]
    predict(made, names, tmp_path)
    means, entries = score(made, names, tmp_path)
    row = made.result["rows"]["supervised_few"]
    assert row["dice"] > 0.3, "the organ is found, so that scores say something"
    assert means == pytest.approx({key: row[key] for key in means}, abs=1e-9)
    for mine, theirs in zip(entries, row["per_case"], strict=True):
        assert mine == pytest.approx(theirs, nan_ok=True)


def test_a_new_scan_is_written_on_its_voxels_with_volumes(made, scan, tmp_path):
    done = predict_scan(made.path, scan, tmp_path / "out" / "label.nii.gz")
    written = nibabel.load(done.path)
    np.testing.assert_array_equal(written.affine, nibabel.load(scan).affine)
    voxels = np.asarray(written.dataobj)
    voxel = np.prod(SPACING) / 1000
    assert done.sizes == pytest.approx(
        {"class 1": voxel * (voxels == 1).sum(), "class 2": voxel * (voxels == 2).sum()}
    )
    assert done.warnings == ()


def test_the_command_line_says_what_it_found(made, scan, tmp_path, capsys):
    output = tmp_path / "label.nii.gz"
    assert exporting.main([str(made.path), str(scan), str(output)]) == 0
    assert "class 1: " in capsys.readouterr().out and output.exists()
    assert exporting.main([str(scan), str(scan), str(output)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and "Traceback" not in printed.err


def test_the_card_says_what_a_stranger_must_know(made):
    card = made.path.with_suffix(".md").read_text()
    row = made.result["rows"]["supervised_few"]
    for words in (
        f"Dice {row['dice']:.3f} on 1 test scan,",
        "no interval",
        "1 x 1.5 x 2 mm",
        "3 scans with labels",
        "Not a medical device",
        "Licence of the data: not stated",
        made.result["commit"],
    ):
        assert words in card, words


def test_the_list_says_who_was_learnt_from(made, tmp_path):
    groups = scan_groups(made.scans)
    done, _ = predict(made, ["a00", "u00"], tmp_path)
    lines = write_list(tmp_path / "list.csv", done, groups).read_text().splitlines()
    assert lines[0] == "scan,group,class 1 (ml),class 2 (ml),warnings"
    assert lines[2].startswith("u00,unlabelled,")
    assert lines[1].split(",")[1] == groups["a00"]


# --- what is never overwritten


@pytest.mark.parametrize("link", [None, "symlink_to", "hardlink_to"])
def test_a_scan_is_never_replaced_by_its_prediction(made, scan, tmp_path, link, capsys):
    mine = tmp_path / "scan.nii.gz"
    mine.write_bytes(scan.read_bytes())
    output = mine
    if link:
        output = tmp_path / "output.nii.gz"
        getattr(output, link)(mine)
    before = mine.read_bytes()
    with pytest.raises(InputError, match="is the scan itself"):
        predict_scan(made.path, mine, output)
    assert exporting.main([str(made.path), str(mine), str(output)]) == 2
    assert "another file for the label map" in capsys.readouterr().err
    assert mine.read_bytes() == before and output.read_bytes() == before


def test_a_label_map_by_hand_or_corrected_by_hand_is_never_replaced(made, scan, tmp_path):
    output = tmp_path / "label.nii.gz"
    predict_scan(made.path, scan, output)
    predict_scan(made.path, scan, output)  # what was predicted before may be
    stored = nibabel.load(output)
    voxels = np.asarray(stored.dataobj).copy()
    voxels[0, 0, 0] = 1
    moved = stored.affine + 0.5 * np.eye(4)
    for changed in (
        nibabel.Nifti1Image(voxels, stored.affine, stored.header),
        nibabel.Nifti1Image(np.asarray(stored.dataobj), moved, stored.header),
    ):
        changed.to_filename(output)
        corrected = output.read_bytes()
        with pytest.raises(InputError, match="was changed since"):
            predict_scan(made.path, scan, output)
        assert output.read_bytes() == corrected
    name = made.scans.cohort.test[0].case_id
    (tmp_path / "row").mkdir()
    (tmp_path / "row" / f"{name}.nii.gz").write_bytes(b"mine")
    done, refused = predict(made, [name, "u00"], tmp_path)
    assert set(done) == {"u00"} and set(refused) == {name}, "the others go on"
    assert (tmp_path / "row" / f"{name}.nii.gz").read_bytes() == b"mine"
    lines = write_list(tmp_path / "list.csv", done, {}, refused).read_text().splitlines()
    assert lines[2].startswith(f'{name},outside,,,"not predicted: ')


def test_other_files_of_the_user_are_never_replaced(made, tmp_path):
    options = {"study": made.study, "scans": made.scans, "result": made.result}
    for name in ("supervised_few.safetensors", "supervised_few.md", "list.csv"):
        path = tmp_path / name
        path.write_text("my notes")
        with pytest.raises(InputError, match="is there already"):
            if name == "list.csv":
                write_list(path, {}, {})
            else:
                exporting.export_model(tmp_path, "supervised_few", made.network, **options)
        assert path.read_text() == "my notes"
        for left in tmp_path.iterdir():
            left.unlink()
    for _ in range(2):
        exporting.export_model(tmp_path, "supervised_few", made.network, **options)
        write_list(tmp_path / "list.csv", {}, {})
    for name in ("supervised_few.md", "list.csv"):
        with (tmp_path / name).open("a") as file:
            file.write("checked by me")
    with pytest.raises(InputError, match="was changed since"):
        write_list(tmp_path / "list.csv", {}, {})
    with pytest.raises(InputError, match="was changed since"):
        exporting.export_model(tmp_path, "supervised_few", made.network, **options)
    assert (tmp_path / "supervised_few.md").read_text().endswith("checked by me")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is there already"):
        write_list(tmp_path / "link.csv", {}, {})


def test_a_run_writes_into_the_first_folder_that_holds_nothing_of_the_readers(made, scan, tmp_path):
    first = output_folder(tmp_path, "run")
    assert first == tmp_path / "run"
    done = predict_scan(made.path, scan, first / "predictions" / "a.nii.gz")
    write_list(first / "list.csv", {"a": done}, {})
    assert output_folder(tmp_path, "run") == first, "files as they were written are replaced"
    (first / "notes.txt").write_text("mine")
    assert output_folder(tmp_path, "run") == tmp_path / "run-2"
    (first / "notes.txt").unlink()
    done.path.write_bytes(done.path.read_bytes()[:-5])
    (tmp_path / "run-2").symlink_to(first)
    assert output_folder(tmp_path, "run") == tmp_path / "run-3"


# --- what is refused


def tampered(path: Path, folder: Path, *, checksum: bool = False, **changes) -> Path:
    """The exported file with its description changed, its checksum renewed or not."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    config = json.loads(metadata["config"])
    for name, change in changes.items():
        if name == "tensor":
            change(tensors)
        else:
            config[name] = change
    metadata["config"] = json.dumps(config, sort_keys=True)
    if checksum:
        metadata["sha256"] = model_file._checksum(tensors, metadata["config"])
    save_file(tensors, folder / "changed.safetensors", metadata)
    return folder / "changed.safetensors"


def doubled(tensors: dict[str, torch.Tensor]) -> None:
    tensors["head.weight"] = tensors["head.weight"] * -2


def renamed(tensors: dict[str, torch.Tensor]) -> None:
    tensors["tail.weight"] = tensors.pop("head.weight")


def without_probe(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["probe.input"]


def test_a_changed_description_and_changed_weights_are_refused(made, tmp_path):
    for changes in ({"class_names": ["air", "back", "front"]}, {"tensor": doubled}):
        with pytest.raises(InputError, match="changed after they were exported"):
            load_model(tampered(made.path, tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tensor": doubled}, "predicts otherwise"),
        ({"tensor": renamed}, "do not fit each other"),
        ({"tensor": without_probe}, "do not fit each other"),
        ({"network": {**SIZES, "kind": "small", "width": 4}}, "do not fit"),
        ({"network": {**SIZES, "kind": "big"}}, "no kind of network"),
        ({"network": {**SIZES, "kind": "../x", "view": []}}, "no kind of network"),
        ({"values": [0]}, "value for each class"),
        ({"geometry": None}, "geometry"),
    ],
)
def test_a_mismatched_description_is_refused_even_with_a_checksum(made, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        load_model(tampered(made.path, tmp_path, checksum=True, **changes))


def test_files_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_model(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(InputError, match="no safetensors file"):
        load_model(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no format that this repository writes"):
        load_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.ones((5, 5)), "three axes"),
        (np.random.default_rng(0).normal(size=(6, 6, 6, 2)), "three axes"),
        (np.full((8, 8, 8), np.nan), "NaN"),
        (np.ones((8, 8, 8)), "every voxel"),
        (np.random.default_rng(0).normal(size=(24, 22, 1)), "single slice"),
    ],
)
def test_scans_that_cannot_be_predicted_are_refused(made, tmp_path, voxels, words):
    path = tmp_path / "scan.nii.gz"
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    with pytest.raises(InputError, match=words):
        predict_scan(made.path, path, tmp_path / "label.nii.gz")
    assert not (tmp_path / "label.nii.gz").exists()


def test_networks_that_cannot_be_described_are_not_exported(made, tmp_path):
    options = {"study": made.study, "scans": made.scans, "result": made.result}
    with pytest.raises(InputError, match="Conv3d cannot be exported"):
        exporting.export_model(tmp_path, "supervised_few", torch.nn.Conv3d(1, 3, 1), **options)


def test_written_files_are_scored_only_where_they_lie_on_their_scan(made, tmp_path):
    fingerprint, name = made.scans.fingerprint, made.scans.cohort.test[0].case_id
    write_oriented(tmp_path / "row" / f"{name}.nii.gz", organ(0, (24, 22, 19))[1])
    with pytest.raises(InputError, match="shape"):
        score_files(tmp_path, fingerprint, {"row": [name]})
    with pytest.raises(InputError, match="no label map"):
        score_files(tmp_path, fingerprint, {"row": ["u00"]})
    image = read_nifti(fingerprint.listing.images[name])
    with pytest.raises(InputError, match="the value 2"):
        read_classes(fingerprint.listing.labels[name], image, (0, 1))


# --- what is warned of


@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        ({"spacing": (1.0, 1.5, 4.0)}, None, "its voxels are 1 x 1.5 x 4 mm"),
        ({"orientation": "LAS"}, None, "stored as LAS"),
        ({}, lambda image: image * 100, "another modality"),
        ({}, lambda image: image - 1000, "another modality"),
        ({}, lambda image: image + 60, "another modality"),
        ({}, lambda image: np.tile(image, (3, 1, 1)), "it measures"),
    ],
)
def test_differences_from_the_training_scans_are_said(made, tmp_path, options, change, words):
    image = organ(77)[0]
    path = write_oriented(tmp_path / "a.nii.gz", change(image) if change else image, **options)
    done = predict_scan(made.path, path, tmp_path / "label.nii.gz")
    assert any(words in warning for warning in done.warnings), done.warnings


# --- slices, downsampled volumes, several networks, other values


def test_slices_and_values_with_gaps_go_the_whole_way(tmp_path):
    folder = tmp_path / "mine"
    for number in range(7):
        image, label = organ(number)
        for part, voxels in (("images", image), ("labels", np.uint8([0, 50, 255])[label])):
            path = folder / f"{part}Tr" / f"{number}.nii.gz"
            write_oriented(path, voxels, "SAL", (1.0, 1.0, 6.0))
    scans = open_own_scans(str(folder), "gpu", 3)
    done = trained(tmp_path, scans)
    assert scans.cohort.dimensions == 2
    names = [case.case_id for case in scans.cohort.test]
    predicted, _ = predict(done, names, tmp_path / "out")
    means, _ = score(done, names, tmp_path / "out")
    row = done.result["rows"]["supervised_few"]
    assert row["dice"] > 0.05, "slices without organ cost much; what is found must lie right"
    assert means == pytest.approx({key: row[key] for key in means}, abs=1e-9)
    stored = np.asarray(nibabel.load(predicted[names[0]].path).dataobj)
    assert set(np.unique(stored)) <= {0, 50, 255} and stored.max() > 2


def test_shrunk_volumes_are_predicted_at_their_own_size(tmp_path, monkeypatch):
    monkeypatch.setitem(exporting.OwnScans.__init__.__globals__, "LARGEST_SIDE", {"gpu": 12})
    scans = open_own_scans(str(write_organs(tmp_path / "mine")), "gpu", 3)
    done = trained(tmp_path, scans, iterations=80)
    names = [case.case_id for case in scans.cohort.test]
    assert scans.geometry.factors == (2, 2, 2)
    predicted, _ = predict(done, names, tmp_path / "out")
    means, _ = score(done, names, tmp_path / "out")
    assert predicted[names[0]].label.shape == scans.fingerprint.properties[names[0]].shape
    (case,) = scans.cohort.test
    small = done.study.predict(done.network, [case])[case.case_id]
    again = majority(predicted[case.case_id].label, (2, 2, 2))
    moved = [np.roll(small, step, axis) for axis in range(3) for step in (-1, 1)]
    best = max(mean_dice(again, other, 3) for other in moved)
    assert mean_dice(again, small, 3) > best, "interpolated, the prediction stays where it was"
    assert means["dice"] > 0.5
    assert "downsampled by 2 x 2 x 2" in done.path.with_suffix(".md").read_text()


def test_a_network_sees_the_grey_levels_that_it_was_trained_on(made, tmp_path):
    published = trained(tmp_path, made.scans, geometry="published")
    loaded = load_model(published.path)
    (case, *_) = made.scans.cohort.test
    own = published.study.predict(published.network, [case])[case.case_id]
    np.testing.assert_array_equal(loaded.segment(read_nifti(case.path)), own)
    other = replace(loaded, config={**loaded.config, "inference": {
        **loaded.config["inference"], "standardise": True}})  # fmt: skip
    assert (other.segment(read_nifti(case.path)) != own).any(), "or this test could not fail"
    assert "grey levels of the whole scan" in published.path.with_suffix(".md").read_text()
    assert "every window standardised" in made.path.with_suffix(".md").read_text()


def test_views_of_a_notebook_and_their_average_are_exported(made, tmp_path):
    study = small_study(made.scans, iterations=2)
    rows = study.rows(replace(methods.METHODS["umct_views_supervised"], name="umct"))
    result = study.save("06_your_own_scans", "mine", rows, tmp_path / "results")
    for row, training in rows.items():
        network = training.networks.student
        options = {"study": study, "scans": made.scans, "result": result}
        loaded = load_model(exporting.export_model(tmp_path, row, network, **options))
        (case,) = made.scans.cohort.test
        expected = study.predict(network, [case])[case.case_id]
        np.testing.assert_array_equal(loaded.segment(read_nifti(case.path)), expected)


# --- post-processing


def chosen_for(made, folder: Path, classes: list[int]) -> Path:
    """The weights exported again, with classes of which the largest component is kept."""
    record = {"largest_component": classes, "validation_scans": 4, "test_dice": 0.5}
    result = {**made.result, "post_processing": {"supervised_few": record}}
    options = {"study": made.study, "scans": made.scans, "result": result}
    return exporting.export_model(folder, "supervised_few", made.network, **options)


def test_chosen_classes_are_post_processed_after_loading(made, scan, tmp_path, monkeypatch):
    volume = read_nifti(scan)
    plain = load_model(made.path).segment(volume)
    plain[0, 0, 0], plain[0, -1, 0] = 1, 2  # an island of each class, far from the organ
    monkeypatch.setattr(exporting.Geometry, "classes", lambda *_: plain.copy())
    kept = load_model(chosen_for(made, tmp_path, [1])).segment(volume)
    np.testing.assert_array_equal(kept, keep_largest(plain, [1]))
    assert kept[0, 0, 0] == 0 and kept[0, -1, 0] == 2
    done = predict_scan(tmp_path / "supervised_few.safetensors", scan, tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(done.label, kept)
    np.testing.assert_array_equal(load_model(made.path).segment(volume), plain)


def test_the_card_says_what_is_kept_and_by_whom_it_was_chosen(made, tmp_path):
    card = chosen_for(made, tmp_path, [2]).with_suffix(".md").read_text()
    assert "kept of: class 2. Chosen on 4 validation scans." in card
    assert "Test Dice with it: 0.500" in card
    assert (
        "- None: label maps are those of the network." in made.path.with_suffix(".md").read_text()
    )


def test_a_file_without_the_key_is_not_post_processed(made, scan):
    loaded = load_model(made.path)
    config = {key: value for key, value in loaded.config.items() if key != "post_processing"}
    old = replace(loaded, config=config)
    volume = read_nifti(scan)
    np.testing.assert_array_equal(old.segment(volume), loaded.segment(volume))
    checked_description(json.dumps(config), made.path)


@pytest.mark.parametrize("wrong", [[0], [3], [1, 1], ["1"], [True], "1", None])
def test_classes_that_there_are_not_are_refused(made, wrong):
    config = {**load_model(made.path).config, "post_processing": {"largest_component": wrong}}
    with pytest.raises(InputError, match="no usable post_processing"):
        checked_description(json.dumps(config), made.path)


def test_networks_of_other_seeds_are_found_among_the_runs(made, tmp_path):
    """The same row of the same cohort and settings: no other run, and each seed once."""
    network, config = made.network, load_model(made.path).config
    for run, changes in {
        "mine-seed0": {},
        "mine-seed1": {"seed": 1},
        "mine-seed1-2": {"seed": 1},
        "other-seed2": {"seed": 2, "cohort_hash": "other"},
        "mine-quick-seed3": {"seed": 3, "profile": "quick"},
    }.items():
        path = tmp_path / run / "weights" / "supervised_few.safetensors"
        path.parent.mkdir(parents=True)
        model_file.write_network(path, network, {**config, **changes})
    (tmp_path / "mine-seed1" / "weights" / "mean_teacher.safetensors").write_bytes(b"cut off")
    found = exporting.other_seeds(tmp_path, load_model(made.path))
    assert [one.config["seed"] for one in found] == [1]
    volume = read_nifti(made.scans.cohort.test[0].path)
    np.testing.assert_array_equal(found[0].segment(volume), load_model(made.path).segment(volume))
