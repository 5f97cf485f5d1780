"""The definitions of `notebooks/02_uncertainty_co_training.py`, written by `make sync`.

Edit the notebook, not this file.
"""


from functools import partial
from itertools import pairwise

import torch
from torch import nn

from ssl_lib.training import augmentation
from ssl_lib.inference import evaluating
from ssl_lib.training.geometry import as_seen, inner_size, moved
from ssl_lib.training.losses import dice_squared_all, one_hot
from ssl_lib.models.networks import (
    CONVOLUTION,
    DROPOUT,
    UPSAMPLING,
    convolution_block,
    to_channels_last,
)
from ssl_lib.training.batches import derived_seed
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.method import Prepared


def views_of(dimensions, count):
    """The first `count` views, each as (order of the axes, axes to flip afterwards)."""
    if dimensions == 2:  # quarter turns
        turns = (((0, 1), ()), ((1, 0), (0,)), ((0, 1), (0, 1)), ((1, 0), (1,)))
        return turns[:count]
    orders = ((1, 2, 0), (0, 2, 1), (0, 1, 2), (2, 1, 0), (2, 0, 1), (1, 0, 2))
    return tuple((order, ()) for order in orders[:count])


def look(tensor, view):
    """The tensor (..., *space) as a view sees it: no voxel is lost, none is new."""
    order, flips = view
    first = tensor.ndim - len(order)
    turned = tensor.permute(*range(first), *(first + axis for axis in order))
    return turned.flip([first + axis for axis in flips]).contiguous()


def look_back(tensor, view):
    """The same tensor in the scan's own orientation again."""
    order, flips = view
    first = tensor.ndim - len(order)
    unflipped = tensor.flip([first + axis for axis in flips])
    inverse = [first + order.index(axis) for axis in range(len(order))]
    return unflipped.permute(*range(first), *inverse).contiguous()


def level(dimensions, channels, kernel, stride=1):
    """Convolutions from each number of channels to the next; only the first one strides."""
    blocks = [
        convolution_block(dimensions, *pair, kernel=kernel, stride=1 if i else stride)
        for i, pair in enumerate(pairwise(channels))
    ]
    return nn.Sequential(*blocks)


class AnisotropicParts(nn.Module):
    """Three levels of anisotropic kernels, joined by 1 x 1 convolutions; a half resolution head."""

    def __init__(self, dimensions, n_classes, width, *, channels=1, dropout=0.1, symmetric=False):
        super().__init__()
        one, two, three = width, 2 * width, 4 * width
        rest = (dimensions - 1) * (1,)
        kernel = (*(3 * side for side in rest), 3 if symmetric else 1)
        make, join = partial(level, dimensions, kernel=kernel), CONVOLUTION[dimensions]
        self.pairs = {2: nn.AvgPool2d, 3: nn.AvgPool3d}[dimensions]((*rest, 2))
        stem = make((channels, one, one), stride=(*(2 * side for side in rest), 1))
        self.encoder = nn.ModuleList([stem, make((one, two, two)), make((two, three, three))])
        self.decoder = nn.ModuleList([make((two, two, two)), make((one, one))])
        self.narrow = nn.ModuleList([join(three, two, 1), join(two, one, 1)])
        self.down = {2: nn.MaxPool2d, 3: nn.MaxPool3d}[dimensions](2)
        self.up = nn.Upsample(scale_factor=2)
        self.dropout = DROPOUT[dimensions](dropout)
        self.head = join(one, n_classes, 1)
        self.finer = nn.Upsample(scale_factor=2, mode=UPSAMPLING[dimensions])


class AnisotropicUNet(AnisotropicParts):
    """A U-Net that thinks at half resolution and does not look along the last axis."""

    divisor = 8

    def encode(self, image):
        first = self.encoder[0](self.pairs(image))
        second = self.encoder[1](self.down(first))
        return first, second, self.encoder[2](self.down(second))

    def decode(self, first, second, third):
        second = self.decoder[0](second + self.up(self.narrow[0](self.dropout(third))))
        first = self.decoder[1](first + self.up(self.narrow[1](second)))
        return self.head(self.dropout(first))

    def passes(self, image, count):
        """Logits (count * batch, class, *half) of several dropout passes: one encoder for all."""
        return self.decode(*[torch.cat([feature] * count) for feature in self.encode(image)])

    def forward(self, image):
        return self.finer(self.passes(image, 1))


class ViewNetwork(nn.Module):
    """A network that sees the scan from one side and predicts in the scan's own orientation."""

    def __init__(self, network, view):
        super().__init__()
        self.network, self.view, self.divisor = network, view, network.divisor
        self.register_buffer("seen_from", torch.tensor([*view[0], *view[1]]))

    def forward(self, image):
        return look_back(self.network(look(image, self.view)), self.view)


