"""The command line options of `build_bank`'s two routes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, get_args

from empaste_aug.bank.codec import RGB_CODECS
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.build import STAGES
from empaste_aug.offline.cam import Component
from empaste_aug.offline.classify import Recipe
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.classify.train import VAL_FRACTION
from empaste_aug.offline.crop import MARGIN
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.execute import EXECUTORS, make_executor
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.flags import flags_of
from empaste_aug.offline.instances import InstanceConfig
from empaste_aug.offline.options import add_options, from_options, option_flag, option_name
from empaste_aug.offline.prior import CueWeights
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages import settings
from empaste_aug.offline.stages.photos import EXTRA_USES
from empaste_aug.offline.stages.selection import Cut
from empaste_aug.types import ArgumentError


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of F-EM's stages, with the library's defaults."""
    parser.add_argument(
        "--mode",
        choices=settings.MODES,
        default=settings.MODES[0],
        help="robust: cues and a prior; fast: the same with one look of the classifier at a photo; "
        "paper: the literal method; each has its own defaults of the other options (%(default)s)",
    )
    run = parser.add_argument_group("running")
    run.add_argument("--work", help="where the stages keep their files (default: OUTPUT.work)")
    run.add_argument(
        "--stage", action="append", choices=STAGES, help="run this stage alone; repeatable"
    )
    run.add_argument("--redo", action="store_true", help="compute the stages that run anew")
    run.add_argument("--workers", type=int, help="processes and threads (default: one per core)")
    run.add_argument(
        "--executor",
        choices=EXECUTORS,
        default=EXECUTORS[0],
        help="where the stages that work photo by photo run: here, or as Ray tasks (%(default)s)",
    )
    run.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of a running Ray cluster: auto or host:port (default: RAY_ADDRESS, else a new one)",
    )
    run.add_argument(
        "--device", default="cpu", help="for the classifier: cpu, cuda, ... (%(default)s)"
    )
    run.add_argument(
        "--batch-size", type=int, help="segments per forward pass (default: fast on the device)"
    )

    classifier = parser.add_argument_group("classifier")
    classifier.add_argument("--classifier", metavar="FILE", help="take this one, train none")
    classifier.add_argument(
        "--backbone",
        default=DEFAULT_BACKBONE,
        help="efficientnet_lite0, efficientnet_lite2, timm/NAME or torchvision/NAME (%(default)s)",
    )
    classifier.add_argument(
        "--pretrained",
        default=PACKAGED,
        help="packaged (efficientnet_lite0 and _lite2), hub (downloads), a weight file, or none",
    )
    classifier.add_argument(
        "--val-fraction",
        type=float,
        default=VAL_FRACTION,
        help="share of the photos that only validates; 0: train on all of them (%(default)s)",
    )
    add_options(classifier, Recipe)
    classifier.add_argument(
        "--extra-labels", metavar="DIR", help="a folder data set: more photos, labels only"
    )
    classifier.add_argument(
        "--extra-for",
        choices=EXTRA_USES,
        default=EXTRA_USES[0],
        help="both: they train the classifier and take part in F-EM; classifier: they only train "
        "(%(default)s)",
    )
    classifier.add_argument(
        "--write-extra", action="store_true", help="put their masks into the bank too"
    )

    proposals = parser.add_argument_group("proposals and segments")
    proposals.add_argument(
        "--proposals",
        nargs="+",
        metavar="NAME",
        help="methods (default: "
        + "; ".join(
            f"{mode}: {' '.join(names)}" for mode, names in settings.DEFAULT_PROPOSALS.items()
        )
        + ")",
    )
    proposals.add_argument(
        "--proposal-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of these methods, VALUE as JSON or text; repeatable",
    )
    proposals.add_argument(
        "--windows",
        type=int,
        help="windows round what each class points at, in which the saliency model looks again "
        "(default: "
        + "; ".join(f"{mode}: {number}" for mode, number in settings.DEFAULT_WINDOWS.items())
        + ")",
    )
    proposals.add_argument(
        "--cam-threshold",
        type=float,
        default=settings.CAM_THRESHOLD,
        help="share of a Grad-CAM map's maximum that counts for the anchor (%(default)s)",
    )
    proposals.add_argument(
        "--cam-component",
        choices=get_args(Component),
        default=settings.CAM_COMPONENT,
        help="all of that, or its largest connected part (%(default)s)",
    )
    proposals.add_argument(
        "--cam-sizes",
        type=int,
        nargs="+",
        metavar="PX",
        help="average the Grad-CAM maps of these input sizes (default: the classifier's own)",
    )
    add_options(proposals, SegmentConfig)
    fem = parser.add_argument_group("F-EM")
    add_options(fem, FEMConfig)
    fem.add_argument(
        "--reduce",
        type=int,
        metavar="D",
        help="reduce the features by PCA over all segments first; 0 leaves them (default: "
        f"{settings.DEFAULT_REDUCE['robust']}; paper: 0)",
    )
    add_options(parser.add_argument_group("cues of the modes robust and fast"), CueWeights)
    add_options(
        parser.add_argument_group("further instances of a class in a photo"), InstanceConfig
    )
    add_options(parser.add_argument_group("edges of the masks"), AlphaConfig)
    add_options(parser.add_argument_group("what the bank keeps"), Cut)


