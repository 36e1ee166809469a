"""The command line of build_bank: its two routes, its errors, Ctrl-C. The build: test_build.py."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("timm")

from empaste_aug import MaskBank
from empaste_aug.offline.stages.arguments import build_options_from_arguments

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # pycocotools with numpy 2
)

FILE = Path(__file__).resolve().parents[2] / "tools" / "build_bank.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(FILE))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two photos with one annotated object each."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = ["a.png", "b.png"]
    for name in names:
        pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
    (folder / "labels.json").write_text(json.dumps({name: ["cat"] for name in names}))
    square = [5, 5, 20, 5, 20, 20, 5, 20]
    instances = {
        "categories": [{"id": 1, "name": "cat"}],
        "images": [
            {"id": number, "file_name": name, "height": 30, "width": 40}
            for number, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": 1 + number,
                "image_id": number,
                "category_id": 1,
                "segmentation": [square],
                "bbox": [5, 5, 15, 15],
                "area": 225,
                "iscrowd": 0,
            }
            for number in range(2)
        ],
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    return folder


def arguments(root: Path, *more: str) -> list[str]:
    output = str(root.parent / "bank")
    return ["--dataset", "folder", "--root", str(root), "--output", output, *more]


def test_masks_route(tool: dict[str, Any], root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool["main"](arguments(root, "--masks")) == 0
    assert "2 masks from 2 photos" in capsys.readouterr().out
    bank = MaskBank(root.parent / "bank")
    assert bank.manifest["supervision"] == "masks"
    assert tool["main"](arguments(root, "--supervision", "masks", "--limit", "1")) == 2
    limited = arguments(root, "--supervision", "masks", "--limit", "1", "--overwrite")
    assert tool["main"](limited) == 0
    assert len(MaskBank(root.parent / "bank")) == 1


def test_f_em_options_are_refused_with_masks(
    tool: dict[str, Any], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool["main"](arguments(root, "--masks", "--top-n", "2", "--redo")) == 2
    error = capsys.readouterr().err
    assert "--top-n" in error
    assert "--redo" in error
    assert "--inliers" not in error
    assert not (root.parent / "bank").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--top-n", "0"], "top_n"),
        (["--keep", "1.5"], "keep"),
        (["--limit", "0"], "--limit"),
        (["--proposal-option", "words"], "--proposal-option"),
        (["--proposals", "magic"], "magic"),
        (["--classifier", "nowhere.pt"], "nowhere.pt"),
        (["--extra-labels", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_one_line_and_name_the_option(
    tool: dict[str, Any],
    root: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    named: str,
) -> None:
    assert tool["main"](arguments(root, *flags)) == 2
    error = capsys.readouterr().err.strip()
    assert named in error
    assert "\n" not in error


def test_ctrl_c_says_how_to_go_on(
    tool: dict[str, Any],
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(tool["main"].__globals__, "build_bank", interrupt)
    assert tool["main"](arguments(root)) == 130
    assert "same command again" in capsys.readouterr().err


def test_flags_reach_the_library(tool: dict[str, Any], root: Path) -> None:
    flags = ["--top-n", "2", "--inliers", "0.6", "--distance", "cosine", "--erosion", "3"]
    flags += ["--min-score", "0.1", "--epochs", "1", "--seed", "7", "--stage", "fem"]
    flags += ["--proposal-option", "max_side=300", "--proposal-option", "edges=lab"]
    args = tool["build_parser"]().parse_args(arguments(root, *flags, "--pretrained", "none"))
    options = build_options_from_arguments(args)
    assert (options["fem"].top_n, options["fem"].inliers) == (2, 0.6)
    assert options["fem"].distance == "cosine"
    assert options["segments"].erosion == 3
    assert options["cut"].min_score == 0.1
    assert (options["recipe"].epochs, options["recipe"].seed) == (1, 7)
    assert options["stages"] == ["fem"]
    assert options["pretrained"] is None
    assert options["proposal_options"] == {"max_side": 300, "edges": "lab"}
