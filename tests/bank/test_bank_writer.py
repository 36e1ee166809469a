"""What the writer refuses, and what an interrupted or repeated build leaves."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.bank.shard import ShardWriter
from empaste_aug.types import ArgumentError, BankError, MissingDependencyError


def good(**changes):
    arguments = {
        "rgb": np.zeros((10, 8, 3), np.uint8),
        "alpha": np.full((10, 8), 255, np.uint8),
        "category_id": 0,
        "score": 0.5,
        "image_id": "a",
        "file_name": "a.jpg",
        "source_size": (30, 40),
        "source_bbox": (1, 2, 9, 12),
    }
    return arguments | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": np.full((10, 8), 127, np.uint8)}, r"alpha: no pixel is >= 128.*127"),
        ({"alpha": np.full((8, 10), 255, np.uint8)}, r"alpha: shape \(8, 10\)"),
        ({"alpha": np.ones((10, 8))}, r"alpha: dtype uint8 is wanted, not float64"),
        ({"rgb": np.zeros((10, 8, 3), np.float32)}, r"rgb: dtype .* float32"),
        ({"rgb": np.zeros((10, 8, 4), np.uint8)}, r"rgb: shape .*\(10, 8, 4\)"),
        ({"rgb": np.zeros((0, 8, 3), np.uint8), "alpha": np.zeros((0, 8), np.uint8)}, "alpha: no"),
        (
            {"rgb": np.zeros((1, 65501, 3), np.uint8), "alpha": np.ones((1, 65501), np.uint8)},
            "rgb: shape .*65501.* too large for the codec 'jpeg'",
        ),
        ({"category_id": 2}, r"category_id: 2 is not in 0\.\.1"),
        ({"category_id": -1}, r"category_id: -1 is not in 0\.\.1"),
        ({"category_id": 0.0}, r"category_id: an integer is wanted, not 0\.0"),
        ({"score": 1.01}, r"score: 1\.01 is not in"),
        ({"score": float("nan")}, "score: nan is not in"),
        ({"score": None}, "score: a number is wanted, not None"),
        ({"quality": float("inf")}, "quality: inf is not finite"),
        ({"distance": "far"}, "distance: a number is wanted, not 'far'"),
        ({"image_id": None}, "file_name: 'a.jpg' is given without an image_id"),
        ({"image_id": ""}, "image_id: a text"),
        ({"file_name": 3}, "file_name: a text"),
        ({"source_size": (30,)}, "source_size: 2 integers"),
        ({"source_size": (0, 40)}, r"source_size: 0 is not in 1\.\."),
        ({"source_size": 30}, "source_size: 2 integers are wanted, not 30"),
        ({"source_bbox": (1, 2, 9, 13)}, r"source_bbox: \(1, 2, 9, 13\) is 8 x 11.*8 x 10"),
        ({"source_bbox": (-1, 2, 7, 12)}, r"source_bbox: -1 is not in"),
        ({"source_bbox": (33, 2, 41, 12)}, r"source_bbox: .*41.* outside .*\(30, 40\)"),
        ({"source_bbox": (1, 21, 9, 31)}, r"source_bbox: .*31.* outside"),
        ({"source_bbox": (1.5, 2, 9.5, 12)}, r"source_bbox: an integer is wanted, not 1\.5"),
    ],
)
def test_add_refuses_and_goes_on(tmp_path, changes, message):
    with BankWriter(tmp_path / "bank", categories=["a", "b"]) as writer:
        with pytest.raises(ArgumentError, match=message):
            writer.add(**good(**changes))
        assert len(writer) == 0
        assert writer.add(**good()) == 0
    bank = MaskBank(tmp_path / "bank")
    assert len(bank) == 1
    assert len(bank.images) == 1


@pytest.mark.parametrize("changes", [{"file_name": "b.jpg"}, {"source_size": (30, 41)}])
def test_one_image_id_is_one_photo(tmp_path, changes):
    with BankWriter(tmp_path / "bank", categories=["a"]) as writer:
        writer.add(**good())
        with pytest.raises(ArgumentError, match="image_id: 'a' was"):
            writer.add(**good(**changes))


def test_whole_floats_and_numbers_as_ids_are_taken(tmp_path):
    with BankWriter(tmp_path / "bank", categories=["a"]) as writer:
        writer.add(**good(image_id=np.int64(139), source_bbox=(1.0, 2.0, 9.0, 12.0)))
    assert MaskBank(tmp_path / "bank").image_id(0) == "139"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": []}, "categories: is empty"),
        ({"categories": "cat"}, "categories: a list of names"),
        ({"categories": ["cat", "dog", "cat"]}, "categories: 'cat' is there more than once"),
        ({"categories": ["cat", ""]}, "categories: '' is not a class name"),
        ({"supervision": "none"}, "supervision: 'none'"),
        ({"codec": "png"}, "codec: 'png' is none of jpeg, raw"),
        ({"jpeg_quality": 101}, "jpeg_quality: 101"),
        ({"shard_bytes": 0}, "shard_bytes: 0"),
        ({"config": {"x": float("nan")}}, "config: cannot be written as JSON"),
        ({"classifier": "missing.pt"}, "classifier: missing.pt"),
    ],
)
def test_the_writer_refuses_options_before_it_touches_the_folder(tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        BankWriter(tmp_path / "bank", **{"categories": ["cat"], **options})
    assert not (tmp_path / "bank").exists()


@pytest.mark.parametrize("name", ["pyarrow", "pyarrow.ipc"])
def test_without_pyarrow_the_error_names_the_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=r"pyarrow.*empaste_aug\[offline\]") as caught:
        BankWriter(tmp_path / "bank", categories=["cat"])
    assert (caught.value.package, caught.value.extra) == ("pyarrow", "offline")
    assert not (tmp_path / "bank").exists()


def test_an_exception_leaves_an_unfinished_build_that_is_built_anew(tmp_path, build, cutout):
    folder = tmp_path / "bank"
    writer = BankWriter(folder, categories=["cat", "dog"], shard_bytes=4000)

    def interrupted_build():
        with writer:
            for number in range(6):
                rgb, alpha, arguments = cutout(number)
                writer.add(rgb, alpha, **arguments)
            raise RuntimeError("power")

    with pytest.raises(RuntimeError, match="power"):
        interrupted_build()
    assert not (folder / "manifest.json").exists()
    shards = list((folder / "shards").iterdir())
    assert shards
    assert all(".tmp" not in file.name for file in shards)
    with pytest.raises(BankError, match=r"unfinished build.*manifest\.json"):
        MaskBank(folder)
    with pytest.raises(BankError, match="aborted"):
        writer.close()
    # What a killed process leaves besides.
    (folder / "shards" / "00003.tmp").write_bytes(b"half")
    (folder / "index.npy.tmp").write_bytes(b"half")
    build(folder, count=3)
    bank = MaskBank(folder)
    assert len(bank) == 3
    bank.verify_checksums()
    names = {file.name for file in folder.rglob("*") if file.is_file()}
    assert len(names) == 4 + 2 * len(bank.manifest["shards"])


def test_a_failing_disk_leaves_no_manifest(tmp_path, monkeypatch):
    def fail(self):
        raise OSError("no space left")

    monkeypatch.setattr(ShardWriter, "finish", fail)
    writer = BankWriter(tmp_path / "bank", categories=["a"])
    writer.add(**good())
    with pytest.raises(OSError, match="no space"):
        writer.close()
    with pytest.raises(BankError, match="aborted"):
        writer.close()
    with pytest.raises(BankError, match="aborted"):
        writer.add(**good())
    assert not (tmp_path / "bank" / "manifest.json").exists()
    assert list((tmp_path / "bank" / "shards").iterdir()) == []


def test_what_was_not_written_right_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "empaste_aug.bank.shard.read_records",
        lambda path, rows: ((b"other", b"bytes") for _ in rows),
    )
    writer = BankWriter(tmp_path / "bank", categories=["a"])
    writer.add(**good())
    with pytest.raises(BankError, match="row 0 is not what was added"):
        writer.close()
    assert not (tmp_path / "bank" / "manifest.json").exists()


def test_a_closed_writer_stays_closed(tmp_path):
    with BankWriter(tmp_path / "bank", categories=["a"]) as writer:
        writer.add(**good())
        writer.close()
    writer.close()
    with pytest.raises(BankError, match="the writer is finished"):
        writer.add(**good())
    assert len(MaskBank(tmp_path / "bank")) == 1


def test_a_finished_bank_is_replaced_only_when_told(tmp_path, build):
    folder = build(tmp_path / "bank", count=4)
    with pytest.raises(ArgumentError, match=r"path: .*finished bank; overwrite=True"):
        BankWriter(folder, categories=["a"])
    assert len(MaskBank(folder)) == 4
    (folder / "notes.txt").write_text("mine")
    writer = BankWriter(folder, categories=["a"], overwrite=True)
    with pytest.raises(BankError, match="unfinished"):
        MaskBank(folder)
    writer.add(**good())
    writer.close()
    assert len(MaskBank(folder)) == 1
    assert len(list((folder / "shards").iterdir())) == 2
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_bank_of_another_version_can_be_replaced(tmp_path, build):
    folder = build(tmp_path / "bank", count=4)
    manifest = folder / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"schema_version": 1', '"schema_version": 99'))
    assert manifest.read_text() != text
    build(folder, count=2, overwrite=True)
    assert len(MaskBank(folder)) == 2


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["thesis.txt", "index.npy", "shards/photo.jpg", "manifest.json"])
def test_other_peoples_files_are_never_touched(tmp_path, name, overwrite):
    file = tmp_path / "home" / name
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    with pytest.raises(ArgumentError, match="path: "):
        BankWriter(tmp_path / "home", categories=["a"], overwrite=overwrite)
    assert file.read_text() == "{}"
    with pytest.raises(ArgumentError, match="is a file"):
        BankWriter(file, categories=["a"], overwrite=overwrite)


def test_two_writers_do_not_write_one_bank(tmp_path):
    first = BankWriter(tmp_path / "bank", categories=["cat"])
    with pytest.raises(BankError, match="another process is writing this bank"):
        BankWriter(tmp_path / "bank", categories=["cat"])
    first.add(**good())
    first.close()
    with pytest.raises(ArgumentError, match="holds a finished bank"):
        BankWriter(tmp_path / "bank", categories=["cat"])
    with BankWriter(tmp_path / "bank", categories=["cat"], overwrite=True) as second:
        second.add(**good())
    assert len(MaskBank(tmp_path / "bank")) == 1
