"""The command line options that name a data set, shared by the tools."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import get_args

from empaste_aug.offline.datasets import KINDS, load_dataset
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.datasets.checks import Check
from empaste_aug.types import ArgumentError

_SHOWN = 20


def add_dataset_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add --dataset, --root and the options that say where a data set's files lie.

    Args:
        parser: gets them.
        required: whether the first two must be given.
    """
    group = parser.add_argument_group("data set")
    group.add_argument("--dataset", required=required, choices=KINDS, help="the kind of data set")
    group.add_argument("--root", required=required, help="its folder (VOC: .../VOC2012)")
    group.add_argument(
        "--split", help="voc: a file of ImageSets, 'train' by default; coco: 'train2017' by default"
    )
    group.add_argument(
        "--annotations", help="coco: the json file; folder: a COCO json with masks to evaluate on"
    )
    group.add_argument("--images", help="coco and folder: the folder of photos")
    group.add_argument("--labels", help="folder: the labels file, json or csv")
    group.add_argument(
        "--classes", nargs="+", metavar="NAME", help="the classes and their order; rarely needed"
    )
    group.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave broken files and annotations out instead of stopping, and list them",
    )
    group.add_argument(
        "--check",
        choices=get_args(Check),
        default="decode",
        help="read every image whole at the start (decode, the default) or its header only",
    )


def add_limit_argument(parser: argparse.ArgumentParser) -> None:
    """Add --limit, which `dataset_from_arguments` heeds."""
    parser.add_argument("--limit", type=int, help="take only this many photos, the first ones")


def dataset_from_arguments(args: argparse.Namespace) -> Dataset:
    """Load the data set that the options name; with --skip-bad, list on stderr what was skipped.

    Raises:
        ArgumentError: an option is of no use for the kind of data set, or --limit is below 1.
        DatasetError: files are missing or bad.
    """
    limit = getattr(args, "limit", None)
    if limit is not None and limit < 1:
        raise ArgumentError(f"--limit: must be at least 1, not {limit}")
    dataset = load_dataset(
        args.dataset,
        args.root,
        split=args.split,
        annotations=args.annotations,
        images=args.images,
        labels=args.labels,
        skip_bad=args.skip_bad,
        class_names=args.classes,
        check=args.check,
    )
    if dataset.problems:
        print(f"{dataset.name}: skipped what is bad: {len(dataset.problems)}", file=sys.stderr)
        for problem in dataset.problems[:_SHOWN]:
            print(f"  {problem.where}: {problem.what}", file=sys.stderr)
        if len(dataset.problems) > _SHOWN:
            print(f"  ... and {len(dataset.problems) - _SHOWN} more", file=sys.stderr)
    return dataset if limit is None else replace(dataset, images=dataset.images[:limit])
