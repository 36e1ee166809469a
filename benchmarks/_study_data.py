"""The study's photos: which train and which evaluate, and VOC folders that hold both splits."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from empaste_aug.offline.datasets import load_dataset

SPLIT = Path(__file__).with_name("study_split.json")
TRAIN, EVAL = "study_train", "study_eval"
TRAIN_SHARE = 0.55


def half_of(image_id: str) -> int:
    """0 or 1, as in `fem.py`, whose constants were fitted on half 0."""
    return hashlib.sha256(image_id.encode()).digest()[0] % 2


def split(
    labels: Mapping[str, Sequence[int]], *, train_share: float = TRAIN_SHARE
) -> dict[str, list[str]]:
    """Image ids to train and to evaluate on.

    Evaluation takes photos of half 1 alone. Of these so many go to training that it has the share;
    each time the one whose classes lack the most photos there, the earlier hash among equals, and
    never the last photo of a class.
    """
    totals = Counter(label for found in labels.values() for label in found)
    order = sorted(labels, key=lambda name: hashlib.sha256(name.encode()).digest())
    train = [name for name in order if half_of(name) == 0]
    rest = [name for name in order if half_of(name) == 1]
    inside = Counter(label for name in train for label in labels[name])

    def lack(name: str) -> float:
        if any(totals[label] - inside[label] <= 1 for label in labels[name]):
            return -1.0
        wanted = (train_share - inside[label] / totals[label] for label in labels[name])
        return sum(value for value in wanted if value > 0)

    while len(train) < train_share * len(labels):
        chosen = max(rest, key=lack)  # the first of equals
        rest.remove(chosen)
        train.append(chosen)
        inside.update(labels[chosen])
    return {TRAIN: sorted(train), EVAL: sorted(rest)}


def write_split(root: Path, path: Path = SPLIT) -> dict[str, list[str]]:
    """Split a VOC folder's annotated photos into `path`, as was done once for all."""
    dataset = load_dataset("voc", root, split="train")
    found = split({image.image_id: image.labels for image in dataset.images})
    path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def link_photos(root: Path, folder: Path, published: Path = SPLIT) -> Path:
    """A VOC folder of links to another one, with the study's two splits; its path."""
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
