"""Which cut-outs are pasted: class mapping by name, class weights, and the draw itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError, Scene

Choice = Callable[[Scene, np.random.Generator], int]
"""A user's own selection: the row of the bank to paste next on this scene; see `Selector`."""

Selection = Literal["uniform", "balanced"] | Mapping[str, float] | Choice


def map_categories(
    bank_classes: Sequence[str],
    class_names: Sequence[str] | None,
    category_map: Mapping[str, str],
    exclude: Sequence[str],
    unused: Collection[str] = (),
) -> NDArray[np.int64]:
    """The scene's category id of each of the bank's classes, -1 for those that have none.

    Classes match by equal names, after `category_map` renamed the bank's.

    Args:
        bank_classes: the bank's class names.
        class_names: the data set's class names, contiguous; None: the scene uses the bank's ids.
        category_map: bank name -> data set name, for names that differ.
        exclude: bank names that are never pasted.
        unused: bank names that need no partner, as the selection never draws them.

    Raises:
        ArgumentError: a name is unknown, or a class of the bank has no partner in the data set.
    """
    check_known("exclude", exclude, bank_classes)
    check_known("category_map", category_map, bank_classes)
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
        elif name not in unused:
            missing.append(target if target == name else f"{name} -> {target}")
    if missing:
        raise ArgumentError(
            f"class_names: the bank's classes {some(missing)} are not among the data set's "
            f"{some(list(targets))}; rename them with category_map, drop them with exclude, or "
            "give selection weights without them"
        )
    return ids


def check_known(argument: str, names: Iterable[str], bank_classes: Sequence[str]) -> None:
    """ArgumentError where a name is not among the bank's classes."""
    unknown = [name for name in names if name not in bank_classes]
    if unknown:
        raise ArgumentError(
            f"{argument}: {some(unknown)} not among the bank's classes {some(bank_classes)}"
        )


def some(names: Sequence[object], most: int = 10) -> str:
    """A list of names for a message, its end left out where it is long."""
    if len(names) <= most:
        return str(list(names))
    return f"[{', '.join(map(repr, names[:most]))}, ... {len(names)} in all]"


