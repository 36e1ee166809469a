"""Where an image of a pool comes from: what the writer is told, checked, as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from empaste_aug.bank.checks import check_choice, check_integer, check_json, check_measure
from empaste_aug.pool.schema import KINDS
from empaste_aug.types import ArgumentError

_TEXTS = ("source", "caption", "prompt", "model")


def describe_image(
    *,
    key: str,
    kind: str,
    score: float | None,
    scores: Mapping[str, float] | None,
    seed: int | None,
    extra: Mapping[str, Any] | None,
    **texts: str | None,
) -> dict[str, Any]:
    """An image's provenance, as JSON holds it; arguments as `PoolWriter.add`'s.

    Raises:
        ArgumentError: one of them is of another type, or out of range.
    """
    for name in _TEXTS:
        if texts[name] is not None and not isinstance(texts[name], str):
            raise ArgumentError(f"{name}: a text is wanted, not {texts[name]!r}")
    if scores is not None:
        scores = {str(name): _finite(f"scores[{name!r}]", v) for name, v in scores.items()}
    return {
        "key": check_key(key),
        "kind": check_choice("kind", kind, KINDS),
        **{name: texts[name] for name in _TEXTS},
        "seed": None if seed is None else check_integer("seed", seed, 0, 2**64 - 1),
        "score": None if score is None else _finite("score", score),
        "scores": scores,
        "extra": None if extra is None else check_json("extra", dict(extra)),
    }


def check_key(key: Any) -> str:
    """A text that is not empty."""
    if not isinstance(key, str) or not key:
        raise ArgumentError(f"key: a text that is not empty is wanted, not {key!r}")
    return key


def _finite(name: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name}: a number is wanted, not {value!r}")
    number = check_measure(name, value)
    if math.isnan(number):
        raise ArgumentError(f"{name}: a finite number is wanted, not {value!r}")
    return number
