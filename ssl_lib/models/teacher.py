"""The mean teacher's tools: the moving average of weights, and the ramps."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from ssl_lib.config import warm_decay

__all__ = ["gaussian_ramp", "make_teacher", "update_teacher", "warm_decay"]


def make_teacher(student: nn.Module) -> nn.Module:
    """A copy of the student that never receives gradients.

    It stays in training mode: with a short history its running statistics lag behind its weights,
    and predictions made with them are wrong (Tarvainen & Valpola 2017 average weights only).
    """
    teacher = copy.deepcopy(student)
    teacher.requires_grad_(False)
    return teacher.train()


@torch.no_grad()
def update_teacher(
    teacher: nn.Module, student: nn.Module, decay: float, buffers: bool = False
) -> None:
    """teacher <- decay * teacher + (1 - decay) * student, for parameters in one fused operation.

    `buffers` averages the normalisation statistics as well (only the ACDC code of bidirectional
    copy-paste does); otherwise the teacher keeps its own.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - decay)
    if buffers:
        pairs = zip(teacher.buffers(), student.buffers(), strict=True)
        for mine, theirs in pairs:
            mine.copy_(mine.lerp(theirs, 1 - decay) if mine.is_floating_point() else theirs)


def gaussian_ramp(t: float, length: float) -> float:
    """exp(-5 (1 - min(t, L) / L)^2): 0.0067 at the start, 1 from t = L on (Laine & Aila 2017).

    A length of 0 means no ramp: the weight is 1 from the first iteration.
    """
    if length <= 0:
        return 1.0
    return math.exp(-5 * (1 - min(max(t, 0.0), length) / length) ** 2)
