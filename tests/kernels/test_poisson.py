"""Poisson blending against a dense solution of its equations, and at its borders."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from empaste_aug.kernels import _poisson_solve, poisson
from empaste_aug.kernels.poisson import poisson_paste
from empaste_aug.types import ArgumentError

# Grey levels beyond the half that rounding takes, on images of noise
WORST, MEAN = 1.0, 0.05


def smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A photo-like (height, width, 3) uint8 image: slow gradients, an edge, and some noise."""
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    image[:, width // 2 :] += int(rng.integers(-60, 61))
    return np.clip(image + rng.integers(-8, 9, image.shape), 0, 255).astype(np.uint8)


def check(image, rgb, mask, x0, y0, keep=None, *, worst=WORST, mean=MEAN) -> np.ndarray:
    """Paste, compare with the exact solution, and return what was pasted."""
    pasted = image.copy()
    poisson_paste(pasted, rgb, mask, x0, y0, keep)
    exact, drawn = reference.poisson(image, rgb, mask, x0, y0, keep)
    np.testing.assert_array_equal(pasted[~drawn], image[~drawn])
    if drawn.any():
        error = np.abs(pasted[drawn] - np.clip(exact[drawn], 0, 255)) - 0.5
        assert error.max() <= worst
        assert error.clip(0).mean() <= mean
    return pasted


def ellipse(height: int, width: int, margin: int = 2) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    axes = (max(width // 2 - margin, 0), max(height // 2 - margin, 0))
    cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, 1, -1)
    return mask


@pytest.mark.parametrize(("height", "width"), [*product(range(1, 4), range(1, 4)), (1, 8), (8, 1)])
def test_every_tiny_mask_inside_and_over_a_corner(
    rng: np.random.Generator, height: int, width: int
) -> None:
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = rng.integers(0, 256, (height + 2, width + 2, 3), dtype=np.uint8)
    for code in range(1 << (height * width)):
        bits = code >> np.arange(height * width) & 1
        mask = bits.astype(bool).reshape(height, width)
        for place in (1, 0, -1, 3):
            check(image, rgb, mask, place, place, worst=0.3)


def test_random_patches_over_every_border(rng: np.random.Generator) -> None:
    for _ in range(60):
        height, width, h, w = (int(v) for v in rng.integers(1, 26, 4))
        x0, y0 = int(rng.integers(-w - 2, width + 3)), int(rng.integers(-h - 2, height + 3))
        image, rgb = (
            rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((height, width), (h, w))
        )
        mask = ellipse(h, w, 0) ^ (rng.random((h, w)) < rng.choice([0.0, 0.03, 0.3]))
        keep = rng.random((h, w)) < rng.choice([0.1, 0.5, 0.95])
        for kept in (None, keep):
            check(image, rgb, mask, x0, y0, kept)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 20),
    width=st.integers(1, 30),
    x0=st.integers(-20, 30),
    y0=st.integers(-12, 24),
    density=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    limited=st.booleans(),
)
def test_any_patch(
    seed: int, height: int, width: int, x0: int, y0: int, density: float, limited: bool
) -> None:
    rng = np.random.default_rng(seed)
    image, rgb = smooth(rng, 24, 30), smooth(rng, height, width)
    mask = rng.random((height, width)) < density
    keep = rng.random((height, width)) < 0.8 if limited else None
    check(image, rgb, mask, x0, y0, keep, worst=2.0)  # `keep` of noise converges slowly


@pytest.mark.parametrize("shape", ["ellipse", "lines", "holes", "parts", "spiral", "grid"])
def test_shapes_on_photo_like_images(rng: np.random.Generator, shape: str) -> None:
    image, rgb, mask = smooth(rng, 60, 70), smooth(rng, 44, 50), np.zeros((44, 50), np.uint8)
    if shape == "ellipse":
        mask = ellipse(44, 50)
    elif shape == "lines":
        mask[5:40, 7] = mask[11, 3:48] = 1
        cv2.line(mask, (2, 40), (45, 3), 1, 1)
    elif shape == "holes":
        mask = ellipse(44, 50)
        mask[20, 20] = mask[10:14, 25] = mask[24:30, 28:34] = 0
    elif shape == "parts":
        mask[2:10, 2:10] = mask[12:40, 5:20] = mask[8:30, 30:48] = 1
    elif shape == "spiral":
        for turn in range(0, 18, 3):
            cv2.rectangle(mask, (2 + turn, 2 + turn), (47 - turn, 41 - turn), 1, 1)
            mask[2 + turn, 3 + turn] = 0
            mask[3 + turn : 6 + turn, 2 + turn] = 1
    else:
        mask[1:-1:2, 1:-1] = mask[1:-1, 1:-1:3] = 1
    check(image, rgb, mask, 6, 8, worst=0.5)
    check(image, rgb, mask, -9, 30, worst=0.5)


