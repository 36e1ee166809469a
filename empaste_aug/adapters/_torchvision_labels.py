"""Labels of torchvision: which integer stands for which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import torch

from empaste_aug.adapters._torchvision_values import INTEGERS, kind_of
from empaste_aug.paste.labels import class_labels
from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError


class LabelValues:
    """The label of each class; see EMPasteTransform.

    Attributes:
        values: the labels, in the order of the class names.

    Args:
        names: the class names.
        label_as: "id", or class name -> label.
        label_offset: the label of the first class where `label_as` is "id".

    Raises:
        ArgumentError: from construction: a label is no integer or negative, or both arguments are
            given; from `check`: labels are malformed.
    """

    def __init__(
        self, names: Sequence[str], label_as: str | Mapping[str, int], label_offset: int
    ) -> None:
        if label_offset < 0:
            raise ArgumentError(f"label_offset: {label_offset} is negative")
        values = class_labels(names, label_as, words=("id",))
        self._is_named = isinstance(label_as, Mapping)
        if self._is_named and label_offset:
            raise ArgumentError(
                f"label_offset: {label_offset} has no meaning with label_as, which says the labels"
            )
        for name, value in zip(names, values, strict=True):
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
                raise ArgumentError(f"label_as: {name!r} is {value!r}, no integer >= 0")
        self._offset = label_offset
        self.values = [int(value) + label_offset for value in values]
        self._positions = {value: position for position, value in enumerate(self.values)}

    def check(self, where: str, labels: Any, count: int) -> None:
        """ArgumentError unless it is an integer tensor (count,) of labels of classes."""
        integral = isinstance(labels, torch.Tensor) and labels.dtype in INTEGERS
        if not integral or labels.shape != (count,):
            raise ArgumentError(
                f"{where}: {kind_of(labels)}; expected an integer tensor of shape ({count},)"
            )
        if max(self.values) > torch.iinfo(labels.dtype).max:
            raise ArgumentError(f"{where}: {labels.dtype} does not hold {max(self.values)}")
        for row, label in enumerate(labels.tolist()):
            if label not in self._positions:
                raise ArgumentError(f"{where}: {label}, in row {row}, is {self._expected()}")

    def categories(self, labels: torch.Tensor) -> list[int]:
        """Of labels that `check` accepts, the positions in the class names."""
        return [self._positions[label] for label in labels.tolist()]

    def __repr__(self) -> str:
        """The argument that says it."""
        if self._is_named:
            return f"label_as of {len(self.values)} classes"
        return f"label_offset={self._offset}"

    def _expected(self) -> str:
        values: Any = self.values
        if self._is_named:
            return f"not among the values of label_as, {some(values)}"
        return (
            f"not in [{self._offset}, {max(self.values)}]: the positions in the class names of "
            f"paste, plus label_offset={self._offset}; other numbers, such as COCO's category ids, "
            "need label_as={class name: label}"
        )
