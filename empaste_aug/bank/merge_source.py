"""A bank to be merged, read record by record in its encoded form."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.codec import decode_alpha
from empaste_aug.bank.files import FileSet
from empaste_aug.bank.images import SourceImage
from empaste_aug.bank.reader import MaskBank
from empaste_aug.bank.schema import SHARDS, pixel_crc, record_crc
from empaste_aug.types import ALPHA_THRESHOLD, BankError, tight_box


@dataclass(frozen=True, slots=True)
class Record:
    """One cut-out as a bank holds it.

    Attributes:
        row: its 0-d `INDEX_DTYPE` row.
        rgb, alpha: the encoded pixels.
        image: its photo, or None where unknown.
    """

    row: NDArray[np.void]
    rgb: bytes
    alpha: bytes
    image: SourceImage | None


class BankSource:
    """A finished bank: ``len(source)`` records.

    Args:
        path: its folder.

    Raises:
        BankError: it is missing, unfinished, damaged, or of another schema version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bank = MaskBank(path)
        self.manifest: dict[str, Any] = self._bank.manifest
        self._index = self._bank.index.view(np.ndarray)
        self._paths = [self._bank.path / SHARDS / s["file"] for s in self.manifest["shards"]]
        self._files = FileSet(self._paths)
        self._image: tuple[int, SourceImage | None] = (-1, None)

    def __len__(self) -> int:
        """How many cut-outs there are."""
        return len(self._index)

    def record(self, row: int) -> Record:
        """The cut-out at `row`, its CRC checked.

        Raises:
            BankError: the record is damaged.
        """
        entry = self._index[row : row + 1].reshape(())
        rgb, alpha = self._read(entry, "rgb", "alpha")
        found = record_crc(entry, pixel_crc(rgb, alpha))
        if found != entry["crc32"]:
            raise BankError(
                f"{self._where(entry)}: row {row}: damaged: CRC32 {found:08x}, written was "
                f"{int(entry['crc32']):08x}"
            )
        return Record(entry, rgb, alpha, self._photo(entry))

    def identity(self, row: int) -> bytes:
        """16 bytes, the same for the same mask of the same class at the same place of a photo.

        The margin round the mask, the alpha's soft edge, score and quality play no part. Where the
        photo or the place is unknown, the mask and the encoded rgb stand for it.

        Raises:
            BankError: the record is damaged.
        """
        entry = self._index[row : row + 1].reshape(())
        (alpha,) = self._read(entry, "alpha")
        try:
            mask = decode_alpha(alpha, *entry[["height", "width"]].item()) >= ALPHA_THRESHOLD
        except ValueError as error:
            raise BankError(f"{self._where(entry)}: row {row}: damaged: {error}") from error
        box = tight_box(mask)
        if box is None:
            raise BankError(f"{self._where(entry)}: row {row}: damaged: its mask is empty")
        x0, y0, x1, y1 = (int(edge) for edge in box)
        photo = self._photo(entry)
        key: list[Any] = [int(entry["category_id"]), x1 - x0, y1 - y0]
        if photo is not None and entry["source_x0"] >= 0:
            key += [photo.image_id, int(entry["source_x0"]) + x0, int(entry["source_y0"]) + y0]
        else:
            key += [hashlib.sha256(self._read(entry, "rgb")[0]).hexdigest(), x0, y0]
        digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16)
        digest.update(np.packbits(mask[y0:y1, x0:x1]).tobytes())
        return digest.digest()

    def close(self) -> None:
        """Close the open files."""
        self._files.close()
        self._bank.close()

    def _read(self, entry: NDArray[np.void], *parts: str) -> list[bytes]:
        offsets = {"rgb": "offset", "alpha": "alpha_offset"}
        spans = [(int(entry[offsets[part]]), int(entry[f"{part}_bytes"])) for part in parts]
        if int(entry["shard"]) >= len(self._paths):
            raise BankError(f"{self._where(entry)}: the index points outside the shards")
        return self._files.read(int(entry["shard"]), *spans)

    def _photo(self, entry: NDArray[np.void]) -> SourceImage | None:
        number = int(entry["image_row"])
        if number < 0:
            return None
        if number >= len(self._bank.images):
            raise BankError(f"{self._where(entry)}: the index points outside the table of photos")
        if self._image[0] != number:
            self._image = (number, self._bank.images[number])
        return self._image[1]

    def _where(self, entry: NDArray[np.void]) -> Path:
        shard = int(entry["shard"])
        return self._paths[shard] if shard < len(self._paths) else self.path
