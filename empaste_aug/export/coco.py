"""A sample as entries of a COCO json, with where its objects come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pycocotools.mask as masks
from numpy.typing import NDArray

from empaste_aug.adapters._detectron2_masks import mask_to_polygons
from empaste_aug.bank import MaskBank
from empaste_aug.export.options import Segmentation
from empaste_aug.export.photos import PoolPhotos
from empaste_aug.export.sample import ExportSample, ExportStream
from empaste_aug.types import DatasetError, Instance, Placement

Entry = dict[str, Any]

CUTOUT_KEY = "empaste_cutout_id"
"""The bank's row of a pasted object; the adapter for detectron2 calls it so in its dicts too."""


def categories(class_names: tuple[str, ...]) -> list[Entry]:
    """The json's categories: ids from 1 on, in the order of the class names."""
    return [{"id": number, "name": name} for number, name in enumerate(class_names, start=1)]


def image_entry(sample: ExportSample, stream: ExportStream, file_name: str) -> Entry:
    """The json's entry of the image, and where it comes from under "empaste".

    `file_name` is relative to the folder of images. The id is the position in the stream.
    """
    scene, record = sample.scene, sample.scene.record
    assert record is not None
    source: Entry = {
        "seed_key": list(record.seed_key or ()),
        **_place(sample, stream),
        "skipped": [{"cutout_id": int(s.cutout_id), "reason": s.reason} for s in record.skipped],
        "dropped": [{"position": int(d.position), "reason": d.reason} for d in record.dropped],
    }
    return {
        "id": sample.position,
        "file_name": file_name,
        "height": scene.height,
        "width": scene.width,
        "empaste": source,
    }


def _place(sample: ExportSample, stream: ExportStream) -> Entry:
    """The photo, and the background that is in its place; of a pool alone, just the background."""
    name, index, background = stream.photos.name(sample.index), int(sample.index), sample.background
    place: Entry = {"photo": name, "photo_index": index, "background": None}
    if isinstance(stream.photos, PoolPhotos):
        whole = {"row": index, "key": name, "offset": None}
        place = {"photo": None, "photo_index": None, "background": whole}
    if background is not None:
        assert stream.backgrounds is not None
        place["background"] = {
            "row": int(background.row),
            "key": stream.backgrounds.pool.provenance(background.row)["key"],
            "offset": [float(value) for value in background.offset],
        }
    return place


def annotation_entries(
    sample: ExportSample, bank: MaskBank, segmentation: Segmentation
) -> tuple[list[Entry], int]:
    """The entries of the objects, without ids, and how many of them had holes that were filled.

    Raises:
        DatasetError: an object has no mask.
    """
    scene = sample.scene
    assert scene.record is not None
    placements = iter(scene.record.placements)
    entries, filled = [], 0
    for instance in scene.instances:
        if instance.mask is None:
            raise DatasetError(
                f"position {sample.position}: an object has no mask, but only a box; COCO's json "
                "of instances needs one"
            )
        shape, area, is_filled = _segmentation(
            instance, scene.height, scene.width, "rle" if instance.crowd else segmentation
        )
        filled += is_filled
        x0, y0, x1, y1 = instance.bbox
        entry = {
            "image_id": sample.position,
            "category_id": int(instance.category_id) + 1,
            "bbox": [_number(value) for value in (x0, y0, x1 - x0, y1 - y0)],
            "area": area,
            "iscrowd": int(instance.crowd),
            "segmentation": shape,
        }
        if instance.cutout_id is None:
            entry["empaste_original"] = instance.source_index
        else:
            entry[CUTOUT_KEY] = int(instance.cutout_id)
            entry["empaste_source"] = bank.image_id(instance.cutout_id)
            entry["empaste_placement"] = _placement(next(placements))
        entries.append(entry)
    return entries, filled


def _segmentation(
    instance: Instance, height: int, width: int, segmentation: Segmentation
) -> tuple[Any, int, bool]:
    """The mask in COCO's form, its area in pixels, and whether holes had to be filled."""
    assert instance.mask is not None
    area = int(np.count_nonzero(instance.mask))
    if segmentation == "rle":
        return _rle(instance.mask, instance.mask_offset, height, width), area, False
    polygons, filled = mask_to_polygons(instance.mask, instance.mask_offset)
    if filled:
        area = int(masks.area(masks.merge(masks.frPyObjects(polygons, height, width))))
    return [_numbers(polygon) for polygon in polygons], area, filled


def _rle(mask: NDArray[np.bool_], offset: tuple[int, int], height: int, width: int) -> Entry:
    """COCO's compressed form, whose runs go down the columns: as the array does that it is of."""
    full = np.zeros((height, width), dtype=np.uint8, order="F")
    x, y = offset
    full[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return {"size": [height, width], "counts": masks.encode(full)["counts"].decode("ascii")}


def _placement(placement: Placement) -> Entry:
    return {
        "center": [float(value) for value in placement.center],
        "scale": float(placement.scale),
        "angle": float(placement.angle),
        "flip": bool(placement.flip),
        "blend": placement.blend,
    }


def _numbers(values: NDArray[np.float64]) -> list[float | int]:
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | int:
    """A whole number without its ".0", which a large file has millions of."""
    return int(value) if float(value).is_integer() else float(value)
