"""What pasting does to a scene's semantic and panoptic maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError, Instance, Scene, Segment

IntegerMap = NDArray[np.integer]


def semantic_values(
    semantic_labels: Mapping[str, int] | None, class_names: Sequence[str]
) -> NDArray[np.int64]:
    """(K,) the value in the semantic map of each of the scene's categories; -1: it has none.

    Args:
        semantic_labels: class name -> value; None: a category's value is its id.
        class_names: the scene's class names, contiguous.

    Raises:
        ArgumentError: a name is unknown, or a value is no integer >= 0.
    """
    if semantic_labels is None:
        return np.arange(len(class_names))
    values = np.full(len(class_names), -1, dtype=np.int64)
    for name, value in semantic_labels.items():
        if name not in class_names:
            raise ArgumentError(f"semantic_labels: {name!r} is not among {list(class_names)}")
        if not isinstance(value, (int, np.integer)) or value < 0:
            raise ArgumentError(f"semantic_labels: {name!r} has {value!r}, not an integer >= 0")
        values[list(class_names).index(name)] = value
    return values


def paint_semantic(
    semantic: IntegerMap, pasted: Sequence[Instance], values: NDArray[np.int64]
) -> IntegerMap:
    """A copy of the semantic map, with the visible pixels of pasted objects set to their class.

    Args:
        semantic: (H, W) integer.
        pasted: instances with masks that do not overlap.
        values: from `semantic_values`.

    Raises:
        ArgumentError: a pasted category has no value, or the map's dtype does not hold it.
    """
    painted = semantic.copy()
    for instance in pasted:
        value = int(values[instance.category_id])
        if value < 0:
            raise ArgumentError(
                f"semantic_labels: has no value for category {instance.category_id}, which is "
                "pasted into a scene with a semantic map"
            )
        _set(painted, instance, value, "semantic")
    return painted


def paint_panoptic(
    panoptic: IntegerMap, segments: Sequence[Segment], pasted: Sequence[Instance]
) -> tuple[IntegerMap, tuple[Segment, ...]]:
    """A copy of the panoptic map with the pasted objects, and the segments that are left in it.

    Originals keep their ids; those without a pixel are gone. Pasted objects follow in paste order,
    with ids counted on from the largest that was there.

    Args:
        panoptic: (H, W) integer.
        segments: what its ids stand for.
        pasted: instances with masks that do not overlap.

    Raises:
        ArgumentError: the map's dtype does not hold an id.
    """
    painted = panoptic.copy()
    last = max([int(panoptic.max(initial=0)), *(segment.id for segment in segments)])
    added = []
    for number, instance in enumerate(pasted, last + 1):
        _set(painted, instance, number, "panoptic")
        added.append(Segment(number, instance.category_id, cutout_id=instance.cutout_id))
    if not added:
        return painted, tuple(segments)
    present = map_values(painted)
    return painted, (*(segment for segment in segments if segment.id in present), *added)


def paint_maps(scene: Scene, pasted: Sequence[Instance], values: NDArray[np.int64]) -> Any:
    """`semantic`, `panoptic` and `segments` of the pasted scene, as keyword arguments of Scene."""
    maps: dict[str, Any] = {
        "semantic": scene.semantic,
        "panoptic": scene.panoptic,
        "segments": scene.segments,
    }
    if scene.semantic is not None and pasted:
        maps["semantic"] = paint_semantic(scene.semantic, pasted, values)
    if scene.panoptic is not None and pasted:
        maps["panoptic"], maps["segments"] = paint_panoptic(scene.panoptic, scene.segments, pasted)
    return maps


def map_values(labels: IntegerMap) -> set[int]:
    """The values of a map: each of them begins a run along the rows, and runs are few."""
    flat = labels.ravel()
    begins = np.ones(flat.size, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    return set(np.unique(flat[begins]).tolist())


def _set(target: IntegerMap, instance: Instance, value: int, name: str) -> None:
    """Set the instance's pixels, all of which lie in the map."""
    if value > np.iinfo(target.dtype).max:
        raise ArgumentError(f"scene.{name}: its dtype {target.dtype} does not hold {value}")
    assert instance.mask is not None
    x, y = instance.mask_offset
    h, w = instance.mask.shape
    target[y : y + h, x : x + w][instance.mask] = value
