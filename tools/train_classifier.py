"""Train a multi-label classifier on image-level labels and write its file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from empaste_aug.offline.classify import Recipe, train_classifier
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.classify.train import VAL_FRACTION
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.execute.memory import keep_freed_memory
from empaste_aug.offline.options import add_options, from_options
from empaste_aug.types import ArgumentError


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="train_classifier",
        description="Train a multi-label classifier on a data set's image-level labels. The "
        "result is a file that build_bank takes as its classifier. An interrupted run goes on "
        "where it stopped when it is started again with the same options.",
    )
    add_dataset_arguments(parser)
    parser.add_argument("--output", required=True, metavar="FILE", help="the classifier's file")
    parser.add_argument(
        "--work",
        metavar="DIR",
        help="where the state of the run is kept between epochs (OUTPUT.work)",
    )
    extra = parser.add_argument_group("photos with image-level labels only")
    extra.add_argument(
        "--extra-labels",
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of photos and a labels file; may be given several times",
    )
    extra.add_argument(
        "--map", action="append", default=[], metavar="THEIRS=OURS", help="rename an extra class"
    )
    extra.add_argument(
        "--exclude", action="append", default=[], metavar="NAME", help="drop an extra class"
    )
    model = parser.add_argument_group("model and training")
    model.add_argument(
        "--backbone",
        default=DEFAULT_BACKBONE,
        help="efficientnet_lite0, efficientnet_lite2, timm/NAME or torchvision/NAME (%(default)s)",
    )
    model.add_argument(
        "--pretrained",
        default=PACKAGED,
        help="packaged (efficientnet_lite0 and _lite2), hub (downloads), a weight file, or none",
    )
    model.add_argument(
        "--input-size", type=int, metavar="PX", help="the backbone's own if left out"
    )
    model.add_argument(
        "--val-fraction",
        type=float,
        default=VAL_FRACTION,
        help="share of the photos that only validates; 0: train on all of them (%(default)s)",
    )
    model.add_argument("--device", default="cpu", help="cpu, cuda, ... (%(default)s)")
    model.add_argument("--workers", type=int, default=0, help="processes that augment")
    add_options(model, Recipe)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_tool(lambda: train(args), on_interrupt="stopped; the same command goes on")


def train(args: argparse.Namespace) -> int:
    """Train as the options say, and write the file."""
    dataset = dataset_from_arguments(args)
    output = Path(args.output)
    keep_freed_memory()
    classifier = train_classifier(
        dataset,
        extra=[load_dataset("folder", folder) for folder in args.extra_labels],
        class_map=parse_map(args.map),
        exclude=args.exclude,
        recipe=from_options(args, Recipe),
        backbone=args.backbone,
        pretrained=None if args.pretrained == "none" else args.pretrained,
        input_size=args.input_size,
        val_fraction=args.val_fraction,
        work_dir=args.work or output.with_name(output.name + ".work"),
        device=args.device,
        workers=args.workers,
    )
    classifier.save(output)
    print(f"{output}: {len(classifier.class_names)} classes, sha256 {classifier.fingerprint()}")
    return 0


def parse_map(pairs: list[str]) -> Mapping[str, str]:
    """["tv=tvmonitor"] -> {"tv": "tvmonitor"}.

    Raises:
        ArgumentError: an entry without "=".
    """
    mapping: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not (theirs and equals and ours):
            raise ArgumentError(f"--map: must be THEIRS=OURS, got {pair!r}")
        mapping[theirs] = ours
    return mapping


if __name__ == "__main__":
    raise SystemExit(main())
