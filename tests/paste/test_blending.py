"""Blending modes and their combinations."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug import Cutout, EMPaste, Placement, Scene
from empaste_aug.paste.blending import BLENDS, paint, parse_blend
from empaste_aug.paste.render import make_patch
from empaste_aug.types import ArgumentError


def painted(bank, blend: str, *, center=(30.0, 25.0)) -> np.ndarray:
    """A ramp with cut-out 0 painted on it."""
    image = np.zeros((50, 60, 3), np.uint8)
    image[...] = np.arange(60)[None, :, None] * 4
    cutout = bank[0]
    placement = Placement(0, center, 0.9, angle=20.0, blend=blend)
    paint(image, make_patch(cutout, placement, height=50, width=60))
    return image


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gaussian", (("gaussian", 1.0),)),
        ("gaussian+poisson", (("gaussian", 0.5), ("poisson", 0.5))),
        ("1*none + 3 * poisson", (("none", 0.25), ("poisson", 0.75))),
    ],
)
def test_parse(text, wanted) -> None:
    assert parse_blend(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "soft", "gaussian+", "0*gaussian", "-1*none", "x*none", "nan*none", "inf*none"]
)
def test_parse_refuses(text) -> None:
    with pytest.raises(ArgumentError, match="blend: "):
        parse_blend(text)


@pytest.mark.parametrize("center", [(30.0, 25.0), (2.0, 1.0), (58.5, 48.0), (-4.0, 25.0)])
def test_a_combination_is_the_weighted_mean(small_bank, center) -> None:
    parts = {m: painted(small_bank, m, center=center).astype(float) for m in BLENDS}
    mixed = painted(small_bank, "1*gaussian+3*poisson+4*none", center=center)
    mean = parts["gaussian"] / 8 + parts["poisson"] * 3 / 8 + parts["none"] / 2
    assert np.abs(mixed - mean).max() <= 0.5 + 1e-4
    assert not np.array_equal(mixed, parts["none"])
    same = painted(small_bank, "gaussian+gaussian", center=center)
    np.testing.assert_array_equal(same, parts["gaussian"])


def test_poisson_takes_the_colour_of_the_place(small_bank) -> None:
    """A uniform object melts into the ramp, where a hard edge keeps its own colour."""
    rgb = np.full((20, 20, 3), 90, np.uint8)
    alpha = np.zeros((20, 20), np.uint8)
    alpha[5:15, 5:15] = 255
    cutout = Cutout(rgb, alpha, 0, row=0, circle=(9.5, 9.5, 7.1))
    image = np.zeros((40, 60, 3), np.uint8)
    image[...] = np.arange(60)[None, :, None] * 4
    before = image.copy()
    patch = make_patch(
        cutout, Placement(0, (30.0, 20.0), 1.0, blend="poisson"), height=40, width=60
    )
    paint(image, patch)
    assert np.abs(image.astype(int) - before).max() <= 1
    paint(
        image,
        make_patch(cutout, Placement(0, (30.0, 20.0), 1.0, blend="none"), height=40, width=60),
    )
    assert (image[20, 26:34] == 90).all()


def test_modes_are_drawn_and_recorded(small_bank) -> None:
    mixture = "0.3*gaussian+0.7*poisson"
    paste = EMPaste(small_bank, blend={"poisson": 1, mixture: 2, "none": 1}, count=6)
    scene = Scene(np.full((90, 110, 3), 120, np.uint8))
    seen = set()
    for seed in range(8):
        result = paste(scene, np.random.default_rng(seed))
        seen |= {placement.blend for placement in result.record.placements}
        again = paste.render(scene, result.record.placements)
        np.testing.assert_array_equal(again.image, result.image)
        covered = np.zeros((90, 110), bool)
        for instance in result.instances:
            covered |= instance.full_mask(90, 110)
        soft = any("gaussian" in placement.blend for placement in result.record.placements)
        changed = (result.image != 120).any(axis=2)
        assert soft or not (changed & ~covered).any()
    assert seen == {"poisson", mixture, "none"}


def test_wrong_blendings_are_named(small_bank) -> None:
    for blend in ("soft", {"gaussian+soft": 1.0}, {3: 1.0}):
        with pytest.raises(ArgumentError, match="blend: "):
            EMPaste(small_bank, blend=blend)
    with pytest.raises(ArgumentError, match="blend: 'soft'"):
        EMPaste(small_bank).render(
            Scene(np.zeros((9, 9, 3), np.uint8)), [Placement(0, (4.0, 4.0), 1.0, blend="soft")]
        )
