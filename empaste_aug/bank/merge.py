"""Several finished banks made into one: the encoded cut-outs are copied, never encoded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.images import SourceImage
from empaste_aug.bank.merge_checks import merged_description, provenance
from empaste_aug.bank.merge_source import BankSource, Record
from empaste_aug.bank.schema import UNKNOWN
from empaste_aug.bank.writer import MEBIBYTE, BankWriter
from empaste_aug.types import ArgumentError, BankError

DUPLICATES = ("refuse", "drop")
_SHOWN = 3

Progress = Callable[..., Iterable[Any]]
"""Called as ``progress(items, description=..., unit=..., total=...)``; goes through the items."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge wrote.

    Attributes:
        path: the merged bank.
        rows: its cut-outs.
        images: its photos.
        taken: per given bank, the cut-outs taken from it.
        dropped: per given bank, those that an earlier one had already.
    """

    path: Path
    rows: int
    images: int
    taken: tuple[int, ...]
    dropped: tuple[int, ...]


def merge_banks(
    output: str | os.PathLike[str],
    banks: Sequence[str | os.PathLike[str]],
    *,
    duplicates: str = "refuse",
    mixed: bool = False,
    shard_bytes: int = 256 * MEBIBYTE,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> MergeReport:
    """Write one bank with the cut-outs of several, bank after bank, in their order.

    The index, the table of photos and every encoded pixel are the bytes that one `BankWriter` would
    have written for the same cut-outs in the same order. So are the shards where the banks agree in
    `config`, `input_hash` and `classifier`; else their headers hold another build hash. The
    manifest has a further entry ``merged_from``, which says of each bank how it was made.

    Every record's CRC is checked. As with `BankWriter`, the manifest is written last: a merge that
    was stopped leaves an unfinished build, which the same call starts anew. Memory holds 16 bytes
    and an index row per cut-out, and the names of the photos.

    Args:
        output: the merged bank's folder.
        banks: finished banks with the same categories, supervision and codec.
        duplicates: what to do where two banks hold the same mask of the same class on the same
            photo: "refuse", or "drop" the later one. What one bank holds twice is left alone.
        mixed: also merge banks whose method, config or classifier differ; the manifest then has
            null for what differs, and all of it under ``merged_from``.
        shard_bytes: see `BankWriter`.
        overwrite: replace a finished bank at `output`.
        progress: shows how far the two passes are; see `Progress`.

    Raises:
        ArgumentError: no bank is given, or one twice, or `output` is one of them, or `output` holds
            a finished bank and `overwrite` is off.
        BankError: a bank is missing, unfinished or damaged; the banks differ where they must not;
            the same image id means different photos; or there are duplicates.
        MissingDependencyError: pyarrow is not installed.
    """
    if duplicates not in DUPLICATES:
        raise ArgumentError(
            f"duplicates: must be one of {', '.join(DUPLICATES)}, not {duplicates!r}"
        )
    paths = _check_paths(Path(output), [Path(bank) for bank in banks])
    show = progress or _quietly
    sources = [BankSource(path) for path in paths]
    try:
        manifests = [source.manifest for source in sources]
        description = merged_description(paths, manifests, mixed=mixed)
        drop = _find_duplicates(sources, show)
        if drop.any() and duplicates == "refuse":
            raise BankError(_tell_duplicates(sources, drop))
        starts = np.cumsum([0, *(len(source) for source in sources)])
        dropped = tuple(int(drop[start:stop].sum()) for start, stop in pairwise(starts.tolist()))
        description["merged_from"] = provenance(paths, manifests, dropped, mixed=mixed)
        writer = CopyWriter(output, description, shard_bytes=shard_bytes, overwrite=overwrite)
        with writer:
            records = show(
                _records(sources), description="merging", unit="cut-out", total=len(drop)
            )
            for number, (source, record) in enumerate(records):
                if not drop[number]:
                    writer.add_encoded(source, record)
            images = writer.images
    finally:
        for source in sources:
            source.close()
    taken = tuple(len(source) - gone for source, gone in zip(sources, dropped, strict=True))
    return MergeReport(Path(output), len(writer), images, taken, dropped)


class CopyWriter(BankWriter):
    """A writer that takes records as another bank holds them."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        description: dict[str, Any],
        *,
        shard_bytes: int,
        overwrite: bool,
    ) -> None:
        pixels = description["codec"]
        options = {"jpeg_quality": pixels["jpeg_quality"]} if "jpeg_quality" in pixels else {}
        super().__init__(
            path,
            categories=description["categories"],
            supervision=description["supervision"],
            codec=pixels["rgb"],
            shard_bytes=shard_bytes,
            overwrite=overwrite,
            **options,
        )
        self._description = description

    @property
    def images(self) -> int:
        """How many photos there are so far."""
        return len(self._images)

    def add_encoded(self, source: BankSource, record: Record) -> None:
        """Add a record; its offsets, its photo's row and its CRC become this bank's."""
        self._demand_open()
        image = record.image
        row = record.row.copy()
        for name in ("offset", "alpha_offset", "shard", "crc32"):
            row[name] = 0
        try:
            row["image_row"] = UNKNOWN if image is None else self._add_image(image)
            self._append(row, record.rgb, record.alpha, image)
        except ArgumentError as error:
            self._abort()
            raise BankError(
                f"{source.path}: names a photo as an earlier bank names another: {error}"
            ) from error
        except BaseException:
            self._abort()
            raise
        self._count += 1

    def _add_image(self, image: SourceImage) -> int:
        self._images.check(image)
        return self._images.add(image)


