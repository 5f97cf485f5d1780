"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `snapshots` (the pseudo-label over training),
`matching` (which defect belongs to which training?), `three_views` (who says what of one voxel).
"""

from ssl_lib.notebook.interactive.matching import matching
from ssl_lib.notebook.interactive.snapshots import snapshots
from ssl_lib.notebook.interactive.three_views import three_views

__all__ = ["matching", "snapshots", "three_views"]
