"""What a run's name is made of, so that two trainings share a name only if they end alike.

A step is known by its text, by the text of every notebook function that it uses, however it got
hold of it (a global, a default, a closure, a partial's argument), and by the values of constants.
The library's part is known by the text of the modules that decide a training's outcome.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import nn

from ssl_lib.utils.errors import InputError

CODE_THAT_DECIDES = (
    "inference",
    "models/ensemble",
    "models/networks",
    "models/teacher",
    "training/augmentation",
    "training/batches",
    "training/loop",
    "training/losses",
    "training/study",
)
"""Modules whose text enters the name of a run: change one, and runs are trained anew."""

Named = tuple[str, Any]


@lru_cache(maxsize=1)
def code_hash() -> str:
    """sha256 over the text of the modules that decide a training's outcome."""
    here = Path(__file__).parents[1]
    texts = [(here / f"{name}.py").read_bytes() for name in CODE_THAT_DECIDES]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def weights_hash(network: nn.Module) -> str:
    """sha256 over all weights and buffers, and over the text of classes that a notebook defines:
    two trainings ended alike if and only if it agrees."""
    kinds = {type(module) for module in network.modules()}
    own = [kind for kind in kinds if kind.__module__.split(".")[0] not in ("torch", "ssl_lib")]
    texts = sorted(text for kind in own for text in _texts(kind.__qualname__, kind))
    digest = hashlib.sha256("\n".join(texts).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def arrays_hash(arrays: Mapping[str, np.ndarray] | None) -> str:
    """sha256 over named arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name, array in sorted((arrays or {}).items()):
        digest.update(repr((name, array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def step_source(step: Callable) -> list[str]:
    """The texts and constants that a step is made of, sorted.

    The same in a notebook and in a module loaded from it, so that both find the same runs. Raises
    `InputError` for a step that is neither a function nor a `functools.partial` of one.
    """
    function = step.func if isinstance(step, partial) else step
    if not isinstance(function, FunctionType):
        raise InputError(
            f"the step is a {type(function).__name__}", expected="a function, or a partial of one"
        )
    return _texts("step", step)


def _texts(name: str, first: Callable) -> list[str]:
    """The texts and constants behind a function, a partial or a class, sorted."""
    home = (first.func if isinstance(first, partial) else first).__module__
    found: set[str] = set()
    waiting: list[Named] = [(name, first)]
    while waiting:
        name, value = waiting.pop()
        text, parts = _described(name, value, home)
        if text and f"{name}: {text}" not in found:
            found.add(f"{name}: {text}")
            waiting += parts
    return sorted(found)


def _described(name: str, value: Any, home: str) -> tuple[str, list[Named]]:
    """A value in words ("" if it decides nothing) and the named values that it refers to."""
    if isinstance(value, partial):
        arguments = list(enumerate(value.args)) + list(value.keywords.items())
        return "partial", [(name, value.func), *((f"{name} {k}", v) for k, v in arguments)]
    if isinstance(value, ModuleType):
        return getattr(value, "__method_source__", ""), []
    if isinstance(value, bool | int | float | str | bytes | None):
        return repr(value), []
    if isinstance(value, tuple | list):
        return f"{len(value)} items", [(f"{name} {i}", item) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return f"keys {list(value)}", [(f"{name} {k}", item) for k, item in value.items()]
    if not isinstance(value, FunctionType | type):
        return "", []
    value = inspect.unwrap(value)
    if value.__module__ != home and not _from_notebook(value.__module__):
        return f"{value.__module__}.{value.__qualname__}", []
    if isinstance(value, type):
        own = {k: v for k, v in vars(value).items() if callable(v) or not k.startswith("__")}
        return f"class {value.__qualname__}", list(own.items())
    return _text(value), _used(value)


def _from_notebook(module: str) -> bool:
    return hasattr(sys.modules.get(module), "__method_source__")


def _text(function: FunctionType) -> str:
    """The source of a function; of one that was generated, only its name."""
    try:
        return inspect.getsource(function)
    except OSError:
        return function.__qualname__


def _used(function: FunctionType) -> list[Named]:
    """Globals, defaults and closure of a function, by name."""
    names = sorted(_global_names(function.__code__) & function.__globals__.keys())
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [
        *((name, function.__globals__[name]) for name in names),
        (f"{function.__qualname__} defaults", function.__defaults__),
        (f"{function.__qualname__} keyword defaults", function.__kwdefaults__),
        *((f"{function.__qualname__} {name}", cell.cell_contents) for name, cell in cells),
    ]


def _global_names(code: CodeType) -> set[str]:
    """All global names that a function's code reads, inner functions included."""
    own = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return own.union(*map(_global_names, inner))
