"""F-EM's masks of the study's photos, published: every run, anywhere, reads the very same ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.bank import MaskBank
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.datasets import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.datasets.instance_table import InstanceTable, StoredInstance
from empaste_aug.offline.from_masks import bank_from_masks
from empaste_aug.types import DatasetError, Instance

MASKS = Path(__file__).with_name("study_masks.jsonl")
"""A line a mask: `image_id`, `class`, `quality`, `banks` that hold it, `size`, `counts` (COCO's
compressed RLE of the whole photo)."""


def write_masks(banks: Mapping[str, Path], path: Path = MASKS) -> None:
    """Write what these banks hold, a mask that several of them hold once.

    Args:
        banks: name -> folder.
        path: of the file; what it holds of other banks stays.
    """
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, folder in banks.items():
        bank = MaskBank(folder)
        for row in range(len(bank)):
            line = _line(bank, row)
            key = (line["image_id"], line["class"], line["counts"])
            found.setdefault(key, line)["banks"].append(name)
    kept = [line for line in read_masks(path) if not banks.keys() & set(line["banks"])]
    lines = [json.dumps(line) for line in [*kept, *found.values()]]
    path.write_text("".join(f"{line}\n" for line in lines))


def read_masks(path: Path = MASKS) -> list[dict[str, Any]]:
    """The lines of the file; none where it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def bank_of_masks(name: str, dataset: Dataset, output: Path, path: Path = MASKS) -> None:
    """Make a bank of its published masks, with soft edges as `build_bank` makes them.

    Args:
        name: of the bank, in the lines' `banks`.
        dataset: with the photos of all these masks.
        output: the bank's folder; what is there is replaced.
        path: of the file.

    Raises:
        DatasetError: the file has no such bank, or a mask of a photo that the data set has not.
    """
    lines = [line for line in read_masks(path) if name in line["banks"]]
    if not lines:
        raise DatasetError(f"{path}: has no mask of the bank {name!r}; `masks` makes them")
    published = PublishedMasks(dataset, lines)
    bank_from_masks(published, output, alpha=AlphaConfig(), overwrite=True)


class PublishedMasks(Dataset):
    """The photos of a data set with published masks as their objects.

    Args:
        dataset: the photos and classes.
        lines: of the file; their order is that of the objects.

    Raises:
        DatasetError: a line's photo is not in the data set.
    """

    def __init__(self, dataset: Dataset, lines: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(
            dataset.name, dataset.class_names, dataset.images, dataset.image_root, dataset.problems
        )
        rows: dict[str, list[StoredInstance]] = defaultdict(list)
        for line in lines:
            category_id = self.class_names.index(line["class"])
            rows[line["image_id"]].append(
                StoredInstance(category_id, line["counts"].encode(), crowd=False)
            )
        unknown = rows.keys() - {image.image_id for image in dataset.images}
        if unknown:
            raise DatasetError(f"{dataset.name}: has no photo {sorted(unknown)[0]!r}")
        sizes = {image.image_id: (image.height, image.width) for image in dataset.images}
        self._masks = InstanceTable(rows, sizes)

    @property
    def has_instances(self) -> bool:
        """Whether there is any mask."""
        return len(self._masks) > 0

    def instances(self, image: LabelledImage) -> list[GroundTruth]:
        """The photo's masks in the order of the lines."""
        return self._masks.decode(image.image_id)

    def ignored(self, image: LabelledImage) -> NDArray[np.bool_] | None:  # noqa: ARG002
        """None: all pixels count."""
        return None


def _line(bank: MaskBank, row: int) -> dict[str, Any]:
    entry, cutout = bank.index[row], bank[row]
    size = int(entry["source_height"]), int(entry["source_width"])
    corner = int(entry["source_x0"]), int(entry["source_y0"])
    mask = Instance.from_mask(cutout.category_id, cutout.mask, corner).full_mask(*size)
    return {
        "image_id": bank.image_id(row),
        "class": bank.categories[cutout.category_id],
        "quality": round(float(entry["quality"]), 4),
        "banks": [],
        "size": list(size),
        "counts": coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode(),
    }
