"""A finished export looked through: what it has lost is found, and made again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from empaste_aug.bank.files import sha256_of
from empaste_aug.bank.schema import TEMPORARY
from empaste_aug.export.block import Job, encoded, write_image
from empaste_aug.export.layout import ANNOTATIONS, HASHES, IMAGES, image_name, stray_files
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import DatasetError

_ANEW = "overwrite=True makes the export anew"


class Lost(NamedTuple):
    """An image that is gone or damaged.

    Attributes:
        position: in the stream.
        sha256: of its file when it was whole.
    """

    position: int
    sha256: str


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare the sizes of a finished export's tables with its manifest.

    Raises:
        DatasetError: one of them is gone or damaged.
    """
    for name in (ANNOTATIONS, HASHES):
        file, wanted = folder / name, manifest["files"][name]["bytes"]
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            raise DatasetError(f"{file}: is gone; {_ANEW}") from None
        if size != wanted:
            raise DatasetError(f"{file}: is damaged, {size} bytes of {wanted}; {_ANEW}")


def all_there(job: Job, manifest: dict[str, Any]) -> bool:
    """Whether every image of a finished export is there, and their sizes sum to what they did."""
    total = 0
    for position in range(job.options.number):
        try:
            total += _path(job, position).stat().st_size
        except FileNotFoundError:
            return False
    return bool(total == manifest["counts"]["image_bytes"])


def lost_images(
    job: Job, manifest: dict[str, Any], blocks: Iterable[int], *, show_progress: bool
) -> list[Lost]:
    """The images of some blocks that are gone, or are not what ``images.sha256`` says.

    Raises:
        DatasetError: ``images.sha256`` is damaged.
        OSError: an image cannot be read.
    """
    file = job.folder / HASHES
    if sha256_of(file) != manifest["files"][HASHES]["sha256"]:
        raise DatasetError(f"{file}: is damaged, its SHA-256 is not the manifest's; {_ANEW}")
    digests = [line.split(maxsplit=1)[0] for line in file.read_text("utf-8").splitlines()]
    positions = [position for block in blocks for position in job.positions(block)]
    return [
        Lost(position, digests[position])
        for position in progress_bar(
            positions, description="checking", unit="image", delay=2, show=show_progress
        )
        if not _is_whole(_path(job, position), digests[position])
    ]


def mend_image(job: Job, lost: Lost) -> None:
    """Make an image again.

    Raises:
        DatasetError: it would be another one now; nothing is written then.
        EMPasteError: a photo, cut-out or background cannot be read.
        OSError: the file cannot be written.
    """
    (sample,) = job.stream.samples(lost.position, lost.position + 1)
    data = encoded(sample, job.options)
    if hashlib.sha256(data).hexdigest() != lost.sha256:
        raise DatasetError(
            f"{_path(job, lost.position)}: is gone or damaged, and would be another image now, "
            f"since what it is made of has changed; {_ANEW}"
        )
    write_image(job, image_name(lost.position, job.options.image_format), data)


def remove_unfinished(job: Job) -> None:
    """Take away what killed processes left of images that are there now."""
    for file in stray_files(job.folder, set()):
        if file.name.endswith(TEMPORARY):
            file.unlink()


def _path(job: Job, position: int) -> Path:
    return job.folder / IMAGES / image_name(position, job.options.image_format)


def _is_whole(file: Path, digest: str) -> bool:
    try:
        return sha256_of(file) == digest
    except FileNotFoundError:
        return False
