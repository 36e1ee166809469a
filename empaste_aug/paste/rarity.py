"""Which classes are rare in a data set, and class weights that paste those.

Count the classes once, turn the counts into weights, and keep what the bank can paste:

    counts = count_dataset_dicts(DatasetCatalog.get(name), MetadataCatalog.get(name).thing_classes)
    weights = rare_class_weights(counts, max_images=10)
    paste = EMPaste(bank, selection=weights_for_bank(weights, bank))

Crowd regions do not count: they show no single object.
"""

from __future__ import annotations

import json
import logging
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empaste_aug.bank import MaskBank
from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError, DatasetError

logger = logging.getLogger(__name__)

RARE_IMAGES = 10
"""LVIS: a rare class is in at most so many training images."""

COMMON_IMAGES = 100
"""LVIS: a common class is in at most so many training images, a frequent one in more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """How often each class occurs in a data set.

    Attributes:
        num_images: all images of the data set, those without objects included.
        images: class name -> images that show the class; classes that never occur have 0.
        instances: class name -> objects of the class.
    """

    num_images: int
    images: Mapping[str, int]
    instances: Mapping[str, int]


def count_classes(labels: Iterable[Iterable[int]], class_names: Sequence[str]) -> ClassCounts:
    """Count from one collection of class ids for each image, one id for each object.

    Args:
        labels: for each image its objects' positions in `class_names`: lists, arrays or tensors.
        class_names: the data set's class names.

    Raises:
        ArgumentError: a name occurs twice, or a label is no position in `class_names`.

    Example:
        >>> counts = count_classes([[0, 0, 1], [0], []], ["cat", "dog", "cow"])
        >>> counts.num_images, counts.images
        (3, {'cat': 2, 'dog': 1, 'cow': 0})
        >>> counts.instances
        {'cat': 3, 'dog': 1, 'cow': 0}
    """
    if len(set(class_names)) != len(class_names):
        raise ArgumentError(f"class_names: a name occurs twice in {some(class_names)}")
    images = [0] * len(class_names)
    instances = [0] * len(class_names)
    num_images = 0
    for position, found in enumerate(labels):
        ids = [int(label) for label in found]
        wrong = [label for label in ids if not 0 <= label < len(class_names)]
        if wrong:
            raise ArgumentError(
                f"labels[{position}]: {wrong[0]} is no position in the {len(class_names)} class "
                "names"
            )
        num_images += 1
        for label in ids:
            instances[label] += 1
        for label in set(ids):
            images[label] += 1
    return ClassCounts(
        num_images=num_images,
        images=dict(zip(class_names, images, strict=True)),
        instances=dict(zip(class_names, instances, strict=True)),
    )


def count_dataset_dicts(
    dataset_dicts: Iterable[Mapping[str, Any]], class_names: Sequence[str]
) -> ClassCounts:
    """Count from detectron2's dataset dicts, or others with "annotations" and "category_id".

    Args:
        dataset_dicts: one dict for each image; without "annotations" it shows no object.
        class_names: what "category_id" counts, such as the metadata's `thing_classes`.

    Raises:
        ArgumentError: as `count_classes`.
    """
    labels = (
        [a["category_id"] for a in image.get("annotations", ()) if not a.get("iscrowd")]
        for image in dataset_dicts
    )
    return count_classes(labels, class_names)


def count_coco_json(path: str | Path) -> ClassCounts:
    """Count from a COCO or LVIS instances file; classes are named as in it, ordered by their id.

    Raises:
        DatasetError: the file is missing or is no such json, or two classes have one name.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        categories = sorted(content["categories"], key=lambda category: int(category["id"]))
        position = {int(category["id"]): i for i, category in enumerate(categories)}
        labels: dict[Any, list[int]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd"):
                label = position[int(annotation["category_id"])]
                labels[annotation["image_id"]].append(label)
        return count_classes(labels.values(), [str(category["name"]) for category in categories])
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except ArgumentError as error:
        raise DatasetError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path}: no COCO instances file: {error!r}") from error


def frequency_bands(counts: ClassCounts) -> dict[str, list[str]]:
    """LVIS's bands: the classes in 0-10 images ("rare"), 11-100 ("common"), more ("frequent").

    Example:
        >>> images = {"cat": 500, "dog": 60, "cow": 3}
        >>> frequency_bands(ClassCounts(num_images=900, images=images, instances=images))
        {'rare': ['cow'], 'common': ['dog'], 'frequent': ['cat']}
    """
    _check_counts(counts)
    bands: dict[str, list[str]] = {"rare": [], "common": [], "frequent": []}
    for name, images in counts.images.items():
        position = bisect_left((RARE_IMAGES, COMMON_IMAGES), images)
        bands[("rare", "common", "frequent")[position]].append(name)
    return bands


