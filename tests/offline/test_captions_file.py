"""Captions that the user has, and every way their file can be wrong."""

from __future__ import annotations

import json

import pytest

from empaste_aug.offline.captions_file import read_captions
from empaste_aug.types import DatasetError

COCO = {
    "info": {"year": 2017},
    "images": [
        {"id": 9, "file_name": "000000000009.jpg", "height": 480, "width": 640},
        {"id": 25, "file_name": "000000000025.jpg"},
        {"id": 30, "file_name": "000000000030.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 25, "caption": "A giraffe  eating\nfood."},
        {"id": 2, "image_id": 9, "caption": "Closeup of bins of food. "},
        {"id": 3, "image_id": 25, "caption": "Two giraffes."},
    ],
}


def changed(key: str, position: int, **values) -> dict:
    content = json.loads(json.dumps(COCO))
    entry = content[key][position]
    for name, value in values.items():
        if value is ...:
            del entry[name]
        else:
            entry[name] = value
    return content


def write(tmp_path, name: str, text: str | bytes | dict):
    path = tmp_path / name
    if isinstance(text, dict):
        text = json.dumps(text)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def test_coco_captions(tmp_path):
    captions = read_captions(write(tmp_path, "captions_train2017.json", COCO))
    assert captions == {
        "000000000025.jpg": ["A giraffe eating food.", "Two giraffes."],
        "000000000009.jpg": ["Closeup of bins of food."],
    }
    assert list(captions) == ["000000000025.jpg", "000000000009.jpg"]


def test_string_ids_and_a_byte_order_mark(tmp_path):
    content = {
        "images": [{"id": "a", "file_name": "sub/ä.jpg"}],
        "annotations": [{"image_id": "a", "caption": "Ein Café"}],
    }
    text = b"\xef\xbb\xbf" + json.dumps(content, ensure_ascii=False).encode("utf-8")
    assert read_captions(write(tmp_path, "c.json", text)) == {"sub/ä.jpg": ["Ein Café"]}


@pytest.mark.parametrize("column", ["file_name", "file", "image"])
def test_csv(tmp_path, column):
    text = f'id,{column},caption\n1,b.jpg,"A dog, running"\n2,a.jpg,  A cat \n3,b.jpg,Grass\n'
    captions = read_captions(write(tmp_path, "c.csv", text))
    assert captions == {"b.jpg": ["A dog, running", "Grass"], "a.jpg": ["A cat"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"should be an object, as COCO's captions, not a list"),
        ("{", r"line 1 column 2: not json"),
        (b'{"images": "\xff"}', r"byte 12 is 0xff, not UTF-8"),
        ({"images": []}, r"should have a list 'annotations'"),
        ({"images": {}, "annotations": []}, r"should have a list 'images'"),
        ({"images": [3], "annotations": []}, r"images\[0\]: should be an object, not 3"),
        ({"images": [], "annotations": []}, r"holds no caption"),
        (changed("images", 1, file_name=...), r"images\[1\]: has no 'file_name', only \['id'\]"),
        (changed("images", 1, file_name=""), r"images\[1\]: file_name .* not ''"),
        (changed("images", 1, id=9), r"images\[1\]: id 9 occurs twice"),
        (changed("images", 1, id=None), r"images\[1\]: id should be .* not None"),
        (changed("annotations", 2, image_id=7), r"annotations\[2\]: image_id 7 is in no entry"),
        (changed("annotations", 2, image_id=[]), r"annotations\[2\]: image_id \[\] is in no"),
        (changed("annotations", 0, image_id=...), r"annotations\[0\]: has no 'image_id'"),
        (changed("annotations", 1, caption=...), r"annotations\[1\]: has no 'caption'"),
        (changed("annotations", 1, caption=" \n"), r"annotations\[1\]: caption is empty"),
        (changed("annotations", 1, caption=None), r"annotations\[1\]: .* not None"),
    ],
)
def test_bad_json(tmp_path, content, message):
    path = write(tmp_path, "bad.json", content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_captions(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"line 1: the header should name"),
        ("a.jpg,A cat\n", r"line 1: .* not \['a.jpg', 'A cat'\]"),
        ("file,text\na.jpg,A cat\n", r"line 1: .* not \['file', 'text'\]"),
        ("file,caption\n", r"holds no caption"),
        ("file,caption\na.jpg,A cat, a dog\n", r"line 2: should have 2 cells .*, 'a dog'\]"),
        ("file,caption\na.jpg,A cat\nb.jpg\n", r"line 3: should have 2 cells .*\['b.jpg'\]"),
        ("file,caption\n,A cat\n", r"line 2: file is empty"),
        ("file,caption\na.jpg,  \n", r"line 2: caption is empty"),
        ('file,caption\na.jpg,"A cat\n', r"cannot be read"),
        ("file,caption\na.jpg,Caf\u00e9\n".encode("latin-1"), r"is 0xe9, not UTF-8"),
    ],
)
def test_bad_csv(tmp_path, content, message):
    path = write(tmp_path, "bad.csv", content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_captions(path)
    assert str(caught.value).startswith(str(path))


def test_no_such_file_or_kind(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.json: no such file"):
        read_captions(tmp_path / "none.json")
    with pytest.raises(DatasetError, match=r"ends in \.json or \.csv"):
        read_captions(tmp_path / "captions.txt")
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(DatasetError, match=r"folder\.json: cannot be read"):
        read_captions(folder)
