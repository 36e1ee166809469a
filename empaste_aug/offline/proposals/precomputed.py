"""Segments that another program computed: COB, MCG, entity segmentation, SAM and the like."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.proposals import mask_files
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.types import ArgumentError, DatasetError


class Precomputed:
    """Segments read from files; they must have the photo's size.

    `path` is either one json file in the form of COCO's results, a list of
    ``{"image_id": ..., "segmentation": RLE, "score": ...}`` whose ids are compared as text (for ids
    of digits only, as numbers); or a folder with, for each photo, one of

    - ``<image_id>.png``: a label map, 8 or 16 bits or a palette; 0 is nothing, every other value
      one segment;
    - ``<image_id>/*.png``: one binary mask each, not 0 inside;
    - ``<image_id>.npz``: `masks` (N, H, W) and perhaps `scores` (N,);
    - ``<image_id>.json``: a list of RLEs, or of ``{"segmentation": RLE, "score": ...}`` (SAM's
      `predicted_iou` counts as score).

    RLEs may be compressed (text) or not (run lengths). `strength` is the score, NaN where there is
    none. Prefer a folder for large data sets: the one json is held in memory by every process.

    Args:
        path: the folder or the json file.
        allow_missing: a photo without a file, or without an entry, has no segments; otherwise it
            is an error.

    Raises:
        ArgumentError: `path` does not exist, or is a file that is not json.
    """

    name = "precomputed"

    def __init__(self, *, path: str | Path, allow_missing: bool = False) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise ArgumentError(f"path: {self.path} does not exist")
        if self.path.is_file() and self.path.suffix != ".json":
            raise ArgumentError(f"path: {self.path} is neither a folder nor a json file")
        self.allow_missing = allow_missing
        self._fingerprint: str | None = None
        self._entries: dict[str, list[tuple[int, Any]]] | None = None

    def config(self) -> dict[str, Any]:
        """Everything that changes the output; of a folder, the names and sizes of its files."""
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self.path)
        return {"fingerprint": self._fingerprint, "allow_missing": self.allow_missing}

    def __call__(self, image: NDArray[np.uint8], *, image_id: str) -> list[Segment]:
        """The segments of a photo, in the order of its file.

        Raises:
            DatasetError: the photo has none (unless `allow_missing`), a file is broken, or a mask
                has another size than the photo.
        """
        height, width = image.shape[:2]
        segments = (
            self._from_folder(image_id, (height, width))
            if self.path.is_dir()
            else self._from_json(image_id, (height, width))
        )
        if segments is None:
            if self.allow_missing:
                return []
            raise DatasetError(f"{self.path}: holds no segments for the photo {image_id!r}")
        return segments

    def _from_folder(self, image_id: str, size: tuple[int, int]) -> list[Segment] | None:
        readers = (
            (".png", mask_files.label_map_segments),
            (".npz", mask_files.npz_segments),
            (".json", mask_files.json_segments),
            ("", mask_files.mask_folder_segments),
        )
        found = [
            (path, reader)
            for suffix, reader in readers
            if (path := self.path / f"{image_id}{suffix}").exists()
        ]
        if len(found) > 1:
            names = ", ".join(path.name for path, _ in found)
            raise DatasetError(f"{self.path}: several files for the photo {image_id!r}: {names}")
        if not found:
            return None
        path, reader = found[0]
        return reader(path, size, self.name)

    def _from_json(self, image_id: str, size: tuple[int, int]) -> list[Segment] | None:
        if self._entries is None:
            self._entries = _by_image(self.path)
        entries = self._entries.get(_key(image_id))
        if entries is None:
            return None
        return [
            mask_files.entry_segment(entry, f"{self.path}: entry {index}", size, self.name)
            for index, entry in entries
        ]

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what was read."""
        return self.__dict__ | {"_entries": None}


def _key(image_id: object) -> str:
    text = str(image_id)
    return str(int(text)) if text.isascii() and text.isdigit() else text


def _by_image(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """The entries of a results file by image, each with its position in the file."""
    entries = mask_files.read_json(path)
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: must hold a list of results, got {type(entries).__name__}")
    by_image: dict[str, list[tuple[int, Any]]] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not {"image_id", "segmentation"} <= entry.keys():
            raise DatasetError(
                f"{path}: entry {index} must be an object with 'image_id' and 'segmentation'"
            )
        by_image.setdefault(_key(entry["image_id"]), []).append((index, entry))
    return by_image


def _fingerprint(path: Path) -> str:
    """SHA-256 of a json file, or of the sorted names and sizes of a folder's files."""
    if path.is_file():
        return sha256_of(path)
    digest = hashlib.sha256()
    for file_path in sorted(path.rglob("*")):
        if file_path.is_file():
            name, size = file_path.relative_to(path).as_posix(), file_path.stat().st_size
            digest.update(f"{name}\0{size}\n".encode())
    return digest.hexdigest()
