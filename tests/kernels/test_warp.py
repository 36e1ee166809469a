"""The warp against a slow one in floating point, and against the mean of many samples a pixel."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import reference

from empaste_aug import ArgumentError, kernels
from empaste_aug.kernels import _pack_rows
from empaste_aug.kernels.warp import BLUR, _warp, warp

MARGIN = 3


def inverse_map(center, scale, angle, flip, pivot):
    """From the image to the cut-out: `pivot` of the cut-out lies on `center`."""
    turn = math.radians(angle)
    cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
    ux, uy, vx, vy = (-cos, sin, sin, cos) if flip else (cos, -sin, sin, cos)
    x, y = center
    return ux, uy, pivot[0] - ux * x - uy * y, vx, vy, pivot[1] - vx * x - vy * y


def cutout(rng, height, width, density=0.9):
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = np.where(rng.random((height, width)) < density, 255, 0).astype(np.uint8)
    soft = rng.random((height, width)) < 0.2
    alpha[soft] = rng.integers(0, 256, int(soft.sum()))
    alpha[rng.integers(height), rng.integers(width)] = 255
    return rgb, alpha


def near(mask: np.ndarray, reach: int) -> np.ndarray:
    size = 2 * reach + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)


def compare(rgb, alpha, inverse, height, width) -> int:
    """Everything that `warp` promises, against the oracle; the number of the mask's pixels."""
    got = warp(rgb, alpha, inverse, height=height, width=width, margin=MARGIN)
    h, w = got.mask.shape
    assert got.rgb.shape == (h, w, 3)
    assert (got.rgb.dtype, got.mask.dtype) == (np.uint8, np.bool_)
    stretch = abs(inverse[0] * inverse[4] - inverse[1] * inverse[3])
    share = round(256 * BLUR * max(stretch - 1, 0)) / 256
    # A canvas that the whole object fits on, and the window.
    ux, uy, u0, vx, vy, v0 = inverse
    forward = np.linalg.inv(np.array([[ux, uy], [vx, vy]]))
    corners = [(x, y) for x in (-2, rgb.shape[1] + 1) for y in (-2, rgb.shape[0] + 1)]
    placed = np.array(corners) - (u0, v0)
    placed = placed @ forward.T
    left, top = np.floor(placed.min(axis=0)).astype(int) - MARGIN
    right, bottom = np.ceil(placed.max(axis=0)).astype(int) + MARGIN + 1
    box = min(left, -MARGIN), min(top, -MARGIN), max(right, width + 3), max(bottom, height + 3)
    colours, opacities = reference.warp(rgb, alpha, inverse, share, box)
    sure = np.abs(opacities - 127.5) > 2
    expected = opacities >= 127.5
    assert abs(got.total - int(expected.sum())) <= int((~sure).sum())
    # Inside the image and its margin nothing is missing.
    full = np.zeros(opacities.shape, bool)
    shown = np.zeros((*opacities.shape, 3), np.uint8)
    place = np.s_[got.y - box[1] : got.y - box[1] + h, got.x - box[0] : got.x - box[0] + w]
    full[place], shown[place] = got.mask, got.rgb
    inside = np.zeros(opacities.shape, bool)
    inside[-MARGIN - box[1] : height + MARGIN - box[1], -MARGIN - box[0] : width + 3 - box[0]] = (
        True
    )
    assert not (full & ~inside).any()
    wrong = (full != expected) & sure & inside
    assert not wrong.any(), f"{wrong.sum()} pixels of the mask"
    seen = near(full, 2) & inside
    if seen.any():
        assert np.abs(shown[seen] - colours[seen]).max() <= 3
    again = warp(rgb, alpha, inverse, height=height, width=width, margin=MARGIN)
    assert np.array_equal(again.rgb, got.rgb)
    assert np.array_equal(again.mask, got.mask)
    return got.total


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 1), (2, 2), (7, 30), (31, 24)])
@pytest.mark.parametrize("scale", [0.5, 0.62, 0.93, 1.0, 1.7, 6.0])
def test_agrees_with_the_slow_warp(rng, size, scale) -> None:
    seen = 0
    for number in range(12):
        rgb, alpha = cutout(rng, *size)
        angle = float([0, 90, 180, 270][number % 4]) if number < 6 else rng.uniform(-180, 180)
        center = tuple(rng.uniform(-8, 48, 2)) if number % 2 else (20.0, 17.0)
        inverse = inverse_map(center, scale, angle, number % 3 == 0, (size[1] / 2, size[0] / 3))
        seen += compare(rgb, alpha, inverse, 37, 41)
    assert seen or min(size) * scale < 2


