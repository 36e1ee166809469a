"""Checks of what users pass to EMPaste: clear errors at construction, clean values inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from empaste_aug.paste.annotate import MAX_PASTES
from empaste_aug.paste.blending import BLENDS, parse_blend
from empaste_aug.paste.place import PLACEMENTS, PlacementConfig
from empaste_aug.types import ArgumentError, Instance, Placement, Scene

Blend = str | Mapping[str, float]


def placement_config(
    *,
    placement: str,
    scale: float | tuple[float, float],
    max_angle: float,
    max_scale: float | None,
    flip: float,
    blend: Blend,
) -> PlacementConfig:
    """The checked ranges that placements are drawn from; ArgumentError where one is wrong."""
    if placement not in PLACEMENTS:
        raise ArgumentError(f"placement: {placement!r} is none of {PLACEMENTS}")
    if not (_is_number(max_angle) and 0 <= max_angle <= 180):
        raise ArgumentError(f"max_angle: {max_angle!r} is not in [0, 180] degrees")
    if max_scale is not None and not (_is_number(max_scale) and max_scale > 0):
        raise ArgumentError(f"max_scale: {max_scale!r} is neither None nor a positive number")
    return PlacementConfig(
        placement=placement,
        scale=_scale_range(scale),
        max_angle=float(max_angle),
        max_scale=None if max_scale is None else float(max_scale),
        flip=probability("flip", flip),
        blend=_blend_weights(blend),
    )


def probability(name: str, value: float) -> float:
    """A number in [0, 1]."""
    if not (_is_number(value) and 0 <= value <= 1):
        raise ArgumentError(f"{name}: {value!r} is not in [0, 1]")
    return float(value)


def names(argument: str, value: Sequence[str]) -> tuple[str, ...]:
    """A sequence of names, which one string is not."""
    if isinstance(value, str):
        raise ArgumentError(f"{argument}: {value!r} is a string, not a sequence of class names")
    return tuple(value)


def range_of_counts(count: int | tuple[int, int]) -> tuple[int, int]:
    """(low, high), both inclusive."""
    bounds: tuple[Any, Any] = _pair(count) or (count, count)
    integral = all(isinstance(b, (int, np.integer)) and not isinstance(b, bool) for b in bounds)
    if not (integral and 0 <= bounds[0] <= bounds[1] <= MAX_PASTES):
        raise ArgumentError(
            f"count: {count!r} is neither a number in [0, {MAX_PASTES}] nor such a (low, high)"
        )
    return int(bounds[0]), int(bounds[1])


def check_generator(rng: Any) -> None:
    """ArgumentError unless it is a numpy Generator: seeds and RandomState are not taken."""
    if not isinstance(rng, np.random.Generator):
        raise ArgumentError(
            f"rng: {type(rng).__name__}; expected np.random.Generator, as np.random.default_rng(0)"
        )


def check_scene(scene: Scene) -> None:
    """ArgumentError where the image, a map or an instance is not what `types` says."""
    image = scene.image
    if not isinstance(image, np.ndarray):
        raise ArgumentError(f"scene.image: {type(image).__name__}; expected a numpy array")
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
    for name, values in (("semantic", scene.semantic), ("panoptic", scene.panoptic)):
        if values is not None and (
            values.shape != image.shape[:2] or not np.issubdtype(values.dtype, np.integer)
        ):
            raise ArgumentError(
                f"scene.{name}: shape {values.shape}, {values.dtype}; expected {image.shape[:2]} "
                "integers"
            )
    for position, instance in enumerate(scene.instances):
        _check_instance(f"scene.instances[{position}]", instance)


def check_resize(resize: float) -> float:
    """A positive, finite factor."""
    if not (_is_number(resize) and 0 < resize < math.inf):
        raise ArgumentError(f"resize: {resize!r} is not a positive number")
    return float(resize)


def _check_instance(where: str, instance: Instance) -> None:
    category = instance.category_id
    if not isinstance(category, (int, np.integer)) or category < 0:
        raise ArgumentError(f"{where}.category_id: {category!r} is not an integer >= 0")
    if len(instance.bbox) != 4 or not all(map(math.isfinite, instance.bbox)):
        raise ArgumentError(f"{where}.bbox: {instance.bbox!r} is not four finite numbers, XYXY")
    mask, keypoints = instance.mask, instance.keypoints
    if mask is not None and (mask.ndim != 2 or mask.dtype != np.bool_):
        raise ArgumentError(f"{where}.mask: shape {mask.shape}, {mask.dtype}; expected (h, w) bool")
    if keypoints is not None and not (
        keypoints.ndim == 2 and keypoints.shape[1] == 3 and np.isfinite(keypoints).all()
    ):
        raise ArgumentError(f"{where}.keypoints: not (K, 3) finite numbers")


def check_placement(where: str, placement: Placement, rows: int) -> None:
    """ArgumentError where a placement is not what `types` says, or not of a bank of `rows` rows."""
    row = placement.cutout_id
    if not (isinstance(row, (int, np.integer)) and 0 <= row < rows):
        raise ArgumentError(f"{where}.cutout_id: {row!r} is no row of the bank, which has {rows}")
    if not (len(placement.center) == 2 and all(map(math.isfinite, placement.center))):
        raise ArgumentError(f"{where}.center: {placement.center!r} is not two finite numbers, x, y")
    if not (_is_number(placement.scale) and 0 < placement.scale < math.inf):
        raise ArgumentError(f"{where}.scale: {placement.scale!r} is not a positive number")
    if not (_is_number(placement.angle) and math.isfinite(placement.angle)):
        raise ArgumentError(f"{where}.angle: {placement.angle!r} is not a number of degrees")
    parse_blend(placement.blend)


def _scale_range(scale: float | tuple[float, float]) -> tuple[float, float]:
    bounds: tuple[Any, Any] | None = (scale, scale) if _is_number(scale) else _pair(scale)
    if bounds is None or not (
        all(_is_number(b) for b in bounds) and 0 < bounds[0] <= bounds[1] < math.inf
    ):
        raise ArgumentError(
            f"scale: {scale!r} is neither a positive number nor (low, high) with 0 < low <= high"
        )
    return float(bounds[0]), float(bounds[1])


def _blend_weights(blend: Blend) -> dict[str, float]:
    """Blending -> probability."""
    if not isinstance(blend, (str, Mapping)):
        raise ArgumentError(f"blend: {blend!r} is neither one of {BLENDS} nor their weights")
    weights = {blend: 1.0} if isinstance(blend, str) else dict(blend)
    for mode, weight in weights.items():
        if not isinstance(mode, str):
            raise ArgumentError(f"blend: {mode!r} is not a string")
        parse_blend(mode)
        if not (_is_number(weight) and 0 <= weight < math.inf):
            raise ArgumentError(f"blend: the weight of {mode!r} is {weight!r}, not >= 0")
    total = sum(weights.values())
    if not total > 0:
        raise ArgumentError(f"blend: {blend!r} leaves no mode to draw")
    return {mode: weight / total for mode, weight in weights.items() if weight > 0}


def _pair(value: Any) -> tuple[Any, Any] | None:
    """The two values of a sequence, None for anything else."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        return None
    return (value[0], value[1]) if len(value) == 2 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
