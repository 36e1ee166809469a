"""How the pixels of one record become bytes and pixels again.

RGB is JPEG at 4:4:4 or raw; alpha is zstd over the raw rows. Both ends give the same bytes for
the same pixels.
"""

from __future__ import annotations

import threading
from typing import cast

import numpy as np
import simplejpeg
import zstandard
from numpy.typing import NDArray

RGB_CODECS = ("jpeg", "raw")
ALPHA_CODEC = "zstd"
ALPHA_LEVEL = 3
JPEG_MAX_SIDE = 65500
"""The longest side that libjpeg takes, in pixels."""


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


def decode_rgb(data: bytes, height: int, width: int, codec: str) -> NDArray[np.uint8]:
    """The writable (height, width, 3) uint8 RGB crop that `encode_rgb` made `data` from.

    Raises:
        ValueError: `data` is no such crop.
    """
    if codec == "raw":
        return np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()
    rgb = cast("NDArray[np.uint8]", simplejpeg.decode_jpeg(data, colorspace="RGB"))
    if rgb.shape != (height, width, 3):
        raise ValueError(f"the JPEG holds {rgb.shape}, the index says {(height, width, 3)}")
    return rgb


def encode_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """The bytes of a (h, w) uint8 alpha."""
    return zstandard.ZstdCompressor(level=ALPHA_LEVEL).compress(alpha.tobytes())


def decode_alpha(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """The writable (height, width) uint8 alpha that `encode_alpha` made `data` from.

    Raises:
        ValueError: `data` is no such alpha.
    """
    try:
        raw = _zstd.decompressor.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(f"the alpha does not decompress: {error}") from error
    return np.frombuffer(bytearray(raw), np.uint8).reshape(height, width)
