"""Keeping the memory that a network's layers free, for the next layer.

A forward pass on a CPU asks for a few megabytes for every layer and frees them again. By default
glibc's malloc takes blocks of that size from the kernel and hands them back each time, and the
kernel clears every page anew: about a sixth of the time of a build.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
"""Names of glibc's mallopt(3)."""

_KEPT = 2**31 - 1
"""Bytes at the heap's end that may be free before they are handed back: mallopt's largest."""


@cache
def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for good; it needs no more than its peak.

    Call it in processes that run networks and are this package's own: it changes malloc for all
    of the process.

    Returns:
        Whether it could be done: with glibc only; elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
