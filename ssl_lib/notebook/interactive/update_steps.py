"""One update of each method, step by step, in the order in which its code runs.

A step lights boxes and arrows of the method's diagram, says what happens there, and names the lines
that do it. Tests run an update of every method and compare: the lines are those of the code, and
they are reached in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Step:
    """What happens, which parts of the diagram it lights, and the `code` of `where` that does it.

    `lights` names boxes ("teacher"), and chains of boxes with the arrows between them
    ("easy>teacher>pseudo"). In a step `back` the gradient runs against its arrows.
    """

    words: str
    lights: str
    where: str
    code: str
    back: bool = False

    @property
    def boxes(self) -> set[str]:
        """Names of the boxes that are lit."""
        return set(self.lights.replace(">", " ").split())

    @property
    def arrows(self) -> set[tuple[str, str]]:
        """Start and end of each arrow that is lit."""
        return {pair for chain in self.lights.split() for pair in pairwise(chain.split(">"))}


def _gradient(lights: str, words: str) -> Step:
    """The gradient, from all losses back to what learns."""
    code = "torch.stack(list(output.losses.values())).sum().backward()\nself.optimiser.step()"
    return Step(words, lights, "Loop.advance", code, back=True)


_AVERAGE = Step(
    "Only now the teacher changes: of each weight it keeps the share that is the decay, and takes"
    " the rest from the student's new weight. No scan is seen for that.",
    "student>teacher",
    "update_teacher",
    "torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - decay)",
)
_TO_STUDENT = (
    "The sum of both losses goes back to the student's weights, and the optimiser changes them."
    " Nothing goes back to the teacher."
)

_SUPERVISED = (
    Step(
        "Labelled patches (batch, 1, *space) and their labels are moved and changed in appearance;"
        " some receive a box of a neighbour, with its labels.",
        "labelled>strong",
        "supervised_loss",
        """images, labels = strong_augmentation(
    batch.images, batch.labels, moment.generator, flip_axes=moment.settings.flip_axes,
    inner=inner_size(moment.settings),
)""",
    ),
    Step(
        "The student predicts them (batch, class, *space); the supervised loss, half cross-entropy"
        " and half Dice, compares its predictions with the labels.",
        "strong>student>prediction>supervised",
        "supervised_loss",
        "return segmentation_loss(networks.student(images), labels)",
    ),
)
_TEACHER = Step(
    "Unlabelled patches are only moved: the easy view. The teacher, in training mode, gives its"
    " probabilities (batch, class, *space) under no_grad.",
    "unlabelled>easy>teacher",
    "teacher_prediction",
    """with torch.no_grad():
    return images, networks.teacher(standardise(images)).float().softmax(dim=1)""",
)
_FRAME = (*_SUPERVISED, _TEACHER)
_JUDGED = (
    Step(
        "Labelled patches (batch, 1, *space) get the strong augmentation, and the student"
        " predicts them (batch, class, *space): the supervised loss.",
        "labelled>student>prediction>supervised",
        "weighted_step",
        "supervised = segmentation_loss(networks.student(images), labels)",
    ),
    Step(
        "Unlabelled patches are moved. The teacher, in training mode, predicts them clean and"
        " under no_grad: probabilities (batch, class, *space), the pseudo-label.",
        "unlabelled>teacher>pseudo",
        "weighted_step",
        """patches, _ = moved(batch.unlabelled, None, moment)
with torch.no_grad():
    prediction = networks.teacher(standardise(patches)).float().softmax(dim=1)""",
    ),
    Step(
        "The student sees a harder view of the same patches: another appearance, and a box of"
        " a neighbour.",
        "unlabelled>student>prediction",
        "weighted_step",
        """view = random_appearance(patches, generator)
