"""Make a long-tailed subset of a data set, of a bank, or of both."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from empaste_aug.bank import MaskBank
from empaste_aug.bank.files import why_not_writable
from empaste_aug.bank.folder import check_folder
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.folders import check_apart, plain_path
from empaste_aug.offline.longtail import (
    LongTail,
    Pareto,
    bank_of_photos,
    long_tail_bank,
    long_tail_subset,
)
from empaste_aug.offline.longtail.files import instances_file, plan_subset
from empaste_aug.offline.longtail.outputs import Outputs
from empaste_aug.offline.longtail.report import misses, table
from empaste_aug.offline.longtail.subset import COUNTS
from empaste_aug.types import ArgumentError

_DEFAULT = Pareto()


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="make_longtail",
        description="Make a subset whose class sizes follow a Pareto density, as in the paper's "
        "long tail: classes are sorted by their size, and each is subsampled. Of a data set whole "
        "photos are chosen, so that every class comes as near to its size as the photos allow; it "
        "is written as a data set of the same kind, which links to the photos, with the sizes as "
        "NAME.json and NAME.png. Of a bank, cut-outs are chosen: with --dataset, those of the "
        "chosen photos; without, so many of each class.",
    )
    add_dataset_arguments(parser)
    for action in parser._actions:
        if action.dest in ("dataset", "root"):
            action.required = False
    parser.add_argument(
        "--output", help="where the subset of the data set goes, a folder outside of --root"
    )
    parser.add_argument(
        "--name", default="longtail", help="the split's and the files' name (%(default)s)"
    )
    parser.add_argument("--bank", help="a bank to choose cut-outs from")
    parser.add_argument(
        "--bank-output",
        metavar="FOLDER",
        help="the new bank's folder; without --dataset, FOLDER.json and FOLDER.png hold its sizes",
    )
    parser.add_argument(
        "--count",
        choices=COUNTS,
        help="what a class's size is: its annotated objects (masks, the default where there are "
        "any), or the photos that show it, by image-level labels (images)",
    )
    parser.add_argument(
        "--max",
        type=int,
        default=_DEFAULT.maximum,
        dest="maximum",
        metavar="N",
        help="the largest class's size (%(default)s)",
    )
    parser.add_argument(
        "--min",
        type=int,
        default=_DEFAULT.minimum,
        dest="minimum",
        metavar="N",
        help="what the sizes fall towards (%(default)s)",
    )
    parser.add_argument(
        "--shape",
        type=float,
        default=_DEFAULT.shape,
        metavar="B",
        help="b of the density b / x^(b+1) (%(default)s)",
    )
    parser.add_argument(
        "--tail",
        type=float,
        default=_DEFAULT.tail,
        metavar="Q",
        help="the density's quantile at which the smallest class lies (%(default)s)",
    )
    parser.add_argument(
        "--fit",
        action="store_true",
        help="where a class has too few, lower --max as far as needed instead of stopping",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier subset of this name"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Make the subset; 0, 2 with one line on stderr for an error, 130 after Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    flags = {**flags_of(parser), "path": "--bank-output"}
    if args.dataset is None:
        flags["output"] = "--bank-output"
    return run_tool(lambda: _run(args), flags=flags)


def _run(args: argparse.Namespace) -> int:
    _check(args)
    law = Pareto(shape=args.shape, maximum=args.maximum, minimum=args.minimum, tail=args.tail)
    _check_places(args)
    rng = np.random.default_rng(args.seed)
    if args.dataset is None:
        choice = long_tail_bank(
            args.bank_output,
            args.bank,
            law,
            rng=rng,
            fit=args.fit,
            seed=args.seed,
            overwrite=args.overwrite,
        )
        _show(choice, args)
        print(f"{sum(choice.reached):,} cut-outs in {args.bank_output}")
        return 0
    dataset = dataset_from_arguments(args)
    choice = long_tail_subset(dataset, law, rng=rng, count=args.count, fit=args.fit)
    outputs = Outputs(args.output, args.name, overwrite=args.overwrite)
    plan_subset(
        outputs,
        dataset,
        choice,
        instances=instances_file(
            args.dataset,
            args.root,
            split=args.split,
            annotations=args.annotations,
            images=args.images,
        ),
        seed=args.seed,
    )
    outputs.keep_apart(args.root, "root")
    photos = "root" if args.images is None else "images"
    outputs.keep_apart(dataset.image_root, photos)
    if args.bank is not None:
        check_apart(args.bank_output, dataset.image_root, photos, output_argument="bank_output")
        outputs.keep_apart(args.bank, "bank")
        outputs.keep_apart(args.bank_output, "bank_output")
    outputs.check()
    copied = 0
    if args.bank is not None:  # first, since it may yet fail: a bank is read as it is copied
        note = {"data_set": dataset.name, "seed": args.seed, **choice.as_json()}
        copied = bank_of_photos(
            args.bank_output, args.bank, choice.image_ids, note=note, overwrite=args.overwrite
        )
    outputs.write()
    _show(choice, args)
    print(f"{len(choice.image_ids):,} photos of {len(dataset.images):,}: {outputs.report}")
    if args.bank is not None:
        print(f"{copied:,} cut-outs of these photos in {args.bank_output}")
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.dataset is None and args.bank is None:
        raise ArgumentError("--dataset, --bank: neither is given")
    for first, second in (
        ("dataset", "root"),
        ("dataset", "output"),
        ("bank", "bank_output"),
    ):
        given = getattr(args, first) is not None, getattr(args, second) is not None
        if given[0] != given[1]:
            names = [f"--{name.replace('_', '-')}" for name in (first, second)]
            there, missing = names if given[0] else reversed(names)
            raise ArgumentError(f"{missing}: is needed beside {there}")
    if args.dataset is None and args.count is not None:
        raise ArgumentError("--count: of no use without --dataset")
    if args.seed < 0:
        raise ArgumentError(f"--seed: must not be negative, is {args.seed}")
    if args.bank is not None and Path(args.bank).resolve() == Path(args.bank_output).resolve():
        raise ArgumentError(f"--bank-output: {args.bank_output} is the bank to choose from")


def _check_places(args: argparse.Namespace) -> None:
    """Before anything is read, which may take long."""
    if args.dataset is not None:
        output, root = Path(args.output).resolve(), Path(args.root).resolve()
        if output.is_relative_to(root):
            how = "is" if output == root else "lies in"
            raise ArgumentError(
                f"--output, --root: {args.output} {how} the data set to choose from, {args.root}; "
                "give a folder outside of it"
            )
    if args.bank is not None:
        check_apart(args.bank_output, args.bank, "bank", output_argument="bank_output")
        if args.dataset is not None:
            check_apart(args.bank_output, args.root, "root", output_argument="bank_output")
        with closing(MaskBank(args.bank)):
            check_folder(plain_path(args.bank_output), overwrite=args.overwrite)
    for flag, folder in (("--output", args.output), ("--bank-output", args.bank_output)):
        problem = None if folder is None else why_not_writable(plain_path(folder))
        if problem is not None:
            raise ArgumentError(f"{flag}: {problem}")


def _show(choice: LongTail, args: argparse.Namespace) -> None:
    print("\n".join(table(choice)))
    if choice.pareto.maximum != args.maximum:
        print(
            f"note: --fit lowered --max from {args.maximum:,} to {choice.pareto.maximum:,}, the "
            "largest that every class can fill"
        )
    missed = misses(choice)
    if missed is not None:
        print(f"note: {missed}")


if __name__ == "__main__":
    sys.exit(main())