def view_network(study, member, *, views, **options):
    """The network of one member, from its own weights, for `Study.train`."""
    dimensions, width = study.cohort.dimensions, study.settings.width
    width = max(4, width // 8 * 8)  # a multiple of 8 uses the whole vector unit
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(study.seed, "weights", member))
        sizes = (dimensions, study.cohort.n_classes, width)
        network = AnisotropicUNet(*sizes, channels=study.cohort.n_channels, **options)
    made = ViewNetwork(network, views[member])
    return to_channels_last(made, dimensions).to(study.device)


def soft_loss(logits, target):
    """Half cross-entropy, half Dice against probabilities: one loss for labels and for targets."""
    logs = logits.float().log_softmax(dim=1)
    cross_entropy = -(target * logs).sum(dim=1).mean()
    return 0.5 * (cross_entropy + dice_squared_all(logs.exp(), target))


def label_shares(labels, n_classes):
    """Labels (batch, *space) at half resolution: each class's share of a block of voxels."""
    pool = {2: nn.functional.avg_pool2d, 3: nn.functional.avg_pool3d}[labels.ndim - 1]
    return pool(one_hot(labels, n_classes), 2)


def view_loss(member, images, target):
    """The loss of one member, in its own frame: a sum over voxels does not mind their order."""
    logits = member.network.passes(look(images, member.view), 1)
    return soft_loss(logits, look(target, member.view))


def labelled_loss(members, batch, moment, strong=True):
    """The supervised loss of all members on one batch, strongly augmented or as it was cut."""
    if strong:
        images, labels = augmentation.strong_augmentation(
            batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes,
            inner=inner_size(moment.settings),
        )  # fmt: skip
    else:
        images, labels = moved(batch.images, batch.labels, moment)
        images = as_seen(images, moment.settings)
    target = label_shares(labels, members[0].network.head.out_channels)
    return sum(view_loss(member, images, target) for member in members)


def views_supervised_step(networks, batch, moment, *, strong=True):
    return StepOutput({"supervised": labelled_loss(networks.students, batch, moment, strong)})


def prepare_views(study, *, count=None):
    """The networks of a row: three views of a volume or four of a slice, if nothing is asked."""
    count = count or (3 if study.cohort.dimensions == 3 else 4)
    build = partial(view_network, views=views_of(study.cohort.dimensions, count))
    return Prepared(networks=count, build=build)


def dropout_passes(member, images, passes, batch_statistics=True):
    """Probabilities (pass, batch, class, *half) in the view's frame; nothing else is random."""
    network, dropouts = member.network, tuple(DROPOUT.values())
    with torch.no_grad(), evaluating(network):
        for module in network.modules():
            module.training = batch_statistics or isinstance(module, dropouts)
        logits = network.passes(look(images, member.view), passes)
    return logits.float().softmax(dim=1).unflatten(0, (passes, -1))


def mean_and_uncertainty(predictions):
    """p (batch, class, *half) and U (batch, 1, *half): mean and variance over the passes."""
    mean = predictions.mean(dim=0)
    variance = (predictions - mean).square().mean(dim=0)
    return mean, variance.mean(dim=1, keepdim=True)


def predict(member, images, passes, batch_statistics=True):
    """p and U of one member in the scan's own orientation."""
    predictions = dropout_passes(member, images, passes, batch_statistics)
    return [look_back(part, member.view) for part in mean_and_uncertainty(predictions)]


def confidence(uncertainty, *, power=1.0, epsilon=1e-4, scope="voxel"):
    """c = 1 / (U + epsilon)^power, for each voxel or, from the mean uncertainty, for each scan."""
    if scope == "scan":
        uncertainty = uncertainty.mean(dim=tuple(range(1, uncertainty.ndim)), keepdim=True)
    return (uncertainty + epsilon) ** -power


def fused_target(means, confidences, own, hard=False):
    """What view number `own` is taught: the other views' predictions, weighted by confidence."""
    others = [view for view in range(len(means)) if view != own]
    total = sum(confidences[view] for view in others)
    target = sum(confidences[view] / total * means[view] for view in others)
    return one_hot(target.argmax(dim=1), target.shape[1]) if hard else target


def umct_step(
    networks, batch, moment, *, passes=4, weight=0.2, batch_statistics=True, strong=True,
    strong_labelled=True, hard=False, **weighting,
):  # fmt: skip
    """The views label the moved scan for each other; each learns it in another appearance."""
    members, generator = networks.students, moment.generator
    labelled = labelled_loss(members, batch, moment, strong_labelled)
    patches, _ = moved(batch.unlabelled, None, moment)
    clean = as_seen(patches, moment.settings)
    predicted = [predict(member, clean, passes, batch_statistics) for member in members]
    means, uncertainties = zip(*predicted, strict=True)
    trust = [confidence(uncertainty, **weighting) for uncertainty in uncertainties]
    targets = [fused_target(means, trust, own, hard) for own in range(len(members))]
    seen = augmentation.random_appearance(patches, generator) if strong else clean
    pairs = zip(members, targets, strict=True)
    unlabelled = sum(view_loss(member, seen, target) for member, target in pairs)
    maps = {f"target_{own + 1}": target for own, target in enumerate(targets)}
    return StepOutput({"labelled": labelled, "unlabelled": weight * unlabelled}, maps)
