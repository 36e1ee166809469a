"""Key a sample by (seed, position): seed the global generators from it, and put them back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index as as_integer
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError

_GLOBALS = (0,)
"""Sets the seeds of the global generators apart from ``np.random.default_rng(key)``."""


class SampleKey(NamedTuple):
    """What one sample's random numbers follow from: ``np.random.default_rng(key)``.

    Attributes:
        seed: the run's seed, >= 0.
        position: the sample's position in the stream, counted over all ranks and epochs, >= 0.
    """

    seed: int
    position: int


class _Scope:
    """The key of one sample, and how often it was taken."""

    __slots__ = ("key", "taken")

    def __init__(self, key: tuple[int, ...]) -> None:
        self.key = key
        self.taken = 0


_scope: ContextVar[_Scope | None] = ContextVar("empaste_aug_sample", default=None)


def current_key() -> tuple[int, ...] | None:
    """The key of the sample that is being made in this thread or task; None outside `seeded`.

    Within the loaders of this package it is a `SampleKey`.
    """
    scope = _scope.get()
    return None if scope is None else scope.key


def take_key() -> tuple[int, ...] | None:
    """A key to make a generator from; None outside `seeded`.

    The first time within a sample it is the `current_key`, after that the key with the number of
    the call appended, so that two pastes of one sample (a mosaic's photos) draw different numbers.
    """
    scope = _scope.get()
    if scope is None:
        return None
    scope.taken += 1
    return scope.key if scope.taken == 1 else (*scope.key, scope.taken)


def integer(name: str, value: Any, *, low: int = 0) -> int:
    """An integer argument, checked.

    Raises:
        ArgumentError: it is no integer, or less than `low`.
    """
    try:
        number = as_integer(value)
    except TypeError:
        raise ArgumentError(f"{name}: {value!r} is no integer") from None
    if number < low:
        raise ArgumentError(f"{name}: {number} is less than {low}")
    return number


@contextmanager
def seeded(key: Sequence[int]) -> Iterator[None]:
    """Within this context, the global generators follow from the key, and `current_key` is it.

    Seeds `random`, NumPy's global generator, and torch's global CPU generator if torch has been
    imported. On the way out, after an exception too, all three have the state they had before. CUDA
    generators are left alone. The global generators belong to the whole process: code in another
    thread that draws from them meanwhile disturbs the sample and is disturbed; `current_key` is
    this thread's own.

    Args:
        key: integers >= 0, such as a `SampleKey`. It may be nested: the inner key holds within.

    Raises:
        ArgumentError: the key is empty, or not of integers >= 0.

    Example:
        >>> import numpy as np
        >>> with seeded(SampleKey(seed=7, position=12)):
        ...     first = np.random.rand()
        >>> with seeded((7, 12)):
        ...     first == np.random.rand(), current_key()
        (True, (7, 12))
        >>> current_key() is None
        True
    """
    entropy = [integer("key", value) for value in key]
    if not entropy:
        raise ArgumentError("key: is empty")
    words = np.random.SeedSequence(entropy, spawn_key=_GLOBALS).generate_state(10)
    torch = sys.modules.get("torch")
    generator = getattr(torch, "default_generator", None)
    python_state = random.getstate()
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    torch_state = None if generator is None else generator.get_state()
    token = _scope.set(_Scope(key if isinstance(key, tuple) else tuple(entropy)))
    try:
        np.random.seed(words[:4])  # noqa: NPY002
        random.seed(join_words(words[4:8]))
        if generator is not None:
            generator.manual_seed(join_words(words[8:]))
        yield
    finally:
        _scope.reset(token)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if generator is not None:
            generator.set_state(torch_state)


def join_words(words: NDArray[np.unsignedinteger[Any]]) -> int:
    """One integer out of 32-bit words, the lowest first."""
    return sum(int(word) << (32 * place) for place, word in enumerate(words))
