"""Image files of a pool: pixels to bytes, and back at the size that is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from empaste_aug.bank.codec import JPEG_MAX_SIDE
from empaste_aug.imageio import decode_image, decoded_orientation
from empaste_aug.types import ArgumentError, DatasetError, PoolError

CODECS = ("jpeg", "png")

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\x00\x00"
_HEADER = 1 << 16
_LEAST_FACTOR = 2  # libjpeg takes longer to shrink an image by less than to decode it whole


def encode(image: Any, codec: str, jpeg_quality: int) -> tuple[bytes, str, tuple[int, int]]:
    """The file of an image, its suffix, and its (height, width).

    Args:
        image: (H, W, 3) uint8 RGB; or the bytes of a JPEG or PNG file, which stay as they are.
        codec: one of `CODECS`, for an array.
        jpeg_quality: 1 to 100; colours have half the resolution (4:2:0), as those of photos have.

    Raises:
        ArgumentError: the image is neither, holds no pixel, or cannot be decoded.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _checked_file(bytes(image))
    if not isinstance(image, np.ndarray):
        raise ArgumentError(
            f"image: {type(image).__name__}; expected an (H, W, 3) uint8 RGB array, or the bytes "
            "of a JPEG or PNG file"
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ArgumentError(
            f"image: shape {image.shape}, {image.dtype}; expected (H, W, 3) uint8 RGB"
        )
    size = int(image.shape[0]), int(image.shape[1])
    if codec == "png":
        _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return encoded.tobytes(), "png", size
    if max(size) > JPEG_MAX_SIDE:
        raise ArgumentError(f"image: shape {image.shape} is too large for JPEG")
    data = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=jpeg_quality, colorspace="RGB", colorsubsampling="420"
    )
    return data, "jpg", size


def decode(
    data: bytes, where: str | Path, min_size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """The RGB pixels of an image file, upright, whatever its format.

    Args:
        data: the file's bytes.
        where: what they are called in messages.
        min_size: (height, width): a JPEG may come smaller than it is, half its size or less by
            libjpeg's eighths, but not smaller than this in either dimension. That takes less time,
            and pixels are averaged, not skipped. None: full size.

    Returns:
        (H, W, 3) uint8, C-contiguous and writable.

    Raises:
        PoolError: it is truncated, damaged, or no image.
        MissingDependencyError: it needs Pillow, as all do but upright JPEGs, which is not there.
    """
    try:
        if data.startswith(_JPEG) and _is_upright(data, where):
            height, width = min_size or (0, 0)
            factor = 1 if min_size is None else _LEAST_FACTOR
            try:
                rgb: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                    data, "RGB", min_height=height, min_width=width, min_factor=factor
                )
                return rgb
            except ValueError:  # CMYK, or a fault: Pillow tells which faults matter
                return decode_image(data, where)
        return decode_image(data, where)
    except DatasetError as error:
        raise PoolError(str(error)) from error


def _is_upright(data: bytes, where: str | Path) -> bool:
    """Whether a JPEG is shown as it is stored; most have no EXIF that could say otherwise."""
    return _EXIF not in data[:_HEADER] or decoded_orientation(data, where) == 1


def _checked_file(data: bytes) -> tuple[bytes, str, tuple[int, int]]:
    suffix = "jpg" if data.startswith(_JPEG) else "png" if data.startswith(_PNG) else None
    if suffix is None:
        raise ArgumentError(
            f"image: {len(data)} bytes that are neither a JPEG nor a PNG file: decode them and "
            "pass the array"
        )
    try:
        height, width = decode(data, "image").shape[:2]
    except PoolError as error:
        raise ArgumentError(str(error)) from error
    return data, suffix, (height, width)
