"""The kernels of feathering and compositing, row by row; `blend` holds their public wrappers.

All in one file: numba's cache on disk is renewed for the file that changed, not for its callers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from empaste_aug.kernels._jit import kernel

FEATHER_WEIGHTS = (39, 57, 64, 57, 39)
"""The feather's coefficients along one axis, in 256ths."""

FEATHER_REACH = 2
"""How many pixels beyond the mask the feather reaches."""

_U16 = np.uint16  # numba widens arithmetic to 64 bits; casts let it be vectorised in 16
_OUTER, _INNER, _CENTRE = (_U16(weight) for weight in FEATHER_WEIGHTS[:3])
_CHUNK = 32  # pixels that are skipped, copied or mixed together
_WORDS = _CHUNK // 8
_OPAQUE = np.uint64(0xFFFFFFFFFFFFFFFF)
_CLEAR = np.uint64(0)


@kernel
def _feather_row(mask: Any, y: int, blank: Any, sums: Any, alpha: Any) -> bool:
    """Opacities of row `y` of a 0/1 mask; False, with `alpha` unchanged, where all are 0.

    `blank` is a row of zeros, `sums` a uint16 buffer of w + 4 elements, zero in its first and last
    two.
    """
    height, width = mask.shape
    row_a = mask[y - 2] if y >= 2 else blank
    row_b = mask[y - 1] if y >= 1 else blank
    row_c = mask[y]
    row_d = mask[y + 1] if y + 1 < height else blank
    row_e = mask[y + 2] if y + 2 < height else blank
    inner = sums[FEATHER_REACH : FEATHER_REACH + width]
    seen = _U16(0)
    for x in range(width):
        total = _U16(
            _OUTER * _U16(row_a[x] + row_e[x])
            + _INNER * _U16(row_b[x] + row_d[x])
            + _CENTRE * _U16(row_c[x])
        )
        inner[x] = total
        seen = _U16(seen | total)
    if seen == 0:
        return False
    for x in range(width):
        centre = sums[x + 2]
        # 65536, the sum of a window that is set throughout, wraps round to 0. The next largest
        # is 65536 - 39 * 39, so that nothing below overflows. For all other sums,
        # (255 * total + 32768) >> 16 is this:
        total = _U16(
            _OUTER * _U16(sums[x] + sums[x + 4])
            + _INNER * _U16(sums[x + 1] + sums[x + 3])
            + _CENTRE * centre
        )
        rounded = _U16(_U16(total + _U16(128)) - _U16(_U16(total + _U16(255)) >> _U16(8)))
        rounded = _U16(rounded >> _U16(8))
        alpha[x] = np.uint8(255) if (total == 0) & (centre != 0) else np.uint8(rounded)
    return True


@kernel
def feather(mask: Any, alpha: Any) -> None:
    height, width = mask.shape
    blank = np.zeros(width, np.uint8)
    sums = np.zeros(width + 2 * FEATHER_REACH, np.uint16)
    for y in range(height):
        if not _feather_row(mask, y, blank, sums, alpha[y]):
            alpha[y, :] = 0


@kernel
def _mix(background: Any, foreground: Any, alpha: Any) -> None:
    """round((a * f + (255 - a) * b) / 255): with n the numerator + 128, (n + (n >> 8)) >> 8."""
    for x in range(alpha.size):
        a = _U16(alpha[x])
        for c in range(3):
            f, b = _U16(foreground[3 * x + c]), _U16(background[3 * x + c])
            n = _U16(_U16(_U16(a * f) + _U16(_U16(_U16(255) - a) * b)) + _U16(128))
            background[3 * x + c] = np.uint8(_U16(n + _U16(n >> _U16(8))) >> _U16(8))


@kernel
def _blend_row(background: Any, foreground: Any, alpha: Any, words: Any) -> None:
    """Composite one row of pixels, three bytes each, in place on `background`.

    `alpha` is padded with zeros to whole chunks, `words` is its memory as uint64. Chunks of 0 are
    skipped and runs of chunks of 255 copied.
    """
    chunks = alpha.size // _CHUNK
    opaque_from = -1
    for j in range(chunks + 1):
        every = any_ = _CLEAR
        if j < chunks:
            every = _OPAQUE
            for k in range(_WORDS * j, _WORDS * j + _WORDS):
                every &= words[k]
                any_ |= words[k]
        if every == _OPAQUE:
            if opaque_from < 0:
                opaque_from = j
            continue
        start = _CHUNK * j
        if opaque_from >= 0:
            target = background[3 * _CHUNK * opaque_from : 3 * start]
            source = foreground[3 * _CHUNK * opaque_from : 3 * start]
            for i in range(target.size):
                target[i] = source[i]
            opaque_from = -1
        if any_ != _CLEAR:
            stop = min(start + _CHUNK, background.size // 3)
            _mix(
                background[3 * start : 3 * stop],
                foreground[3 * start : 3 * stop],
                alpha[start:stop],
            )


@kernel
def _padded(width: int) -> Any:
    return np.zeros((width + _CHUNK - 1) // _CHUNK * _CHUNK, np.uint8)


@kernel
def composite(image: Any, rgb: Any, alpha: Any, x0: int, y0: int) -> None:
    """`image` (H, 3 W) and `rgb` (h, 3 w) as rows of bytes; the patch lies inside the image."""
    height, width = alpha.shape
    padded = _padded(width)
    words = padded.view(np.uint64)
    for y in range(height):
        row = alpha[y]
        for x in range(width):
            padded[x] = row[x]
        _blend_row(image[y0 + y, 3 * x0 : 3 * (x0 + width)], rgb[y], padded, words)


@kernel
def gaussian_paste(image: Any, rgb: Any, mask: Any, x0: int, y0: int, keep: Any) -> None:
    """As `composite`, but clipped, and with `mask`'s feather; an empty `keep` keeps all."""
    height, width = mask.shape
    left, right = max(0, -x0), min(width, image.shape[1] // 3 - x0)
    upper, lower = max(0, -y0), min(height, image.shape[0] - y0)
    if left >= right:
        return
    visible = right - left
    blank = np.zeros(width, np.uint8)
    sums = np.zeros(width + 2 * FEATHER_REACH, np.uint16)
    alpha = np.empty(width, np.uint8)
    shown = alpha[left:right]
    padded = _padded(visible)
    words = padded.view(np.uint64)
    for y in range(upper, lower):
        if not _feather_row(mask, y, blank, sums, alpha):
            continue
        if keep.size > 0:
            kept = keep[y, left:right]
            for x in range(visible):
                opacity = shown[x]
                padded[x] = opacity if kept[x] else np.uint8(0)
        else:
            for x in range(visible):
                padded[x] = shown[x]
        background = image[y0 + y, 3 * (x0 + left) : 3 * (x0 + right)]
        _blend_row(background, rgb[y, 3 * left : 3 * right], padded, words)
