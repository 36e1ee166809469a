"""An EMPaste and the data sets it pastes for, whose metadata may be known only later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog

from empaste_aug.adapters._detectron2_datasets import shared_thing_classes
from empaste_aug.paste.compose import EMPaste
from empaste_aug.paste.labels import with_semantic_labels
from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError, DatasetError

_LARGEST_VALUE = 255


class DatasetPaste:
    """EMPaste with the class names of detectron2's data sets, looked up when first needed.

    Args:
        paste: maps classes by name.
        dataset_names: data sets with the same metadata; none: `paste` is taken as it is.

    Raises:
        ArgumentError, DatasetError: as `resolve`, where the metadata is there already.

    Attributes:
        thing_ids: the contiguous category ids of things, once the data sets are known and if they
            say so.
    """

    def __init__(self, paste: EMPaste, dataset_names: Sequence[str]) -> None:
        self._paste = paste
        self._for_semantic: EMPaste | None = None
        self._dataset_names = tuple(dataset_names)
        self._stuff_classes: tuple[str, ...] | None = None
        self.thing_ids: tuple[int, ...] | None = None
        if not dataset_names:
            _check_semantic_labels(paste)
        self.resolve(only_if_known=True)

    @property
    def num_classes(self) -> int | None:
        """How many classes the data sets have; None: not known."""
        names = self._paste.class_names
        return None if names is None else len(names)

    def resolve(self, *, only_if_known: bool = False) -> EMPaste:
        """The EMPaste that maps the bank's classes to those of the data sets.

        Raises:
            ArgumentError: the class names of `paste` and of the data sets differ, or its
                `semantic_labels` lack a class that may be pasted.
            DatasetError: the data sets say no class names, unless `only_if_known`, or differ.
        """
        if not self._dataset_names:
            return self._paste
        names = shared_thing_classes(self._dataset_names)
        if names is None:
            if only_if_known:
                return self._paste
            raise DatasetError(
                f"thing_classes: the metadata of a data set among {list(self._dataset_names)} has "
                "none; the bank's classes are mapped to these names"
            )
        if self._paste.class_names is None:
            self._paste = self._paste.with_class_names(names)
        elif self._paste.class_names != names:
            raise ArgumentError(
                f"class_names of paste: {some(self._paste.class_names)} are not the thing_classes "
                f"{some(names)} of {list(self._dataset_names)}"
            )
        _check_semantic_labels(self._paste)
        stuff = _shared(self._dataset_names, "stuff_classes")
        things = _shared(self._dataset_names, "thing_dataset_id_to_contiguous_id")
        self._stuff_classes = None if stuff is None else tuple(stuff)
        self.thing_ids = None if things is None else tuple(things.values())
        self._dataset_names = ()
        return self._paste

    def for_semantic(self) -> EMPaste:
        """The EMPaste for images with a semantic map: it knows its classes' values there.

        They are its own `semantic_labels`; without these, by detectron2's convention, positions in
        the metadata's `stuff_classes`. Where a thing class is not among them, but "things" is, as
        in COCO's separated maps, it has that one's.

        Raises:
            ArgumentError: neither says which value a class has that may be pasted.
        """
        paste = self.resolve()
        if paste.semantic_labels is not None:
            return paste
        if self._for_semantic is None:
            self._for_semantic = with_semantic_labels(
                paste, _semantic_labels(paste, self._stuff_classes or ())
            )
        return self._for_semantic

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are not forked, and so know no data set: the class names go along."""
        self.resolve(only_if_known=True)
        return self.__dict__


def _semantic_labels(paste: EMPaste, stuff_classes: Sequence[str]) -> dict[str, int]:
    """The values of the classes that may be pasted, by detectron2's convention."""
    values = {name: value for value, name in enumerate(stuff_classes)}
    names = _pasteable(paste)
    missing = [name for name in names if name not in values and "things" not in values]
    if missing:
        raise ArgumentError(
            "semantic_labels: the images have semantic maps ('sem_seg_file_name'), but neither "
            "EMPaste's semantic_labels nor the metadata's stuff_classes say which value pasted "
            f"objects of {some(missing)} get there; give semantic_labels (EMPASTE.SEMANTIC_LABELS)"
        )
    return {name: values[name if name in values else "things"] for name in names}


def _check_semantic_labels(paste: EMPaste) -> None:
    """Where `paste` has `semantic_labels`, each class that may be pasted needs a value there.

    Raises:
        ArgumentError: one has none, or one that the map, of 8 bits, does not hold.
    """
    if paste.semantic_labels is None:
        return
    missing = [name for name in _pasteable(paste) if name not in paste.semantic_labels]
    if missing:
        raise ArgumentError(
            f"semantic_labels (EMPASTE.SEMANTIC_LABELS): has no value for {some(missing)}, which "
            "may be pasted; give each class one, or leave it out with exclude"
        )
    large = [name for name, value in paste.semantic_labels.items() if value > _LARGEST_VALUE]
    if large:
        raise ArgumentError(
            f"semantic_labels (EMPASTE.SEMANTIC_LABELS): the values of {some(large)} are above "
            f"{_LARGEST_VALUE}, the largest in detectron2's semantic maps"
        )


def _pasteable(paste: EMPaste) -> list[str]:
    """The data set's names of the classes that may be pasted, in the bank's order."""
    present = np.unique(paste.bank.index["category_id"]).tolist()
    names = [paste.bank.categories[category] for category in present]
    return list(dict.fromkeys(paste.category_map.get(n, n) for n in names if paste.may_draw(n)))


def _shared(dataset_names: Sequence[str], key: str) -> Any:
    """What the metadata of all these data sets has; None while one has none.

    Raises:
        DatasetError: two data sets differ.
    """
    found = [MetadataCatalog.get(name).get(key) for name in dataset_names]
    if any(value is None for value in found):
        return None
    for name, value in zip(dataset_names, found, strict=True):
        if value != found[0]:
            raise DatasetError(
                f"data sets {dataset_names[0]!r} and {name!r}: {key} differ: {_shown(found[0])} "
                f"and {_shown(value)}"
            )
    return found[0]


def _shown(value: Any) -> str:
    entries: list[Any] = list(value.items() if isinstance(value, Mapping) else value)
    return some(entries)
