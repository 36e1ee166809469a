"""What adapters need of an EMPaste besides calling it: its classes and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from empaste_aug.paste.compose import EMPaste
from empaste_aug.paste.select import some
from empaste_aug.types import ArgumentError


def checked_paste(paste: Any, *, or_mapping: bool = False) -> EMPaste:
    """The EMPaste; with `or_mapping` also made of its arguments in a mapping.

    Raises:
        ArgumentError: it is neither.
    """
    if isinstance(paste, EMPaste):
        return paste
    if or_mapping and isinstance(paste, Mapping):
        return EMPaste(**paste)
    wanted = "an EMPaste or a mapping of its arguments" if or_mapping else "an EMPaste"
    remedy = f": EMPaste({str(paste)!r})" if isinstance(paste, (str, Path)) else ""
    raise ArgumentError(f"paste: {type(paste).__name__}; expected {wanted}{remedy}")


def class_names_of(paste: EMPaste) -> list[str]:
    """The class names of `paste`; without them, those of its bank, whose ids it then uses."""
    return list(paste.class_names or paste.bank.categories)


def class_labels(
    names: Sequence[str], label_as: str | Mapping[str, Any], *, words: Sequence[str]
) -> list[Any]:
    """What each class is called in labels.

    Args:
        names: the class names.
        label_as: "name", "id" (the positions in `names`), or class name -> value.
        words: which of "name" and "id" may be given.

    Raises:
        ArgumentError: `label_as` is none of these, or does not give each class, and no other, a
            value of its own.
    """
    if isinstance(label_as, str) and label_as in words:
        return list(names) if label_as == "name" else list(range(len(names)))
    if not isinstance(label_as, Mapping):
        allowed = ", ".join(map(repr, words))
        raise ArgumentError(f"label_as: {label_as!r} is neither {allowed} nor class name -> value")
    missing = [name for name in names if name not in label_as]
    if missing:
        raise ArgumentError(
            f"label_as: does not give each class of paste a value; it lacks {some(missing)}"
        )
    unknown = [name for name in label_as if name not in names]
    if unknown:
        raise ArgumentError(
            f"label_as: {some(unknown)} not among the class names of paste, {some(names)}; where "
            "the data set has more classes than the bank: EMPaste(class_names=list(label_as))"
        )
    values = [label_as[name] for name in names]
    for position, value in enumerate(values):
        earlier = values.index(value)
        if earlier != position:
            raise ArgumentError(
                f"label_as: {names[earlier]!r} and {names[position]!r} are both {value!r}; each "
                "class needs a value of its own"
            )
    return values


def with_semantic_labels(paste: EMPaste, semantic_labels: Mapping[str, int]) -> EMPaste:
    """The same augmentation with these `semantic_labels`."""
    other = copy(paste)
    other.semantic_labels = dict(semantic_labels)
    return other.with_class_names(class_names_of(paste))
