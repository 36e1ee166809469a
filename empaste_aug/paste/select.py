"""Which cut-outs are pasted: class mapping by name, class weights, and the draw itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError

Selection = Literal["uniform", "balanced"] | Mapping[str, float]


def map_categories(
    bank_classes: Sequence[str],
    class_names: Sequence[str] | None,
    category_map: Mapping[str, str],
    exclude: Sequence[str],
) -> NDArray[np.int64]:
    """The scene's category id of each of the bank's classes, -1 for excluded ones.

    Classes match by equal names, after `category_map` renamed the bank's.

    Args:
        bank_classes: the bank's class names.
        class_names: the data set's class names, contiguous; None: the scene uses the bank's ids.
        category_map: bank name -> data set name, for names that differ.
        exclude: bank names that are never pasted.

    Raises:
        ArgumentError: a name is unknown, or a class of the bank has no partner in the data set.
    """
    for argument, names in (("exclude", exclude), ("category_map", category_map)):
        unknown = [name for name in names if name not in bank_classes]
        if unknown:
            raise ArgumentError(
                f"{argument}: {unknown} not among the bank's classes {list(bank_classes)}"
            )
    ids = np.full(len(bank_classes), -1, dtype=np.int64)
    if class_names is None:
        if category_map:
            raise ArgumentError("category_map: has no meaning without class_names to map to")
        targets: dict[str, int] = {name: i for i, name in enumerate(bank_classes)}
    else:
        if len(set(class_names)) != len(class_names):
            raise ArgumentError(f"class_names: a name occurs twice in {list(class_names)}")
        targets = {name: i for i, name in enumerate(class_names)}
    missing = []
    for i, name in enumerate(bank_classes):
        if name in exclude:
            continue
        target = category_map.get(name, name)
        if target in targets:
            ids[i] = targets[target]
        else:
            missing.append(target if target == name else f"{name} -> {target}")
    if missing:
        raise ArgumentError(
            f"class_names: the bank's classes {missing} are not among the data set's "
            f"{list(targets)}; rename them with category_map or drop them with exclude"
        )
    return ids


class Selector:
    """Draws bank rows: first a class by its probability, then uniformly within the class.

    Args:
        categories: (N,) integer category id of every row of the bank.
        class_names: the bank's class names.
        selection: "uniform": every cut-out has the same chance, so classes follow the bank;
            "balanced": every class that has cut-outs and is not excluded has the same chance
            (paper 3.3); or class name -> weight, where classes that are not named are not drawn.
        exclude: class names that are never drawn.

    Raises:
        ArgumentError: an unknown or excluded class has a weight, a weight is negative or not
            finite, or nothing is left to draw from.
    """

    def __init__(
        self,
        categories: NDArray[np.integer],
        class_names: Sequence[str],
        *,
        selection: Selection,
        exclude: Sequence[str] = (),
    ) -> None:
        counts = np.bincount(categories, minlength=len(class_names))
        self._rows = np.argsort(categories, kind="stable").astype(np.int32)
        self._starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        self._counts = counts.astype(np.int64)
        weights = class_weights(counts, class_names, selection=selection, exclude=exclude)
        if weights.sum() <= 0:
            have = dict(zip(class_names, counts.tolist(), strict=True))
            raise ArgumentError(
                "selection: nothing to paste: every class is excluded, has weight 0, or has no "
                f"cut-out (cut-outs per class: {have})"
            )
        self.probabilities: NDArray[np.float64] = weights / weights.sum()
        self._drawn = np.flatnonzero(self.probabilities)
        self._cumulative = np.cumsum(self.probabilities[self._drawn])

    def draw(self, rng: np.random.Generator) -> int:
        """One bank row."""
        slot = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        category = self._drawn[min(slot, len(self._drawn) - 1)]
        return int(self._rows[self._starts[category] + rng.integers(self._counts[category])])


def class_weights(
    counts: NDArray[np.integer],
    class_names: Sequence[str],
    *,
    selection: Selection,
    exclude: Sequence[str] = (),
) -> NDArray[np.float64]:
    """The relative chance of each class, (K,) float64, not normalised; see `Selector`."""
    excluded = np.isin(np.asarray(class_names, dtype=object), list(exclude))
    if isinstance(selection, Mapping):
        weights = np.zeros(len(class_names))
        for name, weight in selection.items():
            if name not in class_names:
                raise ArgumentError(f"selection: class {name!r} is not in {list(class_names)}")
            position = list(class_names).index(name)
            if not (np.isfinite(weight) and weight >= 0):
                raise ArgumentError(f"selection: the weight of {name!r} is {weight!r}, not >= 0")
            if weight > 0 and excluded[position]:
                raise ArgumentError(f"selection: class {name!r} has a weight but is excluded")
            if weight > 0 and counts[position] == 0:
                raise ArgumentError(f"selection: class {name!r} has a weight but no cut-out")
            weights[position] = weight
    elif selection == "balanced":
        weights = (counts > 0).astype(np.float64)
    elif selection == "uniform":
        weights = counts.astype(np.float64)
    else:
        raise ArgumentError(
            f"selection: {selection!r} is neither 'uniform', 'balanced' nor class weights"
        )
    weights[excluded] = 0.0
    return weights