def test_an_object_over_the_border_is_not_tied_there(rng: np.random.Generator) -> None:
    # The colours beyond the border would pull by 100; without them the shift is 20 throughout.
    image = np.full((40, 50, 3), 120, np.uint8)
    rgb = np.full((30, 30, 3), 100, np.uint8)
    mask = np.zeros((30, 30), bool)
    mask[5:25, :25] = True
    poisson_paste(image, rgb, mask, -10, 4)
    assert (image == 120).all()
    check(smooth(rng, 40, 50), smooth(rng, 30, 30), mask, -10, 4, worst=0.5)


def test_keep_hides_the_image_as_a_border_would(rng: np.random.Generator) -> None:
    image, rgb, mask = smooth(rng, 40, 50), smooth(rng, 30, 34), ellipse(30, 34)
    keep = np.ones((30, 34), np.uint8)
    keep[:, 20:] = 0
    wanted = image.copy()
    poisson_paste(wanted, rgb, mask, 3, 4, keep)
    np.testing.assert_array_equal(wanted[:, 23:], image[:, 23:])
    narrow = np.ascontiguousarray(image[:, :23])
    poisson_paste(narrow, rgb, mask, 3, 4)
    np.testing.assert_array_equal(wanted[:, :23], narrow)
    image[:, 23:] = 0  # padding, or another object: it does not colour the paste
    poisson_paste(image, rgb, mask, 3, 4, keep)
    np.testing.assert_array_equal(image[:, :23], narrow)


def test_without_known_pixels_it_is_a_plain_paste(rng: np.random.Generator) -> None:
    image, rgb = smooth(rng, 20, 24), smooth(rng, 30, 34)
    poisson_paste(image, rgb, np.ones((30, 34), bool), -5, -5)
    np.testing.assert_array_equal(image, rgb[5:25, 5:29])
    tiny = np.zeros((1, 1, 3), np.uint8)
    poisson_paste(tiny, rgb, np.ones((30, 34), bool), -5, -6)
    np.testing.assert_array_equal(tiny[0, 0], rgb[6, 5])

    # One part is cut off by `keep` on all sides, the other is not.
    image, mask, keep = smooth(rng, 40, 40), np.zeros((30, 34), bool), np.ones((30, 34), bool)
    mask[4:12, 4:12] = mask[16:26, 10:30] = True
    keep[3:13, 3:13] = False
    keep[5:11, 5:11] = True
    pasted = check(image, rgb, mask, 4, 5, keep, worst=0.5)
    np.testing.assert_array_equal(pasted[10:16, 9:15], rgb[5:11, 5:11])


def test_same_gradients_and_constant_offsets_are_exact(rng: np.random.Generator) -> None:
    image = rng.integers(40, 200, (80, 90, 3), dtype=np.uint8)
    rgb = image[10:60, 12:70] + np.uint8(30)
    pasted = image.copy()
    poisson_paste(pasted, rgb, ellipse(50, 58), 12, 10)
    np.testing.assert_array_equal(pasted, image)
    poisson_paste(pasted, 255 - rgb, np.zeros((50, 58), bool), 12, 10)
    np.testing.assert_array_equal(pasted, image)


def test_results_are_clamped() -> None:
    image, rgb = np.full((9, 9, 3), 250, np.uint8), np.full((5, 5, 3), 20, np.uint8)
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1:4] = True
    rgb[2, 2] = 200, 0, 25
    poisson_paste(image, rgb, mask, 2, 2)
    np.testing.assert_array_equal(image[4, 4], (255, 230, 255))
    image[:] = 5
    rgb[2, 2] = 0
    poisson_paste(image, rgb, mask, 2, 2)
    np.testing.assert_array_equal(image[4, 4], (0, 0, 0))


@pytest.mark.parametrize("size", [7, 180, 600])
def test_a_harmonic_membrane_is_found_at_any_size(size: int) -> None:
    # image - rgb = x - y is harmonic: the exact solution is known without solving anything.
    rows, columns = np.mgrid[:size, :size]
    membrane = np.rint(100 * (columns - rows) / size)
    image = np.repeat((128 + membrane)[..., None], 3, axis=2).astype(np.uint8)
    rgb = np.full((size, size, 3), 128, np.uint8)
    pasted = image.copy()
    poisson_paste(pasted, rgb, ellipse(size, size), 0, 0)
    assert np.abs(pasted.astype(int) - image).max() <= 1


def test_a_large_object(rng: np.random.Generator) -> None:
    image = smooth(rng, 1500, 1500)
    pasted, again = image.copy(), image.copy()
    rgb = np.clip(image[::-1].astype(int) + 9, 0, 255).astype(np.uint8)
    mask = np.ones((1500, 1500), bool)
    mask[0] = mask[:, 0] = mask[700:720, 600:900] = False
    poisson_paste(pasted, rgb, mask, 0, 0)
    np.testing.assert_array_equal(pasted[~mask], image[~mask])
    # Where nothing was clamped, the equations hold but for rounding: in each, by 8 halves.
    u = pasted.astype(int) - rgb
    inner = mask[1:-1, 1:-1] & ((pasted > 0) & (pasted < 255)).all(axis=2)[1:-1, 1:-1]
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(((pasted > 0) & (pasted < 255)).all(axis=2), step, axis)[1:-1, 1:-1]
    flow = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
    assert inner.mean() > 0.3
    assert np.abs(flow[inner]).max() <= 5
    poisson_paste(again, rgb, mask, 0, 0)
    np.testing.assert_array_equal(pasted, again)


