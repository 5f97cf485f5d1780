"""What a run is found again by, so that two trainings share a key only if they end alike.

A step of the library is known by its name, its parameters and `RECIPE_VERSION`: moving a line or
renaming a module must not cost hours of training. A test trains every method for some iterations
and compares its losses with stored ones; whoever changes them raises the version. A step that
somebody wrote or edited in a notebook is known by its text, and by the text and the values of
everything of that notebook that it uses.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import nn

from ssl_lib.training.method import Method, parameters_of, plain
from ssl_lib.utils.errors import InputError

RECIPE_VERSION = 1
"""Raised whenever a change makes a training of the library end differently."""

METHODS_PACKAGE = "ssl_lib.methods."

Named = tuple[str, Any]


def step_identity(step: Callable) -> dict[str, Any]:
    """Name, parameters and version of a library's step; name, parameters and text of any other.

    Raises `InputError` for a step that is neither a function nor a `functools.partial` of one.
    """
    function, config = step, dict[str, Any]()
    while isinstance(function, partial):
        config = {**function.keywords, **config}
        function = function.func
    texts, name = step_source(function), getattr(function, "__name__", "")
    config = plain_config({**parameters_of(function), **config})
    if _is_the_librarys(name, texts):
        return {"step": name, "config": config, "recipe": RECIPE_VERSION}
    return {"step": name, "config": config, "text": _digest(texts)}


def other_texts(method: Method) -> dict[str, dict[str, str]]:
    """The hashes of the texts of those functions that are not the library's own, by their part.

    They stand in the row's result, as `edited` for a method of the library, whose row is then
    another one in another file, and as `own` for a method that is defined elsewhere.
    """
    steps = {"step": method.step, "warm_up": method.warm_up, "prepare": method.prepare}
    texts = {part: step_identity(step).get("text") for part, step in steps.items() if step}
    found = {part: text[:16] for part, text in texts.items() if text}
    return {"edited" if method.registered == method.name else "own": found} if found else {}


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by name, functions among them by their own names."""
    return {name: plain(value) for name, value in sorted(config.items())}


def changed_fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that differ from their defaults: a new field changes no key."""
    values = {one: getattr(record, one.name) for one in fields(record)}
    return {
        one.name: changed_fields(value) if is_dataclass(value) else plain(value)
        for one, value in values.items()
        if one.default is MISSING or value != one.default
    }


def _is_the_librarys(name: str, texts: list[str]) -> bool:
    """Whether a function or class of `ssl_lib.methods` has this name and these very texts."""
    modules = [m for key, m in sys.modules.items() if key.startswith(METHODS_PACKAGE)]
    known = [getattr(module, name) for module in modules if hasattr(module, name)]
    return any(_texts("step", original) == texts for original in known)


def library_twin(function: Callable) -> Callable:
    """The function of `ssl_lib.methods` with this name and these very texts, which another process
    can import; the function itself where there is none."""
    name, texts = function.__name__, step_source(function)
    for key, module in list(sys.modules.items()):
        original = getattr(module, name, None) if key.startswith(METHODS_PACKAGE) else None
        if original is not None and _texts("step", original) == texts:
            return original
    return function


def weights_hash(network: nn.Module) -> str:
    """sha256 over all weights and buffers, and over the text of classes that a notebook defines:
    two trainings ended alike if and only if it agrees."""
    kinds = {type(module) for module in network.modules()}
    own = [kind for kind in kinds if kind.__module__.split(".")[0] not in ("torch", "ssl_lib")]
    edited = [kind for kind in own if not _is_the_librarys(kind.__name__, _texts("step", kind))]
    texts = sorted(text for kind in edited for text in _texts(kind.__qualname__, kind))
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


def _described(name: str, value: Any, home: str | None) -> tuple[str, list[Named]]:
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
    """Whether a module holds a notebook's cells: generated, loaded, or the notebook itself."""
    return module.startswith(METHODS_PACKAGE) or hasattr(
        sys.modules.get(module), "__method_source__"
    )


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
