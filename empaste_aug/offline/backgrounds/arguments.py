"""The command line options of `tools/build_backgrounds.py`; for their meaning: `from_arguments`."""

from __future__ import annotations

import argparse
from typing import Any

from empaste_aug.offline.backgrounds.judging import JUDGES
from empaste_aug.offline.backgrounds.settings import SOURCES, PoolSettings
from empaste_aug.offline.caption import DEFAULT_CAPTIONER
from empaste_aug.offline.rank import DEFAULT_CLIP
from empaste_aug.offline.synthesize import DEFAULT_SYNTHESIZER
from empaste_aug.offline.visible import VisibleConfig

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
