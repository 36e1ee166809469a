from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dataset_files import VOCFiles

from empaste_aug.offline.datasets import load_voc
from empaste_aug.offline.from_masks import bank_from_masks

FILE = Path(__file__).resolve().parents[2] / "tools" / "evaluate_bank.py"


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(FILE))


@pytest.fixture
def devkit(tmp_path: Path) -> VOCFiles:
    files = VOCFiles(tmp_path / "VOC2012")
    objects = np.zeros((40, 60), np.uint8)
    objects[5:20, 5:30] = 1
    files.add("a", ["aeroplane", "person"], objects=objects, classes=objects)
    files.add("b", ["person"])
    bank_from_masks(load_voc(files.root), tmp_path / "bank")
    return files


def arguments(devkit: VOCFiles) -> list[str]:
    bank = devkit.root.parent / "bank"
    return ["--bank", str(bank), "--dataset", "voc", "--root", str(devkit.root)]


def test_table_and_json(
    tool: dict[str, Any], devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "report.json"
    options = ["--split", "train", "--bootstrap", "50", "--json", str(target)]
    assert tool["main"]([*arguments(devkit), *options]) == 0
    output = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line}
    assert lines["aeroplane"] == ["1.000", "1.000", "1.000", "1", "1", "1", "1.000", "1.000"]
    assert lines["person"] == ["-", "-", "-", "0", "1", "0", "0.000", "-"]
    assert "cat" not in lines
    assert lines["overall"][3:6] == ["1", "2", "1"]
    assert lines["100%"][:3] == ["0.500", "1", "1.000"]
    assert "0 of 1 masks have an IoU below 0.5" in output
    report = json.loads(target.read_text())
    assert report["ranking"] == "quality"
    for key in ("curve", "curve_per_class"):
        assert [row["asked"] for row in report[key]] == [0.1, 0.2, 0.34, 0.5, 0.65, 1.0]
        for row in report[key]:
            assert {"yield", "n", "mean_iou", "p50", "p70", "macro_p50"} <= row.keys()
            for name in ("mean_iou_interval", "p50_interval", "p70_interval"):
                assert row[name] is None or len(row[name]) == 2
    assert "comparison" not in report
    wanted = {"mean_iou", "p50", "p70", "masks", "pairs", "yield", "yield_objects", "intervals"}
    assert wanted <= report["overall"].keys()
    assert all(wanted <= entry.keys() for entry in report["per_class"].values())
    assert len(report["per_class"]) == 20
    assert report["overall"]["yield"] == 0.5
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]


def test_a_bank_of_the_first_photos_is_scored_on_them(
    tool: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = VOCFiles(tmp_path / "VOC2012")
    objects = np.zeros((40, 60), np.uint8)
    objects[5:20, 5:30] = 1
    for name in ("a", "b", "c"):
        files.add(name, ["aeroplane"], objects=objects, classes=objects)
    dataset = load_voc(files.root)
    bank_from_masks(replace(dataset, images=dataset.images[:2]), tmp_path / "bank")
    for limit, shown in (([], "0.667"), (["--limit", "2"], "1.000")):
        assert tool["main"]([*arguments(files), "--bootstrap", "0", *limit]) == 0
        overall = next(
            line.split() for line in capsys.readouterr().out.splitlines() if line[:7] == "overall"
        )
        assert overall[7] == shown
    assert tool["main"]([*arguments(files), "--limit", "1"]) == 2
    assert "1 photos of" in capsys.readouterr().err


def test_comparison_and_sheet(
    tool: dict[str, Any], devkit: VOCFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--bootstrap", "20", "--rank-by", "score", "--compare", arguments(devkit)[1]]
    picture, target = tmp_path / "new" / "sheet.png", tmp_path / "report.json"
    options += ["--sheet", str(picture), "--sheet-count", "1", "--json", str(target)]
    assert tool["main"]([*arguments(devkit), *options]) == 0
    assert "this bank - other = difference" in capsys.readouterr().out
    report = json.loads(target.read_text())
    assert report["ranking"] == report["comparison"]["ranking"] == "score"
    assert report["comparison"]["curve"][-1]["p50_difference"] == 0
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[1] == 400
    assert [path.name for path in picture.parent.iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sheet", "sheet.bmp"], "--sheet: sheet.bmp does not end in .png or .jpg or .jpeg"),
        (["--sheet", "sheet.png", "--sheet-count", "0"], "--sheet-count: must be at least 1"),
        (["--compare", "nowhere"], "nowhere: there is no such folder, so no bank"),
        (["--bootstrap", "-1"], "bootstrap: must not be negative"),
    ],
)
def test_bad_options_are_one_line_and_status_2(
    tool: dict[str, Any],
    devkit: VOCFiles,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    assert tool["main"]([*arguments(devkit), *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert not captured.out


def test_bad_input_is_one_line_and_status_2(
    tool: dict[str, Any], devkit: VOCFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    (devkit.root / "JPEGImages" / "b.jpg").write_bytes(b"broken")
    assert tool["main"](arguments(devkit)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "b.jpg: not an image" in error
    assert tool["main"]([*arguments(devkit), "--skip-bad"]) == 0
    assert "skipped what is bad: 1" in capsys.readouterr().err
    assert tool["main"]([*arguments(devkit), "--skip-bad", "--labels", "x.json"]) == 2
    assert "labels: of no use" in capsys.readouterr().err
