"""What tests of steps begin with: two networks, one batch, one moment, in 2D and in 3D."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ssl_lib.config import settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.models.ensemble import Networks
from ssl_lib.models.networks import build_network
from ssl_lib.models.teacher import make_teacher
from ssl_lib.training.batches import Batch, TwoStreams, generator_at
from ssl_lib.training.loop import Moment

CPU = torch.device("cpu")


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def scene(request) -> tuple[Networks, Batch, Moment]:
    """Networks, a batch and a moment in the middle of a short training."""
    cohort = phantom_cohort(2, request.param, max_scans=4)
    settings = replace(settings_for("smoke", cohort), patch=(32,) * request.param)
    batch = TwoStreams(
        cohort, patch=settings.patch, labelled=2, unlabelled=2, seed=0, device=CPU
    ).at(0)
    student = build_network(
        "small", dimensions=request.param, n_classes=cohort.n_classes, width=4, seed=1
    )
    teacher = make_teacher(
        build_network(
            "small", dimensions=request.param, n_classes=cohort.n_classes, width=4, seed=2
        )
    )
    moment = Moment(3, 4, generator_at(CPU, "moment"), settings)
    return Networks((student,), teacher), batch, moment
