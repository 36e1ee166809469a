"""Feather and composite against the oracles and against OpenCV's blur."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from empaste_aug.kernels import blend
from empaste_aug.types import ArgumentError


def random_patch(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rgb, mask, keep): the mask a noisy ellipse, so that it has holes, edges and specks."""
    yy, xx = np.mgrid[:height, :width]
    inside = ((xx - width / 2) / (width / 2)) ** 2 + ((yy - height / 2) / (height / 2)) ** 2 < 0.8
    mask = inside ^ (rng.random((height, width)) < rng.choice([0.0, 0.01, 0.3]))
    keep = rng.random((height, width)) < rng.choice([0.05, 0.5, 0.95])
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), mask, keep


def opencv_feather(mask: np.ndarray) -> np.ndarray:
    full = (mask != 0).astype(np.uint8) * 255
    return cv2.GaussianBlur(full, (5, 5), 2, borderType=cv2.BORDER_CONSTANT)


def test_weights_are_the_gaussian_of_sigma_2() -> None:
    gaussian = cv2.getGaussianKernel(5, 2).ravel()
    assert sum(blend.FEATHER_WEIGHTS) == 256
    np.testing.assert_allclose(np.array(blend.FEATHER_WEIGHTS) / 256, gaussian, atol=0.5 / 256)


@pytest.mark.parametrize(("height", "width"), [*product(range(1, 4), range(1, 4)), (1, 9), (9, 1)])
def test_feather_of_every_tiny_mask(height: int, width: int) -> None:
    for code in range(1 << (height * width)):
        bits = code >> np.arange(height * width) & 1
        mask = bits.astype(bool).reshape(height, width)
        np.testing.assert_array_equal(blend.feather(mask), reference.feather(mask))


def test_feather_of_windows_of_every_weight() -> None:
    # Each 5x5 window stands alone, so that its centre sees one sum; the sums cover every pair of
    # a row pattern and a column pattern, the full window among them.
    patterns = (np.arange(32)[:, None] >> np.arange(5) & 1).astype(bool)
    windows = patterns[:, None, :, None] & patterns[None, :, None, :]
    for window in np.concatenate([windows.reshape(-1, 5, 5), ~windows.reshape(-1, 5, 5)]):
        np.testing.assert_array_equal(blend.feather(window), reference.feather(window))


def test_feather_of_random_masks_also_like_opencv(rng: np.random.Generator) -> None:
    for _ in range(100):
        height, width = (int(v) for v in rng.integers(1, 61, 2))
        _, mask, _ = random_patch(rng, height, width)
        alpha = blend.feather(mask)
        assert alpha.dtype == np.uint8
        np.testing.assert_array_equal(alpha, reference.feather(mask))
        np.testing.assert_array_equal(alpha, opencv_feather(mask))


def test_feather_of_a_photo_sized_mask_like_opencv(rng: np.random.Generator) -> None:
    _, mask, _ = random_patch(rng, 700, 900)
    np.testing.assert_array_equal(blend.feather(mask), opencv_feather(mask))


def test_feather_of_full_empty_and_sizeless_masks() -> None:
    full = blend.feather(np.ones((9, 11), bool))
    assert (full[2:-2, 2:-2] == 255).all()
    assert full[0, 0] == reference.feather(np.ones((9, 11)))[0, 0] < 255
    assert not blend.feather(np.zeros((9, 11), bool)).any()
    assert blend.feather(np.zeros((0, 4), bool)).shape == (0, 4)


def test_composite_of_every_opacity_foreground_and_background() -> None:
    foreground, background = np.meshgrid(np.arange(256), np.arange(256))
    rgb = np.repeat(foreground[..., None], 3, axis=2).astype(np.uint8)
    under = np.repeat(background[..., None], 3, axis=2).astype(np.uint8)
    for a in range(256):
        image = under.copy()
        blend.composite(image, rgb, np.full((256, 256), a, np.uint8), 0, 0)
        wanted = (2 * (a * foreground + (255 - a) * background) + 255) // 510
        np.testing.assert_array_equal(image, np.repeat(wanted[..., None], 3, axis=2))


