"""Words for people, the same everywhere."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """A number with its thing, in the plural unless it is one: "1 seed", "3 seeds"."""
    return f"{number} {thing}{'s' * (number != 1)}"
