"""The folders of a build, checked before hours of work go into them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from empaste_aug.bank.files import why_not_writable
from empaste_aug.bank.folder import check_folder
from empaste_aug.bank.schema import MANIFEST
from empaste_aug.types import ArgumentError


def work_folder(output: str | Path, work: str | Path | None) -> Path:
    """Where the stages keep their files: ``<output>.work`` unless another folder is given."""
    return Path(f"{Path(output)}.work") if work is None else Path(work)


def check_apart(output: str | Path, work: str | Path, stages: Collection[str]) -> None:
    """Refuse a bank's folder and a work folder that would spoil each other.

    A bank's folder holds nothing but the bank, and a stage's folder nothing but its files. So the
    bank may lie in the work folder, but not in a stage's part of it.

    Args:
        output: the bank's folder.
        work: the work folder.
        stages: the names of the folders in it.

    Raises:
        ArgumentError: they are the same, or one lies in the other in such a way.
    """
    bank, files = Path(output).resolve(), Path(work).resolve()
    if bank == files:
        raise ArgumentError(f"work: {work} is the bank's folder; the stages need one of their own")
    if files.is_relative_to(bank):
        raise ArgumentError(
            f"work: {work} lies in the bank's folder {output}, which holds nothing but the bank"
        )
    if bank.is_relative_to(files) and bank.relative_to(files).parts[0] in stages:
        raise ArgumentError(f"output: {output} lies where a stage keeps its files, in {work}")


def check_output(output: str | Path) -> None:
    """Refuse a folder that no bank can be written to; a finished bank passes.

    Raises:
        ArgumentError: it is a file, holds other files, or cannot be made or written.
    """
    if not (Path(output) / MANIFEST).exists():
        check_new(output, overwrite=False)


def check_new(output: str | Path, *, overwrite: bool) -> None:
    """Refuse a folder that no new bank can be written to.

    Raises:
        ArgumentError: as `check_output`, or it holds a finished bank and `overwrite` is off.
    """
    check_folder(Path(output), overwrite=overwrite)
    problem = why_not_writable(Path(output))
    if problem is not None:
        raise ArgumentError(f"output: {problem}")
