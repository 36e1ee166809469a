"""A plain folder of photos with a labels file, and COCO instances where it has some."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from empaste_aug.imageio import EXTENSIONS, follow_text_link
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.datasets.checks import (
    Check,
    Report,
    check_class_names,
    photo_sizes,
    resolve,
)
from empaste_aug.offline.datasets.coco_json import encode_annotations, read_coco
from empaste_aug.offline.datasets.instance_table import InstanceTable
from empaste_aug.offline.datasets.labels_file import read_labels
from empaste_aug.types import DatasetError

_logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class FolderDataset(Dataset):
    """Photos in a folder; `table` holds the instances, None where there is no file of them."""

    table: InstanceTable | None

    @property
    def has_instances(self) -> bool:
        """Whether there is an instances file with segmentations."""
        return self.table is not None and len(self.table) > 0

    def is_annotated(self, image: LabelledImage) -> bool:
        """Whether the instances file lists the photo."""
        return self.table is not None and self.has_instances and image.image_id in self.table

    def instances(self, image: LabelledImage) -> list[GroundTruth]:
        """The photo's objects and crowd regions, in the order of the instances file."""
        return [] if self.table is None else self.table.decode(image.image_id)

    def object_counts(self, image: LabelledImage) -> Counter[int]:
        """Objects per category id, without crowd regions; decodes nothing."""
        return Counter() if self.table is None else self.table.counts(image.image_id)

    def ignored(self, image: LabelledImage) -> NDArray[np.bool_] | None:  # noqa: ARG002
        """None: all pixels count."""
        return None


def load_folder(
    root: str | Path,
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    annotations: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    skip_bad: bool = False,
    check: Check = "decode",
) -> FolderDataset:
    """Load a folder of photos, searched through with its subfolders.

    Photos that the labels file does not name are kept, without labels, and a logged warning counts
    them. An image's id is its relative path without suffix, with "__" for each slash.

    Args:
        root: the folder that the defaults and relative paths are looked for under.
        images: the folder of photos; by default root/images where there is one, else root.
        labels: the labels file (`labels_file.read_labels` has its forms); by default
            root/labels.json or root/labels.csv.
        annotations: a COCO json, for evaluation only: no label is taken from it. By default
            root/instances.json where there is one. It names photos by `file_name` and classes by
            category name.
        class_names: by default the classes of the labels file in alphabetical order.
        skip_bad: leave bad photos, labels and annotations out, and list them in `problems`.
        check: "decode" reads the photos whole; "header" only opens them.

    Raises:
        DatasetError: there are no photos or no labels, or files are bad and `skip_bad` is False.
    """
    root = Path(root)
    folder = _image_folder(root, images)
    labels_path = _labels_path(root, labels)
    report = Report(root.resolve().name)
    wanted = read_labels(labels_path, report)
    found = {
        path.relative_to(folder).as_posix(): follow_text_link(path) for path in _photos(folder)
    }
    for name in wanted.keys() - found.keys():
        if (folder / name).is_file():
            found[name] = folder / name  # with a suffix of its own
    if not found:
        raise DatasetError(f"{folder}: holds no photo ({', '.join(sorted(EXTENSIONS))})")
    for name in sorted(wanted.keys() - found.keys()):
        report.add(folder / name, f"no such file, though {labels_path.name} names it")

    unnamed = sorted(found.keys() - wanted.keys())
    if unnamed:
        _logger.warning(
            "%s does not name %d photos of %s, such as %s: they count as photos without any class",
            labels_path,
            len(unnamed),
            folder,
            unnamed[0],
        )

    if class_names is None:
        names = tuple(sorted({name for classes in wanted.values() for name in classes}))
        if not names:
            raise DatasetError(f"{labels_path}: names no class")
    else:
        names = check_class_names(class_names)
    files = sorted(found)
    sizes = photo_sizes([found[name] for name in files], report, check=check)
    entries: dict[str, LabelledImage] = {}
    for name, size in zip(files, sizes, strict=True):
        if size is None:
            continue
        image_id = "__".join(PurePosixPath(name).with_suffix("").parts)
        if image_id in entries:
            other = entries[image_id].file_name
            report.add(found[name], f"duplicate image id {image_id}: {other} has it too")
            continue
        ids = _label_ids(wanted.get(name, ()), names, f"{labels_path} entry {name}", report)
        entries[image_id] = LabelledImage(image_id, found[name], name, ids, *size)

    instances = root / "instances.json" if annotations is None else resolve(root, annotations)
    table = None
    if annotations is not None or instances.is_file():
        table = _read_instances(instances, names, entries, report)
    return FolderDataset(
        name=report.name,
        class_names=names,
        images=[entries[image_id] for image_id in sorted(entries)],
        image_root=folder,
        problems=report.close(skip_bad=skip_bad),
        table=table,
    )


def _image_folder(root: Path, images: str | Path | None) -> Path:
    if images is not None:
        folder = resolve(root, images)
    else:
        folder = root / "images" if (root / "images").is_dir() else root
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; images= (--images) names another")
    return folder


def _labels_path(root: Path, labels: str | Path | None) -> Path:
    if labels is not None:
        return resolve(root, labels)
    candidates = [root / "labels.json", root / "labels.csv"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DatasetError(
            f"{root}: no labels.json or labels.csv; labels= (--labels) names another file"
        )
    return path


def _photos(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS]


def _label_ids(
    classes: Sequence[str], names: tuple[str, ...], where: str, report: Report
) -> tuple[int, ...]:
    for name in classes:
        if name not in names:
            report.add(where, f"has the unknown class {name!r}")
    return tuple(sorted(names.index(name) for name in classes if name in names))


def _read_instances(
    path: Path, names: tuple[str, ...], images: Mapping[str, LabelledImage], report: Report
) -> InstanceTable:
    """The instances of the photos that were found; each must have the json's size."""
    file = read_coco(path, names, report)
    by_name = {image.file_name: image for image in images.values()}
    sizes = {}
    ids = {}
    for image in file.images:
        entry = by_name.get(image.file_name)
        where = f"{path} image {image.key}"
        if entry is None:
            report.add(where, f"{image.file_name} is not among the photos")
        elif image.size not in (None, (entry.height, entry.width)):
            report.add(where, f"{image.file_name} is {entry.width} x {entry.height} in fact")
        else:
            sizes[image.key] = (entry.height, entry.width)
            ids[image.key] = entry.image_id
    rows = encode_annotations(file, sizes, report)
    return InstanceTable(
        {ids[key]: instances for key, instances in rows.items()},
        {ids[key]: size for key, size in sizes.items()},
    )
