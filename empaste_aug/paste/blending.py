"""Blending modes and their combinations: how a patch becomes part of the image."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels.blend import gaussian_paste
from empaste_aug.kernels.poisson import poisson_paste
from empaste_aug.paste.render import Patch
from empaste_aug.types import ArgumentError

BLENDS = ("gaussian", "none", "poisson")


@lru_cache(maxsize=256)
def parse_blend(blend: str) -> tuple[tuple[str, float], ...]:
    """The modes of a blending and their weights, which sum to 1.

    One of `BLENDS`, or a weighted mean of several, as ``"gaussian+poisson"`` (equal weights) or
    ``"0.3*gaussian+0.7*poisson"``.

    Raises:
        ArgumentError: a mode is unknown, or a weight is not a positive number.
    """
    weights = []
    for term in blend.split("+"):
        factor, star, mode = term.rpartition("*")
        if mode.strip() not in BLENDS:
            raise ArgumentError(f"blend: {blend!r}: {mode.strip()!r} is none of {BLENDS}")
        try:
            weight = float(factor) if star else 1.0
        except ValueError:
            weight = 0.0
        if not 0 < weight < float("inf"):
            raise ArgumentError(f"blend: {blend!r}: {factor!r} is not a positive number")
        weights.append((mode.strip(), weight))
    total = sum(weight for _, weight in weights)
    return tuple((mode, weight / total) for mode, weight in weights)


def paint(image: NDArray[np.uint8], patch: Patch) -> None:
    """Blend a patch into the image, in place, as its placement says.

    "none" is a hard edge; "gaussian" takes the object's shape blurred by 5x5, sigma 2, as opacity
    (the constants of the paper's predecessor); "poisson" keeps the object's gradients and takes
    the photo's colours at its outline (see `kernels.poisson`).

    Args:
        image: (H, W, 3) uint8 RGB, C-contiguous.
        patch: what to paint.
    """
    modes = parse_blend(patch.placement.blend)
    if len(modes) == 1:
        _paint_mode(image, patch, modes[0][0])
        return
    (rows, columns), _ = patch.window(*image.shape[:2])
    window = image[rows, columns]
    inside = replace(patch, x=patch.x - columns.start, y=patch.y - rows.start)
    mean = np.zeros(window.shape, np.float32)
    for mode, weight in modes:
        blended = window.copy()
        _paint_mode(blended, inside, mode)
        mean += np.float32(weight) * blended
    np.rint(mean, out=mean)
    window[...] = mean.astype(np.uint8)


def _paint_mode(image: NDArray[np.uint8], patch: Patch, mode: str) -> None:
    """Blend a patch into the image in one mode."""
    if mode == "gaussian":
        gaussian_paste(image, patch.rgb, patch.shape, patch.x, patch.y, patch.keep)
    elif mode == "poisson":
        poisson_paste(image, patch.rgb, patch.shape, patch.x, patch.y, patch.keep)
    else:
        image_window, patch_window = patch.window(*image.shape[:2])
        hit = patch.mask[patch_window]
        image[image_window][hit] = patch.rgb[patch_window][hit]
