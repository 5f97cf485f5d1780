# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own scans
#
# **A folder of scans, a few of them outlined. This notebook looks at the folder before it believes
# it, trains the methods of this repository beside an honest baseline, and gives you back label maps
# that open on top of your scans.**
#
# Most projects do not fail at the loss function. They fail at a label map that lies mirrored beside
# its image, at one patient on both sides of the split, at a prediction saved without its
# [affine](../docs/glossary.md). So half of this notebook is about files. The other half ranks the
# methods on *your* test scans, says how little a few scans can prove, and exports the models for
# tomorrow's scan.
#
# - **Time:** minutes on two CPU cores (`quick`), about a minute for a test run (`smoke`).
# - **Your time:** about 35 minutes to read, 65 with the tasks. **Words:** the
#   [glossary](../docs/glossary.md) has a line for each.
# - **Data:** a small folder of procedural hearts with mistakes planted in it, written on the spot,
#   no licence needed. `DATASET = "path/to/folder"` takes yours; it never leaves your machine.
# - **Pages** of all notebooks: [reports/index.html](../reports/index.html).
# - **You need** notebook 00, and for a method its own notebook.
# - **You will be able to** find the usual mistakes in a folder of scans, read a ranking on few test
#   scans, and predict a new scan with one line.

# %% [markdown]
# ## What can be changed?
#
# Your folder looks like this:
#
# ```
# FOLDER/imagesTr/NAME.nii.gz   scans for training, with or without a label map
# FOLDER/labelsTr/NAME.nii.gz   label maps: 0 is background, other whole numbers are classes
# FOLDER/imagesTs, labelsTs     test scans, if you chose some; scans to be predicted only
# FOLDER/dataset.json           names of the classes (optional)
# FOLDER/patients.csv           lines "scan,patient" (optional, and important)
# ```
#
# `images/` with `labels/` or `masks/` is read in the same way. A label map called `NAME_seg`,
# `NAME_mask`, `NAME_label` and the like is taken for that of `NAME`, and you are told.
#
# Scans may be of another format than NIfTI. What comes back lies on the voxels of its scan:
#
# | scans | label maps | predictions |
# |---|---|---|
# | `NAME.nii.gz`, `NAME.nii` | of any volume format | `.nii.gz`, its header |
# | `NAME.mha`, `.mhd`, `.nrrd`, `.nhdr` | of any volume format | `.mha`, `.nrrd`, its header |
# | `NAME/`: DICOM series; `NAME.dcm`: all slices | the same, *DICOM-SEG* | `.dcm` or `.nii.gz` |
# | `NAME.png`, `.jpg`, `.tif`, `.bmp` | PNG, TIFF: numbers or colours | `.png`: class numbers |
#
# A scan with several **channels** has a file for each, in nnU-Net's names: `NAME_0000.nii.gz`,
# `NAME_0001.nii.gz`, ..., all on one grid (`dataset.json` names them under `channel_names`). A
# colour picture is one scan of three channels. Where label maps are colour pictures, `dataset.json`
# says which colour is which class: `{"labels": {"background": "#000000", "vessel": "#ff0000"}}`.

# %% tags=["parameters"]
DATASET = "phantom_folder"  # the path of your folder; phantom_folder is an example made on the spot
PROFILE = "quick"  # smoke (tests), quick (laptop), evening, gpu
N_LABELLED = 4  # scans whose labels training may see
FOLDS = 0  # 0: one held-out set; n: every labelled scan is tested once, in n folds over patients
SEED = 0  # initial weights, batches and augmentation
DICOM_AS = ".dcm"  # how DICOM series are predicted: .dcm (DICOM-SEG) or .nii.gz
METHODS = "supervised_few mean_teacher recommended"  # also bcp aau ...; supervised_strong always
EXCLUDE_BROKEN = True  # name what cannot be used and go on; False refuses the folder
DATA_DIR = ""  # where downloaded data lie; empty: $SSL_DATA_DIR, else the folder data
RESULTS_DIR = "reports/results"  # where result files are written and read
RUNS_DIR = "build/runs"  # where trainings are stored and found again
OUTPUT_DIR = "build/own"  # where predictions and trained weights go

# %% [markdown]
# On Colab, the next cell fetches the project once and adds what is missing; `torch` and `numpy`
# stay as they are. Everywhere else it does nothing.

# %% tags=["colab"]
import os
import subprocess
import sys

SOURCE = os.environ.get("SSL_SOURCE", "")  # the address of this repository
if "google.colab" in sys.modules and not os.path.isdir("ssl_lib"):
    assert SOURCE, "set SOURCE to the address of this repository"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", SOURCE, "project"], check=True)
    os.chdir("project")
    subprocess.run([sys.executable, "binder/colab.py"], check=True)
    sys.path.insert(0, os.getcwd())

# %% tags=["setup"]
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from IPython.display import Markdown
from scipy.stats import spearmanr

from ssl_lib import figures
from ssl_lib.notebook import interactive
from ssl_lib.utils.errors import InputError
from ssl_lib.utils.words import counted
from ssl_lib.figures import show
from ssl_lib.export.model import export_model, load_model, other_seeds, predict_scan
from ssl_lib.export.nnunet import write_nnunet_dataset
from ssl_lib.export.output import output_folder
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.watching import agreement, watch_scans
from ssl_lib.notebook.source import work_in_project
from ssl_lib.data.findings import some
from ssl_lib.data.own_scans import how_much_to_believe, open_own_scans, scan_groups

