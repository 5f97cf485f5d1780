"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `snapshots` (the pseudo-label over training),
`copy_paste` (a box that is dragged), `max_tree` (structure-aware filtering of a slice),
`moving_average` (a teacher's weight), `repair` (a denoising autoencoder that runs in the page, on a
label map that the reader paints on), `scans` (every dot of a plot is a scan), `wipe` (two predictions with a handle between them).
"""

from ssl_lib.notebook.interactive.copy_paste import copy_paste
from ssl_lib.notebook.interactive.max_tree import max_tree
from ssl_lib.notebook.interactive.moving_average import moving_average
from ssl_lib.notebook.interactive.repair import repair
from ssl_lib.notebook.interactive.scans import scans
from ssl_lib.notebook.interactive.snapshots import snapshots

__all__ = ["copy_paste", "max_tree", "moving_average", "repair", "scans", "snapshots"]
