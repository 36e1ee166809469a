"""Making a folder ready for a pool, without ever deleting what is not a pool's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from empaste_aug.bank.files import sync_folder
from empaste_aug.bank.schema import TEMPORARY
from empaste_aug.pool.schema import (
    FOLDER_NAME,
    IMAGE_NAME,
    IMAGES,
    JOURNAL,
    MANIFEST,
    MARKERS,
    TABLES,
    read_manifest,
)
from empaste_aug.types import ArgumentError, PoolError

_OWN_FILES = tuple(n + ending for n in (MANIFEST, *TABLES, JOURNAL) for ending in ("", TEMPORARY))


def is_finished(path: Path) -> bool:
    """Whether the folder holds a finished pool; it may be missing.

    Raises:
        ArgumentError: it is a file, or holds files of something else.
    """
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"path: {path} is a file; a pool is a folder")
    if (path / MANIFEST).exists():
        try:
            found = read_manifest(path) is not None
        except PoolError as error:
            # A pool that this release cannot read may be replaced; another program's may not.
            if "is not the manifest of a pool" in str(error):
                raise ArgumentError(f"path: {error}") from error
            return True
        if found:
            return True
    if path.is_dir():
        _check_own(path)
    return False


def unfinish(path: Path) -> None:
    """Take the manifest away, so that the pool is no longer there; the folder is made if missing.

    Provenance or journal stay, and tell the rest from a folder of the user's images.
    """
    path.mkdir(parents=True, exist_ok=True)
    if (path / MANIFEST).exists():
        (path / MANIFEST).unlink()
        sync_folder(path)


def sweep(path: Path, keep: set[str]) -> None:
    """Remove tables, temporary files, and the images that are not in `keep` (relative paths)."""
    for name in _OWN_FILES:
        if name != JOURNAL:
            (path / name).unlink(missing_ok=True)
    for name in _image_names(path):
        if name not in keep and IMAGE_NAME.fullmatch(os.path.basename(name)):
            (path / name).unlink()


def _check_own(path: Path) -> None:
    names = {entry.name for entry in path.iterdir()}
    foreign = sorted(names - {*_OWN_FILES, IMAGES})
    if names.isdisjoint(MARKERS):
        foreign = sorted(names)  # its images may be anyone's
    elif not foreign:
        foreign = [n for n in _image_names(path) if not IMAGE_NAME.fullmatch(os.path.basename(n))]
    if foreign:
        shown = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        raise ArgumentError(f"path: {path} is no built pool and holds other files: {shown}")


def _image_names(path: Path) -> Iterator[str]:
    """Relative paths of the files where a build puts images, and of what else is there."""
    folder = path / IMAGES
    if not folder.is_dir():
        return
    for part in sorted(os.listdir(folder)):
        if FOLDER_NAME.fullmatch(part) and (folder / part).is_dir():
            yield from (f"{IMAGES}/{part}/{name}" for name in sorted(os.listdir(folder / part)))
        else:
            yield f"{IMAGES}/{part}"