# %% tags=["setup"]
from ssl_lib.config import best_device, settings_for
from ssl_lib.notebook.quiz import check, ask
from ssl_lib.data.formats import prediction_name, read_volume
from ssl_lib.data.reading import as_image
from ssl_lib.evaluation.next_scan import next_scans
from ssl_lib.evaluation.post_processing import FEWEST_SCANS, choose_post_processing
from ssl_lib.evaluation.results import read_results, safe_name, write_result
from ssl_lib.methods import METHODS as REGISTRY
from ssl_lib.methods import row_name, row_words
from ssl_lib.notebook.captions import curves_caption, gains_caption, signs_caption
from ssl_lib.training.folds import pool_tests
from ssl_lib.training.study import Study
from ssl_lib.notebook.fingerprint_tables import description_table, findings_table
from ssl_lib.notebook.own_tables import doors_table, fits_table, next_scan_table
from ssl_lib.notebook.own_tables import post_processing_table, suspicious_table
from ssl_lib.notebook.tables import number, plain_table, row_table
from ssl_lib.notebook.viewer import Scan, look_through
from ssl_lib.export.predictions import predict_files, read_classes, score_files, write_list

NOTEBOOK = "06_your_own_scans"

# %%
work_in_project()  # relative paths start there, wherever the kernel was started
prediction_name("", Path("a.dcm"), DICOM_AS)  # a misspelt ending is refused now, not at the end
choices = {"exclude_broken": EXCLUDE_BROKEN, "folds": FOLDS}
scans = open_own_scans(DATASET, PROFILE, N_LABELLED, DATA_DIR, **choices)
fingerprint, cohort = scans.fingerprint, scans.cohort
settings = settings_for(PROFILE, cohort)
study = Study(cohort, settings, PROFILE, SEED, best_device(), Path(RUNS_DIR))
run_name = f"{safe_name(DATASET)}-{PROFILE}-n{cohort.n_labelled}-seed{SEED}"
run_name += f"-{FOLDS}folds" if FOLDS else ""
output = output_folder(OUTPUT_DIR, run_name)  # never one in which somebody has changed a file
print(f"{cohort.name} on {study.device}, profile {PROFILE}, PyTorch {torch.__version__}")


# %%
def stored_results():
    """Every stored run of this cohort and profile: seeds add up as they are run."""
    wanted = (NOTEBOOK, DATASET, PROFILE, cohort.n_labelled, cohort.content_hash)
    return read_results(RESULTS_DIR, *wanted)


# %% [markdown]
# ## Where does this end?
#
# With this picture of your test scans, and with files: predictions, weights, and a card that says
# what the weights are. If the picture is missing, this folder was not run with these parameters
# yet.


# %% tags=["first-figure"]
def alt_rows():
    """What the picture of all rows says: who gains over the strong baseline."""
    what = "Dice of every test scan for each row, with means, intervals and paired differences."
    rows = {row for run in stored_results() for row in run["rows"]} - {"supervised_strong"}
    pairs = {row_words(row): (row, "supervised_strong") for row in sorted(rows)}
    return gains_caption(what, pairs, stored_results(), against="the strong baseline")


drawn = bool(stored_results())
if drawn:
    show(figures.row_comparison(stored_results()), alt=alt_rows())
else:
    print("No stored run yet for these parameters; the section on ranking draws this picture.")

# %% [markdown]
# ## What do you expect?

# %% tags=["predict"]
count = len(fingerprint.excluded)
ask(
    f"{counted(len(fingerprint.listing.images), 'image')} can be used. How many files have a fault "
    "that excludes them?",
    options=("None", "One or two", "Three or more"),
    answer="None" if count == 0 else "One or two" if count < 3 else "Three or more",
    because=f"It is {count}: the lines that the second table below calls excluded. Its warnings "
    "and notes are not counted.",
)

# %% [markdown]
# ## What is in this folder?
#
# Every file was read to its last byte. First what is usable:

# %% tags=["results"]
description_table(fingerprint)

# %% [markdown]
# And what is not, or should be looked at. **Excluded** is what cannot be used: a broken image drops
# out; a scan whose *label map* is wrong stays, as an unlabelled one. A **warning** is about files
# that are used as they are, because only you can tell. A **note** asks for nothing.

# %% tags=["results"]
findings_table(fingerprint.findings)

# %% [markdown]
# Four of these checks find what hurts most and shows least:
#
# - **A mirrored label map.** Image and label map each carry an *affine*, the matrix from voxels to
#   millimetres. If somebody's tool wrote the array of one orientation with the affine of another,
#   the two lie mirrored to each other, and left becomes right. A label map whose header disagrees
#   with that of its image is excluded. Where both agree and still the label map would suit the grey
#   levels much better when flipped, or with two axes exchanged, you are told. Not always:
#   the table below counts. Look at the outlines, too.
# - **The same scan twice.** On both sides of a split it is tested on what it has learnt.
# - **One patient, several scans.** Names such as `p07_a` and `p07_b`, or `sub-07_ses-1` and
#   `sub-07_ses-2`, are taken for one patient and kept on one side. A guess can be wrong:
#   `patients.csv` decides.
# - **Padding.** CT scanners fill the corners with values far below air. Scans are standardised by
#   their own mean and deviation, so such corners squeeze all tissue into a narrow range.

