"""Checks of what users pass to EMPaste: clear errors at construction, clean values inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from empaste_aug.paste.annotate import MAX_PASTES
from empaste_aug.paste.place import PLACEMENTS, PlacementConfig
from empaste_aug.paste.render import BLENDS
from empaste_aug.types import ArgumentError, Scene

Blend = Literal["gaussian", "none"] | Mapping[str, float]


def placement_config(
    *,
    placement: str,
    scale: tuple[float, float],
    max_angle: float,
    max_scale: float | None,
    flip: float,
    blend: Blend,
) -> PlacementConfig:
    """The checked ranges that placements are drawn from; ArgumentError where one is wrong."""
    if placement not in PLACEMENTS:
        raise ArgumentError(f"placement: {placement!r} is none of {PLACEMENTS}")
    if not 0 <= max_angle <= 180:
        raise ArgumentError(f"max_angle: {max_angle!r} is not in [0, 180] degrees")
    if max_scale is not None and not max_scale > 0:
        raise ArgumentError(f"max_scale: {max_scale!r} is not positive")
    return PlacementConfig(
        placement=placement,
        scale=_scale_range(scale),
        max_angle=float(max_angle),
        max_scale=max_scale,
        flip=probability("flip", flip),
        blend=_blend_weights(blend),
    )


def probability(name: str, value: float) -> float:
    """A number in [0, 1]."""
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name}: {value!r} is not in [0, 1]")
    return float(value)


def names(argument: str, value: Sequence[str]) -> tuple[str, ...]:
    """A sequence of names, which one string is not."""
    if isinstance(value, str):
        raise ArgumentError(f"{argument}: {value!r} is a string, not a sequence of class names")
    return tuple(value)


def range_of_counts(count: int | tuple[int, int]) -> tuple[int, int]:
    """(low, high), both inclusive."""
    bounds: Any = (count, count) if np.isscalar(count) else tuple(count)  # type: ignore[arg-type]
    integral = len(bounds) == 2 and all(isinstance(b, (int, np.integer)) for b in bounds)
    if not (integral and 0 <= bounds[0] <= bounds[1] <= MAX_PASTES):
        raise ArgumentError(
            f"count: {count!r} is neither a number in [0, {MAX_PASTES}] nor such a (low, high)"
        )
    return int(bounds[0]), int(bounds[1])


def check_scene(scene: Scene) -> None:
    """ArgumentError where the image or `valid` is not what `Scene` says."""
    image = scene.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ArgumentError(
            f"scene.image: shape {image.shape}, {image.dtype}; expected (H, W, 3) uint8 RGB"
        )
    if 0 in image.shape:
        raise ArgumentError(f"scene.image: shape {image.shape} holds no pixel")
    valid = scene.valid
    if valid is not None and (valid.shape != image.shape[:2] or valid.dtype != np.bool_):
        raise ArgumentError(
            f"scene.valid: shape {valid.shape}, {valid.dtype}; expected {image.shape[:2]} bool"
        )


def _scale_range(scale: tuple[float, float]) -> tuple[float, float]:
    low, high = scale
    if not (0 < low <= high and np.isfinite(high)):
        raise ArgumentError(f"scale: {scale!r} is not (low, high) with 0 < low <= high")
    return float(low), float(high)


def _blend_weights(blend: Blend) -> dict[str, float]:
    """Blending mode -> probability."""
    weights = {blend: 1.0} if isinstance(blend, str) else dict(blend)
    for mode, weight in weights.items():
        if mode not in BLENDS:
            raise ArgumentError(f"blend: {mode!r} is none of {BLENDS}")
        if not (np.isfinite(weight) and weight >= 0):
            raise ArgumentError(f"blend: the weight of {mode!r} is {weight!r}, not >= 0")
    total = sum(weights.values())
    if not total > 0:
        raise ArgumentError(f"blend: {blend!r} leaves no mode to draw")
    return {mode: weight / total for mode, weight in weights.items() if weight > 0}
