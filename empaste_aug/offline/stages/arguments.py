"""The command line options of `build_bank`'s stages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from empaste_aug.offline.build import STAGES
from empaste_aug.offline.cam import Component
from empaste_aug.offline.classify import Recipe
from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.foreground import COVARIANCES, DISTANCES
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages import wiring
from empaste_aug.offline.stages.selection import RANKINGS, Cut
from empaste_aug.types import ArgumentError


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of F-EM's stages, with the library's defaults."""
    recipe = Recipe()
    run = parser.add_argument_group("running")
    run.add_argument("--work", help="where the stages keep their files (default: OUTPUT.work)")
    run.add_argument(
        "--stage", action="append", choices=STAGES, help="run this stage alone; repeatable"
    )
    run.add_argument("--redo", action="store_true", help="compute the stages that run anew")
    run.add_argument("--workers", type=int, help="processes and threads (default: one per core)")
    run.add_argument(
        "--device", default="cpu", help="for the classifier: cpu, cuda, ... (%(default)s)"
    )
    run.add_argument(
        "--batch-size", type=int, help="segments per forward pass (default: fast on the device)"
    )

    classifier = parser.add_argument_group("classifier")
    classifier.add_argument("--classifier", metavar="FILE", help="take this one, train none")
    classifier.add_argument(
        "--backbone", default=DEFAULT_BACKBONE, help="what to train (%(default)s)"
    )
    classifier.add_argument(
        "--pretrained",
        default=PACKAGED,
        help="its weights: packaged, hub, none, or a file (%(default)s)",
    )
    classifier.add_argument(
        "--epochs", type=int, default=recipe.epochs, help="epochs of fine-tuning (%(default)s)"
    )
    classifier.add_argument(
        "--seed", type=int, default=recipe.seed, help="of the training (%(default)s)"
    )
    classifier.add_argument(
        "--extra-labels", metavar="DIR", help="a folder data set: more photos, labels only"
    )
    classifier.add_argument(
        "--extra-for",
        choices=wiring.EXTRA_USES,
        default=wiring.EXTRA_USES[0],
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
        default=wiring.DEFAULT_PROPOSALS,
        metavar="NAME",
        help=f"methods ({' '.join(wiring.DEFAULT_PROPOSALS)})",
    )
    proposals.add_argument(
        "--proposal-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of these methods, VALUE as JSON or text; repeatable",
    )
    proposals.add_argument(
        "--cam-threshold",
        type=float,
        default=wiring.CAM_THRESHOLD,
        help="share of a Grad-CAM map's maximum that counts for the anchor (%(default)s)",
    )
    proposals.add_argument(
        "--cam-component",
        choices=get_args(Component),
        default=wiring.CAM_COMPONENT,
        help="all of that, or its largest connected part (%(default)s)",
    )
    proposals.add_argument(
        "--min-area",
        type=float,
        default=SegmentConfig.min_area,
        help="least area of a segment, as a share of the photo (%(default)s)",
    )
    proposals.add_argument(
        "--max-span",
        type=float,
        default=SegmentConfig.max_span,
        help="drop segments that span this share of the photo's width or height (%(default)s)",
    )
    proposals.add_argument(
        "--erosion",
        type=float,
        default=SegmentConfig.erosion,
        help="radius: below 1 a share of the square root of the area, else pixels (%(default)s)",
    )

    fem = parser.add_argument_group("F-EM")
    fem.add_argument("--top-n", type=int, default=FEMConfig.top_n, help="of step 1 (%(default)s)")
    fem.add_argument(
        "--inliers",
        type=float,
        default=FEMConfig.inliers,
        help="share that the M-step keeps (%(default)s)",
    )
    fem.add_argument(
        "--iterations", type=int, default=FEMConfig.iterations, help="of M and E (%(default)s)"
    )
    fem.add_argument(
        "--distance", choices=DISTANCES, default=FEMConfig.distance, help="metric (%(default)s)"
    )
    fem.add_argument(
        "--covariance",
        choices=COVARIANCES,
        default=FEMConfig.covariance,
        help="estimator (%(default)s)",
    )

    cut = parser.add_argument_group("what the bank keeps")
    cut.add_argument(
        "--min-score",
        type=float,
        default=Cut.min_score,
        help="least probability (paper: 0.1) (%(default)s)",
    )
    cut.add_argument(
        "--keep",
        type=float,
        default=Cut.keep,
        metavar="SHARE",
        help="best share of each class (%(default)s)",
    )
    cut.add_argument(
        "--keep-by", choices=RANKINGS, default=Cut.keep_by, help="what best means (%(default)s)"
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
        "redo": args.redo,
        "work": args.work,
        "workers": args.workers,
        "device": args.device,
        "batch_size": args.batch_size,
        "classifier": args.classifier,
        "backbone": args.backbone,
        "pretrained": None if args.pretrained == "none" else args.pretrained,
        "recipe": replace(Recipe(), epochs=args.epochs, seed=args.seed),
        "extra": extra,
        "extra_for": args.extra_for,
        "write_extra": args.write_extra,
        "proposals": args.proposals,
        "proposal_options": _proposal_options(args.proposal_option),
        "cam_threshold": args.cam_threshold,
        "cam_component": args.cam_component,
        "segments": SegmentConfig(
            min_area=args.min_area, max_span=args.max_span, erosion=args.erosion
        ),
        "fem": FEMConfig(
            top_n=args.top_n,
            inliers=args.inliers,
            iterations=args.iterations,
            distance=args.distance,
            covariance=args.covariance,
        ),
        "cut": Cut(min_score=args.min_score, keep=args.keep, keep_by=args.keep_by),
    }


def changed_build_options(args: argparse.Namespace) -> list[str]:
    """The flags of `add_build_arguments` that have another value than their default."""
    parser = argparse.ArgumentParser()
    add_build_arguments(parser)
    return [
        "--" + name.replace("_", "-")
        for name, value in vars(parser.parse_args([])).items()
        if getattr(args, name) != value
    ]


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
