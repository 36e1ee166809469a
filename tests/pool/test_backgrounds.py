"""Backgrounds: how often, which, and of what size; all from the generator that is given."""

from __future__ import annotations

import doctest
import pickle

import cv2
import numpy as np
import pytest
from pool_data import make_image, write_pool

from empaste_aug import ArgumentError, Background, Backgrounds, PoolError, PoolReader, PoolWriter
from empaste_aug.pool import mix, writer
from empaste_aug.pool.mix import checked_backgrounds, cover


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return PoolReader(write_pool(tmp_path_factory.mktemp("pools") / "pool", codec="png"))


def test_the_papers_mix(pool):
    assert Backgrounds(pool, num_originals=24).chance == 12 / 60
    assert Backgrounds(pool, num_originals=0).chance == 1
    unknown = Backgrounds(pool)
    assert unknown.chance is None
    with pytest.raises(ArgumentError, match=r"num_originals: the paper's mix needs the number"):
        unknown.draw(np.random.default_rng(0))
    assert unknown.with_num_originals(24).chance == 12 / 60
    assert unknown.chance is None
    assert Backgrounds(pool, probability=0.25).chance == 0.25
    assert "unknown" in repr(unknown)


def test_draws_follow_the_chance_and_are_uniform(pool):
    backgrounds = Backgrounds(pool, num_originals=14)  # 12 / 40
    rng = np.random.default_rng(0)
    drawn = [backgrounds.draw(rng) for _ in range(20_000)]
    found = [background for background in drawn if background is not None]
    assert abs(len(found) / len(drawn) - 0.3) < 0.015
    counts = np.bincount([background.row for background in found], minlength=12)
    assert counts.min() > 0.85 * len(found) / 12
    assert counts.max() < 1.15 * len(found) / 12
    offsets = np.array([background.offset for background in found])
    assert ((offsets >= 0) & (offsets < 1)).all()
    np.testing.assert_allclose(offsets.mean(axis=0), 0.5, atol=0.02)


def test_never_and_always(pool):
    rng = np.random.default_rng(0)
    never, always = Backgrounds(pool, probability=0), Backgrounds(pool, probability=1)
    assert {never.draw(rng) for _ in range(200)} == {None}
    assert None not in {always.draw(rng) for _ in range(200)}


def test_a_key_gives_the_same_draw_and_not_that_of_the_pastes(pool):
    backgrounds = Backgrounds(pool, probability=1.0)
    assert backgrounds.draw_for((0, 5)) == backgrounds.draw_for((0, 5))
    assert len({backgrounds.draw_for((0, position)) for position in range(50)}) == 50
    assert backgrounds.draw_for((0, 5)) != backgrounds.draw(np.random.default_rng((0, 5)))


@pytest.mark.parametrize("size", [(20, 30), (90, 20), (33, 200), (200, 33), (1, 1), (300, 300)])
def test_cover_gives_exactly_that_size(pool, size):
    backgrounds = Backgrounds(pool, probability=1.0)
    for row in range(len(pool)):
        for offset in ((0.0, 0.0), (0.999999, 0.999999)):
            image = backgrounds.render(Background(row, offset), *size)
            assert image.shape == (*size, 3)
            assert image.dtype == np.uint8


def test_cover_is_the_scaled_image_cropped():
    """Against scaling the whole image with room to spare, and cutting the part out."""
    for number in range(12):
        image = cv2.resize(make_image(number), (60 + number, 90 - number))
        for height, width in ((240, 60), (60, 240), (30, 30)):
            scale = max(height / image.shape[0], width / image.shape[1])
            size = round(image.shape[1] * scale), round(image.shape[0] * scale)
            method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
            whole = cv2.resize(image, size, interpolation=method)
            for offset in ((0.0, 0.0), (0.5, 0.5), (0.9999, 0.9999)):
                x = round(offset[0] * (whole.shape[1] - width))
                y = round(offset[1] * (whole.shape[0] - height))
                found = cover(image, height, width, offset).astype(int)
                expected = whole[y : y + height, x : x + width].astype(int)
                assert np.abs(found - expected).mean() < 6
                assert found.shape == expected.shape


