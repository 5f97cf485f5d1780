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
# # Two classic methods
#
# **Ask a teacher only where it is sure, or let two networks label the scans for each other. Almost
# every later paper compares itself with one of these two. What do they add to a plain mean
# teacher?**
#
# UA-MT (Yu and colleagues, MICCAI 2019) is a mean teacher with a gate: voxels on which the teacher
# is unsure teach nothing. *Cross pseudo supervision* (CPS; Chen and colleagues, CVPR 2021) has two
# networks and no teacher at all. Both are short enough to be built here in one sitting; notebook 03
# takes up the first, notebook 04 the second.
#
# - **Time:** about four minutes on two CPU cores (`quick`) after notebook 00, whose trainings are
#   found again; seconds for a test run (`smoke`).
# - **Your time:** about 31 minutes to read, 67 with the tasks. **Words:** the
#   [glossary](../docs/glossary.md) has a line for each.
# - **Data:** what `DATASET` names. `"phantom"`, the default, is a procedural heart that needs no
#   licence; `"hippocampus"` fetches 260 real MRI scans (Medical Segmentation Decathlon, CC BY-SA
#   4.0).
# - **Pages** of all notebooks: [reports/index.html](../reports/index.html).
# - **You need** notebook 00: the mean teacher, its two views and its ramp.
# - **You will be able to** measure what dropout knows about a prediction, see whether a gate ever
#   closes, train two networks that teach each other, and say with what such a pair is compared.

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
# On Colab, the next cell fetches the project once and adds what is missing; everywhere else it does
# nothing.

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
import math
from functools import partial

import torch

from ssl_lib.methods import baselines
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.teacher import gaussian_ramp
from ssl_lib.training.augmentation import (
    paste,
    random_appearance,
    random_boxes,
    standardise,
    strong_augmentation,
)
from ssl_lib.training.geometry import inner_size, moved
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.losses import cross_entropy, segmentation_loss

# %%
from dataclasses import replace

import numpy as np

from ssl_lib import figures
from ssl_lib.notebook import interactive
from ssl_lib.evaluation.decisions import compare_rows
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.results import read_rows
from ssl_lib.figures import choose_slice, show
from ssl_lib.methods import METHODS, row_name
from ssl_lib.methods.aau import central
from ssl_lib.methods.dsaif import error_overlap
from ssl_lib.models.teacher import make_teacher
from ssl_lib.notebook.captions import curves_caption
from ssl_lib.notebook.explore import Slider, explore
from ssl_lib.notebook.quiz import ask, check
from ssl_lib.notebook.source import load_method, work_in_project
from ssl_lib.notebook.tables import (
    constants_table,
    gain_table,
    interval_text,
    plain_table,
    row_table,
)
from ssl_lib.training.batches import generator_at
from ssl_lib.training.loop import Moment
from ssl_lib.training.study import Study
from ssl_lib.utils.words import percent, signed

NOTEBOOK = "00b_two_classic_methods"

# %%
work_in_project()  # relative paths start there, wherever the kernel was started
places = {"data_dir": DATA_DIR, "runs_dir": RUNS_DIR}
study = Study.open(DATASET, PROFILE, N_LABELLED, SEED, labelled_draw=LABELLED_DRAW, **places)
cohort, settings = study.cohort, study.settings
print(f"{cohort.name} on {study.device}, profile {PROFILE}, PyTorch {torch.__version__}")

# %%
SHOWN = (
    "supervised_strong", "mean_teacher", "ua_mt", "dsaif_ablation", "dsaif_ablation_ensemble",
)  # fmt: skip


def stored_results(*places):
    """These rows of every stored seed, whoever trained them: of this cohort, or of another."""
    runs = read_rows(RESULTS_DIR, *(places or (DATASET, PROFILE, N_LABELLED, LABELLED_DRAW)))
    runs = [run for run in runs if places or run["cohort_hash"] == cohort.content_hash]
    chosen = [{row: run["rows"][row] for row in SHOWN if row in run["rows"]} for run in runs]
    whole = zip(runs, chosen, strict=True)
    return [{**run, "rows": rows} for run, rows in whole if len(rows) == len(SHOWN)]


# %% [markdown]
# The row of CPS is called `dsaif_ablation` in files: it is also the *ablation* of notebook 04, that
# method without its one idea.
#
# ## What do you expect?
#
# Both methods are compared with the mean teacher of notebook 00, which has the same labels, the
# same augmentation and the same number of updates. A method gains if its whole interval lies above
# 0 and reaches beyond 0.01 Dice.

