"""Small synthetic cut-outs and banks for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from empaste_aug.bank import BankWriter, MaskBank

CATEGORIES = ["cat", "dog", "tvmonitor"]


def make_cutout(number: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """A smooth crop, a feathered ellipse, and the arguments of `BankWriter.add`."""
    rng = np.random.default_rng(number)
    height, width = (int(v) for v in rng.integers(12, 60, 2))
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    rgb = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    ellipse = np.zeros((height, width), np.uint8)
    axes = (max(width // 3, 1), max(height // 3, 1))
    cv2.ellipse(ellipse, (width // 2, height // 2), axes, 20.0 * number, 0, 360, 255, -1)
    alpha = cv2.GaussianBlur(ellipse, (5, 5), 1)
    x0, y0 = (int(v) for v in rng.integers(0, 40, 2))
    arguments = {
        "category_id": number % 2,
        "score": float(rng.random()),
        "quality": float(rng.random()) if number % 3 else None,
        "distance": float(rng.random() * 9) if number % 4 else None,
        "image_id": f"photo {number // 2} \u00e9",
        "file_name": f"a/{number // 2}.jpg",
        "source_size": (100, 110),
        "source_bbox": (x0, y0, x0 + width, y0 + height),
    }
    return rgb, alpha, arguments


def write_bank(path: Path, count: int = 12, **options: Any) -> Path:
    """A finished bank of `count` of these cut-outs."""
    with BankWriter(path, categories=CATEGORIES, **options) as writer:
        for number in range(count):
            rgb, alpha, arguments = make_cutout(number)
            assert writer.add(rgb, alpha, **arguments) == number
    return path


@pytest.fixture
def cutout() -> Callable[[int], tuple[np.ndarray, np.ndarray, dict[str, Any]]]:
    return make_cutout


@pytest.fixture
def build() -> Callable[..., Path]:
    return write_bank


@pytest.fixture
def bank(tmp_path: Path) -> MaskBank:
    """Twelve JPEG cut-outs in several shards."""
    bank = MaskBank(write_bank(tmp_path / "bank", shard_bytes=4000))
    assert len(bank.manifest["shards"]) > 2
    return bank
