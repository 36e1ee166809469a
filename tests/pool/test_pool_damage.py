"""Damaged, truncated and missing files: an error that names them, never wrong pixels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pool_data import CONFIG, add_images, hashes, write_pool

from empaste_aug import ArgumentError, PoolError, PoolReader, PoolWriter


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_pool(tmp_path_factory.mktemp("pools") / "pool", 6)


@pytest.fixture
def path(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "pool"))


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 0x10
    file.write_bytes(data)


def test_every_flipped_bit_of_an_image_is_found(path):
    file = path / "images/000/000002.jpg"
    size = file.stat().st_size
    for offset in np.linspace(0, size - 1, 40).astype(int).tolist():
        flip(file, offset)
        with pytest.raises(PoolError, match=r"000002.jpg: row 2: damaged: its CRC32"):
            PoolReader(path).read(2)
        flip(file, offset)
    assert PoolReader(path).read(2).any()


def test_a_truncated_image(path):
    file = path / "images/000/000002.jpg"
    file.write_bytes(file.read_bytes()[:-5])
    pool = PoolReader(path)
    assert pool.read(1).any()
    with pytest.raises(PoolError, match=r"000002.jpg: row 2: truncated or damaged"):
        pool.read(2)
    with pytest.raises(PoolError, match=r"000002.jpg"):
        pool.verify_all()


def test_a_missing_image(path):
    (path / "images/000/000004.jpg").unlink()
    pool = PoolReader(path)
    with pytest.raises(PoolError, match=r"000004.jpg: row 4: cannot be read"):
        pool.read(4)


def test_exchanged_images_are_found(path):
    names = [path / f"images/000/{n:06d}.jpg" for n in (0, 1)]
    first, second = (name.read_bytes() for name in names)
    names[0].write_bytes(second)
    names[1].write_bytes(first)
    for row in (0, 1):
        with pytest.raises(PoolError, match="damaged"):
            PoolReader(path).read(row)


def test_without_verify_pixels_are_not_checked_but_sizes_are(path):
    file = path / "images/000/000002.jpg"
    other = (path / "images/000/000003.jpg").read_bytes()
    entry_bytes = file.stat().st_size
    file.write_bytes(other.ljust(entry_bytes, b"\0")[:entry_bytes])
    with pytest.raises(PoolError, match=r"000002.jpg"):
        PoolReader(path, verify=False).read(2)


@pytest.mark.parametrize("name", ["index.npy", "provenance.jsonl", "provenance.npy"])
@pytest.mark.parametrize("how", ["truncated", "missing", "longer"])
def test_tables_of_another_size_are_refused_at_opening(path, name, how):
    file = path / name
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-3] if how == "truncated" else file.read_bytes() + b"x")
    with pytest.raises(PoolError, match=name):
        PoolReader(path)


def test_a_damaged_index_row_is_found_when_it_is_read(path):
    file = path / "index.npy"
    rows = PoolReader(path).index
    width = rows.dtype.itemsize
    start = file.stat().st_size - 6 * width
    for byte in range(width):
        flip(file, start + 3 * width + byte)
        with pytest.raises(PoolError):
            PoolReader(path).read(3)
        with pytest.raises(PoolError, match=r"index.npy"):
            PoolReader(path).verify_all()
        flip(file, start + 3 * width + byte)
    assert PoolReader(path).read(3).any()


def test_a_damaged_line_of_provenance(path):
    flip(path / "provenance.jsonl", 0)
    pool = PoolReader(path)
    with pytest.raises(PoolError, match=r"provenance.jsonl: row 0: damaged"):
        pool.provenance(0)
    assert pool.provenance(1)["key"] == "image 1"
    with pytest.raises(PoolError, match=r"provenance.jsonl: damaged"):
        pool.verify_all()


def test_damaged_offsets(path):
    file = path / "provenance.npy"
    flip(file, file.stat().st_size - 2 * 8 + 3)
    with pytest.raises(PoolError, match=r"provenance.jsonl: row 5: damaged"):
        PoolReader(path).provenance(5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "is not the manifest of a pool"),
        ('{"format": "empaste_aug.pool", "schema_version": 99}', "schema version 99"),
        ('{"format": "empaste_aug.pool", "schema_version": 1}', "damaged: KeyError"),
        (
            '{"format": "empaste_aug.pool", "schema_version": 1, "images": 2, "kinds": {"user": 1},'
            ' "build_hash": "x", "files": {}}',
            "contradict each other",
        ),
    ],
)
def test_a_bad_manifest(path, text, message):
    (path / "manifest.json").write_text(text)
    with pytest.raises(PoolError, match=message):
        PoolReader(path)


def test_a_manifest_that_is_gone_makes_an_unfinished_pool(path):
    (path / "manifest.json").unlink()
    with pytest.raises(PoolError, match="unfinished pool"):
        PoolReader(path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_a_writer_takes_a_damaged_pool_up_again(original, path, damage, caplog):
    before = hashes(path)
    file = path / "images/000/000003.jpg"
    {
        "missing": file.unlink,
        "truncated": lambda: file.write_bytes(file.read_bytes()[:-5]),
        "flipped": lambda: flip(file, 99),
    }[damage]()
    with PoolWriter(path, method="test", config=CONFIG) as writer:
        assert "missing or damaged" in caplog.text
        assert len(writer) == 5
        assert [f"image {number}" in writer for number in range(6)] == [n != 3 for n in range(6)]
        with pytest.raises(PoolError, match="1 images are missing or damaged"):
            writer.finish()
        add_images(writer, 6)
    assert hashes(path) == before


def test_a_sound_pool_is_left_alone(path, caplog):
    with PoolWriter(path, method="test", config=CONFIG) as writer:
        assert len(writer) == 6
    assert caplog.text == ""


def test_what_a_writer_would_refuse_is_known_before(path, tmp_path):
    PoolWriter.check(path, method="test", config=CONFIG)
    PoolWriter.check(path, method="test", overwrite=True)
    PoolWriter.check(tmp_path / "new" / "pool")
    assert not (tmp_path / "new").exists()
    with pytest.raises(ArgumentError, match="finished pool of other settings"):
        PoolWriter.check(path, method="test")
    begun = PoolWriter(tmp_path / "begun", method="one")
    begun.add("a", np.zeros((4, 4, 3), np.uint8), kind="user")
    begun.close()
    PoolWriter.check(tmp_path / "begun", method="one")
    with pytest.raises(ArgumentError, match="begun with other settings"):
        PoolWriter.check(tmp_path / "begun", method="two")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="is a file"):
        PoolWriter.check(tmp_path / "file")
