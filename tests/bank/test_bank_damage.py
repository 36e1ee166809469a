"""Damage of every kind is an error that names the file, and the row where there is one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from empaste_aug.bank import MaskBank
from empaste_aug.bank.schema import CRC_COVERS, INDEX_DTYPE
from empaste_aug.types import BankError


def flip(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 0x10
    file.write_bytes(data)


def shard_of(bank, row):
    return bank.path / "shards" / bank.manifest["shards"][int(bank.index["shard"][row])]["file"]


@pytest.mark.parametrize("part", ["rgb", "alpha"])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("row", [0, 5, 11])
def test_a_flipped_bit_in_the_pixels(bank, part, where, row):
    file = shard_of(bank, row)
    start = int(bank.index["offset" if part == "rgb" else "alpha_offset"][row])
    size = int(bank.index[f"{part}_bytes"][row])
    flip(file, start + (0 if where == "first" else size - 1))
    with pytest.raises(BankError, match=rf"{file.name}: row {row}: damaged: CRC32"):
        bank[row]
    for other in set(range(12)) - {row}:
        assert bank[other].row == other
    with pytest.raises(BankError, match=rf"{file.name}: damaged: SHA-256"):
        bank.verify_checksums()


def test_without_verification_broken_jpegs_still_raise(bank):
    flip(shard_of(bank, 0), int(bank.index["offset"][0]))
    with pytest.raises(BankError, match="row 0: damaged"):
        MaskBank(bank.path, verify=False)[0]
    flip(shard_of(bank, 1), int(bank.index["alpha_offset"][1]))
    with pytest.raises(BankError, match="row 1: damaged: the alpha does not decompress"):
        MaskBank(bank.path, verify=False)[1]


def test_a_changed_label_is_noticed_too(bank):
    """Each byte of the index row that the CRC covers, and those that say where the record is."""
    file = bank.path / "index.npy"
    start = file.stat().st_size - 12 * INDEX_DTYPE.itemsize + 4 * INDEX_DTYPE.itemsize
    shard = range(CRC_COVERS, CRC_COVERS + 4)
    original = file.read_bytes()
    for position in (*range(CRC_COVERS), *shard):
        flip(file, start + position)
        with pytest.raises(BankError, match="row 4"):
            MaskBank(bank.path)[4]
        file.write_bytes(original)
    assert MaskBank(bank.path)[4].row == 4


@pytest.mark.parametrize("name", ["index.npy", "images.jsonl", "images.npy", "shard"])
@pytest.mark.parametrize("harm", ["truncate", "extend", "delete"])
def test_files_of_the_wrong_size_do_not_open(bank, name, harm):
    file = shard_of(bank, 3) if name == "shard" else bank.path / name
    if harm == "delete":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes(data[:-1] if harm == "truncate" else data + b"x")
    with pytest.raises(BankError, match=file.name):
        MaskBank(bank.path)
    with pytest.raises(BankError, match=file.name):
        bank.verify_checksums()


def test_a_shard_truncated_or_removed_after_opening(bank):
    file = shard_of(bank, 11)
    with file.open("r+b") as handle:
        handle.truncate(8)
    with pytest.raises(BankError, match=rf"row 11: .*{file.name}: ends too early"):
        bank[11]
    file.unlink()
    bank.close()
    with pytest.raises(BankError, match=rf"row 11: .*{file.name}: cannot be read"):
        bank[11]


def test_damaged_images_table(bank):
    flip(bank.path / "images.jsonl", 0)
    damaged = MaskBank(bank.path)
    with pytest.raises(BankError, match=r"images\.jsonl: row 0: damaged"):
        damaged.image_id(1)
    assert damaged.image_id(2) == bank.image_id(2)
    flip(bank.path / "images.jsonl", 0)
    flip(bank.path / "images.npy", -9)
    with pytest.raises(BankError, match=r"images\.jsonl: row 5: damaged"):
        MaskBank(bank.path).image_file(11)


def rewrite_manifest(bank, change):
    file = bank.path / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema_version=2), "schema version 2; this release reads version 1"),
        (lambda m: m.pop("schema_version"), "schema version None"),
        (lambda m: m.update(format="tar"), "is not the manifest of a bank"),
        (lambda m: m.pop("shards"), "manifest.json: damaged: KeyError: 'shards'"),
        (lambda m: m.update(rows=11), "manifest.json: damaged: its entries contradict"),
        (lambda m: m["shards"][0].update(file="../x"), "manifest.json: damaged"),
        (lambda m: m["shards"].reverse() or m["shards"].pop(), "manifest.json: damaged"),
        (lambda m: m["codec"].update(rgb="webp"), "codec 'webp' is unknown"),
        (lambda m: m.update(images=5), r"images\.npy: has shape \(7,\), the manifest says 6"),
    ],
)
def test_manifests_that_do_not_fit(bank, change, message):
    rewrite_manifest(bank, change)
    with pytest.raises(BankError, match=message):
        MaskBank(bank.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_manifests_that_are_none(bank, text):
    (bank.path / "manifest.json").write_text(text)
    with pytest.raises(BankError, match=r"manifest\.json: (cannot be read|is not the manifest)"):
        MaskBank(bank.path)


def test_an_index_of_other_rows_or_fields(bank):
    file = bank.path / "index.npy"

    def replace(array):
        np.save(file, array)
        size = file.stat().st_size
        rewrite_manifest(bank, lambda m: m["files"]["index.npy"].update(bytes=size))

    rows = np.array(bank.index)
    replace(rows[:-1])
    with pytest.raises(
        BankError, match=r"index\.npy: has shape \(11,\), the manifest says 12 rows"
    ):
        MaskBank(bank.path)
    replace(rows["score"])
    with pytest.raises(BankError, match=r"index\.npy: is not an array with this release's fields"):
        MaskBank(bank.path)
    file.write_bytes(b"\0" * 4096)
    rewrite_manifest(bank, lambda m: m["files"]["index.npy"].update(bytes=4096))
    with pytest.raises(BankError, match=r"index\.npy: cannot be read"):
        MaskBank(bank.path)


def test_no_folder_and_no_manifest(tmp_path, bank):
    with pytest.raises(BankError, match="no such folder"):
        MaskBank(tmp_path / "nowhere")
    (bank.path / "manifest.json").unlink()
    with pytest.raises(BankError, match=r"unfinished build: manifest\.json"):
        MaskBank(bank.path)
