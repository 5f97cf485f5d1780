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
# # The bug museum
#
# **A defect in a segmentation code rarely crashes. It trains, its loss falls, it saves weights, and
# the table has a number. Nine mean teachers stand here, each with one wrong line. Can you tell
# which line from the curves alone?**
#
# Every defect is a classic of this field: a teacher that never moves, a softmax over the wrong
# axis, labels that stay behind when their image is turned. First you diagnose, in a game of curves,
# [snapshots](../docs/glossary.md) of pseudo-labels and a few measured numbers; then you see what
# the score would have told you, and what a test of three lines tells in a second.
#
# - **Time:** minutes on two CPU cores (`quick`) after notebook 00, whose trainings are found again;
#   seconds for a test run (`smoke`).
# - **Your time:** about 25 minutes to read, 55 with the tasks. **Words:** the
#   [glossary](../docs/glossary.md) has a line for each.
# - **Data:** what `DATASET` names; `"phantom"`, the default, is a procedural heart, made on the
#   spot, that needs no licence.
# - **Pages** of all notebooks: [reports/index.html](../reports/index.html).
# - **You need** notebook 00: the mean teacher that is spoilt here.
# - **You will be able to** read defects from curves, say which ones no curve shows, and write the
#   test that finds them before a training does.

# %% [markdown]
# ## What can be changed?
#
# The same eight values as in every notebook.

# %% tags=["parameters"]
DATASET = "phantom"  # phantom, phantom_3d, hippocampus, la2018, acdc, or a folder of NIfTI files
PROFILE = "quick"  # smoke (tests), quick (laptop), gpu, paper
N_LABELLED = 4  # scans whose labels training may see
LABELLED_DRAW = 0  # which of them: 0 as the data set says, 1, 2, ... other choices
SEED = 0  # initial weights, batches and augmentation
DATA_DIR = ""  # where downloaded data lie; empty: $SSL_DATA_DIR, else the folder data
RESULTS_DIR = "reports/results"  # where result files are written and read
RUNS_DIR = "build/runs"  # where trainings are stored and found again

# %% [markdown]
# On Colab, the next cell fetches the project once and adds what is missing; `torch` and `numpy`
# stay as they are. Everywhere else it does nothing. To keep trainings over an interruption, mount
# your drive and set `RUNS_DIR` to a folder on it.

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
import inspect
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ssl_lib.training.augmentation import standardise
from ssl_lib.training.batches import Batch, generator_at
from ssl_lib.training.study import Study
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import update_teacher
from ssl_lib.training.loop import Moment

# %%
from IPython.display import HTML, Markdown

from ssl_lib import figures
from ssl_lib.evaluation.decisions import MARGINS, compare_rows
from ssl_lib.figures import show
from ssl_lib.notebook.interactive import matching
from ssl_lib.notebook.museum import EXHIBITS, answers
from ssl_lib.notebook.source import work_in_project
from ssl_lib.notebook.quiz import check, ask
from ssl_lib.evaluation.results import read_results, smoke_note
from ssl_lib.notebook.tables import plain_table
from ssl_lib.methods import METHODS, baselines
from ssl_lib.utils.words import signed

NOTEBOOK = "07_bug_museum"

# %%
work_in_project()  # relative paths start there, wherever the kernel was started
places = {"data_dir": DATA_DIR, "runs_dir": RUNS_DIR}
study = Study.open(DATASET, PROFILE, N_LABELLED, SEED, labelled_draw=LABELLED_DRAW, **places)
cohort, settings = study.cohort, study.settings
print(f"{cohort.name} on {study.device}, profile {PROFILE}, PyTorch {torch.__version__}")


# %%
def stored_results():
    """Every stored run of this cohort and profile: seeds add up as they are run."""
    wanted = (NOTEBOOK, DATASET, PROFILE, N_LABELLED, cohort.content_hash)
    return read_results(RESULTS_DIR, *wanted)


def key(letter):
    """The name of an exhibit's row."""
    return f"exhibit_{letter.lower()}"


# %% [markdown]
# ## What do you expect?
#
# Call a defect *visible* if it costs more Dice than the margin of 0.01 that notebook 05 calls too
# small to mind, for certain: its whole 95 % interval lies below that.


