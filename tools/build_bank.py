"""Build a bank of cut-outs from photos with image-level labels, or from instance masks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace

from empaste_aug.offline.build import build_bank, check_folders
from empaste_aug.offline.command import STOPPED_BUILD, run_tool
from empaste_aug.offline.datasets.arguments import (
    add_dataset_arguments,
    add_limit_argument,
    dataset_from_arguments,
)
from empaste_aug.offline.execute import Shard
from empaste_aug.offline.execute.memory import keep_freed_memory
from empaste_aug.offline.flags import given_options
from empaste_aug.offline.from_masks import bank_from_masks
from empaste_aug.offline.stages.arguments import (
    add_build_arguments,
    add_mask_arguments,
    build_flags,
    build_options_from_arguments,
    mask_options_from_arguments,
    names_of,
    set_mode_defaults,
)
from empaste_aug.offline.stages.places import check_new
from empaste_aug.offline.stages.useless import refuse_useless
from empaste_aug.types import ArgumentError

MASKS_INTERRUPTED = "stopped; the bank is unfinished: the same command again starts it anew"


def build_parser() -> argparse.ArgumentParser:
    """The command line's options; the library holds their defaults."""
    parser = argparse.ArgumentParser(
        prog="build_bank.py",
        description=__doc__,
        epilog="A stopped build goes on where it was when the same command is given again; a "
        "changed option recomputes only what depends on it.",
    )
    add_dataset_arguments(parser)
    parser.add_argument("--output", required=True, help="the bank's folder")
    parser.add_argument("--overwrite", action="store_true", help="replace another finished bank")
    add_limit_argument(parser)
    parser.add_argument(
        "--supervision",
        choices=("labels", "masks"),
        default="labels",
        help="labels: F-EM from image-level labels; masks: cut the annotated objects out "
        "(%(default)s)",
    )
    parser.add_argument(
        "--masks",
        dest="supervision",
        action="store_const",
        const="masks",
        default=argparse.SUPPRESS,
        help="short for --supervision masks",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="one part of n, i from 0, for job arrays: the stages before fem on its photos; with "
        "--masks, a bank of its photos' objects",
    )
    add_build_arguments(parser)
    add_mask_arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Build the bank; 0, 2 with one line on stderr for an error, 130 after Ctrl-C."""
    parser = build_parser()
    set_mode_defaults(parser, argv)
    args = parser.parse_args(argv)
    given = given_options(parser, argv)
    masks = args.supervision == "masks"
    run = _from_masks if masks else _from_labels
    return run_tool(
        lambda: run(args, given),
        on_interrupt=MASKS_INTERRUPTED if masks else STOPPED_BUILD,
        wording={"None (random weights)": "none (random weights)"},
        flags=build_flags(parser),
    )


def _from_labels(args: argparse.Namespace, given: Mapping[str, str]) -> int:
    _refuse(given, names_of(add_mask_arguments), "labels")
    refuse_useless(args, given)
    check_folders(args.output, args.work, stages=args.stage, shard=args.shard)
    options = build_options_from_arguments(args)
    keep_freed_memory()
    report = build_bank(
        dataset_from_arguments(args), args.output, overwrite=args.overwrite, **options
    )
    print(report.table())
    return 0


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _from_masks(args: argparse.Namespace, given: Mapping[str, str]) -> int:
    _refuse(given, names_of(add_build_arguments), "masks")
    options = mask_options_from_arguments(args)
    check_new(args.output, overwrite=args.overwrite)
    dataset = dataset_from_arguments(args)
    if args.shard is not None:
        dataset = replace(dataset, images=args.shard.take(dataset.images))
    summary = bank_from_masks(dataset, args.output, overwrite=args.overwrite, **options)
    for name, count in summary["per_class"].items():
        print(f"{name:<20}{count:>9,}")
    skipped = ", ".join(f"{count} {reason}" for reason, count in summary["skipped"].items())
    print(f"{summary['masks']:,} masks from {summary['images']:,} photos")
    print(f"objects left out: {skipped or 'none'}")
    print(f"bank: {summary['path']}")
    return 0


def _refuse(given: Mapping[str, str], names: Collection[str], supervision: str) -> None:
    useless = [flag for name, flag in given.items() if name in names]
    if useless:
        raise ArgumentError(f"{', '.join(useless)}: of no use with --supervision {supervision}")


if __name__ == "__main__":
    sys.exit(main())
