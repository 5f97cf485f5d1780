"""All inputs that must be refused, in one table: scans, results, weights, folders, parameters."""

from __future__ import annotations

from breaking import Broken
from broken_folders import NOTEBOOKS, PARAMETERS, TABLES
from broken_hdf5 import HDF5
from broken_models import EXPORTED
from broken_nifti import NIFTI
from broken_runs import CHECKPOINTS, RESULTS

BROKEN: tuple[Broken, ...] = (
    *NIFTI, *HDF5, *RESULTS, *CHECKPOINTS, *EXPORTED, *TABLES, *NOTEBOOKS, *PARAMETERS,
)  # fmt: skip
