"""Captions that the user has: COCO's captions json, or a csv with one caption a row."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from empaste_aug.types import DatasetError

FILE_COLUMNS = ("file_name", "file", "image")
"""Columns of a csv that name the photo; the first that is there counts."""

CAPTION_COLUMN = "caption"


def read_captions(path: str | Path) -> dict[str, list[str]]:
    """Captions by file name, photos and captions in the file's order.

    A .json file is laid out as COCO's captions_train2017.json: ``{"images": [{"id", "file_name"},
    ...], "annotations": [{"image_id", "caption"}, ...]}``; other keys are ignored, and a photo
    without a caption is left out. A .csv file is UTF-8 with a header that names `caption` and one
    of `FILE_COLUMNS`; a photo may have several rows. White space within captions is made single.

    Raises:
        DatasetError: the file is missing, of another kind, not UTF-8 or not json; an entry lacks a
            key or holds an empty caption, or its photo is unknown; or there is no caption at all.
            The message names the entry or line, and the value.
    """
    path = Path(path)
    readers = {".json": _read_json, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path}: a captions file ends in .json or .csv")
    try:
        captions = reader(path)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: byte {error.start} is {error.object[error.start]:#04x}, not UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} line {error.lineno} column {error.colno}: not json: {error.msg}"
        ) from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    if not captions:
        raise DatasetError(f"{path}: holds no caption")
    return captions


def _read_json(path: Path) -> dict[str, list[str]]:
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: should be an object, as COCO's captions, not {_kind(content)}")
    names: dict[Any, str] = {}
    for number, entry in enumerate(_entries(path, content, "images")):
        where = f"{path} images[{number}]"
        key, name = _value(where, entry, "id"), _value(where, entry, "file_name")
        if not isinstance(key, int | str):
            raise DatasetError(f"{where}: id should be a number or a text, not {key!r}")
        if not isinstance(name, str) or not name:
            raise DatasetError(f"{where}: file_name should be a text, not {name!r}")
        if key in names:
            raise DatasetError(f"{where}: id {key!r} occurs twice")
        names[key] = name
    captions: dict[str, list[str]] = {}
    for number, entry in enumerate(_entries(path, content, "annotations")):
        where = f"{path} annotations[{number}]"
        key, text = _value(where, entry, "image_id"), _value(where, entry, "caption")
        if not isinstance(key, int | str) or key not in names:
            raise DatasetError(f"{where}: image_id {key!r} is in no entry of images")
        captions.setdefault(names[key], []).append(_caption(where, text))
    return captions


def _read_csv(path: Path) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, skipinitialspace=True, strict=True)
        columns = reader.fieldnames or ()
        column = next((name for name in FILE_COLUMNS if name in columns), None)
        if column is None or CAPTION_COLUMN not in columns:
            raise DatasetError(
                f"{path} line 1: the header should name 'caption' and one of {FILE_COLUMNS}, "
                f"not {list(columns)}"
            )
        for row in reader:
            where = f"{path} line {reader.line_num}"
            cells: list[Any] = [value for value in row.values() if isinstance(value, str)]
            cells += row.get(None, [])  # type: ignore[call-overload]
            if len(cells) != len(columns):
                raise DatasetError(
                    f"{where}: should have {len(columns)} cells (a caption with a comma needs "
                    f"double quotes), not {cells}"
                )
            name = row[column].strip()
            if not name:
                raise DatasetError(f"{where}: {column} is empty")
            captions.setdefault(name, []).append(_caption(where, row[CAPTION_COLUMN]))
    return captions


def _entries(path: Path, content: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: should have a list {key!r}, as COCO's captions")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DatasetError(f"{path} {key}[{number}]: should be an object, not {_kind(entry)}")
    return entries


def _value(where: str, entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise DatasetError(f"{where}: has no {key!r}, only {sorted(entry)}")
    return entry[key]


def _caption(where: str, text: Any) -> str:
    if not isinstance(text, str):
        raise DatasetError(f"{where}: caption should be a text, not {text!r}")
    cleaned = " ".join(text.split())
    if not cleaned:
        raise DatasetError(f"{where}: caption is empty: {text!r}")
    return cleaned


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), repr(value))
