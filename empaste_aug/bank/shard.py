"""Writing one shard: an uncompressed Arrow IPC file, and where in it each record's bytes lie."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import atomic_file, sha256_of, sync_folder
from empaste_aug.bank.images import SourceImage
from empaste_aug.bank.schema import (
    COLUMN_FIELDS,
    FORMAT,
    INDEX_DTYPE,
    PLACE_FIELDS,
    SCHEMA_VERSION,
    TEMPORARY,
    canonical_json,
    pixel_crc,
    record_crc,
)
from empaste_aug.types import BankError, MissingDependencyError

BATCH_BYTES = 16 << 20
"""About how many bytes of pixels lie in one record batch, the writer's working memory."""


def import_pyarrow() -> Any:
    """The module pyarrow, its IPC part loaded.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise MissingDependencyError("pyarrow", "offline", "writing a bank") from error
    return pyarrow


class ShardWriter:
    """Writes one shard under a temporary name; `finish` gives it its own.

    Args:
        folder: the bank's folder of shards.
        number: the shard's position in the bank.
        categories: the bank's class names.
        metadata: what goes into the Arrow schema's and the sidecar's header, all strings.
    """

    def __init__(
        self, folder: Path, number: int, categories: Sequence[str], metadata: dict[str, str]
    ) -> None:
        self._arrow = import_pyarrow()
        self._folder = folder
        self._number = number
        self._categories = list(categories)
        self._metadata = metadata
        self._temporary = folder / f"{number:05d}{TEMPORARY}"
        self._schema = self._make_schema()
        self._handle = self._temporary.open("wb")
        self._writer = self._arrow.ipc.new_file(self._handle, self._schema)
        self._rows: list[NDArray[np.void]] = []
        self._pixel_crcs: list[int] = []
        self._batch: list[tuple[bytes, bytes, SourceImage | None]] = []
        self._batch_bytes = 0
        self.pixel_bytes = 0

    def __len__(self) -> int:
        """How many records were added."""
        return len(self._rows)

    def add(
        self,
        row: NDArray[np.void],
        rgb: bytes,
        alpha: bytes,
        image: SourceImage | None,
    ) -> None:
        """Append a record; `row` is its 0-d `INDEX_DTYPE` row, offsets and CRC still open."""
        self._rows.append(row)
        self._pixel_crcs.append(pixel_crc(rgb, alpha))
        self._batch.append((rgb, alpha, image))
        self._batch_bytes += len(rgb) + len(alpha)
        self.pixel_bytes += len(rgb) + len(alpha)
        if self._batch_bytes >= BATCH_BYTES:
            self._flush()

    def finish(self) -> tuple[dict[str, Any], NDArray[np.void]]:
        """Close the shard, check it, name it, and write its sidecar.

        Returns:
            The shard's entry for the manifest, and its (n,) `INDEX_DTYPE` rows, complete.

        Raises:
            BankError: what the file holds is not what was added.
        """
        self._flush()
        self._writer.close()
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        rows = np.array(self._rows, dtype=INDEX_DTYPE)
        rows["shard"] = self._number
        self._locate(rows)
        self._verify(rows)
        digest = sha256_of(self._temporary)
        final = self._folder / f"{self._number:05d}-{digest[:12]}.arrow"
        entry = {
            "file": final.name,
            "rows": len(rows),
            "bytes": self._temporary.stat().st_size,
            "sha256": digest,
        }
        os.replace(self._temporary, final)
        sync_folder(self._folder)
        places = {name: rows[name].tolist() for name in PLACE_FIELDS}
        sidecar = {**self._metadata, **entry, "schema_version": SCHEMA_VERSION, "places": places}
        with atomic_file(final.with_suffix(".json")) as handle:
            handle.write(canonical_json(sidecar).encode() + b"\n")
        return entry, rows

    def abort(self) -> None:
        """Give the shard up and delete its temporary file."""
        with suppress(OSError):  # a full disk, which is why we are here
            self._handle.close()
        self._temporary.unlink(missing_ok=True)

    def _make_schema(self) -> Any:
        arrow = self._arrow
        fields = [arrow.field("rgb", arrow.binary()), arrow.field("alpha", arrow.binary())]
        fields.append(arrow.field("category", arrow.string()))
        for name in COLUMN_FIELDS:
            fields.append(arrow.field(name, arrow.from_numpy_dtype(INDEX_DTYPE[name])))
        fields.append(arrow.field("image_id", arrow.string()))
        fields.append(arrow.field("file_name", arrow.string()))
        return arrow.schema(fields, metadata={"format": FORMAT, **self._metadata})

    def _flush(self) -> None:
        if not self._batch:
            return
        rgb, alpha, images = zip(*self._batch, strict=True)
        rows = np.array(self._rows[-len(self._batch) :], dtype=INDEX_DTYPE)
        columns: dict[str, Any] = {
            "rgb": rgb,
            "alpha": alpha,
            "image_id": [image and image.image_id for image in images],
            "file_name": [image and image.file_name for image in images],
        }
        columns["category"] = [self._categories[i] for i in rows["category_id"]]
        columns |= {name: np.ascontiguousarray(rows[name]) for name in COLUMN_FIELDS}
        arrays = [self._arrow.array(columns[field.name], field.type) for field in self._schema]
        self._writer.write_batch(self._arrow.record_batch(arrays, schema=self._schema))
        self._batch.clear()
        self._batch_bytes = 0

    def _locate(self, rows: NDArray[np.void]) -> None:
        """Find each record's bytes: the buffers' addresses in the mapped file, less its own."""
        arrow = self._arrow
        with arrow.memory_map(str(self._temporary)) as source:
            base = source.read_buffer(source.size())
            reader = arrow.ipc.open_file(base)
            for name in ("rgb", "alpha"):
                starts, sizes = [], []
                for number in range(reader.num_record_batches):
                    column = reader.get_batch(number).column(name)
                    _, offsets, data = column.buffers()
                    bounds = np.frombuffer(offsets, np.int32, len(column) + 1).astype(np.int64)
                    starts.append(data.address - base.address + bounds[:-1])
                    sizes.append(np.diff(bounds))
                rows["offset" if name == "rgb" else "alpha_offset"] = np.concatenate(starts)
                if not np.array_equal(rows[f"{name}_bytes"], np.concatenate(sizes)):
                    raise BankError(f"{self._temporary}: column {name} is not what was added")

    def _verify(self, rows: NDArray[np.void]) -> None:
        """Read every record back at its offsets, and set its CRC."""
        for number, (rgb, alpha) in enumerate(read_records(self._temporary, rows)):
            if pixel_crc(rgb, alpha) != self._pixel_crcs[number]:
                raise BankError(f"{self._temporary}: row {number} is not what was added")
            rows["crc32"][number] = record_crc(rows[number], self._pixel_crcs[number])


def read_records(path: Path, rows: NDArray[np.void]) -> Iterator[tuple[bytes, bytes]]:
    """The encoded rgb and alpha of each of `rows`, all of the shard file `path`."""
    with path.open("rb") as handle:
        descriptor = handle.fileno()
        for row in rows:
            yield (
                os.pread(descriptor, int(row["rgb_bytes"]), int(row["offset"])),
                os.pread(descriptor, int(row["alpha_bytes"]), int(row["alpha_offset"])),
            )