def add_mask_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `bank_from_masks`, with the library's defaults."""
    masks = parser.add_argument_group("with --masks")
    masks.add_argument(
        "--margin",
        type=int,
        default=MARGIN,
        metavar="PX",
        help="photo to keep round an object's box (%(default)s)",
    )
    masks.add_argument(
        "--min-mask-area",
        type=int,
        default=1,
        metavar="PX",
        help="least area of an object's mask, in pixels (%(default)s)",
    )
    masks.add_argument(
        "--min-box-area",
        type=int,
        default=0,
        metavar="PX",
        help="least area of an object's box, in square pixels (%(default)s)",
    )
    masks.add_argument(
        "--codec",
        choices=RGB_CODECS,
        default=RGB_CODECS[0],
        help="of the bank's pixels (%(default)s)",
    )


def build_options_from_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `build_bank` that the options mean; loads --extra-labels.

    Raises:
        ArgumentError: a value is out of its range.
        DatasetError: the extra photos are missing or bad.
    """
    extra = None
    if args.extra_labels is not None:
        extra = load_dataset("folder", args.extra_labels, skip_bad=args.skip_bad, check=args.check)
    return {
        "stages": args.stage,
        "mode": args.mode,
        "executor": make_executor(args.executor, workers=args.workers, address=args.ray_address),
        "shard": args.shard,
        "redo": args.redo,
        "work": args.work,
        "workers": args.workers,
        "device": args.device,
        "batch_size": args.batch_size,
        "classifier": args.classifier,
        "backbone": args.backbone,
        "pretrained": None if args.pretrained == "none" else args.pretrained,
        "recipe": from_options(args, Recipe),
        "val_fraction": args.val_fraction,
        "extra": extra,
        "extra_for": args.extra_for,
        "write_extra": args.write_extra,
        "proposals": args.proposals,
        "proposal_options": _proposal_options(args.proposal_option),
        "windows": args.windows,
        "cam_threshold": args.cam_threshold,
        "cam_component": args.cam_component,
        "cam_sizes": args.cam_sizes,
        "segments": from_options(args, SegmentConfig),
        "fem": from_options(args, FEMConfig),
        "cue_weights": None if args.mode == "paper" else from_options(args, CueWeights),
        "reduce": args.reduce,
        "instances": from_options(args, InstanceConfig),
        "alpha": from_options(args, AlphaConfig),
        "cut": from_options(args, Cut),
    }


def mask_options_from_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `bank_from_masks` that the options mean."""
    return {
        "margin": args.margin,
        "min_area": args.min_mask_area,
        "min_box_area": args.min_box_area,
        "codec": args.codec,
    }


def build_flags(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What the arguments of a build are called on the command line, for `reword`."""
    return {
        **flags_of(parser),
        "stages": "--stage",
        "proposal_options": "--proposal-option",
        "max_instances": "--instances",
        "num_cpus": "--workers",
        "recipe.keep": option_flag(Recipe, "keep"),
        "path": "--output",  # of the bank's writer
    }


def set_mode_defaults(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
    """Give the options the defaults of the mode that the command line names."""
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--mode")
    mode = early.parse_known_args(argv)[0].mode
    if mode in settings.MODES:
        by_mode = (
            settings.DEFAULT_SEGMENTS,
            settings.DEFAULT_FEM,
            settings.DEFAULT_CUES,
            settings.DEFAULT_INSTANCES,
            settings.DEFAULT_CUT,
        )
        for config in (defaults[mode] for defaults in by_mode):
            names = {field: option_name(type(config), field) for field in asdict(config)}
            parser.set_defaults(**{names[key]: value for key, value in asdict(config).items()})


def names_of(add_arguments: Callable[[argparse.ArgumentParser], None]) -> set[str]:
    """The names that the options of `add_arguments` have among parsed arguments."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return set(vars(parser.parse_args([])))


def _proposal_options(pairs: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise ArgumentError(f"--proposal-option: NAME=VALUE is wanted, not {pair!r}")
        try:
            options[name] = json.loads(text)
        except ValueError:
            options[name] = text
    return options
