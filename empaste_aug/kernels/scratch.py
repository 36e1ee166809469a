"""Memory that is used again: fresh pages cost as much as a kernel's work on them."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MOST_BYTES = 1 << 24
"""What is larger is not kept."""


class Scratch(threading.local):
    """An array's memory, a thread's own, which each call of `array` hands out again."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A C-contiguous array with any content, whose values last until the next call."""
        dtype = np.dtype(dtype)
        size = prod(shape) * dtype.itemsize
        if size > MOST_BYTES:
            return np.empty(shape, dtype)
        if size > self._memory.size:
            self._memory = np.empty(min(2 * size, MOST_BYTES), np.uint8)
        return self._memory[:size].view(dtype).reshape(shape)
