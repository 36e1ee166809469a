"""The images of a pool that is being written: which there are, their files, and the journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import atomic_file, sync_folder
from empaste_aug.pool.folder import sweep, unfinish
from empaste_aug.pool.journal import Entry, Journal
from empaste_aug.pool.schema import JOURNAL, file_crc, image_name
from empaste_aug.pool.tables import check_size, write_tables
from empaste_aug.types import PoolError


class Build:
    """An unfinished pool, new or taken up again. Image files are written before their entries.

    An image keeps its number for ever: one whose file is gone, or of another size, leaves a hole
    that only its own key can fill.

    Args:
        path: the pool's folder; made where missing.
        header: how the pool is made: an unfinished one must have been begun with the same.
        restart: forget what there is, a finished pool included.

    Raises:
        ArgumentError: the pool there was begun with another header.
        PoolError: another process is writing it, or its journal cannot be opened.
        OSError: the folder cannot be written.

    Attributes:
        numbers: the number of each key, holes included.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], *, restart: bool) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(path / JOURNAL, dict(header), restart=restart)
        self.numbers: dict[str, int] = {}
        self._entries: list[Entry] = []
        self._holes: set[int] = set()
        try:
            unfinish(path)
            for entry in self._journal.entries:
                self._note(entry)
            self.find_holes()
            sweep(path, {self._name(n) for n in self.numbers.values() if n not in self._holes})
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._entries) - len(self._holes)

    def __contains__(self, key: str) -> bool:
        """Whether the image of this key is there."""
        return key in self.numbers and self.numbers[key] not in self._holes

    def store(self, data: bytes, suffix: str, size: tuple[int, int], provenance: Entry) -> int:
        """Write an image's file, then its entry in the journal; its number.

        Raises:
            OSError: that failed; the image is not there.
        """
        number = self.numbers.get(provenance["key"], len(self._entries))
        file = self.path / image_name(number, suffix)
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
            sync_folder(file.parent.parent)
        with atomic_file(file) as handle:
            handle.write(data)
        entry = {
            "number": number,
            "suffix": suffix,
            "height": size[0],
            "width": size[1],
            "bytes": len(data),
            "crc32": file_crc(data),
            "provenance": provenance,
        }
        self._journal.append(entry)
        self._note(entry)
        return number

    def find_holes(self) -> str | None:
        """Look at the size of every file; the first one that is not there as written, or None."""
        self._holes = set()
        for number, entry in enumerate(self._entries):
            try:
                check_size(self.path / self._name(number), entry["bytes"])
            except PoolError:
                self._holes.add(number)
        if not self._holes:
            return None
        number = min(self._holes)
        return f"{self._name(number)} ({self._entries[number]['provenance']['key']})"

    def finish(self, description: Mapping[str, Any]) -> None:
        """Write the tables and the manifest, and take the journal away.

        Raises:
            OSError: that failed; it may be tried again.
        """
        write_tables(self.path, description, self._entries)
        (self.path / JOURNAL).unlink(missing_ok=True)
        sync_folder(self.path)
        self.close()

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _note(self, entry: Entry) -> None:
        number, key = entry["number"], entry["provenance"]["key"]
        if number == len(self._entries) and key not in self.numbers:
            self._entries.append(entry)
            self.numbers[key] = number
        elif self.numbers.get(key) == number:
            self._entries[number] = entry
            self._holes.discard(number)
        else:
            raise PoolError(
                f"{self.path / JOURNAL}: damaged: image {number} ({key}) contradicts earlier ones; "
                "overwrite=True starts anew"
            )

    def _name(self, number: int) -> str:
        return image_name(number, self._entries[number]["suffix"])
