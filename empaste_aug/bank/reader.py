"""Reading a bank, in training workers: no pyarrow, no torch, safe under fork and spawn."""

from __future__ import annotations

import operator
import os
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.codec import RGB_CODECS, decode_alpha, decode_rgb
from empaste_aug.bank.files import FileSet, sha256_of
from empaste_aug.bank.images import ImageTable, load_array
from empaste_aug.bank.schema import (
    INDEX,
    INDEX_DTYPE,
    SHARDS,
    load_manifest,
    pixel_crc,
    record_crc,
)
from empaste_aug.kernels.reduce import reduction_for
from empaste_aug.kernels.scratch import Scratch
from empaste_aug.types import ArgumentError, BankError, Circle, Cutout

# A row of the index as plain numbers: a field of a structured array takes ten times as long.
_plain_entry: Callable[[tuple[Any, ...]], Any] = namedtuple(  # type: ignore[attr-defined]
    "Entry", INDEX_DTYPE.names or ()
)._make

_scratch = Scratch()


class MaskBank:
    """A finished bank of cut-outs: ``len(bank)``, ``bank[row]``.

    Opening maps the index and checks every file's size against the manifest; pixels are read one
    record at a time with ``pread``, so a worker's own memory hardly grows with the bank. A bank
    pickles as its path; after a fork each process opens its own files. POSIX systems only.

    Args:
        path: the bank's folder.
        verify: check the CRC32 of every record when it is read, index fields included.

    Raises:
        ArgumentError: `path` is no path, or empty.
        BankError: the bank is missing, unfinished, damaged or of another schema version.
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool = True) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise ArgumentError(f"path: {path!r} is not the folder of a bank")
        self.path = Path(path).absolute()
        self.verify = verify
        self.manifest: dict[str, Any] = load_manifest(self.path)
        self._codec: str = self.manifest["codec"]["rgb"]
        if self._codec not in RGB_CODECS:
            raise BankError(f"{self.path}: codec {self._codec!r} is unknown to this release")
        self._shards = [self.path / SHARDS / s["file"] for s in self.manifest["shards"]]
        self._shard_bytes = [int(s["bytes"]) for s in self.manifest["shards"]]
        for file, entry in self._described_files():
            _check_size(file, entry["bytes"])
        self._index = load_array(self.path / INDEX, INDEX_DTYPE, self.manifest["rows"])
        self._rows = self._index.view(np.ndarray)
        self.images = ImageTable(self.path, self.manifest["images"])
        self._files = FileSet(self._shards)

    @property
    def categories(self) -> list[str]:
        """The class names; their positions are the cut-outs' category ids."""
        return list(self.manifest["categories"])

    @property
    def index(self) -> NDArray[np.void]:
        """(n,) structured array, memory-mapped, read-only: see `schema.INDEX_DTYPE`."""
        return self._index

    def __len__(self) -> int:
        """How many cut-outs there are."""
        return len(self._rows)

    def __repr__(self) -> str:
        """The path and the numbers of cut-outs, classes and photos."""
        return (
            f"MaskBank({str(self.path)!r}: {len(self)} cut-outs of {len(self.categories)} "
            f"classes from {len(self.images)} images)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path: the other side opens the bank anew."""
        return _reopen, (str(self.path), self.verify)

    def __getitem__(self, row: int) -> Cutout:
        """The cut-out at `row`, at its full size: `read` with its defaults."""
        return self.read(row)

    def circle(self, row: int) -> Circle:
        """The cut-out's enclosing circle as `Cutout.circle` has it, from the index alone.

        Raises:
            IndexError: there is no such row.
        """
        entry = self._rows[self._checked(row)]
        return (
            float(entry["circle_x"]),
            float(entry["circle_y"]),
            float(entry["circle_radius"]),
        )

    def read(self, row: int, *, scale: float = 1.0, reuse: bool = False) -> Cutout:
        """The cut-out at `row`; negative rows count from the end. Its arrays are writable.

        Args:
            row: which one.
            scale: how large it will be shown, over its full size. Below 0.5 the pixels come reduced
                by a power of two (`Cutout.reduction`) that leaves them at least as large as shown.
            reuse: let `rgb` lie where the next such read in this thread, of any bank, overwrites
                it: faster where it is needed no longer than that. Else its memory is new.

        Raises:
            IndexError: there is no such row.
            ArgumentError: `scale` is not above 0.
            BankError: the record is damaged.
        """
        if not scale > 0:
            raise ArgumentError(f"scale: must be above 0, not {scale}")
        row = self._checked(row)
        stored = self._rows[row]
        entry = _plain_entry(stored.item())
        rgb_bytes, alpha_bytes = self._read(row, entry)
        if self.verify:
            found = record_crc(stored, pixel_crc(rgb_bytes, alpha_bytes))
            if found != entry.crc32:
                raise BankError(
                    f"{self._where(row)}: damaged: CRC32 {found:08x}, written was {entry.crc32:08x}"
                )
        height, width, reduction = entry.height, entry.width, reduction_for(scale)
        try:
            scratch = _scratch if reuse else None
            rgb = decode_rgb(rgb_bytes, height, width, self._codec, reduction, scratch)
            alpha = decode_alpha(alpha_bytes, height, width, reduction)
        except ValueError as error:
            raise BankError(f"{self._where(row)}: damaged: {error}") from error
        return Cutout(
            rgb=rgb,
            alpha=alpha,
            category_id=entry.category_id,
            score=entry.score,
            quality=entry.quality,
            row=row,
            circle=(entry.circle_x, entry.circle_y, entry.circle_radius),
            reduction=reduction,
        )

    def image_id(self, row: int) -> str | None:
        """The id of the photo that the cut-out at `row` comes from, or None where unknown.

        Raises:
            IndexError: there is no such row.
            BankError: the image table is damaged.
        """
        number = int(self._rows[self._checked(row)]["image_row"])
        return None if number < 0 else self.images[number].image_id

    def image_file(self, row: int) -> str | None:
        """The file of the photo that the cut-out at `row` comes from, or None where unknown.

        It is relative to the data set's image folder. Raises as `image_id` does.
        """
        number = int(self._rows[self._checked(row)]["image_row"])
        return None if number < 0 else self.images[number].file_name

    def class_counts(self) -> NDArray[np.int64]:
        """(number of categories,) int64: how many cut-outs each category has."""
        counts = np.bincount(self._rows["category_id"], minlength=len(self.categories))
        return counts.astype(np.int64)

    def verify_checksums(self) -> None:
        """Read every file of the bank and compare its SHA-256 with the manifest's.

        Raises:
            BankError: a file differs; the message names it.
        """
        for file, entry in self._described_files():
            _check_size(file, entry["bytes"])
            found = sha256_of(file)
            if found != entry["sha256"]:
                raise BankError(
                    f"{file}: damaged: SHA-256 {found}, the manifest says {entry['sha256']}"
                )

    def close(self) -> None:
        """Close this process's files; a later read opens them again."""
        self._files.close()
        self.images.close()

    def _described_files(self) -> list[tuple[Path, dict[str, Any]]]:
        tables = [(self.path / name, entry) for name, entry in self.manifest["files"].items()]
        return tables + list(zip(self._shards, self.manifest["shards"], strict=True))

    def _checked(self, row: int) -> int:
        row = operator.index(row)
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a bank of {len(self)} cut-outs")
        return row % len(self)

    def _where(self, row: int) -> str:
        shard = int(self._rows[row]["shard"])
        file = self._shards[shard] if shard < len(self._shards) else self.path / INDEX
        return f"{file}: row {row}"

    def _read(self, row: int, entry: Any) -> list[bytes]:
        shard = entry.shard
        end = max(entry.offset + entry.rgb_bytes, entry.alpha_offset + entry.alpha_bytes)
        if shard >= len(self._shards) or end > self._shard_bytes[shard]:
            raise BankError(f"{self._where(row)}: the index points outside the shards")
        try:
            return self._files.read(
                shard,
                (entry.offset, entry.rgb_bytes),
                (entry.alpha_offset, entry.alpha_bytes),
            )
        except BankError as error:
            raise BankError(f"row {row}: {error}") from error


def _reopen(path: str, verify: bool) -> MaskBank:
    return MaskBank(path, verify=verify)


def _check_size(file: Path, expected: int) -> None:
    try:
        found = file.stat().st_size
    except OSError as error:
        raise BankError(f"{file}: cannot be read: {error}") from error
    if found != expected:
        raise BankError(
            f"{file}: truncated or damaged: {found} bytes, the manifest says {expected}"
        )
