"""An export's folder and what the export reads: neither may lie in the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from empaste_aug.export.photos import BankPhotos, DatasetPhotos, Photos, PoolPhotos
from empaste_aug.offline.datasets.voc import VOCDataset
from empaste_aug.offline.folders import check_apart
from empaste_aug.paste import EMPaste
from empaste_aug.pool import Backgrounds


def check_sources_apart(
    output: str | Path, photos: Photos, paste: EMPaste, backgrounds: Backgrounds | None
) -> None:
    """Refuse a folder that lies in one that the export reads, or that one of these lies in.

    Photos of a user's own class are not looked at.

    Raises:
        ArgumentError: they are not apart.
    """
    check_apart(output, paste.bank.path, "paste")
    if backgrounds is not None:
        check_apart(output, backgrounds.pool.path, "backgrounds")
    for folder in _folders_of(photos):
        check_apart(output, folder, "photos")


def _folders_of(photos: Photos) -> Iterator[Path]:
    if isinstance(photos, DatasetPhotos):
        yield photos.dataset.image_root
        if isinstance(photos.dataset, VOCDataset):
            yield photos.dataset.root
    elif isinstance(photos, BankPhotos):
        yield photos.image_root
        yield photos.bank.path
    elif isinstance(photos, PoolPhotos):
        yield photos.pool.path
