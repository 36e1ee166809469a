"""Drawing backgrounds from a pool in place of a data set's photos, in the paper's mix."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.checks import check_integer
from empaste_aug.pool.reader import PoolReader
from empaste_aug.types import ArgumentError, Background

FITS = ("cover", "none")

_FROM_KEY = (3,)
"""Sets the generator of a sample's background apart from the one of its pastes."""

_AVERAGED = 0.5  # below this scale, linear interpolation would skip pixels

_LARGEST = 2**31 - 1


class Backgrounds:
    """A pool whose images take the place of a data set's photos, which are then pasted on.

    The adapters take it as `backgrounds`. What replaces a photo has no labels, so that nothing of
    the photo's is left: no object, mask, keypoint or map.

    Drawing and rendering are apart: all randomness ends in a `Background`, and the same one gives
    the same pixels.

    Args:
        pool: an open pool, or its folder, which may be any folder of images.
        probability: the chance with which a photo is replaced, in [0, 1]; or "paper": that of the
            paper's pool (3.2), in which each of the O photos lies twice beside the G images of
            this pool, G / (2 O + G).
        num_originals: O, the number of photos in the data set, for "paper". None: the adapter fills
            it in (only detectron2's can).
        fit: "cover": the image is scaled to cover the photo's size, and cropped at random to
            exactly that size, so that whatever goes by the photo's size stays right; "none": it
            comes in its own size.
        semantic_value: what a semantic map says of its pixels: nothing is known of them, so the
            value that the loss ignores.

    Raises:
        ArgumentError: an argument is out of range.
        PoolError: the pool cannot be opened.

    Example:
        >>> backgrounds = Backgrounds("out/pool", num_originals=5)
        >>> rng = np.random.default_rng(0)
        >>> drawn = [backgrounds.draw(rng) for _ in range(1000)]
        >>> replaced = [background for background in drawn if background is not None]
        >>> backgrounds.render(replaced[0], 48, 64).shape
        (48, 64, 3)
    """

    def __init__(
        self,
        pool: PoolReader | str | os.PathLike[str],
        *,
        probability: float | Literal["paper"] = "paper",
        num_originals: int | None = None,
        fit: Literal["cover", "none"] = "cover",
        semantic_value: int = 255,
    ) -> None:
        self.probability = _checked_probability(probability)
        self.num_originals = (
            None if num_originals is None else _whole("num_originals", num_originals, 0)
        )
        if fit not in FITS:
            raise ArgumentError(f"fit: {fit!r} is none of {FITS}")
        self.fit = fit
        self.semantic_value = _whole("semantic_value", semantic_value, -_LARGEST)
        self.pool = pool if isinstance(pool, PoolReader) else PoolReader(pool)

    @property
    def chance(self) -> float | None:
        """The chance with which a photo is replaced; None while it hangs on `num_originals`."""
        if self.probability != "paper":
            return float(self.probability)
        if self.num_originals is None:
            return None
        return len(self.pool) / (2 * self.num_originals + len(self.pool))

    def with_num_originals(self, num_originals: int) -> Backgrounds:
        """The same for a data set of so many photos.

        Raises:
            ArgumentError: the number is negative, or no integer.
        """
        other = copy(self)
        other.num_originals = _whole("num_originals", num_originals, 0)
        return other

    def draw(self, rng: np.random.Generator) -> Background | None:
        """What takes the photo's place, or None where it stays.

        Args:
            rng: the only source of randomness.

        Raises:
            ArgumentError: `rng` is no Generator; or the chance is not known, see `check_chance`.
        """
        if not isinstance(rng, np.random.Generator):
            raise ArgumentError(
                f"rng: {type(rng).__name__}; expected np.random.Generator, as "
                "np.random.default_rng(0)"
            )
        if rng.random() >= self.check_chance():
            return None
        row = int(rng.integers(len(self.pool)))
        x, y = rng.random(2).tolist()
        return Background(row, (x, y))

    def draw_for(self, seed_key: Sequence[int]) -> Background | None:
        """`draw` for the sample with this seed key.

        The generator follows from the key, but is another one than the pastes have: whether there
        are backgrounds, and which, changes nothing of what is pasted.
        """
        sequence = np.random.SeedSequence(tuple(seed_key), spawn_key=_FROM_KEY)
        return self.draw(np.random.default_rng(sequence))

    def render(self, background: Background, height: int, width: int) -> NDArray[np.uint8]:
        """The image that takes the place of a photo of this size.

        Returns:
            (H, W, 3) uint8 RGB, a new array; with ``fit="cover"``, (height, width, 3).

        Raises:
            ArgumentError: the row is not in the pool, or the size holds no pixel.
            PoolError: the image cannot be read.
        """
        row = operator.index(background.row)
        if not 0 <= row < len(self.pool):
            raise ArgumentError(f"background.row: {row} is no row of {self.pool!r}")
        if self.fit == "none":
            return self.pool.read(row)
        if height < 1 or width < 1:
            raise ArgumentError(f"height, width: {height} x {width} holds no pixel")
        image = self.pool.read(row, min_size=(height, width))
        return cover(image, height, width, background.offset)

    def check_chance(self) -> float:
        """`chance`, where it has to be known.

        Raises:
            ArgumentError: the number of photos is needed, and nobody has said it.
        """
        chance = self.chance
        if chance is None:
            raise ArgumentError(
                "num_originals: the paper's mix needs the number of photos in the data set: give "
                "Backgrounds(pool, num_originals=len(dataset)), or a number as probability"
            )
        return chance

    def options(self) -> dict[str, Any]:
        """The arguments that make it again, as plain values, the pool as its folder."""
        return {
            "pool": str(self.pool.path),
            "probability": self.probability,
            "num_originals": self.num_originals,
            "fit": self.fit,
            "semantic_value": self.semantic_value,
        }

    def __repr__(self) -> str:
        """The pool, the chance and the fit."""
        chance = self.chance
        shown = "unknown" if chance is None else f"{chance:.4g}"
        return f"Backgrounds({self.pool!r}, probability={shown}, fit={self.fit!r})"


