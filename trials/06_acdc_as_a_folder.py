"""Does a folder of scans give what the built-in set gives? ACDC, written as an nnU-Net folder.

    python trials/06_acdc_as_a_folder.py [RUNS_DIR]

The same voxels, the same three labelled patients and the same test patients go through both doors,
and the strong baseline is trained at the profile quick: by the built-in door (slices on a grid of
128 x 128); by the door for folders with the settings of the built-in set; by the same door as
notebook 06 trains (slices resampled so that the longer side of the median one is 128); and on
patches of 96 x 96 at the resolution of the scans, to see what that costs. Needs ACDC
(`data_download.py fetch acdc`). Writes reports/validation/06_acdc_as_a_folder.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from itertools import count
from pathlib import Path

import nibabel
import numpy as np

from ssl_lib.config import LARGEST_SIDE, best_device, settings_for
from ssl_lib.data.cohort import Cohort, known_label
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.folder import folder_cohort, folder_split
from ssl_lib.data.load import load_cohort
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import score_cohort
from ssl_lib.evaluation.statistics import bootstrap_interval
from ssl_lib.methods import METHODS
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically

FILE = Path("reports/validation/06_acdc_as_a_folder.json")
SEEDS, PATIENTS, ROW = (0,), 3, "supervised_strong"
SAME = {"patch": (128, 128), "grid": (128, 128)}
"""What the profile quick sets for ACDC alone."""
BUILT_IN, FOLDER, NOTEBOOK, PATCHES = (
    "built in",
    "folder, same settings",
    "folder, as notebook 06",
    "folder, patches of 96 x 96",
)


def write_folder(folder: Path, cohort: Cohort) -> Path:
    """The scans of a cohort of slices in nnU-Net's names, all with label maps, and patients.csv.

    Names begin with the place of the scan in its published list. Voxel sizes are not published:
    1 mm, as the built-in door has it.
    """
    groups = {"Tr": (*cohort.labelled, *cohort.unlabelled, *cohort.validation), "Ts": cohort.test}
    lines = ["scan,patient"]
    for part, cases in groups.items():
        for place, case in enumerate(cases):
            name = f"{place:03}_{case.case_id}"
            lines.append(f"{name},{case.patient}")
            files = {
                f"images{part}/{name}_0000.nii.gz": case.image,
                f"labels{part}/{name}.nii.gz": known_label(cohort, case),
            }
            for file, voxels in files.items():
                path = folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                nibabel.Nifti1Image(np.moveaxis(voxels, 0, -1), np.eye(4)).to_filename(path)
    (folder / "patients.csv").write_text("\n".join(lines) + "\n")
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {name: value for value, name in enumerate(cohort.class_names)},
        "numTraining": len(groups["Tr"]),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def test_dice(study: Study) -> dict[str, float]:
    """Mean Dice over classes of each test scan, last weights, by the published name."""
    student = study.train(METHODS[ROW]).networks.student
    entries = score_cohort(study.predict(student, study.cohort.test), study.cohort)["per_case"]
    names = sorted((case.case_id for case in study.cohort.test), key=published_name)
    return {
        published_name(name): nan_mean([e["dice"] for e in entries if e["id"] == name])
        for name in names
    }


def published_name(case_id: str) -> str:
    """The published name of a scan: patient000_frame00."""
    return case_id[case_id.index("patient") :]


def difference(runs: list[dict], door: str) -> dict[str, float | list[float]]:
    """Test Dice minus that of the built-in door, paired over scans and seeds, with the 95 %
    interval over test scans."""
    tables = [
        np.array([list(run["dice"].values()) for run in runs if run["door"] == one])
        for one in (door, BUILT_IN)
    ]
    table = tables[0] - tables[1]
    interval = bootstrap_interval(table)
    by_seed = [float(value) for value in table.mean(axis=1)]
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "by_seed": by_seed}


def folder_door(folder: Path, labelled: list[str]) -> tuple[Cohort, Cohort]:
    """The cohort by the door for folders, at the resolution of its scans and as the profile quick
    has it, with the first draw of its validation scans that leaves the published patients
    labelled."""
    found = take_fingerprint(folder)

    def leaves_them(draw: int) -> bool:
        split = folder_split(folder, found.listing, len(labelled), draw)
        return [published_name(scan) for scan in split.labelled] == labelled

    draw = next(draw for draw in count() if leaves_them(draw))
    sides = (None, LARGEST_SIDE["quick"])
    whole, quick = (
        folder_cohort(found, len(labelled), split_seed=draw, largest_side=side)[0] for side in sides
    )
    return whole, quick


def main(runs_dir: Path | None) -> None:
    published, runs = load_cohort("acdc", PATIENTS), []
    with tempfile.TemporaryDirectory() as parent:
        folder = write_folder(Path(parent) / "acdc_folder", published)
        whole, quick = folder_door(folder, [case.case_id for case in published.labelled])
    doors = {
        BUILT_IN: (published, {}),
        FOLDER: (whole, SAME),
        NOTEBOOK: (quick, {}),
        PATCHES: (whole, {"patch": (96, 96)}),
    }
    for seed in SEEDS:
        for door, (scans, overrides) in doors.items():
            settings = settings_for("quick", scans)
            study = Study(scans, settings, "quick", seed, best_device(), runs_dir)
            run = {"seed": seed, "door": door, "dice": test_dice(study.with_overrides(overrides))}
            runs.append(run)
            print(f"seed {seed}, {door}: {nan_mean(list(run['dice'].values())):.4f}", flush=True)
    content = {
        "settings": {"dataset": "acdc", "profile": "quick", "row": ROW, "patients": PATIENTS,
                     "seeds": list(SEEDS), "same": SAME, "folder": quick.caveat},
        "runs": runs,
        "minus_built_in": {door: difference(runs, door) for door in (FOLDER, NOTEBOOK, PATCHES)},
    }  # fmt: skip
    write_atomically(FILE, (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
