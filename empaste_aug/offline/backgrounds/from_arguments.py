"""What the options of `tools/build_backgrounds.py` mean: settings, models and judges of a build."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empaste_aug.bank import MaskBank
from empaste_aug.offline.backgrounds.arguments import OPENCV
from empaste_aug.offline.backgrounds.judging import JUDGES, classifier_of_bank
from empaste_aug.offline.backgrounds.settings import SOURCES, PoolSettings
from empaste_aug.offline.caption import Captioner
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.diffusion import PipelineOptions
from empaste_aug.offline.inpaint_model import DiffusersInpainter
from empaste_aug.offline.rank import ClipRanker
from empaste_aug.offline.synthesize import Synthesizer, negative_prompt
from empaste_aug.offline.visible import VisibleConfig
from empaste_aug.offline.vocabulary.tables import Vocabulary
from empaste_aug.types import ArgumentError


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
