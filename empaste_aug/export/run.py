"""The export: what is missing is made, by many processes or machines, then put together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import atomic_file
from empaste_aug.export.apart import check_sources_apart
from empaste_aug.export.block import Job, is_done, write_block
from empaste_aug.export.layout import (
    ANNOTATIONS,
    HASHES,
    MANIFEST,
    PARTS,
    SETTINGS,
    check_writable,
    found_settings,
)
from empaste_aug.export.mend import (
    all_there,
    check_files,
    lost_images,
    mend_image,
    remove_unfinished,
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
from empaste_aug.export.workers import make_all
from empaste_aug.offline.execute import Shard
from empaste_aug.offline.folders import plain_path
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
        counts: what the finished export holds; None where this call was of one shard, unless it
            found all images there.
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

    Of a finished export the same call looks at the sizes of all files. Where images are gone or
    their sizes do not sum to the manifest's, those that ``images.sha256`` does not agree with are
    made again, with `shard` those of its blocks, and nothing else is changed. Damage that leaves
    the sizes as they are is left to ``sha256sum -c``.

    Args:
        output: the folder; it is made. It lies apart from all that is read.
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
            other files, cannot be written, or lies in a folder that is read, or one of these in it;
            the class names differ or do not match the bank's; `shard` together with `overwrite`; or
            with `workers`, something cannot be sent to another process.
        BankError, DatasetError, PoolError: something cannot be read; or a finished export has lost
            its ``annotations.json`` or ``images.sha256``, or an image that would be another one
            now.
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
    folder = plain_path(output)
    check_sources_apart(folder, photos, paste, backgrounds)
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
        manifest = json.loads((folder / MANIFEST).read_bytes())
        check_files(folder, manifest)
        made, whole = 0, all_there(job, manifest)
        if not whole:
            made = _mend(job, manifest, blocks, wanted, workers, show_progress=show_progress)
        if not whole and shard is None:
            remove_unfinished(job)
        counts = manifest["counts"] if whole or shard is None else None
        return ExportSummary(folder=folder, made=made, wanted=wanted, counts=counts)
    _begin(job, settings, finished, begun, overwrite=overwrite)
    made = make_all(
        job,
        write_block,
        {block: len(job.positions(block)) for block in blocks if not is_done(job, block)},
        wanted=wanted,
        workers=workers,
        show_progress=show_progress,
    )
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


def _mend(
    job: Job,
    manifest: dict[str, Any],
    blocks: Sequence[int],
    wanted: int,
    workers: int,
    *,
    show_progress: bool,
) -> int:
    """Make again the images of some blocks that a finished export has lost; how many that were."""
    lost = lost_images(job, manifest, blocks, show_progress=show_progress)
    if lost:
        check_writable(job.folder)
    return make_all(
        job,
        mend_image,
        dict.fromkeys(lost, 1),
        wanted=wanted,
        workers=workers,
        show_progress=show_progress,
    )
