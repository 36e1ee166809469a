"""Photos with boxes for instances, and banks of such boxes, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.types import tight_box

SIZE = (40, 60)
Mask = NDArray[np.bool_]


@dataclass(kw_only=True)
class MemoryDataset(Dataset):
    """Instances given as they are; photos that `truths` does not name have none known."""

    truths: dict[str, list[GroundTruth]] = field(default_factory=dict)
    void: dict[str, Mask] = field(default_factory=dict)

    @property
    def has_instances(self) -> bool:
        return bool(self.truths)

    def is_annotated(self, image: LabelledImage) -> bool:
        return image.image_id in self.truths

    def instances(self, image: LabelledImage) -> list[GroundTruth]:
        return self.truths[image.image_id]

    def ignored(self, image: LabelledImage) -> Mask | None:
        return self.void.get(image.image_id)


def box(x0: int, y0: int, x1: int, y1: int) -> Mask:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def truth(category: int, mask: Mask, *, crowd: bool = False) -> GroundTruth:
    tight = tight_box(mask)
    assert tight is not None
    return GroundTruth(category, mask, tight, crowd)


def make_dataset(
    labels: dict[str, Sequence[int]],
    truths: dict[str, list[GroundTruth]],
    void: dict[str, Mask] | None = None,
) -> MemoryDataset:
    images = [
        LabelledImage(key, Path(f"{key}.jpg"), f"{key}.jpg", tuple(ids), *SIZE)
        for key, ids in sorted(labels.items())
    ]
    return MemoryDataset(
        name="memory",
        class_names=("cat", "dog", "cow"),
        images=images,
        image_root=Path(),
        truths=truths,
        void=void or {},
    )


def write_bank(
    path: Path,
    masks: Sequence[tuple[str, int, Mask]],
    categories: Sequence[str] = ("cat", "dog", "cow"),
    margin: int = 2,
    qualities: Sequence[float] | None = None,
    scores: Sequence[float] | None = None,
) -> MaskBank:
    with BankWriter(path, categories=list(categories), codec="raw") as writer:
        for k, (image_id, category, mask) in enumerate(masks):
            tight = tight_box(mask)
            assert tight is not None
            x0, y0, x1, y1 = (int(v) for v in tight)
            x0, y0 = max(x0 - margin, 0), max(y0 - margin, 0)
            x1, y1 = min(x1 + margin, mask.shape[1]), min(y1 + margin, mask.shape[0])
            inside = mask[y0:y1, x0:x1]
            writer.add(
                np.zeros((*inside.shape, 3), np.uint8),
                np.where(inside, np.uint8(128), np.uint8(127)),  # the threshold's two sides
                category_id=category,
                score=0.5 if scores is None else scores[k],
                quality=float("nan") if qualities is None else qualities[k],
                image_id=image_id,
                source_size=(mask.shape[0], mask.shape[1]),
                source_bbox=(x0, y0, x1, y1),
            )
    return MaskBank(path)
