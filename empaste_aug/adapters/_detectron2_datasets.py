"""detectron2's catalogues: a bank registered as a data set, and the class names of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode

from empaste_aug.adapters._detectron2_masks import encode_rle
from empaste_aug.bank import MaskBank
from empaste_aug.bank.source_photos import photos_of, rows_above
from empaste_aug.imageio import follow_text_link
from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError, DatasetError, Instance


def register_bank_dataset(
    name: str, bank: MaskBank | str | Path, image_root: str | Path, *, min_score: float = 0.0
) -> None:
    """Register a bank's masks, each on the photo it was cut from, as data set `name`.

    The data set has one dict per source photo, in the order of the bank's image table, with the
    photo's cut-outs as annotations: `bbox` tight round the mask, `segmentation` in RLE, and the
    bank's category ids; `thing_classes` are the bank's categories. DatasetMapper takes them with
    ``INPUT.MASK_FORMAT "bitmask"``, as it takes no RLE with polygons; an EMPasteMapper that pastes
    takes them with any of its formats ("cropped" also where it does not paste), though polygons
    cannot hold the holes of masks.

    Everything that can be wrong is checked now; the masks are read when detectron2 asks for them.

    Args:
        name: free in detectron2's DatasetCatalog.
        bank: the bank, or its folder.
        image_root: the folder that the bank's file names are relative to.
        min_score: cut-outs with a lower classifier score are left out; those without score stay.

    Raises:
        ArgumentError: `name` is taken.
        BankError: the bank cannot be opened, or does not know where a cut-out comes from.
        DatasetError: no cut-out is left, or photos are missing.
    """
    if name in DatasetCatalog:
        raise ArgumentError(f"name: a data set {name!r} is already registered")
    bank = bank if isinstance(bank, MaskBank) else MaskBank(bank)
    photos_of(bank, rows_above(bank, min_score), Path(image_root))  # checks them
    DatasetCatalog.register(name, partial(_load, bank, str(image_root), min_score))
    MetadataCatalog.get(name).set(
        thing_classes=list(bank.categories), image_root=str(image_root), bank=str(bank.path)
    )


def _load(bank: MaskBank, image_root: str, min_score: float) -> list[dict[str, Any]]:
    """The dicts in detectron2's standard format."""
    dicts: dict[int, dict[str, Any]] = {}
    for row in rows_above(bank, min_score).tolist():
        entry = bank.index[row]
        height, width = int(entry["source_height"]), int(entry["source_width"])
        image = dicts.setdefault(
            int(entry["image_row"]),
            {
                "file_name": str(follow_text_link(Path(image_root) / str(bank.image_file(row)))),
                "image_id": bank.image_id(row),
                "height": height,
                "width": width,
                "annotations": [],
            },
        )
        cutout = bank[row]
        instance = Instance.from_mask(
            cutout.category_id, cutout.mask, (int(entry["source_x0"]), int(entry["source_y0"]))
        )
        image["annotations"].append(
            {
                "bbox": list(instance.bbox),
                "bbox_mode": BoxMode.XYXY_ABS,
                "category_id": cutout.category_id,
                "segmentation": encode_rle(instance.full_mask(height, width)),
                "iscrowd": 0,
            }
        )
    return [dicts[key] for key in sorted(dicts)]


def shared_thing_classes(dataset_names: Sequence[str]) -> tuple[str, ...] | None:
    """The class names that all these data sets share; None while one has none yet.

    Raises:
        DatasetError: two data sets have different ones.
    """
    found = [MetadataCatalog.get(name).get("thing_classes") for name in dataset_names]
    if not all(found):
        return None
    for name, names in zip(dataset_names, found, strict=True):
        if list(names) != list(found[0]):
            raise DatasetError(
                f"data sets {dataset_names[0]!r} and {name!r}: thing_classes differ: "
                f"{some(found[0])} and {some(names)}"
            )
    return tuple(found[0])
