from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from empaste_aug.offline.alpha import AlphaConfig, cut_out
from empaste_aug.types import ArgumentError

RED = np.array([210.0, 40, 30])


def soft_disk(radius: float = 30, size: int = 110) -> tuple[np.ndarray, np.ndarray]:
    """A red disk with an edge three pixels soft on a blue-green gradient: (photo, true alpha)."""
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - size // 2, y - size // 2)
    alpha = np.clip((radius - distance) / 3 + 0.5, 0, 1)
    back = np.stack([0 * x, 100 + x, 250 - y], axis=2)
    photo = alpha[..., None] * RED + (1 - alpha[..., None]) * back
    return np.rint(photo).astype(np.uint8), alpha


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(rough, (5, 5), 1)


def on_photo(crop: tuple[Any, ...], shape: tuple[int, ...]) -> np.ndarray:
    _, alpha, (x0, y0, x1, y1) = crop
    full = np.zeros(shape[:2], np.uint8)
    full[y0:y1, x0:x1] = alpha
    return full


@pytest.mark.parametrize("error", [-2, -1, 0, 1, 2])
def test_a_soft_disk_is_found_from_a_mask_that_is_off(error: int) -> None:
    photo, truth = soft_disk()
    y, x = np.mgrid[:110, :110] - 55
    mask = np.hypot(x, y) <= 30 + error
    crop = cut_out(photo, mask, AlphaConfig(band=0.1))
    alpha = on_photo(crop, photo.shape)
    assert np.abs(alpha / 255 - truth).max() < 0.2
    assert np.abs(alpha / 255 - truth).mean() < 0.003
    wrong = ((alpha >= 128) != (truth >= 0.5)).sum()
    assert wrong <= max(24, (mask != (truth >= 0.5)).sum() / 6)


