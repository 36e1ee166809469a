"""Find the random generators that transforms hold themselves, and set them from a sample's key."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from empaste_aug.stream.keys import join_words
from empaste_aug.stream.references import search
from empaste_aug.types import ArgumentError

Setter = Callable[[np.random.SeedSequence], None]

_HELD = 2
"""Sets these generators apart from the global ones and those of epochs; see `keys` and `order`."""


def held_generators(*roots: Any) -> list[Any]:
    """What draws from generators of its own, among what the roots hold.

    These are Albumentations' transforms (anything with a method `set_random_state` or
    `set_random_seed`; its parts follow it), ``np.random.Generator``, ``np.random.RandomState``,
    ``random.Random`` and ``torch.Generator``. They are searched for in

    - attributes, lists, tuples and dicts of up to 100 entries, partials, methods;
    - what a function refers to: closures, defaults, and the globals that it names, also as an
      attribute of a module (``augs.pipeline``), functions and classes among them;
    - what the user's classes define: methods, properties, class attributes.

    Globals and classes of libraries are not searched, nor more than 10,000 values, code before
    data. Nothing of what is searched is called.
    """
    known = {id(source) for source in _global_generators()}
    found = search(roots, lambda value: setter(value) is not None)
    return [source for source in found if id(source) not in known]


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
    if issubclass(kind, np.random.Generator):
        return lambda sequence: _set_state(source, sequence)
    if issubclass(kind, np.random.RandomState):
        return lambda sequence: source.seed(sequence.generate_state(4))
    if issubclass(kind, random.Random) and not issubclass(kind, random.SystemRandom):
        return lambda sequence: source.seed(_integer(sequence))
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(kind, torch.Generator):
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
