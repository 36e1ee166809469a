from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

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
    report = json.loads(target.read_text())
    wanted = {"mean_iou", "p50", "p70", "masks", "pairs", "yield", "yield_objects", "intervals"}
    assert wanted <= report["overall"].keys()
    assert all(wanted <= entry.keys() for entry in report["per_class"].values())
    assert len(report["per_class"]) == 20
    assert report["overall"]["yield"] == 0.5
    assert [path.name for path in target.parent.iterdir()] == ["report.json"]


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
