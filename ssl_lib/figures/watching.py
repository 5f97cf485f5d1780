"""What can be watched over a training without any truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ssl_lib.evaluation.components import count_components
from ssl_lib.evaluation.watching import class_shares
from ssl_lib.figures.style import house_style, new_figure, row_look
from ssl_lib.methods import row_name


@house_style()
def snapshot_signs(trainings: Mapping[str, Any], n_classes: int) -> Figure:
    """The pseudo-label of one unlabelled scan over the iterations, one line a row: left the share
    of foreground in %, right the number of connected components, all classes together.

    `trainings` maps a row to an object with `snapshots`, each with `iteration` and `label`.
    """
    figure = new_figure(height=2.7 + 0.2 * -(-len(trainings) // 2))
    shares, parts = figure.subplots(1, 2)
    for row, training in trainings.items():
        steps = [snapshot["iteration"] for snapshot in training.snapshots]
        labels = [np.asarray(snapshot["label"]) for snapshot in training.snapshots]
        foreground = [100 * sum(class_shares(label, n_classes)) for label in labels]
        counts = [sum(count_components(label, n_classes)) for label in labels]
        look = {"marker": "o", "markersize": 3.5, **row_look(row)}
        shares.plot(steps, foreground, label=row_name(row), **look)
        parts.plot(steps, counts, **look)
    shares.set(title="Foreground", xlabel="iteration", ylabel="% of all voxels")
    parts.set(title="Connected components", xlabel="iteration", ylabel="number")
    parts.yaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in (shares, parts):
        ax.set_ylim(bottom=0)
    figure.legend(handles=shares.get_lines(), loc="outside lower center", ncols=2)
    return figure
