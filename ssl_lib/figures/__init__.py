"""Every figure of the notebooks, in one look; each function returns a figure for `show`."""

from ssl_lib.figures.comparison import (
    gains_by_labels,
    label_curve,
    row_comparison,
    worth_in_labels,
)
from ssl_lib.figures.copy_paste import (
    component_filter,
    feature_density,
    mixing_strip,
    mixture_frame,
    weight_maps,
)
from ssl_lib.figures.filtering import (
    SignalTree,
    error_maps,
    filter_frame,
    filtered_views,
    node_counts,
    overlap_comparison,
    signal_trees,
    surviving_edges,
    versions_seen,
)
from ssl_lib.figures.leaderboard import (
    dice_against_seconds,
    dice_by_labels,
    difference_text,
    forest,
)
from ssl_lib.figures.scans import (
    augmentation_grid,
    cohort_grid,
    film_strip,
    judge,
    prediction_grid,
    verdict_shares,
)
from ssl_lib.figures.slices import (
    Slice,
    choose_slice,
    class_legend,
    draw_scan,
    overlay,
    shared_window,
    slicing_axis,
)
from ssl_lib.figures.style import class_colour, house_style, new_figure, row_look, show, to_png
from ssl_lib.figures.training import ema_toy, line_chart, ramp_curve, training_curves

__all__ = [
    "SignalTree",
    "Slice",
    "augmentation_grid",
    "choose_slice",
    "class_colour",
    "class_legend",
    "cohort_grid",
    "component_filter",
    "dice_against_seconds",
    "dice_by_labels",
    "difference_text",
    "draw_scan",
    "ema_toy",
    "error_maps",
    "feature_density",
    "film_strip",
    "filter_frame",
    "filtered_views",
    "forest",
    "gains_by_labels",
    "house_style",
    "judge",
    "label_curve",
    "line_chart",
    "mixing_strip",
    "mixture_frame",
    "new_figure",
    "node_counts",
    "overlap_comparison",
    "overlay",
    "prediction_grid",
    "ramp_curve",
    "row_comparison",
    "row_look",
    "shared_window",
    "show",
    "signal_trees",
    "slicing_axis",
    "surviving_edges",
    "to_png",
    "training_curves",
    "verdict_shares",
    "versions_seen",
    "weight_maps",
    "worth_in_labels",
]
