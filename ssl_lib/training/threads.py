"""How many threads PyTorch gets on a CPU: no more than there are cores to run them, and one where
more would be slower.

PyTorch takes the number of the machine's cores. In a container with a quota, on a shared server or
beside other work that is too many: threads then wait for each other at every layer, and an update
takes ten times as long or more. Results with another number of threads differ by rounding.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from functools import lru_cache
from pathlib import Path

import torch
from torch.nn import functional

CGROUP = Path("/sys/fs/cgroup")
STATED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which somebody has chosen already: then nothing is changed."""
WORTH = 0.9
"""More threads must need at most this share of one thread's time."""


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores that this process may use: those of its affinity, no more than its container's quota
    (cgroup version 1 or 2), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    """Cores of a container's quota; None without one."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join((cgroup / name).read_text() for name in files).split()
            quota, period = (float(word) for word in words)
        except (OSError, ValueError):  # no such file, or "max" for no quota
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


@lru_cache
def choose_threads() -> int:
    """Set PyTorch's number of threads once for this process, and return it.

    Small convolutions are timed with one thread and with as many as there are usable cores, and the
    faster number is taken: it takes a tenth of a second. Where the environment states a number (see
    `STATED`), that one stays.
    """
    if any(os.environ.get(name) for name in STATED):
        return torch.get_num_threads()
    many = min(torch.get_num_threads(), usable_cores())
    if many > 1 and _seconds(many) > WORTH * _seconds(1):
        many = 1
    torch.set_num_threads(many)
    return many


def _seconds(threads: int, times: int = 7) -> float:
    """The median time of a convolution with its gradients, on as many threads."""
    torch.set_num_threads(threads)
    with torch.random.fork_rng(devices=[]):
        images = torch.randn(8, 16, 48, 48)
        weights = torch.randn(16, 16, 3, 3, requires_grad=True)
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        with torch.enable_grad():
            functional.conv2d(images, weights, padding=1).square().mean().backward()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])
