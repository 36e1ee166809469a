"""The chosen segments cut out of their photos and written to the bank."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter
from empaste_aug.offline.alpha import AlphaConfig, cut_out
from empaste_aug.offline.crop import MARGIN, margin_box
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.choices import Choice
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool
from empaste_aug.types import ALPHA_THRESHOLD

CutOut = tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int, int, int]]
"""What `cut_out` gives: colours, alpha, and the crop's box in the photo."""


def write_cutouts(
    writer: BankWriter,
    photos: Sequence[Photo],
    choices: Sequence[Choice],
    quality: NDArray[np.float64],
    pool: SegmentPool,
    *,
    alpha: AlphaConfig | None = None,
    progress: bool = True,
) -> None:
    """Cut the chosen segments out and add them, photo by photo, a photo's by category and instance.

    No pixel goes into a further instance that is opaque at all in another cut-out of the photo: its
    mask leaves these pixels out, and its alpha is at most what theirs leaves. So no pixel has the
    mask of both. First instances are cut out whole, and may overlap each other where F-EM chose so.

    A crop is the box of ``alpha >= 128`` with `crop.MARGIN` pixels round it, clipped at the photo's
    border. The image id of an extra photo starts with "extra/", and it has no file name, since it
    lies in another folder.

    Args:
        writer: an open writer.
        photos: those that the choices are on, in the bank's order.
        choices: what to write.
        quality: (len(choices),).
        pool: where the masks come from.
        alpha: how masks become alpha and colours; None for the defaults.
        progress: show a bar on stderr.
    """
    alpha = alpha or AlphaConfig()
    on_photo: dict[str, list[int]] = defaultdict(list)
    for row, choice in enumerate(choices):
        on_photo[choice.photo].append(row)
    for photo in progress_bar(photos, description="bank", unit="photo", show=progress):
        rows = on_photo.get(photo.name, [])
        if not rows:
            continue
        image, found = photo.read(), pool.segments(photo)
        claimed = np.zeros(image.shape[:2], dtype=np.uint8)
        cuts: dict[int, CutOut] = {}
        for row in sorted(rows, key=lambda row: choices[row].instance):
            mask = found[choices[row].segment].mask()
            if choices[row].instance == 0:
                cuts[row] = cut_out(image, mask, alpha)
            else:
                cuts[row] = _cut_beside(image, mask, claimed, alpha)
            _claim(claimed, cuts[row])
        for row in sorted(rows, key=lambda row: (choices[row].category_id, choices[row].instance)):
            _add(writer, photo, cuts[row], choices[row], float(quality[row]))


def _cut_beside(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    claimed: NDArray[np.uint8],
    config: AlphaConfig,
) -> CutOut:
    """As `cut_out`, of what others leave: `claimed` is the greatest alpha at each pixel so far."""
    rgb, alpha, box = cut_out(image, mask & (claimed == 0), config)
    alpha = np.minimum(alpha, 255 - claimed[_window(box)])
    left, top, right, bottom = margin_box(alpha >= ALPHA_THRESHOLD, MARGIN)
    x, y = box[:2]
    inner = slice(top, bottom), slice(left, right)
    box = x + left, y + top, x + right, y + bottom
    return np.ascontiguousarray(rgb[inner]), np.ascontiguousarray(alpha[inner]), box


def _claim(claimed: NDArray[np.uint8], cut: CutOut) -> None:
    _, alpha, box = cut
    window = claimed[_window(box)]
    np.maximum(window, alpha, out=window)


def _window(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    x0, y0, x1, y1 = box
    return slice(y0, y1), slice(x0, x1)


def _add(writer: BankWriter, photo: Photo, cut: CutOut, choice: Choice, quality: float) -> None:
    rgb, alpha, box = cut
    writer.add(
        rgb,
        alpha,
        category_id=choice.category_id,
        score=choice.score,
        quality=quality,
        image_id=photo.name,
        file_name=None if photo.extra else photo.image.file_name,
        source_size=(photo.image.height, photo.image.width),
        source_bbox=box,
        distance=None if math.isnan(choice.distance) else choice.distance,
    )
