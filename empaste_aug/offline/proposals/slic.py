"""SLIC superpixels (Achanta et al., PAMI 2012) as proposals: the paper's simplest method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.edges import fit
from empaste_aug.offline.proposals.regions import encode_regions
from empaste_aug.types import ArgumentError, MissingDependencyError


class Slic:
    """Every superpixel of a few segmentations from coarse to fine; nothing is learned.

    Superpixels keep to colour edges but know nothing of objects: expect an object of one colour
    to be found where its size is near a superpixel's. `strength` is NaN. The same photo gives the
    same segments.

    Args:
        n_segments: about how many superpixels each segmentation has.
        compactness: weight of nearness against likeness in colour (CIE Lab).
        sigma: Gaussian smoothing before, in pixels.
        max_side: the longer side, in pixels, at which it is computed; segments are enlarged to the
            photo's size by nearest neighbour.

    Raises:
        ArgumentError: an argument is out of range.
        MissingDependencyError: scikit-image is not installed.
    """

    name = "slic"

    def __init__(
        self,
        *,
        n_segments: Sequence[int] = (8, 20, 50),
        compactness: float = 10.0,
        sigma: float = 1.0,
        max_side: int = 300,
    ) -> None:
        if not n_segments or not all(count >= 1 for count in n_segments):
            raise ArgumentError(f"n_segments: each must be at least 1, got {tuple(n_segments)}")
        if compactness <= 0:
            raise ArgumentError(f"compactness: must be positive, got {compactness}")
        if sigma < 0:
            raise ArgumentError(f"sigma: must be 0 or more, got {sigma}")
        if max_side < 32:
            raise ArgumentError(f"max_side: must be at least 32 pixels, got {max_side}")
        _segmentation()
        self.n_segments = tuple(int(count) for count in n_segments)
        self.compactness = compactness
        self.sigma = sigma
        self.max_side = max_side

    def config(self) -> dict[str, Any]:
        """Everything that changes the output."""
        return {
            "n_segments": list(self.n_segments),
            "compactness": self.compactness,
            "sigma": self.sigma,
            "max_side": self.max_side,
        }

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        image_id: str = "",  # noqa: ARG002
    ) -> list[Segment]:
        """Superpixels of an (H, W, 3) uint8 RGB photo, segmentation by segmentation."""
        slic = _segmentation()
        height, width = image.shape[:2]
        small = fit(image, self.max_side)
        segments = []
        for count in self.n_segments:
            labels = slic(
                small,
                n_segments=count,
                compactness=self.compactness,
                sigma=self.sigma,
                start_label=0,
                channel_axis=-1,
            ).astype(np.int32)
            members = np.eye(int(labels.max()) + 1, dtype=bool)
            rles = encode_regions(labels, members, height, width)
            segments += [Segment(rle, self.name) for rle in rles]
        return segments


def _segmentation() -> Any:
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise MissingDependencyError("scikit-image", "offline", "the 'slic' proposals") from error
    return slic
