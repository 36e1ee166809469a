"""How the pixels of one record become bytes and pixels again.

RGB is JPEG at 4:4:4 or raw; alpha is zstd over the raw rows. Both ends give the same bytes for
the same pixels.
"""

from __future__ import annotations

import threading
from math import prod
from typing import cast

import numpy as np
import simplejpeg
import zstandard
from numpy.typing import NDArray

from empaste_aug.kernels.reduce import reduce_alpha, reduce_rgb
from empaste_aug.kernels.scratch import Scratch

RGB_CODECS = ("jpeg", "raw")
ALPHA_CODEC = "zstd"
ALPHA_LEVEL = 3
JPEG_MAX_SIDE = 65500
"""The longest side that libjpeg takes, in pixels."""
JPEG_MAX_FACTOR = 8
"""The most by which libjpeg shrinks while it decodes."""


class _Zstd(threading.local):
    """A decompressor per thread: making one costs more than using it, and none is shareable."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def encode_rgb(rgb: NDArray[np.uint8], codec: str, jpeg_quality: int) -> bytes:
    """The bytes of a (h, w, 3) uint8 RGB crop; `codec` is one of `RGB_CODECS`."""
    rgb = np.ascontiguousarray(rgb)
    if codec == "raw":
        return rgb.tobytes()
    return cast(
        bytes,
        simplejpeg.encode_jpeg(rgb, quality=jpeg_quality, colorspace="RGB", colorsubsampling="444"),
    )


def decode_rgb(
    data: bytes,
    height: int,
    width: int,
    codec: str,
    reduction: int = 1,
    scratch: Scratch | None = None,
) -> NDArray[np.uint8]:
    """The writable uint8 RGB crop that `encode_rgb` made `data` from.

    Args:
        data: the bytes.
        height, width: the crop's, at full size.
        codec: one of `RGB_CODECS`.
        reduction: a power of two, the side in pixels of the squares that become one pixel each.
            JPEG is decoded at up to an eighth of its size, the rest is averaged.
        scratch: where the crop may lie until the next call; None: it gets new memory.

    Returns:
        (ceil(height / reduction), ceil(width / reduction), 3).

    Raises:
        ValueError: `data` is no such crop.
    """
    if codec == "raw":
        raw = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        return raw.copy() if reduction == 1 else reduce_rgb(raw, reduction)
    # Below 8 pixels two of libjpeg's factors give the same size, and it might take the wrong one.
    factor = min(reduction, JPEG_MAX_FACTOR) if max(height, width) >= JPEG_MAX_FACTOR else 1
    shape = -(-height // factor), -(-width // factor), 3
    buffer = None if scratch is None else scratch.array((prod(shape),), np.uint8)
    rgb = cast(
        "NDArray[np.uint8]",
        simplejpeg.decode_jpeg(
            data,
            colorspace="RGB",
            min_height=shape[0],
            min_width=shape[1],
            min_factor=factor,
            buffer=buffer,
        ),
    )
    if rgb.shape != shape:
        raise ValueError(f"the JPEG holds {rgb.shape}, the index says {shape}")
    return reduce_rgb(rgb, reduction // factor)


def encode_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """The bytes of a (h, w) uint8 alpha."""
    return zstandard.ZstdCompressor(level=ALPHA_LEVEL).compress(alpha.tobytes())


def decode_alpha(data: bytes, height: int, width: int, reduction: int = 1) -> NDArray[np.uint8]:
    """The writable uint8 alpha that `encode_alpha` made `data` from; arguments as `decode_rgb`'s.

    Raises:
        ValueError: `data` is no such alpha.
    """
    try:
        raw = _zstd.decompressor.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"the alpha does not decompress: {error}") from error
    alpha = np.frombuffer(raw, np.uint8).reshape(height, width)
    return alpha.copy() if reduction == 1 else reduce_alpha(alpha, reduction)
