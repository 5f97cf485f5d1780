"""Figures that compute in the reader's page, from data instead of pictures.

Each is one module with a script of the same name: `snapshots` (the pseudo-label over training) and
`repair` (a denoising autoencoder that runs in the page, on a label map that the reader paints on).
"""

from ssl_lib.notebook.interactive.repair import repair
from ssl_lib.notebook.interactive.snapshots import snapshots

__all__ = ["repair", "snapshots"]
