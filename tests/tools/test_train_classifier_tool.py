"""The command line from a folder of photos to a classifier's file."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from empaste_aug.offline.classify import Classifier

FILE = Path(__file__).resolve().parents[2] / "tools" / "train_classifier.py"
COMMON = ["--backbone", "timm/test_resnet", "--pretrained", "none", "--input-size", "64"]


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(FILE))


def photo_folder(root: Path, classes: list[str]) -> Path:
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    labels = {}
    for i in range(6):
        name = f"{i}.png"
        cv2.imwrite(str(root / "images" / name), rng.integers(0, 255, (70, 70, 3), dtype=np.uint8))
        labels[name] = [classes[i % len(classes)]]
    (root / "labels.json").write_text(json.dumps(labels))
    return root


def test_it_writes_a_classifier(tool: dict[str, Any], tmp_path: Path) -> None:
    data = photo_folder(tmp_path / "data", ["cat", "dog"])
    more = photo_folder(tmp_path / "more", ["hound", "cow"])
    output = tmp_path / "out" / "classifier.pt"
    options = ["--dataset", "folder", "--root", str(data), "--output", str(output), *COMMON]
    options += ["--epochs", "1", "--head-epochs", "1", "--no-freeze-norm"]
    options += ["--extra-labels", str(more), "--map", "hound=dog"]
    assert tool["main"](options) != 0
    assert not output.exists()
    assert tool["main"]([*options, "--exclude", "cow"]) == 0
    classifier = Classifier.load(output)
    assert sorted(classifier.class_names) == ["cat", "dog"]
    assert [entry["phase"] for entry in classifier.history] == ["head", "finetune"]


def test_a_map_needs_both_names(tool: dict[str, Any]) -> None:
    assert tool["parse_map"](["tv=tvmonitor"]) == {"tv": "tvmonitor"}
    with pytest.raises(ValueError, match="THEIRS=OURS"):
        tool["parse_map"](["tv"])
