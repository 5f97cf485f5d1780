"""The definitions of `notebooks/08_newer_ideas.py`, written by `make sync`.

Edit the notebook, not this file.
"""


from contextlib import ExitStack, contextmanager

import torch
from torch.nn import functional

from ssl_lib.methods.baselines import consistency_loss
from ssl_lib.methods.bcp import keep_largest_components
from ssl_lib.models.teacher import gaussian_ramp
from ssl_lib.training.augmentation import (
    paste,
    random_affine,
    random_appearance,
    random_boxes,
    standardise,
    strong_augmentation,
)
from ssl_lib.training.geometry import inner_size
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.losses import cross_entropy, dice_squared_all, one_hot, segmentation_loss


def supervised_loss(networks, batch, moment):
    """The strong baseline's loss: with every other weight at 0, a step is that baseline."""
    images, labels = strong_augmentation(
        batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes,
        inner=inner_size(moment.settings),
    )  # fmt: skip
    return segmentation_loss(networks.student(images), labels)


def teacher_prediction(networks, batch, moment):
    """The easy view: unlabelled images, moved, and the teacher's probabilities on them."""
    images, _ = random_affine(
        batch.unlabelled, None, moment.generator, flip_axes=moment.settings.flip_axes,
        inner=inner_size(moment.settings),
    )  # fmt: skip
    with torch.no_grad():
        return images, networks.teacher(standardise(images)).float().softmax(dim=1)


def strong_views(images, maps, generator, count=1):
    """`count` views of every image, changed in appearance and with boxes of its neighbour.

    Every map (batch, ...) receives the same boxes, voxel by voxel.
    """
    views = random_appearance(torch.cat([images] * count), generator)
    boxes = random_boxes(views.shape[2:], len(views), generator, views.device)
    repeated = [torch.cat([one] * count) for one in maps]
    return [paste(one.roll(1, 0), one, boxes) for one in (views, *repeated)]


def ramp_now(moment):
    """How much the unlabelled loss weighs: the ramp of every notebook."""
    return gaussian_ramp(moment.iteration, moment.settings.ramp * moment.iterations)


def hard_labels(probabilities, components=False):
    """The likeliest class of each voxel, if asked its largest component alone; its probability."""
    confidence, labels = probabilities.max(dim=1)
    labels = labels.byte()
    if components:
        labels = keep_largest_components(labels, probabilities.shape[1])
    return labels, confidence


def hard_label_step(networks, batch, moment, *, components=True, weight=1.0):
    """The teacher's classes, of each its largest component, are the labels of a harder view."""
    supervised = supervised_loss(networks, batch, moment)
    images, probabilities = teacher_prediction(networks, batch, moment)
    labels, _ = hard_labels(probabilities, components)
    view, labels = strong_views(images, [labels], moment.generator)
    unlabelled = segmentation_loss(networks.student(view), labels)
    losses = {"supervised": supervised, "unlabelled": weight * ramp_now(moment) * unlabelled}
    return StepOutput(losses, {"view": view, "pseudo_label": labels})


def dynamic_threshold(confidence, scale=1.4, slope=0.5, low=0.3, high=0.8):
    """T of one batch: rises with the teacher's mean confidence, within bounds."""
    mean = confidence.mean()
    return (scale / (1 + torch.exp(-slope * (mean - 0.5)))).clamp(low, high)


def at_border(labels, n_classes):
    """1 where a voxel has a neighbour of another class along an axis or a diagonal, else 0."""
    maps = one_hot(labels, n_classes)
    pool = functional.max_pool2d if maps.ndim == 4 else functional.max_pool3d
    return (pool(maps, 3, 1, 1).sum(dim=1) > 1).float()


