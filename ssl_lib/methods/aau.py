"""The definitions of `notebooks/03_anatomically_aware_uncertainty.py`, written by `make sync`.

Edit the notebook, not this file.
"""


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


def each(values, like):
    """One value for each sample, shaped to broadcast over (batch, *space)."""
    return values.view(-1, *[1] * (like.ndim - 1))


def largest_around(values):
    """The largest value among each voxel and its neighbours, corners included."""
    for axis in range(1, values.ndim):
        rest = values.shape[axis] - 1
        first, last = values.narrow(axis, 0, 1), values.narrow(axis, rest, 1)
        behind = torch.cat([first, values.narrow(axis, 0, rest)], axis)
        ahead = torch.cat([values.narrow(axis, 1, rest), last], axis)
        values = torch.maximum(values, torch.maximum(behind, ahead))
    return values


def dilate(region, radius, most):
    """A True/False map grown by radius[sample] voxels, of which `most` is the largest."""
    for done in range(most):
        region = torch.where(each(radius > done, region), largest_around(region), region)
    return region


def reshape(organ, erosion, twice, radius, most):
    """Dilate; erode (`erosion`): dilate the rest; close or open (`twice`): and back again."""
    once = dilate(organ ^ erosion, radius, most)
    back = ~dilate(~once, radius, most)
    return torch.where(twice, back, once) ^ erosion


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


def border_band(labels, depth, most):
    """True where another class lies within depth[sample] voxels."""
    edge = largest_around(labels) != 255 - largest_around(255 - labels)
    return dilate(edge, depth - 1, most - 1)


def exchange(labels, chosen, offset, axis):
    """Chosen voxels change places with those `offset` further along an axis."""
    partner = torch.arange(labels.shape[axis], device=labels.device) + offset
    inside = (partner >= 0) & (partner < labels.shape[axis])
    chosen = chosen & inside.view([-1 if i == axis else 1 for i in range(labels.ndim)])
    chosen = chosen & ~chosen.roll(offset, axis)
    moved = torch.where(chosen, labels.roll(-offset, axis), labels)
    return torch.where(chosen.roll(offset, axis), labels.roll(offset, axis), moved)


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


def usual_reach(patch):
    """How deep swaps go: 8 voxels in the released code's patch of 144, in proportion here."""
    return max(2, round(8 * min(patch) / 144))


def corrupt(labels, generator, n_classes, *, reach=None, probability=0.5):
    """Each sample swapped and reshaped, both with the same probability, in new tensors."""
    reach = reach or usual_reach(labels.shape[1:])

    def coin():
        draw = torch.rand(len(labels), generator=generator, device=labels.device)
        return each(draw < probability, labels)

    labels = torch.where(coin(), swap(labels, generator, reach), labels)
    changed = morphology(labels, generator, n_classes, max(1, reach // 2))
    return torch.where(coin(), changed, labels)


def central(study, array):
    """The middle of a scan or label map, of the patch's size, on the device: (item, *patch)."""
    items = torch.tensor(np.ascontiguousarray(array))
    items = items.unsqueeze(1) if study.cohort.dimensions == 2 else items[None, None]
    items, _ = pad_to(items, study.settings.patch)
    for axis, side in enumerate(study.settings.patch, start=2):
        items = items.narrow(axis, (items.shape[axis] - side) // 2, side)
    return items.squeeze(1).to(study.device)


def block(layer, n, channels_in, channels_out, kernel, stride, padding):
    """A strided convolution (or its transpose), normalisation, leaky rectifier."""
    return nn.Sequential(
        layer[n](channels_in, channels_out, kernel, stride, padding, bias=False),
        NORMALISATION[n](channels_out),
        nn.LeakyReLU(0.01, inplace=True),
    )


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


def new_autoencoder(study, latent=64, **options):
    """Fresh weights that depend on the study's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(study.seed, "autoencoder"))
        return Autoencoder(study.cohort.n_classes, study.settings.patch, latent, **options)


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


@torch.no_grad()
def redraw(network, maps):
    """Label maps as the autoencoder returns them."""
    return network(one_hot(maps, network.n_classes)).argmax(dim=1).to(maps.dtype)


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


@torch.no_grad()
def project(autoencoder, prediction, *, hard=True):
    """The plausible neighbour of probabilities (batch, class, *space)."""
    winner = prediction.argmax(dim=1)
    maps = one_hot(winner, prediction.shape[1]) if hard else prediction
    return autoencoder(maps).float().sigmoid()


def distance(projection, prediction, *, per_class=False):
    """U, one map (batch, 1, *space) or one for each class."""
    squares = (projection - prediction).square()
    return squares if per_class else squares.sum(dim=1, keepdim=True)


def ball(shape, centre, radius):
    """True within `radius` voxels of `centre`, given as a fraction of each side."""
    axes = [(np.arange(side) - place * (side - 1)) ** 2 for side, place in zip(
        shape, centre, strict=True)]  # fmt: skip
    return sum(np.meshgrid(*axes, indexing="ij", sparse=True)) <= radius**2


def fraction(voxel, shape):
    """A voxel's place as a fraction of each side."""
    return [place / max(side - 1, 1) for place, side in zip(voxel, shape, strict=True)]


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


def auroc(score, wrong):
    """The chance that a wrong voxel has a larger score than a right one; NaN without both."""
    score, wrong = np.ravel(score), np.ravel(wrong).astype(bool)
    ones, zeros = int(wrong.sum()), int((~wrong).sum())
    if not ones or not zeros:
        return math.nan
    return float((rankdata(score)[wrong].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def relabel(prediction, labels):
    """Probabilities whose winner is `labels`: the old and the new winner change places."""
    old = prediction.argmax(dim=1, keepdim=True)
    new = labels.long().unsqueeze(1)
    first, second = prediction.gather(1, old), prediction.gather(1, new)
    return prediction.scatter(1, old, second).scatter(1, new, first)


def trust(uncertainty, gamma):
    """w = exp(-gamma U)."""
    return (-gamma * uncertainty).exp()


def aau_weights(networks, images, prediction, moment, *, gamma, hard, per_class):
    """Anatomical uncertainty: one pass through the frozen autoencoder."""
    projection = project(networks.autoencoder, prediction, hard=hard)
    uncertainty = distance(projection, prediction, per_class=per_class)
    return {
        "projection": projection,
        "uncertainty": uncertainty,
        "clean weight": trust(uncertainty, gamma),
    }


def aau_step(
    networks, batch, moment, *, gamma=5.0, hard=True, per_class=False, half=False, released=False,
    **options,
):  # fmt: skip
    """Anatomically aware uncertainty; gamma 0 is the mean teacher."""
    weigh = partial(aau_weights, gamma=gamma, hard=hard, per_class=per_class)
    if released:
        return baselines.released_step(networks, batch, moment, weigh=weigh, **options)
    return weighted_step(networks, batch, moment, weigh, half)


def prepare_autoencoder(study, *, squares=False, jitter=0.0, iterations=None, **options):
    """What AAU needs before its first update: the autoencoder, trained and frozen."""
    network = new_autoencoder(study, **options)
    how = {"squares": squares, "jitter": jitter, "iterations": iterations}
    autoencoder, _ = train_autoencoder(study, network, **how)
    return Prepared(frozen={"autoencoder": autoencoder})
