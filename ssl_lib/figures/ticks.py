"""Where an axis of scores has its numbers, and with how many digits, also where all are alike."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

FEWEST = 3
"""Fewer numbers do not tell what lies between them."""

USUAL_DIGITS = 2
"""Numbers with more digits than these take so much room that four of them are the most."""


def round_ticks(low: float, high: float, most: int = 6) -> tuple[list[float], int]:
    """Round numbers around all values from `low` to `high`, at most `most`, and the digits after
    the point that tell them apart; at most four where that takes more than two digits. One value
    alone lies amid a hundredth."""
    if low == high:
        low, high = low - 0.005, high + 0.005
    for count in (most, 4):
        ticks = MaxNLocator(count - 1, steps=[1, 2, 5, 10]).tick_values(low, high)
        step = float(ticks[1] - ticks[0])
        digits = next((d for d in range(12) if abs(round(step, d) - step) < 1e-6 * step), 12)
        if digits <= USUAL_DIGITS:
            break
    return [round(float(tick), digits) + 0.0 for tick in ticks], digits


def set_round_ticks(ax: Axes) -> None:
    """Give the horizontal axis the ticks of `round_ticks` that lie within its limits, at least
    three."""
    low, high = ax.get_xlim()
    for most in (6, 9):
        ticks, digits = round_ticks(low, high, most)
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) >= FEWEST:
            break
    ax.set_xticks(inside, [f"{tick:.{digits}f}".replace("-", "−") for tick in inside])
    ax.set_xlim(low, high)