def cw_bass_step(networks, batch, moment, *, power=1.0, scale=1.4, border=0.5, weight=1.0):
    """Voxels count by their confidence, none below T, and those at borders once more."""
    supervised = supervised_loss(networks, batch, moment)
    images, probabilities = teacher_prediction(networks, batch, moment)
    labels, confidence = hard_labels(probabilities)
    trust = confidence**power * (confidence > dynamic_threshold(confidence, scale))
    edge = at_border(labels, probabilities.shape[1])
    view, labels, trust, edge = strong_views(images, [labels, trust, edge], moment.generator)
    logits = networks.student(view)
    unlabelled = segmentation_loss(logits, labels, trust)
    unlabelled = unlabelled + border * cross_entropy(logits, labels, trust * edge)
    losses = {"supervised": supervised, "unlabelled": weight * ramp_now(moment) * unlabelled}
    return StepOutput(losses, {"view": view, "pseudo_label": labels, "trust": trust, "edge": edge})


@contextmanager
def perturbed_features(network, generator, rate=0.5):
    """Inside, every level of the encoder loses a random share of its channels, and normalisation
    remembers nothing: its running averages are those of the network that is used later."""

    def drop(module, inputs, feature):
        keep = torch.rand(feature.shape[:2], generator=generator, device=feature.device) >= rate
        spread = keep.view(*keep.shape, *[1] * (feature.ndim - 2))
        return feature * spread.to(feature.dtype) / (1 - rate)

    with ExitStack() as hooks:
        for layer in network.modules():
            if getattr(layer, "track_running_stats", False):
                hooks.callback(setattr, layer, "momentum", layer.momentum)
                layer.momentum = 0.0
        for level in network.encoder:
            hooks.callback(level.register_forward_hook(drop).remove)
        yield


def unimatch_step(networks, batch, moment, *, views=2, perturb=True, threshold=0.95, weight=1.0):
    """Harder views, and the easy view with perturbed features, learn the confident hard label."""
    supervised = supervised_loss(networks, batch, moment)
    images, probabilities = teacher_prediction(networks, batch, moment)
    labels, confidence = hard_labels(probabilities)
    trust = (confidence >= threshold).float()
    view, labels_there, trust_there = strong_views(images, [labels, trust], moment.generator, views)
    unlabelled = segmentation_loss(networks.student(view), labels_there, trust_there)
    if perturb:
        with perturbed_features(networks.student, moment.generator):
            logits = networks.student(standardise(images))
        unlabelled = 0.5 * (unlabelled + segmentation_loss(logits, labels, trust))
    losses = {"supervised": supervised, "unlabelled": weight * ramp_now(moment) * unlabelled}
    return StepOutput(losses, {"view": view, "pseudo_label": labels_there, "trust": trust_there})


