"""The command line of preview: a sheet, classes by other names, and advice that can be followed."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from empaste_aug import BankWriter

FILE = Path(__file__).resolve().parents[2] / "tools" / "preview.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(FILE))


@pytest.fixture
def call(tmp_path: Path) -> list[str]:
    """Photos of cats and dogs, and a bank of kitties and dogs."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 60), (90, 120, 90)).save(root / "images" / name)
    (root / "labels.json").write_text(json.dumps({"a.png": ["cat"], "b.png": ["dog"]}))
    rgb = np.full((20, 20, 3), 200, np.uint8)
    with BankWriter(tmp_path / "bank", categories=["kitty", "dog"]) as writer:
        for category in (0, 1):
            writer.add(
                rgb,
                np.full((20, 20), 255, np.uint8),
                category_id=category,
                score=1.0,
                image_id="x",
                source_size=(60, 80),
            )
    output = str(tmp_path / "sheet.png")
    data = ["--dataset", "folder", "--root", str(root), "--number", "2"]
    return ["--bank", str(tmp_path / "bank"), *data, "--output", output]


def test_the_advice_names_options_that_there_are(
    tool: dict[str, Any], call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool["main"](call) == 2
    error = capsys.readouterr().err
    assert "kitty" in error
    assert "category_map" not in error
    flags = set(re.findall(r"--[a-z-]+", error))
    assert {"--map", "--exclude"} <= flags
    assert flags <= set(tool["build_parser"]()._option_string_actions)


@pytest.mark.parametrize("more", [["--map", "kitty=cat"], ["--exclude", "kitty"]])
def test_following_it_draws_the_sheet(
    tool: dict[str, Any], call: list[str], tmp_path: Path, more: list[str]
) -> None:
    assert tool["main"]([*call, *more]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (960, 360)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--map", "kitty"], "--map: must be BANK=OURS, got 'kitty'"),
        (["--map", "kitten=cat"], "--map: "),
        (["--exclude", "kitten"], "--exclude: "),
        (["--exclude", "kitty", "--number", "0"], "--number: "),
        (["--exclude", "kitty", "--count", "3", "1"], "--count: "),
        (["--exclude", "kitty", "--blend", "glue"], "--blend: "),
        (["--exclude", "kitty", "--columns", "0"], "--columns: "),
    ],
)
def test_errors_are_one_line_and_name_the_option(
    tool: dict[str, Any],
    call: list[str],
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    named: str,
) -> None:
    assert tool["main"]([*call, *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {named}")
    assert error.count("\n") == 1
