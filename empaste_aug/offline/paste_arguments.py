"""The command line options of `EMPaste`, shared by the tools that paste."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from empaste_aug.paste import EMPaste
from empaste_aug.paste.place import PLACEMENTS
from empaste_aug.types import ArgumentError

PASTE_WORDING = {
    "category_map": "--map",
    ", drop them with exclude, or give selection weights without them": " or leave them out with "
    "--exclude",
}
"""What `EMPaste`'s messages say -> what that is called on the command line, for `run_tool`."""


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


def _number_or_pair(values: Sequence[float] | None) -> float | tuple[float, ...] | None:
    if values is None:
        return None
    return values[0] if len(values) == 1 else tuple(values)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for theirs, equals, ours in pairs:
        if not (theirs and equals and ours):
            raise ArgumentError(f"map: must be BANK=OURS, got {theirs + equals + ours!r}")
    return {theirs: ours for theirs, _, ours in pairs}
