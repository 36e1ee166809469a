"""An EMPaste and the data sets it pastes for, whose metadata may be known only later."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

from detectron2.data import MetadataCatalog

from empaste_aug.adapters._detectron2_datasets import shared_thing_classes
from empaste_aug.paste.compose import EMPaste
from empaste_aug.types import ArgumentError, DatasetError


class DatasetPaste:
    """EMPaste with the class names of detectron2's data sets, looked up when first needed.

    Args:
        paste: maps classes by name.
        dataset_names: data sets with the same metadata; none: `paste` is taken as it is.

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
        self.resolve(only_if_known=True)

    def resolve(self, *, only_if_known: bool = False) -> EMPaste:
        """The EMPaste that maps the bank's classes to those of the data sets.

        Raises:
            ArgumentError: the class names of `paste` and of the data sets differ.
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
                f"class_names of paste: {list(self._paste.class_names)} are not the thing_classes "
                f"{list(names)} of {list(self._dataset_names)}"
            )
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
            ArgumentError: neither says which value a class has.
        """
        paste = self.resolve()
        if paste.semantic_labels is not None:
            return paste
        if self._for_semantic is None:
            names = paste.class_names or paste.bank.categories
            labelled = copy(paste)
            labelled.semantic_labels = _semantic_labels(names, self._stuff_classes or ())
            self._for_semantic = labelled.with_class_names(names)
        return self._for_semantic

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are not forked, and so know no data set: the class names go along."""
        self.resolve(only_if_known=True)
        return self.__dict__


def _semantic_labels(names: Sequence[str], stuff_classes: Sequence[str]) -> dict[str, int]:
    values = {name: value for value, name in enumerate(stuff_classes)}
    missing = [name for name in names if name not in values and "things" not in values]
    if missing:
        raise ArgumentError(
            "semantic_labels: the images have semantic maps ('sem_seg_file_name'), but neither "
            "EMPaste's semantic_labels nor the metadata's stuff_classes say which value pasted "
            f"objects of {missing} get there; give semantic_labels (EMPASTE.SEMANTIC_LABELS)"
        )
    return {name: values.get(name, values.get("things", -1)) for name in names}


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
                f"data sets {dataset_names[0]!r} and {name!r}: {key} differ: {found[0]} and {value}"
            )
    return found[0]
