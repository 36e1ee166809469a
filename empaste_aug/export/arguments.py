"""The command line options of an export: what is pasted on, and what is written."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from empaste_aug.export.options import IMAGE_FORMATS, SEGMENTATIONS, ExportOptions
from empaste_aug.export.photos import BankPhotos, DatasetPhotos, Photos, PoolPhotos
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.datasets.checks import resolve
from empaste_aug.offline.folders import check_apart
from empaste_aug.paste import EMPaste
from empaste_aug.pool import Backgrounds
from empaste_aug.pool.mix import FITS
from empaste_aug.types import ArgumentError

_FOLDERS = ("bank", "image_root", "pool")
_UNDER_ROOT = ("annotations", "images", "labels")
_DATASET_ONLY = ("split", "annotations", "images", "labels", "classes", "skip_bad", "filter_empty")


def add_photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is pasted on: a data set, a bank's photos, or a pool."""
    add_dataset_arguments(parser, required=False)
    photos = parser.add_argument_group("photos, if not a data set's with its masks")
    photos.add_argument(
        "--image-root",
        help="the bank's own photos, with its masks as their labels: the folder that its file "
        "names are relative to",
    )
    photos.add_argument(
        "--min-score",
        type=float,
        help="with --image-root, leave out labels with a lower classifier score",
    )
    photos.add_argument(
        "--filter-empty",
        action="store_true",
        help="leave photos without objects out, as detectron2's FILTER_EMPTY_ANNOTATIONS does",
    )
    pool = parser.add_argument_group("backgrounds")
    pool.add_argument(
        "--pool",
        help="a pool or folder of images that show no object; without --dataset and --image-root, "
        "objects are pasted on them alone",
    )
    pool.add_argument(
        "--probability",
        type=_probability,
        help="the chance with which an image of the pool replaces a photo, or 'paper' (paper)",
    )
    pool.add_argument(
        "--fit",
        choices=FITS,
        help="scale and crop such an image to cover the photo's size (cover), or leave it",
    )


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ExportOptions`; the defaults are its own."""
    export = parser.add_argument_group("what is written (defaults in brackets)")
    export.add_argument("--number", type=int, required=True, help="how many images")
    export.add_argument("--seed", type=int, help="of the stream (0)")
    export.add_argument(
        "--in-order", action="store_true", help="the photos in their order, not permuted"
    )
    export.add_argument(
        "--format", choices=IMAGE_FORMATS, help="of the images: jpg (default), or png, exact"
    )
    export.add_argument("--quality", type=int, help="of JPEG files, 1 to 100 (95)")
    export.add_argument(
        "--segmentation",
        choices=SEGMENTATIONS,
        help="of the masks: rle (default, exact), or polygon, which cannot hold holes",
    )


def check_places(args: argparse.Namespace) -> None:
    """Refuse an output that lies in what the options say is read, or the other way round.

    Raises:
        ArgumentError: they are not apart.
    """
    for name in (*_FOLDERS, *_UNDER_ROOT):
        given = getattr(args, name)
        if given is not None:
            under = name in _UNDER_ROOT and args.root is not None
            check_apart(args.output, resolve(Path(args.root), given) if under else given, name)


def photos_from_arguments(args: argparse.Namespace, paste: EMPaste) -> Photos:
    """The photos that the options name; says on stderr what is left out.

    Raises:
        ArgumentError: they name none, or two, or an option is of no use for them.
        BankError, DatasetError, PoolError: they cannot be read.
    """
    if args.dataset is not None and args.image_root is not None:
        raise ArgumentError("dataset, image_root: name two sources of photos; give one")
    if args.dataset is None:
        useless = [name for name in ("root", *_DATASET_ONLY) if getattr(args, name)]
        if useless:
            raise ArgumentError(f"{', '.join(useless)}: of no use without --dataset")
    if args.min_score is not None and args.image_root is None:
        raise ArgumentError("min_score: of no use without --image-root")
    if args.dataset is not None:
        if args.root is None:
            raise ArgumentError("root: is needed with --dataset")
        photos = DatasetPhotos(dataset_from_arguments(args), filter_empty=args.filter_empty)
        if photos.left_out:
            print(
                f"{photos.left_out} photos are left out: their objects have no masks",
                file=sys.stderr,
            )
        return photos
    if args.image_root is not None:
        return BankPhotos(paste.bank, args.image_root, min_score=args.min_score or 0.0)
    if args.pool is None:
        raise ArgumentError("dataset, image_root, pool: give one of them, to paste on")
    for name in ("probability", "fit"):
        if getattr(args, name) is not None:
            raise ArgumentError(f"{name}: of no use where there are no photos but the pool's")
    names = [
        paste.category_map.get(name, name)
        for name in paste.bank.categories
        if name not in paste.exclude
    ]
    return PoolPhotos(args.pool, dict.fromkeys(names))


def backgrounds_from_arguments(args: argparse.Namespace) -> Backgrounds | None:
    """What replaces photos; None where nothing does, or there are no photos but the pool's.

    Raises:
        ArgumentError: an option is of no use, or out of range.
        PoolError: the pool cannot be opened.
    """
    if args.pool is None:
        for name in ("probability", "fit"):
            if getattr(args, name) is not None:
                raise ArgumentError(f"{name}: of no use without --pool")
        return None
    if args.dataset is None and args.image_root is None:
        return None
    given = {"probability": args.probability, "fit": args.fit}
    return Backgrounds(args.pool, **{k: v for k, v in given.items() if v is not None})


def options_from_arguments(args: argparse.Namespace) -> ExportOptions:
    """`ExportOptions` as the options say it.

    Raises:
        ArgumentError: one is out of range, or --quality is given for PNG.
    """
    if args.quality is not None and args.format == "png":
        raise ArgumentError("quality: of no use for PNG files")
    given = {
        "seed": args.seed,
        "image_format": args.format,
        "quality": args.quality,
        "segmentation": args.segmentation,
    }
    options = {name: value for name, value in given.items() if value is not None}
    return ExportOptions(number=args.number, shuffle=not args.in_order, **options)


def _probability(text: str) -> float | str:
    """A number where it is one; `Backgrounds` judges the rest."""
    try:
        return float(text)
    except ValueError:
        return text
