"""The folders that are read and written: which one a path names, and whether two lie apart."""

from __future__ import annotations

import os
from pathlib import Path

from empaste_aug.types import ArgumentError


def plain_path(path: str | os.PathLike[str]) -> Path:
    """The path as it is; one with ``..`` as the folder that it means.

    As long as ``new`` is not there, ``new/../out`` names nothing, even where ``out`` is full.
    """
    return place_of(path) if ".." in Path(path).parts else Path(path)


def place_of(path: str | os.PathLike[str]) -> Path:
    """Where a path leads, links resolved; nothing needs to be there."""
    return Path(os.path.realpath(path))


def overlap(first: Path, second: Path) -> bool:
    """Whether two places, see `place_of`, are the same or one lies in the other."""
    return first.is_relative_to(second) or second.is_relative_to(first)


def check_apart(
    output: str | os.PathLike[str],
    source: str | os.PathLike[str],
    argument: str,
    *,
    output_argument: str = "output",
) -> None:
    """Refuse a folder to write that lies in one that is read, or the other way round.

    Args:
        output: what is to be written; it may not be there yet.
        source: what is read, a folder or a file.
        argument: what names `source`.
        output_argument: what names `output`.

    Raises:
        ArgumentError: they are not apart.
    """
    if overlap(place_of(output), place_of(source)):
        raise not_apart(output, source, argument, output_argument=output_argument)


def not_apart(
    output: str | os.PathLike[str],
    source: str | os.PathLike[str],
    argument: str,
    *,
    output_argument: str = "output",
) -> ArgumentError:
    """The error of `check_apart`."""
    return ArgumentError(
        f"{output_argument}, {argument}: {output} and {source} would lie in one another; give "
        "folders that are apart"
    )
