"""The export: what is missing is made, by many processes or machines, then put together."""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import atomic_file
from empaste_aug.export.block import BlockTask, Job, is_done, run_block, write_block
from empaste_aug.export.layout import (
    ANNOTATIONS,
    HASHES,
    MANIFEST,
    PARTS,
    SETTINGS,
    check_writable,
    found_settings,
)
from empaste_aug.export.merge import merge_parts, remove_parts
from empaste_aug.export.options import ExportOptions
from empaste_aug.export.photos import Photos
from empaste_aug.export.sample import ExportStream
from empaste_aug.export.settings import (
    Settings,
    difference,
    digest_of,
    settings_of,
)
from empaste_aug.offline.execute import LocalExecutor, Shard
from empaste_aug.offline.progress import progress_bar
from empaste_aug.paste import EMPaste
from empaste_aug.pool import Backgrounds
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, kw_only=True)
class ExportSummary:
    """What a call of `export_dataset` did.

    Attributes:
        folder: of the export.
        made: images that this call made; those that were there are not among them.
        wanted: images that this call was to leave there: all, or those of its shard.
        counts: what the finished export holds; None where this call was of one shard.
    """

    folder: Path
    made: int
    wanted: int
    counts: dict[str, Any] | None


def export_dataset(
    output: str | Path,
    photos: Photos,
    paste: EMPaste,
    options: ExportOptions,
    *,
    backgrounds: Backgrounds | None = None,
    shard: Shard | None = None,
    workers: int = 1,
    overwrite: bool = False,
    show_progress: bool = True,
) -> ExportSummary:
    """Write the first samples of the stream as image files with a COCO json.

    Image k holds the pixels and labels that the online path hands out at position k of the stream
    for the same seed, before any augmentation; see `ExportStream`. The folder then holds

    - ``images/NNN/NNNNNN.jpg`` (or png), named by position, a thousand in each folder;
    - ``annotations.json``: COCO's instances, `file_name` relative to ``images``. An image's id is
      its position; category ids count from 1. Of each pasted object "empaste_cutout_id" is the
      bank's row, "empaste_source" the photo it was cut from, "empaste_placement" how it was pasted;
      of each original, "empaste_original" is its position among the photo's annotations. An image's
      "empaste" says which photo it is, which background took its place or, of a pool alone, which
      it is ("photo" is None then), and what was skipped or dropped;
    - ``images.sha256``, as ``sha256sum -c`` reads it;
    - ``manifest.json``: all settings, counts and hashes, written last.

    Blocks of neighbouring positions, of one image in small exports and up to 40 in large ones, are
    made by any number of processes and machines; the same call goes on where an earlier one was
    stopped or killed. The bytes are the same for any number of workers and shards, and after any
    number of kills. Maps (semantic, panoptic) are not written.

    Args:
        output: the folder; it is made.
        photos: what is pasted on.
        paste: what pastes; its class names are those of `photos`, or None.
        options: how many samples of which stream, in which format.
        backgrounds: what takes the place of photos, and how often.
        shard: make only this part of the blocks, for job arrays on one file system; a call without
            it afterwards makes what is missing and finishes the export. None: all.
        workers: processes; with 1, this one does all.
        overwrite: replace an export of other settings, or make a finished one of these anew.
        show_progress: a bar on stderr.

    Raises:
        ArgumentError: an argument is out of range; `output` holds an export of other settings, or
            other files, or cannot be written; the class names differ or do not match the bank's;
            `shard` together with `overwrite`; or with `workers`, something cannot be sent to
            another process.
        BankError, DatasetError, PoolError: something cannot be read.
        OSError: something cannot be written.

    Example:
        >>> from empaste_aug import EMPaste
        >>> from empaste_aug.export import BankPhotos, ExportOptions, export_dataset
        >>> photos = BankPhotos("out/bank", "photos/images")
        >>> options = ExportOptions(number=20, seed=0, image_format="png")
        >>> summary = export_dataset(
        ...     "out/export", photos, EMPaste("out/bank"), options, show_progress=False
        ... )
        >>> summary.made, summary.counts["images"]
        (20, 20)
    """
    if workers < 1:
        raise ArgumentError(f"workers: must be at least 1, not {workers}")
    if shard is not None and overwrite:
        raise ArgumentError(
            "shard, overwrite: not together: the shards would replace each other; run overwrite "
            "alone, or delete the folder"
        )
    folder = Path(output)
    finished, begun = found_settings(folder)
    stream = ExportStream(
        photos, paste, seed=options.seed, shuffle=options.shuffle, backgrounds=backgrounds
    )
    settings = settings_of(stream, options)
    job = Job(folder.absolute(), stream, options, digest_of(settings))
    blocks: Sequence[int] = job.blocks()
    if shard is not None:
        blocks = shard.take(blocks)
    wanted = sum(len(job.positions(block)) for block in blocks)
    if finished == settings and not overwrite:
        remove_parts(job)
        counts = json.loads((folder / MANIFEST).read_bytes())["counts"]
        return ExportSummary(folder=folder, made=0, wanted=wanted, counts=counts)
    _begin(job, settings, finished, begun, overwrite=overwrite)
    made = _make(job, blocks, wanted, workers, show_progress=show_progress)
    counts = merge_parts(job, settings)["counts"] if shard is None else None
    return ExportSummary(folder=folder, made=made, wanted=wanted, counts=counts)


def _begin(
    job: Job,
    settings: Settings,
    finished: Settings | None,
    begun: Settings | None,
    *,
    overwrite: bool,
) -> None:
    """Leave a folder that holds an unfinished export of these settings, old images apart.

    These are replaced one by one, and the rest of them goes when the parts are put together.
    """
    for found, what in ((finished, "a finished"), (begun, "an unfinished")):
        if found is not None and found != settings and not overwrite:
            raise ArgumentError(
                f"output: {job.folder} holds {what} export of other settings "
                f"({difference(found, settings)}); overwrite=True replaces it"
            )
    check_writable(job.folder)
    if begun != settings:
        (job.folder / PARTS).mkdir(parents=True, exist_ok=True)
        with atomic_file(job.folder / PARTS / SETTINGS, shared=True) as handle:
            handle.write(json.dumps(settings, indent=1).encode())
    if finished is not None:
        for name in (MANIFEST, ANNOTATIONS, HASHES):
            (job.folder / name).unlink(missing_ok=True)


def _make(
    job: Job, blocks: Sequence[int], wanted: int, workers: int, *, show_progress: bool
) -> int:
    """Make the blocks that are missing; how many images that were."""
    missing = [block for block in blocks if not is_done(job, block)]
    lengths = {block: len(job.positions(block)) for block in missing}
    made = sum(lengths.values())
    if missing:
        job.stream.paste.warmup()
    with progress_bar(
        description="images",
        unit="image",
        total=wanted,
        initial=wanted - made,
        show=show_progress and made > 0,
    ) as bar:
        if workers == 1 or len(missing) < 2:
            for block in missing:
                write_block(job, block)
                bar.update(lengths[block])
            return made
        with tempfile.TemporaryDirectory(prefix="empaste_export_") as folder:
            path = os.path.join(folder, "job")
            _write_job(job, path)
            LocalExecutor(workers).map(
                run_block,
                [BlockTask(path, block) for block in missing],
                on_done=lambda task: bar.update(lengths[task.block]),
            )
    return made


def _write_job(job: Job, path: str) -> None:
    try:
        with open(path, "wb") as handle:
            pickle.dump(job, handle, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ArgumentError(
            f"workers: something of photos, paste or backgrounds cannot be sent to another "
            f"process ({error}); workers=1 does without"
        ) from error
