"""Files as the bank needs them: atomic writes, checksums, and reads that survive a fork."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from empaste_aug.bank.schema import TEMPORARY
from empaste_aug.types import BankError

MAX_DESCRIPTORS = 32
"""How many files one bank keeps open in one process."""

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def why_not_writable(folder: Path) -> str | None:
    """Try to write into a folder, or into the one that it would be made in; None if that works."""
    there = folder.absolute()
    while not os.path.exists(there):  # False too where it may not be looked at
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror or error} ({there})"


@contextmanager
def atomic_file(path: Path, *, shared: bool = False) -> Iterator[BinaryIO]:
    """A file to write `path` through: all of it or nothing.

    Args:
        path: what is written once the context ends without an exception.
        shared: False for a folder with one writer, as a bank's: the file is durable when the
            context ends, and what a killed process leaves has a known name. True where several
            processes or threads may write `path`: each has a name of its own for what is
            unfinished, and nothing waits for the disk.
    """
    own = f".{uuid4().hex}" if shared else ""  # two hosts may have the same process ids
    temporary = path.with_name(path.name + own + TEMPORARY)
    try:
        with temporary.open("wb") as handle:
            yield handle
            if not shared:
                handle.flush()
                os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if not shared:
        sync_folder(path.parent)


class FileSet:
    """Reads at stored offsets from a fixed list of files, for one process at a time.

    Files are opened at first use, at most `limit` at once, and opened anew in a forked child.
    Safe for several threads.
    """

    def __init__(self, paths: Sequence[Path], *, limit: int = MAX_DESCRIPTORS) -> None:
        self._paths = tuple(paths)
        self._limit = limit
        self._start()

    def _start(self) -> None:
        # What a child inherits is forgotten, not closed: by now another file may bear the number.
        # The pid comes last: until it is set no thread may take the lock, which a thread of the
        # parent may have held at the fork.
        self._lock = threading.Lock()
        self._open: OrderedDict[int, int] = OrderedDict()
        self._pid = os.getpid()

    def read(self, number: int, *spans: tuple[int, int]) -> list[bytes]:
        """Parts of the file at position `number` of the list, each (offset, size) in bytes.

        Raises:
            BankError: the file cannot be opened or read, or ends too early.
        """
        if self._pid != os.getpid():
            self._start()
        with self._lock:
            try:
                descriptor = self._descriptor(number)
                parts = [os.pread(descriptor, size, offset) for offset, size in spans]
            except (OSError, OverflowError) as error:
                raise BankError(f"{self._paths[number]}: cannot be read: {error}") from error
        for data, (offset, size) in zip(parts, spans, strict=True):
            if len(data) != size:
                raise BankError(
                    f"{self._paths[number]}: ends too early: {len(data)} of {size} bytes at "
                    f"{offset}"
                )
        return parts

    def _descriptor(self, number: int) -> int:
        descriptor = self._open.get(number)
        if descriptor is not None:
            self._open.move_to_end(number)
            return descriptor
        while len(self._open) >= self._limit:
            os.close(self._open.popitem(last=False)[1])
        descriptor = os.open(self._paths[number], os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self._open[number] = descriptor
        return descriptor

    def __len__(self) -> int:
        """How many files are open now, in this process."""
        return len(self._open) if self._pid == os.getpid() else 0

    def close(self) -> None:
        """Close what this process opened; a later read opens again."""
        if self._pid == os.getpid():
            with self._lock:
                while self._open:
                    os.close(self._open.popitem()[1])

    def __del__(self) -> None:
        """Close what this process opened; at the interpreter's exit, when `os` is gone, it does."""
        if os is not None and hasattr(self, "_open"):
            self.close()
