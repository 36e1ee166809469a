"""Find the random generators that transforms hold themselves, and set them from a sample's key."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from empaste_aug.stream.keys import join_words
from empaste_aug.types import ArgumentError

Setter = Callable[[np.random.SeedSequence], None]

_HELD = 2
"""Sets these generators apart from the global ones and those of epochs; see `keys` and `order`."""

_DEPTH = 8
_LONG = 100
"""Lists and dicts with more entries are data, and are not searched."""


def held_generators(*roots: Any) -> list[Any]:
    """What draws from generators of its own, among what the roots hold.

    These are Albumentations' transforms (anything with a method `set_random_state` or
    `set_random_seed`; its parts follow it), ``np.random.Generator``, ``np.random.RandomState``,
    ``random.Random`` and ``torch.Generator``. They are searched for in attributes, lists, tuples
    and dicts of up to 100 entries, partials, methods, and what a function refers to: closures,
    defaults, globals.
    """
    found = []
    level = list(roots)
    seen = {id(source): source for source in _global_generators()}  # alive: ids are used again
    for _ in range(_DEPTH):
        following: list[Any] = []
        for value in level:
            if id(value) in seen:
                continue
            seen[id(value)] = value
            if setter(value) is not None:
                found.append(value)
            else:
                following.extend(_parts(value))
        level = following
    return found


def check_sources(sources: Sequence[Any]) -> list[Any]:
    """The argument `reseed`: things that `held_generators` would find, or functions of a seed.

    Raises:
        ArgumentError: one of them is neither.
    """
    for source in sources:
        if setter(source) is None and not callable(source):
            raise ArgumentError(
                f"reseed: {type(source).__name__} is no random generator, has no method "
                "set_random_state or set_random_seed, and is no function of a seed"
            )
    return list(sources)


def set_from_key(sources: Sequence[Any], key: Sequence[int]) -> None:
    """Set each source from the key, independently of each other."""
    for number, source in enumerate(sources):
        sequence = np.random.SeedSequence(tuple(key), spawn_key=(_HELD, number))
        apply = setter(source)
        if apply is not None:
            apply(sequence)
        else:
            source(_integer(sequence))


def setter(source: Any) -> Setter | None:
    """How the source is set from a seed sequence; None where it is no source of random numbers."""
    kind = type(source)
    if callable(getattr(kind, "set_random_state", None)):
        # One generator for a whole pipeline. `set_random_seed` would give each transform in it a
        # generator with the same seed, so that two flips would always happen together.
        return lambda sequence: source.set_random_state(
            np.random.default_rng(sequence), random.Random(_integer(sequence))
        )
    if callable(getattr(kind, "set_random_seed", None)):
        return lambda sequence: source.set_random_seed(_integer(sequence) % 2**32)
    if isinstance(source, np.random.Generator):
        return lambda sequence: _set_state(source, sequence)
    if isinstance(source, np.random.RandomState):
        return lambda sequence: source.seed(sequence.generate_state(4))
    if isinstance(source, random.Random) and not isinstance(source, random.SystemRandom):
        return lambda sequence: source.seed(_integer(sequence))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.Generator):
        return lambda sequence: source.manual_seed(_integer(sequence))
    return None


def _integer(sequence: np.random.SeedSequence) -> int:
    return join_words(sequence.generate_state(2))


def _set_state(generator: np.random.Generator, sequence: np.random.SeedSequence) -> None:
    bits: Any = generator.bit_generator
    bits.state = type(bits)(sequence).state


def _global_generators() -> Iterator[Any]:
    """Those that `seeded` sets."""
    yield random.random.__self__  # type: ignore[attr-defined]
    yield np.random.rand.__self__  # type: ignore[attr-defined]
    yield getattr(sys.modules.get("torch"), "default_generator", None)


def _parts(value: Any) -> Iterator[Any]:
    """What a value holds."""
    if isinstance(value, (str, bytes, type, ModuleType, np.ndarray)):
        return
    if isinstance(value, (list, tuple)):
        yield from value if len(value) <= _LONG else ()
    elif isinstance(value, dict):
        yield from value.values() if len(value) <= _LONG else ()
    elif isinstance(value, (MethodType, BuiltinMethodType)):
        yield value.__self__
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, FunctionType):
        yield from value.__defaults__ or ()
        yield from (value.__kwdefaults__ or {}).values()
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # the cell is still empty
                continue
        known = value.__globals__
        yield from (known[name] for name in _names(value.__code__) if name in known)
    elif hasattr(value, "__dict__"):
        yield from vars(value).values()


def _names(code: CodeType) -> Iterator[str]:
    """The global names of a function, and those of the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
