"""The command line options of an export: what is pasted on, what pastes, and how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from empaste_aug.export.options import IMAGE_FORMATS, SEGMENTATIONS, ExportOptions
from empaste_aug.export.photos import BankPhotos, DatasetPhotos, Photos, PoolPhotos
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.paste import EMPaste
from empaste_aug.paste.place import PLACEMENTS
from empaste_aug.pool import Backgrounds
from empaste_aug.pool.mix import FITS
from empaste_aug.types import ArgumentError

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


def add_paste_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --bank and EMPaste's options; the defaults are EMPaste's."""
    parser.add_argument("--bank", required=True, help="the bank's folder")
    paste = parser.add_argument_group("pasting, see EMPaste (defaults in brackets)")
    paste.add_argument(
        "--placement", choices=PLACEMENTS, help="anywhere (random), or in the largest free circle"
    )
    paste.add_argument("--count", type=int, nargs="+", help="a number, or low high (4)")
    paste.add_argument(
        "--selection",
        choices=("uniform", "balanced"),
        help="the same chance for every cut-out (uniform), or for every class",
    )
    paste.add_argument(
        "--scale",
        type=float,
        nargs="+",
        help="random: a factor on the cut-out's own size, or low high (0.3 1.0)",
    )
    paste.add_argument("--max-angle", type=float, help="degrees, 0 to 180 (30)")
    paste.add_argument(
        "--max-scale", type=float, help="the most that space_maximize enlarges (no limit)"
    )
    paste.add_argument("--flip", type=float, help="chance of mirroring a cut-out (0)")
    paste.add_argument(
        "--blend", help="gaussian, none, poisson, or a mean as 0.3*gaussian+0.7*poisson (gaussian)"
    )
    paste.add_argument(
        "--min-visible", type=float, help="the least visible share of an object (0.1)"
    )
    paste.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="BANK=OURS",
        help="the data set's name of a class of the bank that is called otherwise; repeatable",
    )
    paste.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME",
        help="paste nothing of this class of the bank; repeatable",
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


def paste_from_arguments(args: argparse.Namespace) -> EMPaste:
    """EMPaste as the options say it.

    Raises:
        ArgumentError, BankError: as EMPaste.
    """
    given = {
        "placement": args.placement,
        "count": _number_or_pair(args.count),
        "selection": args.selection,
        "scale": _number_or_pair(args.scale),
        "max_angle": args.max_angle,
        "max_scale": args.max_scale,
        "flip": args.flip,
        "blend": args.blend,
        "min_visible": args.min_visible,
    }
    options = {name: value for name, value in given.items() if value is not None}
    return EMPaste(args.bank, category_map=_pairs(args.map), exclude=args.exclude, **options)


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


def _number_or_pair(values: Sequence[float] | None) -> float | tuple[float, ...] | None:
    if values is None:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def _probability(text: str) -> float | str:
    """A number where it is one; `Backgrounds` judges the rest."""
    try:
        return float(text)
    except ValueError:
        return text


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for theirs, equals, ours in pairs:
        if not (theirs and equals and ours):
            raise ArgumentError(f"map: must be BANK=OURS, got {theirs + equals + ours!r}")
    return {theirs: ours for theirs, _, ours in pairs}
