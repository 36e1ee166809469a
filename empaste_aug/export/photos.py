"""What an export pastes on: a data set's annotated photos, a bank's own, or a pool's images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from empaste_aug.bank import MaskBank
from empaste_aug.bank.source_photos import photos_of, rows_above
from empaste_aug.imageio import follow_text_link, read_image
from empaste_aug.offline.datasets import Dataset, LabelledImage
from empaste_aug.offline.datasets.coco import CocoDataset
from empaste_aug.pool import PoolReader
from empaste_aug.types import DatasetError, Instance, Scene


class Photos(Protocol):
    """A map-style source of labelled photos; it must pickle.

    Attributes:
        class_names: contiguous; the instances' category ids are positions in it.
    """

    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """How many photos there are."""

    def scene(self, index: int) -> Scene:
        """One photo and its objects; each one's `source_index` is its position."""

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of one photo, without decoding it."""

    def name(self, index: int) -> str:
        """What one photo is called; no absolute path."""

    def identity(self) -> dict[str, Any]:
        """Plain values that tell these photos from others, wherever they lie."""


class DatasetPhotos:
    """The photos of a data set with its annotated masks, crowd regions included.

    Photos are in the order of the data set; those of COCO files in the numerical order of their
    ids, which is that of detectron2 and of torchvision's CocoDetection.

    Args:
        dataset: has instances; photos whose objects are not known are left out, see `left_out`.
        filter_empty: leave photos out that have no object besides crowd regions, as detectron2's
            ``DATALOADER.FILTER_EMPTY_ANNOTATIONS`` does.

    Raises:
        DatasetError: the data set has no instances, or no photo is left.

    Attributes:
        left_out: how many photos were left out because their objects are not known.
    """

    def __init__(self, dataset: Dataset, *, filter_empty: bool = False) -> None:
        if not dataset.has_instances:
            raise DatasetError(
                f"{dataset.name}: has no masks; its photos' own objects would be unlabelled. Take "
                "a bank's masks of them (BankPhotos)"
            )
        known = [image for image in dataset.images if dataset.is_annotated(image)]
        self.left_out = len(dataset.images) - len(known)
        if filter_empty:
            known = [image for image in known if dataset.object_counts(image).total() > 0]
        if not known:
            raise DatasetError(f"{dataset.name}: no photo with objects is left")
        if isinstance(dataset, CocoDataset):
            known = _numerically(known)
        self.dataset = dataset
        self.class_names = tuple(dataset.class_names)
        self._images: Sequence[LabelledImage] = known

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self._images)

    def scene(self, index: int) -> Scene:
        """One photo and its objects."""
        image = self._images[index]
        instances = [
            Instance.from_mask(
                truth.category_id, truth.mask, crowd=truth.crowd, source_index=position
            )
            for position, truth in enumerate(self.dataset.instances(image))
        ]
        return Scene(read_image(image.path), instances)

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of one photo."""
        return self._images[index].height, self._images[index].width

    def name(self, index: int) -> str:
        """The path relative to the data set's image folder."""
        return self._images[index].file_name

    def identity(self) -> dict[str, Any]:
        """The photos' names, sizes and labels, hashed."""
        lines = ((i.file_name, i.height, i.width, i.labels) for i in self._images)
        return {"kind": "dataset", "number": len(self), "sha256": _hash(lines)}


class BankPhotos:
    """The photos that a bank was cut from, with its masks as their labels (pseudo-labels).

    The photos, their order and their objects are those of `register_bank_dataset`.

    Args:
        bank: the bank, or its folder.
        image_root: the folder that the bank's file names are relative to.
        min_score: cut-outs with a lower classifier score are left out; those without score stay.

    Raises:
        BankError: the bank cannot be opened, or does not know where a cut-out comes from.
        DatasetError: no cut-out is left, or photos are missing.
    """

    def __init__(
        self, bank: MaskBank | str | Path, image_root: str | Path, *, min_score: float = 0.0
    ) -> None:
        self.bank = bank if isinstance(bank, MaskBank) else MaskBank(bank)
        self.image_root = Path(image_root)
        self.min_score = float(min_score)
        self.class_names = tuple(self.bank.categories)
        self._rows = photos_of(self.bank, rows_above(self.bank, self.min_score), self.image_root)

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self._rows)

    def scene(self, index: int) -> Scene:
        """One photo and the bank's masks of it."""
        instances = []
        for position, row in enumerate(self._rows[index]):
            cutout, entry = self.bank[row], self.bank.index[row]
            offset = int(entry["source_x0"]), int(entry["source_y0"])
            instances.append(
                Instance.from_mask(cutout.category_id, cutout.mask, offset, source_index=position)
            )
        path = follow_text_link(self.image_root / self.name(index))
        image = read_image(path)
        if image.shape[:2] != self.size(index):
            raise DatasetError(
                f"{path}: is {image.shape[:2]} (height, width), the bank's photo was "
                f"{self.size(index)}"
            )
        return Scene(image, instances)

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of one photo."""
        entry = self.bank.index[self._rows[index][0]]
        return int(entry["source_height"]), int(entry["source_width"])

    def name(self, index: int) -> str:
        """The path relative to `image_root`."""
        return str(self.bank.image_file(self._rows[index][0]))

    def identity(self) -> dict[str, Any]:
        """The photos' names and rows of the bank, hashed."""
        lines = ((self.name(i), rows) for i, rows in enumerate(self._rows))
        return {"kind": "bank", "number": len(self), "sha256": _hash(lines)}


class PoolPhotos:
    """The images of a pool, or of a folder, which show no object: all labels are pasted ones.

    Args:
        pool: an open pool, or its folder.
        class_names: of the classes that are pasted.

    Raises:
        PoolError: the pool cannot be opened.
    """

    def __init__(self, pool: PoolReader | str | Path, class_names: Iterable[str]) -> None:
        self.pool = pool if isinstance(pool, PoolReader) else PoolReader(pool)
        self.class_names = tuple(class_names)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.pool)

    def scene(self, index: int) -> Scene:
        """One image, in its own size."""
        return Scene(read_image(self.pool.file_name(index)))

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of one image."""
        return self.pool.size(index)

    def name(self, index: int) -> str:
        """The pool's key of the image."""
        return str(self.pool.provenance(index)["key"])

    def identity(self) -> dict[str, Any]:
        """The images' keys and sizes, hashed."""
        return {"kind": "pool", **pool_identity(self.pool)}


def pool_identity(pool: PoolReader) -> dict[str, Any]:
    """Plain values that tell a pool from others, wherever it lies."""
    lines = ((pool.provenance(row)["key"], *pool.size(row)) for row in range(len(pool)))
    return {"number": len(pool), "sha256": _hash(lines)}


def _hash(lines: Iterable[Sequence[Any]]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{tuple(line)!r}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _numerically(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """In the order of their ids as numbers; as they are, where an id is none."""
    try:
        return sorted(images, key=lambda image: int(image.image_id))
    except ValueError:
        return list(images)
