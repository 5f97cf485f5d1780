"""Studies with several networks, frozen ones, auxiliary of scans, and modules of another kind."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tiny_study import RAN, row, tiny_study, warm_up

from ssl_lib.models.ensemble import Networks
from ssl_lib.training.augmentation import standardise
from ssl_lib.training.loop import StepOutput
from ssl_lib.training.losses import segmentation_loss
from ssl_lib.training.study import weights_hash
from ssl_lib.utils.errors import InputError


def two_networks(networks, batch, moment):
    first, second = networks.students
    images = standardise(batch.images[:, :1])
    losses = [segmentation_loss(net(images), batch.labels) for net in (first, second)]
    return StepOutput({"one": losses[0], "two": losses[1]})


def with_guide(networks, batch, moment):
    loss = segmentation_loss(networks.student(standardise(batch.images)), batch.labels)
    return StepOutput({"supervised": loss + 0 * networks.guide(batch.images).sum()})


def test_members_start_apart_and_the_first_is_the_baselines():
    made = tiny_study()
    alone = made.train(row("alone", warm_up))
    pair = made.train(row("pair", two_networks, networks=2))
    assert list(pair.networks.changing) == ["student", "student_2"]
    assert weights_hash(pair.networks.student) != weights_hash(pair.networks.students[1])
    assert pair.validation[: made.settings.looks] == alone.validation[: made.settings.looks]


def test_each_member_has_its_own_initial_weights():
    made = tiny_study()
    assert len({weights_hash(made.network(member)) for member in range(3)}) == 3
    assert weights_hash(made.network(0)) == weights_hash(tiny_study().network(0))


def test_members_share_stored_warm_ups(tmp_path):
    made = tiny_study(tmp_path)
    RAN.warm_up = 0
    made.train(row("alone", warm_up))
    before = RAN.warm_up
    made.train(row("pair", two_networks, networks=2))
    assert RAN.warm_up - before == made.settings.warm_up  # only the second one's


def test_an_ensemble_is_the_mean_of_its_members_probabilities():
    made = tiny_study()
    pair = made.train(row("pair", two_networks, networks=2))
    case = made.cohort.test[0]
    both = [made.probabilities(net, case) for net in pair.networks.students]
    tested = made.ensemble(pair).networks.student
    found = made.probabilities(tested, case)
    assert torch.allclose(found, (both[0] + both[1]) / 2, atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-3)
    assert made.ensemble(pair).validation == [(14, made.validate(tested))]
    assert made.score(made.ensemble(pair))["iterations"] == 14


def test_a_builder_makes_the_members():
    made = tiny_study()
    seen = []

    def build(study, member):
        seen.append(member)
        return study.network(member + 5)

    made.train(row("pair", two_networks, networks=2, build=build))
    assert seen == [0, 1]


def test_frozen_networks_are_seen_and_never_change(tmp_path):
    made = tiny_study(tmp_path)
    guide = made.network(3).requires_grad_(False).eval()
    before = weights_hash(guide)
    done = made.train(row("guided", with_guide, frozen={"guide": guide}))
    assert weights_hash(guide) == before and "guide" not in done.networks.changing
    runs = len(list(tmp_path.iterdir()))
    other = made.network(4).requires_grad_(False).eval()
    made.train(row("guided", with_guide, frozen={"guide": other}))
    assert len(list(tmp_path.iterdir())) == runs + 1  # another guide is another run


def test_companions_are_cut_where_the_scan_is_cut(tmp_path):
    made = tiny_study(tmp_path)
    training = made.cohort.labelled + made.cohort.unlabelled
    doubles = {case.case_id: np.stack([2 * case.image, -case.image]) for case in training}
    seen = []

    def look(networks, batch, moment):
        seen.append(batch)
        return two_networks(networks, batch, moment)

    made.train(row("look", look, networks=2, auxiliary=doubles))
    for images in (seen[0].images, seen[0].unlabelled):
        assert images.shape[1] == 3
        assert torch.equal(images[:, 1], 2 * images[:, 0])
        assert torch.equal(images[:, 2], -images[:, 0])
    plain = tiny_study().train(row("plain", two_networks, networks=2))
    assert plain.networks.changing.keys() == {"student", "student_2"}


def test_companions_must_be_there_and_fit():
    made = tiny_study()
    training = made.cohort.labelled + made.cohort.unlabelled
    for wrong, words in (
        ({}, "no auxiliary"),
        ({c.case_id: c.image[None, :1] for c in training}, "auxiliary are"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            others = {"x": training[0].image[None], **wrong}
            made.train(row("wrong", two_networks, networks=2, auxiliary=others))
        assert training[0].case_id in str(caught.value)


def size_step(networks, batch, moment):
    RAN.method += 1
    assert len(batch.unlabelled) == 0
    return StepOutput({"size": networks.student(batch.images).square().mean()})


def fresh_convolution() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv2d(1, 1, 3)


def test_any_module_can_be_pretrained_and_is_found_again(tmp_path):
    made = tiny_study(tmp_path)
    RAN.method = 0
    done = made.pretrain("any", size_step, fresh_convolution(), validate=half, iterations=5)
    assert RAN.method == 5 and done.validation[-1] == (5, 0.5)
    again = made.pretrain("any", size_step, fresh_convolution(), validate=half, iterations=5)
    assert RAN.method == 5
    assert weights_hash(again.networks.student) == weights_hash(done.networks.student)
    made.pretrain("any", size_step, fresh_convolution(), iterations=6)
    assert RAN.method == 11


def half(network: torch.nn.Module) -> float:
    return 0.5


class Doubling(torch.nn.Conv2d):
    def forward(self, image):
        return 2 * super().forward(image)


class Halving(torch.nn.Conv2d):
    def forward(self, image):
        return 0.5 * super().forward(image)


def test_a_network_is_known_by_its_weights_and_by_what_it_does_with_them():
    made = []
    for kind in (Doubling, Halving, Doubling):
        torch.manual_seed(0)
        made.append(torch.nn.Sequential(kind(1, 1, 3)))
    first, other, same = map(weights_hash, made)
    assert first == same != other


def test_networks_have_names_and_no_others():
    one, two, guide = (torch.nn.Linear(1, 1) for _ in range(3))
    networks = Networks((one, two), teacher=guide, frozen={"autoencoder": guide})
    assert list(networks.changing) == ["student", "student_2", "teacher"]
    assert list(networks.named) == ["student", "student_2", "teacher", "autoencoder"]
    assert networks.student is one and networks.autoencoder is guide
    with pytest.raises(AttributeError, match="no network 'autoencodr', only student"):
        _ = networks.autoencodr
    assert copy.deepcopy(networks).student is not one
