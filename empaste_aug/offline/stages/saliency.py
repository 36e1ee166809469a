"""Stage `saliency`: what is salient in every photo, and in its parts that its classes point at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.activation import LEAST_WINDOW, WINDOW_MARGIN, WINDOW_SHARES, windows
from empaste_aug.offline.cues import GRID
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.saliency import Saliency, Window
from empaste_aug.offline.stages.activations import ActivationStage
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.proposals import pack, unpack

SAME_WINDOW = 0.7
"""A window is left out where its IoU with the photo or a window before it reaches this."""


@dataclass(frozen=True, slots=True)
class Maps:
    """What is known of a photo's places, on the evidence grid.

    Attributes:
        activations: (K, GRID, GRID) float32, of its K labels.
        map: (GRID, GRID) float32, the saliency in [0, 1].
    """

    activations: NDArray[np.float32]
    map: NDArray[np.float32]


class SaliencyStage(PhotoStage):
    """Per photo ``map`` (GRID, GRID) uint8, 255 being 1, and segments as `pack` packs them.

    ``whole`` () int64 is the number of segments of the whole photo, which come first.

    The segments are those of the `saliency` proposals for the whole photo, then for a window round
    what each class's activation map points at: a small object is salient in its surroundings where
    it is not in the whole photo.

    Args:
        work: the work folder.
        activations: the maps.
        threads: photos at a time.
        shares: of a map's range; each gives a window, see `windows`.
    """

    name: ClassVar[str] = "saliency"
    version: ClassVar[int] = 2
    uses_labels: ClassVar[bool] = True

    def __init__(
        self,
        work: str | Path,
        activations: ActivationStage,
        *,
        threads: int,
        shares: Sequence[float] = WINDOW_SHARES,
    ) -> None:
        self.activations = activations
        self.shares = tuple(shares)
        self.method = Saliency(num_threads=1)
        self.threads = threads
        config = {
            "activations": activations.key,
            "method": self.method.config(),
            "grid": GRID,
            "windows": [list(self.shares), WINDOW_MARGIN, LEAST_WINDOW, SAME_WINDOW],
        }
        super().__init__(work, config)

    def compute(self, photo: Photo) -> Arrays:
        """The map, and the segments."""
        image = photo.read()
        height, width = image.shape[:2]
        values = self.method.model(image)
        found = self.method.segments(values)
        parts = [
            window
            for activation in self.activations.load(photo)["maps"]
            for window in windows(activation, height, width, shares=self.shares)
        ]
        whole = len(found)
        found += self.method.propose(image, distinct(parts, height, width))
        grid = cv2.resize(values, (GRID, GRID), interpolation=cv2.INTER_AREA)
        return {
            "map": np.rint(255 * grid).astype(np.uint8),
            "whole": np.array(whole, np.int64),
            **pack(found, (height, width)),
        }

    def told_of(self, found: Sequence[Segment]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which segments of a pool come from here, (M,), and the others' contour strength, (M,).

        A salient segment's strength is no contour's and is NaN.
        """
        salient = np.array([segment.source == self.method.name for segment in found], bool)
        strength = np.array([segment.strength for segment in found], np.float32)
        return salient, np.where(salient, np.nan, strength).astype(np.float32)

    def evidence(self, photo: Photo) -> Maps:
        """The stored maps of one photo.

        Raises:
            ArgumentError: this stage, or `activations`, has not run on this photo.
        """
        return Maps(
            self.activations.load(photo)["maps"].astype(np.float32),
            self.load(photo)["map"].astype(np.float32) / np.float32(255),
        )

    def segments(self, photo: Photo) -> list[Segment]:
        """The stored segments of one photo.

        Raises:
            ArgumentError: the stage has not run on this photo.
        """
        return unpack(self.load(photo))


def distinct(windows: Sequence[Window], height: int, width: int) -> list[Window]:
    """The windows, in their order, that show something else than the photo and those before."""
    kept: list[Window] = [(0, 0, width, height)]
    for window in windows:
        if all(_overlap(window, other) < SAME_WINDOW for other in kept):
            kept.append(window)
    return kept[1:]


def _overlap(a: Window, b: Window) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b))
    return width * height / (areas - width * height)
