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
# # Anatomically aware uncertainty
#
# **Learn from label maps alone what an organ can look like. Where a prediction cannot be redrawn
# from that memory, do not believe it.**
#
# Anatomically aware uncertainty (AAU; Adiga and colleagues, MICCAI 2022 and Medical Image Analysis
# 2024) replaces many dropout passes by one pass through a denoising
# [autoencoder](../docs/glossary.md). Its map of uncertainty then weighs the pseudo-labels of a mean
# teacher. This notebook builds both kinds of uncertainty and puts them on trial: which one finds
# the voxels that are really wrong, and does any of it raise the Dice?
#
# - **Time:** minutes on two CPU cores (`quick`) after notebook 00, whose trainings are
#   found again; seconds for a test run (`smoke`).
# - **Your time:** about 54 minutes to read, 84 with the tasks. **Words:** the
#   [glossary](../docs/glossary.md) has a line for each.
# - **Data:** what `DATASET` names. `"phantom"`, the default, is a procedural heart that needs no
#   licence; `"hippocampus"` fetches 260 real MRI scans (Medical Segmentation Decathlon, CC BY-SA
#   4.0).
# - **Pages** of all notebooks: [reports/index.html](../reports/index.html).
# - **You need** notebook 00: the mean teacher, and why every table has a strong supervised row;
#   00b: UA-MT, whose [uncertainty](../docs/glossary.md) is that of dropout.
# - **You will be able to** corrupt label maps on the device in 2D and 3D, build an autoencoder that
#   repairs them, read an uncertainty map beside the true errors, and say what an uncertainty costs.

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
import math
from functools import partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from scipy.stats import rankdata
from torch import nn

from ssl_lib.training.augmentation import standardise
from ssl_lib.inference import evaluating, pad_to
from ssl_lib.training.losses import dice_squared_foreground, one_hot
from ssl_lib.methods import baselines
from ssl_lib.methods.classic import entropy, noisy_passes, weighted_consistency, weighted_step
from ssl_lib.training.geometry import moved
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import CONVOLUTION, NORMALISATION, TRANSPOSED
from ssl_lib.evaluation.metrics import mean_dice, nan_mean
from ssl_lib.training.batches import derived_seed, generator_at
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.method import Prepared

# %%
import json
from pathlib import Path

from ssl_lib import figures
from ssl_lib.notebook import interactive
from ssl_lib.notebook.captions import curves_caption
from ssl_lib.notebook.explore import Slider, explore
from ssl_lib.figures import choose_slice, show
from ssl_lib.figures.anatomy import errors_found
from ssl_lib.notebook.source import work_in_project
from ssl_lib.notebook.quiz import check, ask
from ssl_lib.evaluation.results import read_results, read_rows
from ssl_lib.methods import METHODS
from ssl_lib.evaluation.statistics import bootstrap_interval
from ssl_lib.training.study import Study
from IPython.display import display
from ssl_lib.notebook.tables import (
    constants_table,
    gain_table,
    interval_text,
    measured_table,
    plain_table,
    row_table,
)
from ssl_lib.utils.words import counted, percent, signed

NOTEBOOK = "03_anatomically_aware_uncertainty"

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
# Two maps of uncertainty: *U*, the distance to the nearest plausible anatomy, and the *entropy* of
# dropout passes, the network's own hesitation. A map is good if wrong voxels get more of it than
# right ones. The area under the ROC curve (AUROC) is the chance that a wrong voxel gets more than a
# right one: 0.5 is chance, 1 is perfect.


# %%
def auroc_of(task, measure):
    """AUROC of every test scan in every stored run, (seed, scan)."""
    return np.array([run["reliability"][task][measure] for run in stored_results()], dtype=float)


def auroc_gain(task):
    """AUROC of U minus that of the entropy, paired by scan, with its interval."""
    return bootstrap_interval(auroc_of(task, "U") - auroc_of(task, "entropy"))


# %% tags=["predict"]
answer, because = "", ""
if stored_results():
    found = auroc_gain("ordinary errors")
    answer = "U" if found.low > 0 else "The entropy" if found.high < 0 else "It cannot be told"
    because = f"AUROC of U minus AUROC of the entropy: {interval_text(found, '+')}"
