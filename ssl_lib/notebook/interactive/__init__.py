"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `update` (one update of a method, step by step),
`snapshots` (the pseudo-label over training), `scans` (every dot of a plot is a scan), `assumption`
(what unlabelled points teach, and when they mislead), `copy_paste` (a box that is dragged),
`three_views` (who says what of one voxel), `repair` (a denoising autoencoder that runs in the page,
on a label map that the reader paints on), `max_tree` (structure-aware filtering of a slice),
`moving_average` (a teacher's weight), `matching` (which defect belongs to which training), `wipe`
(two predictions with a handle between them), `surface` (a predicted organ in
3D, coloured by its distance to the true surface).
"""

from ssl_lib.notebook.interactive.assumption import assumption
from ssl_lib.notebook.interactive.copy_paste import copy_paste
from ssl_lib.notebook.interactive.matching import matching
from ssl_lib.notebook.interactive.max_tree import max_tree
from ssl_lib.notebook.interactive.moving_average import moving_average
from ssl_lib.notebook.interactive.repair import repair
from ssl_lib.notebook.interactive.scans import scans
from ssl_lib.notebook.interactive.snapshots import snapshots
from ssl_lib.notebook.interactive.surface import surface
from ssl_lib.notebook.interactive.three_views import three_views
from ssl_lib.notebook.interactive.update import update
from ssl_lib.notebook.interactive.wipe import Compared, wipe

__all__ = [
    "Compared",
    "assumption",
    "copy_paste",
    "matching",
    "max_tree",
    "moving_average",
    "repair",
    "scans",
    "snapshots",
    "surface",
    "three_views",
    "update",
    "wipe",
]
