from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import VOCFiles
from evaluation_data import write_bank

from empaste_aug.bank import MaskBank
from empaste_aug.offline.contact_sheet import MASK_COLOR, TRUTH_COLOR, bank_sheet
from empaste_aug.offline.datasets import load_voc
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.scoring import score_bank
from empaste_aug.types import ArgumentError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    files = VOCFiles(tmp_path / "VOC2012")
    for name in "abc":
        objects = np.zeros((40, 60), np.uint8)
        objects[5:20, 5:30] = 1
        files.add(name, ["cat"], objects=objects, classes=8 * objects)
    return load_voc(files.root)


def make_bank(path: Path, dataset: Dataset, *, photos: str = "abc") -> MaskBank:
    masks = []
    for k, name in enumerate(photos):
        mask = np.zeros((40, 60), bool)
        mask[5:20, 5 + 20 * k : 15 + 20 * k] = True
        masks.append((name, dataset.class_names.index("cat"), mask))
    qualities = [1.0 - 0.1 * k for k in range(len(masks))]
    return write_bank(path, masks, dataset.class_names, qualities=qualities)


def near(sheet: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(sheet.astype(int) - color).max(axis=2) < 40).sum())


def test_sheet(tmp_path: Path, dataset: Dataset) -> None:
    scores = score_bank(make_bank(tmp_path / "bank", dataset), dataset)
    sheet = bank_sheet(scores, count=2, seed=1)
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    assert sheet.shape[1] == 2 * 400
    assert sheet.shape[0] == 34 + 3 * (34 + 360)
    np.testing.assert_array_equal(sheet, bank_sheet(scores, count=2, seed=1))
    for number in range(3):  # every block shows masks and instances
        block = sheet[34 + number * 394 :][:394]
        assert near(block, MASK_COLOR) > 200
        assert near(block, TRUTH_COLOR) > 200
    best, worst = sheet[34 + 394 :][:394], sheet[34 + 2 * 394 :][:394]
    assert (best != worst).any()
    assert bank_sheet(scores, count=9).shape[1] == 3 * 400  # there are only three
    assert bank_sheet(scores, count=3, columns=1).shape[1] == 400


def test_what_cannot_be_drawn(tmp_path: Path, dataset: Dataset) -> None:
    scores = score_bank(make_bank(tmp_path / "bank", dataset), dataset)
    with pytest.raises(ArgumentError, match="count: must be at least 1, not 0"):
        bank_sheet(scores, count=0)
    with pytest.raises(ArgumentError, match="columns: must be at least 1, not 0"):
        bank_sheet(scores, columns=0)
    extra = write_bank(
        tmp_path / "extra",
        [("extra/a", 0, np.ones((40, 60), bool))],
        dataset.class_names,
    )
    with pytest.raises(ArgumentError, match="has no mask that is scored"):
        bank_sheet(score_bank(extra, dataset))