# %% tags=["predict"]
OVER_TEACHER = [("ua_mt", "mean_teacher"), ("dsaif_ablation", "mean_teacher")]
compared = compare_rows(stored_results(), OVER_TEACHER)
better = [one.row for one in compared if one.verdict == "better"]
ask(
    "Which of the two gains over the plain mean teacher?",
    options=("UA-MT alone", "CPS alone", "Both", "Neither"),
    answer=("Neither", *(f"{name} alone" for name in ("UA-MT", "CPS")), "Both")[
        ("ua_mt" in better) + 2 * ("dsaif_ablation" in better)
    ],
    because="; ".join(
        f"{row_name(one.row)} {interval_text(one.interval, '+')}" for one in compared
    ),
    runs=stored_results(),
)

# %% [markdown]
# ## Where does this end?
#
# With this picture, drawn from the stored result files. Each small mark is one test scan, the
# diamond is the mean, its bar a 95 % interval over patients.

# %% tags=["first-figure"]
drawn = bool(stored_results())
if drawn:
    runs = stored_results()
    show(figures.row_comparison(runs), alt=figures.row_message(runs))
else:
    print("No stored run yet for these parameters; the section on the results draws this picture.")

# %% [markdown]
# ## Should a student believe an unsure teacher?
#
# **The claim of UA-MT, in our words.** A mean teacher is wrong somewhere, and the student learns
# that, too. So find out where it is unsure, and do not ask for agreement there. For the
# *uncertainty*, run the teacher $T = 8$ times with *dropout* (features that are switched off at
# random) and noise on its input. Where the eight predictions differ, or agree that all classes are
# possible, the *entropy* of their mean is large. A gate lets through the voxels below a threshold
# that rises over training: first only sure voxels teach, later nearly all.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $p^{(t)}$ | (class, *space) | the teacher's probabilities in pass $t$ of $T$ |
# | $\mu$ | (class, *space) | their mean |
# | $H_v$ | number | entropy at voxel $v$: 0 if sure, $\ln C$ if all $C$ classes are equal |
# | $\tau$ | number | the threshold; $r$ is a ramp from almost 0 to 1 over the whole training |
# | $w_v$ | 0 or 1 | whether voxel $v$ teaches |
# | $p, p'$ | (class, *space) | probabilities of student and teacher |
#
# $$\mu = \frac{1}{T} \sum_t p^{(t)} \qquad H_v = - \sum_c \mu_{cv} \ln \mu_{cv}$$
# $$\tau = (0.75 + 0.25\, r) \ln C \qquad w_v = [H_v < \tau]$$
# $$L_\mathrm{cons} = \frac{\sum_v w_v \left\| p_v - p'_v \right\|^2}{C \sum_v w_v}$$

# %% tags=["figure"]
interactive.update("ua_mt", alt=figures.diagram_alt("ua_mt"))

# %% [markdown]
# Eight passes need no loop: eight noisy copies of the batch go through the network in one.


# %% tags=["definition"]
@torch.no_grad()
def noisy_passes(network, images, passes, generator, noise=0.1):
    """Softmax (passes, batch, class, *space) of noisy copies, in one forward pass."""
    copies = standardise(images).repeat(passes, *[1] * (images.ndim - 1))
    jitter = torch.randn(copies.shape, generator=generator, device=copies.device)
    jitter = (noise * jitter).clamp(-2 * noise, 2 * noise)
    predictions = network(copies + jitter).float().softmax(dim=1)
    return predictions.unflatten(0, (passes, len(images)))


# %% tags=["definition"]
def entropy(probabilities):
    """H (batch, 1, *space) of probabilities (batch, class, *space)."""
    return -(probabilities * (probabilities + 1e-6).log()).sum(dim=1, keepdim=True)


# %% tags=["golden", "nbval-check-output"]
halves, quarters = torch.full((1, 2, 1), 1 / 2), torch.full((1, 4, 1), 1 / 4)
print(f"two classes, no idea:  {entropy(halves).item():.3f} = ln 2")
print(f"four classes, no idea: {entropy(quarters).item():.3f} = ln 4")

# %% [markdown]
# **Task 1. Entropy by hand.** (Tasks stand where they belong. Where code is asked for, replace the
# body and run both cells: the check says what is right and gives hints; a solution is folded below
# it.) Write `my_entropy(p)` for the probabilities of one voxel. A class of probability 0 adds
# nothing.