def cover(
    image: NDArray[np.uint8], height: int, width: int, offset: tuple[float, float] = (0.5, 0.5)
) -> NDArray[np.uint8]:
    """The image scaled to cover (height, width), and cropped to it.

    Sides keep their proportion but for the rounding of the crop to whole pixels of `image`.

    Args:
        image: (H, W, 3) uint8.
        height, width: of the result.
        offset: (x, y) in [0, 1): where the crop lies in what is left over.

    Returns:
        (height, width, 3) uint8, a new array.
    """
    scale = max(height / image.shape[0], width / image.shape[1])
    crop_height = min(max(round(height / scale), 1), image.shape[0])
    crop_width = min(max(round(width / scale), 1), image.shape[1])
    x = min(int(offset[0] * (image.shape[1] - crop_width + 1)), image.shape[1] - crop_width)
    y = min(int(offset[1] * (image.shape[0] - crop_height + 1)), image.shape[0] - crop_height)
    crop = image[y : y + crop_height, x : x + crop_width]
    if crop.shape[:2] == (height, width):
        return crop.copy()
    method = cv2.INTER_AREA if scale < _AVERAGED else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(crop, (width, height), interpolation=method)
    return resized


def checked_backgrounds(value: Any, *, or_mapping: bool = False) -> Backgrounds | None:
    """An adapter's argument: Backgrounds or None; with `or_mapping` also its arguments.

    Raises:
        ArgumentError: it is neither.
    """
    if value is None or isinstance(value, Backgrounds):
        return value
    if or_mapping and isinstance(value, Mapping):
        return Backgrounds(**value)
    remedy = f": Backgrounds({str(value)!r})" if isinstance(value, (str, os.PathLike)) else ""
    raise ArgumentError(f"backgrounds: {type(value).__name__}; expected Backgrounds{remedy}")


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name}: an integer is wanted, not {value!r}")
    return check_integer(name, value, low, _LARGEST)


def _checked_probability(value: Any) -> float | Literal["paper"]:
    if isinstance(value, str) and value == "paper":
        return "paper"
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not is_number or isinstance(value, bool) or not 0 <= value <= 1:
        raise ArgumentError(f"probability: {value!r} is neither 'paper' nor in [0, 1]")
    return float(value)
