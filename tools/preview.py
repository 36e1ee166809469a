"""Draw a sheet of pasted samples with their masks and boxes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from empaste_aug import EMPaste
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets.arguments import (
    add_dataset_arguments,
    add_limit_argument,
    dataset_from_arguments,
)
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.pictures import picture_path, write_picture
from empaste_aug.offline.preview import preview_sheet
from empaste_aug.types import ArgumentError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="preview.py", description=__doc__)
    add_dataset_arguments(parser)
    add_limit_argument(parser)
    parser.add_argument("--bank", required=True, help="the bank's folder")
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
        "--map",
        action="append",
        default=[],
        metavar="BANK=OURS",
        help="the data set's name of a class of the bank that is called otherwise; repeatable",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME",
        help="paste nothing of this class of the bank; repeatable",
    )
    parser.add_argument(
        "--plain", action="store_true", help="the bare images, without masks, boxes and names"
    )
    paste = parser.add_argument_group("pasting, see EMPaste")
    paste.add_argument(
        "--placement",
        choices=("random", "space_maximize"),
        default="random",
        help="anywhere, or in the largest free circle",
    )
    paste.add_argument("--count", type=int, nargs="+", default=[4], help="a number, or low high")
    paste.add_argument(
        "--max-scale",
        type=float,
        help="the most that space_maximize enlarges a cut-out (no limit)",
    )
    paste.add_argument(
        "--selection",
        choices=("uniform", "balanced"),
        default="uniform",
        help="the same chance for every cut-out, or for every class",
    )
    paste.add_argument(
        "--blend",
        default="gaussian",
        metavar="BLEND",
        help="gaussian, none, poisson, or a mean as 0.3*gaussian+0.7*poisson (gaussian)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Write the sheet and say what is on it."""
    parser = build_parser()
    args = parser.parse_args(argv)
    return run_tool(
        lambda: _run(args),
        wording={
            "category_map": "--map",
            ", drop them with exclude, or give selection weights without them": " or leave them "
            "out with --exclude",
        },
        flags={**flags_of(parser), "class_names": "--bank"},
    )


def _run(args: argparse.Namespace) -> int:
    output = picture_path("--output", args.output)
    if args.columns < 1:
        raise ArgumentError(f"--columns: must be at least 1, not {args.columns}")
    dataset = dataset_from_arguments(args)
    paste = EMPaste(
        args.bank,
        placement=args.placement,
        count=args.count[0] if len(args.count) == 1 else tuple(args.count),
        selection=args.selection,
        max_scale=args.max_scale,
        blend=args.blend,
        category_map=_pairs(args.map),
        exclude=args.exclude,
    )
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


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for theirs, equals, ours in pairs:
        if not (theirs and equals and ours):
            raise ArgumentError(f"--map: must be BANK=OURS, got {theirs + equals + ours!r}")
    return {theirs: ours for theirs, _, ours in pairs}


if __name__ == "__main__":
    sys.exit(main())
