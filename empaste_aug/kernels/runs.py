"""COCO's compressed run lengths to the pixels of one box; the rest of the image is not decoded."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._jit import kernel


@kernel
def _fill_runs(codes: Any, height: int, x: int, y: int, pixels: Any) -> None:
    """Set the pixels of the odd runs, which count down the image's columns, one after the other.

    Each number is written in groups of five bits, lowest first, one per character from "0" on; the
    sixth bit says that more follow, the last group's fifth bit is the sign. From the fourth number
    on, it is the difference to the number two before.
    """
    first, last = x * height, (x + pixels.shape[1]) * height
    before = previous = np.int64(0)  # the run lengths two and one before
    number, start, position = 0, np.int64(0), 0
    while position < codes.size and start < last:
        length, shift, more = np.int64(0), 0, True
        while more and position < codes.size:
            code = np.int64(codes[position]) - 48
            position += 1
            length |= (code & 0x1F) << shift
            shift += 5
            more = (code & 0x20) != 0
            if not more and (code & 0x10) != 0:
                length |= np.int64(-1) << shift
        if number > 2:
            length += before
        if number % 2 == 1:
            here: Any = max(start, first)
            end: Any = min(start + length, last)
            while here < end:
                column, row = here // height, here % height
                stop: Any = min(row + end - here, height)
                for i in range(max(row, y), min(stop, y + pixels.shape[0])):
                    pixels[i - y, column - x] = 1
                here += stop - row
        before, previous = previous, length
        start += length
        number += 1


def decode_runs(
    counts: bytes | str, height: int, box: tuple[int, int, int, int]
) -> NDArray[np.bool_]:
    """The pixels of a compressed RLE inside a box.

    Args:
        counts: of the RLE.
        height: the image's.
        box: x, y, w, h, inside the image.

    Returns:
        (h, w) bool.
    """
    x, y, w, h = box
    text = counts.encode() if isinstance(counts, str) else counts
    pixels = np.zeros((h, w), dtype=np.bool_)
    codes = np.frombuffer(text, dtype=np.uint8)
    _fill_runs(codes, index(height), x, y, pixels.view(np.uint8))
    return pixels


def compile_runs() -> None:
    """Compile the kernel."""
    decode_runs(b"11", 1, (0, 0, 2, 1))
