"""What a pool looks like on disk: its files, the index's fields, the manifest.

A built pool is a folder:

- ``manifest.json``: `FORMAT`, schema version, how the images were made, how many there are of each
  kind, and bytes and SHA-256 of the three tables. It is written last: a folder without it is an
  unfinished build.
- ``index.npy``: one `INDEX_DTYPE` row per image, to be opened memory-mapped.
- ``provenance.jsonl`` and ``provenance.npy``: where each image comes from, one JSON object per
  line, and uint64 byte offsets of the lines, then the file's length.
- ``images/NNN/NNNNNN.jpg`` (or ``.png``): plain image files, a thousand to a folder.

While it is built there is ``journal.jsonl`` too, see `empaste_aug.pool.journal`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import PoolError

FORMAT = "empaste_aug.pool"
SCHEMA_VERSION = 1

MANIFEST = "manifest.json"
INDEX = "index.npy"
LINES = "provenance.jsonl"
OFFSETS = "provenance.npy"
TABLES = (INDEX, LINES, OFFSETS)
JOURNAL = "journal.jsonl"
IMAGES = "images"

MARKERS = (JOURNAL, LINES)
"""A folder with one of these and no manifest is an unfinished pool, not a folder of images."""

FOLDER_NAME = re.compile(r"\d{3,}")
IMAGE_NAME = re.compile(r"\d{6,}\.(jpg|png)(\.tmp)?")
"""The names that a build leaves in the folder of images, unfinished files included."""

SUFFIXES = ("jpg", "png")
KINDS = ("generated", "object_free", "inpainted", "user", "black")
"""What an image is: made from a prompt; a photo without labelled objects; a photo whose objects
were painted over; an image of the user's own; a plain black one, for ablation."""

INDEX_DTYPE = np.dtype(
    [
        ("number", "<u4"),  # of the file
        ("suffix", "u1"),  # position in SUFFIXES
        ("kind", "u1"),  # position in KINDS
        ("height", "<i4"),  # upright
        ("width", "<i4"),
        ("bytes", "<u8"),  # of the file
        ("score", "<f8"),  # how well it fits its caption, higher is better; NaN: unknown
        # of the file's bytes, then of the row's fields above
        ("crc32", "<u4"),
    ]
)
"""One row of the index, packed, little-endian."""

OFFSET_DTYPE = np.dtype("<u8")

_CRC_COVERS = int(INDEX_DTYPE.fields["crc32"][1])  # type: ignore[index]


def image_name(number: int, suffix: str) -> str:
    """The path of an image's file, relative to the pool's folder."""
    return f"{IMAGES}/{number // 1000:03d}/{number:06d}.{suffix}"


def file_crc(data: bytes) -> int:
    """CRC32 of a file's bytes."""
    return zlib.crc32(data)


def row_crc(row: np.void | NDArray[np.void], of_file: int) -> int:
    """CRC32 of a file, whose own is `of_file`, followed by the covered part of its index row."""
    return zlib.crc32(row.tobytes()[:_CRC_COVERS], of_file)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of the built pool in folder `path`; None for a folder of the user's images.

    Raises:
        PoolError: there is no such folder, it holds an unfinished pool or a bank, or the manifest
            is damaged or of another schema version.
    """
    if not path.is_dir():
        raise PoolError(f"{path}: there is no such folder, so no pool")
    file = path / MANIFEST
    is_marked = any((path / name).exists() for name in MARKERS)
    manifest: Any = None
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if is_marked:
            raise PoolError(
                f"{path}: unfinished pool: {MANIFEST}, which is written last, is missing; run the "
                "build again, it goes on where it stopped"
            ) from None
    except (OSError, ValueError) as error:
        if is_marked:
            raise PoolError(f"{file}: cannot be read: {error}") from error
    kind = manifest.get("format") if isinstance(manifest, dict) else None
    if kind != FORMAT:
        if is_marked or kind == "empaste_aug.bank":
            raise PoolError(f"{file}: is not the manifest of a pool (its format is {kind!r})")
        return None
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise PoolError(
            f"{file}: schema version {manifest.get('schema_version')!r}; this release reads "
            f"version {SCHEMA_VERSION}"
        )
    _check_manifest(file, manifest)
    return dict(manifest)


def _check_manifest(file: Path, manifest: Mapping[str, Any]) -> None:
    try:
        sound = (
            isinstance(manifest["images"], int)
            and manifest["images"] == sum(manifest["kinds"].values())
            and isinstance(manifest["build_hash"], str)
            and set(manifest["files"]) == set(TABLES)
            and all(
                isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)
                for entry in manifest["files"].values()
            )
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise PoolError(f"{file}: damaged: {type(error).__name__}: {error}") from error
    if not sound:
        raise PoolError(f"{file}: damaged: its entries contradict each other")
