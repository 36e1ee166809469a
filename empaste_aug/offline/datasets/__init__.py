"""Data sets of photos with image-level labels: VOC devkits, COCO json, plain folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage, Problem
from empaste_aug.offline.datasets.checks import Check, checked_choice
from empaste_aug.offline.datasets.coco import load_coco
from empaste_aug.offline.datasets.folder import load_folder
from empaste_aug.offline.datasets.voc import VOC_CLASSES, load_voc
from empaste_aug.types import ArgumentError, DatasetError

__all__ = [
    "KINDS",
    "VOC_CLASSES",
    "Dataset",
    "GroundTruth",
    "LabelledImage",
    "Problem",
    "load_coco",
    "load_dataset",
    "load_folder",
    "load_voc",
]

_LOADERS: dict[str, tuple[Callable[..., Dataset], frozenset[str]]] = {
    "voc": (load_voc, frozenset({"split"})),
    "coco": (load_coco, frozenset({"split", "annotations", "images"})),
    "folder": (load_folder, frozenset({"annotations", "images", "labels"})),
}

KINDS = tuple(_LOADERS)
"""The kinds of data set that `load_dataset` knows."""


def load_dataset(
    kind: str,
    root: str | Path,
    *,
    split: str | None = None,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    skip_bad: bool = False,
    class_names: Sequence[str] | None = None,
    check: Check = "decode",
) -> Dataset:
    """Load a data set and check all of its files.

    `load_voc`, `load_coco` and `load_folder` say what each kind reads and where its labels come
    from. Masks are not needed, and are never used as labels.

    Args:
        kind: "voc", "coco" or "folder".
        root: the data set's folder.
        split: (voc, coco) the split's name.
        annotations: (coco, folder) the instances json.
        images: (coco, folder) the folder of photos.
        labels: (folder) the labels file.
        skip_bad: leave what is broken or contradictory out, and list it in `problems`, instead of
            raising.
        class_names: the classes and their order, where the kind's own should not hold.
        check: "decode" reads every image file whole at the start, and so finds truncated ones;
            "header" only opens them, much faster.

    Raises:
        ArgumentError: `kind` or `check` is unknown, or an argument is of no use for the kind.
        DatasetError: files are missing or bad; the message lists them.
    """
    if kind not in _LOADERS:
        raise ArgumentError(f"kind: must be one of {', '.join(KINDS)}, not {kind!r}")
    loader, accepted = _LOADERS[kind]
    given: dict[str, Any] = {
        "split": split,
        "annotations": annotations,
        "images": images,
        "labels": labels,
    }
    options = {name: value for name, value in given.items() if value is not None}
    useless = sorted(options.keys() - accepted)
    if useless:
        raise ArgumentError(f"{', '.join(useless)}: of no use for a data set of kind {kind!r}")
    if not Path(root).is_dir():
        raise DatasetError(f"{root}: no such folder")
    return loader(
        root, skip_bad=skip_bad, class_names=class_names, check=checked_choice(check), **options
    )
