"""Poisson blending, step 5: rgb + membrane becomes the image's pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels._poisson_layout import MARGIN, values, weave

_F32 = np.float32
_LOWEST, _HIGHEST, _HALF = _F32(0), _F32(255), _F32(0.5)


@kernel
def _add_rounded(out: Any, rgb: Any, membrane: Any) -> None:
    for i in range(out.size):
        value = min(max(_F32(rgb[i]) + membrane[i], _LOWEST), _HIGHEST)
        out[i] = np.uint8(np.int32(value + _HALF))


@kernel
def write(
    image: Any,
    rgb: Any,
    region: Any,
    left: int,
    top: int,
    x0: int,
    y0: int,
    width: int,
    table: Any,
    grids: Any,
) -> None:
    """Write the region's pixels; `image` (H, 3 W) and `rgb` (h, 3 w) are rows of bytes."""
    grid = values(grids, table[0])
    row = np.empty(2 * grid.shape[2], np.float32)
    for y in range(region.shape[0] - 2):
        weave(grid[y + 1], row)
        out = image[y0 + top + y, 3 * (x0 + left) : 3 * (x0 + left + width)]
        source = rgb[top + y, 3 * left : 3 * (left + width)]
        marks = region[y + 1, MARGIN:]
        x = 0
        while x < width:
            if marks[x] == 0:
                x += 1
                continue
            start = x
            while marks[x] != 0:
                x += 1
            i, j = 3 * start, 3 * x
            _add_rounded(out[i:j], source[i:j], row[i + 3 : j + 3])
