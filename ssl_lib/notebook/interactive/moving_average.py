"""The teacher's weight as an exponential moving average, for the decay that the reader sets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ssl_lib.config import Schedule
from ssl_lib.figures.style import ORANGE, SKY
from ssl_lib.figures.training import ema_toy
from ssl_lib.notebook.interactive.page import show_interactive
from ssl_lib.utils.errors import InputError

TREND, TEACHER = SKY, ORANGE


def moving_average(
    student: Float[np.ndarray, " step"],
    trend: Float[np.ndarray, " step"],
    schedule: Schedule,
    *,
    alt: str,
) -> None:
    """Shows one weight of the student, its `trend` without noise, and the teacher's weight.

    Both begin with the weight that the teacher copies before training; entry t is the one after
    update t. The page averages by the rule of training (`Schedule.averaging`, `update_teacher`),
    and starts with the decay of `schedule`, with or without its warm start. Raises `InputError`
    for lengths that differ, or a decay outside 0 to 0.999.
    """
    if student.shape != trend.shape or len(student) < 3:
        raise InputError(
            f"{len(student)} weights of the student, {len(trend)} of its trend",
            expected="as many of one as of the other, 3 at least",
        )
    if not 0 <= schedule.teacher_decay <= 0.999:
        raise InputError(f"a decay of {schedule.teacher_decay}", expected="0 to 0.999")
    decay, rising = schedule.teacher_decay, schedule.teacher_warm_up
    data = {
        "student": student.astype(np.float32),
        "trend": trend.astype(np.float32),
        "decay": decay,
        "rising": rising,
        "colours": [TREND, TEACHER],
    }
    stored = ema_toy(student, {decay: averaged(student, schedule)})
    label = "Moving average of one weight"
    show_interactive("moving_average", data, alt=alt, label=label, stored=stored)


def averaged(student: Float[np.ndarray, " step"], schedule: Schedule) -> Float[np.ndarray, " step"]:
    """The teacher's weight before training (a copy) and after each update."""
    teacher = np.array(student, float)
    for update in range(1, len(student)):
        decay = schedule.averaging(update - 1)
        teacher[update] = decay * teacher[update - 1] + (1 - decay) * student[update]
    return teacher
