"""Where two samples differ, to the byte."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

_PLAIN = (str, bytes, int, float, complex, type(None), np.generic)

_Seen = dict[tuple[int, int], tuple[Any, Any]]
"""Pairs that are compared already, by their ids, and kept alive so that the ids stay theirs."""


def difference(first: Any, second: Any) -> str | None:
    """How to get from the samples to their first difference, such as ``[1]['boxes']``.

    None where there is none: types, keys, dtypes, shapes and bytes are the same. Lists, dicts,
    arrays and tensors are compared part by part, other objects by what pickle would write of them,
    and those that cannot be pickled by ``==``.
    """
    return _difference(first, second, "", {})


def _difference(first: Any, second: Any, path: str, seen: _Seen) -> str | None:
    if first is second or (id(first), id(second)) in seen:
        return None
    seen[id(first), id(second)] = first, second
    if type(first) is not type(second):
        return path
    same = _same_leaf(first, second)
    if same is not None:
        return None if same else path
    parts, others = dict(_parts(first)), dict(_parts(second))
    if list(parts) != list(others):
        return path
    for name, part in parts.items():
        found = _difference(part, others[name], path + name, seen)
        if found is not None:
            return found
    return None


def _same_leaf(first: Any, second: Any) -> bool | None:
    """Whether two values of one type are the same; None where that depends on their parts."""
    kind = type(first)
    if kind in (list, tuple, dict):
        return None
    if issubclass(kind, _PLAIN):
        return bool(first == second) or repr(first) == repr(second)  # nan is nan
    if kind is np.ndarray:
        if (first.dtype, first.shape) != (second.dtype, second.shape):
            return False
        return None if first.dtype.hasobject else first.tobytes() == second.tobytes()
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.Tensor) and first.layout == torch.strided:
        if any(
            getattr(first, name) != getattr(second, name) for name in ("dtype", "shape", "device")
        ):
            return False
        return bool(torch.equal(_bytes_of(first), _bytes_of(second)))
    if issubclass(kind, (set, frozenset, type)):
        return bool(first == second)
    try:
        first.__reduce_ex__(4)
    except TypeError:  # it cannot be pickled
        return bool(first == second)
    return None


def _bytes_of(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    plain = tensor.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
    return plain.contiguous().flatten().view(torch.uint8)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a value, each with what to append to a path."""
    if type(value) is np.ndarray:
        value = value.tolist()
    if type(value) in (list, tuple):
        yield from ((f"[{number}]", part) for number, part in enumerate(value))
    elif type(value) is dict:
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    else:
        reduced: Any = value.__reduce_ex__(4)
        if isinstance(reduced, str):  # the name of a global
            yield "", reduced
            return
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        yield from ((" made by", make), (" arguments", arguments))
        for number, part in enumerate(state if isinstance(state, tuple) else (state,)):
            if isinstance(part, dict):
                yield from ((f".{name}", attribute) for name, attribute in part.items())
            else:
                yield f" state {number} ", part
        yield from ((f"[{number}]", part) for number, part in enumerate(items or ()))
        yield from ((f"[{key!r}]", part) for key, part in pairs or ())
