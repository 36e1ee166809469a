"""The protocol of region proposals, and the filters of the paper's appendix 6."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

RLE = Mapping[str, Any]
"""COCO's compressed run-length encoding: {"size": [H, W], "counts": bytes}."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One class-agnostic region of a photo.

    Attributes:
        rle: COCO compressed RLE of the photo's full size.
        source: the name of the method that proposed it.
        strength: the method's own confidence, NaN where it has none.
    """

    rle: RLE
    source: str
    strength: float = float("nan")

    @classmethod
    def from_mask(
        cls, mask: NDArray[np.bool_], source: str, strength: float = float("nan")
    ) -> Segment:
        """Encode a full-size (H, W) bool mask."""
        return cls(encode(mask), source, strength)

    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        return np.asarray(coco_mask.decode(self.rle), dtype=bool)


class ProposalMethod(Protocol):
    """Any function from a photo to segments, with a name and a config to key caches by."""

    name: str

    def config(self) -> dict[str, Any]:
        """Everything that changes the output, as JSON values."""

    def __call__(self, image: NDArray[np.uint8], *, image_id: str) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo, unfiltered; may be empty."""


def encode(mask: NDArray[np.bool_]) -> RLE:
    """COCO compressed RLE of an (H, W) bool mask."""
    rle: RLE = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return rle


def filter_segments(
    segments: Iterable[Segment], *, min_area: float = 0.01, max_span: float = 0.95
) -> list[Segment]:
    """Drop segments that are hardly objects (paper, appendix 6).

    Args:
        segments: of one photo.
        min_area: the least area, as a share of the image.
        max_span: a segment whose box spans at least this share of the image's width *or* height
            is dropped; the paper says "almost the same size". A value above 1 keeps them all.
    """
    kept = []
    for segment in segments:
        height, width = segment.rle["size"]
        area = float(coco_mask.area(segment.rle))
        _, _, w, h = coco_mask.toBbox(segment.rle)
        large_enough = area > 0 and area >= min_area * height * width
        if large_enough and max(w / width, h / height) < max_span:
            kept.append(segment)
    return kept
