"""Reading a pool of backgrounds, in training workers: no torch, safe under fork and spawn."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.pool.built import BuiltPool
from empaste_aug.pool.encoding import decode
from empaste_aug.pool.plain import PlainFolder
from empaste_aug.pool.schema import read_manifest
from empaste_aug.types import ArgumentError, PoolError


class PoolReader:
    """A pool of backgrounds: one that `PoolWriter` built, or a folder of any images.

    A *built pool* opens at once, however large: its index is mapped, and image files are looked at
    when they are read. A *folder* is listed with its subfolders; its rows are the image files
    (suffixes in `empaste_aug.imageio.EXTENSIONS`) in sorted order of their relative paths. The
    header of each is read when it is opened, about 0.1 ms a file, so that a broken file does not
    stop a training hours later; with ``verify=False`` it is not.

    No file stays open, so forked workers share a reader, and spawned ones get it pickled: a built
    pool as its path, a folder as its path and its list of files, so that all workers have the same
    rows. What has been checked is not checked again.

    Args:
        path: the pool's folder.
        verify: of a built pool, check the CRC32 of every image when it is read; of a folder, check
            every file's header now.
        skip_bad: leave files of a folder that have no sound header out: a logged warning counts
            them, and `skipped` names them. Damage in a built pool is always an error.

    Raises:
        ArgumentError: `path` is no path, or empty; `skip_bad` without `verify`.
        PoolError: there is no such folder; it holds no image, an unfinished pool, or a bank; a
            table or header is damaged; or the pool is of another schema version.

    Attributes:
        manifest: of a built pool; None for a folder.
        skipped: what `skip_bad` left out, relative paths.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, verify: bool = True, skip_bad: bool = False
    ) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise ArgumentError(f"path: {path!r} is not the folder of a pool")
        if skip_bad and not verify:
            raise ArgumentError("skip_bad: needs verify=True, which finds what is bad")
        self.path = Path(path).absolute()
        self.verify = verify
        self.manifest = read_manifest(self.path)
        self._images: BuiltPool | PlainFolder
        if self.manifest is None:
            self._images = PlainFolder(self.path, check=verify, skip_bad=skip_bad)
        else:
            self._images = BuiltPool(self.path, self.manifest, verify=verify)
            if not len(self._images):
                raise PoolError(f"{self.path}: the pool holds no image")
        self.skipped = self._images.skipped

    @property
    def index(self) -> NDArray[np.void] | None:
        """(n,) memory-mapped, read-only, of a built pool: see `schema.INDEX_DTYPE`; else None."""
        return self._images.tables.index if isinstance(self._images, BuiltPool) else None

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._images)

    def __repr__(self) -> str:
        """The path and the number of images."""
        kind = "folder" if self.manifest is None else "pool"
        return f"PoolReader({str(self.path)!r}: {kind} of {len(self)} images)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the path; of a folder, with its list of files."""
        folder = self._images if isinstance(self._images, PlainFolder) else None
        return _reopen, (str(self.path), self.verify, folder)

    def read(self, row: int, *, min_size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """The image at `row`, upright.

        Args:
            row: negative ones count from the end.
            min_size: (height, width): the image may come smaller than it is, if that takes less
                time, but not smaller than this in either dimension. None: full size.

        Returns:
            (H, W, 3) uint8 RGB, C-contiguous and writable.

        Raises:
            IndexError: there is no such row.
            PoolError: the file is missing, truncated or damaged; the message names it.
            MissingDependencyError: the file is no upright JPEG, and Pillow is not installed.
        """
        row = self._checked(row)
        rgb = decode(self._images.load(row), self._images.file(row), min_size)
        if min_size is None and rgb.shape[:2] != self._images.size(row):
            raise PoolError(
                f"{self._images.file(row)}: row {row}: is {rgb.shape[:2]} (height, width), not "
                f"{self._images.size(row)} as when the pool was made or opened"
            )
        return rgb

    def size(self, row: int) -> tuple[int, int]:
        """(height, width) of the image at `row`, upright, without decoding it.

        Raises:
            IndexError: there is no such row.
            PoolError: a folder's file has a broken header (only without `verify`).
        """
        return self._images.size(self._checked(row))

    def provenance(self, row: int) -> dict[str, Any]:
        """Where the image at `row` comes from.

        Of a built pool: "key", "kind", and, None where unknown, "source", "caption", "prompt",
        "seed", "model", "score", "scores", "extra" as `PoolWriter.add` got them. Of a folder:
        "key", the relative path, and "kind", "user".

        Raises:
            IndexError: there is no such row.
            PoolError: the table is damaged.
        """
        return self._images.provenance(self._checked(row))

    def file_name(self, row: int) -> str:
        """The absolute path of the image at `row`.

        Raises:
            IndexError: there is no such row.
        """
        return str(self._images.file(self._checked(row)))

    def verify_all(self) -> None:
        """Read and decode every image, and check the tables: what is wrong shows now.

        Raises:
            PoolError: a file is missing or damaged; the message names it.
        """
        if isinstance(self._images, BuiltPool):
            self._images.verify_tables()
        for row in range(len(self)):
            self.read(row)

    def close(self) -> None:
        """Close what this process opened; a later read opens it again."""
        if isinstance(self._images, BuiltPool):
            self._images.close()

    def _checked(self, row: int) -> int:
        row = operator.index(row)
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a pool of {len(self)} images")
        return row % len(self)


def _reopen(path: str, verify: bool, folder: PlainFolder | None) -> PoolReader:
    if folder is None:
        return PoolReader(path, verify=verify)
    reader = PoolReader.__new__(PoolReader)
    reader.path, reader.verify, reader.manifest = Path(path), verify, None
    reader._images, reader.skipped = folder, folder.skipped
    return reader
