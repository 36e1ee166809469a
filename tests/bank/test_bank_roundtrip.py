"""What goes into a bank comes out of it, through our reader and through pyarrow."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.bank.codec import decode_alpha, decode_rgb
from empaste_aug.bank.images import SourceImage
from empaste_aug.bank.schema import COLUMN_FIELDS, INDEX_DTYPE
from empaste_aug.geometry import minimum_enclosing_circle


def all_bytes(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize("codec", ["jpeg", "raw"])
@pytest.mark.parametrize("shard_bytes", [1, 4000, 1 << 28])
def test_every_field_comes_back(tmp_path, build, cutout, codec, shard_bytes):
    bank = MaskBank(build(tmp_path / "bank", codec=codec, shard_bytes=shard_bytes))
    assert len(bank) == 12
    assert bank.categories == ["cat", "dog", "tvmonitor"]
    assert bank.class_counts().tolist() == [6, 6, 0]
    for row in range(12):
        rgb, alpha, given = cutout(row)
        found = bank[row]
        np.testing.assert_array_equal(found.alpha, alpha)
        assert found.rgb.shape == rgb.shape
        assert found.rgb.dtype == np.uint8
        grey = np.array([0.299, 0.587, 0.114])  # JPEG keeps fewer colours than shades
        error = np.abs((found.rgb.astype(int) - rgb) @ grey)[alpha > 0]
        assert error.max() <= (0 if codec == "raw" else 12)
        assert error.mean() <= (0 if codec == "raw" else 2)
        assert (found.row, found.category_id) == (row, given["category_id"])
        assert found.score == given["score"]
        if given["quality"] is None:
            assert math.isnan(found.quality)
        else:
            assert found.quality == given["quality"]
        assert found.circle == minimum_enclosing_circle(found.mask)
        assert found.rgb.flags.writeable
        assert found.alpha.flags.writeable
        entry = bank.index[row]
        assert (entry["height"], entry["width"]) == alpha.shape
        assert entry["area"] == np.count_nonzero(alpha >= 128)
        box = tuple(int(entry[f"source_{name}"]) for name in ("x0", "y0", "x1", "y1"))
        assert box == given["source_bbox"]
        assert (entry["source_height"], entry["source_width"]) == given["source_size"]
        assert bank.image_id(row) == given["image_id"]
        assert bank.image_file(row) == given["file_name"]
        assert entry["image_row"] == row // 2
    assert len(bank.images) == 6
    last = SourceImage("photo 5 \u00e9", "a/5.jpg", 100, 110)
    assert bank.images[-1] == bank.images[5] == last
    bank.verify_checksums()


def test_rows_count_from_the_end_and_end(bank):
    assert bank[-1].row == 11
    assert bank[np.int64(3)].row == 3
    assert [cutout.row for cutout in bank] == list(range(12))
    for row in (12, -13):
        with pytest.raises(IndexError, match="row"):
            bank[row]
        with pytest.raises(IndexError, match="row"):
            bank.image_id(row)
    with pytest.raises(IndexError, match="image row 6"):
        bank.images[6]


def test_index_is_memory_mapped_and_read_only(bank):
    assert isinstance(bank.index, np.memmap)
    assert bank.index.dtype == INDEX_DTYPE
    with pytest.raises(ValueError, match="read-only"):
        bank.index["score"][0] = 1.0


def test_minimal_arguments(tmp_path):
    with BankWriter(tmp_path / "bank", categories=("one",)) as writer:
        writer.add(
            np.zeros((1, 1, 3), np.uint8), np.full((1, 1), 128, np.uint8), category_id=0, score=1
        )
    bank = MaskBank(tmp_path / "bank")
    assert bank[0].circle == (0.0, 0.0, math.sqrt(0.5))
    assert math.isnan(bank[0].quality)
    assert bank.image_id(0) is None
    assert bank.image_file(0) is None
    assert len(bank.images) == 0
    entry = bank.index[0]
    assert [int(entry[n]) for n in ("source_height", "source_x0", "image_row")] == [-1, -1, -1]


def test_an_empty_bank_is_a_bank(tmp_path):
    BankWriter(tmp_path / "bank", categories=["a", "b"]).close()
    bank = MaskBank(tmp_path / "bank")
    assert len(bank) == 0
    assert bank.class_counts().tolist() == [0, 0]
    assert list(bank) == []


@pytest.mark.parametrize(
    ("x0", "y0", "touches"),
    [(5, 5, False), (-1, 5, True), (5, -1, True), (13, 5, True), (5, 14, True), (0, 0, False)],
)
def test_touches_border_is_about_the_mask_not_the_margin(tmp_path, x0, y0, touches):
    """A 6 x 5 (width x height) mask with a margin of 1 round it, in a photo of 20 x 20."""
    alpha = np.zeros((7, 8), np.uint8)
    alpha[1:-1, 1:-1] = 200
    box = [x0, y0, x0 + 8, y0 + 7]
    cut = np.s_[max(-y0, 0) : 7 - max(box[3] - 20, 0), max(-x0, 0) : 8 - max(box[2] - 20, 0)]
    alpha = alpha[cut]
    box = (max(box[0], 0), max(box[1], 0), min(box[2], 20), min(box[3], 20))
    with BankWriter(tmp_path / "bank", categories=["a"]) as writer:
        writer.add(
            np.zeros((*alpha.shape, 3), np.uint8),
            alpha,
            category_id=0,
            score=0.5,
            source_size=(20, 20),
            source_bbox=box,
        )
    assert bool(MaskBank(tmp_path / "bank").index["touches_border"][0]) is touches


def test_same_cutouts_give_the_same_bytes(tmp_path, build):
    first = all_bytes(build(tmp_path / "a", shard_bytes=4000, config={"b": 1, "a": 2}))
    second = all_bytes(build(tmp_path / "b", shard_bytes=4000, config={"a": 2, "b": 1}))
    assert first == second
    assert len(first) > 6


def test_manifest_describes_every_file(tmp_path, build):
    weights = tmp_path / "classifier.pt"
    weights.write_bytes(b"weights")
    folder = build(
        tmp_path / "bank",
        shard_bytes=4000,
        supervision="masks",
        method="f-em",
        config={"k": 3},
        input_hash="abc",
        classifier=weights,
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["supervision"] == "masks"
    assert manifest["method"] == "f-em"
    assert manifest["config"] == {"k": 3}
    assert manifest["input_hash"] == "abc"
    digest = hashlib.sha256(b"weights").hexdigest()
    assert manifest["classifier"] == {"file": "classifier.pt", "sha256": digest}
    assert manifest["codec"] == {"rgb": "jpeg", "alpha": "zstd", "jpeg_quality": 90}
    assert sum(shard["rows"] for shard in manifest["shards"]) == manifest["rows"] == 12
    described = {f"shards/{shard['file']}": shard for shard in manifest["shards"]}
    described |= manifest["files"]
    for name, entry in described.items():
        data = (folder / name).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    sidecars = {name.replace(".arrow", ".json") for name in described if name.endswith("arrow")}
    assert set(all_bytes(folder)) == {*described, *sidecars, "manifest.json"}
    for number, shard in enumerate(manifest["shards"]):
        assert shard["file"] == f"{number:05d}-{shard['sha256'][:12]}.arrow"


def test_shards_end_at_shard_bytes(bank):
    pixels = bank.index["rgb_bytes"].astype(int) + bank.index["alpha_bytes"]
    shards = bank.index["shard"]
    for number, entry in enumerate(bank.manifest["shards"]):
        mine = pixels[shards == number]
        assert entry["rows"] == len(mine)
        assert mine.sum() <= 4000 or len(mine) == 1
        following = pixels[shards == number + 1]
        assert len(following) == 0 or mine.sum() + following[0] > 4000


def test_anyone_reads_the_shards_with_pyarrow(bank):
    pyarrow = pytest.importorskip("pyarrow")
    tables = []
    for entry in bank.manifest["shards"]:
        with pyarrow.memory_map(str(bank.path / "shards" / entry["file"])) as source:
            tables.append(pyarrow.ipc.open_file(source).read_all())
    table = pyarrow.concat_tables(tables)
    assert table.num_rows == len(bank)
    for name in COLUMN_FIELDS:
        np.testing.assert_array_equal(table[name].to_numpy(), bank.index[name], err_msg=name)
    for row in range(len(bank)):
        record = {name: table[name][row].as_py() for name in table.column_names}
        cutout = bank[row]
        height, width = record["height"], record["width"]
        np.testing.assert_array_equal(decode_rgb(record["rgb"], height, width, "jpeg"), cutout.rgb)
        np.testing.assert_array_equal(decode_alpha(record["alpha"], height, width), cutout.alpha)
        assert record["category"] == bank.categories[cutout.category_id]
        assert record["image_id"] == bank.image_id(row)
        assert record["file_name"] == bank.image_file(row)


def test_records_in_several_batches_are_found(tmp_path, build, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    monkeypatch.setattr("empaste_aug.bank.shard.BATCH_BYTES", 3000)
    batched = MaskBank(build(tmp_path / "batched"))
    monkeypatch.undo()
    (entry,) = batched.manifest["shards"]
    with pyarrow.memory_map(str(batched.path / "shards" / entry["file"])) as source:
        assert pyarrow.ipc.open_file(source).num_record_batches > 2
    whole = MaskBank(build(tmp_path / "whole"))
    for one, other in zip(batched, whole, strict=True):
        np.testing.assert_array_equal(one.rgb, other.rgb)
        np.testing.assert_array_equal(one.alpha, other.alpha)


def test_a_shard_and_its_sidecar_hold_the_whole_index(bank):
    """What a merge of many builders needs: index rows without the bank's own index."""
    pyarrow = pytest.importorskip("pyarrow")
    for number, entry in enumerate(bank.manifest["shards"]):
        file = bank.path / "shards" / entry["file"]
        sidecar = json.loads(file.with_suffix(".json").read_text())
        assert {key: sidecar[key] for key in entry} == entry
        assert sidecar["build_hash"] == bank.manifest["build_hash"]
        rows = np.zeros(entry["rows"], INDEX_DTYPE)
        for name, values in sidecar["places"].items():
            rows[name] = values
        with pyarrow.memory_map(str(file)) as source:
            table = pyarrow.ipc.open_file(source).read_all()
            for name in COLUMN_FIELDS:
                rows[name] = table[name].to_numpy()
        mine = bank.index[bank.index["shard"] == number]
        rows["shard"], rows["image_row"] = number, mine["image_row"]
        assert rows.tobytes() == mine.tobytes()


def test_repr_and_path(bank):
    assert repr(bank) == f"MaskBank({str(bank.path)!r}: 12 cut-outs of 3 classes from 6 images)"
    assert os.path.isabs(bank.path)


def test_closed_bank_opens_again(bank):
    first = bank[0].rgb
    bank.close()
    np.testing.assert_array_equal(bank[0].rgb, first)
    assert bank.image_id(0) is not None