logits = networks.student(paste(view.roll(1, 0), view, boxes))""",
    ),
)
_WEIGHED = """target, weight = (
    paste(clean.roll(1, 0), clean, boxes) for clean in (prediction, maps["clean weight"])
)
consistency = weighted_consistency(logits, target, weight, half=half)"""
_MOVED = """images, labels = moved(batch.images, batch.labels, moment)
clean, _ = moved(batch.unlabelled, None, moment)"""
_PAIR = (
    Step(
        "Each network predicts its labelled version (batch, class, *space), and both learn the"
        " same labels.",
        "one>first>p1>loss1 two>second>p2>loss2",
        "cross_pseudo_step",
        "supervised = [segmentation_loss(net(x), labels) for net, x in zip(pair, known,"
        " strict=True)]",
    ),
    Step(
        "On unlabelled patches each network's likeliest classes (batch, *space) are the labels"
        " of the other one. A class carries no gradient; the weight rises with the ramp.",
        "one>first>p1>loss1 two>second>p2>loss2 p1>loss2 p2>loss1",
        "cross_pseudo_step",
        """cross, classes = cross_pseudo_loss(
    [net(x) for net, x in zip(pair, seen, strict=True)]
)
ramp = weight * gaussian_ramp(reached, full_at * moment.iterations)""",
    ),
    _gradient(
        "first>p1>loss1 second>p2>loss2",
        "The sum of all losses goes back to each network through its own predictions. No"
        " weights are averaged: each network is the other's teacher.",
    ),
)


UPDATES: Mapping[str, Sequence[Step]] = {
    "mean_teacher": (
        Step(
            _SUPERVISED[0].words,
            "labelled>strong",
            "mean_teacher_step",
            """images, labels = augmentation.strong_augmentation(
    batch.images, batch.labels, generator, flip_axes=flips, inner=inner
)""",
        ),
        Step(
            _SUPERVISED[1].words,
            "strong>student>prediction>supervised",
            "mean_teacher_step",
            "supervised = segmentation_loss(networks.student(images), labels)",
        ),
        Step(
            "Unlabelled patches are only moved: the easy view. The teacher, in training mode,"
            " predicts it under no_grad. Its probabilities (batch, class, *space) are the"
            " pseudo-label.",
            "unlabelled>easy>teacher>pseudo",
            "two_views",
            """with torch.no_grad():
    target = teacher(augmentation.standardise(moved)).float().softmax(dim=1)""",
        ),
        Step(
            "For the harder view the moved patches change their appearance and receive a box of a"
            " neighbour. The pseudo-label receives the same box.",
            "unlabelled>harder pseudo",
            "two_views",
            """view = random_appearance(moved, generator)
return paste(view.roll(1, 0), view, boxes), paste(target.roll(1, 0), target, boxes)""",
        ),
        Step(
            "The student predicts the harder view. The consistency is the mean squared difference"
            " of its probabilities from the pseudo-label; its weight rises with the ramp.",
            "harder>student>prediction>consistency pseudo>consistency",
            "mean_teacher_step",
            """consistency = consistency_loss(networks.student(view), target)
weight = settings.consistency_weight * ramp""",
        ),
        _gradient("student>prediction>supervised prediction>consistency", _TO_STUDENT),
        _AVERAGE,
    ),
    "ua_mt": (
        *_JUDGED,
        Step(
            "Eight noisy copies go through the teacher in one batch, each with other dropout, under"
            " no_grad. Their mean μ (batch, class, *space) serves for the uncertainty alone.",
            "teacher>passes",
            "ua_mt_weights",
            "mean = noisy_passes(networks.teacher, images, passes, moment.generator).mean(dim=0)",
        ),
        Step(
            "H (batch, 1, *space) is the entropy of μ. Voxels below the threshold count 1, all"
            " others 0; the threshold rises over training.",
            "passes>gate",
            "ua_mt_weights",
            """uncertainty = entropy(mean)
gate = entropy_gate(moment, prediction.shape[1], ln2)""",
        ),
        Step(
            "Pseudo-label and weights get the boxes of the harder view. The consistency is the"
            " squared difference, averaged over the voxels that count, times the ramp.",
            "gate>consistency pseudo>consistency prediction>consistency",
            "weighted_step",
            _WEIGHED,
        ),
        _gradient("student>prediction>supervised prediction>consistency", _TO_STUDENT),
        _AVERAGE,
    ),
    "dsaif_ablation": (
        Step(
            "Labelled patches with their labels, and unlabelled patches, both (batch, 1, *space),"
            " are moved at random.",
            "labelled unlabelled",
            "cross_pseudo_step",
            _MOVED,
        ),
        Step(
            "Each network sees the labelled patches in an appearance of its own; some receive a box"
            " of a neighbour, with its labels, the same for both.",
            "labelled>one labelled>two",
            "cross_pseudo_step",
            "known = see(images, moment)",
        ),
        Step(
            "The same for unlabelled patches, without boxes.",
            "unlabelled>one unlabelled>two",
            "cross_pseudo_step",
            "seen = see(clean, moment)",
        ),
        *_PAIR,
    ),
    "bcp": (
        Step(
            "Labelled patches with their labels, and unlabelled patches, both (batch, 1, *space),"
            " are moved at random.",
            "labelled unlabelled",
            "bcp_step",
            """images, labels = moved(batch.images, batch.labels, moment)