# %% tags=["predict"]
def visible():
    """The letters of the exhibits that lose more than the margin in the stored runs."""
    pairs = [(key(letter), "mean_teacher") for letter in EXHIBITS]
    found = compare_rows(stored_results(), pairs) if stored_results() else []
    worse = [one.row for one in found if one.interval.high < -MARGINS["dice"]]
    return [letter for letter in EXHIBITS if key(letter) in worse]


# %% tags=["predict"]
count = len(visible())
counted = "0 to 3" if count < 4 else "4 to 6" if count < 7 else "7 to 9"
ask(
    "How many of the nine defects are visible in the score?",
    options=("0 to 3", "4 to 6", "7 to 9"),
    answer=counted,
    because=f"Of the nine, {count} surely lose more than the margin; see the section on the score",
    runs=stored_results(),
)

# %% [markdown]
# ## Where does this end?
#
# With this picture, drawn from the stored result files: the strong baseline, the sound mean
# teacher, and nine defective ones. Each small mark is one test scan, the diamond is the mean, its
# bar a 95 % interval over patients, which knows nothing of other seeds. The differences are to the
# *sound* mean teacher.

# %% tags=["first-figure"]
SHOWN = ["supervised_strong", "mean_teacher", *map(key, EXHIBITS)]
ALT_ROWS = (
    "Dice of every test scan for the strong baseline, the sound mean teacher and nine exhibits, "
    "with means, intervals and differences to the sound one. "
    f"{len(visible())} of the {len(EXHIBITS)} surely lose more than the margin."
)
if stored_results():
    show(
        figures.row_comparison(stored_results(), rows=SHOWN, reference="mean_teacher"),
        alt=ALT_ROWS,
    )
else:
    print("No stored run yet for these parameters; the notebook makes its own.")

# %% [markdown]
# ## What is on show?
#
# The mean teacher of notebook 00. Per update: labelled patches are strongly augmented and learnt;
# unlabelled patches are turned and scaled; the teacher labels them; the student, on a harder view
# of the same patches, has to agree; the teacher follows the student slowly. Here is its step, as it
# should be. Everything it calls stands in notebook 00.

# %%
Markdown(f"```python\n{inspect.getsource(baselines.mean_teacher_step)}```")

# %% [markdown]
# Each exhibit is this code, or what it is given, with one line changed. The changes wait in
# `ssl_lib/notebook/museum.py`, which you should not open yet. These are their names, in
# alphabetical order. Which one is which?

# %%
NAMES = sorted(exhibit.name for exhibit in EXHIBITS.values())
for number, name in enumerate(NAMES, start=1):
    print(f"{number}. {name}")

# %% [markdown]
# ## Do they train?
#
# Warm-ups of the same length, same updates, same seed. Trainings done before are found by their
# content: a changed line is another content, so no exhibit is ever mistaken for the sound one.
#
# **Task 1. Predict a number.** (Tasks stand where they belong. Where code is asked for, replace the
# body and run both cells: the check says what is right and gives hints; a solution is folded below
# it.) Nine defects, the same network and the same updates.

# %% tags=["predict"]
ask(
    "How many of the nine trainings stop with an error or a warning?",
    options=(
        "None",
        "Two or three",
        "Most of them",
    ),
    answer="None",
    because=("All tensors have the right shapes. What is wrong is what they mean."),
)

# %% tags=["train"]
sound, strong = (study.train(METHODS[name]) for name in ("mean_teacher", "supervised_strong"))
trainings = {"supervised_strong": strong, "mean_teacher": sound}
for letter, exhibit in EXHIBITS.items():
    broken = METHODS["mean_teacher"].defined_by(vars(exhibit.method()))
    trainings[key(letter)] = exhibit.study(study).train(replace(broken, name=key(letter)))

# %% tags=["results"]
result = study.save(NOTEBOOK, DATASET, trainings, RESULTS_DIR)

