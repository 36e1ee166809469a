"""How good a bank's masks are, against annotated instances: IoU, yield and their intervals.

What is counted
    Every mask of the bank (alpha >= 128, laid at its crop's place in the source photo) is matched
    with at most one instance of its class in its photo, and every instance with at most one mask,
    so that the sum of the IoUs is greatest. An unmatched mask scores 0.
Void pixels
    VOC's 255 belong to no object and are taken out of both masks before the IoU is computed. A
    mask that lies on void pixels alone is unmatched: it scores 0.
Crowd regions
    COCO's rule: a crowd region is never matched and is no object. An unmatched mask with at least
    half of its own area on crowd regions of its class is no mistake: it is left out of `masks`
    and of all scores, and counted in `masks_on_crowd`.
Unknown photos
    Photos without instance annotations (most of VOC's) count nowhere; masks on them are counted in
    `masks_not_evaluated`. So are the masks of a build's extra photos (``--write-extra``): photos
    whose id starts with ``extra/``, which are none of the data set's. Any other photo that the data
    set does not have is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.matching import PlacedMask, match, share_on
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.photos import EXTRA
from empaste_aug.offline.tally import Tally, summarise
from empaste_aug.types import ArgumentError, BankError

_ON_CROWD = 0.5
"""The least share of an unmatched mask on crowd regions for which it is no mistake."""


def evaluate_bank(
    bank: MaskBank | str | Path, dataset: Dataset, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Score a bank's masks against a data set's instances; the module's docstring has the rules.

    Classes map by name, photos by image id. `pairs` are the (image, class) pairs of the data set's
    image-level labels, `objects` its instances without crowd regions; both over the photos that
    have annotations.

    Args:
        bank: the bank, or its path.
        dataset: the photos that the bank was built from, with instances.
        bootstrap: how many times the photos are drawn anew for the intervals; 0 gives none.
        seed: of the drawing.

    Returns:
        JSON values. `overall`, `macro` and, by class name, `per_class`, each with `mean_iou`,
        `p50`, `p70` (shares of masks with an IoU of at least 0.5 and 0.7), `yield` (share of the
        pairs that have a mask), `yield_objects` (masks / objects) and `intervals`, the 95 %
        percentile interval [low, high] of each of these by bootstrap over photos. `overall` and
        `per_class` also have the counts `masks`, `pairs`, `pairs_with_mask` and `objects`. `macro`
        is the mean over the classes that have a mask (for the yields: that have pairs, or objects).
        `classes_covered` of `classes` have a mask. What is undefined (0 / 0) is None.

    Raises:
        ArgumentError: `bootstrap` is negative, the data set has no instances or lacks a class of
            the bank, or the bank's photos are not the data set's.
        BankError: the bank is damaged, or a cut-out does not say where it comes from.
        DatasetError: a mask of the data set cannot be read.
    """
    if bootstrap < 0:
        raise ArgumentError(f"bootstrap: must not be negative, is {bootstrap}")
    if not dataset.has_instances:
        raise ArgumentError(f"dataset: {dataset.name} has no instance masks to evaluate on")
    if not isinstance(bank, MaskBank):
        bank = MaskBank(bank)
    categories = _map_categories(bank, dataset)
    rows = _rows_by_image(bank, dataset)
    annotated = [image for image in dataset.images if dataset.is_annotated(image)]
    tally = Tally(len(annotated), len(dataset.class_names))
    on_crowd = scored = photos_with_masks = 0
    bar = progress_bar(annotated, description="evaluating", unit="photo", delay=2)
    for position, image in enumerate(bar):
        here = rows.get(image.image_id)
        if here is None:
            tally.add_photo(position, image.labels, dataset.object_counts(image))
            continue
        photos_with_masks += 1
        truths = dataset.instances(image)
        objects = Counter(truth.category_id for truth in truths if not truth.crowd)
        tally.add_photo(position, image.labels, objects)
        masks = _masks_by_category(bank, here, categories, image)
        scores, crowded = _score_photo(masks, truths, dataset.ignored(image))
        on_crowd += crowded
        for category, ious in scores.items():
            scored += len(ious)
            tally.add_masks(position, category, ious, labelled=category in image.labels)
    report: dict[str, Any] = {
        "bank": str(bank.path),
        "dataset": dataset.name,
        "images": len(annotated),
        "images_with_masks": photos_with_masks,
        "images_without_annotations": len(dataset.images) - len(annotated),
        "bank_masks": len(bank),
        "masks_on_crowd": on_crowd,
        "masks_not_evaluated": len(bank) - scored - on_crowd,
        "bootstrap": bootstrap,
        "seed": seed,
    }
    return report | summarise(
        tally, dataset.class_names, bootstrap=bootstrap, rng=np.random.default_rng(seed)
    )


