"""Every mask of a bank against the instances of its photo: its IoU, and why it failed.

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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import MaskBank
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.failures import FAILED, failure_kind
from empaste_aug.offline.matching import PlacedMask, assign, assigned_ious, iou_matrix, share_on
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.photos import EXTRA
from empaste_aug.offline.tally import Tally
from empaste_aug.types import ArgumentError, BankError

_ON_CROWD = 0.5
"""The least share of an unmatched mask on crowd regions for which it is no mistake."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskGroup:
    """The M scored masks of one class in one photo, against its T instances without crowd regions.

    Attributes:
        photo: position in `BankScores.images`.
        category: the data set's category id.
        labelled: whether the photo has the class among its labels.
        rows: (M,) int64, of the bank.
        ious: (M, T) float64, every mask's IoU with every instance.
        assigned: (M,) int64, the instance matched to each mask, -1 for none.
        iou: (M,) float64, the IoU with that instance, 0 for none.
        kinds: of `failures.KINDS` for a mask that failed, "" for another.
    """

    photo: int
    category: int
    labelled: bool
    rows: NDArray[np.int64]
    ious: NDArray[np.float64]
    assigned: NDArray[np.int64]
    iou: NDArray[np.float64]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BankScores:
    """What a bank's masks score.

    Attributes:
        bank: the bank.
        dataset: what it was scored on.
        images: the photos that have annotations; all figures are over these.
        groups: the scored masks.
        tally: their sums by photo and class, with pairs and objects.
        photos_with_masks: how many of `images` have a mask in the bank.
        on_crowd: how many masks were left out because they lie on crowd regions.
    """

    bank: MaskBank
    dataset: Dataset
    images: Sequence[LabelledImage]
    groups: Sequence[MaskGroup]
    tally: Tally
    photos_with_masks: int
    on_crowd: int

    @property
    def scored(self) -> int:
        """How many masks are scored."""
        return sum(len(group.rows) for group in self.groups)


def score_bank(
    bank: MaskBank | str | Path, dataset: Dataset, *, one_per_pair: bool = False
) -> BankScores:
    """Match a bank's masks with a data set's instances; the module's docstring has the rules.

    Classes map by name, photos by image id.

    Args:
        bank: the bank, or its path.
        dataset: the photos that it was built from, with instances.
        one_per_pair: of each photo and class score the bank's first mask alone, as if it held no
            other: that which F-EM chose, which a build writes before further instances.

    Raises:
        ArgumentError: the data set has no instances or lacks a class of the bank, or the bank's
            photos are not the data set's.
        BankError: the bank is damaged, or a cut-out does not say where it comes from.
        DatasetError: a mask of the data set cannot be read.
    """
    if not dataset.has_instances:
        raise ArgumentError(f"dataset: {dataset.name} has no instance masks to evaluate on")
    if not isinstance(bank, MaskBank):
        bank = MaskBank(bank)
    categories = np.array(_map_categories(bank, dataset), dtype=np.int64)
    rows = _rows_by_image(bank, dataset)
    annotated = [image for image in dataset.images if dataset.is_annotated(image)]
    tally = Tally(len(annotated), len(dataset.class_names))
    groups: list[MaskGroup] = []
    on_crowd = photos_with_masks = 0
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
        ignored = dataset.ignored(image)
        own = categories[bank.index["category_id"][here]]
        for category in dict.fromkeys(own.tolist()):
            chosen = np.array(here, dtype=np.int64)[own == category][: 1 if one_per_pair else None]
            masks = [placed_mask(bank, int(row), image) for row in chosen]
            group = _score_group(position, image, category, chosen, masks, truths, ignored)
            on_crowd += len(masks) - len(group.rows)
            tally.add_masks(position, category, group.iou.tolist(), labelled=group.labelled)
            groups.append(group)
    return BankScores(bank, dataset, annotated, groups, tally, photos_with_masks, on_crowd)


def placed_mask(bank: MaskBank, row: int, image: LabelledImage) -> PlacedMask:
    """The mask of a bank's row at its place in its photo.

    Raises:
        BankError: the bank does not say where in the photo the crop lies.
        ArgumentError: the crop reaches beyond the photo.
    """
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


def _score_group(
    photo: int,
    image: LabelledImage,
    category: int,
    rows: NDArray[np.int64],
    masks: Sequence[PlacedMask],
    truths: Sequence[GroundTruth],
    ignored: NDArray[np.bool_] | None,
) -> MaskGroup:
    instances = [t.mask for t in truths if t.category_id == category and not t.crowd]
    crowd = _union(t.mask for t in truths if t.category_id == category and t.crowd)
    ious = iou_matrix(masks, instances, ignored)
    assigned = assign(ious)
    kept = [
        k
        for k, mask in enumerate(masks)
        if assigned[k] >= 0 or crowd is None or share_on(mask, crowd) < _ON_CROWD
    ]
    ious, assigned = ious[kept], assigned[kept]
    iou = assigned_ious(ious, assigned)
    failed = iou < FAILED
    kinds = [""] * len(kept)
    if failed.any():
        others = _union(t.mask for t in truths if t.category_id != category)
        uncounted = _uncounted(crowd, instances, ignored)
        for k in np.flatnonzero(failed):
            kinds[k] = failure_kind(masks[kept[k]], instances, others, uncounted)
    labelled = category in image.labels
    return MaskGroup(photo, category, labelled, rows[kept], ious, assigned, iou, tuple(kinds))


def _uncounted(
    crowd: NDArray[np.bool_] | None,
    instances: Sequence[NDArray[np.bool_]],
    ignored: NDArray[np.bool_] | None,
) -> NDArray[np.bool_] | None:
    """Void pixels, and those on crowd regions that no instance covers."""
    if crowd is None:
        return ignored
    covered = _union(instances)
    alone = crowd if covered is None else crowd & ~covered
    return alone if ignored is None else alone | ignored


def _union(masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_] | None:
    together = list(masks)
    return np.logical_or.reduce(together) if together else None


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
