"""Keypoints of torchvision: COCO's (N, K, 3) tensors, or `tv_tensors.KeyPoints` and visibility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import tv_tensors

from empaste_aug.types import ArgumentError, Instance

KeyPoints: Any = getattr(tv_tensors, "KeyPoints", None)  # torchvision < 0.23 has none


class KeypointEntries:
    """Where a target holds keypoints, and in which of the two forms.

    Args:
        key: the entry with the points; None: targets have none.
        visibility_key: the entry with the visibility (N, K) of `tv_tensors.KeyPoints` (N, K, 2);
            None: the points are a tensor (N, K, 3) of x, y and visibility.
        count: K of targets that have no such entry, whose objects then have none labelled; None:
            such targets are left without.

    Raises:
        ArgumentError: from construction: torchvision has no KeyPoints, there is no `key` for what
            else is given, or `count` is not positive; from `complete`: an entry is malformed.
    """

    def __init__(self, key: str | None, visibility_key: str | None, count: int | None) -> None:
        if key is None and (visibility_key is not None or count is not None):
            raise ArgumentError(
                "visibility_key, num_keypoints: have no meaning with keypoints_key=None"
            )
        if visibility_key is not None and KeyPoints is None:
            raise ArgumentError(
                "visibility_key: belongs to tv_tensors.KeyPoints, which torchvision has since 0.23"
            )
        if count is not None and count < 1:
            raise ArgumentError(f"num_keypoints: {count!r} is not positive")
        self.key, self.visibility_key, self.count = key, visibility_key, count
        self.keys = tuple(k for k in (key, visibility_key) if k is not None)

    def complete(self, target: dict[Any, Any], rows: int, size: tuple[int, int]) -> None:
        """Check the entries of a target with `rows` objects; add them where they are wanted."""
        if self.key is None:
            return
        if self.key not in target:
            if self.count is not None:
                self._add(target, rows, size)
            return
        points, where = target[self.key], f"target[{self.key!r}]"
        if self.visibility_key is None:
            if KeyPoints is not None and isinstance(points, KeyPoints):
                raise ArgumentError(
                    f"{where}: KeyPoints have no visibility; name visibility_key for its entry, "
                    "which is made where it is missing"
                )
            _check_shape(where, points, (rows, None, 3))
            return
        if not isinstance(points, KeyPoints) or tuple(points.canvas_size) != size:
            raise ArgumentError(
                f"{where}: {type(points).__name__}; with visibility_key it has to be "
                f"tv_tensors.KeyPoints on the image's (height, width) {size}"
            )
        _check_shape(where, points, (rows, None, 2))
        shape = (rows, points.shape[1])
        if self.visibility_key not in target:
            target[self.visibility_key] = torch.full(shape, 2)
        _check_shape(f"target[{self.visibility_key!r}]", target[self.visibility_key], shape)

    def arrays(self, target: Mapping[Any, Any]) -> list[NDArray[np.float64]] | None:
        """For each object (K, 3) of x, y and visibility; None without keypoints."""
        if self.key is None or self.key not in target:
            return None
        points = target[self.key].as_subclass(torch.Tensor).double()
        if self.visibility_key is not None:
            points = torch.cat([points, target[self.visibility_key].double()[..., None]], dim=2)
        return list(points.numpy())

    def write(
        self, result: dict[Any, Any], instances: Sequence[Instance], originals: Sequence[Instance]
    ) -> None:
        """Write the visibility of originals that lost some; `result` has a row for each object."""
        if self.key is None or self.key not in result:
            return
        before = {original.source_index: original.keypoints for original in originals}
        for row, instance in enumerate(instances):
            points = instance.keypoints
            if points is None or points is before.get(instance.source_index):
                continue
            visibility = torch.from_numpy(points[:, 2])
            if self.visibility_key is None:
                result[self.key][row, :, 2] = visibility
            else:
                result[self.visibility_key][row] = visibility

    def _add(self, target: dict[Any, Any], rows: int, size: tuple[int, int]) -> None:
        if self.visibility_key is None:
            target[self.key] = torch.zeros((rows, self.count or 0, 3))
            return
        points = torch.zeros((rows, self.count or 0, 2))
        target[self.key] = KeyPoints(points, canvas_size=size)
        target[self.visibility_key] = torch.zeros((rows, self.count or 0), dtype=torch.int64)


def _check_shape(where: str, value: Any, shape: tuple[int | None, ...]) -> None:
    """ArgumentError unless it is a tensor of this shape; None stands for any length."""
    found = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    fits = len(found) == len(shape) and all(
        b is None or a == b for a, b in zip(found, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("K" if length is None else str(length) for length in shape)
        raise ArgumentError(
            f"{where}: {type(value).__name__} of shape {found}; expected a tensor of shape "
            f"({wanted})"
        )
