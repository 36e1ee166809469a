"""The chosen segments cut out of their photos and written to the bank."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter
from empaste_aug.offline.crop import crop_with_margin
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.stages.foregrounds import Choice
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.proposals import ProposalStage


def write_cutouts(
    writer: BankWriter,
    photos: Sequence[Photo],
    choices: Sequence[Choice],
    quality: NDArray[np.float64],
    proposals: ProposalStage,
    *,
    progress: bool = True,
) -> None:
    """Cut the chosen segments out and add them, photo by photo, a photo's by category id.

    A crop is the mask's box with `crop.MARGIN` pixels of photo round it, clipped at the photo's
    border; alpha is 255 inside the mask, else 0. The image id of an extra photo starts with
    "extra/", and it has no file name, since it lies in another folder.

    Args:
        writer: an open writer.
        photos: those that the choices are on, in the bank's order.
        choices: what to write.
        quality: (len(choices),).
        proposals: where the masks come from.
        progress: show a bar on stderr.
    """
    on_photo: dict[str, list[int]] = defaultdict(list)
    for row, choice in enumerate(choices):
        on_photo[choice.photo].append(row)
    for photo in progress_bar(photos, description="bank", unit="photo", show=progress):
        rows = on_photo.get(photo.name, [])
        if not rows:
            continue
        image, found = photo.read(), proposals.segments(photo)
        for row in sorted(rows, key=lambda row: choices[row].category_id):
            _add(writer, photo, image, found, choices[row], float(quality[row]))


def _add(
    writer: BankWriter,
    photo: Photo,
    image: NDArray[np.uint8],
    found: Sequence[Segment],
    choice: Choice,
    quality: float,
) -> None:
    rgb, alpha, box = crop_with_margin(image, found[choice.segment].mask())
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