def test_its_colours_are_the_disks_own_as_far_as_a_paste_shows_them() -> None:
    photo, truth = soft_disk()
    rgb, alpha, _ = cut_out(photo, truth >= 0.5, AlphaConfig())
    shown = cv2.dilate((alpha >= 128).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.abs(rgb[shown] - RED).max() < 12
    plain, same, _ = cut_out(photo, truth >= 0.5, AlphaConfig(decontaminate=False))
    assert (same == alpha).all()
    assert np.abs(plain[shown] - RED).max() > 100


def test_pasted_on_another_ground_it_is_what_it_would_be_there() -> None:
    photo, truth = soft_disk()
    rgb, alpha, (x0, y0, x1, y1) = cut_out(photo, truth >= 0.5, AlphaConfig())
    ground = np.array([250.0, 250, 20])
    pasted = alpha[..., None] / 255 * rgb + (1 - alpha[..., None] / 255) * ground
    inside = truth[y0:y1, x0:x1, None]
    assert np.abs(pasted - (inside * RED + (1 - inside) * ground)).max() < 30


def test_without_matting_alpha_is_the_cleaned_mask() -> None:
    photo = noise(60, 70)
    mask = np.zeros((60, 70), bool)
    mask[10:40, 20:50] = True
    mask[20, 30] = False
    mask[50:53, 60:63] = True
    expected = mask.copy()
    expected[50:53, 60:63] = False
    expected[20, 30] = True
    rgb, alpha, box = cut_out(
        photo, mask, AlphaConfig(method="none", decontaminate=False), margin=6
    )
    assert box == (14, 4, 56, 46)
    assert (alpha == 255 * expected[4:46, 14:56]).all()
    assert (rgb == photo[4:46, 14:56]).all()
    both = cut_out(photo, mask, AlphaConfig(method="none", min_component=0, max_hole=0))
    assert (on_photo(both, photo.shape) == 255 * mask).all()


@pytest.mark.parametrize("config", [AlphaConfig(max_band=0), AlphaConfig(max_band=0, band=1)])
def test_no_band_keeps_the_mask(config: AlphaConfig) -> None:
    photo, truth = soft_disk()
    assert (on_photo(cut_out(photo, truth > 0.5, config), photo.shape) == 255 * (truth > 0.5)).all()


def line(mask: np.ndarray) -> None:
    mask[5, 4:36] = True


def diagonal(mask: np.ndarray) -> None:
    mask[np.arange(30), np.arange(30)] = True


def everything(mask: np.ndarray) -> None:
    mask[:] = True


def corner(mask: np.ndarray) -> None:
    mask[:12, :15] = True


def one_pixel(mask: np.ndarray) -> None:
    mask[0, 39] = True


def all_but_one(mask: np.ndarray) -> None:
    mask[:] = True
    mask[7, 9] = False


SHAPES = [line, diagonal, everything, corner, one_pixel, all_but_one]


@pytest.mark.parametrize("draw", SHAPES)
@pytest.mark.parametrize("kind", ["noise", "grey", "flat"])
def test_no_mask_vanishes(draw: Callable[[np.ndarray], None], kind: str) -> None:
    photo = noise(30, 40)
    if kind == "grey":
        photo = np.repeat(photo[..., :1], 3, axis=2)
    elif kind == "flat":
        photo[:] = 99
    mask = np.zeros((30, 40), bool)
    draw(mask)
    rgb, alpha, (x0, y0, x1, y1) = crop = cut_out(photo, mask, AlphaConfig(max_hole=0))
    assert rgb.shape == (y1 - y0, x1 - x0, 3)
    assert rgb.dtype == alpha.dtype == np.uint8
    found = on_photo(crop, photo.shape) >= 128
    near = cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert found.any()
    assert (near | ~mask).all()
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert (grown | ~found).all()


def test_a_photo_of_one_pixel_is_cut_out() -> None:
    rgb, alpha, box = cut_out(noise(1, 1), np.ones((1, 1), bool), AlphaConfig())
    assert (rgb.shape, alpha.tolist(), box) == ((1, 1, 3), [[255]], (0, 0, 1, 1))


def test_a_thin_handle_stays_on_a_bland_photo() -> None:
    photo = np.full((80, 120, 3), 128, np.uint8)
    mask = np.zeros((80, 120), bool)
    mask[20:60, 10:50] = mask[38:41, 50:110] = True
    found = on_photo(cut_out(photo, mask, AlphaConfig()), photo.shape) >= 128
    assert found[39, 50:108].all()


def test_the_photo_beyond_the_crop_does_not_matter() -> None:
    photo, mask = noise(160, 170), np.zeros((160, 170), bool)
    cv2.circle(mask.view(np.uint8), (85, 80), 30, 1, -1)
    rgb, alpha, _ = cut_out(photo, mask, AlphaConfig(max_band=3))
    away = np.full((300, 310, 3), 7, np.uint8)
    away[60:220, 70:240] = photo
    moved = np.pad(mask, ((60, 80), (70, 70)))
    again = cut_out(away, moved, AlphaConfig(max_band=3))
    assert (again[0] == rgb).all()
    assert (again[1] == alpha).all()


def test_the_same_bytes_from_any_number_of_threads() -> None:
    photo, mask = noise(120, 130, 3), np.zeros((120, 130), bool)
    cv2.ellipse(mask.view(np.uint8), (60, 60), (40, 25), 20, 0, 360, 1, -1)

    def digest(_: int) -> str:
        rgb, alpha, box = cut_out(photo, mask, AlphaConfig())
        return hashlib.sha256(rgb.tobytes() + alpha.tobytes() + repr(box).encode()).hexdigest()

    threads = cv2.getNumThreads()
    digests = set()
    try:
        for number in (1, 2, 4):
            cv2.setNumThreads(number)
            digests.add(digest(0))
            with ThreadPoolExecutor(number) as pool:
                digests.update(pool.map(digest, range(4)))
    finally:
        cv2.setNumThreads(threads)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "guided"),
        ("min_component", -0.1),
        ("min_component", 1.1),
        ("max_hole", float("nan")),
        ("max_hole", 2),
        ("band", -1),
        ("band", float("inf")),
        ("max_band", -1),
        ("smoothness", 0),
        ("pull", -1e-9),
        ("pull", float("inf")),
    ],
)
def test_a_constant_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"^{field}: must be .*{value}"):
        AlphaConfig(**{field: value})


def test_bad_arguments_are_named() -> None:
    photo, mask = noise(5, 6), np.ones((5, 6), bool)
    with pytest.raises(ArgumentError, match="mask: holds no pixel"):
        cut_out(photo, ~mask, AlphaConfig())
    with pytest.raises(ArgumentError, match=r"mask: bool of shape \(5, 6\)"):
        cut_out(photo, mask[:4], AlphaConfig())
    with pytest.raises(ArgumentError, match=r"mask: .*uint8"):
        cut_out(photo, mask.view(np.uint8), AlphaConfig())
    with pytest.raises(ArgumentError, match="image: "):
        cut_out(photo[..., 0], mask, AlphaConfig())