def test_few_known_pixels_take_more_cycles(rng: np.random.Generator) -> None:
    # All but nine pixels of the image are covered; each of them is felt far away.
    image, rgb = smooth(rng, 40, 40), smooth(rng, 40, 40)
    mask = np.ones((40, 40), bool)
    mask[rng.integers(0, 40, 9), rng.integers(0, 40, 9)] = False
    check(image, rgb, mask, 0, 0, worst=0.6, mean=0.3)
    mask[:] = True
    mask[0, 0] = False
    check(image, rgb, mask, 0, 0, worst=0.6, mean=0.3)


def test_memory_layout_and_mask_values_do_not_matter(rng: np.random.Generator) -> None:
    image, rgb, mask = smooth(rng, 35, 45), smooth(rng, 30, 40), ellipse(30, 40)
    keep = rng.random((30, 40)) < 0.9
    wanted = image.copy()
    poisson_paste(wanted, rgb, mask, -3, 8, keep)
    copies = rgb.copy(), mask.copy(), keep.copy()
    mirrored = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    frozen = rgb.copy()
    frozen.flags.writeable = False
    signatures = list(_poisson_solve.solve.signatures)
    poisson_paste(
        mirrored,
        frozen,
        np.asfortranarray(mask != 0),
        np.int16(-3),
        np.uint8(8),
        keep.astype(np.uint8) * 7,
    )
    np.testing.assert_array_equal(mirrored, wanted)
    poisson_paste(image, rgb, mask * np.uint8(255), -3, 8, keep)
    np.testing.assert_array_equal(image, wanted)
    for now, then in zip((rgb, mask, keep), copies, strict=True):
        np.testing.assert_array_equal(now, then)
    assert list(_poisson_solve.solve.signatures) == signatures


def test_sizeless_patches_and_images_change_nothing() -> None:
    image = np.full((5, 6, 3), 9, np.uint8)
    no_rgb, no_mask = np.zeros((0, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)
    poisson_paste(image, no_rgb, no_mask, 0, 0, no_mask)
    poisson_paste(image, image.copy(), np.ones((5, 6), bool), 6, 0)
    poisson_paste(image, image.copy(), np.ones((5, 6), bool), 0, -5)
    assert (image == 9).all()
    empty = np.zeros((0, 6, 3), np.uint8)
    poisson_paste(empty, image, np.ones((5, 6), bool), 0, 0)
    assert empty.shape == (0, 6, 3)


def test_wrong_arguments_are_named() -> None:
    image, rgb = np.zeros((9, 9, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)
    mask, frozen = np.ones((4, 5), bool), image.copy()
    frozen.flags.writeable = False
    cases = [
        ("image: must be", lambda: poisson_paste(image / 2, rgb, mask, 0, 0)),
        ("image: is read-only", lambda: poisson_paste(frozen, rgb, mask, 0, 0)),
        ("rgb: must be", lambda: poisson_paste(image, None, mask, 0, 0)),
        ("mask: must be", lambda: poisson_paste(image, rgb, mask / 2, 0, 0)),
        ("mask: its height", lambda: poisson_paste(image, rgb, mask[:3], 0, 0)),
        ("keep: its height", lambda: poisson_paste(image, rgb, mask, 0, 0, mask[:3])),
        ("keep: must be", lambda: poisson_paste(image, rgb, mask, 0, 0, mask / 2)),
    ]
    for message, call in cases:
        with pytest.raises(ArgumentError, match=message):
            call()
    with pytest.raises(TypeError):
        poisson_paste(image, rgb, mask, 0.5, 0)


def test_the_docstrings_example() -> None:
    import doctest

    assert doctest.testmod(poisson).attempted > 0
    assert doctest.testmod(poisson).failed == 0


def test_looks_like_seamless_clone(rng: np.random.Generator) -> None:
    # A smooth scene, so that the two problems have nearly the same answer away from the outline.
    columns = np.linspace(60, 160, 200)
    image = np.repeat(np.repeat(columns[None, :, None], 160, axis=0), 3, axis=2).astype(np.uint8)
    rgb = np.full((100, 100, 3), 30, np.uint8)
    cv2.circle(rgb, (50, 50), 15, (80, 60, 40), -1)
    mask = ellipse(100, 100, 4)
    pasted = image.copy()
    poisson_paste(pasted, rgb, mask, 40, 30)
    cloned = cv2.seamlessClone(rgb, image, mask * 255, (40 + 50, 30 + 50), cv2.NORMAL_CLONE)
    inner = np.zeros(image.shape[:2], bool)
    inner[30:130, 40:140] = cv2.erode(mask, np.ones((15, 15), np.uint8)) != 0
    difference = np.abs(pasted.astype(int) - cloned)[inner]
    assert difference.mean() < 3
    assert difference.max() < 8