# %% tags=["results"]
fits = Path("reports/validation/06_mirrored_label_maps.json")
if fits.is_file():
    display(fits_table(json.loads(fits.read_text())))

# %% [markdown]
# **Task 1. From voxels to millimetres.** (Where code is asked for, replace the body and run both
# cells; a solution is folded below.) An affine is a matrix of four rows and four columns. Write
# `place(affine, voxel)`: where a voxel lies, in mm to the right, front and top.


# %% tags=["exercise"]
def place(affine, voxel):
    return NotImplemented  # your code


# %% tags=["exercise"]
turned = np.array([[-2.0, 0, 0, 90], [0, 3.0, 0, -10], [0, 0, 4.0, 5], [0, 0, 0, 1]])
check(
    "From voxels to millimetres",
    place,
    [
        ("the first voxel", lambda f: np.allclose(f(turned, (0, 0, 0)), (90, -10, 5))),
        ("a step along an axis", lambda f: np.allclose(f(turned, (0, 0, 2)), (90, -10, 13))),
        ("to the left", lambda f: np.allclose(f(turned, (5, 0, 0)), (80, -10, 5)), "append a 1"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def place(affine, voxel):
#     return (affine @ [*voxel, 1])[:3]
# ```
#
# </details>

# %% [markdown]
# The next figure shows all usable scans, those with a warning in another colour.

# %% tags=["figure"]
sides = [side for one in fingerprint.properties.values() for side in one.spacing]
ALT_FOLDER = (
    "For each scan its grey levels from the 1st to the 99th percentile, and its voxel size: from "
    f"{min(sides):.3g} to {max(sides):.3g} {fingerprint.unit}."
)
show(figures.folder_overview(fingerprint), alt=ALT_FOLDER)

# %% [markdown]
# **How to read it.** Different lengths of the lines are normal for MRI, whose grey levels have no
# unit; each scan is standardised before a network sees it. A line that lies quite elsewhere may be
# another sequence. In the right panel a mark that leaves its column is a scan at another
# resolution. Of scans with several channels the first is shown, here and in all figures.
#
# **Answer.** What the folder holds stands in two tables and a figure, and nothing was dropped
# without its name.

# %% [markdown]
# **Task 2. Mirrored or not?** A reflection changes the sign of the determinant of the upper left
# three rows and columns; a rotation does not. Write `reflects(first, second)`: true if one of two
# affines mirrors and the other does not.


# %% tags=["exercise"]
def reflects(first, second):
    return NotImplemented  # your code


# %% tags=["exercise"]
upright = np.diag([2.0, 3.0, 4.0, 1.0])
rotated = upright[:, [1, 0, 2, 3]] @ np.diag([-1.0, 1, 1, 1])
check(
    "Mirrored or not?",
    reflects,
    [
        ("the same affine", lambda f: not f(upright, upright)),
        ("one axis flipped", lambda f: bool(f(upright, upright @ np.diag([-1.0, 1, 1, 1])))),
        ("a quarter turn", lambda f: not f(upright, rotated), "compare signs of determinants"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def reflects(first, second):
#     return np.linalg.det(first[:3, :3]) * np.linalg.det(second[:3, :3]) < 0
# ```
#
# </details>

# %% [markdown]
# ## Who learns, who judges?
#
# Scans of one patient stay together. If `labelsTs` has label maps, those are the test set;
# otherwise a fifth of the labelled ones is. A seventh of the labelled training scans is for
# validation. Of the rest the first `N_LABELLED` keep their labels; the labels of the others are
# sealed, and these scans join the unlabelled ones.
#
# **Fewer than ten labelled scans?** Then one or two held-out scans prove nothing. With `FOLDS = n`
# nothing is held out: patients are shared out into n *folds*, each fold is tested by networks that
# were trained on the others, and its labels are sealed for them. All scores are pooled, settings
# are fixed, last weights count. The exported network is trained on *all* labelled scans, in the
# same way; `N_LABELLED` is not used. It takes n + 1 trainings of each row. `splits_final.json`
# decides the folds.

# %%
lines = [
    (group, len(cases), some([case.case_id for case in cases], 20) or "–")
    for group, cases in cohort.groups.items()
]
display(plain_table(("Group", "scans", "which"), lines))
print(f"Classes: {', '.join(cohort.class_names)}.\n{cohort.caveat}")

# %% tags=["figure"]
ALT_COHORT = (
    "Labelled scans with class outlines, unlabelled scans and test scans. Training sees the labels "
    f"of {counted(len(cohort.labelled), 'scan')}, and "
    f"{counted(len(cohort.unlabelled), 'scan')} without any."
)
show(figures.cohort_grid(cohort), alt=ALT_COHORT)

# %% [markdown]
# **Task 3. A patient on both sides.** Write `leaks(train, test, patient_of)`: the patients who have
# scans in both lists, as a set. `patient_of` maps a [case id](../docs/glossary.md) to its patient.


# %% tags=["exercise"]
def leaks(train, test, patient_of):
    return NotImplemented  # your code


# %% tags=["exercise"]
owners = {"a1": "Anna", "a2": "Anna", "b1": "Ben"}
check(
    "A patient on both sides",
    leaks,
    [
        ("nobody", lambda f: f(["a1"], ["b1"], owners) == set()),
        (
            "one of them",
            lambda f: f(["a1", "b1"], ["a2"], owners) == {"Anna"},
            "compare patients, not scans",
        ),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def leaks(train, test, patient_of):
#     return {patient_of[i] for i in train} & {patient_of[i] for i in test}
# ```
#
# </details>

# %% [markdown]
# ## Slices or volumes?
#
# Networks count voxels and know nothing of millimetres. A cubic kernel on slices that lie ten
# millimetres apart mixes strangers. So slices are learnt singly, in 2D, if they lie three times as
# far apart as the voxels within them (median over the scans), or if there are fewer than 16.
# Otherwise scans are learnt as volumes. At the quick profile large volumes are downsampled by whole
# numbers and large slices resampled; predictions are written at the full resolution.
#
# For the same reason an organ must not change its size in voxels from scan to scan. If the voxels
# of two scans differ by more than a fifth along an axis, all scans are **resampled** to the median
# voxel size for the network (nnU-Net's rule): grey levels by linear interpolation, label maps as
# one map of ones and zeros for each class, of which the largest counts. An axis with slices more
# than three times as far apart as their voxels is resampled by the nearest slice: between strangers
# there is nothing to interpolate. Probabilities go back the same way, so that predictions and
# scores are on the voxels of each scan. Slices that are learnt singly are resampled within their
# plane only. The voxel size stands in the settings of every result and in the exported network.
#
# An organ must be met at all. Where organs fill less than a hundredth of the median labelled
# scan, a third of the labelled patches is placed so that each holds one (nnU-Net's share). Whether
# that pays on your scans was not measured: `overrides={"foreground": 0.0}` of `Study.open`
# trains without it.

# %% tags=["results"]
kind = "volumes, in 3D" if cohort.dimensions == 3 else "single slices, in 2D"
print(f"learnt as {kind}; axes divided by {scans.geometry.factors}; patches of {settings.patch}")
sizes = settings.spacing and " x ".join(f"{size:.3g}" for size in settings.spacing)
unit = "mm" if cohort.spacing_unit == "mm" else "pixels"
print(f"resampled to {sizes} {unit} for the network" if sizes else "nothing is resampled")
print(f"channels: {', '.join(cohort.channel_names)}")
print(f"share of labelled patches that must hold an organ: {settings.foreground:.2f}")

# %% tags=["results"]
doors = Path("reports/validation/06_acdc_as_a_folder.json")  # trials/06_acdc_as_a_folder.py
if doors.is_file():
    display(doors_table(json.loads(doors.read_text())))

# %% [markdown]
# **Task 4. Millilitres.** Write `millilitres(voxels, spacing)`: the volume of so many voxels whose
# sides are given in mm.


# %% tags=["exercise"]
def millilitres(voxels, spacing):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "Millilitres",
    millilitres,
    [
        ("a litre", lambda f: abs(f(10**6, (1, 1, 1)) - 1000) < 1e-9, "1000 cubic mm are 1 ml"),
        ("thick slices", lambda f: abs(f(100, (0.5, 0.5, 8.0)) - 0.2) < 1e-9),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def millilitres(voxels, spacing):
#     return voxels * np.prod(spacing) / 1000
# ```
#
# </details>

# %% [markdown]
# ## Which methods, and what are they called?
#
# All rows share network, schedule, number of updates and labelled scans (UMCT's anisotropic
# networks are smaller).
#
# By default two methods are trained. The mean teacher (notebook 00) asks student and teacher to
# agree. The recommended row (08) adds a part of the teacher's probabilities as labels; it was
# chosen on validation scans of other data. Others: `bcp` (01) pastes labelled and unlabelled scans
# into each other, `umct` (02) has networks that look along different axes, `aau` (03) first trains
# an [autoencoder](../docs/glossary.md) on the few label maps, `dsaif` (04) shows two networks two
# filtered versions of each scan. Methods with several networks give two rows: one network alone,
# and the average of all. `dsaif` takes scans of one channel: its trees order the grey levels of one
# image.


# %% tags=["definition"]
def chosen_methods(names, unlabelled, channels=("image",)):
    """The methods in the order of the registry, the strong baseline always among them.

    Without unlabelled scans only the supervised rows remain. Raises `InputError` for other names,
    and for a method of one channel where scans have several.
    """
    unknown = set(names) - REGISTRY.keys()
    if unknown:
        raise InputError(
            f"there is no method {sorted(unknown)[0]!r}",
            expected=f"some of {', '.join(REGISTRY)}",
            fix="set METHODS to names with spaces between them",
        )
    for name in names:
        REGISTRY[name].refuse_channels(channels)
    wanted = {*names, "supervised_strong"}
    usable = {name for name in wanted if unlabelled or name.startswith("supervised")}
    return [name for name in REGISTRY if name in usable]


# %% [markdown]
# `supervised_strong` trains on the labels alone, with all the augmentation that the methods enjoy.
# It cannot be switched off: a method that does not beat it has not used your unlabelled scans.

# %% [markdown]
# ## Does it train?

# %% tags=["train"]
judges = [replace(study, cohort=fold) for fold in scans.folds] or [study]
unlabelled = all(one.cohort.unlabelled for one in [study, *judges])
methods = chosen_methods(METHODS.split(), unlabelled, cohort.channel_names)


def train_rows(study):
    """The trainings of all rows."""
    return {row: t for name in methods for row, t in study.rows(REGISTRY[name]).items()}


trainings = train_rows(study)
runs = [train_rows(fold) for fold in judges] if FOLDS else [trainings]
tested = pool_tests(judges, runs)

# %% tags=["figure"]
show(figures.training_curves(trainings, stored_results()), alt=curves_caption(trainings))

# %% [markdown]
# ## One component or several?
#
# Networks leave islands far from the organ. Where a class is one component, keeping only the
# **largest** removes them, which is often worth more than a method in 95HD. It is wrong for
# lesions, paired organs, and organs that a slice cuts in two. So validation scans decide, class by
# class (nnU-Net's rule): it is done where it raises the mean Dice of the class. Fewer than three
# scans choose nothing. The choice is exported with the network. (With folds their test scans
# decide, and the score with it flatters a little.)

# %% tags=["results"]
truths = {case.case_id: case.label for case in cohort.validation}
chosen = {}
for row, training in trainings.items():
    found = study.predict(training.networks.student, cohort.validation)
    found, truths = (tested.predicted[row], tested.truths) if FOLDS else (found, truths)
    chosen[row] = choose_post_processing(found, truths, cohort.n_classes)
post_processing_table(chosen, cohort.class_names)

# %% [markdown]
# On the test scans it is a second number; the ranking stays without it.

# %% tags=["results"]
records, cleaned, lines = {}, {}, []
for row, found in tested.predicted.items():
    before, cleaned[row] = tested.dice(found), tested.dice(chosen[row].applied(found))
    records[row] = chosen[row].record(cleaned[row])
    lines.append((row_name(row), number(before), number(cleaned[row])))
plain_table(("Row", "test Dice", "with post-processing"), lines)

# %% tags=["results"]
more = {"excluded": [str(one) for one in fingerprint.excluded], "post_processing": records}
more |= {"folds": FOLDS} if FOLDS else {}
result = study.result(NOTEBOOK, DATASET, tested.rows, **more)
written = write_result(result, RESULTS_DIR)

# %% [markdown]
# ## Which one is best here?
#
# The last weights of each row on the test scans, with all stored seeds of this folder.

# %% tags=["results"]
row_table(stored_results())

# %% tags=["figure"]
if not drawn:  # else it stands at the top
    show(figures.row_comparison(stored_results()), alt=alt_rows())

# %% tags=["results"]
print(how_much_to_believe(len(tested.cases)))
if FOLDS:
    print("Networks of two folds share scans: their scores are less independent than they look.")

# %% [markdown]
# **Task 5. Judge a table.** Three test scans; a method beats the strong baseline on all three, by
# 0.02 Dice each.

# %% tags=["predict"]
ask(
    "What is shown?",
    options=(
        "It is better",
        "Nothing yet",
        "It is better if a second seed says so, too",
    ),
    answer="Nothing yet",
    because=(
        "Three equal signs come up by chance in one of four cases (two-sided p = 0.25), and "
        "more seeds add no scans."
    ),
)

# %% [markdown]
# **How to read it.** An interval above zero: that row is better than the strong baseline on scans
# like these. One that holds zero: not shown. And the row that you *use* must not be chosen on the
# test scans, or its score there is no longer honest. Validation scans are for that. (Folds have
# none: there the pooled scores choose, as in nnU-Net, and the first score is a little too good.)


# %% tags=["definition"]
def row_to_use(ranking, count):
    """The first row of a ranking; with too few scans to choose, the recommended one, if trained."""
    few = count < FEWEST_SCANS and "recommended" in ranking
    return ("recommended", "too few scans to choose") if few else (ranking[0], "the first")


# %% tags=["results"]
validation = {row: training.validation[-1][1] for row, training in trainings.items()}
judged = {row: tested.rows[row]["dice"] for row in trainings} if FOLDS else validation
ranking = sorted(judged, key=lambda row: -np.nan_to_num(judged[row], nan=-1.0))
kind, count = ("pooled", len(tested.cases)) if FOLDS else ("validation", len(cohort.validation))
best, why = row_to_use(ranking, count)
lines = [(row_name(row), number(judged[row])) for row in ranking]
display(plain_table(("Row", f"{kind} Dice"), lines, f"Mean over {counted(count, 'scan')}."))
print(f"{row_name(best)} is used from here on ({why}).")

# %% [markdown]
# **Answer.** The table ranks, the intervals say how far to believe it, and the choice was made
# without the test scans, unless there were folds.

# %% [markdown]
# ## What is exported?
#
# One file for each row, in the *safetensors* format: plain numbers, no pickle that could run code
# when it is opened. With the weights it holds the classes, the geometry, what the training scans
# looked like, the scores with their number of scans, the classes of which only the [largest
# component](../docs/glossary.md) is kept, a checksum over all of it, and a probe: a small input
# with the prediction that the network gave. Whoever loads it tomorrow, with another version of the
# code, learns at once whether it still answers alike. Beside it lies a card for people:

# %%
weights = {
    row: export_model(output / "weights", row, training.networks.student,
              study=study, scans=scans, result=result)
    for row, training in trainings.items()
}  # fmt: skip
print(weights[best].with_suffix(".md").read_text()[:1900])

# %% [markdown]
# ## Do the files say the same as the table?
#
# Now the exported weights are loaded again and predict from the files of the folder, as they would
# for a stranger. Each prediction is turned back to the orientation of its scan and written with its
# shape and affine. Then both files are read anew and scored. If anything on the way from array to
# file and back were wrong, the test Dice with [post-processing](../docs/glossary.md), above, would
# differ from the files'. (With folds the exported networks have seen every labelled scan, and
# nothing is compared.)

# %%
exported = {row: load_model(path, study.device) for row, path in weights.items()}
test_names = [case.case_id for case in cohort.test]
parts = (fingerprint, test_names, output / "predictions", DICOM_AS)
predicted, refused = predict_files(exported, *parts)
for name, error in {name: e for row in refused.values() for name, e in row.items()}.items():
    print(f"{name} was not predicted:\n{error}")

# %% tags=["results"]
full_size = max(scans.geometry.factors) == 1
there = {row: list(done) for row, done in predicted.items() if test_names}
scored = score_files(output / "predictions", fingerprint, there, DICOM_AS)
lines = []
for row, (from_files, _) in scored.items():
    table = cleaned[row]
    lines.append((row_name(row), number(table, 4), number(from_files["dice"], 4)))
    if full_size and there[row] == test_names:
        assert np.isclose(table, from_files["dice"], atol=1e-3, equal_nan=True), row
where = "from the table" if full_size else "from the table, downsampled scans"
plain_table(("Row", f"Dice {where}", "Dice from the files"), lines)

# %% [markdown]
# For downsampled scans the second column is the one that counts for your files: it is measured at
# full resolution.
#
# The chosen row now predicts all usable scans, those without any label included. The list
# beside the files says for each scan to which group it belongs (`outside`: none; a network is
# flattered by scans it has learnt from), the volume of each class in millilitres, and the
# warnings.

# %%
groups = scan_groups(scans)
others = [name for name in groups if name not in test_names]
parts = (fingerprint, others, output / "predictions", DICOM_AS)
more_predicted, more_refused = predict_files({best: exported[best]}, *parts)
predicted = predicted[best] | more_predicted[best]
not_predicted = refused[best] | more_refused[best]
write_list(output / "predictions" / f"{best}.csv", predicted, groups, not_predicted)
print(f"{counted(len(predicted), 'label map')} in {output / 'predictions' / best}")
for name, error in not_predicted.items():
    print(f"{name} ({groups[name]}) was not predicted:\n{error}")
for name, one in predicted.items():
    for warning in one.warnings:
        print(f"{name} ({groups[name]}): {warning}")

# %% [markdown]
# ## What does it look like?
#
# Three cuts through one voxel of the scan (of a picture, all of it): front or top above, the right
# of the patient on the right. Thin lines show the other two cuts; sliders (in the report also a
# click) move them. Window and level work as on a scanner: level is the grey level shown half
# bright, window the range from black to white. The prediction was read from the written file; the
# truth, where there is one, is the white line.


# %%
def opened(name):
    """A scan, its true label map, if it has one, and its written prediction."""
    listing = fingerprint.listing
    volume = read_volume(listing.images[name])
    files = (listing.labels.get(name), predicted[name].path)
    labels = (
        path and read_classes(path, volume, fingerprint.values, listing.codes) for path in files
    )
    image = as_image(volume.shown, volume.path, fill_nan=True)
    return Scan(image, volume.spacing, *labels, unit=volume.unit)


# %% tags=["widget"]
unseen = [name for name in predicted if groups[name] == "outside"] or list(predicted)
some = [name for name in test_names if name in predicted][:2] + unseen[-1:]
shown_scans = {f"{name} ({groups[name]})": name for name in some}
look_through(
    {title: opened(name) for title, name in shown_scans.items()},
    class_names=cohort.class_names,
    alt="A cut through the scan with the prediction, and the truth where there is one.",
)

# %% [markdown]
# Look for islands far from the organ, slices that end too early, and left and right.

# %% [markdown]
# **Every test scan.** Press *Worst*: does it fail in every row?

# %% tags=["figure"]
parts = (tested.cases, tested.truths, tested.predicted, result, cohort.class_names)
ALT_SCANS = "Dice of each test scan by row; below, one scan with two predictions and the truth."
interactive.scans(*parts, row=best, alt=ALT_SCANS)

# %% tags=["widget"]
ALT_SURFACE = (
    "Surfaces of predictions in 3D, coloured by the distance to the true surface. Where a share is "
    "called farther, its parts lie farther from the truth than the slider's distance."
)
tried = tested.cases[0]
solids = {row: tested.predicted[row][tried.case_id] for row in ("supervised_strong", best)}
if min(tried.image.shape) > 1:  # a single slice has no surface
    display(Markdown("**The first in 3D.** Does it err at its ends or sides?"))
    interactive.surface(cohort, tried, tested.truths[tried.case_id], solids, alt=ALT_SURFACE)


# %% [markdown]
# ## What can be watched without truth?
#
# Five signs need no label map: the share of each class (does it shrink to nothing, or grow?), its
# number of components, the **agreement** (Dice) of teacher and student, if the row has a teacher,
# the mean agreement of any two rows, and that of *seeds*, once a run of another `SEED` has exported
# its network. [Snapshots](../docs/glossary.md) of the training are those
# of one unlabelled scan, so this figure shows that scan alone:

# %% tags=["figure"]
if cohort.unlabelled:
    name = study.snapshot_case.case_id
    words = signs_caption(trainings, cohort.n_classes)
    show(figures.snapshot_signs(trainings, name, cohort.n_classes), alt=words)

# %% [markdown]
# Of all unlabelled scans the final networks are compared, before post-processing. Each sign ranks
# the scans (share and components by their factor to the median); the mean of a scan's places
# counts. Look at these scans first:


# %% tags=["results"]
free = cohort.unlabelled
free_maps = {row: study.predict(t.networks.student, free) for row, t in trainings.items()}
teacher = trainings[best].networks.teacher
taught = teacher and study.predict(teacher, free)
seeds = [free_maps[best]]
seeds += [study.predict(one.network, free) for one in other_seeds(OUTPUT_DIR, exported[best])]
more = {"teacher": taught, "rows": list(free_maps.values()), "seeds": seeds}
watched = watch_scans(free_maps[best], cohort.n_classes, **more)
suspicious_table(watched, cohort.class_names)

# %% [markdown]
# ## Which scan should be labelled next?
#
# An hour of an expert is best spent where the networks are at a loss. A cheap sign of that is a
# low agreement between rows. Does it mean anything? On test scans the truth is known:

# %% tags=["results"]
entries = result["rows"][best]["per_case"]
dice_of = {n: nan_mean([e["dice"] for e in entries if e["id"] == n]) for n in tested.truths}
agreed = agreement(list(tested.predicted.values()), cohort.n_classes)
pairs = np.array([(agreed.get(name, np.nan), dice_of[name]) for name in tested.truths])
pairs = pairs[np.isfinite(pairs).all(axis=1)]
if len(pairs) > 2 and (np.ptp(pairs, axis=0) > 0).all():
    rank, p = spearmanr(*pairs.T)
    said = f"Agreement and true Dice: rank correlation {rank:.2f} over {len(pairs)} test scans"
    print(f"{said} (a correlation as far from 0 without any relation: p = {p:.2f}).")
else:
    print("Too few test scans (or all alike) to ask whether agreement means anything.")

# %% tags=["results"]
if cohort.unlabelled and len(trainings) > 1:
    agreed = {one.case_id: one.rows for one in watched}
    has_one = {*fingerprint.listing.labels, *fingerprint.broken_labels}
    without = [c for c in cohort.unlabelled if c.case_id not in has_one]
    following = next_scans(agreed, without, cohort.labelled, count=5)
    lines = [(name, number(agreed[name])) for name in following]
    caption = f"{len(following)} of {counted(len(without), 'unlabelled scan')} without a label map."
    heads = ("To be labelled next", "agreement of the rows (Dice)")
    if following:
        display(plain_table(heads, lines, caption))
    else:
        print("Every unlabelled scan that training used has a label map (see N_LABELLED).")
    if fingerprint.broken_labels:
        print(f"Repair these label maps first: {', '.join(fingerprint.broken_labels)}.")

# %% [markdown]
# Only scans without a label map are candidates. The first has the least agreement. The others are
# taken from the fifteen with the least (or all), each time the one most unlike (in a small image)
# those labelled or taken. Is that better than a random choice? Stored from the phantom
# (`trials/06_which_scan_next.py`):

# %% tags=["results"]
experiment = Path("reports/validation/06_which_scan_next.json")
if experiment.is_file():
    display(next_scan_table(json.loads(experiment.read_text())))

# %% [markdown]
# These were short trainings, and no real data. If the rank correlation above is near 0 on your
# folder, or its p is large, label at random. Networks of one family share mistakes: where they err
# together, they agree.

# %% [markdown]
# ## How does nnU-Net take over?
#
# Every label map but those of the test scans, and the predictions of scans without one on which the
# rows agree most, as a data set that nnU-Net reads:

# %%
outlined = fingerprint.listing.labels
agreed = {one.case_id: one.rows for one in watched if one.case_id in predicted}
agreed = {name: value for name, value in agreed.items() if name not in outlined}
level = np.nanmedian(list(agreed.values())) if len(trainings) > 1 and agreed else np.inf
pseudo = {name: predicted[name].path for name, value in agreed.items() if value >= level}
if cohort.spacing_unit == "mm":
    labelled = [name for name in outlined if name not in test_names]
    parts = (fingerprint, labelled, pseudo, cohort.class_names)
    print(write_nnunet_dataset(output / "nnunet", 1, "mine", *parts))
    print(f"{counted(len(labelled), 'labelled scan')}, {len(pseudo)} with pseudo-labels")
    print("nnUNetv2_plan_and_preprocess -d 1 --verify_dataset_integrity")

# %% [markdown]
# ## How is tomorrow's scan predicted?
#
# One function, or one line in a terminal:
#
# ```
# python -m ssl_lib.export WEIGHTS.safetensors SCAN.nii.gz OUTPUT.nii.gz
# ```
#
# `SCAN` may be of any format above; of a scan with several channels name the files of all, in the
# order of the card. `OUTPUT` ends in `.nii.gz`, `.mha` or `.nrrd`, for DICOM also in `.dcm`, for a
# picture in `.png`.

# %%
new_scan = fingerprint.listing.files(unseen[-1])
new_file = output / "new" / prediction_name("one_scan", new_scan[0], DICOM_AS)
done = predict_scan(weights[best], new_scan, new_file)
for name, size in done.sizes.items():
    print(f"{name}: {size:.1f} {done.unit}")
print(f"warnings: {'; '.join(done.warnings) or 'none'}")
print(done.path)

# %% [markdown]
# It warns where the scan differs from those it was trained on: in voxel size, in orientation, in
# grey levels. It refuses what cannot work: a file of another kind, weights that were changed,
# another number of channels, a single slice for a network of volumes, voxels that are not numbers.

# %% [markdown]
# ## What decides in practice?
#
# **Six labelled scans, and now?** `FOLDS = 6`. Report all six Dice, not only their mean.
#
# **Thick slices.** Three times as thick as wide: learn slices in 2D. Between: 3D with anisotropic
# kernels in the first levels. Nearly cubic voxels: 3D. Where voxel sizes differ between scans,
# bring all to the median size first; an organ that is twice as large in voxels is another organ to
# a network.
#
# **Do not crop around the truth**, as public benchmarks often do: it hides every false positive far
# from the organ.
#
# **Which organ suits which idea?** One compact organ, always there: components, anatomy and
# copy-paste have something to hold on to. Lesions of any number, place and size: no anatomy to
# learn, no largest component; a mean teacher asks for neither. Borders by texture: filters that
# keep edges have little to keep. Resected or missing organs: anatomy learnt from complete ones sees
# errors where there are none.
#
# **How long?** `quick` shows that everything runs; what longer training gains on real scans, the
# tables of notebook 05 show.

# %% [markdown]
# ## What do you remember?
#
# Ten questions. Answer aloud, then unfold.
#
# <details><summary>1. What does <em>excluded</em> mean, and what a <em>warning</em>?</summary>
#
# Excluded files cannot be used and are named. A warning is about files that are used as they are,
# because only you can tell.
#
# </details>
#
# <details><summary>2. A label map's header disagrees with that of its image. What
# happens?</summary>
#
# The label map is excluded and the scan joins the unlabelled ones: left and right would be a guess.
#
# </details>
#
# <details><summary>3. Why do scans of one patient stay together?</summary>
#
# Two scans of one patient are alike. On both sides of a split the network is tested on what it has
# learnt.
#
# </details>
#
# <details><summary>4. What does the strong baseline prove here?</summary>
#
# A method that does not beat it has not used your unlabelled scans.
#
# </details>
#
# <details><summary>5. On which scans is the exported row chosen?</summary>
#
# On validation scans, by the last weights. Chosen on the test scans its score would flatter. With
# fewer than three validation scans nothing can be chosen: the recommended row is taken, if it was
# trained, and the page says so. With folds the pooled scores choose.
#
# </details>
#
# <details><summary>6. What is in an exported file beside the weights?</summary>
#
# Classes, geometry, what the training scans looked like, scores with their number of scans, a
# checksum, and a probe with the prediction that the network gave.
#
# </details>
#
# <details><summary>7. In which orientation are predictions written?</summary>
#
# In that of their scan: same shape, same affine, so that they lie on it in every viewer.
#
# </details>
#
# <details><summary>8. What does agreement between networks tell without any truth?</summary>
#
# Where they contradict each other at least one is wrong. Where they agree they may be wrong
# together.
#
# </details>
#
# <details><summary>9. Why is nothing ever written over your files?</summary>
#
# A label map drawn by hand cannot be made again. A run writes beside it, into another folder.
#
# </details>
#
# <details><summary>10. What does a Dice of ten test scans not say?</summary>
#
# How the network does on another scanner, another protocol or other patients.
#
# </details>

# %% [markdown]
# ## What stays?
#
# - Look at the folder first. What was excluded is named in the table and in the result file.
# - Test scans judge, validation scans choose, and the strong baseline is trained, always.
# - A prediction is done when its file lies on its scan, and was scored *as a file*.
# - Weights without their classes, geometry and scores are numbers. Here they travel together.
#
# **Limits.** One label for each voxel. A picture has no millimetres: it is measured in pixels, and
# pictures of very different magnification should be resized before. Slices of DICOM lie evenly
# apart, without time points. A new scan is resampled only if those of the training were. Scans
# without the organ are predicted all the same. Settings are those of the profile, chosen on other
# data; with hundreds of scans of your own use the profile `gpu`. The checks know frequent mistakes,
# not all. For research and teaching only: nothing here is a medical device.
#
# **Next:** label the scans at the top of the list, add their files to `labelsTr`, run again.
#
# ## References
#
# - NIfTI and orientations: the documentation of nibabel, <https://nipy.org/nibabel/>. Other formats
#   are read by SimpleITK, <https://simpleitk.org>, and Pillow, DICOM-SEG by highdicom.
# - Voxel sizes and thick slices: F. Isensee et al., nnU-Net, Nature Methods 18:203-211, 2021.
# - The layout of the folder: Medical Segmentation Decathlon, M. Antonelli et al., Nature
#   Communications 13:4128, 2022.
# - The methods: see notebooks 00 to 04 and 08.
# - Cards for models: M. Mitchell et al., FAT* 2019.
#
# ```bibtex
# @inproceedings{mitchell2019model,
#   title     = {Model cards for model reporting},
#   author    = {Mitchell, Margaret and Wu, Simone and Zaldivar, Andrew and others},
#   booktitle = {Proceedings of the Conference on Fairness, Accountability, and Transparency},
#   year      = {2019}
# }
# ```
