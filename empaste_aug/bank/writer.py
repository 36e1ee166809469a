"""Writing a bank: cut-outs in, a finished folder out, or an unfinished one that says so."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import checks
from empaste_aug.bank.codec import encode_alpha, encode_rgb
from empaste_aug.bank.description import describe_build
from empaste_aug.bank.files import atomic_file, sha256_of
from empaste_aug.bank.folder import prepare_folder
from empaste_aug.bank.images import ImageTableBuilder, SourceImage
from empaste_aug.bank.matte import flatten_outside
from empaste_aug.bank.schema import (
    FORMAT,
    IMAGE_LINES,
    IMAGE_OFFSETS,
    INDEX,
    INDEX_DTYPE,
    MANIFEST,
    SCHEMA_VERSION,
    SHARDS,
    TABLES,
    UNKNOWN,
)
from empaste_aug.bank.shard import ShardWriter, import_pyarrow
from empaste_aug.geometry import minimum_enclosing_circle
from empaste_aug.types import BankError

MEBIBYTE = 1 << 20


class BankWriter:
    """Writes a bank into a folder; a context manager.

    Leaving the context, or `close`, finishes the bank; leaving it by an exception leaves an
    unfinished build, which has no manifest, which no reader opens, and which the next writer on the
    same folder clears away. The same cut-outs in the same order give the same bytes in every file
    (with the same releases of pyarrow, simplejpeg and zstandard). At any time the writer holds
    about 16 MiB of pixels, the index rows (about 0.2 kB per cut-out) and the names of the photos.

    Args:
        path: the bank's folder; made where missing. One that holds files of no bank is refused.
        categories: the class names; their positions are the bank's category ids.
        supervision: what the masks came from: "labels" (image-level) or "masks" (annotated).
        method: a name for how the cut-outs were made, for the manifest.
        config: the method's settings, for the manifest: what JSON can hold.
        input_hash: a hash of the input data, for the manifest.
        classifier: the classifier's file; its name and SHA-256 go into the manifest.
        codec: "jpeg" (4:4:4) or "raw" for the rgb.
        jpeg_quality: 1 to 100, for "jpeg".
        shard_bytes: a shard ends before the record that would take its pixels past this.
        overwrite: replace a finished bank. The old one is gone as soon as the writer is made.

    Raises:
        ArgumentError: an argument is out of range, or `path` holds a finished bank and `overwrite`
            is off, or it holds other files.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        categories: Sequence[str],
        supervision: str = "labels",
        method: str | None = None,
        config: dict[str, Any] | None = None,
        input_hash: str | None = None,
        classifier: str | os.PathLike[str] | None = None,
        codec: str = "jpeg",
        jpeg_quality: int = 90,
        shard_bytes: int = 256 * MEBIBYTE,
        overwrite: bool = False,
    ) -> None:
        import_pyarrow()
        self.path = Path(path).absolute()
        self._shard_bytes = checks.check_integer("shard_bytes", shard_bytes, 1, 2**63 - 1)
        self._description = describe_build(
            categories=categories,
            supervision=supervision,
            method=method,
            config=config,
            input_hash=input_hash,
            classifier=classifier,
            codec=codec,
            jpeg_quality=jpeg_quality,
        )
        self.categories: list[str] = self._description["categories"]
        self._codec = codec
        self._jpeg_quality = jpeg_quality
        self._lock = prepare_folder(self.path, overwrite=overwrite)
        self._shard: ShardWriter | None = None
        self._images = ImageTableBuilder()
        self._entries: list[dict[str, Any]] = []
        self._index: list[NDArray[np.void]] = []
        self._count = 0
        self._state = "open"

    def __len__(self) -> int:
        """How many cut-outs were added."""
        return self._count

    def add(
        self,
        rgb: NDArray[np.uint8],
        alpha: NDArray[np.uint8],
        *,
        category_id: int,
        score: float,
        quality: float | None = None,
        image_id: str | int | None = None,
        file_name: str | None = None,
        source_size: tuple[int, int] | None = None,
        source_bbox: tuple[int, int, int, int] | None = None,
        distance: float | None = None,
    ) -> int:
        """Add one cut-out.

        Args:
            rgb: (h, w, 3) uint8 RGB crop; it may have a margin round the mask. In a JPEG bank,
                colours farther from the object than any paste looks are flattened (see `matte`).
            alpha: (h, w) uint8; the mask is ``alpha >= 128``.
            category_id: position in the bank's categories.
            score: the classifier's probability for the category, in [0, 1].
            quality: how good the mask is believed to be, higher is better.
            image_id: the source photo, a number being stored as its text; the same id must always
                come with the same file and size.
            file_name: the photo's path relative to the data set's image folder.
            source_size: the photo's (height, width).
            source_bbox: (x0, y0, x1, y1) where the crop, margin included, lies in the photo.
            distance: the segment's Mahalanobis distance to its class (F-EM).

        Returns:
            The cut-out's row in the bank.

        Raises:
            ArgumentError: an argument is wrong; nothing was added, and the writer goes on.
            BankError: the writer is closed, or failed before.
        """
        self._demand_open()
        rgb, alpha, mask = checks.check_pixels(rgb, alpha, self._codec)
        row = np.zeros((), INDEX_DTYPE)
        row["category_id"] = checks.check_integer(
            "category_id", category_id, 0, len(self.categories) - 1
        )
        row["score"] = checks.check_score(score)
        row["quality"] = checks.check_measure("quality", quality)
        row["distance"] = checks.check_measure("distance", distance)
        image, size = checks.check_image(image_id, file_name, source_size)
        if image is not None:
            self._images.check(image)
        row["source_height"], row["source_width"] = size
        box, row["touches_border"] = checks.check_source_box(source_bbox, size, mask)
        row["source_x0"], row["source_y0"], row["source_x1"], row["source_y1"] = box
        row["height"], row["width"] = mask.shape
        row["area"] = np.count_nonzero(mask)
        row["circle_x"], row["circle_y"], row["circle_radius"] = minimum_enclosing_circle(mask)
        stored = flatten_outside(rgb, alpha) if self._codec == "jpeg" else rgb
        rgb_bytes = encode_rgb(stored, self._codec, self._jpeg_quality)
        alpha_bytes = encode_alpha(alpha)
        row["rgb_bytes"], row["alpha_bytes"] = len(rgb_bytes), len(alpha_bytes)
        row["image_row"] = UNKNOWN if image is None else self._images.add(image)
        try:
            self._append(row, rgb_bytes, alpha_bytes, image)
        except BaseException:
            self._abort()
            raise
        self._count += 1
        return self._count - 1

    def close(self) -> None:
        """Finish the bank: the last shard, the index, the images, then the manifest.

        Does nothing on a finished bank.

        Raises:
            BankError: the writer failed before, or a shard is not what was written.
        """
        if self._state == "finished":
            return
        self._demand_open()
        try:
            self._finish_shard()
            self._write_tables()
        except BaseException:
            self._abort()
            raise
        self._lock.release()
        self._state = "finished"

    def __enter__(self) -> BankWriter:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the bank, or leave an unfinished build after an exception."""
        if kind is None:
            self.close()
        elif self._state == "open":
            self._abort()

    def _demand_open(self) -> None:
        if self._state != "open":
            raise BankError(f"{self.path}: the writer is {self._state}")

    def _abort(self) -> None:
        self._state = "aborted; the build is unfinished"
        self._lock.release()
        if self._shard is not None:
            self._shard.abort()
            self._shard = None

    def _append(
        self,
        row: NDArray[np.void],
        rgb: bytes,
        alpha: bytes,
        image: SourceImage | None,
    ) -> None:
        size = len(rgb) + len(alpha)
        if self._shard is not None and self._shard.pixel_bytes + size > self._shard_bytes:
            self._finish_shard()
        if self._shard is None:
            self._shard = ShardWriter(
                self.path / SHARDS,
                len(self._entries),
                self.categories,
                {
                    "format": FORMAT,
                    "build_hash": self._description["build_hash"],
                    "rgb_codec": self._codec,
                },
            )
        self._shard.add(row, rgb, alpha, image)

    def _finish_shard(self) -> None:
        if self._shard is not None:
            entry, rows = self._shard.finish()
            self._shard = None
            self._entries.append(entry)
            self._index.append(rows)

    def _write_tables(self) -> None:
        with atomic_file(self.path / INDEX) as handle:
            np.save(handle, np.concatenate([np.zeros(0, INDEX_DTYPE), *self._index]))
        lines, offsets = self._images.encode()
        with atomic_file(self.path / IMAGE_LINES) as handle:
            handle.write(lines)
        with atomic_file(self.path / IMAGE_OFFSETS) as handle:
            np.save(handle, offsets)
        manifest = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            **self._description,
            "rows": self._count,
            "images": len(self._images),
            "files": {
                name: {
                    "bytes": (self.path / name).stat().st_size,
                    "sha256": sha256_of(self.path / name),
                }
                for name in TABLES
            },
            "shards": self._entries,
        }
        with atomic_file(self.path / MANIFEST) as handle:
            text = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=False)
            handle.write(text.encode() + b"\n")