def test_cover_keeps_pixels_of_the_same_size():
    image = make_image(5)
    same = cover(image, *image.shape[:2], (0.3, 0.9))
    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)
    crop = cover(image, image.shape[0], image.shape[1] // 2, (0.9999, 0.0))
    np.testing.assert_array_equal(crop, image[:, -(image.shape[1] // 2) :])


def test_every_part_of_an_image_is_shown():
    image = np.zeros((10, 40, 3), np.uint8)
    image[:, :, 0] = np.arange(40)
    rng = np.random.default_rng(0)
    starts = {int(cover(image, 10, 10, tuple(rng.random(2)))[0, 0, 0]) for _ in range(2000)}
    assert starts == set(range(31))


def test_own_size(pool):
    backgrounds = Backgrounds(pool, probability=1.0, fit="none")
    for row in range(len(pool)):
        image = backgrounds.render(Background(row, (0.5, 0.5)), 7, 9)
        np.testing.assert_array_equal(image, make_image(row))


@pytest.mark.parametrize("side", [60, 119, 120, 200, 240])
def test_a_jpeg_decoded_smaller_loses_no_detail(tmp_path, side):
    """A fine pattern, each of whose squares stays two pixels wide at a quarter of the size."""
    squares = np.random.default_rng(0).integers(0, 256, (60, 60, 1), dtype=np.uint8)
    image = squares.repeat(8, axis=0).repeat(8, axis=1).repeat(3, axis=2)
    with PoolWriter(tmp_path / "pool") as writer:
        writer.add("a", image, kind="user")
    backgrounds = Backgrounds(tmp_path / "pool", probability=1.0)
    found = backgrounds.render(Background(0), side, side)
    whole = cover(backgrounds.pool.read(0), side, side)
    assert np.abs(found.astype(int) - whole).mean() < 3


def test_options_make_it_again(pool):
    backgrounds = Backgrounds(pool, num_originals=3, fit="none", semantic_value=7)
    again = checked_backgrounds(backgrounds.options(), or_mapping=True)
    assert again.options() == backgrounds.options()
    assert pickle.loads(pickle.dumps(backgrounds)).options() == backgrounds.options()
    assert checked_backgrounds(None) is None
    assert checked_backgrounds(backgrounds) is backgrounds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"probability: 1.5 is neither 'paper' nor in \[0, 1\]"),
        ({"probability": -0.1}, "probability"),
        ({"probability": float("nan")}, "probability"),
        ({"probability": True}, "probability"),
        ({"probability": "half"}, "probability: 'half'"),
        ({"probability": None}, "probability: None"),
        ({"num_originals": -1}, "num_originals: -1"),
        ({"num_originals": 1.5}, "num_originals: an integer"),
        ({"num_originals": True}, "num_originals: an integer"),
        ({"fit": "contain"}, "fit: 'contain' is none of"),
        ({"semantic_value": "x"}, "semantic_value: an integer"),
    ],
)
def test_bad_arguments(pool, options, message):
    with pytest.raises(ArgumentError, match=message):
        Backgrounds(pool, **options)


def test_bad_calls(pool, tmp_path):
    backgrounds = Backgrounds(pool, probability=1.0)
    with pytest.raises(ArgumentError, match=r"rng: int; expected np.random.Generator"):
        backgrounds.draw(0)
    with pytest.raises(ArgumentError, match=r"background.row: 12 is no row"):
        backgrounds.render(Background(12), 3, 3)
    with pytest.raises(ArgumentError, match="0 x 3 holds no pixel"):
        backgrounds.render(Background(0), 0, 3)
    with pytest.raises(PoolError, match="no such folder"):
        Backgrounds(tmp_path / "none")
    with pytest.raises(ArgumentError, match=r"backgrounds: str; expected Backgrounds: Backgrounds"):
        checked_backgrounds("out/pool")
    with pytest.raises(ArgumentError, match="backgrounds: dict; expected Backgrounds"):
        checked_backgrounds({"pool": "out/pool"})


@pytest.mark.parametrize("module", [mix, writer])
def test_examples(tmp_path, monkeypatch, module):
    monkeypatch.chdir(tmp_path)
    write_pool(tmp_path / ("out/pool" if module is mix else "out/other"))
    names = {"PoolReader": PoolReader, "PoolWriter": PoolWriter, "np": np}
    result = doctest.testmod(module, extraglobs=names)
    assert result.attempted > 2
    assert result.failed == 0
