"""A finished export that has lost something: what can be made again is, the rest is told."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from pool_data import hashes

from empaste_aug import ArgumentError, DatasetError
from empaste_aug.export import ExportOptions, export_dataset
from empaste_aug.offline.execute import Shard

NUMBER = 12
OPTIONS = ExportOptions(number=NUMBER, seed=4)


def export(folder, photos, paste, **rest):
    return export_dataset(folder, photos, paste, OPTIONS, show_progress=False, **rest)


def image(folder, position) -> Path:
    return folder / "images" / "000" / f"{position:06d}.jpg"


@pytest.fixture
def finished(tmp_path, photos, paste):
    """An export, and the hashes of its files."""
    export(tmp_path, photos, paste)
    return tmp_path, hashes(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_images_that_are_gone_or_damaged_are_made_again(finished, photos, paste, workers):
    folder, expected = finished
    image(folder, 3).unlink()
    image(folder, 5).write_bytes(image(folder, 5).read_bytes()[:100])
    image(folder, 8).write_bytes(b"")
    Path(f"{image(folder, 3)}.0123abc.tmp").write_bytes(b"left by a kill")
    written = (folder / "manifest.json").stat().st_mtime_ns, image(folder, 4).stat().st_mtime_ns
    summary = export(folder, photos, paste, workers=workers)
    assert (summary.made, summary.wanted, summary.counts["images"]) == (3, NUMBER, NUMBER)
    assert hashes(folder) == expected
    assert not (folder / "parts").exists()
    assert written == tuple(
        file.stat().st_mtime_ns for file in (folder / "manifest.json", image(folder, 4))
    )
    assert export(folder, photos, paste).made == 0


def test_all_images_gone(finished, photos, paste):
    folder, expected = finished
    for position in range(NUMBER):
        image(folder, position).unlink()
    image(folder, 0).parent.rmdir()
    assert export(folder, photos, paste).made == NUMBER
    assert hashes(folder) == expected


def test_a_shard_makes_its_own_images_again(finished, photos, paste):
    folder, expected = finished
    image(folder, 0).unlink()
    image(folder, NUMBER - 1).write_bytes(b"short")
    first = export(folder, photos, paste, shard=Shard(0, 2))
    assert (first.made, first.wanted, first.counts) == (1, NUMBER // 2, None)
    assert image(folder, NUMBER - 1).read_bytes() == b"short"
    assert export(folder, photos, paste, shard=Shard(1, 2)).made == 1
    assert export(folder, photos, paste, shard=Shard(0, 2)).counts["images"] == NUMBER
    assert hashes(folder) == expected


@pytest.mark.parametrize("name", ["annotations.json", "images.sha256"])
@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_table_that_is_damaged_is_told(finished, photos, paste, name, damage):
    folder, expected = finished
    file = folder / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    for shard in (None, Shard(0, 2)):
        with pytest.raises(DatasetError) as caught:
            export(folder, photos, paste, shard=shard)
        assert str(caught.value).startswith(f"{file}: is {damage}")
        assert str(caught.value).endswith("; overwrite=True makes the export anew")
    assert export(folder, photos, paste, overwrite=True).made == NUMBER
    assert hashes(folder) == expected


def test_hashes_that_were_changed_are_not_believed(finished, photos, paste):
    folder, _ = finished
    file = folder / "images.sha256"
    file.write_bytes(file.read_bytes().replace(b"a", b"b"))
    image(folder, 2).unlink()
    with pytest.raises(DatasetError, match=r"images\.sha256: is damaged, its SHA-256 is not"):
        export(folder, photos, paste)
    assert not image(folder, 2).exists()


def test_an_image_of_a_photo_that_has_changed_is_not_replaced(finished, photos, paste):
    folder, expected = finished
    entry = json.loads((folder / "annotations.json").read_text())["images"][7]["empaste"]
    photo = Path(photos.dataset.image_root / entry["photo"])
    data = photo.read_bytes()
    image(folder, 7).write_bytes(b"short")
    cv2.imwrite(str(photo), 255 - cv2.imread(str(photo)))
    try:
        with pytest.raises(
            DatasetError, match=r"000007\.jpg: .* would be another image now, .*ove"
        ):
            export(folder, photos, paste)
    finally:
        photo.write_bytes(data)
    assert image(folder, 7).read_bytes() == b"short"
    assert export(folder, photos, paste).made == 1
    assert hashes(folder) == expected


def test_a_folder_that_cannot_be_written_is_told(finished, photos, paste, monkeypatch):
    folder, _ = finished
    image(folder, 7).unlink()
    monkeypatch.setattr("empaste_aug.export.layout.why_not_writable", lambda _: "read-only")
    with pytest.raises(ArgumentError, match="output: read-only"):
        export(folder, photos, paste)
