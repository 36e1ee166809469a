"""Merge finished banks into one, such as those of the jobs of an array."""

from __future__ import annotations

import argparse
import sys

from empaste_aug.bank.merge import DUPLICATES, merge_banks
from empaste_aug.bank.writer import MEBIBYTE
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import ArgumentError

SHARD_MIB = 256


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="merge_bank.py",
        description=__doc__,
        epilog="The cut-outs come bank after bank, in the order given; their pixels are copied as "
        "they are.",
    )
    parser.add_argument("output", help="the merged bank's folder")
    parser.add_argument("banks", nargs="+", metavar="bank", help="a finished bank's folder")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished bank")
    parser.add_argument(
        "--duplicates",
        choices=DUPLICATES,
        default=DUPLICATES[0],
        help="where two banks hold the same mask of the same class on the same photo: refuse to "
        "merge, or drop the later one (%(default)s)",
    )
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="also merge banks that were made with different methods, options or classifiers",
    )
    parser.add_argument(
        "--shard-mib",
        type=int,
        default=SHARD_MIB,
        metavar="MIB",
        help="pixels in one shard file (%(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Merge, and say what came from where."""
    args = build_parser().parse_args(argv)
    return run_tool(
        lambda: _run(args),
        on_interrupt="stopped; the merged bank is unfinished: the same command again starts it "
        "anew",
        wording={
            "overwrite=True": "--overwrite",
            "duplicates='drop'": "--duplicates drop",
            "mixed=True": "--mixed",
        },
    )


def _run(args: argparse.Namespace) -> int:
    if args.shard_mib < 1:
        raise ArgumentError(f"--shard-mib: must be at least 1, not {args.shard_mib}")
    report = merge_banks(
        args.output,
        args.banks,
        duplicates=args.duplicates,
        mixed=args.mixed,
        shard_bytes=args.shard_mib * MEBIBYTE,
        overwrite=args.overwrite,
        progress=progress_bar,
    )
    for bank, taken, dropped in zip(args.banks, report.taken, report.dropped, strict=True):
        print(f"{taken:>9,} cut-outs from {bank}" + (f", {dropped:,} dropped" if dropped else ""))
    print(f"{report.rows:>9,} cut-outs of {report.images:,} photos in {report.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
