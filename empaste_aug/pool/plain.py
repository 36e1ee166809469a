"""A folder of the user's own images as a pool: its files in sorted order, their sizes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.imageio import EXTENSIONS, follow_text_link, image_size
from empaste_aug.types import DatasetError, PoolError

logger = logging.getLogger(__name__)

_SHOWN = 5


class PlainFolder:
    """The images in a folder and its subfolders, symbolic links followed, in sorted order.

    Files count whose suffix is in `empaste_aug.imageio.EXTENSIONS`; others are not looked at. The
    names are kept in one block of memory, which forked workers share.

    Args:
        path: the folder.
        check: read the header of every file, about 0.1 ms each.
        skip_bad: with `check`, leave files without a sound header out, and log how many.

    Raises:
        PoolError: there is no image; or files are bad and `skip_bad` is off.

    Attributes:
        skipped: what `skip_bad` left out, relative paths.
    """

    def __init__(self, path: Path, *, check: bool, skip_bad: bool) -> None:
        names = sorted(_image_files(path))
        if not names:
            raise PoolError(f"{path}: holds no image ({', '.join(sorted(EXTENSIONS))}), so no pool")
        self.path = path
        self.skipped: tuple[str, ...] = ()
        self._sizes: NDArray[np.int32] | None = None
        if check:
            names, self._sizes, faults = _checked(path, names)
            self.skipped = tuple(faults)
            if faults:
                _report(path, faults, len(names), skip_bad=skip_bad)
        self._keep(names)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._ends)

    def name(self, row: int) -> str:
        """The path of the image at `row`, relative to the folder."""
        start = int(self._ends[row - 1]) if row else 0
        return os.fsdecode(self._names[start : int(self._ends[row])])

    def file(self, row: int) -> Path:
        """The image's file."""
        return follow_text_link(self.path / self.name(row))

    def size(self, row: int) -> tuple[int, int]:
        """(height, width) of the image, upright; from its header where it was not checked.

        Raises:
            PoolError: the header is broken.
        """
        if self._sizes is not None:
            height, width = self._sizes[row].tolist()
            return height, width
        try:
            return image_size(self.file(row))
        except DatasetError as error:
            raise PoolError(str(error)) from error

    def provenance(self, row: int) -> dict[str, Any]:
        """What is known of the image: its name."""
        return {"key": self.name(row), "kind": "user"}

    def load(self, row: int) -> bytes:
        """The bytes of the image's file.

        Raises:
            PoolError: it cannot be read.
        """
        file = self.file(row)
        try:
            return file.read_bytes()
        except OSError as error:
            raise PoolError(f"{file}: cannot be read: {error}") from error

    def _keep(self, names: list[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._names = b"".join(encoded)
        self._ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)


def _image_files(path: Path) -> Iterator[str]:
    """Relative paths, with forward slashes, of the image files; loops of links are cut."""
    seen = set()
    for folder, subfolders, files in os.walk(path, followlinks=True):
        status = os.stat(folder)
        place = status.st_dev, status.st_ino
        if place in seen:
            subfolders.clear()
            continue
        seen.add(place)
        inside = os.path.relpath(folder, path)
        for name in files:
            if os.path.splitext(name)[1].lower() in EXTENSIONS:
                yield name if inside == "." else f"{inside}/{name}"


def _checked(
    path: Path, names: list[str]
) -> tuple[list[str], NDArray[np.int32], dict[str, DatasetError]]:
    """The sound files, their sizes, and what is wrong with each other one."""
    sound, sizes, faults = [], [], {}
    for name in names:
        try:
            sizes.append(image_size(follow_text_link(path / name)))
            sound.append(name)
        except DatasetError as error:
            faults[name] = error
    return sound, np.array(sizes, np.int32).reshape(-1, 2), faults


def _report(path: Path, faults: dict[str, DatasetError], sound: int, *, skip_bad: bool) -> None:
    shown = "; ".join(str(error) for error in list(faults.values())[:_SHOWN])
    shown += "; ..." if len(faults) > _SHOWN else ""
    found = f"{len(faults)} of {sound + len(faults)} images cannot be read: {shown}"
    if not skip_bad or not sound:
        raise PoolError(f"{path}: {found}; remove them, or pass skip_bad=True")
    logger.warning("%s: left out: %s", path, found)
