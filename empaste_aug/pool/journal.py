"""The journal of a pool that is being built: what is written already, whatever kills the build.

Each line of ``journal.jsonl`` is a CRC32 in hexadecimal, a space, and a JSON object. The first one
says how the pool is made; each other one stands for an image whose file was complete on disk before
the line was begun. What a killed process or a full disk leaves of a last line does not match its
CRC, and is written over by the next one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import sync_folder
from empaste_aug.bank.schema import canonical_json
from empaste_aug.types import ArgumentError, PoolError

logger = logging.getLogger(__name__)

Entry = dict[str, Any]


class Journal:
    """An open journal, which no other process can open meanwhile (where the disk has locks).

    Args:
        path: the file; made where missing.
        header: how the pool is made.
        restart: forget what the journal holds.

    Raises:
        ArgumentError: the journal was begun with another header.
        PoolError: another process is writing it, or it cannot be opened.

    Attributes:
        entries: what was in it when it was opened, oldest first.
    """

    def __init__(self, path: Path, header: Entry, *, restart: bool = False) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise PoolError(f"{path}: cannot be opened: {error}") from error
        try:
            self._lock()
            known = [] if restart else list(_sound_lines(self._read()))
            self.entries = [entry for entry, _ in known[1:]]
            self._end = known[-1][1] if known else 0
            if known:
                _compare(path, known[0][0], header)
            os.ftruncate(self._file, self._end)
            if not known:
                self.append(header)
            os.fsync(self._file)
            sync_folder(path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, entry: Entry) -> None:
        """Write a line.

        Raises:
            OSError: it could not be written; the journal is as it was.
        """
        text = canonical_json(entry).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        done = 0
        while done < len(line):
            done += os.pwrite(self._file, line[done:], self._end + done)
        self._end += len(line)

    def close(self) -> None:
        """Let go of the file and its lock."""
        os.close(self._file)

    def _read(self) -> bytes:
        """All of the file. Opening it a second time, and closing that, would drop the lock."""
        parts, offset = [], 0
        while part := os.pread(self._file, 1 << 20, offset):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _lock(self) -> None:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise PoolError(f"{self.path}: another process is writing this pool") from error
            logger.warning(
                "%s: its file system has no locks (%s): see to it that no other process writes "
                "this pool",
                self.path,
                error,
            )


def check_header(path: Path, header: Entry) -> None:
    """Refuse a journal that was begun with another header; the file may be missing.

    Raises:
        ArgumentError: so it is.
        OSError: it cannot be read.
    """
    if path.is_file():
        with path.open("rb") as handle:
            known = list(_sound_lines(handle.readline()))
        if known:
            _compare(path, known[0][0], header)


def _compare(path: Path, known: Entry, header: Entry) -> None:
    if known != header:
        changed = [k for k in header if known.get(k) != header[k]]
        raise ArgumentError(
            f"path: {path.parent} holds an unfinished pool that was begun with other "
            f"settings ({', '.join(changed) or 'more of them'} differ); finish it with "
            "those, or overwrite=True starts anew"
        )


def _sound_lines(data: bytes) -> Iterator[tuple[Entry, int]]:
    """The lines up to the first that is not whole, each with the offset of its end."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        crc, _, text = data[start:end].partition(b" ")
        if crc != b"%08x" % zlib.crc32(text):
            return
        start = end + 1
        yield json.loads(text), start
