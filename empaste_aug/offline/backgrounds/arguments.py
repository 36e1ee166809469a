"""The command line options of `tools/build_backgrounds.py`, and what they mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empaste_aug.bank import MaskBank
from empaste_aug.offline.backgrounds.judging import JUDGES, classifier_of_bank
from empaste_aug.offline.backgrounds.settings import SOURCES, PoolSettings
from empaste_aug.offline.caption import DEFAULT_CAPTIONER, Captioner
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.diffusion import PipelineOptions
from empaste_aug.offline.inpaint_model import DiffusersInpainter
from empaste_aug.offline.rank import DEFAULT_CLIP, ClipRanker
from empaste_aug.offline.synthesize import DEFAULT_SYNTHESIZER, Synthesizer, negative_prompt
from empaste_aug.offline.visible import VisibleConfig
from empaste_aug.offline.vocabulary.tables import Vocabulary
from empaste_aug.types import ArgumentError

OPENCV = "opencv"

LIBRARY_NAMES = {
    "sources": "--source",
    "path": "--output",
    "stages": "--stage",
}
"""What the library calls an option otherwise."""


def add_background_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of recipe, models and judges, with the library's defaults."""
    _add_recipe(parser.add_argument_group("what is made"))
    _add_models(parser.add_argument_group("models: hub names or local folders"))
    _add_judges(parser.add_argument_group("which images are rejected"))


def background_options_from_arguments(args: argparse.Namespace, dataset: Dataset) -> dict[str, Any]:
    """The keyword arguments of `BackgroundBuild` that the options mean.

    A model that nothing needs is not made; with --dry-run none is.

    Raises:
        ArgumentError: a value is out of its range, or a model or file is not there.
        BankError: the bank cannot be read.
    """
    settings = PoolSettings(
        sources=tuple(name for name in SOURCES if name in args.source),
        captions_per_photo=args.captions_per_photo,
        images_per_caption=args.images_per_caption,
        keep_per_caption=args.keep_per_caption,
        share=args.share,
        seed=args.seed,
    )
    judges = _judges(args)
    return {
        "work": args.work,
        "settings": settings,
        "captions": args.captions,
        "vocabulary": None if args.vocabulary is None else Vocabulary.from_yaml(args.vocabulary),
        "bank": judges["bank"],
        "classifier": judges["classifier"],
        "clip_judges": "clip" in judges["names"],
        "visible": VisibleConfig(
            clip_threshold=args.clip_threshold,
            classifier_threshold=args.classifier_threshold,
            tiles=args.tiles,
        ),
        "device": args.device,
        "overwrite": args.overwrite,
        **({} if args.dry_run else _models(args, dataset, settings, judges["names"])),
    }


@contextmanager
def _called(flag: str) -> Iterator[None]:
    """Call a model by its option, of which there are several."""
    try:
        yield
    except ArgumentError as error:
        what, colon, rest = str(error).partition(": ")
        named = f"{flag}: {rest}" if colon and what == "model" else str(error)
        raise ArgumentError(named) from error


def _models(
    args: argparse.Namespace, dataset: Dataset, settings: PoolSettings, judges: list[str]
) -> dict[str, Any]:
    models: dict[str, Any] = {}
    generated = "generated" in settings.sources
    if generated and args.captions is None:
        with _called("--caption-model"):
            models["captioner"] = _captioner(args)
    if generated:
        with _called("--image-model"):
            models["synthesizer"] = _synthesizer(args, dataset)
    if generated or "clip" in judges:
        with _called("--clip-model"):
            models["ranker"] = ClipRanker(args.clip_model, args.clip_pretrained, device=args.device)
    if args.inpaint_model != OPENCV and "inpainted" in settings.sources:
        with _called("--inpaint-model"):
            models["inpainter"] = _inpainter(args, dataset)
    return models


def _add_recipe(group: Any) -> None:
    usual = PoolSettings()
    group.add_argument(
        "--source",
        nargs="+",
        choices=SOURCES,
        default=list(usual.sources),
        help="generated: by the models; object_free: photos without a class; inpainted: photos "
        "whose objects are removed (generated)",
    )
    group.add_argument(
        "--captions-per-photo",
        type=int,
        default=usual.captions_per_photo,
        help="(%(default)s, as the paper)",
    )
    group.add_argument(
        "--images-per-caption",
        type=int,
        default=usual.images_per_caption,
        help="(%(default)s, as the paper)",
    )
    group.add_argument(
        "--keep-per-caption",
        type=int,
        default=usual.keep_per_caption,
        help="the best by CLIP that are kept (%(default)s, as the paper)",
    )
    group.add_argument(
        "--share",
        type=float,
        default=usual.share,
        help="of the photos that are captioned; the paper: 1 for VOC, 0.1 for COCO (%(default)s)",
    )
    group.add_argument("--seed", type=int, default=usual.seed, help="of everything (%(default)s)")
    group.add_argument(
        "--captions",
        metavar="FILE",
        help="captions that you have, instead of a model's: COCO's captions json, or a csv with "
        "the columns file_name and caption",
    )
    group.add_argument(
        "--vocabulary", metavar="YAML", help="words of classes that are not COCO's or VOC's"
    )


