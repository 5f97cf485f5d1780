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
# # Few labels, many scans
#
# **A radiologist outlines a heart for an hour; the archive holds thousands of hearts that nobody
# outlined. How much of the missing hour can the unlabelled scans replace?**
#
# This notebook sets the stage for the methods of notebooks 01 to 04. It trains the same network
# four times on the same scans: with a few labels, with a few labels and strong augmentation (the
# *strong baseline*), with unlabelled scans on top of that (a *mean teacher*), and with every label.
# The distance between the strong baseline and the last is what semi-supervised learning can win.
# What it wins is measured here, on scans that training never saw.
#
# - **Time:** minutes on two CPU cores (`quick`), seconds for a test run (`smoke`).
# - **Your time:** about 40 minutes to read, 80 with the tasks.
# - **Words:** the [glossary](../docs/glossary.md) has a line for each. Here:
#   [scan](../docs/glossary.md), [label map](../docs/glossary.md),
#   [unlabelled](../docs/glossary.md), [strong augmentation](../docs/glossary.md).
# - **Data:** what `DATASET` names. `"phantom"`, the default, is a procedural heart that needs no
#   licence; `"hippocampus"` fetches 260 real MRI scans (Medical Segmentation Decathlon, CC BY-SA
#   4.0); `"acdc"`, hearts of 100 patients (CC BY-NC-SA 4.0), needs
#   `python data_download.py fetch acdc` once.
# - **Pages** of all notebooks: [reports/index.html](../reports/index.html).
# - **You need** Python and a little PyTorch.
# - **You will be able to** say what each label is worth, build a mean teacher in four small
#   functions, and recognise a comparison that flatters its method.

# %% [markdown]
# ## What can be changed?
#
# One cell, literals only. The same notebook runs on the [phantom](../docs/glossary.md), on real
# scans and on your own folder of NIfTI files.

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
import textwrap

import numpy as np
import torch

from ssl_lib.training import augmentation
from ssl_lib.training.augmentation import paste, random_affine, random_appearance, random_boxes
from ssl_lib.training.losses import cross_entropy, dice_squared_all, one_hot, segmentation_loss
from ssl_lib.training.batches import TwoStreams, generator_at
from ssl_lib.training.geometry import as_seen, inner_size, random_turns, unmoved
from ssl_lib.training.study import Study
from ssl_lib.models.teacher import gaussian_ramp, make_teacher, update_teacher
from ssl_lib.training.loop import Loop, StepOutput

# %%
from ssl_lib import figures
from ssl_lib.notebook import interactive
from ssl_lib.notebook.captions import curves_caption
from ssl_lib.notebook.explore import Slider, explore
from ssl_lib.figures import show
from ssl_lib.figures.comparison import worth_in_labels
from ssl_lib.notebook.source import work_in_project
from ssl_lib.notebook.quiz import check, ask
from ssl_lib.evaluation.results import read_results
from ssl_lib.methods import METHODS
from ssl_lib.evaluation.statistics import paired_difference
from ssl_lib.notebook.tables import constants_table, gain_table, plain_table, row_table
from ssl_lib.utils.words import signed

NOTEBOOK = "00_few_labels_many_scans"

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


# %% [markdown]
# ## What do you expect?
#
# Commit to a guess before you scroll. Guessing wrong is the fastest way to remember.


# %% tags=["predict"]
def measured_winner():
    """Which of the two steps gained more Dice in the stored runs."""
    gains = [
        np.nanmean(paired_difference(stored_results(), *pair).values)
        for pair in (("supervised_strong", "supervised_few"), ("mean_teacher", "supervised_strong"))
    ]
    winner = "Strong augmentation" if gains[0] > gains[1] else "The unlabelled scans"
    return (
        winner,
        f"Augmentation {signed(gains[0])} Dice, unlabelled scans on top of it {signed(gains[1])}",
    )


# %% tags=["predict"]
winner, because = measured_winner() if stored_results() else ("", "")
ask(
    f"With N_LABELLED\u00a0=\u00a0{N_LABELLED}, what adds more Dice?",
    options=("Strong augmentation", "The unlabelled scans"),
    answer=winner,
    because=because,
    runs=stored_results(),
)

# %% [markdown]
# ## Where does this end?
#
# With this picture, drawn from the stored [result files](../docs/glossary.md). Each small mark is
# one test scan; the diamond is the mean, its bar a 95 % [interval](../docs/glossary.md) over
# patients. If the picture is missing, no run is stored yet for these parameters: run the notebook
# once, it makes its own.

# %% tags=["first-figure"]
drawn = bool(stored_results())
if drawn:
    runs = stored_results()
    show(figures.row_comparison(runs), alt=figures.row_message(runs))
else:
    print("No stored run yet for these parameters; the section on the results draws this picture.")

# %% [markdown]
# ## Who is who among the scans?
#
# A *cohort* has four groups. **Labelled** scans are all the truth that training gets.
# **Unlabelled** scans come without outlines; their hidden truth lies *sealed* and is opened below
# only for teaching pictures. **Validation scans** choose settings. **Test scans** are scored once,
# with the *last weights*, those at the end of training: nothing is selected on them. Scans of one
# patient never stand in two splits.

# %%
groups = [
    (group, len(cases), cases[0].case_id if cases else "–")
    for group, cases in cohort.groups.items()
]
caption = f"Classes: {', '.join(cohort.class_names)}. {cohort.caveat}"
plain_table(("Group", "scans", "the first is"), groups, caption)

# %% tags=["figure"]
ALT_COHORT = "All the truth that training gets: outlines in the first row, none in the others."
show(figures.cohort_grid(cohort), alt=ALT_COHORT)