class Selector:
    """Draws bank rows: a class by its probability, then uniformly within it, or a user's choice.

    A user's callable is asked once for each paste, as ``selection(scene, rng) -> row``. The scene
    is the one that was passed to EMPaste, without earlier pastes, and must not be changed; its
    category ids are those of the data set's class names. What else it needs, such as the bank's
    index, it holds itself, so a class with ``__call__`` is its natural form, defined at a module's
    top level: workers that are spawned receive it pickled. Samples repeat only if it draws from
    `rng` alone and keeps nothing between calls.

    Args:
        categories: (N,) integer category id of every row of the bank.
        class_names: the bank's class names.
        selection: "uniform": every cut-out has the same chance, so classes follow the bank;
            "balanced": every class that has cut-outs and is not excluded has the same chance
            (paper 3.3); class name -> weight, where classes that are not named are not drawn
            (`paste.rarity` makes weights for the classes that are rare in a data set); or a
            callable as above.
        exclude: class names that are never drawn.

    Raises:
        ArgumentError: an unknown or excluded class has a weight, a weight is negative or not
            finite, or nothing is left to draw from.

    Example:
        >>> class SameClasses:
        ...     '''Cut-outs of the classes that an image holds already, of any class if none.'''
        ...
        ...     def __init__(self, categories):
        ...         self.categories = categories
        ...
        ...     def __call__(self, scene, rng):
        ...         present = [instance.category_id for instance in scene.instances]
        ...         rows = np.flatnonzero(np.isin(self.categories, present))
        ...         return int(rng.choice(rows if rows.size else len(self.categories)))
        >>> categories = np.array([0, 0, 1, 1, 1])  # of a bank: bank.index["category_id"]
        >>> selection = SameClasses(categories)  # as in EMPaste(bank, selection=selection)
        >>> selector = Selector(categories, ["cat", "dog"], selection=selection)
        >>> scene = Scene(np.zeros((60, 80, 3), np.uint8), [Instance(0, (10, 10, 30, 40))])
        >>> selector.draw(np.random.default_rng(0), scene) in (0, 1)
        True
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
        self._class_names = tuple(class_names)
        self._choice: Choice | None = None
        if callable(selection) and not isinstance(selection, Mapping):
            self._choice = selection
            self._categories = np.array(categories, dtype=np.int32)
            self._excluded = _is_excluded(class_names, exclude)
            weights = np.where(self._excluded, 0.0, counts)
        else:
            weights = class_weights(counts, class_names, selection=selection, exclude=exclude)
        if weights.sum() <= 0:
            have = dict(zip(class_names, counts.tolist(), strict=True))
            raise ArgumentError(
                "selection: nothing to paste: every class is excluded, has weight 0, or has no "
                f"cut-out (cut-outs per class: {have})"
            )
        if self._choice is None:
            self._rows = np.argsort(categories, kind="stable").astype(np.int32)
            # Lists: a number of an array takes as long as all else in a draw.
            self._starts: list[int] = [0, *np.cumsum(counts)[:-1].tolist()]
            self._counts: list[int] = counts.tolist()
            drawn = np.flatnonzero(weights)
            self._drawn: list[int] = drawn.tolist()
            self._cumulative: list[float] = np.cumsum(weights[drawn] / weights.sum()).tolist()

    def draw(self, rng: np.random.Generator, scene: Scene) -> int:
        """One bank row, for a paste on `scene`, which only a user's callable looks at.

        Raises:
            ArgumentError: a user's callable gave no row of the bank, or one of an excluded class.
        """
        if self._choice is not None:
            return self._checked(self._choice(scene, rng))
        slot = bisect_right(self._cumulative, rng.random())
        category = self._drawn[min(slot, len(self._drawn) - 1)]
        return int(self._rows[self._starts[category] + rng.integers(self._counts[category])])

    def _checked(self, row: Any) -> int:
        """What a user's callable gave, as a row of the bank."""
        name = getattr(self._choice, "__qualname__", type(self._choice).__qualname__)
        integral = isinstance(row, (int, np.integer)) and not isinstance(row, bool)
        if not (integral and 0 <= row < len(self._categories)):
            raise ArgumentError(
                f"selection: {name} returned {row!r}; expected a row of the bank, an integer in "
                f"[0, {len(self._categories) - 1}]"
            )
        category = int(self._categories[row])
        if self._excluded[category]:
            raise ArgumentError(
                f"selection: {name} returned row {row}, of the excluded class "
                f"{self._class_names[category]!r}"
            )
        return int(row)


def class_weights(
    counts: NDArray[np.integer],
    class_names: Sequence[str],
    *,
    selection: Literal["uniform", "balanced"] | Mapping[str, float],
    exclude: Sequence[str] = (),
) -> NDArray[np.float64]:
    """The relative chance of each class, (K,) float64, not normalised; see `Selector`."""
    excluded = _is_excluded(class_names, exclude)
    if isinstance(selection, Mapping):
        weights = np.zeros(len(class_names))
        positions = {name: i for i, name in enumerate(class_names)}
        for name, weight in selection.items():
            if name not in positions:
                raise ArgumentError(f"selection: class {name!r} is not in {list(class_names)}")
            position = positions[name]
            numeric = isinstance(weight, (int, float, np.integer, np.floating))
            if not (numeric and np.isfinite(weight) and weight >= 0):
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
            f"selection: {selection!r} is neither 'uniform', 'balanced', class weights nor a "
            "callable"
        )
    weights[excluded] = 0.0
    return weights


def _is_excluded(class_names: Sequence[str], exclude: Sequence[str]) -> NDArray[np.bool_]:
    """(K,) bool."""
    return np.array([name in exclude for name in class_names], dtype=bool)
