"""Files that a stage leaves for the next one: npz, atomic, keyed, checked when read."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_KEY = "cache_key"
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
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class StageCache:
    """The files of one stage under one config, in ``<work>/<stage>/<first digits of the key>``.

    Args:
        work: the work folder.
        stage: the stage's name.
        config: JSON values: everything, besides the item itself, that the results depend on. It is
            written into the folder as ``config.json`` for people to read.

    Attributes:
        key: hash of stage and config.
        folder: where the files lie.
        damaged: names of the files that `read` or `holds` found damaged.
    """

    def __init__(self, work: str | Path, stage: str, config: Mapping[str, Any]) -> None:
        self.key = digest_of([stage, config])
        self.folder = Path(work) / stage / self.key[:16]
        self.config = dict(config)
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
            text = json.dumps(self.config, indent=1, sort_keys=True) + "\n"
            write_atomic(described, text.encode())
        content: dict[str, Any] = {_KEY: np.array(self._full_key(token)), **arrays}
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with temporary.open("wb") as handle:
                np.savez(handle, **content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def read(self, name: str, token: str) -> Arrays | None:
        """The arrays of one item; None where they are missing, of another token, or damaged."""
        if not self.holds(name, token):
            return None
        with np.load(self.path(name), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files if key != _KEY}

    def length(self, name: str, field: str) -> int:
        """The length of one array of an item that is there; its other arrays are not read."""
        with np.load(self.path(name), allow_pickle=False) as archive:
            return len(archive[field])

    def holds(self, name: str, token: str) -> bool:
        """Whether `read` would find the item; reads the whole file and checks its CRCs."""
        path = self.path(name)
        if not path.is_file():
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                sound = archive.testzip() is None
            with np.load(path, allow_pickle=False) as content:
                stored = str(content[_KEY])
        except _DAMAGE:
            sound = False
        if not sound:
            self.damaged.append(name)
            return False
        return stored == self._full_key(token)

    def _full_key(self, token: str) -> str:
        return f"{self.key}:{token}"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in its folder, then rename it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
