"""COCO's truth and results brought into the form in which they are matched: see `instance_ap`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

_NEEDED = {"segm": "segmentation", "bbox": "bbox"}


@dataclass(frozen=True, slots=True, eq=False)
class CocoParts:
    """The truth, its images, classes and annotations numbered from 1.

    (pycocotools takes the annotation 0 for "no match".)

    Attributes:
        class_names: of the classes or the groups.
        image_ids: the images' own ids; image k of these has the number k + 1.
        images: dicts of id, height and width.
        annotations: dicts that pycocotools takes, their areas scaled.
        counts: (classes,) int64: the objects that are neither crowd nor ignored.
        scales: (images,) the factor on areas.
        numbers: category id of the file -> number of the class or group; others are left out.
        left_out: the category ids that are in no group.
    """

    class_names: tuple[str, ...]
    image_ids: tuple[Any, ...]
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    counts: NDArray[np.int64]
    scales: NDArray[np.float64]
    numbers: dict[Any, int]
    left_out: frozenset[Any]


VOID = "empaste_void"
"""Marks a crowd region that is made of a photo's void pixels. It excuses masks that lie there; its
box would excuse nearly every box, since VOC draws void outlines round all objects."""


def read_truth(
    truth: Any,
    iou_type: str,
    groups: Mapping[str, Sequence[str]] | None,
    long_side: float | None,
) -> CocoParts:
    """The content of a COCO instances json.

    Raises:
        DatasetError: something that is needed is missing.
        ArgumentError: a group names an unknown class, or two groups name the same one.
    """
    if not isinstance(truth, Mapping) or any(
        not isinstance(truth.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise DatasetError("truth: needs the lists images, annotations and categories of COCO")
    for key in ("images", "annotations", "categories"):
        if not all(isinstance(entry, Mapping) for entry in truth[key]):
            raise DatasetError(f"truth: {key} holds something else than dicts")
    class_names, numbers = _numbers(truth["categories"], groups)
    images, scales, image_ids = [], [], []
    for entry in truth["images"]:
        if not {"id", "height", "width"} <= entry.keys():
            raise DatasetError(f"truth: image {entry.get('id')!r} needs id, height and width")
        image_ids.append(entry["id"])
        images.append({"id": len(image_ids), "height": entry["height"], "width": entry["width"]})
        larger = max(entry["height"], entry["width"])
        scales.append(1.0 if long_side is None else (long_side / larger) ** 2)
    if not images:
        raise DatasetError("truth: has no images")
    places = {image_id: place for place, image_id in enumerate(image_ids)}
    known = {entry["id"] for entry in truth["categories"]}
    counts = np.zeros(len(class_names), dtype=np.int64)
    annotations: list[dict[str, Any]] = []
    for entry in truth["annotations"]:
        what = f"truth: annotation {entry.get('id')!r}"
        place = places.get(entry.get("image_id"))
        if place is None or entry.get("category_id") not in known:
            raise DatasetError(f"{what} has an unknown image_id or category_id")
        number = numbers.get(entry["category_id"])
        if number is None or (iou_type == "bbox" and entry.get(VOID)):
            continue
        needed = _NEEDED[iou_type]
        if entry.get(needed) is None or entry.get("area") is None:
            raise DatasetError(f"{what} has no {needed} or no area")
        crowd, ignore = int(entry.get("iscrowd", 0)), int(entry.get("ignore", 0))
        counts[number - 1] += not (crowd or ignore)
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": place + 1,
                "category_id": number,
                "area": float(entry["area"]) * scales[place],
                "iscrowd": crowd,
                "ignore": ignore,
                needed: entry[needed],
            }
        )
    return CocoParts(
        class_names=class_names,
        image_ids=tuple(image_ids),
        images=images,
        annotations=annotations,
        counts=counts,
        scales=np.asarray(scales),
        numbers=numbers,
        left_out=frozenset(known - numbers.keys()),
    )


def read_results(
    results: Sequence[Mapping[str, Any]], parts: CocoParts, iou_type: str
) -> list[dict[str, Any]]:
    """Predictions as pycocotools takes them; those of classes in no group are left out.

    Raises:
        ArgumentError: they are no list of predictions, an image or category is not in the truth,
            or what `iou_type` needs is missing.
    """
    if isinstance(results, (Mapping, str, bytes)) or not isinstance(results, Iterable):
        holding = f" with {some(list(results))}" if isinstance(results, Mapping) else ""
        raise ArgumentError(
            f"results: {type(results).__name__}{holding}; expected a list of predictions in "
            "COCO's result format"
        )
    places = {image_id: place for place, image_id in enumerate(parts.image_ids)}
    needed = _NEEDED[iou_type]
    found: list[dict[str, Any]] = []
    for position, entry in enumerate(results):
        what = f"results: entry {position}"
        if not isinstance(entry, Mapping):
            raise ArgumentError(f"{what} is {type(entry).__name__}, not a dict of a prediction")
        place = places.get(entry.get("image_id"))
        if place is None:
            raise ArgumentError(f"{what} has the unknown image_id {entry.get('image_id')!r}")
        category = entry.get("category_id")
        if category in parts.left_out:
            continue
        if category not in parts.numbers:
            raise ArgumentError(f"{what} has the unknown category_id {category!r}")
        if entry.get(needed) is None or entry.get("score") is None:
            raise ArgumentError(f"{what} has no {needed} or no score")
        if iou_type == "segm" and not isinstance(entry[needed], Mapping):
            raise ArgumentError(f"{what} has a segmentation that is no RLE")
        area = _area(entry[needed], iou_type)
        found.append(
            {
                "id": len(found) + 1,
                "image_id": place + 1,
                "category_id": parts.numbers[category],
                "score": float(entry["score"]),
                "area": area * float(parts.scales[place]),
                "iscrowd": 0,
                "ignore": 0,
                needed: entry[needed],
            }
        )
    return found


def as_pycocotools(parts: CocoParts, annotations: list[dict[str, Any]]) -> Any:
    """A COCO object of these annotations, which may be none."""
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise MissingDependencyError("pycocotools", "detectron2", "average precision") from error
    with redirect_stdout(StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": parts.images,
            "annotations": annotations,
            "categories": [
                {"id": number, "name": name}
                for number, name in enumerate(parts.class_names, start=1)
            ],
        }
        coco.createIndex()
    return coco


def _area(value: Any, iou_type: str) -> float:
    if iou_type == "bbox":
        return float(value[2]) * float(value[3])
    from pycocotools import mask

    return float(mask.area(value))


def _numbers(
    categories: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]] | None
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """The names of classes or groups, and their number for each category id."""
    if any(not {"id", "name"} <= entry.keys() for entry in categories) or not categories:
        raise DatasetError("truth: needs categories with id and name")
    ordered = sorted(categories, key=lambda entry: entry["id"])
    if groups is None:
        names = tuple(str(entry["name"]) for entry in ordered)
        return names, {entry["id"]: number for number, entry in enumerate(ordered, start=1)}
    ids = {str(entry["name"]): entry["id"] for entry in ordered}
    numbers: dict[Any, int] = {}
    for number, (group, members) in enumerate(groups.items(), start=1):
        for name in members:
            if name not in ids:
                raise ArgumentError(
                    f"groups: {group!r} has the unknown class {name!r}; there are {some(list(ids))}"
                )
            if ids[name] in numbers:
                raise ArgumentError(f"groups: {name!r} is in more than one group")
            numbers[ids[name]] = number
    if not numbers:
        raise ArgumentError("groups: no group has a class")
    return tuple(groups), numbers
