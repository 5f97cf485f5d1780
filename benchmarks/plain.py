"""Training steps written the way research repositories write them: the baseline of our benchmark.

The mathematics is that of notebooks 00 to 04. What differs is how it is done: each sample is
augmented alone, on the CPU, with NumPy and SciPy; float32 and the default memory format; one pass
after the other; the teacher is averaged parameter by parameter; every logged number is read back in
every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from scipy import ndimage
from torch import Tensor, nn

from ssl_lib.data.cohort import Cohort

Volume = Float32[np.ndarray, "*space"]
LabelMap = UInt8[np.ndarray, "*space"]


def cropped(
    image: Volume, label: LabelMap, patch: tuple[int, ...], random: np.random.Generator
) -> tuple[Volume, LabelMap]:
    """The same random patch of a scan and its label map, padded where the scan is smaller."""
    missing = [max(0, p - s) for s, p in zip(image.shape, patch, strict=True)]
    widths = [(lack // 2, lack - lack // 2) for lack in missing]
    image = np.pad(image, widths, constant_values=image.min())
    label = np.pad(label, widths)
    corner = [int(random.integers(0, s - p + 1)) for s, p in zip(image.shape, patch, strict=True)]
    cut = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
    return image[cut], label[cut]


def moved(image: Volume, label: LabelMap, random: np.random.Generator) -> tuple[Volume, LabelMap]:
    """Turned by up to 20 degrees in each plane, scaled by 15 %, shifted by 8 %."""
    n = image.ndim
    matrix = np.eye(n)
    for i in range(n):
        for j in range(i + 1, n):
            angle = np.deg2rad(random.uniform(-20, 20))
            turn = np.eye(n)
            turn[[i, j], [i, j]] = np.cos(angle)
            turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ turn
    matrix = matrix * random.uniform(0.85, 1.15, (n, 1))
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ centre + random.uniform(-0.08, 0.08, n) * image.shape
    turned = ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")
    return turned, ndimage.affine_transform(label, matrix, offset, order=0)


def standardised(image: Volume) -> Volume:
    return (image - image.mean()) / max(float(image.std()), 1e-6)


def repainted(image: Volume, random: np.random.Generator) -> Volume:
    """Gamma, bias field, blur and noise, as `ssl_lib.training.augmentation.random_appearance`."""
    low, high = image.min(), image.max()
    unit = ((image - low) / (high - low + 1e-6) + 1e-6) ** np.exp(random.uniform(-0.7, 0.7))
    coarse = random.standard_normal([3] * image.ndim)
    field = ndimage.zoom(coarse, np.array(image.shape) / 3, order=1)
    unit = unit * np.exp(0.25 * field)
    blurred = unit
    for axis in range(image.ndim):
        blurred = ndimage.correlate1d(blurred, [0.25, 0.5, 0.25], axis, mode="nearest")
    unit = unit + random.uniform(0, 1) ** 2 * (blurred - unit)
    noise = random.uniform(0, 0.35) * random.standard_normal(image.shape)
    return standardised(standardised(unit) + noise).astype(np.float32)


def box_of_ones(
    shape: tuple[int, ...], share: tuple[float, float], random: np.random.Generator
) -> np.ndarray:
    """A box whose sides are a random share of the image's sides."""
    box = np.zeros(shape, dtype=bool)
    sides = [max(1, round(random.uniform(*share) * length)) for length in shape]
    starts = [random.integers(0, n - side + 1) for n, side in zip(shape, sides, strict=True)]
    box[tuple(slice(a, a + side) for a, side in zip(starts, sides, strict=True))] = True
    return box


