"""Draw a sheet of pasted samples with their masks and boxes."""

from __future__ import annotations

import argparse
import sys

from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets.arguments import (
    add_dataset_arguments,
    add_limit_argument,
    dataset_from_arguments,
)
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.paste_arguments import (
    PASTE_WORDING,
    add_paste_arguments,
    paste_from_arguments,
)
from empaste_aug.offline.pictures import picture_path, write_picture
from empaste_aug.offline.preview import preview_sheet
from empaste_aug.types import ArgumentError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="preview.py", description=__doc__)
    add_dataset_arguments(parser)
    add_limit_argument(parser)
    parser.add_argument("--output", default="preview.png", help="the picture to write (.png, .jpg)")
    parser.add_argument("--number", type=int, default=12, help="how many samples")
    parser.add_argument("--columns", type=int, default=4, help="samples in a row")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other samples")
    parser.add_argument(
        "--originals",
        choices=("bank", "truth", "none"),
        default="bank",
        help="whose masks the photos' own objects get: the bank's, the annotations', nobody's",
    )
    parser.add_argument(
        "--plain", action="store_true", help="the bare images, without masks, boxes and names"
    )
    add_paste_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the sheet and say what is on it."""
    parser = build_parser()
    args = parser.parse_args(argv)
    return run_tool(
        lambda: _run(args),
        wording=PASTE_WORDING,
        flags={**flags_of(parser), "class_names": "--bank"},
    )


def _run(args: argparse.Namespace) -> int:
    output = picture_path("--output", args.output)
    if args.columns < 1:
        raise ArgumentError(f"--columns: must be at least 1, not {args.columns}")
    dataset = dataset_from_arguments(args)
    paste = paste_from_arguments(args)
    sheet, scenes = preview_sheet(
        paste,
        dataset,
        number=args.number,
        seed=args.seed,
        originals=args.originals,
        columns=args.columns,
        annotated=not args.plain,
    )
    write_picture(output, sheet)
    pasted = sum(len(scene.record.placements) for scene in scenes if scene.record)
    skipped = sum(len(scene.record.skipped) for scene in scenes if scene.record)
    print(f"{output}: {len(scenes)} samples, {pasted} objects pasted, {skipped} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
