"""Any number of workers, shards and kills give the same bytes, with nothing lost or doubled."""

from __future__ import annotations

import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pool_data import hashes

from empaste_aug import ArgumentError, DatasetError, EMPaste
from empaste_aug.export import ExportOptions, export_dataset
from empaste_aug.export.layout import block_length, number_of_blocks, positions_of
from empaste_aug.offline.execute import Shard

NUMBER = 170
ROOT = Path(__file__).resolve().parents[2]
CODE = f"""
import pickle, sys
sys.path[:0] = [{str(ROOT)!r}]
from empaste_aug.export import export_dataset
if __name__ == "__main__":
    photos, paste, options = pickle.load(open(sys.argv[1], "rb"))
    export_dataset(
        sys.argv[2], photos, paste, options, workers=int(sys.argv[3]), show_progress=False
    )
"""

OPTIONS = ExportOptions(number=NUMBER, seed=4)


def export(folder, photos, paste, **rest):
    return export_dataset(folder, photos, paste, OPTIONS, show_progress=False, **rest)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The hashes of an export that one process made at one go, kept by the first test to ask."""
    folder = tmp_path_factory.mktemp("whole")
    found: dict[str, str] = {}

    def expected(photos, paste) -> dict[str, str]:
        if not found:
            export(folder, photos, paste)
            found.update(hashes(folder))
        return found

    return expected


def test_four_workers(tmp_path, photos, paste, whole):
    assert export(tmp_path, photos, paste, workers=4).made == NUMBER
    assert hashes(tmp_path) == whole(photos, paste)


def test_shards_in_any_order_and_twice(tmp_path, photos, paste, whole):
    for index in (2, 0, 2, 1):
        summary = export(tmp_path, photos, paste, shard=Shard(index, 3))
        assert summary.counts is None
        assert not (tmp_path / "annotations.json").exists()
        if index != 2:
            assert summary.made == summary.wanted
    assert export(tmp_path, photos, paste).made == 0
    assert hashes(tmp_path) == whole(photos, paste)
    late = export(tmp_path, photos, paste, shard=Shard(1, 3))
    assert late.made == 0
    assert hashes(tmp_path) == whole(photos, paste)


@pytest.mark.parametrize("number", [1, 60, 511, 512, 1000, 10_239, 10_240, 100_000])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_shards_are_even_but_for_a_block(number, count):
    length = block_length(number)
    assert length <= 40
    assert length == 1 or number // length >= 250
    blocks = range(number_of_blocks(number, length))
    shards = [
        [p for block in Shard(k, count).take(blocks) for p in positions_of(block, number, length)]
        for k in range(count)
    ]
    assert [p for shard in shards for p in shard] == list(range(number))
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) < 2 * length  # a block, and a last one that is not full


def test_shards_that_were_made_in_other_folders(tmp_path, photos, paste, whole):
    """As on machines without a common file system: the folders are copied into one."""
    for index in range(2):
        export(tmp_path / str(index), photos, paste, shard=Shard(index, 2))
        for file in (tmp_path / str(index)).rglob("*"):
            target = tmp_path / "all" / file.relative_to(tmp_path / str(index))
            if file.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    assert export(tmp_path / "all", photos, paste).made == 0
    assert hashes(tmp_path / "all") == whole(photos, paste)


def test_a_shard_of_other_settings_is_refused(tmp_path, photos, paste, small_bank):
    export(tmp_path, photos, paste, shard=Shard(0, 4))
    other = EMPaste(small_bank, count=(1, 4), scale=(0.5, 2.0), flip=0.5)
    with pytest.raises(ArgumentError, match=r"an unfinished export .*paste\.flip: 0\.0 there"):
        export(tmp_path, photos, other, shard=Shard(1, 4))
    with pytest.raises(ArgumentError, match="shard, overwrite: not together"):
        export(tmp_path, photos, paste, shard=Shard(1, 4), overwrite=True)


def test_overwriting_an_unfinished_export(tmp_path, photos, paste, small_bank, whole):
    other = EMPaste(small_bank, count=1)
    export(tmp_path, photos, other, shard=Shard(0, 2))
    assert export(tmp_path, photos, paste, overwrite=True).made == NUMBER
    assert hashes(tmp_path) == whole(photos, paste)


def test_what_was_damaged_meanwhile_is_made_again(tmp_path, photos, paste, whole):
    export(tmp_path, photos, paste, shard=Shard(0, 1))
    images = tmp_path / "images" / "000"
    (images / "000003.jpg").unlink()
    (images / "000040.jpg").write_bytes(b"short")
    (images / "000001.jpg.0123abc.tmp").write_bytes(b"left by a kill")
    (tmp_path / "parts" / "000005.json").unlink()
    assert export(tmp_path, photos, paste).made == 3
    assert hashes(tmp_path) == whole(photos, paste)


def test_killed_again_and_again(tmp_path, photos, paste, whole):
    """SIGKILL while images are being written, at first with two workers."""
    (tmp_path / "script.py").write_text(CODE)
    (tmp_path / "job").write_bytes(pickle.dumps((photos, paste, OPTIONS)))
    folder = tmp_path / "export"
    rng = random.Random(0)
    for workers in ("2", "1"):
        command = [sys.executable, tmp_path / "script.py", tmp_path / "job", folder, workers]
        start = time.time_ns()
        child = subprocess.Popen(command)
        wait_for_image(folder, start)
        time.sleep(rng.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (folder / "manifest.json").exists()
    time.sleep(0.3)  # orphaned workers end with their parent
    assert 0 < export(folder, photos, paste).made <= NUMBER
    assert hashes(folder) == whole(photos, paste)


def wait_for_image(folder: Path, start: int) -> None:
    """Until an image is written that is newer than `start`, in ns."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any(file.stat().st_mtime_ns > start for file in folder.glob("images/*/*.jpg")):
            return
        time.sleep(0.005)
    raise AssertionError("no image was written in time")


def test_a_broken_photo_is_told_and_mended(tmp_path, photos, paste, whole):
    """What was finished before it stays; once it is whole, the rest follows."""
    expected = whole(photos, paste)
    path = Path(photos.dataset.images[3].path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    try:
        with pytest.raises(DatasetError, match=path.name):
            export(tmp_path, photos, paste)
    finally:
        path.write_bytes(data)
    assert not (tmp_path / "manifest.json").exists()
    export(tmp_path, photos, paste)
    assert hashes(tmp_path) == expected


def test_what_cannot_be_sent_is_told(tmp_path, photos, small_bank):
    paste = EMPaste(small_bank, selection=lambda scene, rng: 0)
    with pytest.raises(ArgumentError, match="workers=1 does without"):
        export(tmp_path, photos, paste, workers=2)