class PlainBatches:
    """Batches of a cohort, sample by sample, then sent to the device."""

    def __init__(
        self,
        cohort: Cohort,
        patch: tuple[int, ...],
        sizes: tuple[int, int],
        device: torch.device,
        auxiliary: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.cohort, self.patch, self.sizes, self.device = cohort, patch, sizes, device
        self.auxiliary, self.random = auxiliary or {}, np.random.default_rng(0)

    def samples(self, group: str, size: int) -> Iterator[tuple[Volume, LabelMap]]:
        """Moved patches of random scans; where there is no label, an empty one moves along."""
        cases = getattr(self.cohort, group)
        for number in self.random.integers(0, len(cases), size):
            image, label = cases[number].image, cases[number].label
            label = np.zeros(image.shape, np.uint8) if label is None else label
            if len(self.patch) == 2:  # one slice of the stack
                place = int(self.random.integers(0, len(image)))
                image, label = image[place], label[place]
            yield moved(*cropped(image, label, self.patch, self.random), self.random)

    def sent(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device)

    def labelled(self, paste: bool = True) -> tuple[Tensor, Tensor]:
        """Images (batch, 1, *space) and labels; half of them with a box of the one before."""
        pairs = list(self.samples("labelled", self.sizes[0]))
        images = [repainted(image, self.random) for image, _ in pairs]
        labels = [label.astype(np.int64) for _, label in pairs]
        for i in range(len(images) if paste else 0):
            if self.random.random() < 0.5:
                box = box_of_ones(self.patch, (0.25, 0.6), self.random)
                images[i] = np.where(box, images[i - 1], images[i])
                labels[i] = np.where(box, labels[i - 1], labels[i])
        return self.sent(images)[:, None], self.sent(labels)

    def unlabelled(self) -> tuple[Tensor, Tensor]:
        """Images as they are and in another appearance, both (batch, 1, *space)."""
        clean = [image for image, _ in self.samples("unlabelled", self.sizes[1])]
        strong = [repainted(image, self.random) for image in clean]
        clean = [standardised(image).astype(np.float32) for image in clean]
        return self.sent(clean)[:, None], self.sent(strong)[:, None]

    def versions(self, group: str) -> tuple[list[Tensor], Tensor]:
        """What two networks see of random scans, twice (batch, 1, *space), and the labels: the scan
        itself, or one its Max-filtered and the other its Min-filtered version."""
        seen, labels = ([], []), []
        cases = getattr(self.cohort, group)
        for number in self.random.integers(0, len(cases), self.sizes[group == "unlabelled"]):
            case, seed = cases[number], int(self.random.integers(2**32))
            chosen = [case.image, case.image]
            if self.random.random() >= 0.5:
                chosen = list(self.auxiliary[case.case_id])
                chosen = chosen[::-1] if self.random.random() < 0.5 else chosen
            label = np.zeros(case.image.shape, np.uint8) if case.label is None else case.label
            for images, version in zip(seen, chosen, strict=True):
                alike = np.random.default_rng(seed)  # both are moved by the same numbers
                image, moved_label = moved(*cropped(version, label, self.patch, alike), alike)
                images.append(repainted(image, self.random))
            labels.append(moved_label.astype(np.int64))
        return [self.sent(images)[:, None] for images in seen], self.sent(labels)

    def boxes(self, size: int) -> Tensor:
        """One random box for each of `size` images, (batch, 1, *space)."""
        drawn = [box_of_ones(self.patch, (0.25, 0.6), self.random) for _ in range(size)]
        return self.sent(drawn)[:, None]


def dice_loss(probabilities: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Squared Dice of all classes, a loop over them."""
    total = 0.0
    weight = torch.ones_like(labels, dtype=torch.float32) if mask is None else mask
    for index in range(probabilities.shape[1]):
        p, t = probabilities[:, index], (labels == index).float()
        overlap = torch.sum(p * t * weight)
        size = torch.sum(p * p * weight) + torch.sum(t * t * weight)
        total = total + 1 - (2 * overlap + 1e-5) / (size + 1e-5)
    return total / probabilities.shape[1]


def segmentation_loss(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    each = F.cross_entropy(logits, labels, reduction="none")
    entropy = each.mean() if mask is None else (each * mask).sum() / (mask.sum() + 1e-16)
    return 0.5 * (entropy + dice_loss(F.softmax(logits, dim=1), labels, mask))


def largest_parts(labels: Tensor, n_classes: int) -> Tensor:
    """The largest connected part of each class of each sample."""
    kept = np.zeros(labels.shape, np.int64)
    for number, sample in enumerate(labels.cpu().numpy()):
        for index in range(1, n_classes):
            parts, count = ndimage.label(sample == index, np.ones([3] * sample.ndim))
            if count:
                sizes = np.bincount(parts.ravel())[1:]
                kept[number][parts == 1 + sizes.argmax()] = index
    return torch.from_numpy(kept).to(labels.device)


def plain_update(
    method: str,
    networks: Any,
    optimiser: torch.optim.Optimizer,
    batches: PlainBatches,
    n_classes: int,
) -> Callable[[int], None]:
    """One whole update of a method: data, losses, weights, teacher, and the numbers for a log."""

    def update(iteration: int) -> None:
        terms = LOSSES[method](networks, batches, n_classes)
        loss = sum(terms)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if networks.teacher is not None:
            pairs = zip(networks.teacher.parameters(), networks.student.parameters(), strict=True)
            for mine, theirs in pairs:
                mine.data.mul_(0.97).add_(theirs.data, alpha=0.03)
        assert np.isfinite([loss.item(), *(term.item() for term in terms)]).all()

    return update


def supervised(networks: Any, batches: PlainBatches, n_classes: int) -> list[Tensor]:
    images, labels = batches.labelled()
    return [segmentation_loss(networks.student(images), labels)]


def mean_teacher(networks: Any, batches: PlainBatches, n_classes: int) -> list[Tensor]:
    losses = supervised(networks, batches, n_classes)
    clean, strong = batches.unlabelled()
    with torch.no_grad():
        target = F.softmax(networks.teacher(clean), dim=1)
    boxes = batches.boxes(len(strong))
    view = torch.where(boxes, strong.roll(1, 0), strong)
    target = torch.where(boxes, target.roll(1, 0), target)
    return [*losses, 10 * torch.mean((F.softmax(networks.student(view), dim=1) - target) ** 2)]


def copy_paste(networks: Any, batches: PlainBatches, n_classes: int) -> list[Tensor]:
    student = networks.student
    images, labels = batches.labelled(paste=False)
    clean, strong = batches.unlabelled()
    with torch.no_grad():
        pseudo = largest_parts(networks.teacher(clean).argmax(dim=1), n_classes)
    keep = ~torch.from_numpy(box_of_ones(batches.patch, (2 / 3, 2 / 3), batches.random))
    keep = keep.to(images.device)
    inside = keep.float().expand(pseudo.shape)
    inward = student(torch.where(keep, images, strong.roll(1, 0)))
    outward = student(torch.where(keep, strong.roll(1, 0), images.roll(1, 0)))
    first, second = pseudo.roll(1, 0), labels.roll(1, 0)
    known = segmentation_loss(inward, labels, inside)
    known = known + segmentation_loss(outward, second, 1 - inside)
    guessed = segmentation_loss(inward, first, 1 - inside)
    return [known, 0.5 * (guessed + segmentation_loss(outward, first, inside))]


def anatomy(networks: Any, batches: PlainBatches, n_classes: int) -> list[Tensor]:
    """The mean teacher, weighted by the distance to what an autoencoder can redraw."""
    losses = supervised(networks, batches, n_classes)
    clean, strong = batches.unlabelled()
    with torch.no_grad():
        target = F.softmax(networks.teacher(clean), dim=1)
        weight = plausibility(networks.autoencoder, target)
    boxes = batches.boxes(len(strong))
    view = torch.where(boxes, strong.roll(1, 0), strong)
    target = torch.where(boxes, target.roll(1, 0), target)
    weight = torch.where(boxes, weight.roll(1, 0), weight)
    errors = (F.softmax(networks.student(view), dim=1) - target) ** 2
    return [*losses, 10 * torch.mean(weight * errors) / torch.mean(weight)]


def plausibility(autoencoder: nn.Module, target: Tensor) -> Tensor:
    """exp(-5 U), U the squared distance of the probabilities to their projection."""
    maps = F.one_hot(target.argmax(dim=1), target.shape[1]).movedim(-1, 1).float()
    distance = torch.zeros_like(target[:, :1])
    projection = torch.sigmoid(autoencoder(maps))
    for index in range(target.shape[1]):
        distance[:, 0] += (projection[:, index] - target[:, index]) ** 2
    return torch.exp(-5 * distance)


def co_training(networks: Any, batches: PlainBatches, n_classes: int) -> list[Tensor]:
    """Every view taught by the others' dropout passes, each pass a forward pass of its own."""
    members = networks.students
    images, labels = batches.labelled()
    shares = F.avg_pool3d(F.one_hot(labels, n_classes).movedim(-1, 1).float(), 2)
    known = [soft_loss(member, images, shares) for member in members]
    clean, strong = batches.unlabelled()
    means, trusts = [], []
    for member in members:
        with torch.no_grad():
            passes = [member.network.passes(turned(clean, member), 1) for _ in range(4)]
        answers = [turned(F.softmax(logits, dim=1), member, -1) for logits in passes]
        mean = sum(answers) / len(answers)
        variance = sum((answer - mean) ** 2 for answer in answers) / len(answers)
        means.append(mean)
        trusts.append(1 / (variance.mean(dim=1, keepdim=True) + 1e-4))
    guessed = []
    for own, member in enumerate(members):
        others = [other for other in range(len(members)) if other != own]
        total = sum(trusts[other] for other in others)
        target = sum(trusts[other] * means[other] for other in others) / total
        guessed.append(soft_loss(member, strong, target))
    return [sum(known), 0.2 * sum(guessed)]


def turned(tensor: Tensor, member: nn.Module, way: int = 1) -> Tensor:
    """A batch with its axes in the member's order, or with `way` -1 back in the scan's."""
    order = member.view[0] if way > 0 else np.argsort(member.view[0]).tolist()
    return tensor.permute(0, 1, *(2 + axis for axis in order)).contiguous()


def soft_loss(member: nn.Module, images: Tensor, target: Tensor) -> Tensor:
    """Half cross-entropy, half Dice against probabilities, class by class."""
    logits = member.network.passes(turned(images, member), 1)
    probabilities, target = F.softmax(logits, dim=1), turned(target, member)
    entropy = -(target * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
    dice = 0.0
    for index in range(logits.shape[1]):
        p, t = probabilities[:, index], target[:, index]
        dice = dice + 1 - (2 * (p * t).sum() + 1e-5) / ((p * p).sum() + (t * t).sum() + 1e-5)
    return 0.5 * (entropy + dice / logits.shape[1])


def filtered(networks: Any, batches: PlainBatches, n_classes: int) -> list[Tensor]:
    """Two networks, a Max- and a Min-filtered version of each scan, each the other's teacher."""
    pair, (known, labels), seen = networks.students, batches.versions("labelled"), None
    for number in range(len(labels)):
        if batches.random.random() < 0.5:
            box = torch.from_numpy(box_of_ones(batches.patch, (0.25, 0.6), batches.random))
            box = box.to(labels.device)
            labels[number] = torch.where(box, labels[number - 1], labels[number])
            for images in known:
                images[number] = torch.where(box, images[number - 1], images[number])
    seen, _ = batches.versions("unlabelled")
    losses = [segmentation_loss(net(x), labels) for net, x in zip(pair, known, strict=True)]
    return [*losses, cross_loss([net(x) for net, x in zip(pair, seen, strict=True)])]


def cross_loss(logits: list[Tensor]) -> Tensor:
    """Cross pseudo supervision."""
    one, other = logits
    return F.cross_entropy(one, other.argmax(dim=1)) + F.cross_entropy(other, one.argmax(dim=1))


LOSSES: Mapping[str, Callable[[Any, PlainBatches, int], list[Tensor]]] = {
    "supervised": supervised,
    "mean_teacher": mean_teacher,
    "bcp": copy_paste,
    "aau": anatomy,
    "umct": co_training,
    "dsaif": filtered,
}
