"""A folder of scans at a glance: grey levels and voxel sizes of every scan."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ssl_lib.data.fingerprint import Fingerprint, ScanProperties
from ssl_lib.figures.style import BLUE, INK, ORANGE, QUIET, SKY, VERMILLION, house_style, new_figure

MOST_NAMES = 48
"""More scans than this are drawn without their names, closer together."""
SIZE_MARKS = (("x", "o", BLUE), ("y", "s", ORANGE), ("z", "^", SKY))


@house_style()
def folder_overview(fingerprint: Fingerprint) -> Figure:
    """One line a scan: left its grey levels, right its voxel sizes along x, y and z in mm.

    The thin line runs from the 1st to the 99th percentile, the thick one over the middle half, the
    dot is the median. Scans with a warning are drawn in another colour with a mark beside their
    name. Excluded scans are not shown.
    """
    scans = [fingerprint.properties[name] for name in sorted(fingerprint.properties)]
    named = len(scans) <= MOST_NAMES
    pitch = 0.155 if named else max(0.02, 7.5 / len(scans))
    figure = new_figure(height=pitch * len(scans) + 1.2)
    greys, sizes = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    odd = {one.file for one in fingerprint.findings if one.weight == "warning"}
    marked = [_is_marked(fingerprint, one.scan, odd) for one in scans]
    for place, (one, mark) in enumerate(zip(scans, marked, strict=True)):
        _grey_line(greys, place, one, VERMILLION if mark else INK)
    _size_marks(sizes, scans)
    labels = [f"▸ {s.scan}" if mark else s.scan for s, mark in zip(scans, marked, strict=True)]
    if named:
        greys.set_yticks(range(len(scans)), labels, fontsize=7.5)
        for text, mark in zip(greys.get_yticklabels(), marked, strict=True):
            text.set_color(VERMILLION if mark else QUIET)
    else:
        greys.set_yticks([])
    greys.set(ylim=(len(scans) - 0.4, -0.6), xlabel="grey level, as stored", title="Grey levels")
    greys.grid(axis="y", visible=False)
    greys.tick_params(axis="y", length=0)
    return figure


def _is_marked(fingerprint: Fingerprint, scan: str, odd: set[str]) -> bool:
    files = (fingerprint.listing.images.get(scan), fingerprint.listing.labels.get(scan))
    return any(path is not None and f"{path.parent.name}/{path.name}" in odd for path in files)


def _grey_line(ax: Axes, place: int, one: ScanProperties, colour: str) -> None:
    low, first, middle, third, high = one.quantiles
    ax.plot([low, high], [place, place], color=colour, linewidth=0.9, solid_capstyle="butt")
    ax.plot([first, third], [place, place], color=colour, linewidth=3.2, solid_capstyle="butt")
    ax.plot(middle, place, "o", color="white", markeredgecolor=colour, markersize=3.4)


def _size_marks(ax: Axes, scans: list[ScanProperties]) -> None:
    table = np.array([one.spacing for one in scans])
    handles = []
    for number, ((name, marker, colour), column) in enumerate(
        zip(SIZE_MARKS, table.T, strict=True)
    ):
        places = np.arange(len(scans)) + 0.27 * (number - 1)  # side by side, so that none is hidden
        ax.plot(column, places, marker, color=colour, markersize=3)
        handles.append(Line2D([], [], marker=marker, color=colour, linestyle="", label=name))
    ax.set(xlim=(0, 1.15 * table.max()), xlabel="mm", title="Voxel size")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.legend(handles=handles, loc="lower right", handlelength=1, frameon=True, framealpha=0.9)