# %% [markdown]
# Look along the rows: the unlabelled scans show shapes and grey levels that the few
# labelled ones do not. That is the whole hope of the field.

# %% [markdown]
# ## How does a network learn from a label?
#
# **The claim, in our words.** Our methods share one supervised loss: half cross-entropy, half
# *Dice*. Cross-entropy asks each [voxel](../docs/glossary.md) for the right class; Dice asks each
# class for overlap, however small it is.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $z$ | (batch, class, *space) | logits of the network |
# | $p = \mathrm{softmax}(z)$ | the same | probabilities |
# | $t$ | the same | the label, one-hot |
#
# $$L_\mathrm{sup} = \frac{1}{2} \left( L_\mathrm{CE} + L_\mathrm{Dice} \right)$$
# $$L_\mathrm{CE} = -\frac{1}{V}\sum_v \sum_c t_{cv} \log p_{cv}$$
# $$L_\mathrm{Dice} = 1 - \frac{1}{C}\sum_c \frac{2 \sum_v p_{cv} t_{cv} + s}
# {\sum_v p_{cv}^2 + \sum_v t_{cv}^2 + s}$$
#
# with $s = 10^{-5}$ and sums over all voxels of the batch (HiLab-git/SSL4MIS). Other codes leave
# the background out or do not square; `ssl_lib/training/losses.py` has each flavour under its own
# name.


# %% tags=["definition"]
def supervised_plain_step(networks, batch, moment, *, dice=dice_squared_all):
    images, labels = unmoved(batch.images, batch.labels, moment.settings)
    logits = networks.student(as_seen(images, moment.settings))
    return StepOutput({"supervised": segmentation_loss(logits, labels, dice=dice)})


# %% [markdown]
# A *step* is all that a method has to define: networks, a batch and the moment in; named losses
# (and the maps behind them) out. The loop around it, `ssl_lib.training.loop.fit`, is the same for
# all.
#
# **A toy for pencil and paper.** Four voxels, two classes; the network gives the organ 0.9 where it
# is and 0.1 where it is not. Cross-entropy is $-\ln 0.9 \approx 0.105$ for every voxel. For each
# class $\sum pt = 1.8$, $\sum p^2 = 1.64$, $\sum t^2 = 2$, so Dice loss is
# $1 - 3.6 / 3.64 \approx 0.011$.

# %% tags=["golden", "nbval-check-output"]
probabilities = torch.tensor([[[0.1, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1]]])
label = torch.tensor([[1, 1, 0, 0]])
print(f"cross-entropy {cross_entropy(probabilities.log(), label):.3f}")
print(f"Dice loss     {dice_squared_all(probabilities, one_hot(label, 2)):.3f}")

# %% [markdown]
# **Why both?** Suppose the network calls everything background. The smaller the organ, the less
# cross-entropy minds. Dice minds always.

# %% tags=["figure"]
shares = np.linspace(0.002, 0.2, 40)
curves = {"cross-entropy of 'all background, 99 % sure'": -shares * np.log(0.01)}
curves["Dice loss of the organ"] = 1 - 2 * 0.01 * shares / (0.01**2 + shares)
ALT_SHARES = (
    "The smaller the organ, the less cross-entropy minds that it is missed; Dice loss stays near 1."
)
figure = figures.line_chart(100 * shares, curves, x="share of the organ in the image (%)", y="loss")
show(figure, alt=ALT_SHARES)

# %% [markdown]
# **Task 1. Dice by hand.** (Tasks stand where they belong. Where code is asked for, replace the
# body and run both cells: the check says what is right and gives hints; a solution is folded below
# it.) Write `my_dice_loss(p, t)` for one class: probabilities and labels as lists of numbers, $s =
# 10^{-5}$ as above.


# %% tags=["exercise"]
def my_dice_loss(p, t):
    return NotImplemented  # your code


