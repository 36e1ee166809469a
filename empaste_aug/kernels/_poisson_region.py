"""Poisson blending, step 1: which pixels are unknown, and which neighbours fix them.

Maps have a margin of one row above and below and of `MARGIN` columns on the left, and rows of whole
8-byte words with at least one zero at the end, so that neighbours and words need no tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel
from empaste_aug.kernels._poisson_layout import MARGIN

_ONE = np.uint8(1)


@kernel
def find_region(image: Any, rgb: Any, mask: Any, x0: int, y0: int, keep: Any) -> Any:
    """(region, fixed, left, top, width) of a patch at (x0, y0).

    `image` (H, 3 W) and `rgb` (h, 3 w) are rows of bytes, `mask` is 0 or 1, an empty `keep` keeps
    all. `left`, `top` are the patch's coordinates of the region's box. `region` is 1 where a pixel
    is unknown, `fixed` where the image's pixel is a boundary value. Parts of the mask without any
    boundary value are not in `region`: they are pasted here as they are.
    """
    patch_height, patch_width = mask.shape
    image_height, image_width = image.shape[0], image.shape[1] // 3
    left, right = max(0, -x0), min(patch_width, image_width - x0)
    top, bottom = max(0, -y0), min(patch_height, image_height - y0)
    left, right, top, bottom = _tight_box(mask, left, right, top, bottom)
    height, width = max(0, bottom - top), max(0, right - left)
    stride = MARGIN + (width + 8) // 8 * 8
    region = np.zeros((height + 2, stride), np.uint8)
    fixed = np.zeros((height + 2, stride), np.uint8)
    if height == 0 or width == 0:
        return region, fixed, left, top, 0
    start, stop = max(left - 1, -x0), min(right + 1, image_width - x0)
    inner, outer = max(start, 0), min(stop, patch_width)
    offset = MARGIN - left
    for y in range(max(top - 1, -y0), min(bottom + 1, image_height - y0)):
        border = fixed[y - top + 1]
        if y < 0 or y >= patch_height:
            border[start + offset : stop + offset] = _ONE
            continue
        border[start + offset : inner + offset] = _ONE
        border[outer + offset : stop + offset] = _ONE
        kept = keep[y, inner:outer] if keep.size > 0 else keep.ravel()
        _mark_free(mask[y, inner:outer], kept, border[inner + offset : outer + offset])
        if top <= y < bottom:
            kept = keep[y, left:right] if keep.size > 0 else keep.ravel()
            _mark_unknown(mask[y, left:right], kept, region[y - top + 1, MARGIN : MARGIN + width])
    if _is_open(region, fixed):
        _paste_floating(region, fixed, image, rgb, left, top, x0, y0, width)
    return region, fixed, left, top, width


@kernel
def _tight_box(mask: Any, left: int, right: int, top: int, bottom: int) -> Any:
    first_row, last_row, first, last = bottom, top - 1, right, left - 1
    for y in range(top, bottom):
        row = mask[y]
        x = left
        while x < right and row[x] == 0:
            x += 1
        if x >= right:
            continue
        first = min(first, x)
        x = right - 1
        while row[x] == 0:
            x -= 1
        last = max(last, x)
        first_row, last_row = min(first_row, y), y
    return first, last + 1, first_row, last_row + 1


@kernel
def _mark_free(mask: Any, kept: Any, marks: Any) -> None:
    if kept.size > 0:
        for x in range(marks.size):
            marks[x] = np.uint8(kept[x] != 0) & (mask[x] ^ _ONE)
    else:
        for x in range(marks.size):
            marks[x] = mask[x] ^ _ONE


@kernel
def _mark_unknown(mask: Any, kept: Any, marks: Any) -> None:
    if kept.size > 0:
        for x in range(marks.size):
            marks[x] = np.uint8(kept[x] != 0) & mask[x]
    else:
        for x in range(marks.size):
            marks[x] = mask[x]


@kernel
def _is_open(region: Any, fixed: Any) -> bool:
    """Whether some unknown pixel has a neighbour that is neither unknown nor a boundary value.

    Only then can a part of the mask be without boundary values.
    """
    end = region.shape[1]
    for y in range(1, region.shape[0] - 1):
        here = region[y, 1 : end - 1]
        up, up_fixed = region[y - 1, 1 : end - 1], fixed[y - 1, 1 : end - 1]
        down, down_fixed = region[y + 1, 1 : end - 1], fixed[y + 1, 1 : end - 1]
        west, west_fixed = region[y, : end - 2], fixed[y, : end - 2]
        east, east_fixed = region[y, 2:], fixed[y, 2:]
        seen = np.uint8(0)
        for x in range(here.size):
            closed = (
                (up[x] | up_fixed[x])
                & (down[x] | down_fixed[x])
                & (west[x] | west_fixed[x])
                & (east[x] | east_fixed[x])
            )
            seen |= here[x] & (closed ^ _ONE)
        if seen != 0:
            return True
    return False


@kernel
def _root(parents: Any, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@kernel
def _paste_floating(
    region: Any, fixed: Any, image: Any, rgb: Any, left: int, top: int, x0: int, y0: int, width: int
) -> None:
    """Find the 4-connected parts of the region by rows' runs; paste those without boundary."""
    height = region.shape[0] - 2
    count = 0
    for y in range(1, height + 1):
        for x in range(MARGIN, MARGIN + width):
            count += region[y, x] & (region[y, x - 1] ^ _ONE)
    runs = np.empty((count, 3), np.int64)  # row, start, stop, in the maps' coordinates
    tied = np.zeros(count, np.bool_)
    parents = np.arange(count)
    number = previous = current = 0
    for y in range(1, height + 1):
        previous, current = current, number
        above = previous
        x = MARGIN
        while x < MARGIN + width:
            if region[y, x] == 0:
                x += 1
                continue
            runs[number, 0], runs[number, 1] = y, x
            bound = fixed[y, x - 1] != 0
            while region[y, x] != 0:
                bound |= (fixed[y - 1, x] | fixed[y + 1, x]) != 0
                x += 1
            runs[number, 2] = x
            tied[number] = bound | (fixed[y, x] != 0)
            while above < current and runs[above, 2] <= runs[number, 1]:
                above += 1
            touching = above
            while touching < current and runs[touching, 1] < x:
                one, other = _root(parents, touching), _root(parents, number)
                parents[max(one, other)] = min(one, other)
                touching += 1
            number += 1
    for run in range(count):
        if tied[run]:
            tied[_root(parents, run)] = True
    for run in range(count):
        if not tied[_root(parents, run)]:
            y, start, stop = runs[run]
            region[y, start:stop] = np.uint8(0)
            y += top - 1
            for i in range(3 * (start - MARGIN + left), 3 * (stop - MARGIN + left)):
                image[y + y0, i + 3 * x0] = rgb[y, i]
