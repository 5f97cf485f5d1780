"""How the C library hands out the memory of large tensors."""

from __future__ import annotations

import ctypes
from functools import lru_cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of glibc's parameters, from its header malloc.h."""
LARGEST_KEPT = 1 << 30
"""Bytes: what is larger is given back at once, and so is freed memory beyond it."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Reuse the memory of freed tensors instead of returning it; True where that can be asked for.

    A training step frees and takes the same tensors again and again. glibc returns large blocks to
    the system, which has to clear every page anew when the next tensor takes it (see mallopt(3)):
    thousands of pages in each step of a small 3D network. No result changes. Other C libraries keep
    their ways.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    return mallopt(MMAP_THRESHOLD, LARGEST_KEPT) == mallopt(TRIM_THRESHOLD, LARGEST_KEPT) == 1
