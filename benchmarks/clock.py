"""The clock of all benchmarks."""

from __future__ import annotations

import time

import torch


def seconds(device: torch.device) -> float:
    """Processor time of this process, or on a GPU the time when all work is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()
