"""The table of source photos that lies beside a bank's index.

``images.jsonl`` holds one JSON object per photo (``image_id``, ``file_name``, ``height``,
``width``), readable with any tool; ``images.npy`` is uint64, one more than there are photos: the
byte offset of each line, then the file's length. A reader maps the offsets and reads single lines,
so a million names cost a worker no memory of its own.
"""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import FileSet
from empaste_aug.bank.schema import IMAGE_LINES, IMAGE_OFFSETS, canonical_json
from empaste_aug.types import ArgumentError, BankError

OFFSET_DTYPE = np.dtype("<u8")


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One photo that cut-outs come from.

    Attributes:
        image_id: unique in the bank.
        file_name: path relative to the data set's image folder, or None where unknown.
        height, width: size in pixels, or None where unknown.
    """

    image_id: str
    file_name: str | None = None
    height: int | None = None
    width: int | None = None


class ImageTableBuilder:
    """Collects photos in the order in which they are first met."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._images: list[SourceImage] = []

    def __len__(self) -> int:
        """How many photos there are so far."""
        return len(self._images)

    def check(self, image: SourceImage) -> None:
        """Refuse a photo that contradicts what was said before.

        Raises:
            ArgumentError: the id was added with another file name or size.
        """
        known = self._rows.get(image.image_id)
        if known is not None and self._images[known] != image:
            raise ArgumentError(
                f"image_id: {image.image_id!r} was {self._images[known]} before, now {image}"
            )

    def add(self, image: SourceImage) -> int:
        """The photo's row, a new one where its id is new; `check` it first."""
        row = self._rows.setdefault(image.image_id, len(self._images))
        if row == len(self._images):
            self._images.append(image)
        return row

    def encode(self) -> tuple[bytes, NDArray[np.uint64]]:
        """The lines of the table as UTF-8, and their offsets."""
        lines = [
            canonical_json(
                {
                    "image_id": image.image_id,
                    "file_name": image.file_name,
                    "height": image.height,
                    "width": image.width,
                }
            ).encode()
            + b"\n"
            for image in self._images
        ]
        offsets = np.zeros(len(lines) + 1, OFFSET_DTYPE)
        np.cumsum([len(line) for line in lines], out=offsets[1:])
        return b"".join(lines), offsets


class ImageTable:
    """A bank's source photos, read from disk one at a time: ``len(table)``, ``table[row]``."""

    def __init__(self, folder: Path, count: int) -> None:
        """Open the table of the bank in `folder`, of which the manifest says `count` photos.

        Raises:
            BankError: the files are damaged or do not hold `count` photos.
        """
        self._path = folder / IMAGE_LINES
        offsets = load_array(folder / IMAGE_OFFSETS, OFFSET_DTYPE, count + 1)
        self._size = self._path.stat().st_size
        if int(offsets[-1]) != self._size:
            raise BankError(f"{folder / IMAGE_OFFSETS}: does not fit {IMAGE_LINES}")
        self._offsets = offsets.view(np.ndarray)
        self._files = FileSet([self._path])

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> SourceImage:
        """The photo at a cut-out's ``image_row``; negative rows count from the end.

        Raises:
            IndexError: there is no such row.
            BankError: the line is damaged.
        """
        row = operator.index(row)
        if not -len(self) <= row < len(self):
            raise IndexError(f"image row {row} of a table of {len(self)}")
        row %= len(self)
        start, end = self._offsets[row : row + 2].tolist()
        try:
            if not 0 < end - start <= self._size:
                raise ValueError(f"its offsets {start}, {end} cannot be")
            return SourceImage(**json.loads(self._files.read(0, (start, end - start))[0]))
        except (ValueError, TypeError) as error:
            raise BankError(f"{self._path}: row {row}: damaged: {error}") from error

    def close(self) -> None:
        """Close the open file; a later read opens it again."""
        self._files.close()


def load_array(path: Path, dtype: np.dtype[np.void] | np.dtype[np.uint64], rows: int) -> np.memmap:  # type: ignore[type-arg]
    """The one-dimensional array in `path`, memory-mapped and read-only.

    Raises:
        BankError: it is damaged, of another dtype, or has not `rows` rows.
    """
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise BankError(f"{path}: cannot be read: {error}") from error
    if not isinstance(array, np.memmap) or array.dtype != dtype:
        raise BankError(f"{path}: is not an array with this release's fields")
    if array.shape != (rows,):
        raise BankError(f"{path}: has shape {array.shape}, the manifest says {rows} rows")
    return array
