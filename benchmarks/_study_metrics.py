"""The study's measures: what a run is worth, and how sure a difference of two variants is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _study_data import TRAIN
from _study_model import TEST_SIDE
from _study_variants import LONG_TAILS, Variant
from numpy.typing import ArrayLike, NDArray

from empaste_aug.offline.datasets import load_dataset
from empaste_aug.training.instance_ap import Matches, match_instances

SUPER_CLASSES = {
    "person": ["person"],
    "indoor": ["bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"],
    "animal": ["bird", "cat", "cow", "dog", "horse", "sheep"],
    "vehicle": ["aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"],
}
LARGE = {"large": (48.0**2, float("inf"))}
"""Objects of more than 48 x 48 pixels where the photo's longer side has 320."""


class RareHalf:
    """AP50 of objects of any size, over the rarer half of the classes.

    Args:
        matches: of all classes.
        counts: (classes,) how often each class occurs, the same for all variants that are compared.
    """

    def __init__(self, matches: Matches, counts: Sequence[int]) -> None:
        self.image_ids = matches.image_ids
        self._matches = matches
        self._rare = np.argsort(counts, kind="stable")[: len(counts) // 2]

    def ap(self, *, images: ArrayLike | None = None) -> float:
        """The mean over those of the classes that have objects; NaN where none has."""
        found = self._matches.ap_per_class(iou=0.5, images=images)[self._rare]
        known = found[~np.isnan(found)]
        return float(known.mean()) if known.size else float("nan")


def class_counts(work: Path, variant: Variant) -> list[int]:
    """How often a class occurs where rarity goes by it: in photos, of the long tail where it is."""
    if variant.labels in LONG_TAILS:
        found = json.loads((work / "longtail.json").read_text())["classes"]
        return list(found.values())
    return photos_per_class(work, TRAIN)


def photos_per_class(work: Path, split: str) -> list[int]:
    """How many photos of a split show each class."""
    dataset = load_dataset("voc", work / "VOC2012", split=split, check="header")
    labels = range(len(dataset.class_names))
    return [sum(label in image.labels for image in dataset.images) for label in labels]


def predictions_path(work: Path, row: Mapping[str, str]) -> Path:
    """Where a run's predictions lie, in COCO's result format."""
    return work / "runs" / f"{_known_by(row)}.json"


def draws_path(results: Path, row: Mapping[str, str]) -> Path:
    """Where a run's `bootstrap` lies, beside the rows: a comparison needs no more of a run."""
    return results.with_name("study_draws") / f"{_known_by(row)}.npy"


def _known_by(row: Mapping[str, str]) -> str:
    return "-".join(row[key] for key in ("variant", "seed", "bank_sha", "config_hash"))


def evaluate(
    truth: Any, results: Sequence[Mapping[str, Any]], counts: Sequence[int]
) -> dict[str, str]:
    """The AP columns of a row; `counts` as in `RareHalf`."""
    usual = match_instances(truth, results)
    large = large_matches(truth, results)
    large_4 = large_matches(truth, results, SUPER_CLASSES)
    values = {
        "ap50": usual.ap(iou=0.5),
        "ap75": usual.ap(iou=0.75),
        "ap50_large": large.ap(),
        "ap50_large_4": large_4.ap(),
        "ap_small": usual.ap(area="small"),
        "ap_medium": usual.ap(area="medium"),
        "ap_large": usual.ap(area="large"),
        "ap50_rare_half": RareHalf(usual, counts).ap(),
    }
    return {name: f"{value:.3f}" for name, value in values.items()}


def large_matches(
    truth: Any,
    results: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Matches:
    return match_instances(
        truth, results, areas=LARGE, iou_thresholds=[0.5], groups=groups, long_side=TEST_SIDE
    )


def bootstrap(
    truth: Any, results: Sequence[Mapping[str, Any]], counts: Sequence[int], rounds: int
) -> NDArray[np.float64]:
    """(3, 1 + rounds) AP50 of large objects, of the super-classes' and of the rare half.

    The first column is of all images, each other one of images drawn with replacement, the same in
    every run's column.
    """
    measures: list[Matches | RareHalf] = [
        large_matches(truth, results),
        large_matches(truth, results, SUPER_CLASSES),
        RareHalf(
            match_instances(
                truth, results, areas={"all": (0.0, float("inf"))}, iou_thresholds=[0.5]
            ),
            counts,
        ),
    ]
    photos = len(measures[0].image_ids)
    drawn = np.random.default_rng(0).integers(photos, size=(rounds, photos))
    return np.array([[one.ap(), *(one.ap(images=images) for images in drawn)] for one in measures])


def paired(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Mean difference of AP50 over seeds, its 95 % interval, and the relative difference.

    Each round draws photos and seeds anew, the same for both sides. With three seeds, drawing them
    with replacement understates what seeds do: by a third of their variance.

    Args:
        first: (seeds, 1 + rounds), of each seed's run one row of `bootstrap`.
        second: (seeds, 1 + rounds) likewise, of the same seeds.
    """
    seeds, columns = first.shape
    chosen = np.random.default_rng(1).integers(seeds, size=(seeds, columns - 1))
    drawn = np.take_along_axis((first - second)[:, 1:], chosen, axis=0).mean(axis=0)
    known = drawn[~np.isnan(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (float("nan"),) * 2
    one, other = first[:, 0].mean(), second[:, 0].mean()
    relative = one / other - 1 if other > 0 else float("nan")
    return float(one - other), float(low), float(high), float(relative)
