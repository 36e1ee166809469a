"""Write pasted samples as image files with a COCO json: the offline form, the same as online."""

from __future__ import annotations

import argparse
import os
import sys

from empaste_aug.export import Estimate, ExportSummary, estimate_export, export_dataset
from empaste_aug.export.arguments import (
    add_export_arguments,
    add_photo_arguments,
    backgrounds_from_arguments,
    check_places,
    options_from_arguments,
    photos_from_arguments,
)
from empaste_aug.export.layout import check_output
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.execute import Shard
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.folders import plain_path
from empaste_aug.offline.paste_arguments import (
    PASTE_WORDING,
    add_paste_arguments,
    paste_from_arguments,
)
from empaste_aug.types import ArgumentError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="export_dataset.py", description=__doc__)
    parser.add_argument("--output", required=True, help="the folder of the export")
    add_paste_arguments(parser)
    add_photo_arguments(parser)
    add_export_arguments(parser)
    run = parser.add_argument_group("running")
    run.add_argument("--workers", type=int, help="processes (default: one per core)")
    run.add_argument(
        "--shard",
        metavar="I/N",
        help="make one part of n only, i from 0, for job arrays: a run of whole blocks, which have "
        "1 image below 512 images in all, and up to 40 from 10,240 on; the same command without it "
        "finishes the export",
    )
    run.add_argument(
        "--overwrite",
        action="store_true",
        help="replace an export of other settings, or make a finished one anew",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing: estimate disk space and time from a few images",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Export, or say what it would take."""
    parser = build_parser()
    args = parser.parse_args(argv)
    return run_tool(
        lambda: _run(args),
        on_interrupt="stopped; what was finished is kept: the same command again goes on there",
        wording=PASTE_WORDING,
        flags={
            **flags_of(parser),
            "image_format": "--format",
            "class_names": "--bank",
            "photos": "--root",
        },
    )


def _run(args: argparse.Namespace) -> int:
    options = options_from_arguments(args)
    shard = None if args.shard is None else Shard.parse(args.shard)
    workers = args.workers if args.workers is not None else os.cpu_count() or 1
    if workers < 1:
        raise ArgumentError(f"workers: must be at least 1, not {workers}")
    if not args.dry_run:
        check_places(args)  # before photos are read, which may take long
        check_output(plain_path(args.output))
    paste = paste_from_arguments(args)
    photos = photos_from_arguments(args, paste)
    backgrounds = backgrounds_from_arguments(args)
    if args.dry_run:
        estimate = estimate_export(args.output, photos, paste, options, backgrounds=backgrounds)
        _say_estimate(estimate, options.number, workers)
        return 0
    summary = export_dataset(
        args.output,
        photos,
        paste,
        options,
        backgrounds=backgrounds,
        shard=shard,
        workers=workers,
        overwrite=args.overwrite,
    )
    _say_summary(summary, args.shard)
    return 0


def _say_summary(summary: ExportSummary, shard: str | None) -> None:
    counts = summary.counts
    if counts is None:
        few = "" if summary.wanted else " (there are fewer blocks of images than shards)"
        print(
            f"{summary.folder}: shard {shard} is done, {summary.wanted} images{few}, "
            f"{summary.made} of them made now; when all are, the same command without --shard "
            "finishes the export"
        )
        return
    print(
        f"{summary.folder}: {counts['images']} images ({_size(counts['image_bytes'])}), "
        f"{summary.made} of them made now; {counts['annotations']} objects, {counts['pasted']} "
        f"pasted, {counts['skipped']} skipped; {counts['backgrounds']} on backgrounds"
    )
    if counts["holes_filled"]:
        print(
            f"warning: {counts['holes_filled']} objects have holes, which polygons cannot hold: "
            "they are filled; --segmentation rle keeps them",
            file=sys.stderr,
        )


def _say_estimate(estimate: Estimate, number: int, workers: int) -> None:
    print(
        f"{number} images: {_size(estimate.image_bytes)}, annotations "
        f"{_size(estimate.json_bytes)}; at most {_size(estimate.peak_bytes)} at a time, "
        f"{_size(estimate.free_bytes)} are free; about "
        f"{estimate.seconds / workers / 60:.1f} minutes with {workers} workers if each has a core "
        f"(from {estimate.samples} samples)"
    )
    if estimate.peak_bytes > estimate.free_bytes:
        print("warning: that is more than is free", file=sys.stderr)


def _size(number: int) -> str:
    value, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"


if __name__ == "__main__":
    sys.exit(main())
