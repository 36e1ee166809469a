"""Where the files of an export lie, and which folder may hold one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import why_not_writable
from empaste_aug.bank.schema import TEMPORARY
from empaste_aug.types import ArgumentError, DatasetError

IMAGES = "images"
PARTS = "parts"
SETTINGS = "settings.json"
ANNOTATIONS = "annotations.json"
HASHES = "images.sha256"
MANIFEST = "manifest.json"

FORMAT = "empaste_aug export"
SCHEMA = 1

_LARGEST_BLOCK = 40
_BLOCKS = 256

_FOLDER_SIZE = 1000
_IMAGE = re.compile(rf"\d{{6,}}\.(?:jpg|png)(?P<unfinished>\.[0-9a-f]+{re.escape(TEMPORARY)})?")
_FOLDER = re.compile(r"\d{3,}")
_OWN = frozenset({IMAGES, PARTS, ANNOTATIONS, HASHES, MANIFEST})


def image_name(position: int, image_format: str) -> str:
    """The file of a position, relative to the folder of images."""
    return f"{position // _FOLDER_SIZE:03d}/{position:06d}.{image_format}"


def part_path(folder: Path, block: int) -> Path:
    """The part file of a block."""
    return folder / PARTS / f"{block:06d}.json"


def block_length(number: int) -> int:
    """How many neighbouring positions are made together and recorded in one part file.

    It follows from the number of samples, and is small where that is, so that shards and workers
    get even shares: 1 below 512 samples, 40 from 10,240 on.
    """
    return max(1, min(_LARGEST_BLOCK, number // _BLOCKS))


def number_of_blocks(number: int, length: int) -> int:
    """How many blocks of a length so many samples make."""
    return -(-number // length)


def positions_of(block: int, number: int, length: int) -> range:
    """The positions of a block."""
    return range(block * length, min((block + 1) * length, number))


def finished_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the finished export in a folder; None where there is none.

    Raises:
        ArgumentError: the folder is a file, or holds files of something else.
        DatasetError: the manifest is damaged, or of another version of the format.
    """
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"output: {folder} is a file; an export is a folder")
    manifest = _read(folder / MANIFEST)
    if manifest is None:
        _check_own(folder)
        return None
    if manifest.get("format") != FORMAT:
        raise ArgumentError(f"output: {folder / MANIFEST} is not the manifest of an export")
    if manifest.get("schema") != SCHEMA:
        raise DatasetError(
            f"{folder / MANIFEST}: schema {manifest.get('schema')!r}, this release writes {SCHEMA}"
        )
    settings: dict[str, Any] = manifest["settings"]
    return settings


def begun_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the export that was begun in a folder; None where there is none.

    Raises:
        DatasetError: the file is damaged.
    """
    return _read(folder / PARTS / SETTINGS)


def found_settings(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The settings of the finished and of the begun export in a folder.

    Raises:
        ArgumentError: the folder is a file, cannot be read, or holds files of something else.
        DatasetError: a file is damaged, or of another version of the format.
    """
    try:
        return finished_settings(folder), begun_settings(folder)
    except OSError as error:
        raise ArgumentError(f"output: {folder} cannot be read: {error.strerror}") from error


def check_writable(folder: Path) -> None:
    """Try to write into a folder, or into the one that it would be made in.

    Raises:
        ArgumentError: it cannot be made or written.
    """
    problem = why_not_writable(folder)
    if problem is not None:
        raise ArgumentError(f"output: {problem}")


def check_output(folder: Path) -> None:
    """Refuse a folder that no export can be written to; a finished one passes.

    Raises:
        ArgumentError, DatasetError: as `found_settings` and `check_writable`.
    """
    if found_settings(folder)[0] is None:
        check_writable(folder)


def stray_files(folder: Path, expected: set[str]) -> list[Path]:
    """Images that are none of `expected`, and what killed processes left, below a folder's images.

    Files with other names than an export's are not looked at.
    """
    found = []
    for part in sorted((folder / IMAGES).iterdir()):
        if part.is_dir() and _FOLDER.fullmatch(part.name):
            for file in part.iterdir():
                name = _IMAGE.fullmatch(file.name)
                if name and (name["unfinished"] or f"{part.name}/{file.name}" not in expected):
                    found.append(file)
    return found


def _check_own(folder: Path) -> None:
    """Refuse a folder with files that are not an export's."""
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    begun = (folder / PARTS / SETTINGS).is_file()
    names = {n for n in names if not n.endswith(TEMPORARY)}
    foreign = sorted(names - _OWN if begun else names - {PARTS})
    if foreign:
        shown = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        raise ArgumentError(f"output: {folder} is no export and holds other files: {shown}")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DatasetError(f"{file}: is damaged: {error}") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{file}: is damaged: holds no mapping")
    return content
