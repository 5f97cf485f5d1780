"""The steps of the diagrams tell the truth: an update of each method runs through them in order."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from types import FrameType, ModuleType

import pytest
import torch
from tiny_study import tiny_study
from torch import nn

from ssl_lib.methods import METHODS
from ssl_lib.models import teacher
from ssl_lib.models.teacher import make_teacher
from ssl_lib.notebook.interactive.update_steps import UPDATES, Step
from ssl_lib.training.loop import Loop

ADVANCE = Loop.advance
Line = tuple[str, int]


def function_of(step: Step, module: ModuleType) -> Callable:
    known = {"Loop.advance": ADVANCE, "update_teacher": teacher.update_teacher}
    return inspect.unwrap(known.get(step.where) or getattr(module, step.where))


def module_of(method: str) -> ModuleType:
    made = METHODS[method].step
    return inspect.getmodule(made.func if isinstance(made, partial) else made)


def places(step: Step, module: ModuleType) -> list[tuple[int, int]]:
    """First and last line, in its file, of each statement that a step names."""
    lines, first = inspect.getsourcelines(function_of(step, module))
    tree = ast.parse(textwrap.dedent("".join(lines)))
    stands = {ast.dump(node): node for node in ast.walk(tree) if isinstance(node, ast.stmt)}
    named = ast.parse(step.code).body
    missing = [ast.unparse(node) for node in named if ast.dump(node) not in stands]
    assert not missing, f"not in {step.where}: {missing}"
    found = [stands[ast.dump(node)] for node in named]
    return [(first + node.lineno - 1, first + node.end_lineno - 1) for node in found]


def lines_of_one_update(method: str, patch: pytest.MonkeyPatch) -> list[Line]:
    """Function and line of all that runs in the last update of a small training."""
    ran: list[Line] = []

    def follow(frame: FrameType, event: str, _: object) -> Callable | None:
        if "ssl_lib" not in frame.f_code.co_filename:
            return None
        if event == "line":
            ran.append((frame.f_code.co_qualname, frame.f_lineno))
        return follow

    def followed(loop: Loop) -> None:
        ran.clear()
        before = sys.gettrace()
        sys.settrace(follow)
        try:
            ADVANCE(loop)
        finally:
            sys.settrace(before)

    patch.setattr(Loop, "advance", followed)
    tiny_study(warm_up=1).train(METHODS[method])
    return ran


@pytest.mark.parametrize("method", UPDATES)
def test_an_update_runs_the_named_lines_in_the_order_of_the_steps(method, monkeypatch) -> None:
    ran, module, reached = lines_of_one_update(method, monkeypatch), module_of(method), []
    for number, step in enumerate(UPDATES[method], start=1):
        for low, high in places(step, module):
            when = [at for at, (name, line) in enumerate(ran)
                    if name == step.where and low <= line <= high]  # fmt: skip
            assert when, f"step {number} names a line that does not run: {step.code}"
            reached.append(when[0])
    assert reached == sorted(reached)


TEACHERS = [name for name in UPDATES if METHODS[name].teacher]


@pytest.mark.parametrize("method", TEACHERS)
def test_teachers_predict_in_training_mode_and_without_gradient(method, monkeypatch) -> None:
    heard = []

    def watched(student: nn.Module) -> nn.Module:
        made = make_teacher(student)
        made.register_forward_pre_hook(
            lambda network, _: heard.append((network.training, torch.is_grad_enabled()))
        )
        return made

    monkeypatch.setattr("ssl_lib.training.study.make_teacher", watched)
    monkeypatch.setattr(Loop, "look", lambda _: None)
    tiny_study(warm_up=1).train(METHODS[method])
    assert heard and set(heard) == {(True, False)}
