"""Methods with several trained networks: what they are called, and how they answer as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Several networks as one: the mean of their probabilities, as its logarithm.

    The softmax of what it returns is that mean, so inference treats it like any network.
    """

    def __init__(self, members: Sequence[nn.Module]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, image: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch class *space"]:
        shares = [member(image).float().softmax(dim=1) for member in self.members]
        return torch.stack(shares).mean(dim=0).clamp_min(1e-12).log()


def student_name(member: int) -> str:
    """What a step calls a member, counted from 0: student, student_2, student_3, ..."""
    return "student" if member == 0 else f"student_{member + 1}"


def students(networks: SimpleNamespace | Mapping[str, nn.Module]) -> list[nn.Module]:
    """The trained members of a method in their order; teachers and frozen networks are left out."""
    named = vars(networks) if isinstance(networks, SimpleNamespace) else networks
    names = [name for name in named if name.split("_")[0] == "student"]
    return [named[student_name(member)] for member in range(len(names))]