# %% tags=["exercise"]
def my_entropy(p):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "Entropy by hand",
    my_entropy,
    [
        ("two equal classes", lambda f: abs(f([0.5, 0.5]) - math.log(2)) < 1e-9),
        (
            "four equal classes",
            lambda f: abs(f([0.25] * 4) - math.log(4)) < 1e-9,
            "the largest is ln C",
        ),
        ("certain", lambda f: abs(f([1.0, 0.0])) < 1e-9, "leave out p = 0"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_entropy(p):
#     return -sum(x * math.log(x) for x in p if x > 0)
# ```
#
# </details>


# %% tags=["definition"]
def entropy_gate(moment, n_classes, ln2=False):
    """The entropy below which a voxel counts."""
    ramp = gaussian_ramp(moment.iteration, moment.iterations)
    return (0.75 + 0.25 * ramp) * math.log(2 if ln2 else n_classes)


# %% [markdown]
# The released code keeps $\ln 2$, that of its two classes, for any number of classes (`ln2=True`).
#
# **Task 2. Who passes the gate?** Predict. Four classes, the start of training, so
# $\tau = 0.75 \ln 4 = 1.04$. At the border of two organs the mean of the eight passes is
# (0.5, 0.5, 0, 0).

# %% tags=["predict"]
ask(
    "Does this voxel teach?",
    options=("Yes", "No"),
    answer="Yes",
    because="Its entropy is ln 2 = 0.69, although the teacher could not be less sure of the two.",
)

# %% [markdown]
# **A toy for pencil and paper.** The consistency becomes a mean over those voxels that count. Two
# voxels, two classes: on the first student and teacher agree, on the second the teacher is sure and
# the student undecided, a squared error of 0.25 for each class. If both count, the mean is 0.125;
# the first alone gives 0, the second alone 0.25.


# %% tags=["definition"]
def weighted_consistency(logits, target, weight, *, half=False):
    """Squared difference of probabilities, averaged with the weight (its mean set to 1)."""
    errors = (logits.float().softmax(dim=1) - target).square()
    loss = (errors * (weight / weight.mean().clamp_min(1e-16))).mean()
    return loss / 2 if half else loss


# %% tags=["golden", "nbval-check-output"]
student = torch.tensor([[[99.0, 0.0], [-99.0, 0.0]]])
teacher = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
for counts in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0]):
    print(counts, f"{weighted_consistency(student, teacher, torch.tensor([[counts]])):.3f}")

# %% [markdown]
# Mind the division. A gate that closes half of the voxels does not halve the loss: the others
# count twice.
#
# The step is the mean teacher's, with a function that gives each voxel its weight. It sees the
# clean patch; its map receives the same CutMix boxes as the teacher's prediction. (Notebook 03 puts
# another function into the same step.)


# %% tags=["definition"]
def weighted_step(networks, batch, moment, weigh, half=False):
    """The mean teacher with weights: `weigh(networks, images, prediction, moment)` gives maps."""
    settings, generator = moment.settings, moment.generator
    images, labels = strong_augmentation(
        batch.images, batch.labels, generator, flip_axes=settings.flip_axes,
        inner=inner_size(settings),
    )  # fmt: skip
    supervised = segmentation_loss(networks.student(images), labels)
    patches, _ = moved(batch.unlabelled, None, moment)
    with torch.no_grad():
        prediction = networks.teacher(standardise(patches)).float().softmax(dim=1)
    view = random_appearance(patches, generator)
    boxes = random_boxes(view.shape[2:], len(view), generator, view.device)
    logits = networks.student(paste(view.roll(1, 0), view, boxes))
    maps = weigh(networks, patches, prediction, moment)
    target, weight = (
        paste(clean.roll(1, 0), clean, boxes) for clean in (prediction, maps["clean weight"])
    )
    consistency = weighted_consistency(logits, target, weight, half=half)
    factor = settings.consistency_weight
    factor = factor * gaussian_ramp(moment.iteration, settings.ramp * moment.iterations)
    losses = {"supervised": supervised, "consistency": factor * consistency}
    return StepOutput(losses, {"target": target, "weight": weight, "boxes": boxes, **maps})


# %% tags=["definition"]
def ua_mt_weights(networks, images, prediction, moment, *, passes, ln2):
    """The entropy of dropout passes, gated."""
    mean = noisy_passes(networks.teacher, images, passes, moment.generator).mean(dim=0)
    uncertainty = entropy(mean)
    gate = entropy_gate(moment, prediction.shape[1], ln2)
    return {"uncertainty": uncertainty, "clean weight": (uncertainty < gate).float()}


# %% [markdown]
# In the profile `paper` the step is the released one: the patches twice in each of four passes,
# their grey levels as they are.


