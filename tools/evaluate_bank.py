"""Score a bank's masks against a data set's instances, as tables, as JSON and as a picture."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from empaste_aug.bank import MaskBank
from empaste_aug.bank.files import atomic_file
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.contact_sheet import bank_sheet
from empaste_aug.offline.datasets.arguments import (
    add_dataset_arguments,
    add_limit_argument,
    dataset_from_arguments,
)
from empaste_aug.offline.evaluate import evaluate_bank
from empaste_aug.offline.evaluation_text import format_report
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.pictures import picture_path, write_picture
from empaste_aug.offline.ranking import RANKINGS, check_ranking
from empaste_aug.offline.scoring import score_bank
from empaste_aug.types import ArgumentError


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="evaluate_bank",
        description="Score a bank's masks against the instance masks of the data set it was "
        "built from: mean IoU, p50, p70 and yield, per class and overall; how masks fail; and the "
        "yield curve: the same figures of the best masks at 10 to 100 % of the image-class pairs. "
        "All with 95 % intervals by bootstrap over photos.",
    )
    parser.add_argument("--bank", required=True, help="the bank's folder")
    add_dataset_arguments(parser)
    add_limit_argument(parser)
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    parser.add_argument(
        "--rank-by",
        choices=RANKINGS,
        help="what best means in the yield curve, the comparison and the sheet (the first of "
        "these that the bank knows)",
    )
    parser.add_argument(
        "--compare",
        metavar="OTHER_BANK",
        help="another bank of the same photos: differences at equal yields, paired by photo",
    )
    parser.add_argument(
        "--one-per-pair",
        action="store_true",
        help="of each photo and class score the bank's first mask alone, without further instances",
    )
    parser.add_argument(
        "--sheet",
        metavar="FILE",
        help="draw random, best and worst masks, with the annotated instances (.png, .jpg)",
    )
    parser.add_argument("--sheet-count", type=int, default=8, help="how many of each (%(default)s)")
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        help="draws for the intervals, 0 for none (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the draws, the order of masks of equal rank, and the sheet (%(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Score the bank; 0, 2 with one line on stderr for an error, 130 after Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    flags = {**flags_of(parser), "ranking": "--rank-by"}
    return run_tool(lambda: _run(args), flags=flags)


def _run(args: argparse.Namespace) -> int:
    sheet = picture_path("--sheet", args.sheet) if args.sheet else None
    if args.sheet_count < 1:
        raise ArgumentError(f"--sheet-count: must be at least 1, not {args.sheet_count}")
    if args.bootstrap < 0:
        raise ArgumentError(f"--bootstrap: must not be negative, is {args.bootstrap}")
    bank = MaskBank(args.bank)
    check_ranking(bank, args.rank_by)
    other = MaskBank(args.compare) if args.compare else None
    dataset = dataset_from_arguments(args)
    scores = score_bank(bank, dataset, one_per_pair=args.one_per_pair)
    report = evaluate_bank(
        scores,
        dataset,
        ranking=args.rank_by,
        other=other,
        one_per_pair=args.one_per_pair,
        bootstrap=args.bootstrap,
        seed=args.seed,
    )
    print(format_report(report))
    if args.json:
        write_json(Path(args.json), report)
        print(f"written to {args.json}")
    if sheet is not None:
        picture = bank_sheet(scores, ranking=args.rank_by, count=args.sheet_count, seed=args.seed)
        write_picture(sheet, picture)
        print(f"drawn to {sheet}")
    return 0


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write the figures, all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, shared=True) as handle:
        handle.write((json.dumps(report, indent=2, allow_nan=False) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