clean, _ = moved(batch.unlabelled, None, moment)""",
        ),
        Step(
            "The teacher, in training mode, sees the clean unlabelled patches: nothing is pasted"
            " yet. All of pseudo_labels runs under no_grad.",
            "unlabelled>teacher",
            "pseudo_labels",
            "logits = torch.cat([teacher(part) for part in levels(images).chunk(parts)])",
        ),
        Step(
            "Of the teacher's logits (batch, class, *space) the likeliest class of each voxel is"
            " taken, and of each class only the largest component: the pseudo-label"
            " (batch, *space).",
            "teacher>filter>pseudo",
            "pseudo_labels",
            """raw = logits.argmax(dim=1).byte()
return raw, keep_largest_components(raw, logits.shape[1], connectivity)""",
        ),
        Step(
            "Both kinds of patches get a new appearance and exchange one box: M (*space) is the"
            " same for the whole batch. One mixture is labelled outside the box, the other inside.",
            "labelled>box>mixed unlabelled>box",
            "bcp_step",
            """mask = copy_paste_mask(
    images.shape[2:], moment.generator, images.device, **mask_options
)
both = mixtures(labelled, unlabelled, mask, halves)""",
        ),
        Step(
            "The student predicts each mixture (batch, class, *space). Voxels that come from"
            " labelled scans are judged by their true labels.",
            "mixed>student>true labelled>true",
            "mixture_loss",
            "losses = two_region_loss(student(images), kept, pasted, mask, weights, dice)",
        ),
        Step(
            "All other voxels are judged by the pseudo-labels, with the smaller weight α. The same"
            " sum is made over both mixtures.",
            "student>others pseudo>others",
            "mixture_loss",
            """return {"labelled": sum(labelled), "unlabelled": sum(unlabelled)}""",
        ),
        _gradient("student>true student>others", _TO_STUDENT),
        _AVERAGE,
    ),
    "umct": (
        Step(
            "Labelled patches (batch, 1, *space), strongly augmented, are predicted by every view"
            " at half resolution. The target is each class's share of a block of voxels.",
            "labelled>first>supervised",
            "umct_step",
            "labelled = labelled_loss(members, batch, moment, strong_labelled)",
        ),
        Step(
            "Unlabelled patches are moved, no more. This clean version is what the views predict"
            " for each other.",
            "unlabelled",
            "umct_step",
            "patches, _ = moved(batch.unlabelled, None, moment)",
        ),
        Step(
            "Under no_grad each view predicts several times with other dropout. The mean is p"
            " (batch, class, *half), the variance U (batch, 1, *half), both turned back to the"
            " scan.",
            "unlabelled>second>p2 unlabelled>third>p3",
            "umct_step",
            "predicted = [predict(member, clean, passes, batch_statistics) for member in members]",
        ),
        Step(
            "The target of view 1 is the mean of the other views' p, voxel by voxel, with weights"
            " 1 / U: who is unsure counts less.",
            "p2>fused p3>fused",
            "umct_step",
            """trust = [confidence(uncertainty, **weighting) for uncertainty in uncertainties]
targets = [fused_target(means, trust, own, hard) for own in range(len(members))]""",
        ),
        Step(
            "View 1 now sees the patches in another appearance and learns its target, half"
            " cross-entropy and half Dice, times λ. So does every other view with its own.",
            "unlabelled>first>cross fused>cross",
            "umct_step",
            """seen = augmentation.random_appearance(patches, generator) if strong else clean