def rare_class_weights(
    counts: ClassCounts,
    *,
    max_images: int | None = RARE_IMAGES,
    repeat_threshold: float | None = None,
) -> dict[str, float]:
    """Weights, keyed by the data set's class names, of its rare classes.

    Args:
        counts: how often each class occurs.
        max_images: only classes in at most so many images get a weight: 10 keeps LVIS's rare
            classes, 100 the common ones too. None: all classes, weighted by `repeat_threshold`.
        repeat_threshold: t in LVIS's repeat factor, max(1, sqrt(t / f)), which is then a class's
            weight; f is the share of the images that show it, counted as one image where none
            does. LVIS takes t = 0.001. None: all classes that are kept have weight 1.

    Returns:
        Class name -> weight > 0, in the order of the counts; empty where no class is so rare.

    Raises:
        ArgumentError: `counts` is no ClassCounts, `max_images` is negative, `repeat_threshold` is
            not in (0, 1], both are None, or the data set has no image and `repeat_threshold` is
            given.

    Example:
        >>> images = {"cat": 500, "dog": 50, "cow": 5}
        >>> counts = ClassCounts(num_images=1000, images=images, instances=images)
        >>> rare_class_weights(counts)
        {'cow': 1.0}
        >>> rare_class_weights(counts, max_images=None, repeat_threshold=0.08)
        {'cat': 1.0, 'dog': 1.2649110640673518, 'cow': 4.0}
    """
    _check_counts(counts)
    if max_images is None and repeat_threshold is None:
        raise ArgumentError(
            "max_images, repeat_threshold: both are None, so that no class counts as rare; "
            "selection='balanced' gives all classes the same chance"
        )
    if max_images is not None and max_images < 0:
        raise ArgumentError(f"max_images: {max_images!r} is negative")
    if repeat_threshold is not None and not 0 < repeat_threshold <= 1:
        raise ArgumentError(f"repeat_threshold: {repeat_threshold!r} is not in (0, 1]")
    if repeat_threshold is not None and counts.num_images < 1:
        raise ArgumentError("counts.num_images: is 0, so that no class has a frequency")
    weights = {}
    for name, images in counts.images.items():
        if max_images is not None and images > max_images:
            continue
        weights[name] = 1.0
        if repeat_threshold is not None:
            frequency = max(images, 1) / counts.num_images
            weights[name] = max(1.0, math.sqrt(repeat_threshold / frequency))
    return weights


def weights_for_bank(
    weights: Mapping[str, float],
    bank: MaskBank | str | Path,
    *,
    category_map: Mapping[str, str] | None = None,
    exclude: Sequence[str] = (),
) -> dict[str, float]:
    """The weights that EMPaste's `selection` takes: those of classes that the bank can paste.

    Classes that are not in the bank, have no cut-out in it or are excluded are left out, and named
    in a warning of this module's logger.

    Args:
        weights: data set class name -> weight.
        bank: the open bank that is pasted from, or its folder.
        category_map: bank class name -> data set class name, as given to EMPaste.
        exclude: bank class names, as given to EMPaste.

    Returns:
        Bank class name -> weight. A weight is shared by cut-outs, not by classes: where several
        classes of the bank map to one of the data set, each gets its part by its cut-outs.

    Raises:
        ArgumentError: nothing is left to paste.
        BankError: the bank cannot be opened.
    """
    bank = bank if isinstance(bank, MaskBank) else MaskBank(bank)
    renamed = category_map or {}
    members: dict[str, dict[str, int]] = {}
    for name, count in zip(bank.categories, bank.class_counts().tolist(), strict=True):
        if count and name not in exclude:
            members.setdefault(renamed.get(name, name), {})[name] = count
    lacking = [name for name, weight in weights.items() if weight > 0 and name not in members]
    if lacking:
        logger.warning(
            f"{bank.path}: has no cut-outs to paste of {len(lacking)} of the {len(weights)} "
            f"weighted classes: {lacking}"
        )
    kept = {
        own: float(weight) * count / sum(members[name].values())
        for name, weight in weights.items()
        if weight > 0 and name in members
        for own, count in members[name].items()
    }
    if not kept:
        raise ArgumentError(
            f"weights: none of {some(list(weights))} has a cut-out to paste in {bank.path}; its "
            f"classes are {some(bank.categories)}"
        )
    return kept


def _check_counts(counts: Any) -> None:
    if not isinstance(counts, ClassCounts):
        raise ArgumentError(
            f"counts: {type(counts).__name__}; expected ClassCounts, such as count_classes, "
            "count_dataset_dicts and count_coco_json make"
        )