# %% [markdown]
# ## What is there to see?
#
# Three kinds of evidence, which the game below shows for every exhibit.
#
# **The curves.** The supervised loss and the *weighted* consistency, as an experiment tracker would
# show them, then the validation Dice. The second stage, with unlabelled scans, begins in the
# middle. Read with three questions. Does the supervised loss go where the others go? Does the
# consistency have the right *size*, not only the right direction? And when does the exhibit part
# from the sound training: at once, at the start of the second stage, or slowly?
#
# **The snapshots.** Each training keeps snapshots of its first unlabelled scan. Until the
# warm-up ends the student labels it, then the teacher.
#
# **The numbers.** Five of each training, all from what it logged and left behind:
#
# - **supervised**, **consistency**: losses, mean over the last tenth;
# - **gain**: validation Dice at the end minus at the end of the warm-up;
# - **snapshots**: voxels of the pseudo-label that still change in the second stage, in per mille
#   from one snapshot to the next;
# - **apart**: distance of teacher and student, relative to the length of the student's weights.


# %%
def snapshot_change(training):
    """Mean share of voxels that differ between neighbouring snapshots of the second stage."""
    later = [
        frame["label"] for frame in training.snapshots if frame["iteration"] > settings.warm_up
    ]
    return np.mean([np.mean(np.asarray(a) != np.asarray(b)) for a, b in pairwise(later)])


def apart(training):
    """Distance of the teacher's weights from the student's, relative to their length."""
    student, teacher = (
        torch.cat([weight.detach().flatten() for weight in network.parameters()])
        for network in (training.networks.student, training.networks.teacher)
    )
    return float((student - teacher).norm() / student.norm())


