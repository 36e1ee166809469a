"""What a command line holds, and how the library's messages are worded for it."""

from __future__ import annotations

import argparse

import pytest

from empaste_aug.offline.command import run_tool
from empaste_aug.offline.flags import flags_of, given_options, reword
from empaste_aug.types import ArgumentError, BankError, EMPasteError


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("-n", "--number", type=int, default=3, help="how many (%(default)s)")
    parser.add_argument("--kind", choices=("a", "b"), default="a")
    parser.add_argument("--only-b", dest="kind", action="store_const", const="b")
    parser.add_argument("--blur", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--option", action="append", default=[])
    parser.add_argument("--sizes", nargs="+", type=int)
    parser.set_defaults(number=5)
    return parser


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {}),
        (["--number", "5"], {"number": "--number"}),
        (["-n", "1", "--no-blur"], {"number": "--number", "blur": "--blur"}),
        (["--only-b"], {"kind": "--kind"}),
        (["--numb=5", "--option", "x"], {"number": "--number", "option": "--option"}),
        (["--sizes", "1", "2"], {"sizes": "--sizes"}),
    ],
)
def test_given_is_what_the_command_line_holds_defaults_or_not(
    words: list[str], given: dict[str, str]
) -> None:
    parser = make_parser()
    before = vars(parser.parse_args(["x", *words]))
    assert given_options(parser, ["x", *words]) == given
    assert vars(parser.parse_args(["x", *words])) == before
    assert parser.parse_args(["x"]).number == 5
    assert "(5)" in parser.format_help()


FLAGS = {"epochs": "--epochs", "overwrite": "--overwrite", "extra_for": "--extra-for"}


@pytest.mark.parametrize(
    ("message", "worded"),
    [
        ("epochs: must be 1", "--epochs: must be 1"),
        ("epochs, overwrite, kind: of no use", "--epochs, --overwrite, kind: of no use"),
        ("of 4 epochs: 3", "of 4 epochs: 3"),
        ("epochs.pt: is damaged", "epochs.pt: is damaged"),
        ("/epochs: is no folder", "/epochs: is no folder"),
        ("kind: epochs=3 is too few", "kind: --epochs 3 is too few"),
        ("x; overwrite=True replaces it", "x; --overwrite replaces it"),
        ("overwrite=True (--overwrite) replaces it", "--overwrite replaces it"),
        ("needs extra_for='both'", "needs --extra-for both"),
        ('needs extra_for="both", epochs=1.5', "needs --extra-for both, --epochs 1.5"),
        ("Recipe(epochs=3, kind=1)", "Recipe(--epochs 3, kind=1)"),
        ("--epochs=3 and my-epochs=3", "--epochs=3 and my-epochs=3"),
        ("epochs=", "epochs="),
    ],
)
def test_arguments_are_called_as_on_the_command_line(message: str, worded: str) -> None:
    assert reword(message, FLAGS) == worded


def test_flags_are_the_long_ones() -> None:
    found = flags_of(make_parser())
    assert found["number"] == "--number"
    assert found["kind"] == "--kind"
    assert "folder" not in found


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ArgumentError("epochs: must be 1"), "error: --epochs: must be 1\n"),
        (BankError("epochs: no bank; overwrite=True makes one"), "error: epochs: no bank; "),
    ],
)
def test_a_file_that_is_called_as_an_option_stays(
    capsys: pytest.CaptureFixture[str], error: EMPasteError, shown: str
) -> None:
    def fail() -> int:
        raise error

    assert run_tool(fail, flags=FLAGS) == 2
    assert capsys.readouterr().err.startswith(shown)
