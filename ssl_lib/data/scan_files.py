"""Scans that memory cannot hold, kept in files that vanish with the process."""

from __future__ import annotations

import tempfile
from dataclasses import replace

import numpy as np
import psutil
import torch

from ssl_lib.data.cohort import Case
from ssl_lib.utils.errors import InputError

SHARE_FOR_SCANS = 0.4
"""Scans that fit into this share of the device's free memory lie there; others stay where they are.
"""


def room_for_scans(device: torch.device) -> int:
    """Bytes of the device's memory that scans may take for good."""
    if device.type == "cuda":
        return int(SHARE_FOR_SCANS * torch.cuda.mem_get_info(device)[0])
    return int(SHARE_FOR_SCANS * psutil.virtual_memory().available)


class ScanStore:
    """Takes scans as they are read: in memory while there is room, after that in files.

    `room` is in bytes (default: `room_for_scans` of the CPU). Arrays in files are read
    page by page as they are used; patches of them are cut ahead of training (see
    `ssl_lib.training.batches`).
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room_for_scans(torch.device("cpu")) if room is None else room

    def add(self, case: Case) -> Case:
        """The same scan, its arrays in memory or mapped from a file without a name.

        Raises `InputError` if the disk has no room either.
        """
        if isinstance(case.image, np.memmap):
            return case
        arrays = (case.image, case.label, case.further)
        size = sum(array.nbytes for array in arrays if array is not None)
        if size <= self.room:
            self.room -= size
            return case
        try:
            label, further = (None if a is None else _mapped(a) for a in (case.label, case.further))
            return replace(case, image=_mapped(case.image), label=label, further=further)
        except OSError as error:
            raise InputError(
                f"neither memory nor {tempfile.gettempdir()} has room for this scan ({error})",
                where=case.path or case.case_id,
                expected=f"{size / 1e6:.0f} MB more",
                fix="set TMPDIR to a folder on a larger disk, use fewer unlabelled scans, or take"
                " the profile quick, which downsamples",
            ) from error


def _mapped(array: np.ndarray) -> np.memmap:
    """A copy of the array in a temporary file, which the system deletes when it is let go."""
    with tempfile.TemporaryFile() as file:
        file.write(np.ascontiguousarray(array).tobytes())
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)
