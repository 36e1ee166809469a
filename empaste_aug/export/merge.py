"""The parts of an export put together: annotations.json, images.sha256, and manifest.json last."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from empaste_aug.bank.files import atomic_file
from empaste_aug.export.block import Job, Part, read_part
from empaste_aug.export.coco import CUTOUT_KEY, categories
from empaste_aug.export.layout import (
    ANNOTATIONS,
    FORMAT,
    HASHES,
    IMAGES,
    MANIFEST,
    PARTS,
    SCHEMA,
    image_name,
    stray_files,
)
from empaste_aug.export.settings import Settings
from empaste_aug.types import DatasetError

_DESCRIPTION = "Images with pasted objects, made by empaste_aug; see manifest.json"


class _Hashed:
    """A file that knows the size and hash of what was written to it."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, text: str) -> None:
        data = text.encode()
        self._handle.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def entry(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._digest.hexdigest()}


def merge_parts(job: Job, settings: Settings) -> dict[str, Any]:
    """Write what makes the export finished, and take the parts away; the manifest.

    The manifest comes last, after everything is on the disk. One part is in memory at a time.

    Raises:
        DatasetError: a part is missing or damaged.
        OSError: a file cannot be written.
    """
    expected = {
        image_name(position, job.options.image_format) for position in range(job.options.number)
    }
    for stray in stray_files(job.folder, expected):
        stray.unlink()
    files = {}
    with atomic_file(job.folder / HASHES) as handle:
        file = _Hashed(handle)
        for entry in _images(job):
            file.write(f"{entry['sha256']}  {IMAGES}/{entry['image']['file_name']}\n")
        files[HASHES] = file.entry()
    with atomic_file(job.folder / ANNOTATIONS) as handle:
        file = _Hashed(handle)
        counts = _write_annotations(job, file)
        files[ANNOTATIONS] = file.entry()
    manifest = {
        "format": FORMAT,
        "schema": SCHEMA,
        "settings": settings,
        "counts": counts,
        "files": files,
    }
    os.sync()  # the images are written without waiting for the disk
    with atomic_file(job.folder / MANIFEST) as handle:
        handle.write(json.dumps(manifest, indent=1).encode())
    remove_parts(job)
    return manifest


def remove_parts(job: Job) -> None:
    """Take the parts of a finished export away."""
    shutil.rmtree(job.folder / PARTS, ignore_errors=True)


def _write_annotations(job: Job, file: _Hashed) -> dict[str, Any]:
    """COCO's json, an entry on each line; how much of what it holds."""
    names = job.stream.photos.class_names
    head = {
        "info": {"description": _DESCRIPTION, "seed": job.options.seed},
        "licenses": [],
        "categories": categories(tuple(names)),
    }
    file.write(json.dumps(head)[:-1])
    file.write(', "images": [')
    bytes_of_images = 0
    for number, entry in enumerate(_images(job)):
        bytes_of_images += entry["bytes"]
        file.write((",\n" if number else "\n") + json.dumps(entry["image"]))
    file.write('\n], "annotations": [')
    totals: Counter[str] = Counter()
    classes: Counter[int] = Counter()
    for image in _images(job):
        totals["holes_filled"] += image["filled"]
        totals["backgrounds"] += image["image"]["empaste"]["background"] is not None
        totals["skipped"] += len(image["image"]["empaste"]["skipped"])
        for entry in image["annotations"]:
            totals["annotations"] += 1
            totals["pasted"] += CUTOUT_KEY in entry
            totals["crowd"] += entry["iscrowd"]
            classes[entry["category_id"]] += 1
            start = ",\n" if totals["annotations"] > 1 else "\n"
            file.write(start + json.dumps({"id": totals["annotations"], **entry}))
    file.write("\n]}\n")
    keys = ("annotations", "pasted", "crowd", "skipped", "backgrounds", "holes_filled")
    return {
        "images": job.options.number,
        "image_bytes": bytes_of_images,
        **{key: totals[key] for key in keys},
        "by_class": {name: classes[number] for number, name in enumerate(names, start=1)},
    }


def _images(job: Job) -> Iterator[Part]:
    for block in job.blocks():
        part = read_part(job, block)
        if part is None:
            raise DatasetError(
                f"{job.folder / PARTS}: the part of block {block} is gone; another run took it "
                "away, or the same command makes it again"
            )
        yield from part["images"]
