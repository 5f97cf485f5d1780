"""The networks of one training: what they are called, and how several students answer as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Networks:
    """The networks of one training, as its step sees them.

    `students` are trained; the `teacher`, where there is one, is the moving average of the first
    of them. `frozen` networks never change, and a step reads them by name: `networks.autoencoder`.
    """

    students: tuple[nn.Module, ...] = ()
    teacher: nn.Module | None = None
    frozen: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def student(self) -> nn.Module:
        """The first student: the network that is validated and tested."""
        return self.students[0]

    @property
    def changing(self) -> dict[str, nn.Module]:
        """What training changes and a checkpoint holds: student, student_2, ..., and teacher."""
        named = {
            f"student_{number}" if number > 1 else "student": student
            for number, student in enumerate(self.students, start=1)
        }
        return named if self.teacher is None else {**named, "teacher": self.teacher}

    @property
    def named(self) -> dict[str, nn.Module]:
        """All networks by name."""
        return {**self.changing, **self.frozen}

    def __getattr__(self, name: str) -> nn.Module:
        """A frozen network. Raises `AttributeError` for a name that there is not."""
        frozen = self.__dict__.get("frozen", {})
        if name in frozen:
            return frozen[name]
        known = ", ".join(["student", "students", "teacher", *frozen])
        raise AttributeError(f"there is no network {name!r}, only {known}")


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
