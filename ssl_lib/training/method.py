"""`Method`: one frozen record of everything that tells one row of a table from another.

A record holds a step, a warm-up, their parameters, and what must be made before training. The
registry of all records is `ssl_lib.methods.METHODS`; every table, list and command is a view of it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import nn

from ssl_lib.training.batches import AuxiliaryChannels
from ssl_lib.training.loop import Step
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    from ssl_lib.training.published import Published
    from ssl_lib.training.study import Study


@dataclass(frozen=True)
class Prepared:
    """What a method needs before its first update.

    `frozen` networks are handed to the step by name and never change. `auxiliary` channels by case
    id follow the first of the step's images. `networks` counts the networks trained side by side,
    and `build(study, number)` makes the one of that number, from 0 (default: `Study.network`).
    """

    frozen: Mapping[str, nn.Module] = field(default_factory=dict)
    auxiliary: AuxiliaryChannels | None = None
    networks: int = 1
    build: Callable[[Study, int], nn.Module] | None = None


WARM_UP = "warm_up."
"""What stands before the name of a parameter of the warm-up."""


@dataclass(frozen=True)
class Method:
    """One row: how it is trained, with which parameters, and how it is called and drawn.

    **Arguments:** `config` holds keyword arguments of `step` (alpha, T, gamma, ...),
    `warm_up_config` those of `warm_up`, `prepare_config` those of `prepare(study, **config)`.
    `networks` is used where `prepare` names no number. `teacher` adds a mean teacher; `all_labels`
    opens every training label. `one_channel` is set where the method is made for scans of a single
    channel. `ablation` is the row that a method is compared with to measure its
    idea. `averaged` says that the row with the mean of all networks' probabilities is scored too,
    as `<name>_ensemble`.
    `published` holds, for each data set with a published protocol, what `PROFILE=paper` changes.
    `registered` is the name of a record of the library: other functions under it are an edit.
    """

    name: str
    step: Step
    warm_up: Step
    config: Mapping[str, Any] = field(default_factory=dict)
    warm_up_config: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[..., Prepared] | None = None
    prepare_config: Mapping[str, Any] = field(default_factory=dict)
    networks: int = 1
    teacher: bool = False
    all_labels: bool = False
    one_channel: bool = False
    title: str = ""
    notebook: str = ""
    ablation: str = ""
    averaged: bool = False
    published: Mapping[str, Published] = field(default_factory=dict)
    registered: str = ""
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """The name of the row: the method's, and every parameter that is not its own, in brackets.

        Rows of another config are other rows: `bcp` and `bcp[alpha=0.3]`.
        """
        changed = ",".join(f"{name}={plain(value)}" for name, value in sorted(self.changes))
        return f"{self.name}[{changed}]" if changed else self.name

    def with_config(self, **config: Any) -> Method:
        """The same method with other parameters of its step, of its warm-up (`warm_up.beta`), or of
        what is prepared before: another row in every table.

        Raises `InputError` for a parameter that the method does not have.
        """
        step = {**parameters_of(self.step), **self.config}
        before = {**parameters_of(self.warm_up), **self.warm_up_config}
        known = {**self._prepared_with(), **step}
        known |= {WARM_UP + name: value for name, value in before.items()}
        for name in config:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise InputError(
                    f"the method {self.name!r} has no parameter {name!r}",
                    expected=f"one of {', '.join(sorted(known)) or '(it has none)'}",
                    fix=f"did you mean {near[0]}?" if near else "",
                )
        changed = {name: value for name, value in config.items() if value != known[name]}
        warm_up = {n.removeprefix(WARM_UP): v for n, v in config.items() if n.startswith(WARM_UP)}
        prepare = {n: v for n, v in config.items() if n not in step and not n.startswith(WARM_UP)}
        return replace(
            self,
            config={**self.config, **{n: v for n, v in config.items() if n in step}},
            warm_up_config={**self.warm_up_config, **warm_up},
            prepare_config={**self.prepare_config, **prepare},
            changes=tuple(sorted({**dict(self.changes), **changed}.items())),
        )

    def _prepared_with(self) -> dict[str, Any]:
        return {**parameters_of(self.prepare), **self.prepare_config} if self.prepare else {}

    def refuse_channels(self, names: Sequence[str]) -> None:
        """Raise `InputError` for scans of several channels if the method takes only one."""
        if self.one_channel and len(names) > 1:
            raise InputError(
                f"the method {self.name!r} takes scans of one channel; these have {len(names)}:"
                f" {', '.join(names)}",
                expected="one channel, or another method",
                fix="leave it out of METHODS, or make a folder with one of the channels",
            )

    def in_our_geometry(self) -> Method:
        """The same method where the paper's protocol is followed with our affine map, strong
        appearance and standardised patches: the row beside the published one."""
        return replace(
            self,
            published={name: one.in_our_geometry() for name, one in self.published.items()},
            changes=tuple(sorted({**dict(self.changes), "geometry": "ours"}.items())),
        )

    def defined_by(self, namespace: Mapping[str, Any]) -> Method:
        """The same method with its functions taken, by name, from a notebook's `globals()`.

        Whoever edits a cell trains the edit. Functions that stand there unchanged lead to the same
        stored training as the library's own (see `ssl_lib.training.run_key`).
        """
        found = {
            part: namespace.get(getattr(self, part).__name__, getattr(self, part))
            for part in ("step", "warm_up", "prepare")
            if getattr(self, part) is not None
        }
        return replace(self, **found)

    def bound(self) -> tuple[Step, Step]:
        """Step and warm-up with their parameters, ready for the training loop."""
        return _bound(self.step, self.config), _bound(self.warm_up, self.warm_up_config)

    def recorded(self) -> dict[str, Any]:
        """Every parameter by name as plain values: those of the config, and the step's defaults."""
        parts = {
            "step": {**parameters_of(self.step), **self.config},
            "warm_up": {**parameters_of(self.warm_up), **self.warm_up_config},
        }
        if self.prepare is not None:
            parts["prepare"] = self._prepared_with()
        return {
            part: {name: plain(value) for name, value in sorted(values.items())}
            for part, values in parts.items()
        }


def parameters_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function that have a default, with their values."""
    if isinstance(function, partial):
        return {**parameters_of(function.func), **function.keywords}
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def plain(value: Any) -> Any:
    """A parameter as JSON holds it: functions by their name, tuples as lists."""
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def _bound(step: Step, config: Mapping[str, Any]) -> Step:
    return partial(step, **config) if config else step