unlabelled = sum(view_loss(member, seen, target) for member, target in pairs)""",
        ),
        _gradient(
            "first>supervised first>cross",
            "The sum of all views' losses goes back to each view through its own predictions, never"
            " through a target. No weights are averaged: there is no teacher.",
        ),
    ),
    "aau": (
        *_JUDGED,
        Step(
            "The frozen autoencoder redraws the teacher's classes in one pass, under no_grad: p̂"
            " (batch, class, *space) is the plausible neighbour of p.",
            "pseudo>auto",
            "aau_weights",
            "projection = project(networks.autoencoder, prediction, hard=hard)",
        ),
        Step(
            "U (batch, 1, *space) is the squared distance of p̂ from p, summed over the classes. The"
            " further a voxel was moved, the less it counts.",
            "auto>weight",
            "aau_weights",
            "uncertainty = distance(projection, prediction, per_class=per_class)",
        ),
        Step(
            "p and the weights get the boxes of the harder view. The consistency is the squared"
            " difference of the student's probabilities from p, averaged with the weights, times"
            " the ramp.",
            "weight>consistency pseudo>consistency prediction>consistency",
            "weighted_step",
            _WEIGHED,
        ),
        _gradient(
            "student>prediction>supervised prediction>consistency",
            "The sum of both losses goes back to the student's weights, and the optimiser changes"
            " them. Teacher and autoencoder get nothing.",
        ),
        _AVERAGE,
    ),
    "dsaif": (
        Step(
            "Both filtered versions of each scan were made before training. They are further"
            " channels of its patches (batch, 3, *space), and all channels are moved together.",
            "labelled unlabelled",
            "cross_pseudo_step",
            _MOVED,
        ),
        Step(
            "Of each labelled patch one network gets the Max-filtered version, the other one the"
            " Min-filtered; which gets which is drawn, and sometimes both get the scan itself.",
            "labelled>one labelled>two",
            "cross_pseudo_step",
            "known = see(images, moment)",
        ),
        Step(
            "The same for unlabelled patches. Each network sees (batch, 1, *space), in an"
            " appearance of its own.",
            "unlabelled>one unlabelled>two",
            "cross_pseudo_step",
            "seen = see(clean, moment)",
        ),
        *_PAIR,
    ),
    "hard_labels": (
        *_FRAME,
        Step(
            "The likeliest class of each voxel, and of each class only the largest component: a"
            " hard label (batch, *space).",
            "teacher>filter>pseudo",
            "hard_label_step",
            "labels, _ = hard_labels(probabilities, components)",
        ),
        Step(
            "For the harder view the moved patches change their appearance and receive a box of a"
            " neighbour. The hard label receives the same box.",
            "unlabelled>harder pseudo",
            "hard_label_step",
            "view, labels = strong_views(images, [labels], moment.generator)",
        ),
        Step(
            "The student predicts the harder view, and learns the hard label as if it were a true"
            " one. The weight rises with the ramp.",
            "harder>student>prediction>loss pseudo>loss",
            "hard_label_step",
            "unlabelled = segmentation_loss(networks.student(view), labels)",
        ),
        _gradient("student>prediction>supervised prediction>loss", _TO_STUDENT),
        _AVERAGE,
    ),
    "cw_bass": (
        *_FRAME,
        Step(
            "The likeliest class of each voxel is its hard label, the probability of that class its"
            " confidence c, both (batch, *space).",
            "teacher>pseudo",
            "cw_bass_step",
            "labels, confidence = hard_labels(probabilities)",
        ),
        Step(
            "A voxel counts by its confidence, and not at all below T, which rises with the mean"
            " confidence of the batch. Voxels at borders of the hard label are marked.",
            "pseudo>weight",
            "cw_bass_step",
            """trust = confidence**power * (confidence > dynamic_threshold(confidence, scale))
edge = at_border(labels, probabilities.shape[1])""",
        ),
        Step(
            "For the harder view the moved patches change their appearance and receive a box of a"
            " neighbour. Labels, weights and borders receive the same box.",
            "unlabelled>harder pseudo weight",
            "cw_bass_step",
            "view, labels, trust, edge = strong_views(images, [labels, trust, edge],"
            " moment.generator)",
        ),
        Step(
            "The student predicts the harder view. Its loss is weighted voxel by voxel, and"
            " cross-entropy at borders is added once more. All of it times the ramp.",
            "harder>student>prediction>loss weight>loss",
            "cw_bass_step",
            """unlabelled = segmentation_loss(logits, labels, trust)
unlabelled = unlabelled + border * cross_entropy(logits, labels, trust * edge)""",
        ),
        _gradient("student>prediction>supervised prediction>loss", _TO_STUDENT),
        _AVERAGE,
    ),
    "unimatch": (
        *_FRAME,
        Step(
            "The likeliest class of each voxel is its hard label; only voxels of high confidence c"
            " count, all others not at all.",
            "teacher>pseudo",
            "unimatch_step",
            """labels, confidence = hard_labels(probabilities)
