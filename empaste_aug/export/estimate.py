"""How large an export will be, and how long it will take, from a few of its samples."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from empaste_aug.export.block import encoded
from empaste_aug.export.coco import annotation_entries, image_entry
from empaste_aug.export.layout import image_name
from empaste_aug.export.options import ExportOptions
from empaste_aug.export.photos import Photos
from empaste_aug.export.sample import ExportStream
from empaste_aug.offline.folders import plain_path
from empaste_aug.paste import EMPaste
from empaste_aug.pool import Backgrounds

SAMPLES = 24
"""How many samples an estimate makes."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an export will take, judged by a few of its samples.

    Attributes:
        image_bytes: of all images.
        json_bytes: of the annotations. While the export is made, the parts take as much again.
        free_bytes: on the disk of the output folder.
        seconds: of one process.
        samples: how many were made.
    """

    image_bytes: int
    json_bytes: int
    free_bytes: int
    seconds: float
    samples: int

    @property
    def peak_bytes(self) -> int:
        """The most that the export will take at any time."""
        return self.image_bytes + 2 * self.json_bytes


def estimate_export(
    output: str | Path,
    photos: Photos,
    paste: EMPaste,
    options: ExportOptions,
    *,
    backgrounds: Backgrounds | None = None,
) -> Estimate:
    """Make a few samples, spread over the stream, and write nothing.

    The arguments are those of `export_dataset`, which also says what is raised.
    """
    stream = ExportStream(
        photos, paste, seed=options.seed, shuffle=options.shuffle, backgrounds=backgrounds
    )
    count = min(SAMPLES, options.number)
    positions = [k * options.number // count for k in range(count)]
    paste.warmup()
    image_bytes = json_bytes = 0
    start = time.perf_counter()
    for position in positions:
        (sample,) = stream.samples(position, position + 1)
        image_bytes += len(encoded(sample, options))
        entries, _ = annotation_entries(sample, paste.bank, options.segmentation)
        name = image_name(position, options.image_format)
        entry = image_entry(sample, stream, name)
        json_bytes += len(json.dumps(entry)) + sum(len(json.dumps(e)) + 14 for e in entries)
    seconds = time.perf_counter() - start
    share = options.number / count
    return Estimate(
        image_bytes=round(image_bytes * share),
        json_bytes=round(json_bytes * share),
        free_bytes=shutil.disk_usage(_existing(plain_path(output).absolute())).free,
        seconds=seconds * share,
        samples=count,
    )


def _existing(path: Path) -> Path:
    """The path, or the lowest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
