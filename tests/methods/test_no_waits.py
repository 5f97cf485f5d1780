"""No step asks a tensor for its value: on a GPU every such question stops the host.

The component filter of bidirectional copy-paste is the one declared wait. What a CPU can show is
that no scalar is read back and no index made from values; `benchmarks/training_step.py` counts the
waits of a real GPU.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ssl_lib.config import settings_for
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.methods import METHODS
from ssl_lib.training.study import Study

WAITING = {"aten._local_scalar_dense.default", "aten.nonzero.default", "aten.is_nonzero.default"}


class Questions(TorchDispatchMode):
    """Collects the operations that make the host wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        if str(operation) in WAITING:
            self.asked.append(str(operation))
        return operation(*arguments, **(options or {}))


@pytest.mark.parametrize("name", [name for name in METHODS if name != "umct_six_views"])
def test_a_step_reads_nothing_back(name, monkeypatch):
    cohort = phantom_cohort(2, max_scans=6)
    settings = replace(settings_for("smoke", cohort), patch=(32, 32), warm_up=1, looks=1)
    study = Study(cohort, settings, "smoke", 0, torch.device("cpu"))
    method, asked = METHODS[name], {}

    def watched(name, step):
        def watching(networks, batch, moment):
            with Questions() as questions:
                output = step(networks, batch, moment)
            asked.setdefault(name, []).extend(questions.asked)
            return output

        return watching

    monkeypatch.setattr(type(study), "validate", lambda *_: 0.0)
    step, warm_up = (
        watched(*pair) for pair in zip(("step", "warm-up"), method.bound(), strict=True)
    )
    study.train(replace(method, step=step, warm_up=warm_up, config={}, warm_up_config={}))
    assert asked == {"step": [], "warm-up": []}


def test_the_watch_sees_a_question():
    with Questions() as questions:
        float(torch.ones(1).sum())
    assert questions.asked == ["aten._local_scalar_dense.default"]