trust = (confidence >= threshold).float()""",
        ),
        Step(
            "Every moved patch becomes two harder views, each with an appearance and a box of its"
            " own. The hard labels receive the same boxes.",
            "unlabelled>harder pseudo",
            "unimatch_step",
            "view, labels_there, trust_there = strong_views(images, [labels, trust],"
            " moment.generator, views)",
        ),
        Step(
            "The student predicts both harder views in one batch and learns the hard labels where"
            " they count.",
            "harder>student>prediction>loss pseudo>loss",
            "unimatch_step",
            "unlabelled = segmentation_loss(networks.student(view), labels_there, trust_there)",
        ),
        Step(
            "The student sees the easy view, too, while each level of its encoder loses channels at"
            " random. The mean of both losses counts, times the ramp.",
            "easy>student>dropped>loss pseudo>loss",
            "unimatch_step",
            """with perturbed_features(networks.student, moment.generator):
    logits = networks.student(standardise(images))
unlabelled = 0.5 * (unlabelled + segmentation_loss(logits, labels, trust))""",
        ),
        _gradient(
            "student>prediction>supervised prediction>loss student>dropped>loss", _TO_STUDENT
        ),
        _AVERAGE,
    ),
    "tracoco": (
        *_FRAME,
        Step(
            "The likeliest class of each voxel is its hard label; it counts by its confidence c,"
            " and not at all where c is low.",
            "teacher>pseudo",
            "tracoco_step",
            """labels, confidence = hard_labels(probabilities)
trust = confidence * (confidence >= confident)""",
        ),
        Step(
            "The moved patches change their appearance and receive a box of a neighbour, labels"
            " and weights as well. Of this harder view two crops are drawn.",
            "unlabelled>harder pseudo",
            "tracoco_step",
            """view, labels, trust = strong_views(images, [labels, trust], generator)
places = [random_places(space, size, generator, view.device) for _ in range(2)]""",
        ),
        Step(
            "The student predicts crop A and crop B. Each learns the hard labels of its own place,"
            " weighted by confidence.",
            "harder>student>prediction>loss pseudo>loss",
            "tracoco_step",
            """logits = [networks.student(crop(view, place)) for place in places]
agree = [segmentation_loss(one, crop(labels, place), crop(trust, place))
         for one, place in zip(logits, places, strict=True)]""",
        ),
        Step(
            "Voxels in both crops were predicted twice. The KL divergence between the two"
            " predictions is added, and a small term against predictions that are too sure. All of"
            " it times the ramp.",
            "prediction>overlap",
            "tracoco_step",
            """translation, entropy = translation_terms(logits, places, space)
unlabelled = unlabelled + alpha * translation + beta * entropy""",
        ),
        _gradient(
            "student>prediction>supervised prediction>overlap prediction>loss",
            "The sum of all losses goes back to the student's weights, and the optimiser changes"
            " them. Nothing goes back to the teacher.",
        ),
        _AVERAGE,
    ),
    "adawac": (
        *_FRAME,
        Step(
            "Each voxel gets two targets: its likeliest class as a hard label (batch, *space), and"
            " all probabilities (batch, class, *space).",
            "teacher>pseudo",
            "adawac_step",
            "labels, _ = hard_labels(probabilities)",
        ),
        Step(
            "For the harder view the moved patches change their appearance and receive a box of a"
            " neighbour. Both targets receive the same box.",
            "unlabelled>harder pseudo",
            "adawac_step",
            "view, labels, target = strong_views(images, [labels, probabilities],"
            " moment.generator)",
        ),
        Step(
            "The student predicts the harder view. Each patch gets two numbers (batch,): ℓ, its"
            " cross-entropy with the hard label, and d, its distance from the probabilities.",
            "harder>student>prediction pseudo",
            "adawac_step",
            """logs = networks.student(view).float().log_softmax(dim=1)
label_loss = functional.nll_loss(logs, labels.long(), reduction="none").mean(axes)
distance = strength * (logs.exp() - target).square().sum(dim=1).mean(axes)""",
        ),
        Step(
            "The weight w (batch,) of a patch is the sigmoid of the scaled difference ℓ − d. It is"
            " detached: no gradient runs through a weight.",
            "pseudo>weight",
            "adawac_step",
            "share = adaptive_weights(label_loss, distance, rate)",
        ),
        Step(
            "Each patch divides its loss by its weight, and the Dice with the hard labels is"
            " averaged with that. All of it times the ramp.",
            "prediction>loss weight>loss",
            "adawac_step",
            """divided = share * label_loss + (1 - share) * distance
unlabelled = 0.5 * overlap + 0.5 * divided.mean()""",
        ),
        _gradient("student>prediction>supervised prediction>loss", _TO_STUDENT),
        _AVERAGE,
    ),
}
"""The steps of one update by the name of the method, last the gradient and, where a teacher is an
average, the average."""