# %% tags=["exercise"]
toy = [0, 0, 1, 1]
check(
    "Dice by hand",
    my_dice_loss,
    [
        ("a perfect prediction costs nothing", lambda f: abs(f([1.0, 0.0], [1, 0])) < 1e-6),
        ("the toy", lambda f: abs(f([0.1, 0.1, 0.9, 0.9], toy) - 0.011) < 1e-3, "square p and t"),
        ("no organ, none found", lambda f: abs(f([0.0, 0.0], [0, 0])) < 1e-6, "s is in both sums"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_dice_loss(p, t, s=1e-5):
#     overlap = sum(a * b for a, b in zip(p, t))
#     return 1 - (2 * overlap + s) / (sum(a * a for a in p) + sum(b * b for b in t) + s)
# ```
#
# </details>

# %% [markdown]
# ## How far can few labels be stretched?
#
# **Weak augmentation** is what the papers' supervised rows get: each [patch](../docs/glossary.md)
# is laid down by quarter turns and mirrored. No voxel changes its grey level. Our row is *weak
# baseline*; in the [profile](../docs/glossary.md) `paper` the scan is turned before the patch is
# cut, as released, and the step has nothing left to do.


# %% tags=["definition"]
def supervised_weak_step(networks, batch, moment, *, dice=dice_squared_all):
    images, labels = unmoved(batch.images, batch.labels, moment.settings)
    if moment.settings.geometry == "ours":
        images, labels = random_turns(images, labels, moment.generator)
    logits = networks.student(as_seen(images, moment.settings))
    return StepOutput({"supervised": segmentation_loss(logits, labels, dice=dice)})


# %% [markdown]
# **Strong augmentation** makes new labelled scans out of old ones: turn, scale and shift them, bend
# the grey levels as another scanner would, blur, add noise, and paste a box of one labelled scan
# into another (image *and* label). It costs nothing but thought.
#
# It is also the honest opponent. Methods with unlabelled scans bring such augmentation along, and
# many papers compare with a baseline that does not get it. Every table of this repository has the
# row *strong baseline*: same labels, same augmentation, same number of updates.


# %% tags=["definition"]
def supervised_step(networks, batch, moment, *, strong=True, dice=dice_squared_all):
    if not strong:
        return supervised_weak_step(networks, batch, moment, dice=dice)
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes,
        inner=inner_size(moment.settings),
    )  # fmt: skip
    loss = segmentation_loss(networks.student(images), labels, dice=dice)
    return StepOutput({"supervised": loss}, {"images": images, "labels": labels})


# %%
def patches(number=1, seed=SEED):
    """One batch as training sees it."""
    streams = TwoStreams(
        study.training_scans,
        patch=settings.patch,
        labelled=4,
        unlabelled=4,
        seed=seed,
        device=study.device,
    )
    return streams.at(number)


# %% tags=["figure"]
batch = patches()
original = augmentation.standardise(batch.images)
draws = [(original[0, 0].cpu().numpy(), batch.labels[0].cpu().numpy())]
for number in range(9):
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, generator_at(study.device, SEED, "picture", number)
    )
    draws.append((images[0, 0].cpu().numpy(), labels[0].cpu().numpy()))
ALT_DRAWS = "One labelled patch and nine strongly augmented versions of it, outlines moved along."
show(figures.augmentation_grid(draws, cohort.class_names), alt=ALT_DRAWS)

# %% [markdown]
# **Try it.** How much change of appearance is too much? The outline never moves with this slider;
# only the scanner does. At which strength would *you* lose the organ?


# %% tags=["widget"]
def appearance(strength, attempt):
    generator = generator_at(study.device, SEED, "appearance", attempt)
    image = random_appearance(batch.images[:1], generator, strength)[0, 0].cpu().numpy()
    pair = (draws[0], (image, draws[0][1]))
    titles = "original", f"strength {strength:g}"
    return figures.augmentation_grid(pair, cohort.class_names, titles)


# %% tags=["widget"]
explore(
    appearance,
    wanted_bytes=260_000,
    alt=lambda strength, attempt: (
        f"A patch beside its version of appearance strength {strength:g}."
    ),
    strength=Slider("strength", (0.0, 0.5, 1.0, 1.5, 2.0), 1.0, live=[k / 10 for k in range(21)]),
    attempt=Slider("random draw", (1, 2), 1, live=range(1, 11)),
)

# %% [markdown]
# **Task 2. A planted error.** This augmentation ran for a month before anybody wondered about its
# Dice:
#
# ```python
# def mirrored(images, labels):
#     return images.flip(-1), labels
# ```
#
# Write it right.


# %% tags=["exercise"]
def mirrored(images, labels):
    return NotImplemented  # your code


# %% tags=["exercise"]
tiny = torch.tensor([[1, 2, 3]])
check(
    "A planted error",
    mirrored,
    [
        ("the image is mirrored", lambda f: f(tiny, tiny > 1)[0].tolist() == [[3, 2, 1]]),
        (
            "its label still fits",
            lambda f: (f(tiny, tiny > 1)[1] == (f(tiny, tiny > 1)[0] > 1)).all(),
            "whatever moves voxels moves both",
        ),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def mirrored(images, labels):
#     return images.flip(-1), labels.flip(-1)
# ```
#
# </details>

# %% [markdown]
# ## What can a scan without a label teach?
#
# Not the name of a class. It shows which voxels look alike, and where there is a gap between kinds.
# If the border of a class lies in such a gap, and neighbours without a gap between them share their
# class, then a few labels name whole regions. These two conditions are called *low density* and
# *smoothness*; every method of these notebooks rests on them.
#
# **A toy.** Each point is a voxel, described by two numbers. Left, a point gets the class of the
# nearest labelled point. Right, labels spread: round by round, each point passes its class on to
# its nearest neighbours, labelled or not (Zhou and colleagues, NeurIPS 2003).

# %% tags=["figure"]
ALT_CLOUDS = (
    "Two clouds of points with a few labels, classified by the nearest labelled point, and by "
    "labels that spread over all points."
)
interactive.assumption(alt=ALT_CLOUDS)

# %% [markdown]
# **Try it.** Close the gap by *cloud shift*, step by step: when does spreading lose its lead, and
# why so suddenly? Then choose the border *by convention*. In anatomy such borders are common:
# experts end an atrium at a plane, or cut a vessel at a fixed distance, through tissue that looks
# alike on both sides. Which rule is better now, with one label per class and with eight? Go through
# several draws.

# %% [markdown]
# ## What is a mean teacher?
#
# **The claim** (Tarvainen and Valpola, 2017, in our words). Average the weights of the network over
# the last updates and you get a better network: the *teacher*. Let it label the unlabelled scans
# with *pseudo-labels* and ask the *student* to agree, on a *harder view* of the same scan. The
# better the student, the better the average, the better the pseudo-labels.
#
# $$\theta' \leftarrow a\,\theta' + (1 - a)\,\theta$$

# %% [markdown]
# **One update in one picture.** Boxes with a coloured line are scans, networks and losses; a dashed
# arrow carries no gradient.

# %% tags=["figure"]
interactive.update("mean_teacher", alt=figures.diagram_alt("mean_teacher"))

# %% [markdown]
# **A toy.** Student weights 1, 1, 1; the teacher starts at 0 with $a = 0.5$. By hand: 0.5, 0.75,
# 0.875.

# %% tags=["golden", "nbval-check-output"]
student = torch.nn.Linear(1, 1, bias=False)
torch.nn.init.ones_(student.weight)
teacher = make_teacher(student)
torch.nn.init.zeros_(teacher.weight)
for _ in range(3):
    update_teacher(teacher, student, decay=0.5)
    print(f"{teacher.weight.item():.3f}")

# %% [markdown]
# **Task 3. One update of the teacher.** Write `my_update(teacher, student, decay)` for plain
# numbers.


# %% tags=["exercise"]
def my_update(teacher, student, decay):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "One update of the teacher",
    my_update,
    [
        ("halfway at decay 0.5", lambda f: abs(f(0.0, 1.0, 0.5) - 0.5) < 1e-9),
        ("decay 1 never moves", lambda f: f(3.0, 7.0, 1.0) == 3.0, "weight the *teacher* by decay"),
        ("decay 0 copies the student", lambda f: f(3.0, 7.0, 0.0) == 7.0),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_update(teacher, student, decay):
#     return decay * teacher + (1 - decay) * student
# ```
#
# </details>

# %% [markdown]
# A *decay* close to 1 remembers long and reacts late. Short trainings need short memories: here
# $a$ is set by the profile. The teacher starts as a copy of the warmed-up student; with a decay of
# 0.99 it would answer for the student of about a hundred updates ago.


# %%
updates = np.arange(301)
trend = 1 - np.exp(-updates / 60)  # what one weight would learn without noise
noisy = trend + np.random.default_rng(0).normal(0, 0.25, updates.size)

# %% tags=["figure"]
ALT_AVERAGE = "One noisy weight of the student over training, its trend, and the teacher's weight."
interactive.moving_average(noisy, trend, settings.schedule, alt=ALT_AVERAGE)

# %% [markdown]
# **Try it.** The slider starts at the decay of this training. Which decay brings the teacher
# closest to the trend? What gets worse below it, and what above? The bars below the curves show how
# much each past student counts: read them at an early update, with and without *warm start*. With
# it (the rule of some published codes) the first update copies the student. When does that help?

# %% [markdown]
# **Task 4. How long is its memory?** After how many updates does a weight's old value count half in
# the teacher? Write `half_life(decay)`. Predict the number for 0.97 first.


# %% tags=["exercise"]
def half_life(decay):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "How long is its memory?",
    half_life,
    [
        ("decay 0.5: one update", lambda f: abs(f(0.5) - 1) < 1e-9),
        ("decay 0.97", lambda f: abs(0.97 ** f(0.97) - 0.5) < 1e-6, "solve decay ** n = 1/2"),
        ("decay 0.99", lambda f: abs(0.99 ** f(0.99) - 0.5) < 1e-6),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def half_life(decay):
#     return np.log(0.5) / np.log(decay)
# ```
#
# About 23 updates at 0.97, 69 at 0.99, 693 at 0.999: a training of 500 updates has no use for the
# last.
#
# </details>

# %% [markdown]
# ## What makes two views?
#
# Agreement is worth nothing if both networks see the same picture. The teacher gets the patch only
# turned and scaled. The student gets the same geometry with another scanner's appearance, and with
# boxes pasted in from the neighbouring patch (*CutMix*; the teacher's prediction is pasted alike).
# The first moves voxels for both, the rest moves none: so the predictions can be compared voxel by
# voxel.


# %% tags=["definition"]
def two_views(unlabelled, teacher, generator, flip_axes=(), inner=None):
    moved, _ = random_affine(unlabelled, None, generator, flip_axes=flip_axes, inner=inner)
    with torch.no_grad():
        target = teacher(augmentation.standardise(moved)).float().softmax(dim=1)
    view = random_appearance(moved, generator)
    boxes = random_boxes(view.shape[2:], len(view), generator, view.device)
    return paste(view.roll(1, 0), view, boxes), paste(target.roll(1, 0), target, boxes)


# %% [markdown]
# The teacher stays in training mode: its normalisation layers use the statistics of the batch, and
# move their running statistics by what the teacher sees. Only its weights are averaged from the
# student's (BCP's released code for ACDC averages these statistics, too, and so does our BCP row at
# `paper`).
#
# **How is disagreement measured?** As in the original, by the mean squared difference of the
# probabilities. It is bounded, so one confident error of the teacher cannot dominate.
#
# $$L_\mathrm{cons} = \frac{1}{VC}\sum_{v,c} (p_{cv} - p'_{cv})^2$$
# $$L = L_\mathrm{sup} + w\, r(k)\, L_\mathrm{cons}$$


# %% tags=["definition"]
def consistency_loss(logits, target):
    return (logits.float().softmax(dim=1) - target).square().mean()


# %% tags=["golden", "nbval-check-output"]
agreeing, opposed = torch.tensor([[[9.0], [-9.0]]]), torch.tensor([[[-9.0], [9.0]]])
target = agreeing.softmax(dim=1)
print(f"agree {consistency_loss(agreeing, target):.2f}")
print(f"oppose {consistency_loss(opposed, target):.2f}")

# %% [markdown]
# **Why a ramp?** An untrained teacher teaches nonsense. So training starts with labels alone (the
# *warm-up*, which *every* row gets), and then the weight of the loss on disagreement, the
# *consistency*, rises as $r(k) = \exp(-5 (1 - k / K)^2)$ until [iteration](../docs/glossary.md)
# $K$ after it: a *ramp*.

# %% tags=["figure"]
iterations = np.arange(settings.schedule.iterations)
ramp_end = settings.ramp * settings.schedule.iterations
weights = np.array([settings.consistency_weight * gaussian_ramp(k, ramp_end) for k in iterations])
ALT_RAMP = "The weight of the consistency rises smoothly and then stays constant."
ramp = {"x": "iterations after the warm-up", "mark": int(ramp_end)}
show(figures.ramp_curve({"weight of the consistency": weights}, **ramp), alt=ALT_RAMP)


# %% tags=["definition"]
def mean_teacher_step(networks, batch, moment, *, released=False, **options):
    if released:
        return released_step(networks, batch, moment, **options)
    settings, generator = moment.settings, moment.generator
    flips, inner = settings.flip_axes, inner_size(settings)
    images, labels = augmentation.strong_augmentation(
        batch.images, batch.labels, generator, flip_axes=flips, inner=inner
    )
    supervised = segmentation_loss(networks.student(images), labels)
    view, target = two_views(batch.unlabelled, networks.teacher, generator, flips, inner)
    consistency = consistency_loss(networks.student(view), target)
    ramp = gaussian_ramp(moment.iteration, settings.ramp * moment.iterations)
    weight = settings.consistency_weight * ramp
    losses = {"supervised": supervised, "consistency": weight * consistency}
    return StepOutput(losses, {"view": view, "target": target})


# %% [markdown]
# **Task 5. Only teach what you are sure of.** Many methods drop voxels whose pseudo-label is
# uncertain. Write `sure(target, threshold)`: for probabilities of shape (batch, class, *space), a
# mask of shape (batch, *space) that is true where the largest probability reaches the threshold.


# %% tags=["exercise"]
def sure(target, threshold):
    return NotImplemented  # your code


# %% tags=["exercise"]
example = torch.tensor([[[0.9, 0.6], [0.1, 0.4]]])
check(
    "Only teach what you are sure of",
    sure,
    [
        ("shape without the class axis", lambda f: f(example, 0.8).shape == (1, 2)),
        ("sure, then unsure", lambda f: f(example, 0.8).tolist() == [[True, False]]),
        ("threshold 0 keeps all", lambda f: bool(f(example, 0.0).all()), "use >=, not the class"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def sure(target, threshold):
#     return target.amax(dim=1) >= threshold
# ```
#
# </details>

# %% [markdown]
# **As released.** The codes that papers compare with (UA-MT on LA, SSL4MIS on ACDC) do less: the
# student sees the patches as they were cut, labelled and unlabelled ones in *one* forward pass, so
# that its normalisation layers see both; the teacher sees the unlabelled ones with noise of
# standard deviation 0.1, cut off at 0.2; the weight rises in steps of 150 iterations; and in the
# slices' code consistency is switched on after 1000. `released=True` is that step, in the profile
# `paper`. Its `weigh` gives each voxel a weight and is for notebook 00b; here all count the same:
#
# $$L_\mathrm{cons} = \frac{\sum_{v,c} w_v\,(p_{cv} - p'_{cv})^2}{2 \sum_v w_v}$$
#
# with the 2 of two classes. (The mean teacher's code takes the plain mean over voxels *and*
# classes, which is the same for two.)


# %% tags=["definition"]
def noisy(images, generator, level=0.1):
    """The images with normal noise, cut off at twice its standard deviation."""
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return images + (level * noise).clamp(-2 * level, 2 * level)


# %% tags=["definition"]
def risen(moment):
    """The weight of the consistency: w r(k), k in whole steps of `ramp_every` iterations."""
    settings = moment.settings
    reached = moment.iteration // settings.ramp_every * settings.ramp_every
    length = settings.ramp * moment.iterations
    return settings.consistency_weight * gaussian_ramp(reached, length)


# %% tags=["definition"]
def released_step(networks, batch, moment, *, weigh=None, dice=dice_squared_all, silent=0,
                  everywhere=False):  # fmt: skip
    """The mean teacher as released. `silent` iterations go without consistency; `everywhere` asks
    for it on labelled patches, too; `weigh(networks, images, prediction, moment)` weighs voxels."""
    labelled = len(batch.images)
    everything = torch.cat([batch.images, batch.unlabelled])
    first = 0 if everywhere else labelled
    with torch.no_grad():
        heard = noisy(everything[first:], moment.generator)
        target = networks.teacher(heard).float().softmax(dim=1)
    logits = networks.student(everything)
    errors = (logits[first:].float().softmax(dim=1) - target).square()
    maps = weigh(networks, everything[first:], target, moment) if weigh else {}
    if weigh:
        weight = maps["clean weight"]
        consistency = (weight * errors).sum() / (2 * weight.sum() + 1e-16)
    else:
        consistency = errors.mean()
    factor = risen(moment) if moment.iteration >= silent else 0.0
    supervised = segmentation_loss(logits[:labelled], batch.labels, dice=dice)
    losses = {"supervised": supervised, "consistency": factor * consistency}
    return StepOutput(losses, {"view": everything[first:], "target": target, **maps})


# %% [markdown]
# Read `mean_teacher_step` next to `supervised_step`: the labelled half is the same to the letter.
# The only news is the second term. With weight 0 its gradients *are* those of the supervised step,
# bit for bit; a test holds this.

# %% [markdown]
# **Task 6. The ramp upside down.** A colleague's weight is largest when the teacher knows least:
#
# ```python
# def my_ramp(k, end):
#     return np.exp(-5 * (k / end) ** 2)
# ```
#
# Fix it. Iterations beyond the end must not fall again.


# %% tags=["exercise"]
def my_ramp(k, end):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "The ramp upside down",
    my_ramp,
    [
        ("hardly anything at first", lambda f: f(0, 100) < 0.01),
        ("all of it at the end", lambda f: abs(f(100, 100) - 1) < 1e-9, "1 - k / end"),
        ("and ever after", lambda f: abs(f(500, 100) - 1) < 1e-9, "k is at most the end"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_ramp(k, end):
#     return np.exp(-5 * (1 - min(k, end) / end) ** 2)
# ```
#
# </details>

# %% [markdown]
# ## What runs around a step?
#
# No framework: one loop for all methods, and this is its body, read from the library as it runs.
# The random numbers of an iteration depend on the [seed](../docs/glossary.md) and on the iteration
# alone, so a training that was stopped goes on as if it had not been.

# %%
for part in (Loop.advance, update_teacher, gaussian_ramp):
    print(textwrap.dedent(inspect.getsource(part)))

# %% [markdown]
# And the loss that notebook 01 restricts to a region: with a mask every sum runs over the voxels of
# that region only, and each region is divided by its own size.

# %%
print(inspect.getsource(inspect.unwrap(segmentation_loss)))

# %% [markdown]
# ## Does it train?
#
# A training a row, one call each. (In the profile `paper` each has the schedule that it was
# published with; see the table below.) Else all rows share the network, the warm-up, the number
# of updates, the schedule and the seed. A training that was done before, here or in another
# notebook, is found by its content and loaded; one that was interrupted continues at the very bit
# where it stopped.

# %% tags=["train"]
SHOWN = ("supervised_few", "supervised_strong", "mean_teacher", "supervised_all")
trainings = {}
for name in SHOWN:
    trainings |= study.rows(METHODS[name].defined_by(globals()))

# %% [markdown]
# `METHODS` holds a record of each method: its step, its warm-up, its parameters. `defined_by`
# takes the functions from this notebook: edit a cell above, and you train your edit.

# %% tags=["figure"]
mean_teacher, everything = trainings["mean_teacher"], trainings["supervised_all"]
figure = figures.training_curves(trainings, stored_results())
show(figure, alt=curves_caption(trainings))

# %% [markdown]
# The supervised loss of the row with few labels and no augmentation falls lowest. Compare it
# with that row's validation Dice: it has learnt its few scans by heart.

# %% [markdown]
# ## Can you watch a pseudo-label grow up?
#
# One unlabelled scan, always the first whose truth is known, never a chosen one. Until the warm-up
# ends the student labels it, from then on the teacher. Its truth is opened for this figure only.
# The third colour is the one to fear: voxels that are *wrong and sure of it* teach the student a
# mistake, and the teacher then inherits it.
#
# **Try it.** Press *Play* and watch both pictures. Then lower *confident from*: the share of right
# [pixels](../docs/glossary.md) cannot change. How many of the mistakes does each row make with
# [confidence](../docs/glossary.md)?

# %% tags=["widget"]
followed = study.snapshot_case
ALT_SNAPSHOTS = (
    "The predictions for one unlabelled scan over training, by labels alone and by the mean "
    "teacher: right, wrong, confidently wrong."
)
watched = {name: trainings[name].snapshots for name in ("supervised_strong", "mean_teacher")}
if followed.case_id in cohort.sealed:
    truth = cohort.sealed.open(followed.case_id, "teaching picture")
    interactive.snapshots(followed, truth, watched, cohort.class_names, alt=ALT_SNAPSHOTS)
else:
    print(f"{followed.case_id} has no known truth to compare with.")

# %% [markdown]
# ## When does it go wrong?
#
# **Too early, too heavy.** What if the student has to agree with a teacher that knows nothing? Two
# short trainings on the same scans: a warm-up and a ramp as above, and neither, with ten times the
# weight.

# %% tags=["train"]
short = {"schedule.iterations": max(2, settings.schedule.iterations // 5), "looks": 5}
sound = {**short, "warm_up": short["schedule.iterations"]}
early = {"warm_up": 1, "schedule.iterations": 2 * sound["warm_up"] - 1, "looks": 10, "ramp": 0.0}
early["consistency_weight"] = 10 * settings.consistency_weight
tried = {
    words: study.with_overrides(changes).train(METHODS["mean_teacher"].defined_by(globals()))
    for words, changes in (("warm-up and ramp", sound), ("neither, ten times", early))
}

# %% tags=["figure"]
looks = [iteration for iteration, _ in tried["warm-up and ramp"].validation]
lines = {
    words: np.interp(looks, *np.transpose(training.validation)) for words, training in tried.items()
}
last = (training.validation[-1][1] for training in tried.values())
ALT_EARLY = "Validation Dice ends at {:.3f} with warm-up and ramp, at {:.3f} with neither.".format(
    *last
)
figure = figures.line_chart(looks, lines, x="iteration", y="validation Dice")
show(figure, alt=ALT_EARLY)

# %% tags=["results"]
ends = {words: training.validation[-1][1] for words, training in tried.items()}
print("\n".join(f"{words}: validation Dice {dice:.3f}" for words, dice in ends.items()))

# %% [markdown]
# Agreement with noise pulls the student back for as long as the noise lasts. Whether it recovers
# depends on the labels: here they are in every batch, and slowly win. **Signs to look for** in a
# training of your own, without any truth: the consistency falls at once while the supervised loss
# stays where it is; the share of foreground in the pseudo-labels shrinks to nothing or fills the
# image; the teacher's prediction no longer depends on the scan. Notebook 07 has nine more ways to
# go wrong, each hidden in one line.

# %% [markdown]
# ## How many labels buy how much Dice?
#
# The supervised row again, with more and with fewer labels, at the same number of updates. Where
# the mean teacher's level meets the curve you read what the unlabelled scans are worth: so many
# labels, so many hours of an expert.

# %% tags=["train"]
label_curve = {}
for count in settings.label_curve:
    if count != N_LABELLED and count < everything.labels_used:
        other = study.with_labels(count)
        row = other.train(METHODS["supervised_strong"].defined_by(globals()))
        label_curve[count] = other.score(row)["dice"]

# %% tags=["results"]
result = study.save(
    NOTEBOOK, DATASET, trainings, RESULTS_DIR, label_curve=sorted(label_curve.items())
)

# %% tags=["figure"]
points = {}
for stored in stored_results():
    rows = [stored["rows"][name] for name in ("supervised_strong", "supervised_all")]
    known = [(row["labels_used"], row["dice"]) for row in rows]
    for number, dice in {**dict(stored["label_curve"]), **dict(known)}.items():
        points.setdefault(number, []).append(dice)
level = np.mean([stored["rows"]["mean_teacher"]["dice"] for stored in stored_results()])
figure = figures.label_curve(points, level=level, n_labelled=N_LABELLED, unit=cohort.unit)
numbers = sorted(points)
worth = worth_in_labels(numbers, [np.mean(points[number]) for number in numbers], level)
least = "at most " * (worth == numbers[0])
many = f"{least or 'about '}{worth:.0f}" if np.isfinite(worth) else f"more than {numbers[-1]}"
ALT_WORTH = (
    f"The mean teacher with {N_LABELLED} labelled {cohort.unit}{'s' * (N_LABELLED != 1)} reaches "
    f"a Dice for which supervised training needs {many}."
)
show(figure, alt=ALT_WORTH)

# %% [markdown]
# ## What came out?
#
# Scores of the **last** weights on the test scans: Dice and *Jaccard* (overlap, 1 is perfect),
# *95HD* (the 95th percentile of the surface distances of both directions) and *ASD* (mean distance
# from the predicted surface to the true one). An organ that was not found at all counts as Dice 0,
# has no distance, and is listed: published code often scores it as distance 0, the best possible.
#
# All stored seeds of this cohort and profile are in the table. The intervals speak of other
# *scans*; they do not cover another choice of the labelled few, which can matter more than a
# method.

# %% tags=["results"]
row_table(stored_results())

# %% tags=["figure"]
if not drawn:  # else it stands at the top
    runs = stored_results()
    show(figures.row_comparison(runs), alt=figures.row_message(runs))

# %% [markdown]
# **Which scans make the mean?** A mean hides where a row fails. Press *Worst*, then *Highest
# difference*. Does the mean teacher gain on scans that the strong baseline already finds, or on
# those that it misses? And which scan loses most? The colours of *distance* (in mm, or in voxels
# where their size is not known) say how far a wrong pixel lies from the true border: pale pixels
# along it are a small shift, a dark island is a wrong place.

# %% tags=["figure"]
truths = {c.case_id: cohort.sealed.open(c.case_id, "teaching picture") for c in cohort.test}
predictions = {
    name: study.predict(training.networks.student, cohort.test)
    for name, training in trainings.items()
}
parts = (cohort.test, truths, predictions, result, cohort.class_names)
ALT_SCANS = "Dice of each test scan by row; below, one scan with two predictions and the truth."
interactive.scans(*parts, row="mean_teacher", alt=ALT_SCANS)

# %% tags=["results"]
PAIRS = {
    "strong augmentation, over plain": ("supervised_strong", "supervised_few"),
    "unlabelled scans, over strong": ("mean_teacher", "supervised_strong"),
    "all labels, over the mean teacher": ("supervised_all", "mean_teacher"),
}
gain_table(PAIRS, stored_results())

# %% [markdown]
# **How to read it.** If the second line's interval lies above zero, unlabelled scans helped beyond
# augmentation, on this cohort, at this budget. If it holds zero, they did not show it (and if it
# also lies within 0.01, both are equal for practical purposes); below zero, they cost. The third
# line is the headroom: where [all labels](../docs/glossary.md) together
# add little to the few, the few already say nearly all that this network can learn in this time,
# and a teacher that is no better than its student has nothing to pass on. Equal updates are not
# equal work: after the warm-up, a mean-teacher step sees twice the patches. (The seconds in the
# table hold the warm-up, too.)

# %% [markdown]
# ## What do the papers report?
#
# On the left-atrium benchmark (LA 2018, V-Net, Dice in %), as re-typed in later papers; UA-MT is a
# mean teacher with [uncertainty](../docs/glossary.md):
#
# | labelled of 80 | supervised V-Net | UA-MT | all 80 labels |
# |---|---|---|---|
# | 4 | 52.55 | 82.26 | 91.44 |
# | 8 | 82.74 | 87.79 | 91.44 |
#
# Three things make these numbers larger or smaller than ours, besides the organ. The checkpoint was
# often chosen on the *test* scans. The scans were cropped around the *true* atrium beforehand. And
# the supervised row got weak augmentation, quarter turns and flips: compare our *weak baseline*
# (trained by `make rows`, shown in notebook 05), not the strong one, with theirs.
# `make reports DATASET=la2018 PROFILE=paper N_LABELLED=8` runs this very notebook at that
# scale, on a GPU, without test selection.

# %% [markdown]
# **Task 7. Judge a table.** A paper reports 0.85 for its method with four labels, 0.75 for
# "supervised with four labels", and 0.88 with all.

# %% tags=["predict"]
ask(
    "Which single row would you ask for before you believe in the unlabelled scans?",
    options=(
        "Supervised with eight labels",
        "Supervised with four labels and the method's own augmentation",
        "The method with all labels",
    ),
    answer="Supervised with four labels and the method's own augmentation",
    because=("Otherwise the gain of the augmentation is booked to the unlabelled scans."),
)

# %% [markdown]
# ## Is `PROFILE=paper` the paper?
#
# Constant by constant, for both benchmarks. The column *ours* is not typed: it is looked up where
# the training looks. *Not at hand* means that the article's text could not be read here; then the
# released code is the only witness. With `PROFILE=paper_equal` every row is trained with BCP's
# schedule instead, so that no method is favoured, or starved, by its own.

# %% tags=["results"]
constants_table("supervised_weak", "mean_teacher")

# %% [markdown]
# ## What do you remember?
#
# Ten questions. Answer aloud, then unfold.
#
# <details><summary>1. What do the strong baseline and the methods share, and what does only the
# methods get?</summary>
#
# Labels, augmentation, network and number of updates are shared. Only the methods see unlabelled
# scans.
#
# </details>
#
# <details><summary>2. Why is Dice loss added to cross-entropy?</summary>
#
# Cross-entropy hardly minds a small organ that is missed, since few voxels are wrong. Dice loss
# asks each class for overlap, however small it is.
#
# </details>
#
# <details><summary>3. Why is disagreement measured by squared differences of
# probabilities?</summary>
#
# They are bounded: one confident error of the teacher cannot dominate the sum, as it could with
# cross-entropy.
#
# </details>
#
# <details><summary>4. What would happen if student and teacher saw the very same picture?</summary>
#
# At the start both are equal, so agreement would cost nothing and teach nothing. The student needs
# the harder view.
#
# </details>
#
# <details><summary>5. Why does every row begin with a warm-up on labels alone?</summary>
#
# The pseudo-labels of an untrained teacher are noise, and the student would learn to repeat them. A
# common outcome is one class everywhere: it agrees with itself perfectly.
#
# </details>
#
# <details><summary>6. What is averaged in the teacher, and what is not?</summary>
#
# Its weights are an average of the student's. The running statistics of its normalisation layers
# are its own here, since it stays in training mode.
#
# </details>
#
# <details><summary>7. Which assumption makes unlabelled scans useful at all?</summary>
#
# That scans which look alike have like labels, and that the borders between classes run where few
# voxels lie. Unlabelled scans show where these borders cannot be.
#
# </details>
#
# <details><summary>8. Where does this assumption fail?</summary>
#
# Where a border is a convention: at which slice the atrium ends and a vein begins is written in a
# protocol, not in grey levels. No number of unlabelled scans shows it. It also fails where the
# unlabelled scans come from another scanner or other patients.
#
# </details>
#
# <details><summary>9. An interval of a difference covers zero. What is shown?</summary>
#
# Neither a gain nor a loss. It is *equal for practical purposes* only if the whole interval lies
# within the margin that was stated beforehand (notebook 05).
#
# </details>
#
# <details><summary>10. Why do the last weights count, and not the best ones?</summary>
#
# The best of many looks at the test scans is a maximum: of the method and of luck. A new hospital's
# scans do not come with that luck.
#
# </details>

# %% [markdown]
# ## What stays?
#
# - Few labels fail in a particular way: the network knows its few scans by heart and does not know
#   that it is wrong elsewhere.
# - Augmentation is the first thing to try and the baseline that every method must beat.
# - A mean teacher is four small functions on top: an average, two views, a bounded disagreement, a
#   ramp. What it adds here, with its interval, stands in the table above.
#
# **Limits.** Results on the phantom show mechanisms, not clinical performance. At the quick profile
# the networks are small and the schedules short. The labelled scans are those of one draw
# (`LABELLED_DRAW`), so intervals and seeds do not show how lucky that choice was. Settings of the
# mean teacher (weight, decay, CutMix) were chosen on validation scans of the phantom, with an
# earlier small network and a longer schedule.
#
# **Next:** notebook 00b adds a gate to the mean teacher, and lets two networks teach each other.
#
# ## References
#
# - Mean teacher: A. Tarvainen and H. Valpola, NeurIPS 2017.
# - UA-MT and the left-atrium split: L. Yu et al., MICCAI 2019. Data: Z. Xiong et al., 2021.
# - CutMix: S. Yun et al., ICCV 2019. Ramp: S. Laine and T. Aila, ICLR 2017.
# - Hippocampus scans: M. Antonelli et al., Nature Communications 13:4128, 2022. ACDC: O. Bernard et
#   al., IEEE TMI 37:2514, 2018. Labels from neighbours: D. Zhou et al., NeurIPS 2003.
#
# ```bibtex
# @inproceedings{tarvainen2017mean,
#   title     = {Mean teachers are better role models: Weight-averaged consistency targets
#                improve semi-supervised deep learning results},
#   author    = {Tarvainen, Antti and Valpola, Harri},
#   booktitle = {Advances in Neural Information Processing Systems},
#   year      = {2017}
# }
# @inproceedings{yu2019uncertainty,
#   title     = {Uncertainty-aware self-ensembling model for semi-supervised 3D left atrium
#                segmentation},
#   author    = {Yu, Lequan and Wang, Shujun and Li, Xiaomeng and Fu, Chi-Wing and Heng, Pheng-Ann},
#   booktitle = {MICCAI},
#   year      = {2019}
# }
# ```