def test_images_of_one_pixel_and_of_none(rng) -> None:
    rgb, alpha = cutout(rng, 9, 12)
    for height, width in ((1, 1), (1, 50), (50, 1)):
        compare(rgb, alpha, inverse_map((0.3, 0.2), 1.3, 20, False, (5, 5)), height, width)


def test_objects_outside_keep_their_count(rng) -> None:
    rgb, alpha = cutout(rng, 30, 40)
    for scale in (0.7, 1.0, 12.0):
        inside = warp(
            rgb,
            alpha,
            inverse_map((400.0, 400.0), scale, 30, False, (20, 15)),
            height=800,
            width=800,
            margin=MARGIN,
        )
        assert inside.total == np.count_nonzero(inside.mask) > 0
        for center in ((-2000.0, 20.0), (20.0, 5000.0), (5.0, -3.0), (48.0, 30.0)):
            inverse = inverse_map(center, scale, 30, False, (20, 15))
            got = warp(rgb, alpha, inverse, height=40, width=50, margin=MARGIN)
            assert abs(got.total - inside.total) <= 1e-4 * inside.total
            assert np.count_nonzero(got.mask) <= got.total
            if max(map(abs, center)) > 1000:
                assert got.mask.size == 0


def test_the_skipping_count_is_that_of_all_samples() -> None:
    """A large enlargement whose part outside is counted by its outline."""
    alpha = np.zeros((24, 31), np.uint8)
    cv2.ellipse(alpha, (15, 12), (12, 9), 20, 0, 360, 255, -1)
    alpha[10:13, 9:22] = 0
    rgb = np.zeros((24, 31, 3), np.uint8)
    for angle in (0.0, 33.0, 90.0, -140.0):
        for flip in (False, True):
            center = (600.0, 590.0)
            inverse = inverse_map(center, 37.0, angle, flip, (15, 12))
            whole = warp(rgb, alpha, inverse, height=1200, width=1200, margin=MARGIN)
            clipped = warp(rgb, alpha, inverse, height=300, width=640, margin=MARGIN)
            assert whole.total == np.count_nonzero(whole.mask)
            assert clipped.total == pytest.approx(whole.total, rel=1e-4)


def test_colours_repeat_beyond_the_border(rng) -> None:
    rgb = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    alpha = np.full((6, 8), 255, np.uint8)
    got = warp(rgb, alpha, (1.0, 0.0, -10.0, 0.0, 1.0, -10.0), height=30, width=30, margin=MARGIN)
    place = np.s_[8 - got.y : 18 - got.y, 8 - got.x : 20 - got.x]
    assert np.array_equal(got.rgb[place], np.pad(rgb, ((2, 2), (2, 2), (0, 0)), mode="edge"))
    assert got.mask.sum() == got.total == 48


def test_transparent_cutouts_are_empty() -> None:
    got = warp(
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((4, 5), np.uint8),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        height=9,
        width=9,
        margin=MARGIN,
    )
    assert (got.total, got.mask.size, got.rgb.size) == (0, 0, 0)


def opencv(rgb, alpha, scale, inverse, size):
    """Area interpolation, then a bilinear warp."""
    height, width = alpha.shape
    small = max(round(width * scale), 1), max(round(height * scale), 1)
    rgb = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
    matrix = np.array(inverse).reshape(2, 3)
    for row, factor in enumerate((small[0] / width, small[1] / height)):
        matrix[row] *= factor
        matrix[row, 2] += 0.5 * factor - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return (
        cv2.warpAffine(rgb, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE),
        cv2.warpAffine(alpha, matrix, size, flags=flags),
    )


