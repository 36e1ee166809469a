"""The chosen segments cut out of their photos and written to the bank."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter
from empaste_aug.offline.alpha import AlphaConfig, cut_out
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.stages.foregrounds import Choice
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.pool import SegmentPool


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
    """Cut the chosen segments out and add them, photo by photo, a photo's by category id.

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
        for row in sorted(rows, key=lambda row: choices[row].category_id):
            _add(writer, photo, image, found, choices[row], float(quality[row]), alpha)


def _add(
    writer: BankWriter,
    photo: Photo,
    image: NDArray[np.uint8],
    found: Sequence[Segment],
    choice: Choice,
    quality: float,
    config: AlphaConfig,
) -> None:
    rgb, alpha, box = cut_out(image, found[choice.segment].mask(), config)
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
