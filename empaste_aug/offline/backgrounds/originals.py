"""Stages `object_free` and `inpaint`: backgrounds from the data set's own photos."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.offline.backgrounds.candidates import as_png
from empaste_aug.offline.backgrounds.judging import Panel
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.inpaint import inpaint_opencv
from empaste_aug.offline.inpaint_model import DiffusersInpainter
from empaste_aug.offline.scoring import placed_mask
from empaste_aug.offline.seeds import derived_seed
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays, digest_of
from empaste_aug.offline.stages.photos import Photo

MOST_COVERED = 0.5
"""A photo whose objects cover more of it is left out: nothing but a guess would be left."""

Masks = Callable[[Photo], NDArray[np.bool_] | None]
"""Where a photo's objects are, (H, W) bool; None where that is not known of all of them."""


class ObjectFreeStage(PhotoStage):
    """Per photo without labels the judges' ``value`` and ``category``, (judges,).

    Args:
        work: the work folder.
        panel: the judges.
    """

    name: ClassVar[str] = "object_free"

    def __init__(self, work: str | Path, panel: Panel) -> None:
        self.panel = panel
        super().__init__(work, {"judges": panel.settings()})

    def compute(self, photo: Photo) -> Arrays:
        """What the judges see in one photo."""
        value, category = self.panel.look([photo.read()])
        return {"value": value[0], "category": category[0]}


class InpaintStage(PhotoStage):
    """Per photo ``png`` (n,) uint8, the file without the objects, ``value`` and ``category``.

    The file is empty where the objects are not all known, cover too much, or the safety checker
    flagged the result; ``skipped`` () text tells which.

    Args:
        work: the work folder.
        masks: where the objects are.
        told: what the masks come from, as JSON values.
        panel: the judges.
        inpainter: a model; None for OpenCV.
        seed: the run's.
    """

    name: ClassVar[str] = "inpaint"

    def __init__(
        self,
        work: str | Path,
        masks: Masks,
        *,
        told: Any,
        panel: Panel,
        inpainter: DiffusersInpainter | None,
        seed: int,
    ) -> None:
        self.masks = masks
        self.panel = panel
        self.inpainter = inpainter
        self.seed = seed
        config = {
            "masks": told,
            "judges": panel.settings(),
            "inpainter": None if inpainter is None else inpainter.config(),
            "most_covered": MOST_COVERED,
            "seed": seed,
        }
        super().__init__(work, config)

    def token(self, photo: Photo) -> str:
        """The masks are a part of it."""
        mask = self.masks(photo)
        shown = "" if mask is None else hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
        return digest_of([photo.digest, shown])

    def compute(self, photo: Photo) -> Arrays:
        """One photo without its objects."""
        image, skipped = self._filled(photo)
        value = np.zeros(len(self.panel.names), np.float32)
        category = np.zeros(len(value), np.int64)
        if image is not None:
            values, categories = self.panel.look([image])
            value, category = values[0], categories[0]
        return {
            "png": as_png(image),
            "skipped": np.array(skipped),
            "value": value,
            "category": category,
        }

    def image(self, photo: Photo) -> NDArray[np.uint8] | None:
        """The stored image; None where there is none."""
        png = self.load(photo)["png"]
        if not len(png):
            return None
        return np.asarray(
            cv2.cvtColor(cv2.imdecode(png, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8
        )

    def _filled(self, photo: Photo) -> tuple[NDArray[np.uint8] | None, str]:
        mask = self.masks(photo)
        if mask is None:
            return None, "not all objects are known"
        if mask.mean() > MOST_COVERED:
            return None, "objects cover too much"
        if self.inpainter is None:
            return inpaint_opencv(photo.read(), mask), ""
        seed = derived_seed("inpaint", self.seed, photo.name)
        found = self.inpainter(photo.read(), mask, seed=seed)
        return found, "flagged" if found is None else ""


def annotated_masks(dataset: Dataset) -> Masks:
    """The union of all annotated instances, crowd regions included.

    Unknown where a class of the photo has none.
    """

    def masks(photo: Photo) -> NDArray[np.bool_] | None:
        found = set()
        union = np.zeros((photo.image.height, photo.image.width), bool)
        for instance in dataset.instances(photo.image):
            union |= instance.mask
            found.add(instance.category_id)
        return union if set(photo.labels) <= found else None

    return masks


def bank_masks(bank: MaskBank, class_names: list[str]) -> Masks:
    """The union of a bank's masks; unknown where a class of the photo has none in the bank.

    A bank from image-level labels has one mask a class and photo, seldom more: what is left of
    other objects is for the judges to see.
    """
    rows: dict[str, list[int]] = {}
    for row in range(len(bank)):
        image_id = bank.image_id(row)
        if image_id is not None:
            rows.setdefault(image_id, []).append(row)
    names = bank.categories

    def masks(photo: Photo) -> NDArray[np.bool_] | None:
        union = np.zeros((photo.image.height, photo.image.width), bool)
        found = set()
        for row in rows.get(photo.image.image_id, ()):
            placed = placed_mask(bank, row, photo.image)
            union[placed.window()] |= placed.mask
            found.add(names[int(bank.index[row]["category_id"])])
        wanted = {class_names[label] for label in photo.labels}
        return union if wanted <= found else None

    return masks
