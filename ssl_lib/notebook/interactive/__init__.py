"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `snapshots` (the pseudo-label over training).
"""

from ssl_lib.notebook.interactive.snapshots import snapshots

__all__ = ["snapshots"]