def test_composite_inside_random_images(rng: np.random.Generator) -> None:
    for _ in range(60):
        height, width = (int(v) for v in rng.integers(1, 80, 2))
        h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        x0, y0 = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        rgb = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        # Long runs of 0 and 255 beside single pixels, so that chunks of every kind occur.
        alpha = rng.choice(
            np.array([0, 255, 1, 128, 254], np.uint8), (h, w), p=[0.3, 0.4, *[0.1] * 3]
        )
        for _ in range(3):
            start = int(rng.integers(w))
            alpha[:, start : start + 40] = rng.choice([0, 255])
        wanted = reference.composite(image, rgb, alpha, x0, y0)
        blend.composite(image, rgb, alpha, x0, y0)
        np.testing.assert_array_equal(image, wanted)


def test_gaussian_paste_over_every_border(rng: np.random.Generator) -> None:
    for _ in range(60):
        height, width, h, w = (int(v) for v in rng.integers(1, 50, 4))
        x0, y0 = int(rng.integers(-w - 2, width + 3)), int(rng.integers(-h - 2, height + 3))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        rgb, mask, keep = random_patch(rng, h, w)
        for kept in (None, keep):
            pasted = image.copy()
            blend.gaussian_paste(pasted, rgb, mask, x0, y0, kept)
            wanted = reference.gaussian_paste(image, rgb, mask, x0, y0, kept)
            np.testing.assert_array_equal(pasted, wanted)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 20),
    width=st.integers(1, 140),
    x0=st.integers(-70, 70),
    y0=st.integers(-12, 12),
    limited=st.booleans(),
)
def test_gaussian_paste_is_feather_then_composite(
    seed: int, height: int, width: int, x0: int, y0: int, limited: bool
) -> None:
    rng = np.random.default_rng(seed)
    rgb, mask, keep = random_patch(rng, height, width)
    image = rng.integers(0, 256, (20, 70, 3), dtype=np.uint8)
    wanted = image.copy()
    alpha = blend.feather(mask)
    if limited:
        alpha[~keep] = 0
    left, upper = max(0, -x0), max(0, -y0)
    right, lower = min(width, 70 - x0), min(height, 20 - y0)
    if left < right and upper < lower:
        inside = (slice(upper, lower), slice(left, right))
        blend.composite(wanted, rgb[inside], alpha[inside], x0 + left, y0 + upper)
    blend.gaussian_paste(image, rgb, mask, x0, y0, keep if limited else None)
    np.testing.assert_array_equal(image, wanted)


def test_interior_is_a_copy_and_far_pixels_are_untouched(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (120, 200, 3), dtype=np.uint8)
    before = image.copy()
    rgb = rng.integers(0, 256, (80, 150, 3), dtype=np.uint8)
    mask = np.zeros((80, 150), bool)
    mask[10:70, 12:140] = True
    blend.gaussian_paste(image, rgb, mask, 20, 30)
    np.testing.assert_array_equal(image[42:98, 34:158], rgb[12:68, 14:138])
    changed = (image != before).any(axis=2)
    assert not changed[:38].any()
    assert not changed[102:].any()
    assert not changed[:, :30].any()
    assert not changed[:, 162:].any()


def test_arguments_are_left_as_they_are(rng: np.random.Generator) -> None:
    rgb, mask, keep = random_patch(rng, 30, 40)
    copies = rgb.copy(), mask.copy(), keep.copy()
    blend.gaussian_paste(np.zeros((50, 50, 3), np.uint8), rgb, mask, 3, 4, keep)
    alpha = blend.feather(mask)
    alpha_copy = alpha.copy()
    blend.composite(np.zeros((50, 50, 3), np.uint8), rgb, alpha, 3, 4)
    for now, then in zip((rgb, mask, keep, alpha), (*copies, alpha_copy), strict=True):
        np.testing.assert_array_equal(now, then)


