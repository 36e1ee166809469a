"""The command line of build_bank: its two routes, its errors, Ctrl-C. The build: test_build.py."""

from __future__ import annotations

import json
import runpy
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("timm")

from empaste_aug import MaskBank
from empaste_aug.offline.classify import Recipe
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.options import OPTIONS, option_name
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages.arguments import build_options_from_arguments
from empaste_aug.offline.stages.selection import Cut
from empaste_aug.types import ArgumentError

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
    error = capsys.readouterr().err
    assert "finished bank; --overwrite replaces it" in error
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


def test_a_mode_is_refused_with_masks_and_nothing_else(
    tool: dict[str, Any], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mode in ("fast", "robust"):
        assert tool["main"](arguments(root, "--masks", "--mode", mode)) == 2
        error = capsys.readouterr().err
        assert error == "error: --mode: of no use with --supervision masks\n"


def test_a_classifier_that_is_none_is_named_in_one_line(
    tool: dict[str, Any], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = root.parent / "README.md"
    text.write_text("# A text\n" * 100)
    flags = ["--classifier", str(text), "--proposals", "slic", "--workers", "1"]
    assert tool["main"](arguments(root, *flags)) == 2
    error = capsys.readouterr().err
    assert f"error: --classifier: {text}: is damaged, or no file of torch.save" in error
    assert error.count("\n") == 1


def test_folders_are_checked_before_the_photos_are(
    tool: dict[str, Any], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "images" / "a.png").write_bytes(b"broken")
    output = root.parent / "bank"
    assert tool["main"](arguments(root, "--work", str(output))) == 2
    assert "error: --work: " in capsys.readouterr().err
    output.write_text("a file")
    assert tool["main"](arguments(root)) == 2
    assert f"error: --output: {output} is a file" in capsys.readouterr().err
    assert tool["main"](arguments(root, "--masks")) == 2
    assert f"error: --output: {output} is a file" in capsys.readouterr().err
    assert tool["main"](arguments(root, "--stage", "proposals")) == 2
    assert "a.png" in capsys.readouterr().err


def test_the_jobs_of_an_array_share_one_command(
    tool: dict[str, Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only other stages read is accepted with a shard and with a single stage."""
    seen: list[dict[str, Any]] = []

    def build(*args: Any, **options: Any) -> Any:
        seen.append(options)
        raise ArgumentError("enough")

    monkeypatch.setitem(tool["main"].__globals__, "build_bank", build)
    same = ["--epochs", "2", "--backbone", "timm/test_efficientnet", "--pretrained", "none"]
    same += ["--keep", "0.5", "--keep-per-class", "--instance-quality", "0.4", "--crop-size", "96"]
    for more in (["--stage", "classifier"], ["--shard", "0/2"], ["--shard", "1/2"], []):
        assert tool["main"](arguments(root, *same, *more)) == 2
    assert len(seen) == 4
    assert len({repr((options["recipe"], options["cut"])) for options in seen}) == 1


def test_mask_options_reach_the_bank(
    tool: dict[str, Any], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--margin", "2", "--codec", "raw", "--min-mask-area", "5", "--min-box-area", "6"]
    assert tool["main"](arguments(root, *flags)) == 2
    error = capsys.readouterr().err
    assert all(flag in error for flag in flags if flag.startswith("--"))
    assert tool["main"](arguments(root, "--masks", *flags)) == 0
    bank = MaskBank(root.parent / "bank")
    assert bank[0].alpha.shape == (19, 19)
    assert bank.manifest["codec"]["rgb"] == "raw"
    assert bank.manifest["config"] == {"margin": 2, "min_area": 5, "min_box_area": 6}
    for flag, limit in (("--min-mask-area", "226"), ("--min-box-area", "226")):
        assert tool["main"](arguments(root, "--masks", "--overwrite", flag, limit)) == 0
        assert len(MaskBank(root.parent / "bank")) == 0


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--mode", "paper", "--top-n", "0"], "--top-n: must be"),
        (["--keep", "1.5"], "--keep: must be"),
        (["--keep", "0.5", "--min-quality", "2"], "--min-quality: must be"),
        (["--epochs", "-1"], "--epochs: must be"),
        (["--train-batch-size", "0"], "--train-batch-size: must be"),
        (["--instance-quality", "2"], "--instance-quality: must be"),
        (["--instances", "2", "--mode", "paper"], "--instances: must be 1"),
        (["--alpha-band", "-1"], "--alpha-band: must be"),
        (["--windows", "3"], "--windows: must be"),
        (["--workers", "0"], "--workers: must be at least 1"),
        (["--workers", "-2"], "--workers: must be at least 1"),
        (["--batch-size", "0"], "--batch-size: must be"),
        (["--val-fraction", "1"], "--val-fraction: must be"),
        (["--keep-epoch", "best", "--val-fraction", "0", "--proposals", "slic"], "--keep-epoch: "),
        (["--write-extra"], "--write-extra: needs photos with labels only, and --extra-for both"),
        (["--annotations", "a.json", "--split", "x"], "--split"),
        (["--proposals", "precomputed"], "--proposal-option: path: "),
        (["--proposal-option", "max_span=0"], "--proposal-option: max_span: "),
        (["--mode", "paper", "--stage", "saliency"], "--stage: mode 'paper' has no stage saliency"),
        (["--stage", "cams"], "--stage: mode 'robust' has no stage cams"),
        (["--mode", "fast", "--stage", "cams"], "--stage: mode 'fast' has no stage cams"),
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
    assert "work folder: the same command again" in capsys.readouterr().err
    monkeypatch.setitem(tool["main"].__globals__, "bank_from_masks", interrupt)
    assert tool["main"](arguments(root, "--masks")) == 130
    error = capsys.readouterr().err
    assert "starts it anew" in error
    assert "work folder" not in error


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


CHANGED: dict[str, Any] = {
    "distance": "cosine", "covariance": "oas", "keep_by": "score", "crop_size": 96,
    "features": "pooled",
}  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "config"),
    [("recipe", Recipe), ("segments", SegmentConfig), ("fem", FEMConfig), ("cut", Cut)],
)
def test_every_constant_is_an_option(
    tool: dict[str, Any], root: Path, argument: str, config: type[Any]
) -> None:
    assert set(OPTIONS[config]) == {field.name for field in fields(config)}
    flags, wanted = [], {}
    for field in fields(config):
        flag = "--" + option_name(config, field.name).replace("_", "-")
        if isinstance(field.default, bool):
            value: Any = not field.default
            flags.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(field.default, str):
            value = CHANGED.get(field.name, "best")
            flags += [flag, value]
        elif isinstance(field.default, float):
            value = field.default / 2 + 0.01
            flags += [flag, str(value)]
        else:
            value = CHANGED.get(field.name, (field.default or 0) + 3)
            flags += [flag, str(value)]
        wanted[field.name] = value
    args = tool["build_parser"]().parse_args(arguments(root, *flags))
    assert build_options_from_arguments(args)[argument] == config(**wanted)
    plain = tool["build_parser"]().parse_args(arguments(root))
    assert build_options_from_arguments(plain)[argument] == config()


def test_further_options_reach_the_library(tool: dict[str, Any], root: Path) -> None:
    flags = ["--val-fraction", "0", "--cam-sizes", "96", "128"]
    args = tool["build_parser"]().parse_args(arguments(root, *flags))
    options = build_options_from_arguments(args)
    assert options["val_fraction"] == 0
    assert options["cam_sizes"] == [96, 128]
