"""The command line of make_longtail. What it calls: tests/offline/test_longtail.py."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import VOCFiles

from empaste_aug import MaskBank
from empaste_aug.offline.datasets import load_coco, load_voc
from empaste_aug.offline.from_masks import bank_from_masks

FILE = Path(__file__).resolve().parents[2] / "tools" / "make_longtail.py"


@pytest.fixture(scope="module")
def main() -> Any:
    return runpy.run_path(str(FILE))["main"]


@pytest.fixture
def devkit(tmp_path: Path) -> VOCFiles:
    """Eight photos with one car each, two of them with a cat; a bank of them beside."""
    files = VOCFiles(tmp_path / "VOC2012")
    for number in range(8):
        objects, classes = np.zeros((2, 40, 60), np.uint8)
        objects[5:30, 2:25], classes[5:30, 2:25] = 1, 7
        if number < 2:
            objects[5:30, 30:55], classes[5:30, 30:55] = 2, 8
        files.add(f"{number}", ["car", "cat"][: 1 + (number < 2)], objects=objects, classes=classes)
    bank_from_masks(load_voc(files.root), tmp_path / "bank")
    return files


def test_a_data_set_and_its_bank(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bank = tmp_path / "out", tmp_path / "small"
    command = ["--dataset", "voc", "--root", str(devkit.root), "--output", str(output)]
    command += ["--name", "tail", "--seed", "3"]
    with_bank = ["--bank", str(tmp_path / "bank"), "--bank-output", str(bank)]
    assert main([*command, *with_bank]) == 2
    error = capsys.readouterr().err
    assert "error: --max: 800 asks 800 of 'car', rank 1 of 2, which has 8" in error
    assert "can fill is 8; --fit takes it" in error
    assert not output.exists()
    assert main([*command, *with_bank, "--max", "5"]) == 0
    captured = capsys.readouterr().out.splitlines()
    assert captured[0].split() == ["masks", "available", "target", "reached"]
    assert captured[1].split() == ["car", "8", "5", "5"]
    assert captured[2].split() == ["cat", "2", "1", "1"]
    subset = load_voc(output, split="tail")
    assert len(subset.images) == 5
    assert json.loads((output / "tail.json").read_text())["seed"] == 3
    assert (output / "tail.png").is_file()
    copied = MaskBank(bank)
    assert {copied.image_id(row) for row in range(len(copied))} == {
        image.image_id for image in subset.images
    }
    assert len(copied) == 6
    assert main([*command, "--max", "4"]) == 2
    assert "is there already; --overwrite replaces it" in capsys.readouterr().err
    assert main([*command, "--max", "4", "--overwrite"]) == 0
    assert len(load_voc(output, split="tail").images) == 4


def test_a_coco_data_set(main: Any, shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "coco"
    command = ["--dataset", "coco", "--root", str(root), "--check", "header", "--max", "40"]
    assert main([*command, "--count", "images", "--fit", "--output", str(tmp_path)]) == 0
    whole = load_coco(root, check="header")
    subset = load_coco(tmp_path, split="longtail", check="header")
    assert subset.class_names == whole.class_names
    assert 0 < len(subset.images) < len(whole.images)
    assert set(subset.images[0].labels) <= set(range(80))


def test_a_bank_alone(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "tail"
    command = ["--bank", str(tmp_path / "bank"), "--bank-output", str(target)]
    assert main([*command, "--max", "6"]) == 0
    assert "7 cut-outs in" in capsys.readouterr().out
    assert sorted(MaskBank(target).class_counts().tolist())[-3:] == [0, 1, 6]
    assert json.loads((tmp_path / "tail.json").read_text())["counted"] == "cut-outs"
    assert main([*command, "--max", "4"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --bank-output: ")
    assert "--overwrite" in error
    assert main([*command, "--max", "4", "--overwrite"]) == 0
    assert len(MaskBank(target)) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--dataset, --bank: neither is given"),
        (["--dataset", "voc", "--output", "x"], "--root: is needed beside --dataset"),
        (["--dataset", "voc", "--root", "x"], "--output: is needed beside --dataset"),
        (["--bank", "x"], "--bank-output: is needed beside --bank"),
        (["--bank", "x", "--bank-output", "x"], "--bank-output: x is the bank to choose from"),
        (
            ["--bank", "x", "--bank-output", "y", "--count", "images"],
            "--count: of no use without --dataset",
        ),
        (
            ["--bank", "x", "--bank-output", "y", "--max", "1", "--min", "2"],
            "--max: 1 is below the minimum, which is 2",
        ),
        (["--bank", "x", "--bank-output", "y", "--shape", "-1"], "--shape: must be above 0"),
        (["--bank", "x", "--bank-output", "y", "--seed", "-1"], "--seed: must not be negative"),
        (["--bank", "x", "--bank-output", "y"], "x: there is no such folder, so no bank"),
    ],
)
def test_bad_options_are_one_line_and_status_2(
    main: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(options) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not captured.out
    assert not list(tmp_path.iterdir())
