"""PoolWriter and PoolReader: what goes in comes out; what is refused, and how."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import simplejpeg
from pool_data import CONFIG, add_images, hashes, make_image, provenance, write_pool

from empaste_aug import ArgumentError, PoolError, PoolReader, PoolWriter
from empaste_aug.pool import black_pool
from empaste_aug.pool.schema import INDEX_DTYPE, KINDS


def test_what_goes_in_comes_out(tmp_path):
    pool = PoolReader(write_pool(tmp_path / "pool", codec="png"))
    assert len(pool) == 12
    for row in range(12):
        expected = make_image(row)
        image = pool.read(row)
        np.testing.assert_array_equal(image, expected)
        assert image.flags.writeable
        assert image.flags.c_contiguous
        assert pool.size(row) == expected.shape[:2]
        assert pool.provenance(row) == {"key": f"image {row}", **provenance(row)}
        assert pool.file_name(row) == str(tmp_path / f"pool/images/000/{row:06d}.png")
    np.testing.assert_array_equal(pool.read(-1), make_image(11))
    pool.verify_all()


def test_jpeg_is_close_and_may_come_smaller(tmp_path):
    image = cv2.resize(make_image(3), (400, 320))
    with PoolWriter(tmp_path / "pool") as writer:
        writer.add("a", image, kind="user")
    pool = PoolReader(tmp_path / "pool")
    assert np.abs(pool.read(0).astype(int) - image).mean() < 2
    for wanted in [(90, 100), (160, 200), (161, 10), (320, 400), (1000, 1000)]:
        small = pool.read(0, min_size=wanted)
        assert small.shape[0] >= min(wanted[0], 320)
        assert small.shape[1] >= min(wanted[1], 400)
        assert small.shape[0] <= 320
        reference = cv2.resize(image, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - reference).mean() < 3
    assert pool.read(0, min_size=(90, 100)).shape[0] < 320


def test_manifest_and_index_describe_the_pool(tmp_path):
    pool = PoolReader(write_pool(tmp_path / "pool"))
    manifest = json.loads((tmp_path / "pool/manifest.json").read_text())
    assert pool.manifest == manifest
    assert manifest["images"] == 12
    assert manifest["kinds"] == dict.fromkeys(KINDS[:4], 3)
    assert (manifest["method"], manifest["config"]) == ("test", CONFIG)
    assert manifest["codec"] == {"image": "jpeg", "jpeg_quality": 95}
    index = pool.index
    assert index.dtype == INDEX_DTYPE
    assert isinstance(index, np.memmap)
    assert [KINDS[kind] for kind in index["kind"]] == [provenance(i)["kind"] for i in range(12)]
    np.testing.assert_array_equal(
        index["score"], [provenance(i)["score"] or np.nan for i in range(12)]
    )
    sizes = [(tmp_path / f"pool/images/000/{n:06d}.jpg").stat().st_size for n in range(12)]
    assert index["bytes"].tolist() == sizes
    assert manifest["image_bytes"] == sum(sizes)
    assert sorted(p.name for p in (tmp_path / "pool").iterdir()) == [
        "images",
        "index.npy",
        "manifest.json",
        "provenance.jsonl",
        "provenance.npy",
    ]


def test_a_thousand_images_to_a_folder(tmp_path):
    tiny = np.zeros((2, 3, 3), np.uint8)
    with PoolWriter(tmp_path / "pool", codec="png") as writer:
        for number in range(1002):
            writer.add(str(number), tiny, kind="user")
    pool = PoolReader(tmp_path / "pool")
    assert pool.file_name(999).endswith("images/000/000999.png")
    assert pool.file_name(1001).endswith("images/001/001001.png")
    assert pool.read(1001).shape == (2, 3, 3)


def test_encoded_files_are_kept_as_they_are(tmp_path):
    image = make_image(1)
    jpeg = simplejpeg.encode_jpeg(image, quality=40, colorsubsampling="420")
    png = cv2.imencode(".png", image[:, :, 0])[1].tobytes()
    with PoolWriter(tmp_path / "pool") as writer:
        writer.add("jpeg", jpeg, kind="inpainted")
        writer.add("grey png", png, kind="user")
    pool = PoolReader(tmp_path / "pool")
    assert (tmp_path / "pool/images/000/000000.jpg").read_bytes() == jpeg
    assert (tmp_path / "pool/images/000/000001.png").read_bytes() == png
    np.testing.assert_array_equal(pool.read(0), simplejpeg.decode_jpeg(jpeg))
    np.testing.assert_array_equal(pool.read(1), np.repeat(image[:, :, :1], 3, axis=2))


def test_a_turned_photo_comes_upright(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    exif = pil.Exif()
    exif[0x0112] = 6
    pil.fromarray(cv2.resize(make_image(2), (64, 32))).save(tmp_path / "a.jpg", exif=exif)
    with PoolWriter(tmp_path / "pool") as writer:
        writer.add("a", (tmp_path / "a.jpg").read_bytes(), kind="user")
    pool = PoolReader(tmp_path / "pool")
    assert pool.size(0) == (64, 32)
    assert pool.read(0).shape == (64, 32, 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "folder/a.jpg")
    assert PoolReader(tmp_path / "folder").size(0) == (64, 32)
    np.testing.assert_array_equal(PoolReader(tmp_path / "folder").read(0), pool.read(0))


def test_the_same_images_give_the_same_bytes(tmp_path):
    assert hashes(write_pool(tmp_path / "a")) == hashes(write_pool(tmp_path / "b"))


def test_a_key_is_added_once(tmp_path):
    with PoolWriter(tmp_path / "pool") as writer:
        assert writer.add("a", make_image(0), kind="user") == 0
        assert writer.add("a", make_image(1), kind="generated") == 0
        assert writer.add("b", make_image(1), kind="user") == 1
        assert len(writer) == 2
        assert "a" in writer
        assert "c" not in writer
    assert len(PoolReader(tmp_path / "pool")) == 2


def test_a_finished_pool_has_nothing_to_do(tmp_path):
    path = write_pool(tmp_path / "pool")
    before = hashes(path)
    with PoolWriter(path, method="test", config=CONFIG) as writer:
        assert len(writer) == 12
        assert "image 3" in writer
        add_images(writer, 12)
        with pytest.raises(PoolError, match="finished and takes no further images"):
            writer.add("new", make_image(0), kind="user")
    assert hashes(path) == before


def test_other_settings_are_refused_unless_overwritten(tmp_path):
    path = write_pool(tmp_path / "pool")
    with pytest.raises(ArgumentError, match=r"finished pool of other settings; overwrite=True"):
        PoolWriter(path, method="other")
    writer = PoolWriter(path, method="other", overwrite=True)
    with pytest.raises(PoolError, match="unfinished pool"):
        PoolReader(path)
    writer.add("only", make_image(0), kind="user")
    writer.close()
    with pytest.raises(ArgumentError, match=r"unfinished pool.*other settings \(.*method"):
        PoolWriter(path, method="test", config=CONFIG)
    with PoolWriter(path, method="other") as again:
        assert len(again) == 1
    fresh = tmp_path / "fresh"
    with PoolWriter(fresh, method="other") as writer:
        writer.add("only", make_image(0), kind="user")
    assert hashes(path) == hashes(fresh)


def test_overwriting_an_unfinished_pool_starts_anew(tmp_path):
    first = PoolWriter(tmp_path / "pool")
    add_images(first, 5)
    first.close()
    with PoolWriter(tmp_path / "pool", overwrite=True) as writer:
        assert len(writer) == 0
        writer.add("only", make_image(0), kind="user")
    assert len(list((tmp_path / "pool/images").rglob("*.jpg"))) == 1


def test_an_exception_leaves_an_unfinished_pool(tmp_path):
    def interrupted() -> None:
        with writer:
            add_images(writer, 3)
            raise RuntimeError("stop")

    writer = PoolWriter(tmp_path / "pool")
    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    with pytest.raises(PoolError, match=r"unfinished pool: manifest.json.*goes on where it stop"):
        PoolReader(tmp_path / "pool")
    with pytest.raises(PoolError, match="the writer is closed"):
        writer.add("x", make_image(0), kind="user")
    with PoolWriter(tmp_path / "pool") as again:
        assert len(again) == 3


@pytest.mark.parametrize("place", ["images/000/000001.txt", "notes.txt", "images/me.jpg"])
def test_other_peoples_files_are_left_alone(tmp_path, place):
    file = tmp_path / "folder" / place
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(ArgumentError, match="is no built pool and holds other files"):
        PoolWriter(tmp_path / "folder", overwrite=True)
    assert file.read_bytes() == b"mine"


def test_a_folder_that_looks_like_a_pools_images_is_left_alone(tmp_path):
    file = tmp_path / "images/000/000000.jpg"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(ArgumentError, match="holds other files: images"):
        PoolWriter(tmp_path, overwrite=True)
    assert file.exists()


def test_a_file_or_a_bank_is_no_pool(tmp_path, small_bank):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArgumentError, match="is a file"):
        PoolWriter(tmp_path / "file")
    with pytest.raises(PoolError, match="no such folder"):
        PoolReader(tmp_path / "none")
    with pytest.raises(PoolError, match=r"not the manifest of a pool .*empaste_aug.bank"):
        PoolReader(small_bank.path)
    with pytest.raises(ArgumentError, match="is not the manifest of a pool"):
        PoolWriter(small_bank.path, overwrite=True)


def test_an_empty_pool_is_no_pool(tmp_path):
    with pytest.raises(PoolError, match="no image was added"), PoolWriter(tmp_path / "pool"):
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": ""}, "key: a text"),
        ({"key": 3}, "key: a text"),
        ({"kind": "photo"}, "kind: 'photo' is none of"),
        ({"image": "a.jpg"}, "image: str; expected"),
        ({"image": np.zeros((4, 4), np.uint8)}, r"image: shape \(4, 4\)"),
        ({"image": np.zeros((4, 4, 3))}, "float64"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, "image: shape"),
        ({"image": b"GIF89a"}, "neither a JPEG nor a PNG"),
        ({"image": b"\xff\xd8\xff\xe0 and nothing"}, "image: "),
        ({"score": float("nan")}, "score: a finite number"),
        ({"score": float("inf")}, "score: .* not finite"),
        ({"score": "high"}, "score: a number"),
        ({"scores": {"clip": None}}, r"scores\['clip'\]: a finite number"),
        ({"seed": -1}, "seed: -1 is not in"),
        ({"seed": 1.5}, "seed: an integer"),
        ({"caption": 7}, "caption: a text"),
        ({"source": 7}, "source: a text"),
        ({"extra": {"x": object()}}, "extra: cannot be written as JSON"),
    ],
)
def test_bad_images_are_refused_and_the_writer_goes_on(tmp_path, change, message):
    arguments = {"key": "a", "image": make_image(0), "kind": "user", **change}
    with PoolWriter(tmp_path / "pool") as writer:
        with pytest.raises(ArgumentError, match=message):
            writer.add(arguments.pop("key"), arguments.pop("image"), **arguments)
        writer.add("good", make_image(0), kind="user")
    assert len(PoolReader(tmp_path / "pool")) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "webp"}, "codec: 'webp' is none of"),
        ({"jpeg_quality": 0}, "jpeg_quality: 0 is not in"),
        ({"config": {"a": object()}}, "config: cannot be written as JSON"),
        ({"method": {1}}, "method: cannot be written as JSON"),
    ],
)
def test_bad_settings_are_refused(tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        PoolWriter(tmp_path / "pool", **options)
    assert not (tmp_path / "pool").exists()
    with pytest.raises(ArgumentError, match="is not the folder of a pool"):
        PoolWriter("")
    with pytest.raises(ArgumentError, match="is not the folder of a pool"):
        PoolReader(None)


def test_rows_are_checked(tmp_path):
    pool = PoolReader(write_pool(tmp_path / "pool", 2))
    for call in (pool.read, pool.size, pool.provenance, pool.file_name):
        for row in (2, -3):
            with pytest.raises(IndexError, match=f"row {row} of a pool of 2"):
                call(row)


def test_black_pool(tmp_path):
    pool = black_pool(tmp_path / "black", count=3, size=(30, 40))
    assert len(pool) == 3
    for row in range(3):
        assert pool.size(row) == (30, 40)
        assert not pool.read(row).any()
        assert pool.provenance(row)["kind"] == "black"
    assert len(black_pool(tmp_path / "black", count=3, size=(30, 40))) == 3
    with pytest.raises(ArgumentError, match="other settings"):
        black_pool(tmp_path / "black", count=4, size=(30, 40))
    with pytest.raises(ArgumentError, match="count: 0"):
        black_pool(tmp_path / "other", count=0)
