from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.crop import crop_with_margin, margin_box
from empaste_aug.types import ArgumentError


def test_the_box_has_a_margin_and_ends_at_the_border() -> None:
    mask = np.zeros((20, 30), bool)
    mask[3:6, 10:28] = True
    assert margin_box(mask, 0) == (10, 3, 28, 6)
    assert margin_box(mask, 4) == (6, 0, 30, 10)


def test_the_crop_is_the_photo_and_its_alpha_the_mask(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:9, 8:12] = True
    rgb, alpha, (x0, y0, x1, y1) = crop_with_margin(photo, mask, 3)
    assert (x0, y0, x1, y1) == (5, 2, 15, 12)
    assert (rgb == photo[2:12, 5:15]).all()
    assert (alpha == 255 * mask[2:12, 5:15]).all()
    assert not np.shares_memory(rgb, photo)


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="mask: holds no pixel"):
        margin_box(np.zeros((4, 4), bool), 2)
    with pytest.raises(ArgumentError, match="mask: holds no pixel"):
        crop_with_margin(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool))
