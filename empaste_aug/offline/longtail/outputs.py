"""The files and links of a long tail: planned, checked all at once, then written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from empaste_aug.bank.files import atomic_file, why_not_writable
from empaste_aug.offline.folders import not_apart, overlap, place_of, plain_path
from empaste_aug.types import ArgumentError

FORMAT = "empaste_aug.longtail"
"""The entry ``format`` of the report, by which an earlier subset is known."""

_NAME = re.compile(r"\w[\w .+-]*")


class Outputs:
    """What is to be written into a folder; nothing is, before all of it may be.

    A file or link that is there already, exactly as planned, is left alone, so that the same call
    goes on after one that was stopped.

    Args:
        folder: where all goes; made where missing.
        name: of the report, ``name.json``, which is written last; a word without slashes.
        overwrite: replace what an earlier subset of this name wrote.

    Raises:
        ArgumentError: `name` is no such word.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str, *, overwrite: bool) -> None:
        if not _NAME.fullmatch(name):
            raise ArgumentError(f"name: must be a plain word such as 'longtail', not {name!r}")
        self.folder = plain_path(folder)
        self.name = name
        self.report = self.folder / f"{name}.json"
        self._overwrite = overwrite
        self._files: dict[Path, bytes] = {}
        self._links: dict[Path, Path] = {}
        self._folders_of_links: list[Path] = []

    def add(self, relative: str | Path, content: bytes) -> None:
        """Plan a file."""
        self._files[self.folder / relative] = content

    def link(self, relative: str | Path, target: Path) -> None:
        """Plan a link; where the target itself lies, none is needed.

        Raises:
            ArgumentError: `relative` leaves the folder.
        """
        if ".." in Path(relative).parts or Path(relative).is_absolute():
            raise ArgumentError(f"output: {relative} would lie outside of {self.folder}")
        path = self.folder / relative
        if path.is_symlink() or path.resolve() != target.resolve():
            self._links[path] = target.resolve()

    def hold_only_links(self, relative: str | Path) -> None:
        """Say that a folder is to hold the planned links and nothing else."""
        self._folders_of_links.append(self.folder / relative)

    def keep_apart(self, folder: str | os.PathLike[str], argument: str) -> None:
        """Refuse a plan that would write into `folder`, or that `folder` would lie in.

        Links are resolved.

        Args:
            folder: a source, or what is written otherwise; it may not be there yet.
            argument: what names it.

        Raises:
            ArgumentError: they are not apart.
        """
        other = place_of(folder)
        paths = (*self._links, *self._files)
        parents = {parent: place_of(parent) for parent in {path.parent for path in paths}}
        for path in paths:
            if overlap(parents[path.parent] / path.name, other):
                raise not_apart(path, folder, argument)

    def add_report(self, content: Mapping[str, Any]) -> None:
        """Plan the report, as the last of the files."""
        self._files[self.report] = as_bytes({"format": FORMAT, **content})

    def write(self) -> None:
        """Write everything, each file all at once.

        Raises:
            ArgumentError: as `check`; nothing was written then.
        """
        self.check()
        for path in self._surplus():
            path.unlink()
        for path, target in self._links.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if _points_at(path, target):
                continue
            temporary = path.with_name(f".{path.name}.{uuid4().hex}")
            temporary.symlink_to(target)
            os.replace(temporary, path)
        for path, content in self._files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path, shared=True) as handle:
                handle.write(content)

    def check(self) -> None:
        """Whether all may be written; nothing is changed.

        Raises:
            ArgumentError: something else is there already, and `overwrite` is off, or no earlier
                subset of this name wrote it; or the folder cannot be made or written.
        """
        problem = why_not_writable(self.folder)
        if problem is not None:
            raise ArgumentError(f"output: {problem}")
        files = [path for path, content in self._files.items() if not _free(path, content)]
        links = [
            path
            for path, target in self._links.items()
            if os.path.lexists(path) and not _points_at(path, target)
        ]
        taken = files + links + self._surplus()
        if not taken:
            return
        if not self._overwrite:
            raise ArgumentError(
                f"output: {taken[0]} is there already; overwrite=True replaces it, another name or "
                "folder keeps it"
            )
        foreign = [path for path in taken if path not in files and not path.is_symlink()]
        if foreign or not self._is_ours():
            raise ArgumentError(
                f"output: {(foreign or taken)[0]} was not written by an earlier long tail called "
                f"{self.name}"
            )

    def _surplus(self) -> list[Path]:
        found = (path for folder in self._folders_of_links for path in sorted(folder.rglob("*")))
        return [p for p in found if p not in self._links and (p.is_symlink() or not p.is_dir())]

    def _is_ours(self) -> bool:
        try:
            content = json.loads(self.report.read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(content, dict) and content.get("format") == FORMAT


def as_bytes(content: Any, *, indent: int | None = 1) -> bytes:
    """JSON and a line's end, in UTF-8."""
    return (json.dumps(content, indent=indent, ensure_ascii=False) + "\n").encode()


def _free(path: Path, content: bytes) -> bool:
    if not os.path.lexists(path):
        return True
    return path.is_file() and path.read_bytes() == content


def _points_at(path: Path, target: Path) -> bool:
    return path.is_symlink() and path.resolve() == target
