"""Making a folder ready for a new bank, without ever deleting what is not a bank's."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from empaste_aug.bank.files import sync_folder
from empaste_aug.bank.schema import MANIFEST, SHARD_FILE, SHARDS, TABLES, TEMPORARY, load_manifest
from empaste_aug.types import ArgumentError, BankError

_OWN_FILES = tuple(name + ending for name in (MANIFEST, *TABLES) for ending in ("", TEMPORARY))


class FolderLock:
    """The only writer of a folder, until `release` or the end of the process.

    Args:
        path: the folder; made where missing.

    Raises:
        BankError: another writer has it. Where the file system has no locks, nobody is noticed.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._descriptor: int | None = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BankError(f"{path}: another process is writing this bank") from error

    def release(self) -> None:
        """Let others write the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        """As `release`."""
        self.release()


def prepare_folder(path: Path, *, overwrite: bool) -> FolderLock:
    """Make `path` an unfinished bank without content: a folder with an empty folder of shards.

    An unfinished build is cleared away. A finished bank is cleared with `overwrite`, its manifest
    first, so that it is never half there; other files beside it are left alone.

    Returns:
        What keeps other writers away.

    Raises:
        ArgumentError: as `check_folder`.
        BankError: as `FolderLock`.
    """
    check_folder(path, overwrite=overwrite)
    lock = FolderLock(path)
    shards = path / SHARDS
    if (path / MANIFEST).exists():
        (path / MANIFEST).unlink()
        sync_folder(path)
    for name in _OWN_FILES:
        (path / name).unlink(missing_ok=True)
    if shards.is_dir():
        for file in shards.iterdir():
            if SHARD_FILE.fullmatch(file.name):
                file.unlink()
    shards.mkdir(exist_ok=True)
    return lock


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Whether a bank may be written to `path`; nothing is changed.

    Raises:
        ArgumentError: `path` is a finished bank and `overwrite` is off; or it is a file, or a
            folder that is no bank and not empty.
    """
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"path: {path} is a file; a bank is a folder")
    if (path / MANIFEST).exists():
        _check_overwrite(path, overwrite)
    elif path.is_dir():
        _check_unfinished(path)


def _check_overwrite(path: Path, overwrite: bool) -> None:
    if not overwrite:
        raise ArgumentError(
            f"path: {path} holds a finished bank; overwrite=True replaces it, another path keeps it"
        )
    try:
        load_manifest(path)
    except BankError as error:
        # A bank that this release cannot read may be replaced; another program's file may not.
        if "is not the manifest of a bank" in str(error):
            raise ArgumentError(f"path: {error}") from error


def _check_unfinished(path: Path) -> None:
    names = {entry.name for entry in path.iterdir()}
    foreign = sorted(names - {*_OWN_FILES, SHARDS})
    if (path / SHARDS).is_dir():
        foreign += sorted(
            f"{SHARDS}/{entry.name}"
            for entry in (path / SHARDS).iterdir()
            if not SHARD_FILE.fullmatch(entry.name)
        )
    elif names:
        foreign = sorted(names)
    if foreign:
        shown = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        raise ArgumentError(f"path: {path} is no bank and holds other files: {shown}")