@pytest.mark.parametrize("scale", [0.55, 0.7, 0.9])
@pytest.mark.parametrize("angle", [0.0, 25.0])
def test_shrinking_is_closer_to_many_samples_than_opencv(rng, scale, angle) -> None:
    """Colours, masks and, over shifts by parts of a pixel, edges that do not shimmer."""
    noise = rng.integers(0, 256, (90, 120, 3)).astype(np.float32)
    rgb = cv2.GaussianBlur(noise, (0, 0), 1.2)
    rgb = cv2.normalize(rgb, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    alpha = np.zeros((90, 120), np.uint8)
    cv2.ellipse(alpha, (60, 45), (52, 38), 10, 0, 360, 255, -1)
    errors = {"ours": [], "theirs": []}
    masks = {"ours": 0, "theirs": 0}
    for shift in np.linspace(0, 1, 5, endpoint=False):
        inverse = inverse_map((64 + shift, 60 + shift / 3), scale, angle, False, (60, 45))
        box = (0, 0, 128, 120)
        colours, opacities = reference.supersampled_warp(rgb, alpha, inverse, box, side=4)
        expected = opacities >= 127.5
        got = warp(rgb, alpha, inverse, height=120, width=128, margin=MARGIN)
        ours = np.zeros((120, 128, 3), np.uint8), np.zeros((120, 128), bool)
        place = np.s_[got.y : got.y + got.mask.shape[0], got.x : got.x + got.mask.shape[1]]
        ours[0][place], ours[1][place] = got.rgb, got.mask
        other = opencv(rgb, alpha, scale, inverse, (128, 120))
        for name, image, mask in (("ours", *ours), ("theirs", other[0], other[1] >= 128)):
            errors[name].append(((image[expected] - colours[expected]) ** 2).mean())
            masks[name] += int((mask != expected).sum())
    assert np.mean(errors["ours"]) < np.mean(errors["theirs"])
    assert masks["ours"] <= masks["theirs"]


@pytest.mark.parametrize(
    ("inverse", "message"),
    [
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), "singular"),
        ((2.1, 0.0, 0.0, 0.0, 2.1, 0.0), "shrinks by more than 2"),
        ((math.nan, 0.0, 0.0, 0.0, 1.0, 0.0), "inverse"),
        ((1.0, 0.0, math.inf, 0.0, 1.0, 0.0), "inverse"),
        ((1e-5, 0.0, 0.0, 0.0, 1e-5, 0.0), "at most 32000 a side"),
    ],
)
def test_maps_that_are_refused(inverse, message) -> None:
    rgb, alpha = np.zeros((3, 4, 3), np.uint8), np.full((3, 4), 255, np.uint8)
    with pytest.raises(ArgumentError, match=message):
        warp(rgb, alpha, inverse, height=9, width=9, margin=MARGIN)


def test_arrays_that_are_refused() -> None:
    rgb, alpha = np.zeros((3, 4, 3), np.uint8), np.full((3, 4), 255, np.uint8)
    one = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    with pytest.raises(ArgumentError, match="rgb: must be"):
        warp(rgb[..., 0], alpha, one, height=9, width=9, margin=MARGIN)
    with pytest.raises(ArgumentError, match="alpha: must be"):
        warp(rgb, rgb, one, height=9, width=9, margin=MARGIN)
    with pytest.raises(ArgumentError, match="alpha: its height and width"):
        warp(rgb, alpha[:2], one, height=9, width=9, margin=MARGIN)


def test_after_the_warmup_nothing_is_compiled(rng) -> None:
    kernels.warmup()
    entries = (_pack_rows.bound, _warp)
    before = [list(entry.signatures) for entry in entries]
    assert all(before)
    rgb, alpha = cutout(rng, 20, 30)
    frozen = rgb[::-1].copy()
    frozen.flags.writeable = False
    warp(frozen, alpha[:, ::-1], (1, 0, 0, 0, 1, 0), height=np.int64(9), width=9, margin=3)
    step = np.float64(0.02)
    warp(rgb, alpha, (step, 0, 3, 0, step, 2), height=9, width=np.int32(9), margin=np.int8(3))
    warp(rgb, alpha, (1.5, 0.0, 3.0, 0.0, 1.5, 2.0), height=9, width=9, margin=3)
    assert [list(entry.signatures) for entry in entries] == before
