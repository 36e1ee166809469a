"""What a bank looks like on disk: its files, the index's fields, the manifest.

A bank is a folder:

- ``manifest.json``: `FORMAT`, schema version, class names, how the cut-outs were made, and rows,
  bytes and SHA-256 of every other file. It is written last: a folder without it is an unfinished
  build.
- ``index.npy``: one `INDEX_DTYPE` row per cut-out, to be opened memory-mapped.
- ``images.jsonl`` and ``images.npy``: the source photos, one JSON object per line, and the byte
  offset of each line (see `empaste_aug.bank.images`).
- ``shards/NNNNN-<sha12>.arrow``: uncompressed Arrow IPC files, the pixels and every other column;
  ``sha12`` is the start of the file's SHA-256. Beside each, ``NNNNN-<sha12>.json`` tells where in
  the file its records lie: the shard and this sidecar are enough to make the shard's index anew.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import BankError

FORMAT = "empaste_aug.bank"
SCHEMA_VERSION = 1

MANIFEST = "manifest.json"
INDEX = "index.npy"
IMAGE_LINES = "images.jsonl"
IMAGE_OFFSETS = "images.npy"
SHARDS = "shards"
TABLES = (INDEX, IMAGE_LINES, IMAGE_OFFSETS)

TEMPORARY = ".tmp"
SHARD_FILE = re.compile(r"\d{5,}(-[0-9a-f]{12}\.(arrow|json)(\.tmp)?|\.tmp)")
"""The names that a build leaves in the shards' folder, unfinished ones included."""

UNKNOWN = -1
"""What an integer field of the index holds where the writer was not told."""

INDEX_DTYPE = np.dtype(
    [
        ("offset", "<u8"),  # of the rgb bytes in the shard file
        ("rgb_bytes", "<u4"),
        ("alpha_offset", "<u8"),  # of the alpha bytes in the shard file
        ("alpha_bytes", "<u4"),
        ("category_id", "<i4"),
        ("height", "<i4"),  # of the crop
        ("width", "<i4"),
        ("area", "<i8"),  # pixels with alpha >= 128
        ("circle_x", "<f8"),  # see geometry.minimum_enclosing_circle
        ("circle_y", "<f8"),
        ("circle_radius", "<f8"),
        ("score", "<f8"),
        ("quality", "<f8"),  # NaN: unknown
        ("distance", "<f8"),  # NaN: unknown
        ("source_height", "<i4"),  # of the photo; UNKNOWN possible, as in the next four
        ("source_width", "<i4"),
        ("source_x0", "<i4"),  # where the crop lies in the photo, XYXY half-open
        ("source_y0", "<i4"),
        ("source_x1", "<i4"),
        ("source_y1", "<i4"),
        ("touches_border", "?"),  # the mask reaches the photo's border
        # The fields above belong to the cut-out and its shard, and the CRC covers them; those
        # below depend on which shards and images the bank holds, and on the CRC itself.
        ("shard", "<u4"),  # position in the manifest's list
        ("image_row", "<i4"),  # row of the image table, or UNKNOWN
        ("crc32", "<u4"),
    ]
)
"""One row of the index, packed, little-endian."""

CRC_COVERS = int(INDEX_DTYPE.fields["shard"][1])  # type: ignore[index]
"""How many bytes of an index row, from its start, the record's CRC covers."""

PLACE_FIELDS = ("offset", "rgb_bytes", "alpha_offset", "alpha_bytes", "crc32")
"""The index's fields that a shard's sidecar holds."""

COLUMN_FIELDS = tuple(
    name
    for name in INDEX_DTYPE.names or ()
    if name not in PLACE_FIELDS and name not in ("shard", "image_row")
)
"""The index's fields that are columns of the shards, under the same names."""


def pixel_crc(rgb: bytes, alpha: bytes) -> int:
    """CRC32 of a record's encoded pixels: its rgb bytes, then its alpha bytes."""
    return zlib.crc32(alpha, zlib.crc32(rgb))


def record_crc(row: np.void | NDArray[np.void], pixels: int) -> int:
    """CRC32 of a record: its pixels (`pixel_crc`), then the covered part of its index row."""
    return zlib.crc32(row.tobytes()[:CRC_COVERS], pixels)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, the same text for equal values.

    Raises:
        TypeError: `value` holds what JSON has no form for.
        ValueError: `value` holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def load_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the bank in folder `path`.

    Raises:
        BankError: the folder is missing or an unfinished build, or the manifest is damaged, of
            something else, or of another schema version.
    """
    file = path / MANIFEST
    if not path.is_dir():
        raise BankError(f"{path}: there is no such folder, so no bank")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not (path / SHARDS).is_dir():
            raise BankError(
                f"{path}: is no bank: it has neither {MANIFEST} nor {SHARDS}/"
            ) from None
        raise BankError(
            f"{path}: unfinished build: {MANIFEST}, which is written last, is missing; "
            "run the build again"
        ) from None
    except (OSError, ValueError) as error:
        raise BankError(f"{file}: cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BankError(f"{file}: is not the manifest of a bank (no format: {FORMAT})")
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise BankError(
            f"{file}: schema version {version!r}; this release reads version {SCHEMA_VERSION}"
        )
    _check_manifest(file, manifest)
    return manifest


def _check_manifest(file: Path, manifest: dict[str, Any]) -> None:
    try:
        sound = (
            all(isinstance(name, str) for name in manifest["categories"])
            and manifest["rows"] == sum(shard["rows"] for shard in manifest["shards"])
            and isinstance(manifest["images"], int)
            and isinstance(manifest["codec"]["rgb"], str)
            and set(manifest["files"]) == set(TABLES)
        )
        entries = [*manifest["shards"], *manifest["files"].values()]
        sound = sound and all(
            isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)
            for entry in entries
        )
        sound = sound and all(SHARD_FILE.fullmatch(shard["file"]) for shard in manifest["shards"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BankError(f"{file}: damaged: {type(error).__name__}: {error}") from error
    if not sound:
        raise BankError(f"{file}: damaged: its entries contradict each other")
