"""A plain folder of the user's own images is a pool."""

from __future__ import annotations

import logging
import os
import pickle

import cv2
import numpy as np
import pytest
import simplejpeg
from pool_data import make_image, write_folder

from empaste_aug import ArgumentError, PoolError, PoolReader


def test_images_in_sorted_order(tmp_path):
    pool = PoolReader(write_folder(tmp_path / "mine"))
    assert pool.manifest is None
    assert pool.index is None
    names = [pool.provenance(row)["key"] for row in range(len(pool))]
    assert names == [f"part{n % 2}/{n:03d}.png" for n in (0, 2, 4, 1, 3, 5)]
    for row, number in enumerate((0, 2, 4, 1, 3, 5)):
        np.testing.assert_array_equal(pool.read(row), make_image(number))
        assert pool.size(row) == make_image(number).shape[:2]
        assert pool.file_name(row) == str(tmp_path / "mine" / names[row])
        assert pool.provenance(row)["kind"] == "user"
    pool.verify_all()


def test_links_are_followed_once(tmp_path):
    folder = write_folder(tmp_path / "mine", 2)
    os.symlink(folder, folder / "part0/loop")
    outside = write_folder(tmp_path / "other", 2)
    os.symlink(outside, folder / "other")
    assert len(PoolReader(folder)) == 4


def test_a_manifest_of_the_users_own_is_no_pools(tmp_path):
    folder = write_folder(tmp_path / "mine", 2)
    (folder / "manifest.json").write_text('{"name": "my photos"}')
    assert len(PoolReader(folder)) == 2


def test_names_that_are_no_utf8(tmp_path):
    folder = write_folder(tmp_path / "mine", 1)
    name = os.fsencode(folder) + b"/\xff\xe9.png"
    with open(name, "wb") as handle:
        handle.write((folder / "part0/000.png").read_bytes())
    pool = pickle.loads(pickle.dumps(PoolReader(folder)))
    assert os.fsencode(pool.file_name(1)) == name
    np.testing.assert_array_equal(pool.read(1), make_image(0))


def test_bad_files_are_named_at_opening(tmp_path, caplog):
    folder = write_folder(tmp_path / "mine")
    (folder / "part0/._000.png").write_bytes(b"resource fork")
    (folder / "zero.jpg").write_bytes(b"")
    with pytest.raises(PoolError, match=r"2 of 8 images cannot be read: .*_000.png.*skip_bad=True"):
        PoolReader(folder)
    with caplog.at_level(logging.WARNING):
        pool = PoolReader(folder, skip_bad=True)
    assert "2 of 8 images cannot be read" in caplog.text
    assert pool.skipped == ("part0/._000.png", "zero.jpg")
    assert len(pool) == 6
    assert pickle.loads(pickle.dumps(pool)).skipped == pool.skipped
    lazy = PoolReader(folder, verify=False)
    assert len(lazy) == 8
    with pytest.raises(PoolError, match=r"_000.png"):
        lazy.size(0)
    with pytest.raises(PoolError, match=r"_000.png"):
        lazy.read(0)
    assert lazy.size(1) == make_image(0).shape[:2]
    with pytest.raises(ArgumentError, match="skip_bad: needs verify"):
        PoolReader(folder, verify=False, skip_bad=True)


def test_only_bad_files(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    for skip_bad in (False, True):
        with pytest.raises(PoolError, match="1 of 1 images cannot be read"):
            PoolReader(tmp_path, skip_bad=skip_bad)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_truncated_image_is_an_error_when_it_is_read(tmp_path, suffix):
    image = cv2.resize(make_image(0), (300, 200))
    data = cv2.imencode(f".{suffix}", image)[1].tobytes()
    (tmp_path / f"a.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    pool = PoolReader(tmp_path)
    assert pool.size(0) == (200, 300)
    for min_size in (None, (20, 30)):
        with pytest.raises(PoolError, match=f"a.{suffix}: cannot be decoded"):
            pool.read(0, min_size=min_size)


def test_a_jpeg_with_rubbish_at_its_end_is_read(tmp_path):
    image = cv2.resize(make_image(0), (30, 20))
    data = simplejpeg.encode_jpeg(image)
    (tmp_path / "a.jpg").write_bytes(data + b"\0\0 more")
    np.testing.assert_array_equal(PoolReader(tmp_path).read(0), simplejpeg.decode_jpeg(data))


def test_a_file_that_was_exchanged_for_one_of_another_size(tmp_path):
    folder = write_folder(tmp_path / "mine", 2)
    pool = PoolReader(folder)
    cv2.imwrite(str(folder / "part0/000.png"), np.zeros((7, 9, 3), np.uint8))
    with pytest.raises(PoolError, match=r"000.png: row 0: is \(7, 9\)"):
        pool.read(0)


def test_no_images(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(PoolError, match=r"holds no image \(\.bmp"):
        PoolReader(tmp_path)


def test_palette_grey_and_alpha_become_rgb(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    image = pil.fromarray(make_image(4))
    image.convert("P").save(tmp_path / "p.png")
    image.convert("L").save(tmp_path / "l.jpg")
    image.convert("CMYK").save(tmp_path / "c.jpg")
    image.convert("RGBA").save(tmp_path / "a.webp")
    pool = PoolReader(tmp_path)
    assert len(pool) == 4
    for row in range(4):
        assert pool.read(row).shape == make_image(4).shape
        assert pool.read(row, min_size=(5, 5)).dtype == np.uint8
