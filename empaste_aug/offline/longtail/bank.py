"""Banks with some of another bank's cut-outs: a long tail, or those of a long tail's photos."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import sha256_of
from empaste_aug.bank.merge import CopyWriter as CopyWriter
from empaste_aug.bank.merge_checks import merged_description
from empaste_aug.bank.merge_source import BankSource
from empaste_aug.bank.reader import MaskBank
from empaste_aug.bank.schema import MANIFEST
from empaste_aug.bank.writer import MEBIBYTE
from empaste_aug.offline.folders import check_apart, plain_path
from empaste_aug.offline.longtail.outputs import Outputs
from empaste_aug.offline.longtail.plot import plot_sizes
from empaste_aug.offline.longtail.sizes import Pareto
from empaste_aug.offline.longtail.subset import LongTail
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import ArgumentError, BankError


def long_tail_bank(
    output: str | os.PathLike[str],
    bank: str | os.PathLike[str],
    pareto: Pareto | None = None,
    *,
    rng: np.random.Generator,
    fit: bool = False,
    seed: int | None = None,
    overwrite: bool = False,
) -> LongTail:
    """Write a bank with so many of another's cut-outs that its class sizes are long-tailed.

    Every size is met exactly; see `long_tail_rows`. Beside the bank's folder come ``FOLDER.png``,
    the plot of the sizes, and ``FOLDER.json``, as `write_subset` writes them.

    Args:
        output: the new bank's folder.
        bank: a finished bank.
        pareto: the wanted sizes; by default the paper's.
        rng: draws which cut-outs.
        fit: lower the maximum as far as needed instead of refusing.
        seed: what `rng` was seeded with, for the report and the manifest.
        overwrite: replace a finished bank at `output`, and its plot and report.

    Raises:
        ArgumentError: a class has fewer cut-outs than is asked (unless `fit`), or `output` is
            `bank` itself or is taken, or one of them lies in the other.
        BankError: the bank is missing, unfinished, damaged or empty.
        MissingDependencyError: scipy, matplotlib or pyarrow is not installed.
    """
    target = Path(output).resolve()
    with closing(MaskBank(bank)) as source:
        choice, rows = long_tail_rows(source, pareto, rng=rng, fit=fit)
    outputs = Outputs(target.parent, target.name, overwrite=overwrite)
    title = f"{Path(bank).resolve().name}: {len(rows)} cut-outs"
    outputs.add(f"{target.name}.png", plot_sizes(choice, title=title))
    report = {"bank": Path(bank).resolve().name, "seed": seed, **choice.as_json()}
    outputs.add_report(report)
    outputs.check()
    copy_rows(target, bank, rows, note=report, overwrite=overwrite)
    outputs.write()
    return choice


def bank_of_photos(
    output: str | os.PathLike[str],
    bank: str | os.PathLike[str],
    image_ids: Collection[str],
    *,
    note: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> int:
    """Write a bank with those of another's cut-outs that come from some photos; their number.

    With a `LongTail`'s `image_ids` it pastes nothing that the long-tailed training set has not.

    Args:
        output: the new bank's folder.
        bank: a finished bank of the same data set.
        image_ids: the photos' ids.
        note: what its manifest says of the choice, under ``subset_of``.
        overwrite: replace a finished bank at `output`.

    Raises:
        ArgumentError: as `copy_rows`.
        BankError: as `copy_rows`, or no cut-out comes from any of the photos.
        MissingDependencyError: pyarrow is not installed.
    """
    wanted = frozenset(image_ids)
    with closing(MaskBank(bank)) as source:
        rows = [row for row in range(len(source)) if source.image_id(row) in wanted]
    if not rows:
        raise BankError(f"{bank}: no cut-out of it comes from any of the {len(wanted)} photos")
    copy_rows(output, bank, np.array(rows), note=note, overwrite=overwrite)
    return len(rows)


def long_tail_rows(
    bank: MaskBank, pareto: Pareto | None = None, *, rng: np.random.Generator, fit: bool = False
) -> tuple[LongTail, NDArray[np.int64]]:
    """Choose a bank's cut-outs so that its class sizes are long-tailed; every size is met exactly.

    For the same seed the rows of a smaller maximum are among those of a greater one.

    Args:
        bank: what to choose from.
        pareto: the wanted sizes; by default the paper's.
        rng: draws which cut-outs.
        fit: lower the maximum as far as needed instead of refusing.

    Returns:
        The choice, and its ascending rows, (M,) int64.

    Raises:
        ArgumentError: a class has fewer than is asked (unless `fit`).
        BankError: the bank is empty.
    """
    available = bank.class_counts()
    if not available.any():
        raise BankError(f"{bank.path}: has no cut-outs")
    law = Pareto() if pareto is None else pareto
    law = law.fitted(available) if fit else law
    targets = law.targets(available, bank.categories)
    categories = np.asarray(bank.index["category_id"])
    taken = [
        rng.permutation(np.flatnonzero(categories == category))[:target]
        for category, target in enumerate(targets)
    ]
    rows = np.sort(np.concatenate(taken)).astype(np.int64)
    reached = np.bincount(categories[rows], minlength=len(bank.categories))
    photos = {name for row in rows if (name := bank.image_id(int(row))) is not None}
    choice = LongTail(
        counted="cut-outs",
        pareto=law,
        class_names=tuple(bank.categories),
        available=tuple(available.tolist()),
        targets=tuple(targets.tolist()),
        reached=tuple(reached.tolist()),
        image_ids=tuple(sorted(photos)),
    )
    return choice, rows


def copy_rows(
    output: str | os.PathLike[str],
    bank: str | os.PathLike[str],
    rows: NDArray[np.integer],
    *,
    note: dict[str, Any] | None = None,
    shard_bytes: int = 256 * MEBIBYTE,
    overwrite: bool = False,
) -> Path:
    """Write a bank with some of another's cut-outs; their encoded pixels are copied as they are.

    The classes and their ids stay, also of classes without cut-outs. The manifest has a further
    entry ``subset_of``: the other bank's folder name, its manifest's SHA-256, its rows, and `note`.
    As with `BankWriter`, the manifest is written last. All records are read before anything is
    written, so that damage leaves no folder behind, and leaves a bank that was to be replaced.

    Args:
        output: the new bank's folder.
        bank: a finished bank.
        rows: ascending rows of it.
        note: what to say of the choice; what JSON can hold.
        shard_bytes: see `BankWriter`.
        overwrite: replace a finished bank at `output`.

    Raises:
        ArgumentError: `rows` is empty, not ascending, or no row of the bank; `output` is the bank
            itself, lies in it or holds it, or holds a finished bank and `overwrite` is off, or
            holds other files.
        BankError: the bank is missing, unfinished or damaged.
        MissingDependencyError: pyarrow is not installed.
    """
    target, origin = plain_path(output), Path(bank)
    if target.resolve() == origin.resolve():
        raise ArgumentError(f"output: {target} is the bank to choose from")
    check_apart(target, origin, "bank")
    source = BankSource(origin)
    try:
        _check_rows(rows, len(source))
        description = merged_description([origin], [source.manifest], mixed=False)
        if "merged_from" in source.manifest:
            description["merged_from"] = source.manifest["merged_from"]
        description["subset_of"] = {
            "name": origin.resolve().name,
            "manifest_sha256": sha256_of(origin / MANIFEST),
            "rows": len(source),
            "choice": note,
        }
        for row in progress_bar(rows, description="checking", unit="cut-out", delay=2):
            source.record(int(row))
        shown = progress_bar(rows, description="copying", unit="cut-out", delay=2)
        writer = CopyWriter(target, description, shard_bytes=shard_bytes, overwrite=overwrite)
        with writer:
            for row in shown:
                writer.add_encoded(source, source.record(int(row)))
    finally:
        source.close()
    return target


def _check_rows(rows: NDArray[np.integer], total: int) -> None:
    if len(rows) == 0:
        raise ArgumentError("rows: is empty")
    if (np.diff(rows) <= 0).any() or rows[0] < 0 or rows[-1] >= total:
        raise ArgumentError(f"rows: must ascend within the bank's {total} rows")
