"""A sheet of pasted samples, to look at before training on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.draw import contact_sheet, draw_scene
from empaste_aug.imageio import read_image
from empaste_aug.offline.datasets import Dataset, LabelledImage
from empaste_aug.paste import EMPaste
from empaste_aug.paste.select import map_categories
from empaste_aug.types import ArgumentError, DatasetError, Instance, Scene

Originals = Literal["bank", "truth", "none"]


def preview_sheet(
    paste: EMPaste,
    dataset: Dataset,
    *,
    number: int = 12,
    seed: int = 0,
    originals: Originals = "bank",
    columns: int = 4,
    annotated: bool = True,
) -> tuple[NDArray[np.uint8], list[Scene]]:
    """Paste on randomly chosen photos of a data set and draw the result.

    Args:
        paste: the augmentation; its classes are mapped to the data set's by name.
        dataset: where the photos come from.
        number: how many samples, at most one per photo.
        seed: of the choice of photos and of the pastes.
        originals: the labelled objects of the photos: the bank's own masks of them ("bank", what
            pseudo-label training sees), the data set's annotations ("truth"), or "none".
        columns: of the sheet.
        annotated: draw masks, boxes and class names; otherwise the bare images.

    Returns:
        The sheet, (H, W, 3) uint8 RGB, and the pasted scenes in its order.

    Raises:
        ArgumentError: `originals` is unknown, the classes do not match, or there is no photo.
        DatasetError: "truth" is asked of a data set without instances.
    """
    if originals == "truth" and not dataset.has_instances:
        raise DatasetError(f"{dataset.name}: has no instances to draw as originals")
    if originals not in ("bank", "truth", "none"):
        raise ArgumentError(f"originals: {originals!r} is none of 'bank', 'truth', 'none'")
    if number < 1 or not dataset.images:
        raise ArgumentError(f"number: {number} samples of {len(dataset.images)} photos")
    paste = paste.with_class_names(dataset.class_names)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(dataset.images))[:number]
    in_bank = _Bank(paste, dataset.class_names) if originals == "bank" else None
    scenes, pictures = [], []
    for position in chosen:
        image = dataset.images[int(position)]
        if originals == "truth":
            instances = _truth(dataset, image)
        else:
            instances = in_bank.instances(image.image_id) if in_bank else []
        scene = paste(Scene(read_image(image.path), instances), rng)
        scenes.append(scene)
        pictures.append(draw_scene(scene, dataset.class_names) if annotated else scene.image)
    return contact_sheet(pictures, columns=columns), scenes


class _Bank:
    """The bank's masks by photo, as instances with the data set's category ids."""

    def __init__(self, paste: EMPaste, class_names: Sequence[str]) -> None:
        self._bank: MaskBank = paste.bank
        self._categories = map_categories(
            self._bank.categories, class_names, paste.category_map, paste.exclude
        )
        self._rows: dict[str | None, list[int]] = defaultdict(list)
        for row in range(len(self._bank)):
            self._rows[self._bank.image_id(row)].append(row)

    def instances(self, image_id: str) -> list[Instance]:
        found = []
        for row in self._rows.get(image_id, []):
            cutout = self._bank[row]
            category = int(self._categories[cutout.category_id])
            if category < 0:
                continue
            entry = self._bank.index[row]
            offset = (int(entry["source_x0"]), int(entry["source_y0"]))
            found.append(Instance.from_mask(category, cutout.mask, offset))
        return found


def _truth(dataset: Dataset, image: LabelledImage) -> list[Instance]:
    return [
        Instance.from_mask(truth.category_id, truth.mask, crowd=truth.crowd)
        for truth in dataset.instances(image)
    ]
