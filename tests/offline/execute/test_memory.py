"""What a process does with the memory it has freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import ctypes, resource, sys
from empaste_aug.offline.execute.memory import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "kept":
    assert keep_freed_memory()
    assert keep_freed_memory()
def use(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
use(64 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use(64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc only")
def test_freed_pages_are_used_again() -> None:
    """Of 5 x 64 MiB none is asked for anew; plain malloc asks for all of it each time."""
    faults = {
        way: int(
            subprocess.run(
                [sys.executable, "-c", COUNT_FAULTS, way],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for way in ("plain", "kept")
    }
    pages = 5 * 64 << 8  # of 4 KiB; huge pages are fewer
    assert faults["kept"] < pages // 1000 <= faults["plain"]