def crop_size(space, divisor, share=0.75):
    """Sides of a crop: that share of each side, as far as the network's divisor lets it."""
    return [max(divisor, int(share * side) // divisor * divisor) for side in space]


def random_places(space, size, generator, device):
    """For each axis the voxels of one random crop, as indices on the device."""
    places = []
    for side, length in zip(space, size, strict=True):
        start = torch.randint(side - length + 1, (1,), generator=generator, device=device)
        places.append(start + torch.arange(length, device=device))
    return places


def crop(tensor, places):
    """The crop of the last axes that these indices name."""
    for axis, index in zip(range(-len(places), 0), places, strict=True):
        tensor = tensor.index_select(axis, index)
    return tensor


def back_in_place(part, places, space):
    """A crop in an empty frame of the whole size: zeros where it shows nothing."""
    for axis, (index, side) in enumerate(zip(places, space, strict=True), start=-len(places)):
        sides = list(part.shape)
        sides[axis] = side
        part = part.new_zeros(sides).index_copy(axis, index, part)
    return part


def translation_terms(logits, places, space):
    """KL(b || a) and the negative entropy, means over the voxels that both crops show."""
    logs = [one.float().log_softmax(dim=1) for one in logits]
    shown = [back_in_place(torch.ones_like(one[:, 0]), place, space)
             for one, place in zip(logs, places, strict=True)]  # fmt: skip
    both = shown[0] * shown[1]
    a, b = (back_in_place(one, place, space) for one, place in zip(logs, places, strict=True))
    divergence = (b.exp() * (b - a)).sum(dim=1)
    negative_entropy = 0.5 * (a.exp() * a + b.exp() * b).sum(dim=1)
    voxels = both.sum().clamp_min(1)
    return (both * divergence).sum() / voxels, (both * negative_entropy).sum() / voxels


def tracoco_step(networks, batch, moment, *, alpha=0.1, beta=0.01, confident=0.65, weight=1.0):
    """Two crops of one scan must agree where they overlap, and with confident voxels."""
    supervised = supervised_loss(networks, batch, moment)
    images, probabilities = teacher_prediction(networks, batch, moment)
    labels, confidence = hard_labels(probabilities)
    trust = confidence * (confidence >= confident)
    space, generator = images.shape[2:], moment.generator
    view, labels, trust = strong_views(images, [labels, trust], generator)
    size = crop_size(space, networks.student.divisor)
    places = [random_places(space, size, generator, view.device) for _ in range(2)]
    logits = [networks.student(crop(view, place)) for place in places]
    agree = [segmentation_loss(one, crop(labels, place), crop(trust, place))
             for one, place in zip(logits, places, strict=True)]  # fmt: skip
    unlabelled = 0.5 * sum(agree)
    if alpha or beta:
        translation, entropy = translation_terms(logits, places, space)
        unlabelled = unlabelled + alpha * translation + beta * entropy
    losses = {"supervised": supervised, "unlabelled": weight * ramp_now(moment) * unlabelled}
    return StepOutput(losses, {"view": view, "pseudo_label": labels, "trust": trust})


def adaptive_weights(losses, distances, rate):
    """For each patch the share of its label's loss; the rest belongs to its consistency."""
    return torch.sigmoid(rate * (losses - distances)).detach()


def adawac_step(networks, batch, moment, *, rate=8.0, strength=2.0, weight=1.0):
    """Each patch divides its weight between its hard label and its consistency."""
    supervised = supervised_loss(networks, batch, moment)
    images, probabilities = teacher_prediction(networks, batch, moment)
    labels, _ = hard_labels(probabilities)
    view, labels, target = strong_views(images, [labels, probabilities], moment.generator)
    logs = networks.student(view).float().log_softmax(dim=1)
    axes = tuple(range(1, labels.ndim))
    label_loss = functional.nll_loss(logs, labels.long(), reduction="none").mean(axes)
    distance = strength * (logs.exp() - target).square().sum(dim=1).mean(axes)
    share = adaptive_weights(label_loss, distance, rate)
    overlap = dice_squared_all(logs.exp(), one_hot(labels, logs.shape[1]))
    divided = share * label_loss + (1 - share) * distance
    unlabelled = 0.5 * overlap + 0.5 * divided.mean()
    losses = {"supervised": supervised, "unlabelled": weight * ramp_now(moment) * unlabelled}
    return StepOutput(losses, {"view": view, "pseudo_label": labels, "share": share})


def soft_segmentation_loss(logits, target):
    """Half cross-entropy, half Dice, both to probabilities: least where the two agree."""
    logs = logits.float().contiguous().log_softmax(dim=1)
    surprise = -(target * logs).sum(dim=1).mean()
    return 0.5 * (surprise + dice_squared_all(logs.exp(), target))


def soft_label_step(networks, batch, moment, *, views=1, soft=1.0, squared=0.0, hard=0.0):
    """The teacher's probabilities are learnt by the loss of the labels, or by others beside it."""
    supervised = supervised_loss(networks, batch, moment)
    images, probabilities = teacher_prediction(networks, batch, moment)
    labels, _ = hard_labels(probabilities)
    maps = [probabilities, labels]
    view, target, pseudo = strong_views(images, maps, moment.generator, views)
    logits, losses = networks.student(view), {"supervised": supervised}
    if soft:
        losses["unlabelled"] = soft * ramp_now(moment) * soft_segmentation_loss(logits, target)
    if squared:
        weight = squared * moment.settings.consistency_weight * ramp_now(moment)
        losses["consistency"] = weight * consistency_loss(logits, target)
    if hard:
        losses["hard"] = hard * ramp_now(moment) * segmentation_loss(logits, pseudo)
    return StepOutput(losses, {"view": view, "target": target, "pseudo_label": pseudo})
