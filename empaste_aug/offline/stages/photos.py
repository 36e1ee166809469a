"""The photos that a build works on: the data set's, and extra ones with labels only."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import sha256_of
from empaste_aug.imageio import read_image
from empaste_aug.offline.datasets.base import Dataset, LabelledImage
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.cache import digest_of_rows
from empaste_aug.types import ArgumentError, DatasetError

EXTRA = "extra/"
"""What the names of extra photos start with; no data set's image id holds a slash."""

EXTRA_USES = ("both", "classifier")


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a build.

    Attributes:
        image: as its data set describes it.
        labels: its classes as ids of the *main* data set, ascending.
        digest: SHA-256 (hex) of the file.
        extra: it comes from the extra photos, which have labels only.
    """

    image: LabelledImage
    labels: tuple[int, ...]
    digest: str
    extra: bool = False

    @property
    def name(self) -> str:
        """Unique in the build: the image id, behind "extra/" for an extra photo."""
        return EXTRA + self.image.image_id if self.extra else self.image.image_id

    def read(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, upright.

        Raises:
            DatasetError: the file cannot be read, or has another size than at the start.
        """
        image = read_image(self.image.path)
        expected = (self.image.height, self.image.width)
        if image.shape[:2] != expected:
            raise DatasetError(
                f"{self.image.path}: is {image.shape[:2]} (height, width), "
                f"but was {expected} when the data set was checked"
            )
        return image


@dataclass(frozen=True)
class ExtraSource:
    """Extra photos for the classifier: what is left of a data set, without repeated photos."""

    name: str
    class_names: tuple[str, ...]
    images: Sequence[LabelledImage]


@dataclass(frozen=True)
class BuildPhotos:
    """The photos of one build, in order.

    Attributes:
        main: the data set's, with and without labels.
        extra: extra ones.
        used: those with labels that F-EM works on.
        sources: the extra ones as data sets to train on.
    """

    main: list[Photo]
    extra: list[Photo]
    used: list[Photo]
    sources: list[ExtraSource]


def gather_photos(
    dataset: Dataset,
    extra: Dataset | None = None,
    *,
    extra_for: str = EXTRA_USES[0],
    progress: bool = True,
) -> BuildPhotos:
    """List and hash the photos of a build.

    Args:
        dataset: photos with image-level labels; its instances are never read.
        extra: further photos with image-level labels only, with class names of `dataset`. Photos
            that are files of `dataset` too are left out.
        extra_for: "both": they train the classifier and take part in F-EM's statistics;
            "classifier": they only train.
        progress: show bars on stderr.

    Raises:
        ArgumentError: `dataset` holds no photo, `extra_for` is unknown, or `extra` has a class that
            `dataset` has not.
        DatasetError: a photo cannot be read.
    """
    if extra_for not in EXTRA_USES:
        raise ArgumentError(f"extra_for: must be one of {', '.join(EXTRA_USES)}, not {extra_for!r}")
    if not dataset.images:
        raise ArgumentError(f"dataset: {dataset.name} holds no photo")
    main = list_photos(dataset, progress=progress)
    added: list[Photo] = []
    sources: list[ExtraSource] = []
    if extra is not None:
        added, source = list_extra(extra, dataset.class_names, main, progress=progress)
        sources.append(source)
    candidates = [*main, *(added if extra_for == "both" else [])]
    return BuildPhotos(main, added, [photo for photo in candidates if photo.labels], sources)


def list_photos(dataset: Dataset, *, progress: bool = True) -> list[Photo]:
    """The photos of the main data set, hashed, in its order."""
    digests = hash_files([image.path for image in dataset.images], progress=progress)
    return [
        Photo(image, image.labels, digest)
        for image, digest in zip(dataset.images, digests, strict=True)
    ]


def list_extra(
    extra: Dataset, class_names: Sequence[str], photos: Sequence[Photo], *, progress: bool = True
) -> tuple[list[Photo], ExtraSource]:
    """The extra photos, without those that are files of the main data set too.

    Args:
        extra: its instances are never read.
        class_names: the main data set's; the extra classes are matched by name.
        photos: the main data set's.
        progress: show a bar on stderr.

    Returns:
        The photos, and the same as a source to train on.

    Raises:
        ArgumentError: an extra class that the main data set does not have.
    """
    ids = {name: number for number, name in enumerate(class_names)}
    unknown = [name for name in extra.class_names if name not in ids]
    if unknown:
        raise ArgumentError(
            f"extra: {extra.name} has classes {', '.join(unknown)}, which the data set has not"
        )
    known = {photo.digest for photo in photos}
    digests = hash_files([image.path for image in extra.images], progress=progress)
    fresh = [
        (image, digest)
        for image, digest in zip(extra.images, digests, strict=True)
        if digest not in known
    ]
    found = [
        Photo(
            image,
            tuple(sorted(ids[extra.class_names[label]] for label in image.labels)),
            digest,
            extra=True,
        )
        for image, digest in fresh
    ]
    source = ExtraSource(extra.name, tuple(extra.class_names), [image for image, _ in fresh])
    return found, source


def listing_hash(photos: Sequence[Photo], class_names: Sequence[str]) -> str:
    """A hash of what a build learns from: every photo's name, content and labels, the classes."""
    rows = ([photo.name, photo.digest, list(photo.labels)] for photo in photos)
    return digest_of_rows(rows, list(class_names))


def hash_files(paths: Sequence[Path], *, progress: bool = True) -> list[str]:
    """SHA-256 (hex) of each file.

    Raises:
        DatasetError: a file cannot be read.
    """
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(_hash_file, paths)
        return list(
            progress_bar(
                results,
                total=len(paths),
                description="hashing",
                unit="photo",
                delay=2,
                show=progress,
            )
        )


def _hash_file(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