ask(
    "Which map finds the ordinary errors of a mean teacher better?",
    options=("U", "The entropy", "It cannot be told"),
    answer=answer,
    because=because,
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
# ## Who is who among the scans?
#
# Labelled scans are all the truth that training gets, and here their *label maps* are a training
# set of their own. Unlabelled scans have their truth sealed; validation scans chose our settings;
# test scans are scored once, with the last weights.

# %% tags=["figure"]
ALT_COHORT = "All the truth that training gets: outlines in the first row, none in the others."
show(figures.cohort_grid(cohort, n=9), alt=ALT_COHORT)

# %% [markdown]
# The maps below need a network whose uncertainty is asked for: the mean teacher of notebook 00. It
# is AAU without its idea, and found again if it was trained there.

# %% tags=["train"]
strong, mean_teacher = (
    study.train(METHODS[name]) for name in ("supervised_strong", "mean_teacher")
)
student = mean_teacher.networks.student

# %% [markdown]
# **One update in one picture.**

# %% tags=["figure"]
interactive.update("aau", alt=figures.diagram_alt("aau"))

# %% [markdown]
# ## How can a label map be wrong?
#
# **The claim, in our words.** Predictions fail in ways of their own: frayed borders, walls too thin
# or too thick. Damage true label maps in that manner, teach a network to repair them, and it must
# learn what is plausible. Two kinds of damage:
#
# - **Swaps.** In a band of depth $s$ along every border, a tenth of the voxels change places with
#   the voxel $s$ further along, once in each direction of each axis. Borders fray; no class gains
#   or loses a voxel.
# - **Morphology.** One structure is eroded, dilated, opened or closed.
#
# Everything happens for a whole batch at once, in 2D and 3D by one code path. A dilation is the
# largest of a voxel's neighbours, axis by axis:


# %% tags=["definition"]
def each(values, like):
    """One value for each sample, shaped to broadcast over (batch, *space)."""
    return values.view(-1, *[1] * (like.ndim - 1))


# %% tags=["definition"]
def largest_around(values):
    """The largest value among each voxel and its neighbours, corners included."""
    for axis in range(1, values.ndim):
        rest = values.shape[axis] - 1
        first, last = values.narrow(axis, 0, 1), values.narrow(axis, rest, 1)
        behind = torch.cat([first, values.narrow(axis, 0, rest)], axis)
        ahead = torch.cat([values.narrow(axis, 1, rest), last], axis)
        values = torch.maximum(values, torch.maximum(behind, ahead))
    return values


# %% tags=["definition"]
def dilate(region, radius, most):
    """A True/False map grown by radius[sample] voxels, of which `most` is the largest."""
    for done in range(most):
        region = torch.where(each(radius > done, region), largest_around(region), region)
    return region


# %% tags=["definition"]
def reshape(organ, erosion, twice, radius, most):
    """Dilate; erode (`erosion`): dilate the rest; close or open (`twice`): and back again."""
    once = dilate(organ ^ erosion, radius, most)
    back = ~dilate(~once, radius, most)
    return torch.where(twice, back, once) ^ erosion


# %% [markdown]
# **A toy for pencil and paper.** A $3 \times 3$ square with a hole in its middle, 8 voxels.
# Dilated by one it is a full $5 \times 5$ square. Eroded, nothing is left, and so nothing opens.
# Closing fills the hole: 9.

# %% tags=["golden", "nbval-check-output"]
toy = torch.zeros(1, 7, 7, dtype=torch.bool)
toy[0, 2:5, 2:5] = True
toy[0, 3, 3] = False
yes, no = torch.ones(1, 1, 1, dtype=torch.bool), torch.zeros(1, 1, 1, dtype=torch.bool)
kinds = {"dilated": (no, no), "eroded": (yes, no), "closed": (no, yes), "opened": (yes, yes)}
for name, (erosion, twice) in kinds.items():
    print(name, int(reshape(toy, erosion, twice, torch.ones(1), most=1).sum()))


# %% tags=["definition"]
def morphology(labels, generator, n_classes, most=2):
    """Erode, dilate, open or close one class of each sample by 1 to `most` voxels."""

    def draw(low, high):
        size, device = (len(labels),), labels.device
        return torch.randint(low, high, size, generator=generator, device=device)

    index = each(draw(1, n_classes), labels).to(labels.dtype)
    erosion, twice = (each(draw(0, 2), labels) > 0 for _ in range(2))
    organ = labels == index
    result = reshape(organ, erosion, twice, draw(1, most + 1), most)
    return torch.where(result, index, labels.masked_fill(organ, 0))


# %% [markdown]
# For swaps, a voxel touches a border if its neighbourhood holds more than one class; grown by
# $s - 1$, these voxels are the band. An exchange that would leave the map, or use a voxel twice, is
# dropped.


# %% tags=["definition"]
def border_band(labels, depth, most):
    """True where another class lies within depth[sample] voxels."""
    edge = largest_around(labels) != 255 - largest_around(255 - labels)
    return dilate(edge, depth - 1, most - 1)


# %% tags=["definition"]
def exchange(labels, chosen, offset, axis):
    """Chosen voxels change places with those `offset` further along an axis."""
    partner = torch.arange(labels.shape[axis], device=labels.device) + offset
    inside = (partner >= 0) & (partner < labels.shape[axis])
    chosen = chosen & inside.view([-1 if i == axis else 1 for i in range(labels.ndim)])
    chosen = chosen & ~chosen.roll(offset, axis)
    moved = torch.where(chosen, labels.roll(-offset, axis), labels)
    return torch.where(chosen.roll(offset, axis), labels.roll(offset, axis), moved)


# %% [markdown]
# **A toy.** The third voxel of a row trades places with its right neighbour; the fourth, its
# partner, cannot trade again.

# %% tags=["golden", "nbval-check-output"]
row = torch.tensor([[0, 0, 0, 1, 1, 1]], dtype=torch.uint8)
chosen = torch.tensor([[0, 0, 1, 1, 0, 0]], dtype=torch.bool)
print(exchange(row, chosen, 1, axis=1)[0].tolist())


# %% tags=["definition"]
def swap(labels, generator, most=4, share=0.1):
    """Fray the borders of each sample to a depth of 1 to `most` voxels."""
    size, device = (len(labels),), labels.device
    depth = torch.randint(1, most + 1, size, generator=generator, device=device)
    band = border_band(labels, depth, most)
    lot = torch.rand(labels.shape, generator=generator, device=device) / share
    directions = product(range(1, labels.ndim), (1, -1))
    for number, (axis, sign) in enumerate(directions):
        drawn = band & (lot >= number) & (lot < number + 1)
        for offset in range(1, most + 1):
            chosen = drawn & each(depth == offset, labels)
            labels = exchange(labels, chosen, sign * offset, axis)
    return labels


# %% tags=["definition"]
def usual_reach(patch):
    """How deep swaps go: 8 voxels in the released code's patch of 144, in proportion here."""
    return max(2, round(8 * min(patch) / 144))


# %% tags=["definition"]
def corrupt(labels, generator, n_classes, *, reach=None, probability=0.5):
    """Each sample swapped and reshaped, both with the same probability, in new tensors."""
    reach = reach or usual_reach(labels.shape[1:])

    def coin():
        draw = torch.rand(len(labels), generator=generator, device=labels.device)
        return each(draw < probability, labels)

    labels = torch.where(coin(), swap(labels, generator, reach), labels)
    changed = morphology(labels, generator, n_classes, max(1, reach // 2))
    return torch.where(coin(), changed, labels)


# %% tags=["definition"]
def central(study, array):
    """The middle of a scan or label map, of the patch's size, on the device: (item, *patch)."""
    items = torch.tensor(np.ascontiguousarray(array))
    items = items.unsqueeze(1) if study.cohort.dimensions == 2 else items[None, None]
    items, _ = pad_to(items, study.settings.patch)
    for axis, side in enumerate(study.settings.patch, start=2):
        items = items.narrow(axis, (items.shape[axis] - side) // 2, side)
    return items.squeeze(1).to(study.device)


# %%
def cut_of(maps):
    """The slice of label maps (item, *patch) that shows most of them."""
    labels = maps.byte().cpu().numpy()
    if cohort.dimensions == 2:
        return choose_slice(labels, labels, axis=0)
    return choose_slice(labels[0], labels[0])


known_maps = central(study, cohort.validation[0].label)
known_cut = cut_of(known_maps)


def flat(maps, cut=known_cut):
    """Maps (item, *patch) as the 2D picture that is shown, on the host."""
    return cut.of((maps if cohort.dimensions == 2 else maps[0]).cpu().numpy())


def roll_dice(*parts):
    """A generator for a picture: the same parts, the same picture."""
    return generator_at(study.device, SEED, "picture", *parts)


# %% [markdown]
# **Guess before you look.** From which depth of the swaps on would you no longer recognise the
# organ? (Of eight draws the one that changes most voxels.)


# %%
def most_changed(maps, damage, draws=8):
    """Of several draws of one kind of damage, the one that changes most voxels."""
    tries = [damage(roll_dice(2, number)) for number in range(draws)]
    return max(tries, key=lambda one: int((one != maps).sum()))


# %% tags=["figure"]
damaged = {
    f"up to {most} deep": flat(
        most_changed(known_maps, lambda dice, most=most: swap(known_maps, dice, most))
    )
    for most in (1, 2, 4, 8)
}
figure = figures.label_maps({"true map": flat(known_maps), **damaged}, cohort.class_names)
ALT_DAMAGED = "Swaps fray the borders: the deeper they go, the less of the shape is left."
show(figure, alt=ALT_DAMAGED)

# %% [markdown]
# **Task 1. Predict a number.** (Tasks are as in notebook 00: where code is asked for, replace the
# body and run both cells; a solution is folded below.) A square of $3 \times 3$ voxels is opened by
# one voxel: eroded, then dilated again with the same neighbours.

# %% tags=["predict"]
ask(
    "How many voxels are left?",
    options=(
        "0",
        "1",
        "9",
    ),
    answer="9",
    because=(
        "Eroded, only the middle voxel is left; dilated, it is the square again. Opening "
        "removes what is thinner than three voxels, and keeps the rest."
    ),
)

# %% [markdown]
# ## What remembers anatomy?
#
# **The claim.** A network without skip connections must push every map through a short code: two
# strided convolutions, a linear layer to 64 numbers, and the same backwards. What is common to
# organs fits through, what is odd does not.
#
# | symbol | shape | meaning |
# |---|---|---|
# | $y$, $\tilde{y}$ | (batch, class, *space) | a true label map, one-hot, and its damaged version |
# | $h$ | (batch, latent) | the code, $h = e(\tilde{y})$ |
# | $\hat{p}$ | (batch, class, *space) | the projection, $\hat{p} = \sigma(d(h))$ |
#
# $$L_\mathrm{AE} = \frac{1}{2}\left[ \mathrm{CE}(\hat{p}, y)
# + L_\mathrm{Dice}(\hat{p}, y) \right]$$
#
# Classes are judged one by one by a sigmoid, and Dice leaves the background out, both as released.
# The released first term is a squared error; ours is the binary cross-entropy (on validation maps
# both repaired alike). Input are one-hot maps; the released code feeds the class *index* as a grey
# level, so that class 1 lies between 0 and 2 (`ordinal=True`).


# %% tags=["definition"]
def block(layer, n, channels_in, channels_out, kernel, stride, padding):
    """A strided convolution (or its transpose), normalisation, leaky rectifier."""
    return nn.Sequential(
        layer[n](channels_in, channels_out, kernel, stride, padding, bias=False),
        NORMALISATION[n](channels_out),
        nn.LeakyReLU(0.01, inplace=True),
    )


# %% tags=["definition"]
class Autoencoder(nn.Module):
    """Label maps (batch, class, *patch) to logits of that shape, through one code."""

    def __init__(self, n_classes, patch, latent=64, width=16, ordinal=False, noise=0.0):
        super().__init__()
        n, wide = len(patch), 2 * width
        self.n_classes, self.ordinal, self.noise = n_classes, ordinal, noise
        self.inner = (wide, *[side // 8 for side in patch])
        first = block(CONVOLUTION, n, 1 if ordinal else n_classes, width, 4, 4, 0)
        self.encoder = nn.Sequential(first, block(CONVOLUTION, n, width, wide, 4, 2, 1))
        self.code = nn.Linear(math.prod(self.inner), latent)
        self.expand = nn.Linear(latent, math.prod(self.inner))
        last = TRANSPOSED[n](width, n_classes, 8, 4, 2)
        self.decoder = nn.Sequential(block(TRANSPOSED, n, wide, width, 4, 2, 1), last)

    def encode(self, maps):
        if self.ordinal:
            index = torch.arange(self.n_classes, device=maps.device)
            maps = (maps * each(index, maps[0])).sum(dim=1, keepdim=True)
        code = self.code(self.encoder(maps).flatten(1))
        return code + self.noise * torch.randn_like(code).clamp(-2, 2) if self.noise else code

    def decode(self, code):
        return self.decoder(F.leaky_relu(self.expand(code), 0.01).unflatten(1, self.inner))

    def forward(self, maps):
        return self.decode(self.encode(maps))


# %% tags=["definition"]
def denoising_step(networks, batch, moment, *, squares=False, jitter=0.0):
    """Labelled scans' maps only: move them, damage them, and ask for what they were."""
    network, generator = networks.student, moment.generator
    _, labels = moved(batch.images, batch.labels, moment)
    damaged = corrupt(labels, generator, network.n_classes)
    target = one_hot(labels, network.n_classes)
    heard = one_hot(damaged, network.n_classes)
    if jitter:  # as released; of an ordinal map the noise of class 1 reaches the network as it is
        heard = baselines.noisy(heard, generator, jitter)
    logits = network(heard).float()
    first = F.mse_loss(logits.sigmoid(), target) if squares else (
        F.binary_cross_entropy_with_logits(logits, target))  # fmt: skip
    loss = 0.5 * (first + dice_squared_foreground(logits.sigmoid(), target))
    return StepOutput({"reconstruction": loss}, {"damaged": damaged, "labels": labels})


# %% tags=["definition"]
def new_autoencoder(study, latent=64, **options):
    """Fresh weights that depend on the study's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(study.seed, "autoencoder"))
        return Autoencoder(study.cohort.n_classes, study.settings.patch, latent, **options)


# %% tags=["definition"]
def train_autoencoder(
    study, network, *, share=1.0, squares=False, jitter=0.0, validate=None, iterations=None
):
    """On the labelled scans' maps, twice the method's iterations (times `share`), or as many as
    are asked for."""
    iterations = iterations or max(2, round(2 * share * study.settings.schedule.iterations))
    options = {"learning_rate": 4e-3, "optimiser": "adamw", "decay": "cosine", "decay_over": None}
    parts = {"squares": squares, **({"jitter": jitter} if jitter else {})}
    step = partial(denoising_step, **parts)
    done = study.pretrain(
        "autoencoder", step, network, validate=validate, iterations=iterations, **options
    )
    return done.networks.student.eval().requires_grad_(False), done


# %% tags=["definition"]
@torch.no_grad()
def redraw(network, maps):
    """Label maps as the autoencoder returns them."""
    return network(one_hot(maps, network.n_classes)).argmax(dim=1).to(maps.dtype)


# %% tags=["definition"]
def repair_report(study, network, labels):
    """Mean Dice over scans' label maps: redrawn clean, damaged, and repaired."""
    scores = []
    with evaluating(network):
        for number, label in enumerate(labels):
            clean, generator = central(study, label), generator_at(study.device, "damage", number)
            damaged = corrupt(clean, generator, network.n_classes, probability=1.0)
            found = (redraw(network, clean), damaged, redraw(network, damaged))
            pairs = [(maps.cpu().numpy(), clean.cpu().numpy()) for maps in found]
            scores.append([mean_dice(*pair, network.n_classes) for pair in pairs])
    means = map(nan_mean, np.transpose(scores))
    return dict(zip(("clean", "damaged", "repaired"), means, strict=True))


# %% tags=["train"]
own_study, own = study.for_method(METHODS["aau"])  # as published, in the profile `paper`
options = dict(own.prepare_config)
how = {name: options.pop(name) for name in ("squares", "jitter", "iterations") if name in options}
validation_maps = [case.label for case in cohort.validation]
autoencoder, repairing = train_autoencoder(
    own_study,
    new_autoencoder(own_study, **options),
    **how,
    validate=lambda network: repair_report(study, network, validation_maps)["repaired"],
)

# %% tags=["results"]
weights, others = (
    sum(part.numel() for part in autoencoder.parameters() if (part.ndim > 1) == wanted)
    for wanted in (True, False)
)
print(f"{weights:,} weights, {others:,} numbers of biases and normalisation, ", end="")
print(f"{repairing.seconds:.0f} s, learnt from {len(cohort.labelled)} label maps")

# %% [markdown]
# **Does it repair scans it never saw?** Validation and test label maps, each damaged by swaps and
# morphology:

# %% tags=["results"]
test_maps = [cohort.sealed.open(case.case_id, "final score") for case in cohort.test]
repairs = {
    "validation": repair_report(study, autoencoder, validation_maps),
    "test": repair_report(study, autoencoder, test_maps),
}
STATES = ("damaged", "repaired", "clean")
lines = [(group, *(f"{dice[state]:.3f}" for state in STATES)) for group, dice in repairs.items()]
plain_table(("Label maps", "damaged", "repaired", "clean, redrawn"), lines, "Dice to the truth.")

# %% tags=["results"]
worse = [group for group, dice in repairs.items() if dice["repaired"] <= dice["damaged"]]
if worse:
    print(f"It does not repair here ({', '.join(worse)}): below, U is large where this autoencoder")
    print("cannot draw the organ, be it plausible or not.")

# %% [markdown]
# Look at the last number, too. Clean maps do not return whole: thin walls, odd shapes, with few
# label maps whole parts do not fit through the code. Whatever the autoencoder cannot draw, it will
# call uncertain, right or wrong.

# %% [markdown]
# ## What can a short code not say?
#
# Three autoencoders with codes of three lengths, trained half as long, so compare them with each
# other only. What do more numbers add to clean maps, and what to the repair of damaged ones?

# %% tags=["train"]
small = {
    latent: train_autoencoder(study, new_autoencoder(study, latent), share=0.5)[0]
    for latent in (2, 8, 64)
}
lines = []
for latent, network in small.items():
    dice = repair_report(study, network, validation_maps)
    lines.append((latent, *(f"{dice[state]:.3f}" for state in STATES)))
heads = ("Numbers in the code", "damaged", "repaired", "clean, redrawn")
plain_table(heads, lines, "Dice of validation label maps to the truth.")


# %% tags=["figure"]
broken = corrupt(known_maps, roll_dice(1), cohort.n_classes, probability=1.0)
redrawn = {f"{latent} numbers": flat(redraw(small[latent], broken)) for latent in small}
figure = figures.label_maps(
    {"true map": flat(known_maps), "damaged": flat(broken), **redrawn}, cohort.class_names
)
ALT_CODES = "A short code can say few shapes: one damaged map, repaired through three lengths."
show(figure, alt=ALT_CODES)

# %% [markdown]
# **Why no skip connections?** With them the damage would leak past the code.
#
# **Task 2. A plausible lie.** U cannot see errors that are anatomy. Write `lie(label)`: from the
# label map of an organ (row, column) another one that is wrong almost everywhere on the organ but
# would pass for a heart.


# %% tags=["exercise"]
def lie(label):
    return NotImplemented  # your code


# %% tags=["exercise"]
honest = np.zeros((12, 12), np.uint8)
honest[2:5, 3:6] = 1
check(
    "A plausible lie",
    lie,
    [
        ("as many voxels of it", lambda f: f(honest).sum() == 9),
        ("little overlap", lambda f: ((f(honest) == 1) & (honest == 1)).sum() <= 3, "move it"),
        ("still in one piece", lambda f: ndimage.label(f(honest))[1] == 1, "as a whole"),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def lie(label):
#     return np.roll(label, 4, axis=0)
# ```
#
# An organ in the wrong place is still an organ.
#
# </details>

# %% [markdown]
# ## Where does a prediction leave anatomy?
#
# **The claim.** Feed the teacher's prediction $p$ to the frozen autoencoder. The projection
# $\hat{p}$ is meant to be a plausible map close to it (clean maps come back changed, too: the
# table above says by how much); the distance is the uncertainty, one pass instead of eight:
#
# $$U_v = \sum_c \left( \hat{p}_{cv} - p_{cv} \right)^2$$
#
# Each class is judged by a sigmoid of its own, so $0 \le U \le C$ for $C$ classes. The released
# code keeps one map for each class (`per_class=True`), then $0 \le U \le 1$. The poster feeds
# probabilities, the code the winning class (`hard=True`, our default).


# %% tags=["definition"]
@torch.no_grad()
def project(autoencoder, prediction, *, hard=True):
    """The plausible neighbour of probabilities (batch, class, *space)."""
    winner = prediction.argmax(dim=1)
    maps = one_hot(winner, prediction.shape[1]) if hard else prediction
    return autoencoder(maps).float().sigmoid()


# %% tags=["definition"]
def distance(projection, prediction, *, per_class=False):
    """U, one map (batch, 1, *space) or one for each class."""
    squares = (projection - prediction).square()
    return squares if per_class else squares.sum(dim=1, keepdim=True)


# %% [markdown]
# **A toy.** Two classes, one voxel. The network is sure of the organ ($p = 0.9$), the projection is
# not ($\hat{p} = 0.2$ for the organ, $0.7$ for the background): $0.7^2 + 0.6^2 = 0.85$.

# %% tags=["golden", "nbval-check-output"]
sure, plausible = torch.tensor([[[0.1], [0.9]]]), torch.tensor([[[0.7], [0.2]]])
print(f"U of the voxel {distance(plausible, sure).item():.2f}")
print("for each class", distance(plausible, sure, per_class=True).flatten().numpy().round(2))

# %% [markdown]
# ### What does U see that it never saw?
#
# Training knew frayed borders and swollen walls. A hole, a blob far from the organ, a missing lobe
# were never shown.


# %% tags=["definition"]
def ball(shape, centre, radius):
    """True within `radius` voxels of `centre`, given as a fraction of each side."""
    axes = [(np.arange(side) - place * (side - 1)) ** 2 for side, place in zip(
        shape, centre, strict=True)]  # fmt: skip
    return sum(np.meshgrid(*axes, indexing="ij", sparse=True)) <= radius**2


# %% tags=["definition"]
def fraction(voxel, shape):
    """A voxel's place as a fraction of each side."""
    return [place / max(side - 1, 1) for place, side in zip(voxel, shape, strict=True)]


# %% tags=["definition"]
def defects(label, random):
    """Three implausible versions of one label map (*space): hole, far blob, missing lobe."""
    shape, radius = label.shape, max(1.5, min(label.shape) / 14)
    index = int(np.bincount(label[label > 0], minlength=2).argmax())
    inside, away = np.argwhere(label == index), ndimage.distance_transform_edt(label == 0)
    far = np.argwhere(away >= min(away.max(), min(shape) / 5))
    hole, blob, lobe = (label.copy() for _ in range(3))
    hole[ball(shape, fraction(random.choice(inside), shape), radius) & (label > 0)] = 0
    blob[ball(shape, fraction(random.choice(far), shape), radius) & (label == 0)] = index
    axis = random.integers(label.ndim)
    beyond = inside[:, axis] > np.quantile(inside[:, axis], 0.6)
    lobe[tuple(inside[beyond].T)] = 0
    return {"hole": hole, "far blob": blob, "missing lobe": lobe}


# %%
@torch.no_grad()
def seen_through(maps):
    """What is shown, what comes back, and U between them, as pictures."""
    shown = one_hot(maps, cohort.n_classes)
    projection = project(autoencoder, shown)
    back, uncertainty = projection.argmax(dim=1).byte(), distance(projection, shown)[:, 0]
    return flat(maps), flat(back), flat(uncertainty)


def with_defect(label, picture):
    """All items with the shown one replaced."""
    maps = label.clone()
    place = known_cut.index if cohort.dimensions == 2 else 0
    maps[place] = torch.from_numpy(picture).to(maps.device)
    return maps


# %% tags=["figure"]
item = known_maps[known_cut.index if cohort.dimensions == 2 else 0].cpu().numpy()
columns = {
    "clean": known_maps,
    "swaps": swap(known_maps, roll_dice(2), usual_reach(settings.patch)),
}
columns["morphology"] = most_changed(
    known_maps, lambda dice: morphology(known_maps, dice, cohort.n_classes, 2)
)
broken = defects(item, np.random.default_rng(1)) if item.any() else {}
columns |= {name: with_defect(known_maps, label) for name, label in broken.items()}
seen = {name: seen_through(maps) for name, maps in columns.items()}
figure = figures.reconstructions(seen, cohort.class_names)
ALT_GALLERY = (
    "U is large where the returned map is another than the shown one: on damage or without."
)
show(figure, alt=ALT_GALLERY)

# %% [markdown]
# **Paint a defect yourself.** An autoencoder as small as the phantom's runs in the page (a larger
# one leaves a picture) and repairs what you paint. *Hole* and *Blob* put in what training never
# showed; *Corrupt* damages the map as training did. Four things to try:
#
# - Paint background in the middle of a structure, then on its border. Where does U stop minding?
# - Put a blob far from the organ, then one that touches it. Which of the two is undone?
# - Choose *weight* as third map, then move $\gamma$, which acts there only.
# - Press *Reset*: why is U not zero on a map that nobody changed? Is it smaller for the scan that
#   the autoencoder learnt from?


# %%
def offered(case, draws=4):
    """A scan's shown map, and versions damaged as in training: (map, *space)."""
    maps = central(study, case.label)
    if cohort.dimensions == 2:
        place = cut_of(maps).index
        maps = maps[place : place + 1]
    damaged = [
        corrupt(maps, roll_dice("paint", draw), cohort.n_classes, probability=1.0)
        for draw in range(draws)
    ]
    return torch.cat([maps, *damaged]).cpu().numpy()


# %% tags=["figure"]
ALT_PAINT = (
    "Label maps, the maps that the autoencoder repairs them to, and the uncertainty U between the "
    "two, which is not zero on a map that nobody changed."
)
to_paint = {f"{case.case_id}, never seen": offered(case) for case in cohort.validation[:3]}
to_paint |= {f"{case.case_id}, learnt from": offered(case) for case in cohort.labelled[:1]}
interactive.repair(autoencoder, to_paint, cohort.class_names, alt=ALT_PAINT)

# %% [markdown]
# ## What does a network know about its own uncertainty?
#
# The older answer is UA-MT's (notebook 00b): the entropy of the mean of eight passes with dropout
# and input noise. Here it is asked at test time, beside U.


# %% tags=["definition"]
@torch.no_grad()
def uncertainties(network, autoencoder, images, generator, passes=8):
    """Prediction, projection and three maps of uncertainty for images at test time."""
    with evaluating(network), torch.random.fork_rng():
        torch.manual_seed(generator.initial_seed())  # dropout draws from here
        prediction = network(standardise(images)).float().softmax(dim=1)
        for module in network.modules():
            module.train(isinstance(module, nn.modules.dropout._DropoutNd))
        mean = noisy_passes(network, images, passes, generator).mean(dim=0)
    projection = project(autoencoder, prediction)
    maps = {"U": distance(projection, prediction), "entropy": entropy(mean)}
    maps["1 − max p"] = 1 - prediction.amax(dim=1, keepdim=True)
    return prediction, projection, {name: values[:, 0] for name, values in maps.items()}


# %% [markdown]
# Here are both, and the cheapest uncertainty of all, $1 - \max p$ of a single pass, on a test scan
# of the mean teacher. The true errors stand beside them. Where do the maps agree with *those*?

# %%
first_test = cohort.test[0]
truth = central(study, test_maps[0])
images = central(study, first_test.image).unsqueeze(1)
prediction, projection, maps = uncertainties(student, autoencoder, images, roll_dice(3))
winner = prediction.argmax(dim=1).byte()
cut = cut_of(truth)
panels = {"prediction": winner, "projection": projection.argmax(dim=1).byte(), "truth": truth}
panels = {name: flat(labels, cut) for name, labels in panels.items()}
wrong = flat(winner != truth, cut)

# %% tags=["figure", "thumbnail"]
scores = {name: flat(values, cut) for name, values in maps.items()}
figure = figures.uncertainty_panels(
    flat(images[:, 0], cut), panels, wrong, scores, cohort.class_names
)
ALT_MAPS = "Where a test scan's prediction is wrong, and where three uncertainties warn."
show(figure, alt=ALT_MAPS)


# %% tags=["widget"]
def threshold(kind, share):
    """The most uncertain voxels under one kind of uncertainty, beside the true errors."""
    return figures.most_uncertain(scores[kind], wrong, share, kind)


# %% tags=["widget"]
explore(
    threshold,
    wanted_bytes=48_000,
    alt=lambda kind, share: f"The {share} % most uncertain voxels by {kind}, beside true errors.",
    kind=Slider("kind of uncertainty", ("U", "entropy", "1 − max p"), "U"),
    share=Slider("most uncertain voxels (%)", (1, 2, 4, 8), 4, live=range(1, 21)),
)

# %% [markdown]
# ## Which uncertainty is right?
#
# AUROC by ranks: sort all voxels by uncertainty; the ranks of the wrong ones say how high they
# stand. **A toy:** wrong voxels with 0.8 and 0.35, right ones with 0.1 and 0.4. Of four pairs three
# are in order.


# %% tags=["definition"]
def auroc(score, wrong):
    """The chance that a wrong voxel has a larger score than a right one; NaN without both."""
    score, wrong = np.ravel(score), np.ravel(wrong).astype(bool)
    ones, zeros = int(wrong.sum()), int((~wrong).sum())
    if not ones or not zeros:
        return math.nan
    return float((rankdata(score)[wrong].sum() - ones * (ones + 1) / 2) / (ones * zeros))


# %% tags=["golden", "nbval-check-output"]
print(auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]))

# %% [markdown]
# Two trials on every test scan, and both are shown whichever wins.
#
# **Ordinary errors:** the voxels where the mean teacher is wrong.
#
# **Structural defects,** two ways. *Pasted:* hole, blob and missing lobe are written into its
# prediction by exchanging the probabilities of two classes. This favours U: entropy knows
# hesitation only, and by construction the pasted voxels hesitate no more than before. *Caused:* a
# ball of organ is blacked out in the scan itself, and the network falls for it in its own way. Here
# both have a chance.


# %% tags=["definition"]
def relabel(prediction, labels):
    """Probabilities whose winner is `labels`: the old and the new winner change places."""
    old = prediction.argmax(dim=1, keepdim=True)
    new = labels.long().unsqueeze(1)
    first, second = prediction.gather(1, old), prediction.gather(1, new)
    return prediction.scatter(1, old, second).scatter(1, new, first)


# %%
def richest(labels):
    """The item with most organ."""
    return int((labels > 0).flatten(1).sum(dim=1).argmax())


def ordinary(images, truth, generator):
    """AUROC of each uncertainty for the network's own errors, and its raw material."""
    prediction, _, maps = uncertainties(student, autoencoder, images, generator)
    wrong = (prediction.argmax(dim=1) != truth).cpu().numpy()
    maps = {name: values.cpu().numpy() for name, values in maps.items()}
    return {name: auroc(values, wrong) for name, values in maps.items()}, maps, wrong


# %%
def pasted(images, truth, random, generator):
    """AUROC of each uncertainty for a defect pasted into the prediction of one item."""
    place = richest(truth)
    images, truth = images[place : place + 1], truth[place : place + 1]
    prediction, _, maps = uncertainties(student, autoencoder, images, generator)
    label = prediction.argmax(dim=1).byte()
    found = {}
    for name, broken in defects(label[0].cpu().numpy(), random).items() if label.any() else ():
        changed = relabel(prediction, torch.from_numpy(broken)[None].to(label.device))
        new = changed.argmax(dim=1) != label
        kept = (new | (label == truth)).cpu().numpy()
        U = distance(project(autoencoder, changed), changed)[:, 0]
        scores = {**maps, "U": U}
        parts = {k: (v.cpu().numpy()[kept], new.cpu().numpy()[kept]) for k, v in scores.items()}
        found[name] = {measure: auroc(*pair) for measure, pair in parts.items()}
    return found


# %%
def caused(images, truth, random, generator):
    """AUROC of each uncertainty for the errors in a scan with a blacked-out ball."""
    place = richest(truth)
    images, truth = images[place : place + 1].clone(), truth[place : place + 1]
    shape, organ = truth.shape[1:], np.argwhere(truth[0].cpu().numpy() > 0)
    if not len(organ):
        return dict.fromkeys(("U", "entropy", "1 − max p"), math.nan)
    void = ball(shape, fraction(random.choice(organ), shape), min(shape) / 8)
    images[0, 0][torch.from_numpy(void).to(images.device)] = images.min()
    return ordinary(images, truth, generator)[0]


# %%
def trial(scan, number):
    """All AUROC of one test scan by task and measure, its maps of uncertainty and errors."""
    images, truth = central(study, scan.image).unsqueeze(1), central(study, test_maps[number])
    random = np.random.default_rng([SEED, number])
    own, maps, wrong = ordinary(images, truth, roll_dice("own", number))
    found = {"ordinary errors": own, **pasted(images, truth, random, roll_dice("paste", number))}
    found["scan blacked out"] = caused(images, truth, random, roll_dice("void", number))
    return found, maps, wrong


# %% tags=["results"]
MEASURES = ("U", "entropy", "1 − max p")
TASKS = ("ordinary errors", "hole", "far blob", "missing lobe", "scan blacked out")
judged = [trial(scan, number) for number, scan in enumerate(cohort.test)]
reliability = {
    task: {m: [scan.get(task, {}).get(m, math.nan) for scan, *_ in judged] for m in MEASURES}
    for task in TASKS
}


# %% tags=["figure"]
intervals = {
    task: {name: bootstrap_interval(np.array(values, float)) for name, values in row.items()}
    for task, row in reliability.items()
}
ALT_AUROC = (
    "AUROC of U, entropy and one minus the largest probability for five kinds of error, with 95 % "
    "intervals over scans, this notebook's seed; all stored seeds stand in the table at the end."
)
show(figures.auroc_chart(intervals), alt=ALT_AUROC)

# %% tags=["results"]
here = {name: errors_found(scores[name], wrong, 4) for name in MEASURES}
everywhere = {name: found.mean for name, found in intervals["ordinary errors"].items()}
print("Errors in the 4 % most uncertain voxels of the slice above:", end=" ")
print(", ".join(f"{name} {percent(share)}" for name, share in here.items()) + ".")
print("AUROC of ordinary errors over all test scans:", end=" ")
print(", ".join(f"{name} {area:.3f}" for name, area in everywhere.items()) + ".")

# %% tags=["results"]
there, best = (max(found, key=found.get) for found in (here, everywhere))
if there != best:
    print(f"On that slice {there} is best, over all scans {best}: one picture decides nothing.")

# %% [markdown]
# **How to read it.** Left of the dashed line a map points away from the errors. For pasted defects
# the entropy only tells whether the place was uncertain before; it could not know better. The fair
# questions are the first line, ordinary errors, and the last, a scan that misleads the network.
# Background far from any organ is right and never uncertain, for all maps alike: it lifts every
# AUROC.


# %% [markdown]
# **Task 3. AUROC by counting.** Write `count_auroc(right, wrong)` for two lists of uncertainties:
# the share of pairs in which the wrong voxel has more, ties counting half.


# %% tags=["exercise"]
def count_auroc(right, wrong):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "AUROC by counting",
    count_auroc,
    [
        ("the toy above", lambda f: f([0.1, 0.4], [0.35, 0.8]) == 0.75),
        ("a tie is half", lambda f: f([0.5], [0.5]) == 0.5, "add 0.5 for equal uncertainties"),
        ("all in order", lambda f: f([0, 1], [2, 3]) == 1),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def count_auroc(right, wrong):
#     pairs = list(product(right, wrong))
#     return sum((w > r) + 0.5 * (w == r) for r, w in pairs) / len(pairs)
# ```
#
# </details>

# %% [markdown]
# ## How much should a suspicious voxel weigh?
#
# The mean teacher's consistency (notebook 00) becomes a weighted mean, with the weight falling as
# uncertainty rises:
#
# $$w_v = e^{-\gamma U_v}$$
# $$L_\mathrm{cons} = \frac{\sum_v w_v \left\| p_v - p'_v \right\|^2}{C \sum_v w_v}$$
#
# Only differences of U count: a constant added to U cancels. With $\gamma = 0$ this *is* the mean
# teacher, bit for bit; a test holds losses and gradients to it. ($C$ is the mean teacher's; the
# poster leaves it out, the released code divides by 2: `half=True`.) The weighted mean is the one
# of notebook 00b, where UA-MT's gate gives weights of 0 and 1.


# %% tags=["definition"]
def trust(uncertainty, gamma):
    """w = exp(-gamma U)."""
    return (-gamma * uncertainty).exp()


# %% [markdown]
# **A toy.** Two voxels, two classes. On the first, student and teacher agree. On the second the
# teacher is sure, the student undecided: a squared error of 0.25 for each class, and U is 1. By
# hand: $0.25\, e^{-\gamma} / (1 + e^{-\gamma})$.

# %% tags=["golden", "nbval-check-output"]
logits = torch.tensor([[[99.0, 0.0], [-99.0, 0.0]]])  # of the student
taught = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])  # the teacher's probabilities
for gamma in (0, 1, 5):
    weight = trust(torch.tensor([[[0.0, 1.0]]]), gamma)
    print(f"gamma {gamma}: {weighted_consistency(logits, taught, weight):.4f}")

# %% [markdown]
# **Try it.** The released $\gamma$ is 1. Do you see a difference between right and wrong voxels
# there? The numbers under the maps are the mean weights of the teacher's right and wrong voxels.


# %% tags=["widget"]
def weigh(gamma):
    """The weight map of the test scan above, with what it does to right and wrong voxels."""
    weight = np.exp(-gamma * scores["U"])
    return figures.weight_frame(weight, wrong, gamma)


# %% tags=["widget"]
explore(
    weigh,
    wanted_bytes=70_000,
    alt=lambda gamma: f"Weights of the consistency for γ = {gamma:g}, beside the true errors.",
    gamma=Slider("γ", (0, 1, 2, 5, 10, 20), 5, live=range(21)),
)

# %% [markdown]
# **Task 4. Half trust.** At which U does a voxel count half as much as a sure one? Write
# `half_trust(gamma)`.


# %% tags=["exercise"]
def half_trust(gamma):
    return NotImplemented  # your code


# %% tags=["exercise"]
check(
    "Half trust",
    half_trust,
    [
        ("gamma 1", lambda f: abs(math.exp(-f(1)) - 0.5) < 1e-6, "solve exp(-gamma U) = 1/2"),
        ("gamma 20", lambda f: abs(math.exp(-20 * f(20)) - 0.5) < 1e-6),
    ],
)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def half_trust(gamma):
#     return math.log(2) / gamma
# ```
#
# </details>

# %% [markdown]
# **Task 5. A planted error.** Somebody forgets to stop the gradient: U is computed from the
# *student's* prediction, and the weight $e^{-\gamma U}$ is part of what is differentiated.

# %% tags=["predict"]
ask(
    "How can the student lower its loss without learning anything?",
    options=(
        "By agreeing with the teacher",
        "By looking implausible exactly where it disagrees",
        "It cannot",
    ),
    answer="By looking implausible exactly where it disagrees",
    because=(
        "There U rises, the weight falls, and the disagreement no longer counts. The weight "
        "must be a judgement of the teacher's prediction, out of the student's reach."
    ),
)

# %% [markdown]
# ## How do the pieces make a step?
#
# The frame is `weighted_step` of notebook 00b: the mean teacher's step with weights for the
# teacher's prediction. They are made of the clean patch and pasted by the same CutMix boxes as the
# prediction. UA-MT's weights come from dropout; these come from the autoencoder.


# %% tags=["definition"]
def aau_weights(networks, images, prediction, moment, *, gamma, hard, per_class):
    """Anatomical uncertainty: one pass through the frozen autoencoder."""
    projection = project(networks.autoencoder, prediction, hard=hard)
    uncertainty = distance(projection, prediction, per_class=per_class)
    return {
        "projection": projection,
        "uncertainty": uncertainty,
        "clean weight": trust(uncertainty, gamma),
    }


# %% tags=["definition"]
def aau_step(
    networks, batch, moment, *, gamma=5.0, hard=True, per_class=False, half=False, released=False,
    **options,
):  # fmt: skip
    """Anatomically aware uncertainty; gamma 0 is the mean teacher."""
    weigh = partial(aau_weights, gamma=gamma, hard=hard, per_class=per_class)
    if released:
        return baselines.released_step(networks, batch, moment, weigh=weigh, **options)
    return weighted_step(networks, batch, moment, weigh, half)


# %% tags=["definition"]
def prepare_autoencoder(study, *, squares=False, jitter=0.0, iterations=None, **options):
    """What AAU needs before its first update: the autoencoder, trained and frozen."""
    network = new_autoencoder(study, **options)
    how = {"squares": squares, "jitter": jitter, "iterations": iterations}
    autoencoder, _ = train_autoencoder(study, network, **how)
    return Prepared(frozen={"autoencoder": autoencoder})


# %% [markdown]
# **Where the released code differs** from poster and text, plainly named and off by default:
#
# | switch | what the released code does |
# |---|---|
# | `per_class=True` | one U and one weight for each class |
# | `half=True` | the consistency is halved |
# | `ordinal=True` | the autoencoder reads class indices as grey levels |
# | `noise=0.1` | noise on the code, also in evaluation: the same map gets another U each time |
# | `squares=True` | the autoencoder's first loss is a squared error |
# | `jitter=0.1` | noise on the class index that the autoencoder reads in its training |
# | `released=True` | the teacher's step of notebook 00 as released, in the profile `paper` |
# | `everywhere=True` | consistency on labelled patches, too |
#
# Not offered: damage slice by slice in 3D (ours are volumes).

# %% [markdown]
# ## Does it train?
#
# Six rows, one call each, equal in network, warm-up, number of updates, schedule and seed (in the
# profile `paper` each has its own published schedule). What is not equal: AAU spends one
# autoencoder pass a step and an autoencoder's training before, UA-MT eight more teacher passes. On
# validation scans of the phantom no $\gamma$ beat the mean teacher (below; trials with an earlier
# network and a longer schedule). We keep $\gamma = 5$: it costs as little there as the released 1,
# and there weights of right and wrong voxels differ visibly.

# %% tags=["train"]
SHOWN = ("supervised_few", "supervised_strong", "mean_teacher", "ua_mt", "aau", "supervised_all")
trainings = {}
for name in SHOWN:
    trainings |= study.rows(METHODS[name].defined_by(globals()))

# %% tags=["figure"]
shown = {name: trainings[name] for name in ("mean_teacher", "ua_mt", "aau")}
figure = figures.training_curves(shown, stored_results())
show(figure, alt=curves_caption(shown))

# %% tags=["results"]
trials_file = Path(f"reports/validation/{NOTEBOOK}.json")
trials = json.loads(trials_file.read_text()) if trials_file.exists() else {}
tried = trials.get("gamma", {})

# %% tags=["results"]
SEEDS = list(next(iter(tried.values()), {}))
HEADS = ("tried", *(f"seed {seed}" for seed in SEEDS))

# %% tags=["results"]
lines = [
    (name.replace("gamma ", "γ = "), *(f"{dice[seed]:.3f}" for seed in SEEDS))
    for name, dice in tried.items()
]
WHICH = "Validation Dice of earlier trials, on the phantom: γ is how strongly U lowers a weight."
plain_table(HEADS, lines, WHICH) if tried else ""

# %% [markdown]
# ## Can you watch the pseudo-labels improve?
#
# The first unlabelled scan under two teachers. Its hidden truth is opened for this figure only.
# **Try it:** press *Play*. Which of the two keeps more of its confident mistakes?

# %% tags=["widget"]
followed = study.snapshot_case
ALT_SNAPSHOTS = "The pseudo-label of one scan over training, by the mean teacher and by AAU."
watched = {name: trainings[name].snapshots for name in ("mean_teacher", "aau")}
if followed.case_id in cohort.sealed:
    hidden_truth = cohort.sealed.open(followed.case_id, "teaching picture")
    interactive.snapshots(followed, hidden_truth, watched, cohort.class_names, alt=ALT_SNAPSHOTS)

# %% [markdown]
# ## When does it go wrong?
#
# **When the autoencoder was trained too briefly.** Here are four: with fresh weights, stopped after
# 3 % and after 30 % of the updates, and the one above. Each weighs the mean teacher's predictions
# for the same unlabelled scans by the step's own `aau_weights`. Divided by their mean, as in the
# loss, a weight of 1 is that of the mean teacher.


# %% tags=["train"]
def stopped_after(updates):
    """An autoencoder like the one above after so many updates; with 0 its fresh weights."""
    fresh = new_autoencoder(own_study, **options)
    if not updates:
        return fresh.to(study.device).eval()
    return train_autoencoder(own_study, fresh, **{**how, "iterations": updates})[0]


full = int(repairing.history[-1]["iteration"])
early = [max(least, round(share * full)) for least, share in enumerate((0, 0.03, 0.3))]
memories = {updates: stopped_after(updates) for updates in early} | {full: autoencoder}

# %%
teacher, parts = mean_teacher.networks.teacher, own.recorded()["step"]
weigh = partial(aau_weights, **{name: parts[name] for name in ("gamma", "hard", "per_class")})
images = torch.cat([central(study, scan.image) for scan in cohort.unlabelled[:4]]).unsqueeze(1)
with evaluating(teacher), torch.no_grad():
    prediction = teacher(standardise(images)).float().softmax(dim=1)
organ = prediction.argmax(dim=1) > 0


def counts(network):
    """What each voxel counts under this autoencoder: (item, *space), 1 on average."""
    maps = weigh(Networks(frozen={"autoencoder": network}), images, prediction, None)
    weight = maps["clean weight"]
    return weight.mean(dim=1) / weight.mean()


weights = {updates: counts(network) for updates, network in memories.items()}

# %% tags=["predict"]
on_organ = {updates: float(weight[organ].mean()) for updates, weight in weights.items()}
worst = min(on_organ, key=on_organ.get)
ask(
    "After how many updates does the autoencoder take most weight from the predicted organ?",
    options=tuple(map(str, on_organ)),
    answer=str(worst),
    because=f"A voxel of organ counts {on_organ[worst]:.3f} of an average voxel then.",
)

# %% tags=["figure"]
cut = cut_of(organ)
maps = {counted(n, "update"): flat(w.clamp(max=2), cut) for n, w in weights.items()}
figure = figures.weight_maps(maps, "weight, shown up to 2")
ALT_EARLY = "Weights of one scan's voxels, 1 on average, under four autoencoders."
show(figure, alt=ALT_EARLY)
lines = [
    (
        updates,
        f"{repair_report(own_study, network, validation_maps)['clean']:.3f}",
        f"{on_organ[updates]:.3f}",
        f"{float(weights[updates][~organ].mean()):.3f}",
    )
    for updates, network in memories.items()
]
heads = ("Updates", "Dice", "organ", "background")
caption = f"""Dice of clean validation maps, redrawn; mean weight of a voxel of organ and of
background at γ = {parts["gamma"]:g}. The organ's is lowest after {counted(worst, "update")},
{on_organ[worst]:.3f}; at the end it is {on_organ[full]:.3f}, and 1 in the mean teacher."""
plain_table(heads, lines, caption)

# %% [markdown]
# **If the worst is in between, why?** Background is learnt first; to an autoencoder that knows
# nothing else every organ is implausible, and agreement is asked for where there is nothing to
# learn. Fresh weights say about one half for every class: then U is smallest where the prediction
# hesitates. No loss shows any of this. (What it costs in Dice is not measured here.) **A sign
# without any truth:** the mean weight of the predicted organ. **What helps:** to read the Dice of
# clean validation maps first.

# %% [markdown]
# ## What does a step cost?
#
# Measured apart, in one run with interleaved repeats (`benchmarks/uncertainty_step.py`), relative
# to a mean-teacher step. (The seconds in the table below are a rough guide: they also hold the
# warm-up, the same for all, and rows ran beside different other work.)

# %% tags=["figure"]
cost_file = Path("benchmarks/results/uncertainty_step.json")
costs = json.loads(cost_file.read_text())["cases"] if cost_file.exists() else {}
if costs:
    ALT_COST = " ".join(
        f"{case}: a step of AAU costs {steps['aau']['relative']:.2f} mean-teacher steps, one of "
        f"UA-MT {steps['ua_mt']['relative']:.2f}."
        for case, steps in costs.items()
    )
    show(figures.cost_bars(costs, limit=1.3), alt=ALT_COST)

# %% [markdown]
# ## What came out?
#
# Scores of the **last** weights on the test scans, over all stored seeds of this cohort and
# profile.

# %% tags=["results"]
more = {"reliability": reliability, "autoencoder": repairs}
result = study.save(NOTEBOOK, DATASET, trainings, RESULTS_DIR, **more)
row_table(stored_results())

# %% tags=["figure"]
if not drawn:  # else it stands at the top
    runs = stored_results()
    show(figures.row_comparison(runs), alt=figures.row_message(runs))

# %% [markdown]
# **Which mistakes remain?** Press *Worst*, and let the colours show classes. Is the shape
# impossible (a hole, an island), or a possible shape in the wrong place? An autoencoder of shapes
# can only see the first kind. Does the mean teacher fail on the same scan?

# %% tags=["figure"]
truths = {c.case_id: cohort.sealed.open(c.case_id, "teaching picture") for c in cohort.test}
predictions = {
    name: study.predict(training.networks.student, cohort.test)
    for name, training in trainings.items()
}
parts = (cohort.test, truths, predictions, result, cohort.class_names)
ALT_SCANS = "Dice of each test scan by row; below, one scan with two predictions and the truth."
interactive.scans(*parts, row="aau", alt=ALT_SCANS)

# %% tags=["results"]
pairs = {
    "everything in AAU": ("aau", "supervised_strong"),
    "anatomy alone (γ > 0)": ("aau", "mean_teacher"),
    "dropout entropy alone": ("ua_mt", "mean_teacher"),
    "AAU against UA-MT": ("aau", "ua_mt"),
}
gain_table(pairs, stored_results())

# %% [markdown]
# **How to read it.** *Everything in AAU* is what a paper would print; *anatomy alone* is what the
# idea adds to the same teacher. An interval that holds zero: not shown here, with these scans and
# this budget, or, if it also lies within 0.01, equal. The intervals speak of other scans, not of
# other labelled ones.
#
# **Which map finds the errors?** For every kind of error, over all stored seeds:

# %% tags=["results"]
lines = [
    (
        task,
        *(f"{nan_mean(auroc_of(task, name).ravel()):.3f}" for name in MEASURES),
        interval_text(auroc_gain(task), "+"),
    )
    for task in TASKS
]
caption = "AUROC, mean over stored seeds and test scans, with a 95 % interval of the difference."
plain_table(("Errors", *MEASURES, "U minus entropy"), lines, caption)

# %% [markdown]
# **If the weights gain nothing, why?** A reading that no row here isolates: a weight only takes
# pseudo-labels away. Uncertain is what the autoencoder cannot draw, borders or whole parts; there
# the weight silences right voxels, too. And pasted defects, which U sees best, are few once a
# teacher has been averaged.

# %% [markdown]
# ## What does the paper report, and what did we measure?
#
# LA 2018, V-Net, MICCAI 2022 version, Dice in %, mean ± standard deviation; AAU, and UA-MT with 8
# labels, are printed on the authors' poster, the other numbers were measured on its bars:
#
# | method | 8 of 80 labelled | 16 of 80 labelled |
# |---|---|---|
# | V-Net, labels only | 76.07 ± 5.02 | 81.46 ± 2.96 |
# | mean teacher | 78.22 ± 6.89 | 86.06 ± 0.81 |
# | UA-MT | 85.09 ± 1.42 | 87.78 ± 1.03 |
# | **AAU** | **86.58 ± 1.03** | **88.60 ± 0.82** |
#
# Their [ablation](../docs/glossary.md) with 8: a threshold on U 85.39, the entropy of the
# projection 85.92, the distance 86.58.

# %% tags=["results"]
measured_table(read_rows(RESULTS_DIR), ["mean_teacher", "ua_mt", "aau"])

# %% [markdown]
# **What differs.** All their baselines were rerun under AAU's own schedule and lie lower than in
# other papers' tables, so never mix the two. Their checkpoint is the best on validation, ours the
# last. Their supervised rows have weak augmentation. The code for LA was never released, only that
# for abdominal CT: it is the *released code* of the table below, and what it does not fix for LA,
# such as the length of the code, is a guess of ours.
#
# `make reports DATASET=la2018 PROFILE=paper N_LABELLED=8` runs this notebook with the benchmark's
# network, AAU's and UA-MT's own schedules, a code of 128 numbers, squares, $\gamma = 1$ and weights
# for each class, on a GPU, without test selection.

# %% [markdown]
# ## Is `PROFILE=paper` the paper?
#
# Constant by constant, for both benchmarks. The column *ours* is not typed: it is looked up where
# the training looks. *Not at hand* means that the article's text could not be read here; then the
# released code is the only witness. With `PROFILE=paper_equal` every row is trained with BCP's
# schedule instead, so that no method is favoured, or starved, by its own.

# %% tags=["results"]
constants_table("aau")

# %% [markdown]
# ## What do you remember?
#
# Ten questions. Answer aloud, then unfold.
#
# <details><summary>1. What does the autoencoder learn from?</summary>
#
# From the label maps of the labelled scans alone: it sees no grey level, and no unlabelled scan.
#
# </details>
#
# <details><summary>2. Why has it no skip connections?</summary>
#
# With them the damage would leak past the short code, and nothing would be repaired.
#
# </details>
#
# <details><summary>3. What is the projection of a prediction?</summary>
#
# The map that the frozen autoencoder returns for it: meant to be a plausible map close to it. Clean
# maps come back changed, too.
#
# </details>
#
# <details><summary>4. What is U, and how large can it be?</summary>
#
# The squared distance between projection and prediction, summed over classes: from 0 to the number
# of classes, since each class is judged by a sigmoid of its own.
#
# </details>
#
# <details><summary>5. Which errors can U not see?</summary>
#
# Errors that are anatomy: a plausible organ in the wrong place or of the wrong size.
#
# </details>
#
# <details><summary>6. Where does U speak although the prediction is right?</summary>
#
# Where the autoencoder cannot draw what the network can: along fine borders, and for organs unlike
# those of the few labelled scans.
#
# </details>
#
# <details><summary>7. What does one U cost against UA-MT's uncertainty?</summary>
#
# One pass through a small autoencoder against eight passes through the teacher.
#
# </details>
#
# <details><summary>8. What happens at $\gamma = 0$?</summary>
#
# All weights are equal: the mean teacher, bit for bit. So the mean teacher is AAU's ablation.
#
# </details>
#
# <details><summary>9. Why does only the difference of U between voxels count?</summary>
#
# The weights are divided by their sum, so a constant added to every U cancels.
#
# </details>
#
# <details><summary>10. What does a weight between 0 and 1 do to a pseudo-label?</summary>
#
# It counts less. No weight says what would be right.
#
# </details>
#
# **Look further.** What does an autoencoder know that saw a single label map,
# `N_LABELLED = 1`, and where does its U lie? And one that saw 16?

# %% [markdown]
# ## What stays?
#
# - A frozen autoencoder of label maps turns "does this look like anatomy?" into one cheap pass.
# - It sees implausible structure; entropy sees hesitation. Which of them finds more of the real
#   errors is a measurement, and stands above.
# - It is also uncertain about what it cannot draw. Read its Dice on clean maps before you read its
#   U.
# - A weight is not a correction: it removes pseudo-labels and adds none.
#
# **Limits.** Results on the phantom show mechanisms, not clinical performance. The autoencoder sees
# patches of one size; U was judged on the central patch of each scan. $\gamma$ was compared on
# validation scans of the phantom only; the gate of UA-MT is that of notebook 00b. The dropout of
# the small network is light (rate 0.1), which keeps entropies low.
#
# **Next:** notebook 04 filters the scans themselves.

# %% [markdown]
# ## Appendix: for a second reading
#
# **How many label maps does it take?** Measured on validation maps, with full trainings and two
# seeds (`trials/03_anatomically_aware_uncertainty.py`), when the quick schedule was longer.

# %% tags=["figure"]
by_count = trials.get("label_maps", {}).get(DATASET, {})
if by_count and PROFILE == "quick":
    ALT_COUNT = (
        "Dice of damaged and of repaired validation maps against the number of label maps; small "
        "marks are single seeds."
    )
    show(figures.repairs_by_maps(by_count), alt=ALT_COUNT)
lines = []
for count, rows in by_count.items():
    changes = [row["repaired"] - row["damaged"] for row in rows]
    verdict = "repairs" if min(changes) > 0 else "does not repair on every seed"
    lines.append((count, ", ".join(map(signed, changes)), verdict))
if lines:
    display(plain_table(("Label maps", "Dice gained, by seed", "in words"), lines))
else:
    print("Not measured for these parameters; the phantom's page has it.")

# %% [markdown]
# **Is an uncertainty a probability?** Scale each map to its largest possible value: how often are
# voxels of that uncertainty wrong? On the diagonal 30 % means wrong in 30 % of cases. On the right:
# if you drop the most uncertain voxels, how many errors remain among the kept? The dashed line
# drops at random. U is a distance: nothing obliges its curve on the left to rise.


# %%
def calibration(name, top, bins=10):
    """Share of wrong voxels in each bin of uncertainty, test scans pooled, and the bins' sizes."""
    score = np.concatenate([maps[name].ravel() for _, maps, _ in judged]) / top
    wrong = np.concatenate([wrong.ravel() for *_, wrong in judged])
    place = np.minimum((score * bins).astype(int), bins - 1)
    count, errors = (np.bincount(place, w, minlength=bins) for w in (None, wrong))
    order = np.argsort(-score, kind="stable")
    left = 1 - np.cumsum(wrong[order]) / max(wrong.sum(), 1)
    marks = np.linspace(0, len(left) - 1, 41).astype(int)
    rate = errors / np.maximum(count, 1)
    return {"rate": rate.tolist(), "count": count.tolist(), "left": left[marks].tolist()}


# %% tags=["figure"]
TOPS = {
    "U": float(cohort.n_classes),
    "entropy": math.log(cohort.n_classes),
    "1 − max p": 1 - 1 / cohort.n_classes,
}
calibrations = {name: calibration(name, top) for name, top in TOPS.items()}
ALT_CALIBRATION = (
    "Share of wrong voxels against uncertainty, and errors left when uncertain voxels go."
)
show(figures.calibration_curves(calibrations), alt=ALT_CALIBRATION)

# %% [markdown]
# ## References
#
# - AAU: S. Adiga V., J. Dolz and H. Lombaert, MICCAI 2022 and Medical Image Analysis 2024; code:
#   adigasu/Anatomically-aware_Uncertainty_for_Semi-supervised_Segmentation.
# - UA-MT: L. Yu et al., MICCAI 2019. Mean teacher: A. Tarvainen and H. Valpola, NeurIPS 2017.
# - LA: Z. Xiong et al., Medical Image Analysis 2021.
#
# ```bibtex
# @article{adiga2024anatomically,
#   title   = {Anatomically-aware uncertainty for semi-supervised image segmentation},
#   author  = {Adiga V., Sukesh and Dolz, Jose and Lombaert, Herve},
#   journal = {Medical Image Analysis},
#   volume  = {91},
#   year    = {2024}
# }
# ```
