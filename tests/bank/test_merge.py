"""Merging banks: the bytes of one writer, what is refused, duplicates, provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from empaste_aug import ArgumentError, BankError
from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.bank.merge import merge_banks
from empaste_aug.bank.schema import MANIFEST

CATEGORIES = ["cat", "dog", "tvmonitor"]


@pytest.fixture
def write(cutout: Any) -> Any:
    """A function that writes a bank of the numbered cut-outs."""

    def write_numbers(path: Path, numbers: Sequence[int], **options: Any) -> Path:
        changes = options.pop("changes", {})
        with BankWriter(path, **{"categories": CATEGORIES, **options}) as writer:
            for number in numbers:
                rgb, alpha, arguments = cutout(number)
                writer.add(rgb, alpha, **{**arguments, **changes})
        return path

    return write_numbers


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("codec", ["jpeg", "raw"])
def test_a_merged_bank_has_the_bytes_of_one_writer(tmp_path: Path, write: Any, codec: str) -> None:
    options: dict[str, Any] = {"codec": codec, "config": {"a": 1}, "method": "m"}
    whole = write(tmp_path / "whole", range(15), shard_bytes=9000, **options)
    parts = [
        write(tmp_path / name, numbers, shard_bytes=size, **options)
        for name, numbers, size in (
            ("a", range(5), 4000),  # photo 2 is in two parts
            ("b", range(5, 5), 4000),
            ("c", range(5, 15), 10**9),
        )
    ]
    report = merge_banks(tmp_path / "merged", parts, shard_bytes=9000)
    assert (report.rows, report.taken, report.dropped) == (15, (5, 0, 10), (0, 0, 0))
    one, merged = contents(whole), contents(tmp_path / "merged")
    assert len([name for name in one if name.endswith(".arrow")]) > 1
    manifests = [json.loads(files.pop(MANIFEST)) for files in (one, merged)]
    assert merged == one
    origin = manifests[1].pop("merged_from")
    assert manifests[1] == manifests[0]
    assert [(entry["name"], entry["rows"]) for entry in origin] == [("a", 5), ("b", 0), ("c", 10)]
    bank = MaskBank(tmp_path / "merged")
    bank.verify_checksums()
    assert report.images == len(bank.images) == 8
    assert all(bank[row].row == row for row in range(15))


def test_other_inputs_give_one_hash_and_say_which(tmp_path: Path, write: Any) -> None:
    parts = [write(tmp_path / n, [i], input_hash=n) for i, n in enumerate("ab")]
    merge_banks(tmp_path / "merged", parts)
    manifest = MaskBank(tmp_path / "merged").manifest
    assert manifest["input_hash"] not in (None, "a", "b")
    assert [entry["input_hash"] for entry in manifest["merged_from"]] == ["a", "b"]
    assert manifest["build_hash"] not in [e["build_hash"] for e in manifest["merged_from"]]
    merge_banks(tmp_path / "again", [tmp_path / "merged", write(tmp_path / "c", [9])])
    again = MaskBank(tmp_path / "again").manifest
    assert again["merged_from"][0]["merged_from"] == manifest["merged_from"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"categories": ["dog", "cat", "tvmonitor"]}, "categories"),
        ({"supervision": "masks"}, "supervision"),
        ({"codec": "raw"}, "codec"),
        ({"jpeg_quality": 80}, "jpeg_quality"),
        ({"method": "other"}, "method"),
        ({"config": {"a": 2, "b": 3}}, '"a": 2'),
    ],
)
def test_banks_that_differ_are_refused(
    tmp_path: Path, write: Any, options: dict[str, Any], named: str
) -> None:
    common = {"method": "m", "config": {"a": 1, "b": 3}}
    one = write(tmp_path / "one", [0], **common)
    two = write(tmp_path / "two", [3], **{**common, **options})
    with pytest.raises(BankError, match=named) as caught:
        merge_banks(tmp_path / "merged", [one, two])
    assert str(two) in str(caught.value)
    assert '"b"' not in str(caught.value)
    assert not (tmp_path / "merged").exists()


def test_mixed_banks_keep_what_they_share(tmp_path: Path, write: Any) -> None:
    one = write(tmp_path / "one", [0], method="m", config={"a": 1})
    two = write(tmp_path / "two", [3], method="m", config={"a": 2})
    merge_banks(tmp_path / "merged", [one, two], mixed=True)
    manifest = MaskBank(tmp_path / "merged").manifest
    assert (manifest["method"], manifest["config"]) == ("m", None)
    assert [entry["config"] for entry in manifest["merged_from"]] == [{"a": 1}, {"a": 2}]


def test_duplicates_are_refused_or_dropped(tmp_path: Path, write: Any) -> None:
    one = write(tmp_path / "one", [0, 1, 1, 2])
    two = write(tmp_path / "two", [3, 1, 4], changes={"score": 0.5})
    with pytest.raises(BankError, match=r"1 cut-outs .* row 1 of .*two; duplicates='drop'"):
        merge_banks(tmp_path / "merged", [one, two])
    assert not (tmp_path / "merged").exists()
    report = merge_banks(tmp_path / "merged", [one, two], duplicates="drop")
    assert (report.taken, report.dropped) == ((4, 2), (0, 1))
    assert MaskBank(tmp_path / "merged").manifest["merged_from"][1]["dropped"] == 1
    write(tmp_path / "expected", [0, 1, 1, 2])
    bank = MaskBank(tmp_path / "merged")
    for row, number in enumerate([0, 1, 1, 2]):
        np.testing.assert_array_equal(bank[row].alpha, MaskBank(one)[row].alpha, str(number))
    np.testing.assert_array_equal(bank[4].rgb, MaskBank(two)[0].rgb)
    np.testing.assert_array_equal(bank[5].rgb, MaskBank(two)[2].rgb)


def test_a_margin_makes_no_other_mask_but_class_and_place_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    mask = np.zeros((40, 50), np.uint8)
    mask[12:20, 15:30] = 255
    mask[12, 15] = 0

    def bank(
        name: str, margin: int, *, category: int = 0, shift: int = 0, photo_id: Any = 7
    ) -> Path:
        x0, y0, x1, y1 = 15 - margin, 12 - margin, 30 + margin, 20 + margin
        with BankWriter(tmp_path / name, categories=CATEGORIES) as writer:
            writer.add(
                photo[y0:y1, x0:x1],
                mask[y0:y1, x0:x1],
                category_id=category,
                score=1.0,
                image_id=photo_id,
                source_size=(40, 50),
                source_bbox=(x0 + shift, y0, x1 + shift, y1),
            )
        return tmp_path / name

    first = bank("first", 0)
    assert merge_banks(tmp_path / "m1", [first, bank("wide", 4)], duplicates="drop").rows == 1
    for number, other in enumerate(
        (
            bank("class", 0, category=1),
            bank("place", 0, shift=1),
            bank("photo", 0, photo_id=8),
        )
    ):
        assert merge_banks(tmp_path / f"n{number}", [first, other]).rows == 2


def test_cutouts_without_a_photo_are_told_by_their_pixels(tmp_path: Path, write: Any) -> None:
    nothing = dict.fromkeys(("image_id", "file_name", "source_size", "source_bbox"))
    one = write(tmp_path / "one", [0, 1], changes=nothing)
    two = write(tmp_path / "two", [1, 2], changes=nothing)
    report = merge_banks(tmp_path / "merged", [one, two], duplicates="drop")
    assert (report.rows, report.images) == (3, 0)


def test_one_id_for_two_photos_is_refused(tmp_path: Path, write: Any) -> None:
    one = write(tmp_path / "one", [0])
    two = write(tmp_path / "two", [1], changes={"file_name": "b/0.jpg"})
    with pytest.raises(BankError, match=r"two: names a photo .*photo 0"):
        merge_banks(tmp_path / "merged", [one, two])
    assert not (tmp_path / "merged" / MANIFEST).exists()
    merge_banks(tmp_path / "merged", [one])  # clears the unfinished build away
    assert len(MaskBank(tmp_path / "merged")) == 1


def test_paths_are_checked_before_anything_is_written(tmp_path: Path, write: Any) -> None:
    one = write(tmp_path / "one", [0])
    before = contents(one)
    for output, banks, named in (
        (tmp_path / "x", [], "none is given"),
        (tmp_path / "x", [one, tmp_path / "." / "one"], "given twice"),
        (one, [one], "one of the banks"),
        (write(tmp_path / "two", [2]), [one], "finished bank"),
    ):
        with pytest.raises(ArgumentError, match=named):
            merge_banks(output, banks)
    with pytest.raises(ArgumentError, match="duplicates"):
        merge_banks(tmp_path / "x", [one], duplicates="keep")
    with pytest.raises(BankError, match="no such folder"):
        merge_banks(tmp_path / "two", [one, tmp_path / "none"], overwrite=True)
    assert len(MaskBank(tmp_path / "two")) == 1
    assert contents(one) == before
    assert not (tmp_path / "x").exists()
    merge_banks(tmp_path / "two", [one], overwrite=True)
    assert contents(tmp_path / "two")["index.npy"] == before["index.npy"]


def test_a_damaged_record_is_found(tmp_path: Path, write: Any) -> None:
    one = write(tmp_path / "one", range(4))
    entry = MaskBank(one).index[2]
    (shard,) = (one / "shards").glob("*.arrow")
    content = bytearray(shard.read_bytes())
    content[int(entry["offset"]) + 9] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(BankError, match="row 2: damaged: CRC32"):
        merge_banks(tmp_path / "merged", [one])
    assert not (tmp_path / "merged" / MANIFEST).exists()


def test_progress_goes_through_both_passes(tmp_path: Path, write: Any) -> None:
    seen: list[tuple[str, int, int]] = []

    def show(items: Any, *, description: str, unit: str, total: int) -> Any:
        listed = list(items)
        seen.append((f"{description} {unit}", len(listed), total))
        return listed

    parts = [write(tmp_path / n, [i]) for i, n in enumerate("ab")]
    merge_banks(tmp_path / "merged", parts, progress=show)
    assert seen == [("comparing cut-out", 2, 2), ("merging cut-out", 2, 2)]
