"""Files that a stage leaves for the next one: npz, atomic, keyed, checked when read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import atomic_file
from empaste_aug.bank.schema import TEMPORARY

Arrays = dict[str, NDArray[Any]]

_KEY = "cache_key"
_SUFFIX = ".npy"
_SECOND = 10**9
_LEFT_OVER = 3600.0
"""Seconds after which an unfinished file must be a killed process's: none is written so long."""
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON value, the same for equal values whatever their order of keys."""
    return hashlib.sha256(_text(value).encode()).hexdigest()


def digest_of_rows(rows: Iterable[Any], last: Any) -> str:
    """The `digest_of` the list ``[list(rows), last]``, whose text is never held whole."""
    digest = hashlib.sha256(b"[[")
    for position, row in enumerate(rows):
        digest.update(f"{',' if position else ''}{_text(row)}".encode())
    digest.update(f"],{_text(last)}]".encode())
    return digest.hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class StageCache:
    """The files of one stage under one config, in ``<work>/<stage>/<first digits of the key>``.

    A file gets a modification time of whole seconds. One that was changed since has almost surely
    another, and `holds` then checks all of it; else `holds` reads its directory and its key, and
    leaves the rest to the CRCs that `read` checks.

    Args:
        work: the work folder.
        stage: the stage's name.
        config: JSON values: everything, besides the item itself, that the results depend on. It is
            written into the folder as ``config.json`` for people to read, with the version.
        version: the stage's algorithm's; raised when its results change.

    The same arrays give the same bytes, whoever writes them and whenever.

    Attributes:
        key: hash of stage, version and config.
        work: the work folder.
        folder: where the files lie.
        damaged: names of the files that `read` or `holds` found damaged.
    """

    def __init__(
        self, work: str | Path, stage: str, config: Mapping[str, Any], *, version: int = 1
    ) -> None:
        self.key = digest_of([stage, version, config])
        self.work = Path(work)
        self.folder = self.work / stage / self.key[:16]
        self.config = dict(config)
        self.version = version
        self.damaged: list[str] = []

    def path(self, name: str) -> Path:
        """The file of the item `name`, which may hold slashes."""
        return self.folder / f"{name}.npz"

    def write(self, name: str, token: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store the arrays of one item, whole or not at all.

        Args:
            name: the item's.
            token: hash of the item's own input; `read` with another one finds nothing.
            arrays: none of them of dtype object.
        """
        path = self.path(name)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        described = self.folder / "config.json"
        if not described.exists():
            content = {"version": self.version, "config": self.config}
            with atomic_file(described, shared=True) as handle:
                handle.write((json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
        with atomic_file(path, shared=True) as handle:
            np.savez(handle, **{_KEY: np.array(self._full_key(token))}, **arrays)  # type: ignore[arg-type]
            handle.flush()
            now = int(time.time()) * _SECOND
            os.utime(handle.fileno(), ns=(now, now))

    def read(self, name: str, token: str) -> Arrays | None:
        """The arrays of one item; None where they are missing, of another token, or damaged."""
        path = self.path(name)
        if not path.is_file():
            return None
        try:
            with zipfile.ZipFile(path) as archive:
                if not self._fits(archive, token):
                    return None
                fields = [entry.removesuffix(_SUFFIX) for entry in archive.namelist()]
                return {field: _array(archive, field) for field in fields if field != _KEY}
        except _DAMAGE:
            self.damaged.append(name)
            os.utime(path)  # no whole second: `holds` will look at all of it
            return None

    def length(self, name: str, field: str) -> int:
        """The length of one array of an item that is there; its other arrays are not read."""
        with zipfile.ZipFile(self.path(name)) as archive:
            return len(_array(archive, field))

    def holds(self, name: str, token: str) -> bool:
        """Whether `read` would find the item, at the cost that the class's docstring tells."""
        path = self.path(name)
        if not path.is_file():
            return False
        try:
            changed = path.stat().st_mtime_ns % _SECOND != 0
            with zipfile.ZipFile(path) as archive:
                if changed and archive.testzip() is not None:
                    self.damaged.append(name)
                    return False
                return self._fits(archive, token)
        except _DAMAGE:
            self.damaged.append(name)
            return False

    def sweep(self) -> None:
        """Delete unfinished files that a process left when it was killed, an hour ago or more."""
        oldest = time.time() - _LEFT_OVER
        for path in self.folder.rglob("*" + TEMPORARY):
            with suppress(FileNotFoundError):  # its writer has finished it meanwhile
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def _fits(self, archive: zipfile.ZipFile, token: str) -> bool:
        return str(_array(archive, _KEY)) == self._full_key(token)

    def _full_key(self, token: str) -> str:
        return f"{self.key}:{token}"


def _array(archive: zipfile.ZipFile, field: str) -> NDArray[Any]:
    """One array of an npz file; reading an entry whole checks its CRC."""
    content = io.BytesIO(archive.read(field + _SUFFIX))
    array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array
