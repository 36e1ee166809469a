"""A long-tailed subset written as a data set of the same kind, which links to the photos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from empaste_aug.offline.datasets.base import Dataset, LabelledImage
from empaste_aug.offline.datasets.checks import resolve
from empaste_aug.offline.datasets.coco import CocoDataset, locate
from empaste_aug.offline.datasets.folder import FolderDataset
from empaste_aug.offline.datasets.voc import VOCDataset
from empaste_aug.offline.longtail.outputs import Outputs, as_bytes
from empaste_aug.offline.longtail.plot import plot_sizes
from empaste_aug.offline.longtail.subset import LongTail
from empaste_aug.types import ArgumentError, DatasetError

_VOC_FOLDERS = ("JPEGImages", "Annotations", "SegmentationObject", "SegmentationClass")
_SPLIT_KINDS = ("Segmentation", "Main")


def write_subset(
    output: str | os.PathLike[str],
    dataset: Dataset,
    choice: LongTail,
    *,
    instances: str | os.PathLike[str] | None = None,
    name: str = "longtail",
    seed: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a subset as a data set of the same kind, which `load_dataset` and detectron2 read.

    - VOC: ``ImageSets/Segmentation/NAME.txt`` and ``ImageSets/Main/NAME.txt``; where `output` is
      not the devkit itself, links to its photos, annotations and masks too. Split: NAME.
    - COCO: ``annotations/instances_NAME.json``, with the chosen photos' entries and annotations as
      they stand, crowd regions among them, and all categories; a link ``NAME`` to the folder of
      photos. Split: NAME.
    - folder: ``labels.json``, a link in ``images`` to each chosen photo, and ``instances.json``
      where there are instances.

    Beside them come ``NAME.png``, the plot of the class sizes, and ``NAME.json``, last: the sizes'
    law, the seed, each class's available, target and reached size, and the photos' ids.

    Args:
        output: the folder.
        dataset: what the subset was chosen from.
        choice: the chosen photos.
        instances: (COCO, folder) the json that the data set was loaded with.
        name: the subset's name.
        seed: what the draws were seeded with, for the report.
        overwrite: replace what an earlier subset of this name wrote; other files never are.

    Returns:
        The path of ``NAME.json``.

    Raises:
        ArgumentError: something is there already, `output` cannot be written, `name` is no plain
            word, or as `plan_subset`.
        DatasetError, MissingDependencyError: as `plan_subset`.
    """
    outputs = Outputs(output, name, overwrite=overwrite)
    plan_subset(outputs, dataset, choice, instances=instances, seed=seed)
    outputs.write()
    return outputs.report


def plan_subset(
    outputs: Outputs,
    dataset: Dataset,
    choice: LongTail,
    *,
    instances: str | os.PathLike[str] | None,
    seed: int | None,
) -> None:
    """Plan what `write_subset` writes, which has these arguments too; nothing is written yet.

    Raises:
        ArgumentError: `instances` is missing, or the data set is of another kind or lies where its
            links would.
        DatasetError: `instances` cannot be read.
        MissingDependencyError: matplotlib is not installed.
    """
    source = None if instances is None else Path(instances)
    chosen = frozenset(choice.image_ids)
    images = [image for image in dataset.images if image.image_id in chosen]
    if isinstance(dataset, VOCDataset):
        _plan_voc(outputs, dataset, images)
    elif isinstance(dataset, CocoDataset):
        _plan_coco(outputs, dataset, images, source)
    elif isinstance(dataset, FolderDataset):
        _plan_folder(outputs, dataset, images, source)
    else:
        raise ArgumentError(f"dataset: {type(dataset).__name__} is of no known kind")
    outputs.add(
        f"{outputs.name}.png", plot_sizes(choice, title=f"{dataset.name}: {len(images)} photos")
    )
    report = {"data_set": dataset.name, "seed": seed, **choice.as_json()}
    outputs.add_report({**report, "image_ids": list(choice.image_ids)})


def instances_file(
    kind: str,
    root: str | os.PathLike[str],
    *,
    split: str | None = None,
    annotations: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Path | None:
    """The instances json that `load_dataset` reads for the same arguments; None where it has none.

    Raises:
        DatasetError: (coco) it is missing.
    """
    folder = Path(root)
    if kind == "coco":
        return locate(
            folder,
            split,
            None if annotations is None else Path(annotations),
            None if images is None else Path(images),
        )[0]
    if kind == "folder" and annotations is not None:
        return resolve(folder, Path(annotations))
    found = folder / "instances.json"
    return found if kind == "folder" and found.is_file() else None


def _plan_voc(outputs: Outputs, dataset: VOCDataset, images: list[LabelledImage]) -> None:
    text = "".join(f"{image.image_id}\n" for image in images)
    for kind in _SPLIT_KINDS:
        outputs.add(Path("ImageSets", kind, f"{outputs.name}.txt"), text.encode())
    for name in _VOC_FOLDERS:
        if (dataset.root / name).is_dir():
            outputs.link(name, dataset.root / name)


def _plan_coco(
    outputs: Outputs, dataset: CocoDataset, images: list[LabelledImage], source: Path | None
) -> None:
    ids = {image.image_id for image in images}
    content = _filtered(source, lambda entry: str(entry.get("id")) in ids)
    target = Path("annotations", f"instances_{outputs.name}.json")
    outputs.add(target, as_bytes(content, indent=None))
    outputs.link(outputs.name, dataset.image_root)


def _plan_folder(
    outputs: Outputs, dataset: FolderDataset, images: list[LabelledImage], source: Path | None
) -> None:
    photos = outputs.folder / "images"
    own = dataset.image_root.resolve()
    if photos.resolve() in (own, *own.parents) or own in photos.resolve().parents:
        raise ArgumentError(f"output: {photos} and the data set's own photos lie in one another")
    names = dataset.class_names
    labels = {image.file_name: [names[label] for label in image.labels] for image in images}
    outputs.add("labels.json", as_bytes(labels))
    outputs.hold_only_links("images")
    for image in images:
        outputs.link(Path("images", image.file_name), image.path)
    if dataset.has_instances:
        content = _filtered(source, lambda entry: entry.get("file_name") in labels)
        outputs.add("instances.json", as_bytes(content, indent=None))


def _filtered(source: Path | None, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """A COCO json with only the wanted images and their annotations."""
    if source is None:
        raise ArgumentError("instances: the json that the data set was loaded with is needed")
    try:
        content: dict[str, Any] = json.loads(source.read_bytes())
        images = [entry for entry in content["images"] if wanted(entry)]
        keys = {entry["id"] for entry in images}
        rows = [entry for entry in content["annotations"] if entry.get("image_id") in keys]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{source}: cannot be read as a COCO json: {error}") from error
    return {**content, "images": images, "annotations": rows}