def _check_paths(output: Path, banks: Sequence[Path]) -> list[Path]:
    if not banks:
        raise ArgumentError("banks: none is given")
    seen: set[Path] = set()
    for path in banks:
        resolved = path.resolve()
        if resolved == output.resolve():
            raise ArgumentError(f"output: {output} is one of the banks to merge")
        if resolved in seen:
            raise ArgumentError(f"banks: {path} is given twice")
        seen.add(resolved)
    return list(banks)


def _records(sources: Sequence[BankSource]) -> Iterator[tuple[BankSource, Record]]:
    for source in sources:
        for row in range(len(source)):
            yield source, source.record(row)


def _find_duplicates(sources: Sequence[BankSource], show: Progress) -> NDArray[np.bool_]:
    """Which cut-outs, of all banks one after another, an earlier bank holds too."""
    total = sum(len(source) for source in sources)
    if len(sources) == 1:
        return np.zeros(total, dtype=bool)
    digests = (source.identity(row) for source in sources for row in range(len(source)))
    shown = show(digests, description="comparing", unit="cut-out", total=total)
    keys = np.frombuffer(b"".join(shown), dtype="<u8").reshape(total, 2)
    bank = np.repeat(np.arange(len(sources)), [len(source) for source in sources])
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: equal ones stay in the banks' order
    fresh = np.ones(total, dtype=bool)
    fresh[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    first = order[np.maximum.accumulate(np.where(fresh, np.arange(total), 0))]
    result = np.zeros(total, dtype=bool)
    result[order] = bank[order] != bank[first]
    return result


def _tell_duplicates(sources: Sequence[BankSource], drop: NDArray[np.bool_]) -> str:
    numbered = ((source, row) for source in sources for row in range(len(source)))
    found = [place for place, wanted in zip(numbered, drop, strict=True) if wanted]
    shown = ", ".join(f"row {row} of {source.path}" for source, row in found[:_SHOWN])
    more = ", ..." if len(found) > _SHOWN else ""
    return (
        f"{len(found)} cut-outs are in an earlier bank too, the same mask of the same class on the "
        f"same photo: {shown}{more}; duplicates='drop' leaves them out"
    )


def _quietly(items: Iterable[Any], **_: Any) -> Iterable[Any]:
    return items
