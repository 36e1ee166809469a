from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.alpha_colour import carry, foreground_colours
from empaste_aug.offline.alpha_mask import BACKGROUND, FOREGROUND, UNKNOWN


def test_colours_are_carried_ring_by_ring(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    sure = np.zeros((6, 7), bool)
    sure[2, 2] = sure[2, 4] = True
    colours, known = carry(rgb, sure, 1)
    rows, columns = np.mgrid[:6, :7]
    assert (known == ((abs(rows - 2) <= 1) & (columns >= 1) & (columns <= 5))).all()
    assert (colours[2, 2] == rgb[2, 2]).all()
    assert (colours[3, 1] == rgb[2, 2]).all()
    assert np.allclose(colours[1, 3], rgb[2, [2, 4]].mean(axis=0))
    assert (colours[~known] == 0).all()
    assert carry(rgb, sure, 10)[1].all()
    assert not carry(rgb, np.zeros_like(sure), 10)[1].any()


@pytest.mark.parametrize("grounds", [((200, 30, 40), (10, 90, 250)), ((0,) * 3, (255,) * 3)])
def test_a_mix_of_two_colours_is_undone(grounds: tuple[tuple[int, ...], ...]) -> None:
    front, back = (np.array(colour, float) for colour in grounds)
    alpha = np.clip((np.arange(20) - 5) / 10, 0, 1)[None].repeat(8, axis=0)
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * back
    trimap = np.full((8, 20), UNKNOWN, np.uint8)
    trimap[alpha == 0], trimap[alpha == 1] = BACKGROUND, FOREGROUND
    found = foreground_colours(np.rint(mixed).astype(np.uint8), alpha, trimap, reach=30)
    assert np.abs(found - front).max() <= 1


def test_an_opaque_pixel_and_far_ones_keep_their_colours(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (9, 30, 3), dtype=np.uint8)
    trimap = np.full((9, 30), BACKGROUND, np.uint8)
    trimap[:, :5], trimap[:, 5:8] = FOREGROUND, UNKNOWN
    alpha = np.where(np.arange(30) < 8, 1.0, 0.0)[None].repeat(9, axis=0)
    found = foreground_colours(rgb, alpha, trimap, reach=10)
    assert (found[:, :8] == rgb[:, :8]).all()
    assert (found[:, 15:] == rgb[:, 15:]).all()
    assert (found[:, 8:15] != rgb[:, 8:15]).any(axis=2).mean() > 0.9


def test_without_background_the_inside_spreads() -> None:
    rgb = np.zeros((5, 5, 3), np.uint8)
    rgb[2, 2] = 90, 80, 70
    trimap = np.full((5, 5), UNKNOWN, np.uint8)
    trimap[2, 2] = FOREGROUND
    found = foreground_colours(rgb, (trimap == FOREGROUND).astype(float), trimap, reach=5)
    assert (found == rgb[2, 2]).all()
