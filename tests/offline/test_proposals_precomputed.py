"""Segments from files: every form, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from empaste_aug.offline.proposals import Precomputed, build_proposals
from empaste_aug.types import ArgumentError, DatasetError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)

SIZE = (24, 37)
PHOTO = np.zeros((*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def masks(rng) -> list[np.ndarray]:
    labels = rng.integers(0, 4, SIZE)
    return [labels == value for value in (1, 2, 3)]


def text_rle(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def run_lengths(mask: np.ndarray) -> dict:
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def same(segments, masks) -> bool:
    assert {segment.source for segment in segments} == {"precomputed"}
    return len(segments) == len(masks) and all(
        np.array_equal(segment.mask(), mask) for segment, mask in zip(segments, masks, strict=True)
    )


def label_map(masks, values) -> np.ndarray:
    labels = np.zeros(SIZE, dtype=np.uint16)
    for mask, value in zip(masks, values, strict=True):
        labels[mask] = value
    return labels


@pytest.mark.parametrize(
    ("values", "dtype"), [((1, 2, 255), np.uint8), ((7, 300, 65535), np.uint16)]
)
def test_label_maps(tmp_path, masks, values, dtype):
    Image.fromarray(label_map(masks, values).astype(dtype)).save(tmp_path / "a.png")
    assert same(Precomputed(path=tmp_path)(PHOTO, image_id="a"), masks)


def test_palette_label_maps_are_read_as_indices(tmp_path, masks):
    image = Image.fromarray(label_map(masks, (1, 2, 3)).astype(np.uint8), mode=None).convert("P")
    image.putdata(label_map(masks, (1, 2, 3)).ravel().tolist())
    image.putpalette([9, 9, 9] * 256)
    image.save(tmp_path / "a.png")
    assert same(Precomputed(path=tmp_path)(PHOTO, image_id="a"), masks)


def test_a_folder_of_binary_masks(tmp_path, masks):
    (tmp_path / "a").mkdir()
    for index, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "a" / f"{index}.png")
    Image.fromarray(masks[0]).save(tmp_path / "a" / "9.png")  # one bit per pixel
    assert same(Precomputed(path=tmp_path)(PHOTO, image_id="a"), [*masks, masks[0]])


@pytest.mark.parametrize("scores", [None, [0.5, 0.25, 1.0]])
def test_npz(tmp_path, masks, scores):
    arrays = {"masks": np.stack(masks)} | ({} if scores is None else {"scores": scores})
    np.savez(tmp_path / "a.npz", **arrays)
    segments = Precomputed(path=tmp_path)(PHOTO, image_id="a")
    assert same(segments, masks)
    found = [segment.strength for segment in segments]
    assert np.array_equal(found, [np.nan] * 3 if scores is None else scores, equal_nan=True)


@pytest.mark.parametrize("encode", [text_rle, run_lengths])
def test_json_of_rles_and_of_sam(tmp_path, masks, encode):
    entries = [
        encode(masks[0]),
        {"segmentation": encode(masks[1]), "score": 0.5},
        {"segmentation": encode(masks[2]), "predicted_iou": 0.75, "area": 3},
    ]
    (tmp_path / "a.json").write_text(json.dumps(entries))
    segments = Precomputed(path=tmp_path)(PHOTO, image_id="a")
    assert same(segments, masks)
    assert np.array_equal([s.strength for s in segments], [np.nan, 0.5, 0.75], equal_nan=True)


@pytest.mark.parametrize("image_id", [42, "42", "000000000042"])
def test_results_json_of_coco(tmp_path, masks, image_id):
    path = tmp_path / "results.json"
    entries = [
        {"image_id": image_id, "segmentation": text_rle(masks[0]), "score": 0.5},
        {"image_id": "other", "segmentation": text_rle(masks[1]), "score": 0.5},
        {"image_id": image_id, "segmentation": run_lengths(masks[2]), "score": 0.25},
    ]
    path.write_text(json.dumps(entries))
    method = build_proposals(["precomputed"], path=path)
    for name in ("42", "000000000042"):
        assert same(method(PHOTO, image_id=name), [masks[0], masks[2]])
    again = pickle.loads(pickle.dumps(method))
    assert same(again(PHOTO, image_id="other"), [masks[1]])
    assert again.config() == method.config()


@pytest.mark.parametrize("form", ["folder", "json"])
def test_a_photo_without_segments(tmp_path, form):
    path = tmp_path if form == "folder" else tmp_path / "results.json"
    if form == "json":
        path.write_text("[]")
    with pytest.raises(DatasetError, match="no segments for the photo 'b7'"):
        Precomputed(path=path)(PHOTO, image_id="b7")
    assert Precomputed(path=path, allow_missing=True)(PHOTO, image_id="b7") == []


def write(folder: Path, form: str, mask: np.ndarray) -> Path:
    path = folder / f"a.{form}"
    if form == "png":
        Image.fromarray(mask.astype(np.uint8)).save(path)
    elif form == "npz":
        np.savez(path, masks=mask[None])
    elif form == "json":
        path.write_text(json.dumps([text_rle(mask)]))
    else:
        path = folder / "a" / "0.png"
        path.parent.mkdir()
        Image.fromarray(mask.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("form", ["png", "npz", "json", "folder"])
def test_another_size_is_an_error(tmp_path, form):
    path = write(tmp_path, form, np.ones((24, 36), dtype=bool))
    with pytest.raises(DatasetError, match=r"24 x 36 .*the photo 24 x 37") as caught:
        Precomputed(path=tmp_path)(PHOTO, image_id="a")
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.npz", "a.json"])
def test_broken_files_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00 nothing of the kind")
    with pytest.raises(DatasetError, match=rf"{name}: cannot be read"):
        Precomputed(path=tmp_path)(PHOTO, image_id="a")


def test_colour_masks_are_refused(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="greyscale or palette"):
        Precomputed(path=tmp_path)(PHOTO, image_id="a")


def test_two_forms_for_one_photo_are_refused(tmp_path, masks):
    write(tmp_path, "png", masks[0])
    write(tmp_path, "json", masks[0])
    with pytest.raises(DatasetError, match=r"several files.*a\.png, a\.json"):
        Precomputed(path=tmp_path)(PHOTO, image_id="a")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "must be an object"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6]]}, "polygons are none"),
        ({"size": [24, 37], "counts": [5, 5]}, "add up to 10"),
        ({"size": [24, 37], "counts": [-5, 893]}, "no run length"),
        ({"size": [24, 37], "counts": "hk"}, "no compressed RLE"),
        ({"size": [24, 37], "counts": "@"}, "no compressed RLE"),
        ({"size": [24, 37], "counts": None}, "must be text"),
    ],
)
def test_bad_rles_are_refused(tmp_path, entry, message):
    (tmp_path / "a.json").write_text(json.dumps([entry]))
    with pytest.raises(DatasetError, match=rf"a\.json: segment 0.*{message}"):
        Precomputed(path=tmp_path)(PHOTO, image_id="a")


def test_results_without_an_image_id_are_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"segmentation": {}}]))
    with pytest.raises(DatasetError, match="entry 0 must be an object with 'image_id'"):
        Precomputed(path=path)(PHOTO, image_id="a")


def test_npz_without_masks_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(DatasetError, match=r"no array 'masks', only .*other"):
        Precomputed(path=tmp_path)(PHOTO, image_id="a")
    np.savez(tmp_path / "b.npz", masks=np.zeros((2, *SIZE)), scores=np.zeros(3))
    with pytest.raises(DatasetError, match=r"'scores' \(N,\)"):
        Precomputed(path=tmp_path)(PHOTO, image_id="b")


def test_the_path_must_be_a_folder_or_json(tmp_path):
    with pytest.raises(ArgumentError, match="does not exist"):
        Precomputed(path=tmp_path / "none")
    (tmp_path / "masks.zip").write_bytes(b"")
    with pytest.raises(ArgumentError, match="neither a folder nor a json"):
        Precomputed(path=tmp_path / "masks.zip")


def test_the_config_follows_the_content_and_not_the_place(tmp_path, masks):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        write(folder, "png", masks[0])
    first, second = (Precomputed(path=folder).config() for folder in folders)
    assert first == second
    write(folders[1], "json", masks[0])
    assert Precomputed(path=folders[1]).config() != first
    assert str(tmp_path) not in json.dumps(first)
