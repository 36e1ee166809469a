"""Build a pool of backgrounds: captions, distractors, text-to-image, ranking by CLIP; or from the
data set's own photos, without any download."""

from __future__ import annotations

import argparse

from empaste_aug.offline.backgrounds import STAGES, BackgroundBuild
from empaste_aug.offline.backgrounds.arguments import LIBRARY_NAMES, add_background_arguments
from empaste_aug.offline.backgrounds.from_arguments import background_options_from_arguments
from empaste_aug.offline.backgrounds.report import estimate
from empaste_aug.offline.backgrounds.sheet import pool_sheet
from empaste_aug.offline.command import STOPPED_BUILD, run_tool
from empaste_aug.offline.datasets.arguments import (
    add_dataset_arguments,
    add_limit_argument,
    dataset_from_arguments,
)
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.pictures import picture_path, write_picture
from empaste_aug.types import ArgumentError


def build_parser() -> argparse.ArgumentParser:
    """The command line's options; the library holds their defaults."""
    parser = argparse.ArgumentParser(
        prog="build_backgrounds.py",
        description=__doc__,
        epilog="A stopped build goes on where it was when the same command is given again; a "
        "changed option recomputes only what depends on it.",
    )
    add_dataset_arguments(parser)
    parser.add_argument("--output", required=True, help="the pool's folder")
    parser.add_argument("--overwrite", action="store_true", help="replace another finished pool")
    add_limit_argument(parser)
    parser.add_argument("--work", help="where the stages keep their files (OUTPUT.work)")
    parser.add_argument(
        "--stage", action="append", choices=STAGES, help="run this stage alone; repeatable"
    )
    parser.add_argument("--redo", action="store_true", help="compute the stages that run anew")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print counts of images, disk space and time, and make nothing",
    )
    parser.add_argument(
        "--sheet", metavar="FILE", help="draw photos and what was made of them into FILE"
    )
    parser.add_argument(
        "--sheet-rows", type=int, default=12, help="rows of each source on it (%(default)s)"
    )
    add_background_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Build the pool; 0, 2 with one line on stderr for an error, 130 after Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    flags = {**flags_of(parser), **LIBRARY_NAMES}
    return run_tool(lambda: _run(args), on_interrupt=STOPPED_BUILD, flags=flags)


def _run(args: argparse.Namespace) -> int:
    sheet = picture_path("--sheet", args.sheet) if args.sheet else None
    if args.sheet_rows < 1:
        raise ArgumentError(f"--sheet-rows: must be at least 1, not {args.sheet_rows}")
    dataset = dataset_from_arguments(args)
    build = BackgroundBuild(
        dataset, args.output, **background_options_from_arguments(args, dataset)
    )
    if args.dry_run:
        print(
            estimate(
                build.settings,
                captioned=len(build.photos),
                unlabelled=len(build.unlabelled),
                labelled=len(build.labelled),
                work=build.work,
                side=args.image_size,
                prompts=None if args.captions is None else build.given_captions(),
            )
        )
        return 0
    report = build.run(args.stage, redo=args.redo)
    print(report.table())
    if sheet is not None:
        write_picture(sheet, pool_sheet(build.sheet_rows(args.sheet_rows)))
        print(f"drawn to {sheet}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
