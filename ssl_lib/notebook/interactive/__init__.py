"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `scans` (every dot is a scan) and `snapshots`
(the pseudo-label over training).
"""

from ssl_lib.notebook.interactive.scans import scans
from ssl_lib.notebook.interactive.snapshots import snapshots

__all__ = ["scans", "snapshots"]
