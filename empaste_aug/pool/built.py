"""A pool that `PoolWriter` built, as a reader sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from empaste_aug.bank.files import sha256_of
from empaste_aug.pool.schema import SUFFIXES, file_crc, image_name, row_crc
from empaste_aug.pool.tables import Tables
from empaste_aug.types import PoolError


class BuiltPool:
    """The images of a built pool. Nothing is kept open but the tables.

    Args:
        path: the pool's folder.
        manifest: its manifest.
        verify: check every file's CRC32 when it is loaded.

    Raises:
        PoolError: a table is missing, damaged, or does not fit the manifest.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], *, verify: bool) -> None:
        self.path = path
        self.tables = Tables(path, manifest)
        self.skipped: tuple[str, ...] = ()
        self._manifest = manifest
        self._verify = verify

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.tables.rows)

    def name(self, row: int) -> str:
        """The path of the image at `row`, relative to the folder."""
        entry = self.tables.rows[row]
        suffix = int(entry["suffix"])
        if suffix >= len(SUFFIXES):
            raise PoolError(f"{self.path}: row {row} of the index is damaged")
        return image_name(int(entry["number"]), SUFFIXES[suffix])

    def file(self, row: int) -> Path:
        """The image's file."""
        return self.path / self.name(row)

    def size(self, row: int) -> tuple[int, int]:
        """(height, width) of the image, from the index."""
        entry = self.tables.rows[row]
        return int(entry["height"]), int(entry["width"])

    def provenance(self, row: int) -> dict[str, Any]:
        """What the writer was told of the image."""
        return self.tables.provenance(row)

    def load(self, row: int) -> bytes:
        """The bytes of the image's file.

        Raises:
            PoolError: it is missing, of another size than the index says, or its CRC32, which
                covers the index row too, is another.
        """
        file = self.file(row)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise PoolError(f"{file}: row {row}: cannot be read: {error}") from error
        entry = self.tables.rows[row]
        if len(data) != int(entry["bytes"]):
            raise PoolError(
                f"{file}: row {row}: truncated or damaged: {len(data)} bytes, the index says "
                f"{entry['bytes']}"
            )
        if self._verify and row_crc(entry, file_crc(data)) != int(entry["crc32"]):
            raise PoolError(f"{file}: row {row}: damaged: its CRC32 is not the recorded one")
        return data

    def verify_tables(self) -> None:
        """Compare the tables' SHA-256 with the manifest's.

        Raises:
            PoolError: one differs.
        """
        for name, entry in self._manifest["files"].items():
            if sha256_of(self.path / name) != entry["sha256"]:
                raise PoolError(f"{self.path / name}: damaged: its SHA-256 is not the manifest's")

    def close(self) -> None:
        """Close the tables' open file; a later read opens it again."""
        self.tables.close()
