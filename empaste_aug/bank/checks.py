"""What the bank's writer accepts: every argument is checked before anything is written."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.codec import JPEG_MAX_SIDE
from empaste_aug.bank.images import SourceImage
from empaste_aug.bank.schema import UNKNOWN, canonical_json
from empaste_aug.types import ALPHA_THRESHOLD, ArgumentError, tight_box

MAX_RAW_BYTES = 2**31 - 1
"""The most bytes that a crop may have: an Arrow binary value's limit."""


def check_categories(categories: Sequence[str]) -> list[str]:
    """The class names as a list: at least one, not empty, none twice."""
    if isinstance(categories, str):
        raise ArgumentError(f"categories: a list of names is wanted, not the text {categories!r}")
    names = list(categories)
    if not names:
        raise ArgumentError("categories: is empty; a bank needs at least one class")
    for name in names:
        if not isinstance(name, str) or not name:
            raise ArgumentError(f"categories: {name!r} is not a class name")
        if names.count(name) > 1:
            raise ArgumentError(f"categories: {name!r} is there more than once")
    return names


def check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """`value`, one of `choices`."""
    if value not in choices:
        raise ArgumentError(f"{name}: {value!r} is none of {', '.join(choices)}")
    return value


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int in low..high, both included."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name}: an integer is wanted, not {value!r}") from None
    if not low <= number <= high:
        raise ArgumentError(f"{name}: {number} is not in {low}..{high}")
    return number


def check_json(name: str, value: Any) -> Any:
    """`value` as it comes back from JSON: tuples become lists, and keys text."""
    try:
        return json.loads(canonical_json(value))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name}: cannot be written as JSON: {error}") from error


def check_pixels(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], codec: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """A crop, its alpha and its mask: uint8, of one size, not too large, the mask not empty."""
    rgb, alpha = np.asarray(rgb), np.asarray(alpha)
    for name, array in (("rgb", rgb), ("alpha", alpha)):
        if array.dtype != np.uint8:
            raise ArgumentError(f"{name}: dtype uint8 is wanted, not {array.dtype}")
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ArgumentError(f"rgb: shape (h, w, 3) is wanted, not {rgb.shape}")
    if alpha.shape != rgb.shape[:2]:
        raise ArgumentError(f"alpha: shape {alpha.shape} differs from that of rgb, {rgb.shape}")
    if rgb.nbytes > MAX_RAW_BYTES or (codec == "jpeg" and max(alpha.shape) > JPEG_MAX_SIDE):
        raise ArgumentError(f"rgb: shape {rgb.shape} is too large for the codec {codec!r}")
    mask = alpha >= ALPHA_THRESHOLD
    if not mask.any():
        highest = int(alpha.max(initial=0))
        raise ArgumentError(
            f"alpha: no pixel is >= {ALPHA_THRESHOLD} (the highest is {highest}): the mask is empty"
        )
    return rgb, alpha, mask


def check_score(score: float) -> float:
    """A probability: a number in [0, 1]."""
    value = _number("score", score)
    if not 0.0 <= value <= 1.0:
        raise ArgumentError(f"score: {score!r} is not in [0, 1]")
    return value


def check_measure(name: str, value: float | None) -> float:
    """A finite number, or NaN for None."""
    if value is None:
        return math.nan
    number = _number(name, value)
    if math.isinf(number):
        raise ArgumentError(f"{name}: {value!r} is not finite")
    return number


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: a number is wanted, not {value!r}") from None


def check_image(
    image_id: str | int | None, file_name: str | None, source_size: tuple[int, int] | None
) -> tuple[SourceImage | None, tuple[int, int]]:
    """The source photo, or None where it has no id; and its (height, width) or UNKNOWN twice."""
    if isinstance(image_id, int | np.integer):
        image_id = str(image_id)
    for name, value in (("image_id", image_id), ("file_name", file_name)):
        if value is not None and (not isinstance(value, str) or not value):
            raise ArgumentError(f"{name}: a text that is not empty is wanted, not {value!r}")
    if file_name is not None and image_id is None:
        raise ArgumentError(f"file_name: {file_name!r} is given without an image_id")
    size = None
    if source_size is not None:
        size = _integers("source_size", source_size, 2, 1)
    if image_id is None:
        return None, (UNKNOWN, UNKNOWN) if size is None else (size[0], size[1])
    if size is None:
        return SourceImage(image_id, file_name), (UNKNOWN, UNKNOWN)
    return SourceImage(image_id, file_name, *size), (size[0], size[1])


def check_source_box(
    box: tuple[int, int, int, int] | None, size: tuple[int, int], mask: NDArray[np.bool_]
) -> tuple[tuple[int, ...], bool]:
    """Where the crop lies in its photo, or UNKNOWN four times; whether the mask ends at the border.

    The box must have the size of the crop, whose (h, w) bool `mask` is given, and lie in the photo,
    whose (height, width) `size` is given where it is known.
    """
    if box is None:
        return (UNKNOWN,) * 4, False
    x0, y0, x1, y1 = numbers = _integers("source_bbox", box, 4, 0)
    height, width = mask.shape
    if (x1 - x0, y1 - y0) != (width, height):
        raise ArgumentError(
            f"source_bbox: {numbers} is {x1 - x0} x {y1 - y0}, the crop is {width} x {height} "
            "(width x height)"
        )
    if size[0] == UNKNOWN:
        return numbers, False
    if x1 > size[1] or y1 > size[0]:
        raise ArgumentError(
            f"source_bbox: {numbers} reaches outside the photo of source_size {size} "
            "(height, width)"
        )
    tight = tight_box(mask, (x0, y0))
    touches = tight is not None and (
        tight[0] == 0 or tight[1] == 0 or tight[2] == size[1] or tight[3] == size[0]
    )
    return numbers, touches


def _integers(name: str, values: Any, count: int, low: int) -> tuple[int, ...]:
    try:
        items = list(values)
    except TypeError:
        raise ArgumentError(f"{name}: {count} integers are wanted, not {values!r}") from None
    if len(items) != count:
        raise ArgumentError(f"{name}: {count} integers are wanted, not {values!r}")
    result = []
    for item in items:
        # Whole numbers often come as floats, from boxes.
        whole = isinstance(item, float | np.floating) and float(item).is_integer()
        result.append(check_integer(name, int(item) if whole else item, low, 2**31 - 1))
    return tuple(result)