def _add_models(group: Any) -> None:
    group.add_argument(
        "--caption-model", default=DEFAULT_CAPTIONER, help="image to text (%(default)s)"
    )
    group.add_argument(
        "--image-model", default=DEFAULT_SYNTHESIZER, help="text to image (%(default)s)"
    )
    group.add_argument("--steps", type=int, help="of the text-to-image model (its own)")
    group.add_argument("--guidance-scale", type=float, help="likewise")
    group.add_argument(
        "--image-size", type=int, metavar="PX", help="side of the images (512, or the model's own)"
    )
    group.add_argument(
        "--negative-prompt",
        metavar="TEXT",
        help="what should not be seen (the names of the classes)",
    )
    group.add_argument(
        "--inpaint-model",
        default=OPENCV,
        help="'opencv', or an inpainting pipeline of diffusers (%(default)s)",
    )
    group.add_argument(
        "--clip-model",
        default=DEFAULT_CLIP,
        help="open_clip's name, json file, folder, or hf-hub:NAME (%(default)s)",
    )
    group.add_argument("--clip-pretrained", metavar="TAG", help="its weights: a tag or a file")
    group.add_argument("--device", default="cpu", help="cpu, cuda, ... (%(default)s)")
    group.add_argument(
        "--dtype",
        default="auto",
        help="of the captioner and the pipelines: float32, float16, bfloat16 or auto: half on a "
        "GPU (%(default)s)",
    )
    group.add_argument(
        "--offload",
        choices=("none", "model", "sequential"),
        default="none",
        help="keep what does not run in main memory, for small GPUs (%(default)s)",
    )
    group.add_argument(
        "--safety-checker",
        choices=("keep", "off"),
        default="keep",
        help="keep: use the pipeline's own, and leave out what it flags (%(default)s)",
    )
    group.add_argument("--caption-batch", type=int, default=8, help="photos (%(default)s)")
    group.add_argument("--image-batch", type=int, default=2, help="images (%(default)s)")
    group.add_argument(
        "--local-files-only", action="store_true", help="take hub models from the cache alone"
    )


def _add_judges(group: Any) -> None:
    usual = VisibleConfig()
    group.add_argument(
        "--bank",
        help="the data set's bank: its masks are what is inpainted (else the annotations are), its "
        "classifier judges",
    )
    group.add_argument("--classifier", metavar="FILE", help="judges; the bank's if left out")
    group.add_argument(
        "--judges",
        nargs="*",
        choices=JUDGES,
        help="who rejects images in which a class is visible (clip and classifier where there is a "
        "bank or a classifier, else none)",
    )
    group.add_argument(
        "--clip-threshold", type=float, default=usual.clip_threshold, help="(%(default)s)"
    )
    group.add_argument(
        "--classifier-threshold",
        type=float,
        default=usual.classifier_threshold,
        help="(%(default)s)",
    )
    group.add_argument(
        "--tiles",
        type=int,
        default=usual.tiles,
        help="2: look at the image and at 2 x 2 overlapping tiles of it (%(default)s)",
    )


def _judges(args: argparse.Namespace) -> dict[str, Any]:
    """The bank, the classifier's file, and who judges."""
    bank = None if args.bank is None else MaskBank(args.bank)
    classifier = None if args.classifier is None else Path(args.classifier)
    if classifier is not None and not classifier.is_file():
        raise ArgumentError(f"--classifier: no such file: {classifier}")
    if classifier is None and bank is not None:
        classifier = classifier_of_bank(bank)
        if classifier is None:
            print(
                f"{bank.path}: its classifier does not judge, as it is not in the work folder "
                "beside the bank (it never was, of a bank made with --classifier): give it with "
                "--classifier",
                file=sys.stderr,
            )
    names = args.judges
    if names is None:
        # CLIP ranks the generated images anyway; for others it would have to be had first.
        clip = "generated" in args.source and (bank is not None or classifier is not None)
        there = {"clip": clip, "classifier": classifier is not None}
        names = [name for name in JUDGES if there[name]]
    if "classifier" in names and classifier is None:
        raise ArgumentError(
            "--judges: classifier needs --classifier, or a --bank whose work folder holds its own"
        )
    if names:
        told = ", ".join(names)
        print(f"images in which a class is visible are rejected by: {told}", file=sys.stderr)
    else:
        print(
            "no judge: images in which a class is visible are not rejected (see --judges)",
            file=sys.stderr,
        )
    return {
        "bank": bank,
        "classifier": classifier if "classifier" in names else None,
        "names": names,
    }


def _pipeline(args: argparse.Namespace) -> PipelineOptions:
    return PipelineOptions(
        device=args.device,
        dtype=args.dtype,
        offload=args.offload,
        safety_checker=args.safety_checker,
    )


def _captioner(args: argparse.Namespace) -> Captioner:
    return Captioner(
        args.caption_model,
        local_files_only=args.local_files_only,
        device=args.device,
        dtype=args.dtype,
        batch_size=args.caption_batch,
    )


def _synthesizer(args: argparse.Namespace, dataset: Dataset) -> Synthesizer:
    negative = args.negative_prompt
    return Synthesizer(
        args.image_model,
        local_files_only=args.local_files_only,
        batch_size=args.image_batch,
        steps=args.steps,
        guidance_scale=args.guidance_scale,
        height=args.image_size,
        width=args.image_size,
        negative_prompt=negative_prompt(dataset.class_names) if negative is None else negative,
        options=_pipeline(args),
    )


def _inpainter(args: argparse.Namespace, dataset: Dataset) -> DiffusersInpainter:
    return DiffusersInpainter(
        args.inpaint_model,
        local_files_only=args.local_files_only,
        negative_prompt=negative_prompt(dataset.class_names),
        options=_pipeline(args),
    )
