"""The labels file of a plain folder: json or csv, from file names to class names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from empaste_aug.offline.datasets.checks import Report
from empaste_aug.types import DatasetError

_SEPARATOR = ";"
_LABEL_COLUMNS = ("labels", "label")


def read_labels(path: Path, report: Report) -> dict[str, tuple[str, ...]]:
    """Class names by file name (relative to the image folder, POSIX style), as they stand.

    json: an object {"file": ["class", ...], ...}. csv: a header line with the columns `file` and
    `labels` (or `label`); names are separated by ";", and a file may have several rows, so one row
    per (file, class) pair works too. An empty list or cell is a photo without labels.

    Args:
        path: ends in .json or .csv.
        report: takes entries of the wrong kind and repeated ones.

    Raises:
        DatasetError: the file is missing, cannot be parsed, or is of another kind.
    """
    readers = {".json": _read_json, ".csv": _read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path}: a labels file ends in .json or .csv")
    try:
        return reader(path, report)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error


def _read_json(path: Path, report: Report) -> dict[str, tuple[str, ...]]:
    pairs: list[tuple[str, object]] = []

    def keep_repeated(entries: list[tuple[str, object]]) -> dict[str, object]:
        pairs[:] = entries
        return dict(entries)

    content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=keep_repeated)
    if not isinstance(content, dict):
        raise ValueError('it should be an object {"file": ["class", ...]}')
    labels: dict[str, tuple[str, ...]] = {}
    for name, classes in pairs:
        where = f"{path} entry {name}"
        if not isinstance(classes, list) or not all(isinstance(c, str) and c for c in classes):
            report.add(where, f"should be a list of class names, not {classes!r}")
        elif name in labels:
            report.add(where, "occurs twice")
        else:
            labels[name] = tuple(dict.fromkeys(classes))
    return labels


def _read_csv(path: Path, report: Report) -> dict[str, tuple[str, ...]]:
    labels: dict[str, list[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, skipinitialspace=True)
        columns = reader.fieldnames or ()
        column = next((name for name in _LABEL_COLUMNS if name in columns), None)
        if "file" not in columns or column is None:
            raise ValueError(f"its header should name 'file' and 'labels', not {list(columns)}")
        for row in reader:
            where = f"{path} line {reader.line_num}"
            name, cell = row["file"], row[column]
            if not name or cell is None or None in row:
                report.add(where, f"should have {len(columns)} cells, the file not empty")
                continue
            found = labels.setdefault(name, [])
            classes = [text.strip() for text in cell.split(_SEPARATOR)]
            found.extend(c for c in dict.fromkeys(classes) if c and c not in found)
    return {name: tuple(classes) for name, classes in labels.items()}
