from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.alpha_mask import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    band_width,
    clean_mask,
    make_trimap,
    settle,
)


def disk(radius: float, size: int = 60) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(x, y) <= radius


def with_patches() -> np.ndarray:
    """Components of 100, 30 and 4 pixels."""
    mask = np.zeros((30, 40), bool)
    mask[2:12, 2:12] = mask[20:25, 2:8] = mask[20:22, 30:32] = True
    return mask


@pytest.mark.parametrize(
    ("share", "area"), [(0, 134), (0.04, 134), (0.05, 130), (0.3, 130), (0.31, 100), (1, 100)]
)
def test_components_below_a_share_of_the_largest_go(share: float, area: int) -> None:
    cleaned = clean_mask(with_patches(), min_component=share, max_hole=0)
    assert cleaned.sum() == area
    assert cleaned[5, 5]


def test_one_of_several_largest_components_stays() -> None:
    mask = np.zeros((10, 10), bool)
    mask[6, 1] = mask[2, 7] = mask[2, 4] = True
    cleaned = clean_mask(mask, min_component=1, max_hole=0)
    assert np.argwhere(cleaned).tolist() == [[2, 4]]


def test_corners_connect_the_mask_but_not_its_holes() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:3] = mask[3:5, 3:5] = True
    assert (clean_mask(mask, min_component=1, max_hole=0) == mask).all()
    ring = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool)
    filled = clean_mask(ring, min_component=1, max_hole=1)
    assert filled[1, 1]
    assert filled.sum() == 5


def test_holes_up_to_a_share_are_filled_and_bays_are_not() -> None:
    mask = np.ones((20, 20), bool)
    mask[5, 5] = False
    mask[10:14, 10:14] = False
    mask[0, 3] = False
    area = mask.sum()
    assert (clean_mask(mask, min_component=1, max_hole=0) == mask).all()
    small = clean_mask(mask, min_component=1, max_hole=15.9 / area)
    assert small.sum() == area + 1
    large = clean_mask(mask, min_component=1, max_hole=16 / area)
    assert large.sum() == area + 17
    assert not large[0, 3]


@pytest.mark.parametrize("value", [True, False])
def test_a_full_or_empty_mask_stays(value: bool) -> None:
    mask = np.full((5, 7), value)
    assert (clean_mask(mask, min_component=1, max_hole=1) == mask).all()


def test_the_band_is_a_share_of_the_size_within_its_limits() -> None:
    assert band_width(1, share=0.04, limit=4) == 1
    assert band_width(2500, share=0.04, limit=4) == 2
    assert band_width(10**6, share=0.04, limit=4) == 4
    assert band_width(10**6, share=0.04, limit=0) == 0


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_rim_of_a_disk_is_unsure_by_the_width_on_either_side(width: int) -> None:
    y, x = np.mgrid[:60, :60] - 29.5
    radius = np.hypot(x, y)
    trimap = make_trimap(radius <= 20, width)
    assert (trimap[radius < 20 - width - 1] == FOREGROUND).all()
    assert (trimap[radius > 20 + width + 1] == BACKGROUND).all()
    assert (trimap[abs(radius - 20) < width - 1] == UNKNOWN).all()


def test_no_width_leaves_nothing_unsure() -> None:
    mask = disk(10)
    assert (make_trimap(mask, 0) == np.where(mask, FOREGROUND, BACKGROUND)).all()


@pytest.mark.parametrize("thickness", [1, 2, 3, 5, 7])
def test_a_thin_line_keeps_a_sure_middle(thickness: int) -> None:
    mask = np.zeros((30, 80), bool)
    mask[10 : 10 + thickness, 10:70] = True
    sure = make_trimap(mask, 4) == FOREGROUND
    assert sure[:, 20:60].any(axis=0).all()
    assert not (sure & ~mask).any()
    gap = make_trimap(~mask, 4) == BACKGROUND
    assert gap[:, 20:60].any(axis=0).all()


def test_the_border_of_the_array_is_no_edge() -> None:
    mask = np.zeros((30, 30), bool)
    mask[:, :15] = True
    trimap = make_trimap(mask, 3)
    assert (trimap[:, :11] == FOREGROUND).all()
    assert (make_trimap(np.ones((5, 5), bool), 3) == FOREGROUND).all()


def test_every_tiny_mask_keeps_a_sure_pixel_of_its_own() -> None:
    for bits in range(1, 512):
        mask = np.array([bits >> k & 1 for k in range(9)], bool).reshape(3, 3)
        trimap = make_trimap(mask, 2)
        assert (trimap == FOREGROUND).any()
        assert not (trimap[~mask] == FOREGROUND).any()
        assert not (trimap[mask] == BACKGROUND).any()


def test_settling_drops_specks_and_fills_pinholes_that_are_not_sure() -> None:
    trimap = np.full((12, 12), UNKNOWN, np.uint8)
    trimap[4:8, 4:8] = FOREGROUND
    mask = np.zeros((12, 12), bool)
    mask[2:10, 2:10] = True
    mask[3, 3] = mask[3, 6] = False
    mask[0, 0] = True
    trimap[3, 6] = BACKGROUND
    settled = settle(mask, trimap, max_hole=0.1)
    expected = np.zeros((12, 12), bool)
    expected[2:10, 2:10] = True
    expected[3, 6] = False
    assert (settled == expected).all()