def _masks_by_category(
    bank: MaskBank, rows: Sequence[int], categories: Sequence[int], image: LabelledImage
) -> dict[int, list[PlacedMask]]:
    found: dict[int, list[PlacedMask]] = {}
    for row in rows:
        category = categories[int(bank.index[row]["category_id"])]
        found.setdefault(category, []).append(_placed(bank, row, image))
    return found


def _score_photo(
    by_category: Mapping[int, Sequence[PlacedMask]],
    truths: Sequence[GroundTruth],
    ignored: NDArray[np.bool_] | None,
) -> tuple[dict[int, list[float]], int]:
    """The IoUs of a photo's masks by category, and how many masks were left out as crowd."""
    scores = {}
    left_out = 0
    for category, masks in by_category.items():
        same = [truth for truth in truths if truth.category_id == category]
        ious = match(masks, [truth.mask for truth in same if not truth.crowd], ignored)
        crowd = _union(truth for truth in same if truth.crowd)
        kept = [
            float(iou)
            for mask, iou in zip(masks, ious, strict=True)
            if iou > 0 or crowd is None or share_on(mask, crowd) < _ON_CROWD
        ]
        left_out += len(masks) - len(kept)
        scores[category] = kept
    return scores, left_out


def _union(truths: Iterable[GroundTruth]) -> NDArray[np.bool_] | None:
    masks = [truth.mask for truth in truths]
    return np.logical_or.reduce(masks) if masks else None


def _placed(bank: MaskBank, row: int, image: LabelledImage) -> PlacedMask:
    entry = bank.index[row]
    x0, y0, x1, y1 = (int(entry[f"source_{name}"]) for name in ("x0", "y0", "x1", "y1"))
    mask = bank[row].mask
    if x0 < 0 or y0 < 0 or (y1 - y0, x1 - x0) != mask.shape:
        raise BankError(f"{bank.path}: row {row} does not say where in its photo the crop lies")
    if x1 > image.width or y1 > image.height:
        raise ArgumentError(
            f"bank: row {row} lies at {(x0, y0, x1, y1)}, outside of the photo {image.image_id} "
            f"of {image.width} x {image.height} in {image.path}"
        )
    return PlacedMask(mask, (x0, y0))


def _map_categories(bank: MaskBank, dataset: Dataset) -> list[int]:
    """The data set's category id of each of the bank's."""
    missing = [name for name in bank.categories if name not in dataset.class_names]
    if missing:
        raise ArgumentError(
            f"bank: {bank.path} has classes that the data set {dataset.name} has not: "
            + ", ".join(missing)
        )
    return [dataset.class_names.index(name) for name in bank.categories]


def _rows_by_image(bank: MaskBank, dataset: Dataset) -> dict[str, list[int]]:
    """The bank's rows by image id, without those of extra photos.

    Every other photo must be the data set's, and of the same size.
    """
    known = {image.image_id: image for image in dataset.images}
    rows: dict[str, list[int]] = {}
    for row in range(len(bank)):
        image_id = bank.image_id(row)
        if image_id is None:
            raise BankError(f"{bank.path}: row {row} does not say which photo it comes from")
        if image_id in known or not image_id.startswith(EXTRA):
            rows.setdefault(image_id, []).append(row)
    strangers = sorted(rows.keys() - known.keys())
    if strangers:
        raise ArgumentError(
            f"bank: {len(strangers)} photos of {bank.path} are not in the data set "
            f"{dataset.name}: {', '.join(strangers[:5])}{' ...' if len(strangers) > 5 else ''}"
        )
    for image_id, found in rows.items():
        entry, image = bank.index[found[0]], known[image_id]
        size = int(entry["source_height"]), int(entry["source_width"])
        if min(size) >= 0 and size != (image.height, image.width):
            raise ArgumentError(
                f"bank: photo {image_id} of {bank.path} was {size[1]} x {size[0]} and is "
                f"{image.width} x {image.height} in the data set {dataset.name}"
            )
    return rows
