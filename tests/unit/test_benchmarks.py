"""Benchmarks compare the same mathematics, and run in miniature."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssl_lib import methods
from ssl_lib.training import losses

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def plain():
    sys.path.insert(0, str(FOLDER))
    import plain

    yield plain
    sys.path.remove(str(FOLDER))


def test_the_page_on_speed_shows_what_is_stored():
    sys.path.insert(0, str(FOLDER))
    try:
        from summary import TABLES
    finally:
        sys.path.remove(str(FOLDER))
    page = (FOLDER.parent / "docs" / "speed.md").read_text(encoding="utf-8")
    assert all(written() in page for written in TABLES.values())


def scene(classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((4, classes, 10, 9, 8), generator=generator)
    return logits, torch.randint(0, classes, (4, 10, 9, 8), generator=generator)


@pytest.mark.parametrize("masked", [False, True])
def test_the_plain_loss_is_ours(plain, masked):
    logits, labels = scene()
    mask = (labels != 1).float() if masked else None
    expected = losses.segmentation_loss(logits, labels, mask)
    torch.testing.assert_close(plain.segmentation_loss(logits, labels, mask), expected)


def test_the_plain_component_filter_is_that_of_the_notebook(plain):
    _, labels = scene()
    method = methods.bcp
    expected = method.keep_largest_components(labels, 3)
    assert torch.equal(plain.largest_parts(labels, 3), expected)


def test_plain_bcp_mixes_and_weighs_as_the_notebook(plain):
    """Both get the same images, guesses and box; every pixel answers alone, so losses compare."""
    generator = torch.Generator().manual_seed(1)
    images, clean, strong = torch.randn((3, 4, 1, 8, 8, 8), generator=generator)
    labels = torch.randint(0, 2, (4, 8, 8, 8), generator=generator)

    def network(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, -x], dim=1)

    keep = np.ones((8, 8, 8), dtype=bool)
    keep[:5, 1:6, 2:7] = False
    batches = SimpleNamespace(
        labelled=lambda paste: (images, labels),
        unlabelled=lambda: (clean, strong),
        patch=(8, 8, 8),
        random=None,
    )
    method = methods.bcp
    guess = method.keep_largest_components(network(clean).argmax(dim=1), 2)
    pairs = method.mixtures((images, labels), (strong, guess), torch.from_numpy(keep))
    expected = method.mixture_loss(network, pairs, torch.from_numpy(keep).float(), 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "box_of_ones", lambda *_: ~keep)
        networks = SimpleNamespace(student=network, teacher=network)
        labelled, unlabelled = plain.copy_paste(networks, batches, 2)
    torch.testing.assert_close(labelled, expected["labelled"])
    torch.testing.assert_close(unlabelled, expected["unlabelled"])


def test_the_plain_weight_is_that_of_the_notebook(plain):
    logits, _ = scene()
    method, target = methods.aau, logits.softmax(dim=1)

    def autoencoder(maps: torch.Tensor) -> torch.Tensor:
        return 3 * maps.roll(1, dims=2) - 1

    uncertainty = method.distance(method.project(autoencoder, target), target)
    expected = method.trust(uncertainty, 5.0)
    torch.testing.assert_close(plain.plausibility(autoencoder, target), expected)


class Pointwise:
    """A member of UMCT that answers voxel by voxel, at half resolution, without dropout."""

    def __init__(self, view, scale: float) -> None:
        self.view, self.scale, self.network = view, scale, self

    def passes(self, image: torch.Tensor, count: int) -> torch.Tensor:
        half = torch.nn.functional.avg_pool3d(image, 2)
        return torch.cat([torch.cat([half, self.scale * half], dim=1)] * count)


def test_plain_co_training_is_that_of_the_notebook(plain):
    generator = torch.Generator().manual_seed(2)
    images, clean, strong = torch.randn((3, 2, 1, 8, 8, 8), generator=generator)
    labels = torch.randint(0, 2, (2, 8, 8, 8), generator=generator)
    method = methods.umct
    views = zip(method.views_of(3, 3), (-1.0, -0.5, 2.0), strict=True)
    members = [Pointwise(view, scale) for view, scale in views]
    batches = SimpleNamespace(labelled=lambda: (images, labels), unlabelled=lambda: (clean, strong))
    known, guessed = plain.co_training(SimpleNamespace(students=members), batches, 2)
    shares = method.label_shares(labels, 2)
    torch.testing.assert_close(known, sum(method.view_loss(m, images, shares) for m in members))
    opinions = [member.passes(method.look(clean, member.view), 1) for member in members]
    pairs = zip(opinions, members, strict=True)
    means = [method.look_back(one.softmax(dim=1), m.view) for one, m in pairs]
    trust = [method.confidence(torch.zeros_like(mean[:, :1])) for mean in means]
    targets = [method.fused_target(means, trust, own) for own in range(3)]
    losses = [method.view_loss(m, strong, t) for m, t in zip(members, targets, strict=True)]
    torch.testing.assert_close(guessed, 0.2 * sum(losses))


def test_the_plain_cross_loss_is_that_of_the_notebook(plain):
    pair = torch.randn((2, 4, 3, 6, 6, 6), generator=torch.Generator().manual_seed(3))
    expected, _ = methods.classic.cross_pseudo_loss(list(pair))
    torch.testing.assert_close(plain.cross_loss(list(pair)), expected)


def test_plain_augmentation_moves_image_and_label_together(plain):
    image = np.zeros((16, 16, 16), np.float32)
    image[4:12, 4:12, 4:12] = 1
    moved, label = plain.moved(image, (image > 0).astype(np.uint8), np.random.default_rng(0))
    assert ((moved > 0.5) == (label > 0)).mean() > 0.98 and not np.array_equal(moved, image)


long = pytest.mark.long
"""Of the benchmarks that take minutes. The short ones always run, and show when a benchmark no
longer fits the library."""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("training_step.py", "--repeats", "1", "--cases", "small"), id="small"),
        pytest.param(
            ("training_step.py", "--repeats", "1", "--cases", "vnet"), id="vnet", marks=long
        ),
        pytest.param(("scoring.py", "--repeats", "1"), id="scoring", marks=long),
    ],
)
def test_benchmarks_run_in_miniature(command):
    name, *options = command
    done = subprocess.run(
        [sys.executable, str(FOLDER / name), "--tiny", *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "times ours" in done.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(("growth.py", "--repeats", "1", "--tiny"), "ns a voxel", id="growth"),
        pytest.param(
            ("notebooks.py", "--profile", "smoke", "--notebooks", "00", "05"),
            "05_comparison",
            id="notebooks",
            marks=long,
        ),
    ],
)
def test_measurements_run_in_miniature(command, said):
    name, *options = command
    done = subprocess.run(
        [sys.executable, str(FOLDER / name), *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert said in done.stdout


@pytest.mark.parametrize("file", sorted((FOLDER / "results").glob("*.json")), ids=lambda f: f.stem)
def test_stored_results_say_where_they_come_from(file):
    assert {"device", "versions"} <= json.loads(file.read_text()).keys()
