"""The baselines of notebook 00, taken from the notebook itself."""

from __future__ import annotations

from dataclasses import replace

import torch

from ssl_lib.methods import baselines
from ssl_lib.training.batches import generator_at

CPU = torch.device("cpu")


def gradients(step, networks, batch, moment) -> list[torch.Tensor]:
    """Gradients of the student's weights after one step from the same random state."""
    networks.student.zero_grad()
    torch.manual_seed(0)
    moment = replace(moment, generator=generator_at(CPU, "moment"))
    sum(step(networks, batch, moment).losses.values()).backward()
    return [weight.grad.clone() for weight in networks.student.parameters()]


def test_a_mean_teacher_of_weight_zero_is_the_supervised_step(scene) -> None:
    networks, batch, moment = scene
    silent = replace(moment, settings=replace(moment.settings, consistency_weight=0.0))
    supervised = gradients(baselines.supervised_step, networks, batch, moment)
    without = gradients(baselines.mean_teacher_step, networks, batch, silent)
    with_teacher = gradients(baselines.mean_teacher_step, networks, batch, moment)
    assert all(map(torch.equal, supervised, without))
    assert not all(map(torch.equal, supervised, with_teacher))


def test_the_teacher_receives_no_gradient(scene) -> None:
    networks, batch, moment = scene
    output = baselines.mean_teacher_step(networks, batch, moment)
    assert not output.maps["target"].requires_grad
    sum(output.losses.values()).backward()
    assert all(weight.grad is None for weight in networks.teacher.parameters())


def test_the_two_views_are_voxel_by_voxel_comparable(scene) -> None:
    """A teacher that answers with the grey level itself sees what the student sees."""
    _, batch, moment = scene

    def mirror(images: torch.Tensor) -> torch.Tensor:
        bright = 20 * images.sign()
        return torch.cat([-bright, bright], dim=1)

    view, target = baselines.two_views(batch.unlabelled, mirror, moment.generator)
    bright, dark = view[target[:, 1:] > 0.9], view[target[:, 1:] < 0.1]
    assert target.sum(dim=1).allclose(torch.ones(()))
    assert bright.mean() > dark.mean() + 0.5


def test_disagreement_is_bounded(scene) -> None:
    networks, batch, _ = scene
    logits = networks.student(batch.unlabelled) * 1000
    target = (-logits).softmax(dim=1)
    loss = baselines.consistency_loss(logits, target)
    assert 0 <= loss <= 2 / logits.shape[1]


def test_plain_and_strong_steps_see_the_same_labels(scene) -> None:
    networks, batch, moment = scene
    plain = baselines.supervised_plain_step(networks, batch, moment)
    strong = baselines.supervised_step(networks, batch, moment)
    assert set(plain.losses) == set(strong.losses) == {"supervised"}
    assert set(strong.maps["labels"].unique().tolist()) <= set(batch.labels.unique().tolist())
