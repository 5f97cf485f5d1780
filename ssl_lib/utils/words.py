"""Words for people, the same everywhere."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """A number with its thing, in the plural unless it is one: "1 seed", "3 seeds"."""
    return f"{number} {thing}{'s' * (number != 1)}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign; one that is zero at these digits has none."""
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text[1:] if float(f"{value:.{digits}f}") == 0 else text


def of_unit(unit: str) -> str:
    """A unit behind numbers and in heads of tables: "voxels"; others, such as mm, as they are."""
    return "voxels" if unit == "voxel" else unit


def percent(share: float, digits: int = 0) -> str:
    """A share in %, which no line break parts from its sign: 0.479 is "48 %"."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"
