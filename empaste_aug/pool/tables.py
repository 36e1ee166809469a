"""The tables of a built pool: written at the end of a build, opened by readers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import FileSet, atomic_file, sha256_of
from empaste_aug.bank.images import load_array
from empaste_aug.bank.schema import canonical_json
from empaste_aug.pool.schema import (
    FORMAT,
    INDEX,
    INDEX_DTYPE,
    KINDS,
    LINES,
    MANIFEST,
    OFFSET_DTYPE,
    OFFSETS,
    SCHEMA_VERSION,
    SUFFIXES,
    TABLES,
    row_crc,
)
from empaste_aug.types import BankError, PoolError

Entry = Mapping[str, Any]


def write_tables(path: Path, description: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Write the index, the provenance and, last, the manifest of the pool in folder `path`.

    Args:
        path: the pool's folder.
        description: how it was made, for the manifest.
        entries: the journal's entry of each image, by its number.

    Raises:
        OSError: a file cannot be written.
    """
    index = np.zeros(len(entries), INDEX_DTYPE)
    lines = []
    for row, entry in zip(index, entries, strict=True):
        provenance = entry["provenance"]
        row["number"] = entry["number"]
        row["suffix"] = SUFFIXES.index(entry["suffix"])
        row["kind"] = KINDS.index(provenance["kind"])
        row["height"], row["width"] = entry["height"], entry["width"]
        row["bytes"] = entry["bytes"]
        row["score"] = np.nan if provenance["score"] is None else provenance["score"]
        row["crc32"] = row_crc(row, entry["crc32"])
        lines.append(canonical_json(provenance).encode() + b"\n")
    offsets = np.zeros(len(lines) + 1, OFFSET_DTYPE)
    np.cumsum([len(line) for line in lines], out=offsets[1:])
    with atomic_file(path / INDEX) as handle:
        np.save(handle, index)
    with atomic_file(path / LINES) as handle:
        handle.writelines(lines)
    with atomic_file(path / OFFSETS) as handle:
        np.save(handle, offsets)
    counts = np.bincount(index["kind"], minlength=len(KINDS)).tolist()
    manifest = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        **description,
        "images": len(index),
        "image_bytes": int(index["bytes"].sum()),
        "kinds": {kind: count for kind, count in zip(KINDS, counts, strict=True) if count},
        "files": {
            name: {"bytes": (path / name).stat().st_size, "sha256": sha256_of(path / name)}
            for name in TABLES
        },
    }
    with atomic_file(path / MANIFEST) as handle:
        text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False)
        handle.write(text.encode() + b"\n")


class Tables:
    """The index and provenance of a built pool, mapped and read a line at a time.

    Args:
        path: the pool's folder.
        manifest: its manifest.

    Raises:
        PoolError: a table is missing, damaged, or does not fit the manifest.

    Attributes:
        index: (n,) `INDEX_DTYPE`, memory-mapped, read-only.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self._path = path
        for name, entry in manifest["files"].items():
            check_size(path / name, entry["bytes"])
        try:
            count = manifest["images"]
            self.index = load_array(path / INDEX, INDEX_DTYPE, count)
            offsets = load_array(path / OFFSETS, OFFSET_DTYPE, count + 1)
        except BankError as error:
            raise PoolError(str(error)) from error
        self.rows: NDArray[np.void] = self.index.view(np.ndarray)
        self._offsets = offsets.view(np.ndarray)
        self._lines_size = int(manifest["files"][LINES]["bytes"])
        if int(self._offsets[-1]) != self._lines_size:
            raise PoolError(f"{path / OFFSETS}: does not fit {LINES}")
        self._files = FileSet([path / LINES])

    def provenance(self, row: int) -> dict[str, Any]:
        """The JSON object in line `row`.

        Raises:
            PoolError: the line is damaged.
        """
        start, end = self._offsets[row : row + 2].tolist()
        try:
            if not 0 <= start < end <= self._lines_size:
                raise ValueError(f"its offsets {start}, {end} cannot be")
            return dict(json.loads(self._files.read(0, (start, end - start))[0]))
        except (ValueError, TypeError, BankError) as error:
            raise PoolError(f"{self._path / LINES}: row {row}: damaged: {error}") from error

    def close(self) -> None:
        """Close the open file; a later read opens it again."""
        self._files.close()


def check_size(file: Path, expected: int) -> None:
    """Refuse a file that is missing or of another size.

    Raises:
        PoolError: so it is.
    """
    try:
        found = file.stat().st_size
    except OSError as error:
        raise PoolError(f"{file}: cannot be read: {error}") from error
    if found != expected:
        raise PoolError(f"{file}: truncated or damaged: {found} bytes instead of {expected}")
