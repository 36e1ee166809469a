"""Instances of a COCO json file, kept as compressed run lengths and decoded on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.datasets.base import GroundTruth
from empaste_aug.types import MissingDependencyError, tight_box


class StoredInstance(NamedTuple):
    """One annotated object: its contiguous category id, COCO's compressed counts, crowd or not."""

    category_id: int
    counts: bytes
    crowd: bool


class InstanceTable:
    """The annotated objects of many photos, by image id; about 200 bytes each."""

    def __init__(
        self,
        rows: Mapping[str, Sequence[StoredInstance]],
        sizes: Mapping[str, tuple[int, int]],
    ) -> None:
        """Take the objects' rows and the (height, width) of every annotated photo.

        A photo in `sizes` that has no rows is known to hold no object.
        """
        self._rows = rows
        self._sizes = sizes

    def __contains__(self, image_id: str) -> bool:
        """Whether the photo is annotated."""
        return image_id in self._sizes

    def __len__(self) -> int:
        """The number of objects, crowd regions among them."""
        return sum(len(rows) for rows in self._rows.values())

    def decode(self, image_id: str) -> list[GroundTruth]:
        """The photo's objects with full-size masks, in the order of the file."""
        found = []
        for row in self._rows.get(image_id, ()):
            mask = decode_counts(row.counts, self._sizes[image_id])
            box = tight_box(mask)
            assert box is not None, "segmentations without pixels are not stored"
            found.append(GroundTruth(row.category_id, mask, box, row.crowd))
        return found

    def counts(self, image_id: str) -> Counter[int]:
        """Objects per category id, without crowd regions."""
        rows = self._rows.get(image_id, ())
        return Counter(row.category_id for row in rows if not row.crowd)


def decode_counts(counts: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool from COCO's compressed counts and (height, width)."""
    mask = _pycocotools().decode({"size": list(size), "counts": counts})
    return np.asarray(mask, dtype=bool)


def encode_segmentation(segmentation: Any, size: tuple[int, int]) -> bytes:
    """COCO's compressed counts of any of COCO's three kinds of segmentation.

    Args:
        segmentation: a list of polygons [x0, y0, x1, y1, ...] whose union is the object, or a run
            length dictionary of "size" and "counts": a list, or COCO's compressed string.
        size: (height, width) of the photo.

    Raises:
        ValueError: it is none of these, or damaged; the message says what is wrong.
    """
    masks = _pycocotools()
    height, width = size
    if isinstance(segmentation, list):
        if not segmentation:
            raise ValueError("has an empty segmentation")
        for polygon in segmentation:
            _check_polygon(polygon, size)
        parts = masks.frPyObjects(segmentation, height, width)
        return bytes(masks.merge(parts)["counts"])
    if not isinstance(segmentation, dict):
        raise ValueError("has a segmentation that is neither polygons nor run lengths")
    if list(segmentation.get("size", ())) != [height, width]:
        raise ValueError(
            f"has run lengths of size {segmentation.get('size')}, not [{height}, {width}]"
        )
    counts = segmentation.get("counts")
    if isinstance(counts, list):
        if not all(isinstance(n, int) and n >= 0 for n in counts) or sum(counts) != height * width:
            raise ValueError(f"has run lengths that do not add up to {height} x {width} pixels")
        return bytes(
            masks.frPyObjects({"size": [height, width], "counts": counts}, *size)["counts"]
        )
    if not isinstance(counts, (str, bytes)):
        raise ValueError("has run lengths without counts")
    encoded = counts.encode() if isinstance(counts, str) else counts
    _check_compressed(encoded, height * width)
    return encoded


def pixel_count(counts: bytes, size: tuple[int, int]) -> int:
    """The area in pixels of compressed counts."""
    return int(_pycocotools().area({"size": list(size), "counts": counts}))


def _check_polygon(polygon: Any, size: tuple[int, int]) -> None:
    if not isinstance(polygon, list) or len(polygon) < 6:
        length = len(polygon) if isinstance(polygon, list) else "no"
        raise ValueError(f"has a polygon of {length} numbers; the least is 6")
    if len(polygon) % 2:
        raise ValueError(f"has a polygon of {len(polygon)} numbers, which is odd")
    try:
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise ValueError("has a polygon that does not hold numbers only") from None
    if not np.isfinite(points).all():
        raise ValueError("has a polygon with a number that is not finite")
    height, width = size
    low, high = points.min(axis=0), points.max(axis=0)
    if high[0] < 0 or high[1] < 0 or low[0] > width or low[1] > height:
        raise ValueError(f"has a polygon that lies outside of the {width} x {height} photo")


def _check_compressed(counts: bytes, pixels: int) -> None:
    """Read COCO's run lengths, as the decoder trusts them: they must cover the photo exactly."""
    lengths: list[int] = []
    value = shift = 0
    for byte in counts:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise ValueError("has compressed run lengths with an illegal character")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    if shift or any(length < 0 for length in lengths) or sum(lengths) != pixels:
        raise ValueError(f"has compressed run lengths that do not add up to {pixels} pixels")


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise MissingDependencyError("pycocotools", "offline", "reading COCO masks") from error
    return mask
