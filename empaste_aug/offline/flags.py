"""What a command line says: which options were given, and what an argument is called there."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence

_NAME = r"[A-Za-z][\w.]*"
_HEAD = re.compile(rf"{_NAME}(?:, {_NAME})*(?=: )")
_VALUE = re.compile(
    r"""(?<![\w.-])([A-Za-z]\w*)=('[^']*'|"[^"]*"|[\w.+-]*\w)(?: \((--[\w-]+)\))?"""
)


def flags_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """The name that the parser gives an option's value -> the option's flag."""
    flags: dict[str, str] = {}
    for action in parser._actions:
        long = [flag for flag in action.option_strings if flag.startswith("--")]
        if long:
            flags.setdefault(action.dest, long[0])
    return flags


def given_options(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> dict[str, str]:
    """The options that a command line holds, whatever their values: name -> flag.

    Args:
        parser: has parsed this very command line without an error; it is left as it was.
        argv: as for `parse_args`.
    """
    defaults = [(action, action.default) for action in parser._actions]
    of_parser, parser._defaults = parser._defaults, {}
    try:
        for action in parser._actions:
            action.default = argparse.SUPPRESS
        given = vars(parser.parse_args(argv))
    finally:
        parser._defaults = of_parser
        for action, default in defaults:
            action.default = default
    return {name: flag for name, flag in flags_of(parser).items() if name in given}


def reword(message: str, flags: Mapping[str, str], *, head: bool = True) -> str:
    """A message of the library with its arguments called as on the command line.

    The message of an ArgumentError begins with what it is about, ``epochs: must be ...`` or
    ``split, labels: of no use``, and messages name arguments with a value, ``overwrite=True`` or
    ``extra_for='both'``. These become ``--epochs: ...``, ``--split, --labels: ...``,
    ``--overwrite`` and ``--extra-for both``. Names that are not among `flags` stay.

    Args:
        message: any text.
        flags: argument -> flag.
        head: the message may begin with an argument; False where it begins with a file, say.
    """

    def with_value(found: re.Match[str]) -> str:
        name, value, also = found.groups()
        if name not in flags:
            return found.group()
        bare = value.strip("\"'")
        called = flags[name] if bare == "True" else f"{flags[name]} {bare}"
        return called if also in (None, flags[name]) else f"{called} ({also})"

    message = _VALUE.sub(with_value, message)
    first = _HEAD.match(message) if head else None
    if first is None:
        return message
    called = (flags.get(name, name) for name in first.group().split(", "))
    return ", ".join(called) + message[first.end() :]
