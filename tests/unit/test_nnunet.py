"""A data set for nnU-Net: what its own integrity check asks for, read by SimpleITK."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from organ_scans import write_organs

from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.export.nnunet import write_nnunet_dataset
from ssl_lib.export.output import output_folder
from ssl_lib.utils.errors import InputError


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nnunet")
    return open_own_scans(str(write_organs(folder / "mine")), "gpu", 3)


def written(scans, folder: Path, **changes) -> Path:
    labelled, pseudo = (case.case_id for case in scans.cohort.labelled[:2])
    options = {
        "number": 7,
        "name": "Organs",
        "labelled": [labelled],
        "pseudo": {pseudo: scans.fingerprint.listing.labels[pseudo]},
        "class_names": scans.cohort.class_names,
        **changes,
    }
    return write_nnunet_dataset(folder, fingerprint=scans.fingerprint, **options)


def test_it_holds_what_nnu_net_asks_for(scans, tmp_path):
    folder = written(scans, tmp_path)
    assert folder.name == "Dataset007_Organs"
    about = json.loads((folder / "dataset.json").read_text())
    assert list(about["labels"].values()) == list(range(scans.cohort.n_classes))
    labels = sorted((folder / "labelsTr").glob("*.nii.gz"))
    assert about["numTraining"] == len(labels) == 2 and len(about["pseudo_labelled"]) == 1
    for label in labels:
        image = folder / "imagesTr" / label.name.replace(".nii.gz", "_0000.nii.gz")
        first, second = (SimpleITK.ReadImage(str(path)) for path in (image, label))
        assert first.GetSize() == second.GetSize()
        for place in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(first, place)(), getattr(second, place)(), atol=1e-5)
        found = set(np.unique(SimpleITK.GetArrayFromImage(second)))
        assert found <= set(about["labels"].values()) and len(found) > 1


def test_ct_is_called_so_for_nnu_net_normalises_by_that_name(scans, tmp_path):
    def kinds(found):
        folder = written(replace(scans, fingerprint=found), tmp_path)
        return json.loads((folder / "dataset.json").read_text())["channel_names"]

    air = {
        scan: replace(one, quantiles=(-1000.0, *one.quantiles[1:]))
        for scan, one in scans.fingerprint.properties.items()
    }
    assert kinds(scans.fingerprint) == {"0": "channel_0"}
    assert kinds(replace(scans.fingerprint, properties=air)) == {"0": "CT"}


def test_it_is_written_again_but_never_over_a_corrected_label_map(scans, tmp_path):
    folder = written(scans, tmp_path)
    assert written(scans, tmp_path) == folder
    label = next((folder / "labelsTr").glob("*.nii.gz"))
    image = SimpleITK.ReadImage(str(label))
    SimpleITK.WriteImage(image * 0, str(label))
    with pytest.raises(InputError, match="was changed since"):
        written(scans, tmp_path)


def test_scans_of_an_earlier_choice_go_unless_somebody_changed_them(scans, tmp_path):
    folder = written(scans, tmp_path)
    assert written(scans, tmp_path, pseudo={}) == folder
    assert len(list(folder.glob("*Tr/*.nii.gz"))) == 2, "one image, one label map"
    written(scans, tmp_path)
    marked = json.loads((folder / "dataset.json").read_text())["pseudo_labelled"][0]
    label = folder / "labelsTr" / f"{marked}.nii.gz"
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(label)) * 0, str(label))
    with pytest.raises(InputError, match="was changed since"):
        written(scans, tmp_path, pseudo={})
    assert label.exists()


def test_a_run_writes_into_the_same_folder_again(scans, tmp_path):
    written(scans, tmp_path / "run" / "nnunet")
    assert output_folder(tmp_path, "run") == tmp_path / "run"
    image = next((tmp_path / "run").rglob("imagesTr/*.nii.gz"))
    image.write_bytes(image.read_bytes() + b" ")
    assert output_folder(tmp_path, "run") == tmp_path / "run-2"


def test_a_scan_is_written_once(scans, tmp_path):
    case = scans.cohort.labelled[0].case_id
    with pytest.raises(InputError, match="one scan twice"):
        written(scans, tmp_path, labelled=[case, case])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{"number": 0}, {"number": 1000}, {"name": "my organs"}])
def test_names_that_nnu_net_does_not_take_are_refused(scans, tmp_path, changes):
    with pytest.raises(InputError, match="no data set of nnU-Net"):
        written(scans, tmp_path, **changes)
    assert not any(tmp_path.iterdir())
