"""The study's photos: which train and which evaluate, and VOC folders that hold both splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from empaste_aug.offline.datasets import load_dataset
from empaste_aug.training.datasets import register_instances

SPLIT = Path(__file__).with_name("study_split.json")
TRAIN, EVAL = "study_train", "study_eval"
TUNE_TRAIN, TUNE_EVAL = "study_tune_train", "study_tune_eval"
"""Two parts of `TRAIN`, for what has to be chosen: evaluation photos choose nothing."""

TRAIN_SHARE = 0.55
TUNE_SHARE = 0.67


def half_of(image_id: str) -> int:
    """0 or 1, as in `fem.py`, whose constants were fitted on half 0."""
    return hashlib.sha256(image_id.encode()).digest()[0] % 2


def split(labels: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """Image ids to train and to evaluate on, and those that training is divided into for tuning.

    Evaluation takes photos of half 1 alone.
    """
    second = [name for name in labels if half_of(name) == 1]
    train, evaluate = _divide(labels, second, TRAIN_SHARE)
    inner = {name: labels[name] for name in train}
    tune_train, tune_eval = _divide(inner, train, TUNE_SHARE)
    return {TRAIN: train, EVAL: evaluate, TUNE_TRAIN: tune_train, TUNE_EVAL: tune_eval}


def _divide(
    labels: Mapping[str, Sequence[int]], candidates: Sequence[str], share: float
) -> tuple[list[str], list[str]]:
    """Photos to train on, so many that they are this share of all, and the rest of `candidates`.

    Of the candidates that one goes to training next whose classes lack the most photos there, the
    earlier hash among equals, and never the last photo of a class.
    """
    totals = Counter(label for found in labels.values() for label in found)
    train = [name for name in labels if name not in set(candidates)]
    rest = sorted(candidates, key=lambda name: hashlib.sha256(name.encode()).digest())
    inside = Counter(label for name in train for label in labels[name])

    def lack(name: str) -> float:
        if any(totals[label] - inside[label] <= 1 for label in labels[name]):
            return -1.0
        wanted = (share - inside[label] / totals[label] for label in labels[name])
        return sum(value for value in wanted if value > 0)

    while len(train) < share * len(labels):
        chosen = max(rest, key=lack)  # the first of equals
        rest.remove(chosen)
        train.append(chosen)
        inside.update(labels[chosen])
    return sorted(train), sorted(rest)


def write_split(root: Path, path: Path = SPLIT) -> dict[str, list[str]]:
    """Split a VOC folder's annotated photos into `path`, as was done once for all."""
    dataset = load_dataset("voc", root, split="train")
    found = split({image.image_id: image.labels for image in dataset.images})
    path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def link_photos(root: Path, folder: Path, published: Path = SPLIT) -> Path:
    """A VOC folder of links to another one, with the study's splits; its path."""
    found = json.loads(published.read_text())
    target = folder / "VOC2012"
    target.mkdir(parents=True, exist_ok=True)
    for name in ("Annotations", "JPEGImages", "SegmentationClass", "SegmentationObject"):
        if not (target / name).exists():
            os.symlink((root / name).resolve(), target / name)
    for kind in ("Main", "Segmentation"):
        sets = target / "ImageSets" / kind
        sets.mkdir(parents=True, exist_ok=True)
        for name, ids in found.items():
            (sets / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in ids))
    return target


def register_split(work: Path, name: str) -> Any:
    """Register a split of the linked photos with detectron2, unless it is; its COCO form."""
    if name not in DatasetCatalog:
        dataset = load_dataset("voc", work / "VOC2012", split=name, check="header")
        register_instances(name, dataset)
    return MetadataCatalog.get(name).coco_form()
