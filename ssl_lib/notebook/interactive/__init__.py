"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `max_tree` (the filters of DSAIF),
`moving_average` (the teacher's weight), `snapshots` (the pseudo-label over training).
"""

from ssl_lib.notebook.interactive.max_tree import max_tree
from ssl_lib.notebook.interactive.moving_average import moving_average
from ssl_lib.notebook.interactive.snapshots import snapshots

__all__ = ["max_tree", "moving_average", "snapshots"]