# %%
def last_tenth(training, term):
    """Mean of a logged loss over the last tenth of the updates."""
    rows = training.history[-max(1, len(training.history) // 10) :]
    return np.mean([row[term] for row in rows])


# %%
def gain(training):
    """Validation Dice at the end minus at the end of the warm-up."""
    before = [dice for iteration, dice in training.validation if iteration <= settings.warm_up]
    return training.validation[-1][1] - before[-1]


# %%
def measured(training):
    """The five numbers of a training as texts."""
    losses = {term: f"{last_tenth(training, term):.4f}" for term in ("supervised", "consistency")}
    return losses | {
        "gain": signed(gain(training)),
        "snapshots": f"{1000 * snapshot_change(training):.1f} ‰",
        "apart": f"{100 * apart(training):.2f} %",
    }


# %%
numbers = {row: measured(one) for row, one in trainings.items() if row != "supervised_strong"}

# %% [markdown]
# ## What is your diagnosis?
#
# Choose an exhibit by its letter, look at its evidence beside the sound training's, and say which
# defect it has. Every defect is on show once. *Check* judges all that you have chosen and gives a
# hint for a wrong one; only your first try counts, and an answer that you ask for counts as missed.
# Play the snapshots, and switch to logarithmic losses where two curves lie flat on the axis. Which
# exhibits can you name from their curves alone, and for which do you need a number?

# %%
followed = {"mean_teacher": study} | {key(x): EXHIBITS[x].study(study) for x in EXHIBITS}
followed = {row: one.snapshot_case for row, one in followed.items()}
scans = {
    row: (scan, cohort.sealed.open(scan.case_id, "teaching picture"))
    for row, scan in followed.items()
    if scan.case_id in cohort.sealed  # without a known truth there is nothing to compare with
}

# %% tags=["widget", "thumbnail"]
ALT_GAME = (
    "Nine trainings with a hidden defect, to be matched with its name. Losses, validation Dice and "
    "snapshots of each stand beside the sound mean teacher and the strong baseline."
)
matching(EXHIBITS, trainings, scans, numbers, stage=settings.warm_up, alt=ALT_GAME)

# %% [markdown]
# The same answers where no game can run, one fold a letter. The line that was changed is shown as
# it should be (-) and as it is (+).

# %% tags=["solution"]
HTML(answers())

# %% [markdown]
# **Task 2. Judge a curve.** An exhibit's validation Dice lies *above* that of the sound training,
# from its first point on.

# %% tags=["predict"]
ask(
    "What do you suspect first?",
    options=(
        "A better method",
        "A leak of labels",
        "Luck of the seed",
    ),
    answer="A leak of labels",
    because=(
        "From the first point on the exhibit has what the sound training has not. Count the "
        "labels before you write a paper."
    ),
)

# %% [markdown]
# ## What does the score say?
#
# Now the same question to the test scans, over all stored seeds: Dice of each exhibit minus Dice of
# the sound mean teacher, scan by scan. The grey band is the margin that notebook 05 calls too small
# to mind.

# %% tags=["figure"]
pairs = [(key(letter), "mean_teacher") for letter in EXHIBITS]
compared = compare_rows(stored_results(), pairs)
titles = {key(letter): f"{letter}: {EXHIBITS[letter].name}" for letter in EXHIBITS}
worse = " ".join(visible()) or "none"
ALT_SCORE = f"Dice of each exhibit minus the sound teacher's. Surely beyond the margin: {worse}."
figure = figures.forest(compared, margin=MARGINS["dice"], names=titles, results=stored_results())
show(figure, alt=ALT_SCORE)

# %% tags=["results"]
hidden = [letter for letter in EXHIBITS if letter not in visible()]
over_strong = compare_rows(stored_results(), [(row, "supervised_strong") for row, _ in pairs])
passing = [one.row[-1].upper() for one in over_strong if one.interval.low > 0]
counted = {"visible": visible(), "not visible": hidden, "better than the strong baseline": passing}
lines = [(words, len(letters), " ".join(letters)) for words, letters in counted.items()]
plain_table(("Exhibits", "of 9", "which"), lines, smoke_note(stored_results()))

# %% [markdown]
# **How to read it.** The figure's verdicts say whether a difference is certain; *visible* asks
# besides that it is larger than the margin. A visible defect would be caught by anybody who has a
# sound version to compare with. In real life you do not: the defective run *is* your method. The
# last line is what a paper with such a defect would report, an improvement over the baseline with
# an interval above zero. And an exhibit *above* the sound training is no comfort: it is the sign of
# a leak.
#
# A defect that costs nothing says something about the method. If training without the part that the
# line disables ends in the same place, then at this length, on this cohort, that part does not
# carry the gain. A defect and an [ablation](../docs/glossary.md) are the same experiment; only the
# intention differs.

# %% [markdown]
# ## What would have found it?
#
# Not a longer training: a test. The trick is a network that needs no training, because the organ
# is simply what is bright. With it, every promise of the step can be checked on one batch.


# %% tags=["definition"]
class Threshold(nn.Module):
    """Bright voxels are organ. Remembers in which mode it was asked."""

    def __init__(self):
        super().__init__()
        self.modes = []

    def forward(self, images):
        self.modes.append(self.training)
        return torch.cat([-2 * images, 2 * images], dim=1)


# %% tags=["definition"]
def striped_scans(shape, device):
    """Four scans with bright stripes, and their labels."""
    stripes = torch.arange(shape[-1], device=device) * 5 // shape[-1] % 2
    labels = stripes.expand(4, *shape)
    return standardise(labels.unsqueeze(1).float()), labels


class Subject(NamedTuple):
    """What a test looks at: the method, what it is given, and how many labels were promised."""

    method: ModuleType
    study: Study
    n_labelled: int


def run_step(subject, unlabelled=None, part=1.0):
    """One step of the method with thresholds for networks: its output and the networks."""
    settings, device = subject.study.settings, subject.study.device
    images, labels = striped_scans(settings.patch, device)
    batch = Batch(images, labels, images if unlabelled is None else unlabelled)
    networks = Networks((Threshold(),), Threshold())
    moment = Moment(int(part * 1000), 1000, generator_at(device, 0), settings)
    return subject.method.mean_teacher_step(networks, batch, moment), networks


# %% [markdown]
# **Task 3. A test of your own.** A colleague's teacher is built by `make(student)`. Write
# `takes_no_gradient(make)`: true if no weight of the new teacher asks for a gradient. It must not
# be fooled by a teacher that *is* the student.


# %% tags=["exercise"]
def takes_no_gradient(make):
    return NotImplemented  # your code


# %% tags=["exercise"]
def frozen(student):
    return nn.Linear(2, 1).requires_grad_(False)


check(
    "A test of your own",
    takes_no_gradient,
    [
        ("passes a frozen teacher", lambda f: f(frozen) is True),
        ("fails one with gradients", lambda f: f(lambda student: nn.Linear(2, 1)) is False),
        (
            "fails the student itself",
            lambda f: f(lambda s: s.requires_grad_(False)) is False,
            "compare the two objects",
        ),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def takes_no_gradient(make):
#     student = nn.Linear(2, 1)
#     teacher = make(student)
#     frozen = not any(weight.requires_grad for weight in teacher.parameters())
#     return frozen and teacher is not student
# ```
#
# </details>

# %% [markdown]
# Nine properties, one function each. None trains, none needs a label of a real scan.


# %% tags=["definition"]
def unlabelled_matters(subject):
    flat = torch.zeros(4, 1, *subject.study.settings.patch, device=subject.study.device)
    one, other = (run_step(subject, scans)[0].losses["consistency"] for scans in (None, flat))
    return one != other


def agreement_costs_nothing(subject):
    logits = torch.tensor([[[2.0, -1.0], [0.0, 3.0]], [[1.0, 0.0], [-2.0, 1.0]]])
    return subject.method.consistency_loss(logits, logits.softmax(dim=1)) < 1e-8


def teacher_follows(subject):
    student, teacher = nn.Linear(1, 1), nn.Linear(1, 1)
    before = teacher.weight.item()
    update_teacher(teacher, student, subject.study.settings.schedule.teacher_decay)
    return teacher.weight.item() not in (before, student.weight.item())


# %% tags=["definition"]
def pseudo_labels_lie_on_their_view(subject):
    device = subject.study.device
    images, _ = striped_scans(subject.study.settings.patch, device)
    view, target = subject.method.two_views(images, Threshold(), generator_at(device, 0))
    return ((view[:, 0] > 0) == target.argmax(dim=1).bool()).float().mean() > 0.9


def labels_are_counted(subject):
    return subject.study.cohort.n_labelled == subject.n_labelled


def weight_rises(subject):
    first, last = (run_step(subject, part=part)[0].losses for part in (0.0, 1.0))
    return last["consistency"] > 50 * first["consistency"]


# %% tags=["definition"]
def teacher_uses_batch_statistics(subject):
    return all(run_step(subject)[1].teacher.modes)


def teacher_is_asked(subject):
    return len(run_step(subject)[1].teacher.modes) > 0


def labels_move_with_their_image(subject):
    return run_step(subject)[0].losses["supervised"] < 0.5


# %% tags=["definition"]
TESTS = {
    "unlabelled scans matter": unlabelled_matters,
    "agreement costs nothing": agreement_costs_nothing,
    "the teacher follows": teacher_follows,
    "pseudo-labels lie on their view": pseudo_labels_lie_on_their_view,
    "labels are counted": labels_are_counted,
    "the weight rises": weight_rises,
    "the teacher uses the batch's statistics": teacher_uses_batch_statistics,
    "the teacher is asked": teacher_is_asked,
    "labels move with their image": labels_move_with_their_image,
}

# %%
subjects = {"sound": Subject(baselines, study, N_LABELLED)}
for letter, exhibit in EXHIBITS.items():
    subjects[letter] = Subject(exhibit.method(), exhibit.study(study), N_LABELLED)

# %% tags=["results"]
lines = []
for name, test in TESTS.items():
    passed = {letter: bool(test(subject)) for letter, subject in subjects.items()}
    parts = (" ".join(x for x in passed if passed[x] == good) or "none" for good in (False, True))
    lines.append((name, *parts))
plain_table(("Test", "fails for", "passes for"), lines)

# %% [markdown]
# The sound training passes all nine, and each exhibit fails the one test that names its defect and
# no other. A score
# says *that* something is wrong, if it says anything; a property says *what*. The test suite of
# this repository holds such properties for its methods, and a list of defects that are
# switched on, one by one, to see that some test notices (`tests/methods/test_defects.py`).

# %% [markdown]
# **Task 4. Labels that move along.** Write `moves_together(augment)`: `augment(image, label)`
# returns both, changed. True if they still fit each other. A label map can serve as its own image.


# %% tags=["exercise"]
def moves_together(augment):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "Labels that move along",
    moves_together,
    [
        ("passes a mirror of both", lambda f: bool(f(lambda x, y: (np.flip(x), np.flip(y))))),
        (
            "fails a mirror of the image",
            lambda f: not f(lambda x, y: (np.flip(x), y)),
            "label as image",
        ),
        ("fails a shift of the label", lambda f: not f(lambda x, y: (x, np.roll(y, 1)))),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def moves_together(augment):
#     label = np.array([0, 0, 1, 2, 0])
#     image, moved = augment(label.copy(), label)
#     return (image == moved).all()
# ```
#
# A symmetric label map would be fooled by the mirror.
#
# </details>

# %% [markdown]
# ## Does this happen to others?
#
# It does, in code that is cited a lot, and it happened to us. Four cases:
#
# - In the released code of bidirectional copy-paste, the ACDC mask of the background class was one
#   everywhere, so that its Dice loss mixed both regions with each region's label. It was fixed in
#   October 2023, after the paper's numbers and the released weights.
# - In the same code the average of the teacher covers only the parameters in one script and the
#   running statistics too in the other: exhibit G shows what can depend on it.
# - In the released code of anatomically aware uncertainty the noise on the latent code is off while
#   the [autoencoder](../docs/glossary.md) learns and on by default when it is asked, in evaluation
#   too: the same scan gets another uncertainty at each call. And its options take the word `False`
#   for true, as any text that is not empty.
# - In this repository two of the first defects that we switched on in a copy were noticed by no
#   test. One showed a test that was too weak, since fixed; the other turned out to be no defect.

# %% [markdown]
# **Task 5. Choose a test.** A test that cannot fail is worse than none.

# %% tags=["predict"]
ask(
    "Which test notices a softmax over the batch?",
    options=(
        "The loss is finite and not negative",
        "The loss falls during a short training",
        "The loss of a prediction that equals its target is zero",
    ),
    answer="The loss of a prediction that equals its target is zero",
    because=(
        "The first two are true of that defect as well: look at its curve. Only the third "
        "states what the loss is for."
    ),
)

# %% [markdown]
# ## What do you remember?
#
# Ten questions. Answer aloud, then unfold.
#
# <details><summary>1. Why do such defects not stop a training?</summary>
#
# Every tensor has the right shape, and a network learns whatever it is given.
#
# </details>
#
# <details><summary>2. What is the difference between a defect and an ablation?</summary>
#
# Only the intention. Both train the method without one of its parts.
#
# </details>
#
# <details><summary>3. Why is a score a poor test?</summary>
#
# It says *that* something is wrong, if it says anything. Many defects cost less than the luck of a
# seed.
#
# </details>
#
# <details><summary>4. What does a property test need?</summary>
#
# A promise of the step, and a network that needs no training: one batch is enough.
#
# </details>
#
# <details><summary>5. What does a Dice above the sound training suggest?</summary>
#
# A leak: labels or test scans that training should not have.
#
# </details>
#
# <details><summary>6. Why must a test be seen failing?</summary>
#
# A test that passes on the defect says nothing. Switch the defect on, and look.
#
# </details>
#
# <details><summary>7. What does the distance of teacher and student tell?</summary>
#
# Very large: the teacher does not follow (exhibit C). 0 would mean that both are one. It does not
# say who was *asked*: in exhibit H it looks sound.
#
# </details>
#
# <details><summary>8. Why is the size of a loss worth a look, not only its direction?</summary>
#
# A softmax over the wrong axis, or a weight that never rises, still falls.
#
# </details>
#
# <details><summary>9. What does a teacher in evaluation mode do?</summary>
#
# Its normalisation layers answer with running statistics of other weights instead of those of the
# batch.
#
# </details>
#
# <details><summary>10. Which defects would you find in your own code today?</summary>
#
# Those that a test of yours has been seen to catch.
#
# </details>

# %% [markdown]
# ## What stays?
#
# - A segmentation code that trains has shown only that it trains. Whether a defect costs points
#   depends on how much the spoilt part did, and that is what you set out to measure.
# - Read the *size* of a loss, the moment at which curves part, and the snapshots. They separate
#   most exhibits, once you have a sound one to compare with.
# - Some defects are invisible in all curves. They need a property that holds on one batch, with a
#   network that needs no training.
# - A result that is too good is a symptom.
#
# **Limits.** One method, one small network, one short schedule: with longer training or another
# cohort the same line can cost more or nothing. All exhibits are defects of code; those of data
# (a patient on both sides of a split, labels shifted by a voxel) are looked for when scans are
# read, see notebook 06.
#
# ## References
#
# - Mean teacher: A. Tarvainen and H. Valpola, NeurIPS 2017. References of the methods stand in
#   their notebooks.
# - Bidirectional copy-paste, code: github.com/DeepMed-Lab-ECNU/BCP, issue 25.
# - Anatomically aware uncertainty: S. Adiga V and colleagues, Medical Image Analysis, 2024.
