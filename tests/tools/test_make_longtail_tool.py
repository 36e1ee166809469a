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


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("output", ["VOC2012", "VOC2012/tail", "VOC2012/ImageSets", "link/tail"])
def test_the_data_set_to_choose_from_is_not_written(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    (tmp_path / "link").symlink_to(devkit.root)
    before = contents(tmp_path)
    command = ["--dataset", "voc", "--root", str(devkit.root), "--max", "5", "--overwrite"]
    for root in (devkit.root, tmp_path / "link"):
        assert main([*command, "--root", str(root), "--output", str(tmp_path / output)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --output, --root: ")
        assert "the data set to choose from" in error
        assert error.count("\n") == 1
    assert contents(tmp_path) == before


def test_a_folder_above_the_data_set_that_would_write_into_it(
    main: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list would be ImageSets/Main/longtail.txt."""
    files = VOCFiles(tmp_path / "ImageSets" / "Main")
    files.add("a", ["car"])
    before = contents(tmp_path)
    command = ["--dataset", "voc", "--root", str(files.root), "--output", str(tmp_path)]
    assert main([*command, "--count", "images", "--max", "1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --output, --root: ")
    assert error.count("\n") == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("bank_output", ["out", "out/JPEGImages/bank", "."])
def test_the_bank_and_the_data_set_lie_apart(
    main: Any,
    devkit: VOCFiles,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    bank_output: str,
) -> None:
    (tmp_path / "new").mkdir()
    output = tmp_path / "new" / "out"
    command = ["--dataset", "voc", "--root", str(devkit.root), "--output", str(output)]
    command += ["--bank", str(tmp_path / "bank"), "--bank-output", str(output.parent / bank_output)]
    assert main([*command, "--max", "5"]) == 2
    assert capsys.readouterr().err.startswith("error: --output, --bank-output: ")
    assert not list((tmp_path / "new").iterdir())
    into_the_bank = [*command[:4], "--output", str(tmp_path / "bank"), *command[6:]]
    into_the_bank[-1] = str(tmp_path / "small")
    assert main([*into_the_bank, "--max", "5"]) == 2
    assert capsys.readouterr().err.startswith("error: --output, --bank: ")


@pytest.mark.parametrize("damage", ["other photos", "broken", "none"])
def test_a_bank_that_cannot_be_taken_leaves_nothing(
    main: Any,
    devkit: VOCFiles,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    bank, output = tmp_path / "bank", tmp_path / "out"
    if damage == "other photos":
        other = VOCFiles(tmp_path / "other")
        masks = np.zeros((40, 60), np.uint8)
        masks[5:30, 2:25] = 1
        other.add("elsewhere", ["car"], objects=masks, classes=masks * 7)
        bank = tmp_path / "other_bank"
        bank_from_masks(load_voc(other.root), bank)
    elif damage == "broken":
        for file in (bank / "shards").glob("*.arrow"):
            file.write_bytes(file.read_bytes()[:100])
    else:
        bank = tmp_path / "nowhere"
    command = ["--dataset", "voc", "--root", str(devkit.root), "--output", str(output)]
    command += ["--bank", str(bank), "--bank-output", str(tmp_path / "small"), "--max", "5"]
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert not captured.out
    assert not output.exists()
    assert not (tmp_path / "small" / "manifest.json").exists()


@pytest.mark.parametrize("alone", [True, False])
def test_damage_within_the_bank_leaves_nothing(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str], alone: bool
) -> None:
    """The sizes of its files are right; a bank that was to be replaced stays."""
    bank, target = tmp_path / "bank", tmp_path / "new" / "small"
    command = ["--bank", str(bank), "--bank-output", str(target), "--max", "5"]
    if not alone:
        command += ["--dataset", "voc", "--root", str(devkit.root)]
        command += ["--output", str(tmp_path / "out")]
    (file,) = (bank / "shards").glob("*.arrow")
    whole = file.read_bytes()
    index = MaskBank(bank).index
    damaged = bytearray(whole)
    for offset in index["offset"]:
        damaged[offset + 20] ^= 255
    file.write_bytes(damaged)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert (": damaged: CRC32" in error, error.count("\n")) == (True, 1)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "out").exists()
    file.write_bytes(whole)
    assert main(command) == 0
    before = contents(tmp_path / "new")
    file.write_bytes(damaged)
    assert main([*command, "--overwrite"]) == 2
    assert contents(tmp_path / "new") == before


@pytest.mark.parametrize(
    ("bank_output", "named"),
    [
        ("bank/sub", "--bank"),
        ("new/../bank/sub", "--bank"),
        ("link/sub", "--bank"),
        (".", "--bank"),
        ("VOC2012/JPEGImages/small", "--root"),
    ],
)
def test_the_new_bank_lies_apart_from_what_is_read(
    main: Any,
    devkit: VOCFiles,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    bank_output: str,
    named: str,
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "bank")
    before = contents(tmp_path)
    command = ["--bank", str(tmp_path / "bank"), "--bank-output", f"{tmp_path}/{bank_output}"]
    command += ["--max", "5"]
    data = ["--dataset", "voc", "--root", str(devkit.root), "--output", str(tmp_path / "out")]
    for more in ([], data) if named == "--bank" else (data,):
        assert main([*command, *more]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: --bank-output, {named}: ")
        assert error.count("\n") == 1
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_path_through_a_folder_that_is_not_there(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "longtail.json").write_text("mine")
    before = contents(tmp_path)
    output = f"{tmp_path}/new/../out"
    data = ["--dataset", "voc", "--root", str(devkit.root), "--max", "5"]
    assert main([*data, "--output", output]) == 2
    assert "longtail.json is there already" in capsys.readouterr().err
    assert main(["--bank", str(tmp_path / "bank"), "--bank-output", output, "--max", "5"]) == 2
    assert "is no bank and holds other files: longtail.json" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_folders_that_cannot_be_made_are_told_by_their_option(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--dataset", "voc", "--root", str(devkit.root), "--max", "5"]
    bank = ["--bank", str(tmp_path / "bank"), "--bank-output"]
    good = ["--output", str(tmp_path / "out")]
    for command, option in (
        ([*data, "--output", "/proc/x"], "--output"),
        ([*data, *good, *bank, "/proc/x"], "--bank-output"),
        ([*bank, "/proc/x"], "--bank-output"),
    ):
        assert main(command) == 2
        assert capsys.readouterr().err.startswith(f"error: {option}: /proc/x cannot be written: ")
    assert not (tmp_path / "out").exists()


def test_a_lowered_maximum_and_missed_sizes_are_told(
    main: Any, devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--dataset", "voc", "--root", str(devkit.root), "--fit"]
    assert main([*command, "--output", str(tmp_path / "a")]) == 0
    lowered = "note: --fit lowered --max from 800 to 8, the largest that every class can fill"
    assert lowered in capsys.readouterr().out.splitlines()
    bank = ["--bank", str(tmp_path / "bank"), "--bank-output", str(tmp_path / "small")]
    assert main([*bank, "--fit"]) == 0
    assert lowered in capsys.readouterr().out.splitlines()
    assert main([*command, "--max", "5", "--output", str(tmp_path / "b")]) == 0
    assert "note: " not in capsys.readouterr().out
    crowded = VOCFiles(tmp_path / "crowded")
    objects, classes = np.zeros((2, 40, 60), np.uint8)
    for number in range(1, 10):
        objects[5:30, 6 * number : 6 * number + 4] = number
        classes[5:30, 6 * number : 6 * number + 4] = 8 if number == 9 else 7
    for number in range(4):
        crowded.add(f"{number}", ["car", "cat"], objects=objects, classes=classes)
    command = ["--dataset", "voc", "--root", str(crowded.root), "--output", str(tmp_path / "c")]
    assert main([*command, "--max", "4"]) == 0
    assert "note: far over the target: car (8 for 4). Photos stay whole" in capsys.readouterr().out


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
        *(
            (
                ["--bank", "x", "--bank-output", "y", flag, "99999999999999999999"],
                f"{flag}: must be at most 1000000000000, not 99999999999999999999",
            )
            for flag in ("--max", "--min")
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
