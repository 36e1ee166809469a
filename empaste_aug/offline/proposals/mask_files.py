"""Reading segments that another program wrote: label maps, binary masks, npz and RLE json."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.offline.proposals.base import RLE, Segment
from empaste_aug.types import DatasetError

SCORES = ("score", "predicted_iou")
"""Keys that may hold a segment's strength, in order of preference."""


def read_image(path: Path) -> NDArray[np.integer[Any]]:
    """(H, W) integers of a greyscale or palette PNG (palette: the indices, not the colours).

    Raises:
        DatasetError: the file is no image, or has colour channels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as an image: {error}") from error
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        raise DatasetError(
            f"{path}: a mask must be a greyscale or palette image, got an array of shape "
            f"{values.shape} and type {values.dtype}"
        )
    return values


def label_map_segments(path: Path, size: tuple[int, int], source: str) -> list[Segment]:
    """One segment per value of a label map but 0, by rising value."""
    labels = read_image(path)
    check_size(path, labels.shape, size)
    values = np.unique(labels)
    return [Segment.from_mask(labels == value, source) for value in values[values != 0]]


def mask_folder_segments(folder: Path, size: tuple[int, int], source: str) -> list[Segment]:
    """One segment per PNG in the folder, its pixels that are not 0, by file name."""
    segments = []
    for path in sorted(folder.glob("*.png")):
        mask = read_image(path)
        check_size(path, mask.shape, size)
        segments.append(Segment.from_mask(mask != 0, source))
    return segments


def npz_segments(path: Path, size: tuple[int, int], source: str) -> list[Segment]:
    """Segments of an npz with `masks` (N, H, W), not 0 inside, and perhaps `scores` (N,)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "masks" not in archive:
                raise DatasetError(f"{path}: holds no array 'masks', only {archive.files}")
            masks = archive["masks"]
            scores = archive["scores"] if "scores" in archive else np.full(len(masks), np.nan)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: cannot be read as npz: {error}") from error
    if masks.ndim != 3 or scores.shape != masks.shape[:1]:
        raise DatasetError(
            f"{path}: 'masks' must be (N, H, W) and 'scores' (N,), "
            f"got {masks.shape} and {scores.shape}"
        )
    check_size(path, masks.shape[1:], size)
    return [
        Segment.from_mask(mask != 0, source, float(score))
        for mask, score in zip(masks, scores, strict=True)
    ]


def json_segments(path: Path, size: tuple[int, int], source: str) -> list[Segment]:
    """Segments of a json list of RLEs, or of objects with a `segmentation` (as SAM writes)."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: must hold a list of segments, got {type(entries).__name__}")
    return [
        entry_segment(entry, f"{path}: segment {index}", size, source)
        for index, entry in enumerate(entries)
    ]


def read_json(path: Path) -> Any:
    """The value of a json file.

    Raises:
        DatasetError: the file is missing or no json.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read as json: {error}") from error


def entry_segment(entry: Any, where: str, size: tuple[int, int], source: str) -> Segment:
    """A segment from an RLE, or from an object with the RLE as `segmentation`.

    Raises:
        DatasetError: there is no RLE, it is broken, or its size is not (height, width) `size`.
    """
    if not isinstance(entry, Mapping):
        raise DatasetError(f"{where}: must be an object, got {type(entry).__name__}")
    rle = entry.get("segmentation", entry)
    if not isinstance(rle, Mapping) or "size" not in rle or "counts" not in rle:
        raise DatasetError(f"{where}: must be an RLE with 'size' and 'counts'; polygons are none")
    check_size(where, tuple(rle["size"]), size)
    score = next((entry[key] for key in SCORES if entry.get(key) is not None), float("nan"))
    return Segment(_compressed(rle, where), source, float(score))


def _compressed(rle: Mapping[str, Any], where: str) -> RLE:
    """COCO's compressed RLE with bytes, checked to cover exactly its size."""
    height, width = (int(side) for side in rle["size"])
    counts = rle["counts"]
    if isinstance(counts, list):
        if not all(isinstance(run, int) and run >= 0 for run in counts):
            raise DatasetError(f"{where}: 'counts' holds something that is no run length")
        if sum(counts) != height * width:
            raise DatasetError(
                f"{where}: 'counts' add up to {sum(counts)} pixels, size is {height} x {width}"
            )
        result: RLE = coco_mask.frPyObjects(
            {"size": [height, width], "counts": counts}, height, width
        )
        return result
    if not isinstance(counts, str | bytes):
        raise DatasetError(f"{where}: 'counts' must be text or a list of run lengths")
    data = counts.encode() if isinstance(counts, str) else counts
    runs = _decode_runs(data)
    if runs is None or sum(runs) != height * width or min(runs, default=0) < 0:
        raise DatasetError(f"{where}: 'counts' is no compressed RLE of {height} x {width} pixels")
    return {"size": [height, width], "counts": data}


def _decode_runs(data: bytes) -> list[int] | None:
    """The run lengths of COCO's compressed counts, or None where the text ends within one.

    Each run is written in groups of five bits, least first, 48 added; bit 6 says that more follow.
    From the fourth run on the difference to the run two before is written.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in data:
        group = byte - 48
        if not 0 <= group < 64:
            return None
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs if shift == 0 else None


def check_size(where: object, found: tuple[int, ...], size: tuple[int, int]) -> None:
    """Raise DatasetError where a mask's (height, width) is not the photo's."""
    if tuple(found) != tuple(size):
        raise DatasetError(
            f"{where}: the mask is {' x '.join(map(str, found))} (height x width), "
            f"the photo {size[0]} x {size[1]}"
        )
