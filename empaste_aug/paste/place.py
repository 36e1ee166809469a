"""Where a cut-out goes: Random and Space-Maximize placement (paper 3.3 and Algorithm 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels.circle import column_distances, search_circle, update_column_distances
from empaste_aug.kernels.mask_stack import paint_stack
from empaste_aug.kernels.visibility import paint_bytes
from empaste_aug.paste.originals import PackedMasks, pack_originals
from empaste_aug.paste.render import Patch
from empaste_aug.types import Circle, Placement, Scene

PLACEMENTS = ("random", "space_maximize")
TIE_ORDERS = 8
"""The orders in which `search_circle` can prefer one of equally good pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementConfig:
    """The ranges that placements are drawn from.

    Attributes:
        placement: "random" or "space_maximize".
        scale: (low, high) of the uniform scale relative to the cut-out's own size (Random only).
        max_angle: rotations are uniform in [-max_angle, max_angle] degrees.
        max_scale: the most that Space-Maximize may enlarge a cut-out; None: no limit (the paper).
        flip: the probability of mirroring left to right.
        blend: blending -> probability.
    """

    placement: str
    scale: tuple[float, float]
    max_angle: float
    max_scale: float | None
    flip: float
    blend: Mapping[str, float]

    def resized(self, factor: float) -> PlacementConfig:
        """The same ranges for a photo that was resized by this factor."""
        if factor == 1.0:
            return self
        low, high = self.scale
        largest = None if self.max_scale is None else self.max_scale * factor
        return replace(self, scale=(low * factor, high * factor), max_scale=largest)


class FreeSpace:
    """What Space-Maximize may still paste on.

    Args:
        scene: the originals.
        below: their masks, packed, where the caller has them already.

    Attributes:
        occupied: (H, W) uint8, not 0 at originals, padding and pastes.
    """

    def __init__(self, scene: Scene, below: PackedMasks | None = None) -> None:
        self.occupied = obstacle_map(scene, below)
        self._distances: NDArray[np.signedinteger] | None = None
        self._stale: list[tuple[int, int, int, int]] = []  # where distances must be measured anew

    def largest_circle(self, *, tie_order: int) -> tuple[int, int, float]:
        """(x, y, radius) as `kernels.circle.max_inscribed_circle`."""
        if self._distances is None:
            self._distances = column_distances(self.occupied)
        for box in self._stale:
            update_column_distances(self.occupied, self._distances, box)
        self._stale.clear()
        return search_circle(self._distances, tie_order=tie_order)

    def occupy(self, patch: Patch) -> None:
        """Take the pixels of a patch's mask.

        Only what lies above and under it is measured anew, and only if a circle is asked for again.
        """
        paint_bytes(patch.mask.view(np.uint8), patch.x, patch.y, self.occupied, 1)
        if self._distances is not None:
            self._stale.append(patch.box)


class Placer:
    """Draws the placements of one scene.

    Args:
        config: the ranges.
        scene: what is pasted on.
        free: the space that is left, which the caller keeps up to date; for Space-Maximize only.
    """

    def __init__(self, config: PlacementConfig, scene: Scene, free: FreeSpace | None) -> None:
        self._config = config
        self._height, self._width = scene.height, scene.width
        self._free = free
        self._valid_pixels: NDArray[np.intp] | None = None
        if scene.valid is not None and config.placement == "random":
            self._valid_pixels = np.flatnonzero(scene.valid)

    def draw(self, cutout_id: int, circle: Circle, rng: np.random.Generator) -> Placement | None:
        """A placement for a cut-out with this enclosing circle; None where no pixel is free."""
        config = self._config
        blend = _choose(config.blend, rng)
        flip = bool(config.flip > 0 and rng.random() < config.flip)
        angle = _uniform(rng, -config.max_angle, config.max_angle)
        if config.placement == "random":
            scale = _uniform(rng, *config.scale)
            center = self._random_center(rng)
            trim = False
        else:
            assert self._free is not None
            # Of equally large circles another one each time: an empty background would always be
            # filled at the same place otherwise.
            x, y, r1 = self._free.largest_circle(tie_order=int(rng.integers(TIE_ORDERS)))
            center = (float(x), float(y)) if r1 > 0 else None
            scale = r1 / circle[2]
            if config.max_scale is not None:
                scale = min(scale, config.max_scale)
            trim = True
        if center is None:
            return None
        return Placement(
            cutout_id=cutout_id,
            center=center,
            scale=scale,
            angle=angle,
            flip=flip,
            blend=blend,
            trim_to_free=trim,
        )

    def _random_center(self, rng: np.random.Generator) -> tuple[float, float] | None:
        """Uniform over the area of the valid pixels."""
        if self._valid_pixels is None:
            x = _uniform(rng, -0.5, self._width - 0.5)
            return x, _uniform(rng, -0.5, self._height - 0.5)
        if self._valid_pixels.size == 0:
            return None
        y, x = divmod(int(rng.choice(self._valid_pixels)), self._width)
        dx, dy = rng.uniform(-0.5, 0.5, size=2)
        return x + float(dx), y + float(dy)


def obstacle_map(scene: Scene, below: PackedMasks | None = None) -> NDArray[np.uint8]:
    """(H, W) uint8, 1 where Space-Maximize may not paste.

    Masks of the originals, whole boxes of box-only ones, crowd regions, and padding. `below` is
    what `pack_originals` gives for the scene.
    """
    occupied = np.zeros((scene.height, scene.width), dtype=np.uint8)
    if scene.valid is not None:
        np.logical_not(scene.valid, out=occupied.view(np.bool_))
    paint_stack(*(pack_originals(scene) if below is None else below), occupied)
    return occupied


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """What ``rng.uniform(low, high)`` gives, in a tenth of its time."""
    return low + (high - low) * float(rng.random())


def _choose(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """One of the names, by weights that sum to 1; draws nothing where there is no choice."""
    names = list(weights)
    if len(names) == 1:
        return names[0]
    slot = int(np.searchsorted(np.cumsum(list(weights.values())), rng.random(), side="right"))
    return names[min(slot, len(names) - 1)]
