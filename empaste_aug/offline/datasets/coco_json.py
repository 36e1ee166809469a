"""Parsing a COCO instances json, with every fault reported by image or annotation id."""

from __future__ import annotations

import json
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from empaste_aug.offline.datasets.checks import Report, check_class_names
from empaste_aug.offline.datasets.instance_table import (
    StoredInstance,
    encode_segmentation,
    pixel_count,
)
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import DatasetError

_logger = logging.getLogger(__name__)

_BOX_SLACK = 1.0
"""Pixels by which an annotated box may leave the photo; COCO's own reach half a pixel out."""


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An entry of "images": `size` is (height, width), or None where the file does not say."""

    key: Any
    file_name: str
    size: tuple[int, int] | None


class CocoAnnotation(NamedTuple):
    """An entry of "annotations".

    Attributes:
        where: names the file and the annotation, for reports.
        category_id: contiguous.
        entry: as it stands in the file.
        bad: its box is wrong, which has been reported.
    """

    where: str
    category_id: int
    entry: dict[str, Any]
    bad: bool


@dataclass
class CocoFile:
    """A parsed file.

    Attributes:
        path: of the file.
        class_names: contiguous, in the order of the category ids, or as the caller wants them.
        images: those with an id and a file name of their own.
        annotations: those of known classes, by image id.
    """

    path: Path
    class_names: tuple[str, ...]
    images: list[CocoImage]
    annotations: dict[Any, list[CocoAnnotation]]

    def labels(self, key: Any) -> tuple[int, ...]:
        """The ascending contiguous ids of an image's annotations, crowd regions among them."""
        return tuple(sorted({row.category_id for row in self.annotations.get(key, ())}))


def read_coco(path: Path, class_names: Sequence[str] | None, report: Report) -> CocoFile:
    """Read a file and sort its annotations by image.

    Args:
        path: the json file.
        class_names: the order that is wanted; by default that of the category ids.
        report: takes duplicate ids, unknown images and categories, and boxes outside of the image.

    Raises:
        DatasetError: the file is missing, no json, or has not the three lists of a COCO file.
    """
    content = _load(path)
    names, contiguous = _categories(content["categories"], class_names, path, report)
    images = _images(content["images"], path, report)
    sizes = {image.key: image.size for image in images}
    listed = {entry.get("id") for entry in content["images"]}
    by_image: dict[Any, list[CocoAnnotation]] = defaultdict(list)
    seen = set()
    for position, entry in enumerate(content["annotations"]):
        key = entry.get("id")
        where = f"{path} annotation {f'number {position}' if key is None else key}"
        if key is not None and key in seen:
            report.add(where, "duplicate annotation id")
            continue
        seen.add(key)
        image_key = entry.get("image_id")
        if image_key not in sizes:
            if image_key not in listed:  # else the image's own fault is reported
                report.add(where, f"belongs to the unknown image {image_key}")
            continue
        category = contiguous.get(entry.get("category_id"))
        if category is None:
            report.add(where, f"has the unknown category {entry.get('category_id')}")
            continue
        fault = _box_fault(entry.get("bbox"), sizes[image_key])
        if fault is not None:
            report.add(where, fault)
        by_image[image_key].append(CocoAnnotation(where, category, entry, fault is not None))
    return CocoFile(path, names, images, dict(by_image))


def encode_annotations(
    file: CocoFile, sizes: Mapping[Any, tuple[int, int]], report: Report
) -> dict[Any, list[StoredInstance]]:
    """Compress the segmentations of all images in `sizes`, (height, width) by image id.

    A file without any segmentation holds boxes only: it gives an empty dictionary and no problem.
    Segmentations that cover no pixel centre are nothing to match or paste: they are logged as one
    warning and left out; COCO itself has a few.
    """
    pairs = [(key, row) for key in sizes for row in file.annotations.get(key, ()) if not row.bad]
    if not any(row.entry.get("segmentation") for _, row in pairs):
        return {}
    rows: dict[Any, list[StoredInstance]] = defaultdict(list)
    empty = []
    bar = progress_bar(pairs, description="reading annotations", unit="object", delay=2)
    for key, (where, category, entry, _) in bar:
        # Taken out of the entry: of a big file the polygons are most of the memory.
        segmentation = entry.pop("segmentation", None)
        if segmentation is None:
            report.add(where, "has no segmentation, unlike others in the file")
            continue
        try:
            counts = encode_segmentation(segmentation, sizes[key])
        except ValueError as error:
            report.add(where, str(error))
            continue
        if pixel_count(counts, sizes[key]) == 0:
            empty.append(str(entry.get("id")))
            continue
        rows[key].append(StoredInstance(category, counts, bool(entry.get("iscrowd", 0))))
    if empty:
        _logger.warning(
            "%s: %d annotations cover no pixel and are left out of the instances: %s",
            file.path,
            len(empty),
            ", ".join(empty[:20]) + (" ..." if len(empty) > 20 else ""),
        )
    return dict(rows)


def _load(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as json: {error}") from error
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DatasetError(f"{path}: not a COCO instances file: no list of {key}")
    return content  # type: ignore[no-any-return]


def _categories(
    entries: list[dict[str, Any]],
    class_names: Sequence[str] | None,
    path: Path,
    report: Report,
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """The class names, and the contiguous id of each of the file's category ids."""
    by_id: dict[Any, str] = {}
    for entry in entries:
        key, name = entry.get("id"), entry.get("name")
        if not isinstance(key, int) or not isinstance(name, str):
            report.add(f"{path} category {key}", "needs a whole number as id, and a name")
        elif key in by_id or name in by_id.values():
            report.add(f"{path} category {key}", f"duplicate id or name {name!r}")
        else:
            by_id[key] = name
    if class_names is None:
        if not by_id:
            raise DatasetError(f"{path}: has no categories")
        names = tuple(by_id[key] for key in sorted(by_id))
    else:
        names = check_class_names(class_names)
    return names, {key: names.index(name) for key, name in by_id.items() if name in names}


def _images(entries: list[dict[str, Any]], path: Path, report: Report) -> list[CocoImage]:
    images: dict[Any, CocoImage] = {}
    files: set[str] = set()
    for entry in entries:
        key, name = entry.get("id"), entry.get("file_name")
        where = f"{path} image {key}"
        if not isinstance(key, (int, str)) or not isinstance(name, str) or not name:
            report.add(where, "needs an id and a file_name")
        elif key in images:
            report.add(where, "duplicate image id")
        elif name in files:
            report.add(where, f"duplicate file_name {name}")
        elif PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            report.add(where, f"file_name {name} leaves the image folder")
        else:
            size = entry.get("height"), entry.get("width")
            known = all(isinstance(n, int) and n > 0 for n in size)
            images[key] = CocoImage(key, name, size if known else None)  # type: ignore[arg-type]
            files.add(name)
    return list(images.values())


def _box_fault(box: Any, size: tuple[int, int] | None) -> str | None:
    """What is wrong with an XYWH box; boxes are checked only: ours are made from the masks."""
    if box is None or size is None:
        return None
    try:
        x, y, w, h = (float(value) for value in box)
    except (TypeError, ValueError):
        return f"has a box that is no box: {box}"
    height, width = size
    inside = (
        all(math.isfinite(value) for value in (x, y, w, h))
        and min(w, h) >= 0
        and min(x, y) >= -_BOX_SLACK
        and x + w <= width + _BOX_SLACK
        and y + h <= height + _BOX_SLACK
    )
    return None if inside else f"has a box outside of the {width} x {height} image: {box}"