def test_memory_layout_and_mask_values_do_not_matter(rng: np.random.Generator) -> None:
    rgb, mask, keep = random_patch(rng, 30, 40)
    image = rng.integers(0, 256, (35, 45, 3), dtype=np.uint8)
    wanted = reference.gaussian_paste(image, rgb, mask, -3, 8, keep)
    mirrored = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    assert not mirrored.flags.c_contiguous
    frozen = rgb.copy()
    frozen.flags.writeable = False
    blend.gaussian_paste(
        mirrored, frozen, np.asfortranarray(mask), -3, 8, keep.astype(np.uint8) * 7
    )
    np.testing.assert_array_equal(mirrored, wanted)
    pasted = image.copy()
    blend.gaussian_paste(pasted, rgb, mask.astype(np.uint8) * 255, -3, 8, keep)
    np.testing.assert_array_equal(pasted, wanted)

    alpha = blend.feather(mask)
    mirrored = np.ascontiguousarray(image[::-1])[::-1]
    blend.composite(mirrored, frozen, np.asfortranarray(alpha), 2, 1)
    np.testing.assert_array_equal(mirrored, reference.composite(image, rgb, alpha, 2, 1))


def test_sizeless_patches_and_images_change_nothing() -> None:
    image = np.full((5, 6, 3), 9, np.uint8)
    no_rgb, no_mask = np.zeros((0, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)
    blend.composite(image, no_rgb, no_mask, 0, 0)
    blend.gaussian_paste(image, no_rgb, no_mask, 0, 0, no_mask)
    assert (image == 9).all()
    empty = np.zeros((0, 6, 3), np.uint8)
    blend.gaussian_paste(empty, image, np.ones((5, 6), bool), 0, 0)
    assert empty.shape == (0, 6, 3)


def test_wrong_arguments_are_named() -> None:
    image, rgb = np.zeros((9, 9, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)
    mask, alpha = np.ones((4, 5), bool), np.ones((4, 5), np.uint8)
    frozen = image.copy()
    frozen.flags.writeable = False
    cases = [
        ("image: must be", lambda: blend.composite(image[..., 0], rgb, alpha, 0, 0)),
        ("image: must be", lambda: blend.gaussian_paste(image / 2, rgb, mask, 0, 0)),
        ("image: is read-only", lambda: blend.composite(frozen, rgb, alpha, 0, 0)),
        ("image: is read-only", lambda: blend.gaussian_paste(frozen, rgb, mask, 0, 0)),
        ("rgb: must be", lambda: blend.composite(image, rgb[..., :2], alpha, 0, 0)),
        ("rgb: must be", lambda: blend.gaussian_paste(image, None, mask, 0, 0)),
        ("alpha: must be uint8", lambda: blend.composite(image, rgb, mask, 0, 0)),
        ("alpha: must be", lambda: blend.composite(image, rgb, alpha / 2, 0, 0)),
        ("alpha: its height", lambda: blend.composite(image, rgb, alpha.T, 0, 0)),
        ("mask: must be", lambda: blend.feather(alpha / 2)),
        ("mask: its height", lambda: blend.gaussian_paste(image, rgb, mask[:3], 0, 0)),
        ("keep: its height", lambda: blend.gaussian_paste(image, rgb, mask, 0, 0, mask[:3])),
        ("keep: must be", lambda: blend.gaussian_paste(image, rgb, mask, 0, 0, alpha / 2)),
    ]
    for message, call in cases:
        with pytest.raises(ArgumentError, match=message):
            call()
    for x0, y0 in ((-1, 0), (0, -1), (5, 0), (0, 6)):
        with pytest.raises(ArgumentError, match="x0, y0"):
            blend.composite(image, rgb, alpha, x0, y0)
    with pytest.raises(TypeError):
        blend.gaussian_paste(image, rgb, mask, 0.5, 0)
