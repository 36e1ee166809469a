"""What every public wrapper of this room checks before it calls a kernel.

A kernel is compiled once per combination of argument types, so that a read-only, strided or
bool argument would cost a worker seconds of compilation. The wrappers therefore hand over one
kind of array only: uint8, C-contiguous, writeable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError

Mask = NDArray[np.bool_] | NDArray[np.uint8]

_UINT8, _BOOL = np.dtype(np.uint8), np.dtype(np.bool_)


def describe(array: Any) -> str:
    """The dtype and shape of `array` for an error message, or its type if it is no array."""
    if isinstance(array, np.ndarray):
        return f"{array.dtype} of shape {array.shape}"
    return type(array).__name__


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, or a copy of it where it is strided or read-only."""
    if array.flags.c_contiguous and array.flags.writeable:
        return array
    return array.copy(order="C")


def check_mask(name: str, array: Mask) -> None:
    """Refuse what is not a (H, W) bool or uint8 array.

    Raises:
        ArgumentError: it is not.
    """
    if (
        not isinstance(array, np.ndarray)
        or array.ndim != 2
        or (array.dtype != _UINT8 and array.dtype != _BOOL)
    ):
        raise ArgumentError(f"{name}: must be (H, W) bool or uint8, not {describe(array)}")


def as_bytes(name: str, array: Mask) -> NDArray[np.uint8]:
    """A (H, W) bool or uint8 map as bytes, non-zero where it is set; no copy if it can be helped.

    Raises:
        ArgumentError: not a two-dimensional bool or uint8 array.
    """
    check_mask(name, array)
    return _plain(array).view(np.uint8)


def as_binary(name: str, array: Mask) -> NDArray[np.uint8]:
    """Like `as_bytes`, but each byte is 0 or 1."""
    if isinstance(array, np.ndarray) and array.dtype == _UINT8:
        array = array != 0
    return as_bytes(name, array)


def as_rgb(name: str, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A (H, W, 3) uint8 image as the kernels take it.

    Raises:
        ArgumentError: not a (H, W, 3) uint8 array.
    """
    check_rgb(name, array)
    return _plain(array)


def check_rgb(name: str, array: NDArray[np.uint8]) -> None:
    """Refuse what is not a (H, W, 3) uint8 array.

    Raises:
        ArgumentError: it is not.
    """
    if (
        not isinstance(array, np.ndarray)
        or array.ndim != 3
        or array.shape[2] != 3
        or array.dtype != _UINT8
    ):
        raise ArgumentError(f"{name}: must be (H, W, 3) uint8, not {describe(array)}")


def check_writeable(name: str, array: NDArray[Any]) -> None:
    """Refuse a read-only array as the target of a write in place.

    Raises:
        ArgumentError: the array is read-only.
    """
    if not array.flags.writeable:
        raise ArgumentError(f"{name}: is read-only, but is written in place; pass a copy")


def check_same_size(name: str, array: NDArray[Any], other: str, size: tuple[int, ...]) -> None:
    """Refuse an array whose height and width are not `size`, those of the argument `other`.

    Raises:
        ArgumentError: the sizes differ.
    """
    if array.shape[:2] != size[:2]:
        raise ArgumentError(
            f"{name}: its height and width {array.shape[:2]} differ from those of {other}, "
            f"{tuple(size[:2])}"
        )


def as_rows(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A view of a contiguous (H, W, 3) image as (H, 3 W) bytes."""
    return image.reshape(image.shape[0], 3 * image.shape[1])


def check_paste(
    image: NDArray[np.uint8], rgb: NDArray[np.uint8], mask: Mask, keep: Mask | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """What is pasted, as the kernels take it: `rgb` as rows of bytes, `mask` of 0 and 1, `keep`.

    An array without elements stands for no `keep`.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, or `image` is read-only.
    """
    check_rgb("image", image)
    check_writeable("image", image)
    rgb = as_rgb("rgb", rgb)
    binary = as_binary("mask", mask)
    check_same_size("mask", binary, "rgb", rgb.shape)
    kept = np.empty((0, 0), np.uint8)
    if keep is not None:
        kept = as_bytes("keep", keep)
        check_same_size("keep", kept, "rgb", rgb.shape)
    return as_rows(rgb), binary, kept
