"""Fixtures that more than one room uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos kept beside the checkout; tests that use it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real photos ../shared/data is not beside this checkout")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def ellipse_cutout(rng: np.random.Generator, height: int, width: int):
    """A smooth random RGB crop with an elliptic alpha: (rgb, alpha)."""
    yy, xx = np.mgrid[:height, :width]
    inside = ((xx - (width - 1) / 2) / (width / 2)) ** 2 + (
        (yy - (height - 1) / 2) / (height / 2)
    ) ** 2
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    rgb[:] = rng.integers(0, 256, size=3)
    rgb[..., 0] = (rgb[..., 0].astype(int) + xx) % 256
    return rgb, np.where(inside <= 1, 255, 0).astype(np.uint8)


@pytest.fixture(scope="session")
def small_bank(tmp_path_factory: pytest.TempPathFactory):
    """A bank of twelve ellipses in three classes: six cats, four dogs, two cows."""
    from empaste_aug import BankWriter, MaskBank

    path = tmp_path_factory.mktemp("banks") / "small"
    rng = np.random.default_rng(7)
    with BankWriter(path, categories=["cat", "dog", "cow"], supervision="masks") as writer:
        for number, category in enumerate([0] * 6 + [1] * 4 + [2] * 2):
            rgb, alpha = ellipse_cutout(rng, int(rng.integers(8, 40)), int(rng.integers(8, 40)))
            writer.add(
                rgb, alpha, category_id=category, score=0.9, quality=0.5, image_id=str(number)
            )
    return MaskBank(path)
