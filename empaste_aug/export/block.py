"""One block of an export: its images, and the part file that says that they are there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from empaste_aug.bank.files import atomic_file
from empaste_aug.export.coco import annotation_entries, image_entry
from empaste_aug.export.layout import (
    IMAGES,
    block_length,
    image_name,
    number_of_blocks,
    part_path,
    positions_of,
)
from empaste_aug.export.options import ExportOptions
from empaste_aug.export.sample import ExportSample, ExportStream
from empaste_aug.pool.encoding import encode
from empaste_aug.types import DatasetError

Part = dict[str, Any]

_CODECS = {"jpg": "jpeg", "png": "png"}


@dataclass(frozen=True)
class Job:
    """An export, as its workers know it.

    Attributes:
        folder: where it goes.
        stream: what makes the samples.
        options: how many, in which format.
        digest: of its settings; parts of other settings do not count.
    """

    folder: Path
    stream: ExportStream
    options: ExportOptions
    digest: str

    def positions(self, block: int) -> range:
        """The positions of a block."""
        return positions_of(block, self.options.number, self._length)

    def blocks(self) -> range:
        """All blocks."""
        return range(number_of_blocks(self.options.number, self._length))

    @property
    def _length(self) -> int:
        return block_length(self.options.number)


def write_block(job: Job, block: int) -> None:
    """Write the images of a block, then its part file.

    It is pure: the files follow from the job alone, each is written whole or not at all, and
    running it again, also at the same time, gives the same bytes.

    Raises:
        EMPasteError: a photo, cut-out or background cannot be read.
        OSError: a file cannot be written.
    """
    positions = job.positions(block)
    images = []
    for sample in job.stream.samples(positions.start, positions.stop):
        data = encoded(sample, job.options)
        name = image_name(sample.position, job.options.image_format)
        write_image(job, name, data)
        annotations, filled = annotation_entries(
            sample, job.stream.paste.bank, job.options.segmentation
        )
        images.append(
            {
                "image": image_entry(sample, job.stream, name),
                "annotations": annotations,
                "filled": filled,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    path = part_path(job.folder, block)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, shared=True) as handle:
        handle.write(json.dumps({"settings": job.digest, "images": images}).encode())


def write_image(job: Job, name: str, data: bytes) -> None:
    """Write an image file, whole or not at all; its name is relative to the folder of images."""
    path = job.folder / IMAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, shared=True) as handle:
        handle.write(data)


def encoded(sample: ExportSample, options: ExportOptions) -> bytes:
    """The image file of a sample."""
    data, _, _ = encode(sample.scene.image, _CODECS[options.image_format], options.quality)
    return data


def read_part(job: Job, block: int) -> Part | None:
    """The part of a block; None where the block is not done, or was done with other settings.

    Raises:
        DatasetError: the part file is damaged.
    """
    path = part_path(job.folder, block)
    try:
        part = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DatasetError(f"{path}: is damaged, delete it: {error}") from error
    return cast(Part, part) if part.get("settings") == job.digest else None


def is_done(job: Job, block: int) -> bool:
    """Whether a block's part is there, and its images are, in their sizes.

    Raises:
        DatasetError: the part file is damaged.
    """
    part = read_part(job, block)
    if part is None:
        return False
    for entry in part["images"]:
        try:
            size = (job.folder / IMAGES / entry["image"]["file_name"]).stat().st_size
        except FileNotFoundError:
            return False
        if size != entry["bytes"]:
            return False
    return True
