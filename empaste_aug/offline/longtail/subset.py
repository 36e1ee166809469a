"""Choosing photos of a data set so that its class sizes are long-tailed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.longtail.choice import choose_photos
from empaste_aug.offline.longtail.sizes import Pareto, ranked_classes
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import ArgumentError, DatasetError

Count = Literal["masks", "images"]
"""What a class's size is: its annotated objects, or the photos that show it."""

COUNTS: tuple[str, ...] = get_args(Count)
"""The choices of `Count`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTail:
    """A long-tailed choice and how well it meets its sizes; the tuples go by class.

    Attributes:
        counted: what the sizes count: "masks", "images" or, of a bank, "cut-outs".
        pareto: the sizes' law.
        class_names: all classes of the data set or bank.
        available: how many there were.
        targets: how many there should be; 0 for a class that has none.
        reached: how many there are.
        image_ids: the chosen photos, sorted; of a bank, those of its cut-outs.
    """

    counted: str
    pareto: Pareto
    class_names: tuple[str, ...]
    available: tuple[int, ...]
    targets: tuple[int, ...]
    reached: tuple[int, ...]
    image_ids: tuple[str, ...]

    def ranked(self) -> list[int]:
        """The classes' positions, the largest first, without those that have none."""
        return ranked_classes(self.available)

    def as_json(self) -> dict[str, Any]:
        """The sizes of all classes, the largest first; those that have none come last."""
        order = self.ranked()
        order += [place for place in range(len(self.class_names)) if place not in set(order)]
        return {
            "counted": self.counted,
            "shape": self.pareto.shape,
            "maximum": self.pareto.maximum,
            "minimum": self.pareto.minimum,
            "tail": self.pareto.tail,
            "photos": len(self.image_ids),
            "classes": [
                {
                    "name": self.class_names[place],
                    "available": self.available[place],
                    "target": self.targets[place],
                    "reached": self.reached[place],
                }
                for place in order
            ],
        }


def long_tail_subset(
    dataset: Dataset,
    pareto: Pareto | None = None,
    *,
    rng: np.random.Generator,
    count: Count | None = None,
    fit: bool = False,
) -> LongTail:
    """Choose photos of a data set so that its class sizes are long-tailed.

    Photos are kept whole: one that shows several classes counts for each. (To drop single masks
    would leave objects in the photos that training takes for background.) So the sizes are met only
    as nearly as the photos allow: see `choose_photos`. Photos that count for no class are left out.

    Args:
        dataset: what to choose from.
        pareto: the wanted sizes; by default the paper's.
        rng: draws which photos.
        count: "masks": objects, crowd regions apart, of the photos that are annotated; "images":
            photos, by their image-level labels. By default masks where the data set has any.
        fit: lower the maximum as far as needed instead of refusing.

    Raises:
        ArgumentError: a class has fewer than is asked (unless `fit`), `count` is unknown, or it is
            "masks" where there are none.
        DatasetError: no photo counts for any class.
    """
    counted = _checked_count(dataset, count)
    counts = _count(dataset, counted)
    available = counts.sum(axis=0)
    if not available.any():
        raise DatasetError(f"{dataset.name}: none of {len(dataset.images)} photos shows a class")
    law = Pareto() if pareto is None else pareto
    law = law.fitted(available) if fit else law
    targets = law.targets(available, dataset.class_names)
    chosen = choose_photos(counts, targets, rng=rng)
    return LongTail(
        counted=counted,
        pareto=law,
        class_names=tuple(dataset.class_names),
        available=tuple(available.tolist()),
        targets=tuple(targets.tolist()),
        reached=tuple(counts[chosen].sum(axis=0).tolist()),
        image_ids=tuple(sorted(dataset.images[row].image_id for row in chosen)),
    )


def _checked_count(dataset: Dataset, count: str | None) -> Count:
    if count is None:
        return "masks" if dataset.has_instances else "images"
    if count not in COUNTS:
        raise ArgumentError(f"count: must be one of {', '.join(COUNTS)}, not {count!r}")
    if count == "masks" and not dataset.has_instances:
        raise ArgumentError(f"count: 'masks', but {dataset.name} has none; 'images' counts photos")
    return count  # type: ignore[return-value]


def _count(dataset: Dataset, count: Count) -> NDArray[np.int64]:
    """(N, K): how often each photo counts for each class."""
    counts = np.zeros((len(dataset.images), len(dataset.class_names)), dtype=np.int64)
    shown = progress_bar(dataset.images, description="counting", unit="photo", delay=2)
    for row, image in enumerate(shown):
        if count == "images":
            counts[row, list(image.labels)] = 1
        elif dataset.is_annotated(image):
            for category, number in dataset.object_counts(image).items():
                counts[row, category] = number
    return counts
