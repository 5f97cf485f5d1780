"""Every figure of the notebooks, in one look; each function returns a figure for `show`."""

from ssl_lib.figures.anatomy import (
    label_maps,
    most_uncertain,
    reconstructions,
    uncertainty_panels,
    weight_frame,
)
from ssl_lib.figures.classes import class_gain_chart
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
from ssl_lib.figures.diagram import diagram_alt, method_diagram
from ssl_lib.figures.filtering import (
    SignalTree,
    error_maps,
    filter_frame,
    filtered_views,
    overlap_comparison,
    signal_trees,
    surviving_edges,
    versions_seen,
)
from ssl_lib.figures.fingerprint import folder_overview
from ssl_lib.figures.leaderboard import (
    checkpoint_choice,
    dice_against_seconds,
    dice_by_labels,
    difference_text,
    forest,
    reading_choice,
)
from ssl_lib.figures.learning_curves import learning_curve_panels
from ssl_lib.figures.scans import (
    augmentation_grid,
    cohort_grid,
    judge,
    prediction_grid,
    snapshot_strip,
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
from ssl_lib.figures.uncertainty import auroc_chart, calibration_curves, cost_bars, repairs_by_maps
from ssl_lib.figures.views import (
    fusion_strip,
    influence_maps,
    kernel_comparison,
    map_and_errors,
    mixed_colours,
    uncertainty_maps,
    view_opinions,
)
from ssl_lib.figures.watching import snapshot_signs

__all__ = [
    "SignalTree",
    "Slice",
    "augmentation_grid",
    "auroc_chart",
    "calibration_curves",
    "checkpoint_choice",
    "choose_slice",
    "class_colour",
    "class_gain_chart",
    "class_legend",
    "cohort_grid",
    "component_filter",
    "cost_bars",
    "diagram_alt",
    "dice_against_seconds",
    "dice_by_labels",
    "difference_text",
    "draw_scan",
    "ema_toy",
    "error_maps",
    "feature_density",
    "filter_frame",
    "filtered_views",
    "folder_overview",
    "forest",
    "fusion_strip",
    "gains_by_labels",
    "house_style",
    "influence_maps",
    "judge",
    "kernel_comparison",
    "label_curve",
    "label_maps",
    "learning_curve_panels",
    "line_chart",
    "map_and_errors",
    "method_diagram",
    "mixed_colours",
    "mixing_strip",
    "mixture_frame",
    "most_uncertain",
    "new_figure",
    "overlap_comparison",
    "overlay",
    "prediction_grid",
    "ramp_curve",
    "reading_choice",
    "reconstructions",
    "repairs_by_maps",
    "row_comparison",
    "row_look",
    "shared_window",
    "show",
    "signal_trees",
    "slicing_axis",
    "snapshot_signs",
    "snapshot_strip",
    "surviving_edges",
    "to_png",
    "training_curves",
    "uncertainty_maps",
    "uncertainty_panels",
    "verdict_shares",
    "versions_seen",
    "view_opinions",
    "weight_frame",
    "weight_maps",
    "worth_in_labels",
]
