"""Train a multi-label classifier on image-level labels and write its file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from empaste_aug.offline.classify import Recipe, train_classifier
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.types import ArgumentError

RECIPE_HELP = {
    "head_epochs": "epochs in which the linear head alone learns",
    "epochs": "epochs in which the backbone's last layers learn too",
    "finetune": "share of the backbone's layers, from its end, that learn then",
    "learning_rate": "peak rate of those layers",
    "head_learning_rate": "peak rate of the head",
    "weight_decay": "of AdamW",
    "batch_size": "photos in a batch",
    "freeze_norm": "keep batch norm's running mean and variance as pretrained",
    "balance": "weight of rare classes: 0 none, 1 as much for their presence as their absence",
    "min_crop": "least share of a photo's area that a random crop keeps",
    "jitter": "change of brightness, contrast and saturation",
    "keep": "which epoch's weights to keep: last, or best by validation mAP",
    "seed": "of the validation split, the order and the augmentation",
}


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
        help="%(default)s, timm/NAME or torchvision/NAME",
    )
    model.add_argument(
        "--pretrained",
        default=PACKAGED,
        help=f"packaged (only {DEFAULT_BACKBONE}), hub (downloads), a weight file, or none",
    )
    model.add_argument(
        "--input-size", type=int, metavar="PX", help="the backbone's own if left out"
    )
    model.add_argument(
        "--val-fraction", type=float, default=0.1, help="of the photos (%(default)s)"
    )
    model.add_argument("--device", default="cpu", help="cpu, cuda, ... (%(default)s)")
    model.add_argument("--workers", type=int, default=0, help="processes that augment")
    for field in fields(Recipe):
        option = "--" + field.name.replace("_", "-")
        text = f"{RECIPE_HELP[field.name]} (%(default)s)"
        if isinstance(field.default, bool):
            action = argparse.BooleanOptionalAction
            model.add_argument(option, action=action, default=field.default, help=text)
        else:
            model.add_argument(option, type=type(field.default), default=field.default, help=text)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = build_parser().parse_args(argv)
    return run_tool(lambda: train(args), on_interrupt="stopped; the same command goes on")


def train(args: argparse.Namespace) -> int:
    """Train as the options say, and write the file."""
    dataset = dataset_from_arguments(args)
    output = Path(args.output)
    classifier = train_classifier(
        dataset,
        extra=[load_dataset("folder", folder) for folder in args.extra_labels],
        class_map=parse_map(args.map),
        exclude=args.exclude,
        recipe=Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)}),
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
