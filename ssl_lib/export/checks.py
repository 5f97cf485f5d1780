"""Is the description of an exported network one that its file can be used by?

A checksum shows that a file is whole, not that whoever wrote it meant well: every value that is
used later is looked at here, before anything is built from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ssl_lib.utils.errors import InputError, is_text

MOST_VALUES = 256
"""Values that a label map of bytes can hold."""

MOST_CHANNELS = 64

Check = Callable[[Any], bool]


def checked_description(text: str, path: Path) -> Mapping[str, Any]:
    """The description in a file of exported weights.

    Raises `InputError` that names the file and what it lacks.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = {}
    config = config if isinstance(config, dict) else {}
    wrong = [name for name, check in CHECKS.items() if not check(_at(config, name))]
    if not wrong:
        names, values, sizes = config["class_names"], config["values"], _sizes(config["network"])
        dimensions = 3 if config["geometry"]["axis"] is None else 2
        channels = config.get("channels", ["image"])
        if len(values) != len(names):
            wrong = ["value for each class"]
        elif len(config["inference"].get("spacing") or range(dimensions)) != dimensions:
            wrong = ["inference.spacing"]
        elif not _classes_known(config.get("post_processing", {}), len(names)):
            wrong = ["post_processing"]
        elif any(size != (dimensions, len(names), len(channels)) for size in sizes):
            wrong = ["network for its channels, classes and geometry"]
    if wrong:
        raise InputError(
            f"its description has no usable {', '.join(wrong)}",
            where=path,
            fix="export the network anew with this version of the code",
        )
    return config


def is_whole(value: Any, least: int = 0, most: int = 10**6) -> bool:
    """A whole number in that range, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _at(config: Mapping[str, Any], name: str) -> Any:
    """The value of "geometry.axis", for example; a missing one is `Ellipsis`."""
    found: Any = config
    for key in name.split("."):
        found = found.get(key, ...) if isinstance(found, dict) else ...
    return found


def _sizes(network: Mapping[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Dimensions, classes and channels of each member."""
    members = network.get("members", [network])
    return [
        (one.get("dimensions"), one.get("n_classes"), one.get("channels", 1)) for one in members
    ]


def _text(value: Any) -> bool:
    return isinstance(value, str) and is_text(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _wholes(least: int, most: int, *lengths: int) -> Check:
    """A list of whole numbers in that range, of one of those lengths if any is given."""
    return lambda value: (
        isinstance(value, list)
        and (not lengths or len(value) in lengths)
        and all(is_whole(one, least, most) for one in value)
    )


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        for one in value
    )


def _spacing(value: Any) -> bool:
    return _numbers(value) and len(value) in (2, 3) and min(value) > 0


def _network(value: Any) -> bool:
    """A network, or a list of those under "members"."""
    members = value.get("members", [value]) if isinstance(value, dict) else []
    return (
        isinstance(members, list)
        and bool(members)
        and all(isinstance(one, dict) and is_whole(one.get("width"), 1) for one in members)
    )


def _post_processing(value: Any) -> bool:
    """A mapping that lists classes, each once."""
    classes: Any = value.get("largest_component") if isinstance(value, dict) else None
    return _wholes(1, MOST_VALUES - 1)(classes) and len(set(classes)) == len(classes)


def _classes_known(post_processing: Mapping[str, Any], n_classes: int) -> bool:
    return all(index < n_classes for index in post_processing.get("largest_component", []))


CHECKS: dict[str, Check] = {
    "row": _text,
    "class_names": lambda value: _texts(value) and 2 <= len(value) <= MOST_VALUES,
    "values": lambda value: (
        _wholes(0, MOST_VALUES - 1)(value) and len(set(value)) == len(value) and value[:1] == [0]
    ),
    "channels": lambda value: value is ... or (_texts(value) and 1 <= len(value) <= MOST_CHANNELS),
    "geometry.axis": _or_none(lambda value: is_whole(value, 0, 2)),
    "geometry.factors": _wholes(1, 1000, 3),
    "inference.window": _or_none(_wholes(1, 10**4, 2, 3)),
    "inference.stride": _or_none(_wholes(1, 10**4, 2, 3)),
    "inference.standardise": lambda value: isinstance(value, bool),
    "inference.spacing": lambda value: value is ... or _or_none(_spacing)(value),
    "network": _network,
    "training.spacing": lambda value: _numbers(value) and len(value) == 3 and min(value) > 0,
    "training.orientations": _texts,
    "training.grey": lambda value: _numbers(value) and len(value) == 2,
    "training.darkest": lambda value: value is ... or (_numbers(value) and len(value) == 2),
    "training.brightest": lambda value: value is ... or (_numbers(value) and len(value) == 2),
    "training.shape": lambda value: value is ... or _spacing(value),
    "scores": lambda value: isinstance(value, dict),
    "post_processing": lambda value: value is ... or _post_processing(value),
}
"""What must be in a description, and whether it is usable."""