# %% tags=["definition"]
def released_ua_mt_weights(networks, images, prediction, moment, *, passes, ln2):
    """The same as released: the patches twice in each forward pass, their grey levels as they are,
    the gate's ramp in its own length."""
    twice = images.repeat(2, *[1] * (images.ndim - 1))
    with torch.no_grad():
        found = [
            networks.teacher(baselines.noisy(twice, moment.generator)).float().softmax(dim=1)
            for _ in range(passes // 2)
        ]
    mean = torch.cat(found).unflatten(0, (passes, len(images))).mean(dim=0)
    uncertainty = entropy(mean)
    gate = entropy_gate(moment, prediction.shape[1], ln2)
    return {"uncertainty": uncertainty, "clean weight": (uncertainty < gate).float()}


# %% tags=["definition"]
def ua_mt_step(networks, batch, moment, *, passes=8, ln2=False, released=False, **options):
    """UA-MT: only voxels that dropout passes agree on."""
    if released:
        weigh = partial(released_ua_mt_weights, passes=passes, ln2=ln2)
        return baselines.released_step(networks, batch, moment, weigh=weigh, **options)
    return weighted_step(networks, batch, moment, partial(ua_mt_weights, passes=passes, ln2=ln2))


# %% [markdown]
# ## Does the gate ever close?
#
# Four rows are trained, equal in network, warm-up, number of updates and schedule. Then we ask
# UA-MT's own teacher, by the function of the step, about validation scans, whose truth is known.

# %% tags=["train"]
trainings = {}
for name in ("supervised_strong", "mean_teacher", "ua_mt", "dsaif_ablation"):
    trainings |= study.rows(METHODS[name].defined_by(globals()))

# %%
scans = cohort.validation[: 8 if cohort.dimensions == 2 else 2]
images = torch.cat([central(study, scan.image) for scan in scans]).unsqueeze(1)[:16]
truth = torch.cat([central(study, scan.label) for scan in scans])[:16]
networks = Networks(teacher=make_teacher(trainings["ua_mt"].networks.teacher))
start = Moment(0, 1, generator_at(study.device, SEED, "picture"), settings)
with torch.no_grad():
    prediction = networks.teacher(standardise(images)).float().softmax(dim=1)
torch.manual_seed(SEED)  # dropout draws from here
H = ua_mt_weights(networks, images, prediction, start, passes=8, ln2=False)["uncertainty"][:, 0]
H, wrong = H.cpu().numpy(), (prediction.argmax(dim=1) != truth).cpu().numpy()

# %% tags=["figure", "thumbnail"]
labels, winner = truth.cpu().numpy(), prediction.argmax(dim=1).byte().cpu().numpy()
item = int(wrong.reshape(len(wrong), -1).sum(axis=1).argmax())
cut = choose_slice(images[item, 0].cpu().numpy(), labels[item])
parts = {"prediction": cut.of(winner[item]), "truth": cut.of(labels[item])}
grey, errors = cut.of(images[item, 0].cpu().numpy()), cut.of(wrong[item])
figure = figures.uncertainty_panels(
    grey, parts, errors, {"entropy": cut.of(H[item])}, cohort.class_names
)
ALT_ERRORS = "Where the teacher is wrong on a validation slice, and where its entropy is high."
show(figure, alt=ALT_ERRORS)

# %% [markdown]
# The slice with most errors. The entropy is high where the teacher hesitates, along borders, in
# pieces that are no organ, or in an organ it misses: compare it with the errors. **Try it:** move
# the threshold. Where does the gate begin to close, and on which voxels?


# %% tags=["widget"]
def gated(share):
    """Which voxels teach with a threshold of that share of ln C, beside the true errors."""
    weight = (cut.of(H[item]) < share * math.log(cohort.n_classes)).astype(float)
    names = ("teaches nothing", "teaches")
    return figures.map_and_errors(f"the gate, τ = {share:g} ln C", weight, errors, names=names)


# %% tags=["widget"]
FINE = [k / 20 for k in range(1, 21)]
explore(
    gated,
    wanted_bytes=50_000,
    alt=lambda share: f"Voxels that teach with a threshold of {share} ln C, and the true errors.",
    share=Slider("τ as a share of ln C", (0.05, 0.1, 0.25, 0.5, 0.75, 1.0), 0.75, live=FINE),
)


# %% tags=["results"]
def closed(threshold):
    """Shares of the wrong and of the right voxels that teach nothing under this threshold."""
    return nan_mean(H[wrong] >= threshold), nan_mean(H[~wrong] >= threshold)


C = cohort.n_classes
GATES = {"¾ ln C, the start": 0.75 * math.log(C), "ln C, the end": math.log(C),
         "¾ ln 2, released": 0.75 * math.log(2), "a tenth of ln C": 0.1 * math.log(C)}  # fmt: skip
lines = [
    (words, f"{gate:.2f}", *(percent(share, 1) for share in closed(gate)))
    for words, gate in GATES.items()
]
HEADS = ("threshold", "τ", "wrong voxels closed", "right voxels closed")
plain_table(HEADS, lines, f"{len(H)} validation slices or patches, {C} classes.")

# %% tags=["results"]
(early, right), (late, _) = (closed(GATES[words]) for words in list(GATES)[:2])
said = f"stops {percent(early, 1)} of the wrong voxels, and {percent(right, 1)} of the right ones"
print(
    f"At the start the gate {said}; at the end {percent(late, 1)} of the wrong. All others teach, "
    "as in the mean teacher."
)

# %% [markdown]
# **If it stops few, why?** Two reasons. A voxel between two classes has at most $\ln 2$, which
# is below $\frac{3}{4} \ln C$ from three classes on: only uncertainty among *several* classes is
# enough. And the small network's dropout is light (rate 0.1), so that its passes differ little.

# %% [markdown]
# ## Can two networks teach each other?
#
# **The claim of CPS, in our words.** Take two networks of one shape with different first weights.
# On unlabelled scans each is taught the *class* that the other finds most probable. No average, no
# threshold, no teacher. They start differently, so they make different mistakes, and each can
# correct the other.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $z_k$ | (class, *space) | logits of network $k$, 1 or 2, on an unlabelled patch |
# | $\hat{y}_k$ | (*space) | its likeliest class in each voxel, a *hard pseudo-label* |
# | $w, r$ | numbers | weight 1, and the ramp, full after 40 % of the updates |
#
# $$\hat{y}_k = \arg\max_c z_{kc}$$
# $$L = \sum_{k=1}^{2} \left[ L_\mathrm{sup}^{(k)} + w\, r\, \mathrm{CE}(z_k, \hat{y}_{3-k})
# \right]$$
#
# Network 1 learns what network 2 says, and the other way round: hence $3 - k$.

# %% tags=["figure"]
interactive.update("dsaif_ablation", alt=figures.diagram_alt("dsaif_ablation"))


# %% tags=["definition"]
def cross_pseudo_loss(logits):
    """Each network is taught the other's classes; the sum of both losses, and the classes."""
    first, second = (one.float() for one in logits)
    classes = first.argmax(dim=1), second.argmax(dim=1)
    return cross_entropy(first, classes[1]) + cross_entropy(second, classes[0]), classes


# %% [markdown]
# **A toy for pencil and paper.** One voxel. The first network gives the organ 0.8, the second 0.4,
# so it says background. The first is taught background: $-\ln 0.2 = 1.609$; the second organ:
# $-\ln 0.4 = 0.916$. Together 2.526. The surer network pays more.

# %% tags=["golden", "nbval-check-output"]
logits = [torch.tensor([[[1 - p], [p]]]).log() for p in (0.8, 0.4)]
loss, (one, other) = cross_pseudo_loss(logits)
print(f"loss {loss:.3f}, taught: {other.item()} to the first, {one.item()} to the second")

# %% [markdown]
# **Task 3. The price of being sure.** Two networks disagree on one voxel of two classes: they give
# their own class the probabilities `a` and `b`. Write `price(a, b)`: the cross loss of this voxel.


# %% tags=["exercise"]
def price(a, b):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "The price of being sure",
    price,
    [
        ("the toy", lambda f: abs(f(0.8, 0.6) - 2.5257) < 1e-3, "each is taught the other class"),
        ("both half sure", lambda f: abs(f(0.5, 0.5) - 2 * math.log(2)) < 1e-9),
        ("it does not matter who is surer", lambda f: abs(f(0.7, 0.9) - f(0.9, 0.7)) < 1e-9),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def price(a, b):
#     return -math.log(1 - a) - math.log(1 - b)
# ```
#
# </details>

# %% [markdown]
# Each network sees the patches in an appearance of its own, for labels and pseudo-labels alike; and
# copy-paste among the labelled, with one box for both, is what the strong baseline gets.


# %% tags=["definition"]
def two_appearances(images, moment):
    """What the two networks see of a batch: each another scanner's version of it."""
    return [random_appearance(images, moment.generator) for _ in range(2)]


# %% tags=["definition"]
def copy_paste(pair, labels, generator):
    """The strong baseline's copy-paste: one box for both versions and the labels."""
    shape = labels.shape[1:]
    boxes = random_boxes(shape, len(labels), generator, labels.device, probability=0.5)
    pasted = [paste(images.roll(1, 0), images, boxes) for images in pair]
    return pasted, paste(labels.roll(1, 0), labels, boxes)


# %% tags=["definition"]
def cross_pseudo_step(
    networks, batch, moment, *, see=two_appearances, weight=1.0, full_at=0.4, pasted=True, every=1
):
    """Two networks, each the other's teacher; `see(images, moment)` says what each of them sees."""
    pair, generator = networks.students, moment.generator
    images, labels = moved(batch.images, batch.labels, moment)
    clean, _ = moved(batch.unlabelled, None, moment)
    known = see(images, moment)
    if pasted:
        known, labels = copy_paste(known, labels, generator)
    seen = see(clean, moment)
    supervised = [segmentation_loss(net(x), labels) for net, x in zip(pair, known, strict=True)]
    cross, classes = cross_pseudo_loss([net(x) for net, x in zip(pair, seen, strict=True)])
    reached = moment.iteration // every * every
    ramp = weight * gaussian_ramp(reached, full_at * moment.iterations)
    losses = {"supervised": sum(supervised), "cross": ramp * cross}
    return StepOutput(losses, {"known": known, "seen": seen, "classes": classes, "labels": labels})


# %% [markdown]
# (Notebook 04 fills in another `see`. The row `dsaif_ablation` is that method's step without its
# filters: it draws a few more random numbers, for coins that decide nothing, and is otherwise this
# step, as a test shows to the bit. Edit a cell above, and `replace(METHODS["dsaif_ablation"],
# step=cross_pseudo_step)` trains your edit, as the section on mistakes does.)
#
# **Task 4. A forgotten stop-gradient.** In a mean teacher, whoever forgets `no_grad` lets the
# gradient run into the pseudo-labels. `cross_pseudo_loss` has none. Predict.

# %% tags=["predict"]
ask(
    "What does the missing no_grad do in this loss?",
    options=("Nothing", "Both networks drift to one class", "Each learns its own mistakes"),
    answer="Nothing",
    because="A class is the result of an argmax, and an argmax carries no gradient.",
)

# %% [markdown]
# ## Where do the two networks disagree?
#
# After training, on the test scan whose two predictions differ most. *Overlap* is the Dice between
# the two maps of mistakes: 1 is one mistake made twice, 0 means that wherever one errs the other is
# right. (Notebook 04 asks whether teaching each other makes it rise.)

# %%
pair = trainings["dsaif_ablation"].networks.students
maps = [study.predict(network, cohort.test) for network in pair]
truths = {
    scan.case_id: cohort.sealed.open(scan.case_id, "teaching picture") for scan in cohort.test
}
apart = {name: float((maps[0][name] != maps[1][name]).mean()) for name in truths}
name = max(apart, key=apart.get)
scan = next(scan for scan in cohort.test if scan.case_id == name)

# %% tags=["figure"]
differ = (maps[0][name] != maps[1][name]).astype(np.uint8)
plane = choose_slice(scan.image, differ, axes=scan.axes)
both = {"dsaif_ablation": tuple(plane.of(one[name]) for one in maps)}
shared = {"dsaif_ablation": error_overlap(maps[0][name], maps[1][name], truths[name])}
shown = (plane.of(scan.image), plane.of(truths[name]), both, shared, cohort.class_names)
ALT_MISTAKES = "Who is wrong where on a test slice: a mistake of both is corrected by neither."
show(figures.error_maps(*shown), alt=ALT_MISTAKES)

# %% tags=["results"]
first, second, true = (np.concatenate([one[n].ravel() for n in truths]) for one in (*maps, truths))
other, same_mistake = first != second, (first == second) & (first != true)
lines = [
    ("they disagree", f"{percent(other.mean(), 2)} of all voxels"),
    ("both make the same mistake", f"{percent(same_mistake.mean(), 2)} of all"),
    ("network 1 is right", f"{percent((first == true)[other].mean(), 1)} of the disagreement"),
    ("network 2 is right", f"{percent((second == true)[other].mean(), 1)} of it"),
    ("neither is right", f"{percent(((first != true) & (second != true))[other].mean(), 1)} of it"),
]
plain_table(("On all test scans", "share"), lines)

# %% [markdown]
# **How to read it.** Only where they disagree can one correct the other. A mistake that
# both make is a pseudo-label for both, and the cross loss of it is small: nobody tells them.
#
# **Task 5. The class of an average.** Write `averaged_class(p, q)`: the class of the mean of two
# networks' probabilities, each a list. Who wins where they disagree?


# %% tags=["exercise"]
def averaged_class(p, q):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "The class of an average",
    averaged_class,
    [
        ("they agree", lambda f: f([0.1, 0.9], [0.4, 0.6]) == 1),
        ("the surer one wins", lambda f: f([0.1, 0.9], [0.6, 0.4]) == 1, "add, then argmax"),
        ("a third class", lambda f: f([0.5, 0.1, 0.4], [0.1, 0.5, 0.4]) == 2),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def averaged_class(p, q):
#     return int(np.argmax([a + b for a, b in zip(p, q)]))
# ```
#
# The third case: neither network names class 2, and the average does.
#
# </details>

# %% [markdown]
# ## What came out?

# %% tags=["figure"]
shown = {row: trainings[row] for row in ("mean_teacher", "ua_mt", "dsaif_ablation")}
figure = figures.training_curves(shown, stored_results())
show(figure, alt=curves_caption(shown))

# %% [markdown]
# The losses of CPS are sums over two networks. Scores of the **last** weights on the test scans,
# over all stored seeds of this cohort and profile:

# %% tags=["results"]
result = study.save(NOTEBOOK, DATASET, trainings, RESULTS_DIR)
row_table(stored_results())

# %% tags=["figure"]
if not drawn:  # else it stands at the top
    runs = stored_results()
    show(figures.row_comparison(runs), alt=figures.row_message(runs))

# %% tags=["results"]
PAIRS = {
    "the gate: UA-MT over the mean teacher": ("ua_mt", "mean_teacher"),
    "CPS over the strong baseline": ("dsaif_ablation", "supervised_strong"),
    "CPS over the mean teacher": ("dsaif_ablation", "mean_teacher"),
    "averaging the two of CPS": ("dsaif_ablation_ensemble", "dsaif_ablation"),
}
gain_table(PAIRS, stored_results())

# %% [markdown]
# **How to read it.** The first line isolates the gate: all else is the mean teacher's. No line
# isolates CPS, which trades the average for a second network and probabilities for classes. The
# last line is what an *averaged* pair gives; its fair baseline is *two* supervised networks,
# averaged (notebook 04), since two networks are better than one without any unlabelled scan.
# Compare the seconds, too. And on the hippocampus, where rows are stored:

# %% tags=["results"]
real = stored_results("hippocampus", "quick", 4)
gain_table(PAIRS, real, where="Hippocampus, four labelled scans.") if real else "None is stored."

# %% [markdown]
# **Task 6. Judge a table.** A paper has 0.86 for its method, 0.83 for UA-MT, and 0.75 for
# supervised training. Nothing else.

# %% tags=["predict"]
ask(
    "Which row is missing before its gain over UA-MT says anything about uncertainty?",
    options=("CPS", "The mean teacher in the same code", "UA-MT with more passes"),
    answer="The mean teacher in the same code",
    because="If the gate hardly closes, 0.83 may be the mean teacher's, and says nothing of it.",
)

# %% [markdown]
# ## When does it go wrong?
#
# Four short trainings, a third of the updates each. **A gate that is too tight** (UA-MT): with a
# tenth of the threshold only voxels teach of which the teacher is sure, right or wrong. **One
# network under two names** (CPS): `[network] * 2` looks like a pair, raises no error, and teaches
# itself.

# %% tags=["train"]
tight = ("return (0.75 + 0.25 * ramp)", "return 0.1 * (0.75 + 0.25 * ramp)")
alone = ("= networks.students, moment", "= [networks.student] * 2, moment")
UA = replace(METHODS["ua_mt"], published={})
CPS = replace(METHODS["dsaif_ablation"], step=cross_pseudo_step, published={})
mistakes = {
    "UA-MT": UA.defined_by(globals()),
    "a tight gate": UA.defined_by(vars(load_method(NOTEBOOK, change=tight))),
    "CPS": CPS.defined_by(globals()),
    "one network twice": CPS.defined_by(vars(load_method(NOTEBOOK, change=alone))),
}
count = max(2, settings.schedule.iterations // 3)
brief = study.with_overrides({"schedule.iterations": count, "warm_up": count})
tried = {words: brief.train(row) for words, row in mistakes.items()}

# %% tags=["predict"]
ends = {words: one.validation[-1][1] for words, one in tried.items()}
costs = {"A tight gate": ends["UA-MT"] - ends["a tight gate"],
         "One network twice": ends["CPS"] - ends["one network twice"]}  # fmt: skip
most = max(costs, key=costs.get)
ask(
    "Which of the two costs more validation Dice?",
    options=(*costs, "Neither costs 0.01"),
    answer=most if costs[most] >= 0.01 else "Neither costs 0.01",
    because=" ".join(f"{words}: {signed(-cost)}." for words, cost in costs.items()),
)


# %% tags=["results"]
def last_term(training, name):
    """The mean of a loss term over the last tenth of a training."""
    values = [line[name] for line in training.history if name in line]
    return float(np.mean(values[-max(1, len(values) // 10) :]))


lines = []
for words, one in tried.items():
    term = "cross" if "cross" in one.history[-1] else "consistency"
    lines.append((words, f"{ends[words]:.3f}", f"{last_term(one, term):.4f}"))
plain_table(("Training", "validation Dice", "unlabelled loss, at the end"), lines)

# %% [markdown]
# **Signs to look for**, without any truth. *A tight gate:* its loss is small because it asks only
# what the teacher is sure of; print the share of voxels that count, and of them the share of organ.
# *One network twice:* nothing in its curves looks wrong, and a cross loss that is lower than a
# pair's is no good sign. (Two networks that have come to make the same mistakes look just like
# that.) If it costs little, that is a finding, too: to name the same class under another appearance
# is worth something without any second network. In both methods a class that nobody names is never
# taught.

# %% [markdown]
# ## What do the papers report?
#
# Dice in %. LA 2018 is the left atrium, from 16 of 80 labelled scans; the lines for ACDC, from 3
# and 7 of 70 patients, are those that UniMatch's authors printed for both methods, run in *their*
# code:
#
# | method | data, labelled | reported | labels alone |
# |---|---|---|---|
# | UA-MT | LA 2018, 16 of 80 | 88.88 | not given |
# | UA-MT, in UniMatch's code | ACDC, 3 and 7 of 70 | 61.0, 81.5 | 41.5, 62.5 |
# | CPS, in UniMatch's code | ACDC, 3 and 7 of 70 | 60.3, 83.3 | 41.5, 62.5 |
#
# CPS itself was published on photographs (Pascal VOC and Cityscapes). Three warnings. Labels alone
# are a *weak* baseline there. Checkpoints were chosen on the test scans or by the best epoch. And
# the same method has other numbers in other papers, since schedules and augmentation are other
# ones: compare lines within one table only.
#
# **What differs here.** Our augmentation and network; UA-MT's teacher predicts once more, without
# noise, for its target; CPS has weight 1, which published medical codes set between 0.1 and 1.
#
# **Is `PROFILE=paper` the paper?** For UA-MT constant by constant; *ours* is looked up where the
# training looks. *Not at hand* means that the article's text could not be read here; then the
# released code is the only witness.

# %% tags=["results"]
constants_table("ua_mt")

# %% [markdown]
# ## What do you remember?
#
# Ten questions. Answer aloud, then unfold.
#
# <details><summary>1. What is UA-MT without its gate?</summary>
#
# The mean teacher: with an open gate all losses are the same to the bit.
#
# </details>
#
# <details><summary>2. What is the entropy of eight passes large for?</summary>
#
# For voxels where the mean of the passes leaves several classes possible: because the passes
# contradict each other, or because each of them is undecided.
#
# </details>
#
# <details><summary>3. Why does the threshold rise over training?</summary>
#
# The teacher becomes better: first only sure voxels teach, at the end nearly all.
#
# </details>
#
# <details><summary>4. When does a gate of three quarters of ln C not close between two
# classes?</summary>
#
# From three classes on: a voxel between two classes has at most ln 2, which is less than three
# quarters of ln 3.
#
# </details>
#
# <details><summary>5. Why is the gated loss divided by the number of voxels that count?</summary>
#
# So that it stays a mean: otherwise a gate that closes would also lower the weight of the whole
# loss.
#
# </details>
#
# <details><summary>6. Which mistakes does an entropy not see?</summary>
#
# Those of which all passes are sure.
#
# </details>
#
# <details><summary>7. Who is the teacher in CPS?</summary>
#
# Each network is the other's; no weights are averaged.
#
# </details>
#
# <details><summary>8. Why does CPS need no stop-gradient?</summary>
#
# The target is a class, the result of an argmax, which carries no gradient.
#
# </details>
#
# <details><summary>9. What can CPS not correct?</summary>
#
# A mistake that both networks make: each confirms it to the other.
#
# </details>
#
# <details><summary>10. With what is an averaged pair compared?</summary>
#
# With two supervised networks, averaged: two networks are better than one without any method.
#
# </details>

# %% [markdown]
# ## What stays?
#
# - UA-MT is a mean teacher with a mask. Whether the mask ever stops a wrong voxel is a measurement,
#   and stands above.
# - An uncertainty takes pseudo-labels away and adds none.
# - CPS replaces the average by a second network. One corrects the other only where they disagree.
# - Both names in a table say little without the plain mean teacher and, for a pair, without two
#   supervised networks beside them.
#
# **Limits.** Results on the phantom show mechanisms, not clinical performance. The network's
# dropout is light (rate 0.1); with more of it the entropy is larger. Passes and noise of UA-MT are
# the published ones. Its gate rises from 3/4 to 1 of ln *C* with *C* classes, where the released
# code has ln 2; weight and decay are those of notebook 00.
#
# **Next:** notebook 01 pastes labelled and unlabelled scans into each other. Notebook 03 asks a
# second network for the uncertainty, notebook 04 shows the two networks different versions of a
# scan.
#
# ## References
#
# - UA-MT: L. Yu, S. Wang, X. Li, C.-W. Fu and P.-A. Heng, MICCAI 2019; code: yulequan/UA-MT.
# - CPS: X. Chen, Y. Yuan, G. Zeng and J. Wang, CVPR 2021; code: charlesCXK/TorchSemiSeg.
# - Dropout as uncertainty: Y. Gal and Z. Ghahramani, ICML 2016.
# - UniMatch: L. Yang, L. Qi, L. Feng, W. Zhang and Y. Shi, CVPR 2023.
#
# ```bibtex
# @inproceedings{yu2019uncertainty,
#   title     = {Uncertainty-aware self-ensembling model for semi-supervised 3D left atrium
#                segmentation},
#   author    = {Yu, Lequan and Wang, Shujun and Li, Xiaomeng and Fu, Chi-Wing and Heng, Pheng-Ann},
#   booktitle = {MICCAI},
#   year      = {2019}
# }
# @inproceedings{chen2021semi,
#   title     = {Semi-supervised semantic segmentation with cross pseudo supervision},
#   author    = {Chen, Xiaokang and Yuan, Yuhui and Zeng, Gang and Wang, Jingdong},
#   booktitle = {CVPR},
#   year      = {2021}
# }
# ```
