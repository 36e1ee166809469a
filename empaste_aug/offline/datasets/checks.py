"""Checks of a data set's files at the start: every problem is collected into one report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar, get_args

from empaste_aug.imageio import image_size, read_image
from empaste_aug.offline.datasets.base import Problem
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import ArgumentError, DatasetError

Check = Literal["decode", "header"]
"""How thoroughly image files are checked: decoded whole, or only their headers read.

Only "decode" finds truncated files; it costs about 5 ms an image and thread.
"""

Item = TypeVar("Item")
Result = TypeVar("Result")

_SHOWN = 20
_CHUNK = 32


class Report:
    """Collects problems; `close` raises them all at once, or hands them over."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []

    def add(self, where: str | Path, what: str) -> None:
        """Note that `what` is wrong at `where` (a file, or a file and an annotation id)."""
        self.problems.append(Problem(str(where), what))

    def close(self, *, skip_bad: bool) -> list[Problem]:
        """The problems found, where they may be skipped.

        Raises:
            DatasetError: there are problems and `skip_bad` is False. The message lists the first
                twenty and their number.
        """
        if self.problems and not skip_bad:
            count = len(self.problems)
            lines = [f"  {problem.where}: {problem.what}" for problem in self.problems[:_SHOWN]]
            if count > _SHOWN:
                lines.append(f"  ... and {count - _SHOWN} more")
            noun = "problem" if count == 1 else "problems"
            raise DatasetError(
                f"data set {self.name}: {count} {noun} in its files\n"
                + "\n".join(lines)
                + "\nskip_bad=True (--skip-bad) leaves these out and goes on"
            )
        return self.problems


def checked_choice(check: str) -> Check:
    """`check` itself, where it is one of the choices.

    Raises:
        ArgumentError: it is not.
    """
    if check not in get_args(Check):
        raise ArgumentError(f"check: must be one of {', '.join(get_args(Check))}, not {check!r}")
    return check  # type: ignore[return-value]


def photo_sizes(
    paths: Sequence[Path], report: Report, *, check: Check
) -> list[tuple[int, int] | None]:
    """(height, width) of every photo after EXIF rotation; None, and a problem, for broken ones."""

    def measure(path: Path) -> tuple[int, int] | DatasetError:
        try:
            if check == "header":
                return image_size(path)
            height, width, _ = read_image(path).shape
        except DatasetError as error:
            return error
        return height, width

    sizes: list[tuple[int, int] | None] = []
    for path, size in zip(paths, in_threads(measure, paths, "checking photos"), strict=True):
        if isinstance(size, DatasetError):
            report.add(path, _without_path(size, path))
            sizes.append(None)
        else:
            sizes.append(size)
    return sizes


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], description: str
) -> list[Result]:
    """`function` of every item, in order, by a few threads; a progress bar if it takes long."""

    def chunk(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + _CHUNK]]

    results: list[Result] = []
    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
        progress_bar(total=len(items), description=description, unit="file", delay=2) as bar,
    ):
        for part in pool.map(chunk, range(0, len(items), _CHUNK)):
            results.extend(part)
            bar.update(len(part))
    return results


def resolve(root: Path, given: str | Path) -> Path:
    """A user's path: a relative one is looked for under `root` first, then from where we run."""
    path = Path(given)
    return root / path if (root / path).exists() else path


def check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        ArgumentError: there is none, or one occurs twice.
    """
    if isinstance(class_names, str):
        raise ArgumentError(f"class_names: must be a sequence of names, not {class_names!r}")
    names = tuple(class_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        raise ArgumentError(
            f"class_names: {', '.join(twice)} given twice" if twice else "class_names: is empty"
        )
    return names


def _without_path(error: DatasetError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
