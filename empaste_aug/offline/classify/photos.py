"""What the classifier is trained on: photos of several sources, cached, augmented."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empaste_aug.imageio import read_image
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.types import ArgumentError


class PhotoSource(Protocol):
    """The part of a `Dataset` that training reads: never its instances."""

    @property
    def name(self) -> str:
        """Shown in messages."""

    @property
    def class_names(self) -> Sequence[str]:
        """`LabelledImage.labels` index into these."""

    @property
    def images(self) -> Sequence[LabelledImage]:
        """The photos."""


@dataclass(frozen=True)
class LabelledPhotos:
    """The photos of the main data set (the first `main`) and of the extra ones, in one list.

    Attributes:
        images: N photos.
        targets: (N, K) bool, K classes of the main data set.
        known: (N, K) bool, False where the photo's source does not label that class at all, so
            that its absence says nothing.
        main: how many of the photos are the main data set's.
    """

    images: tuple[LabelledImage, ...]
    targets: NDArray[np.bool_]
    known: NDArray[np.bool_]
    main: int


def merge_sources(
    dataset: PhotoSource,
    extra: Sequence[PhotoSource] = (),
    *,
    class_map: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
) -> LabelledPhotos:
    """One list of photos with the main data set's classes; classes are matched by name.

    Args:
        dataset: its class names are the classifier's.
        extra: further photos with image-level labels only.
        class_map: an extra source's class name -> the main data set's.
        exclude: class names of the extra sources whose labels are dropped; their photos stay.

    Raises:
        ArgumentError: an extra class that is neither the main data set's, mapped nor excluded.
    """
    renamed = dict(class_map or {})
    columns = {name: k for k, name in enumerate(dataset.class_names)}
    images: list[LabelledImage] = []
    targets: list[NDArray[np.bool_]] = []
    known: list[NDArray[np.bool_]] = []
    for source in (dataset, *extra):
        names = source.class_names
        if source is not dataset:
            names = [renamed.get(n, n) for n in names]
            unknown = [
                own
                for own, name in zip(source.class_names, names, strict=True)
                if name not in columns and own not in exclude
            ]
            if unknown:
                raise ArgumentError(
                    f"extra: {source.name} has classes {unknown} that {dataset.name} has not; "
                    "map them with class_map or drop them with exclude"
                )
        column = [
            -1 if source is not dataset and own in exclude else columns[name]
            for own, name in zip(source.class_names, names, strict=True)
        ]
        labelled = np.zeros(len(columns), dtype=bool)
        labelled[[k for k in column if k >= 0]] = True
        for image in source.images:
            row = np.zeros(len(columns), dtype=bool)
            row[[column[label] for label in image.labels if column[label] >= 0]] = True
            images.append(image)
            targets.append(row)
            known.append(labelled)
    if not images:
        raise ArgumentError(f"dataset: {dataset.name} holds no photo to train on")
    return LabelledPhotos(
        tuple(images), np.stack(targets), np.stack(known), main=len(dataset.images)
    )


class PhotoCache:
    """Photos resized on their short side, kept in memory where all of them fit a budget.

    Args:
        images: the photos.
        short_side: pixels; a smaller photo is left as it is.
        budget: bytes; where the resized photos would need more, each is read anew at each use.
    """

    def __init__(self, images: Sequence[LabelledImage], *, short_side: int, budget: int) -> None:
        self.images = images
        self.short_side = short_side
        need = 0
        for image in images:
            height, width = self._size(image.height, image.width)
            need += 3 * height * width
        self.fits = need <= budget
        self._photos: list[NDArray[np.uint8] | None] = [None] * len(images)

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.images)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 RGB, the short side at most `short_side`; not to be written to."""
        photo = self._photos[index]
        if photo is None:
            photo = read_image(self.images[index].path)
            height, width = self._size(*photo.shape[:2])
            if (height, width) != photo.shape[:2]:
                photo = np.asarray(
                    cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA),
                    dtype=np.uint8,
                )
            if self.fits:
                self._photos[index] = photo
        return photo

    def _size(self, height: int, width: int) -> tuple[int, int]:
        scale = min(1.0, self.short_side / min(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))


class AugmentedPhotos(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """One epoch's random views; a view depends on (seed, epoch, photo) and on nothing else.

    Random resized crop (at least `min_crop` of the area), mirroring, and brightness, contrast
    and saturation within +-`jitter`, by torchvision's v2 transforms. In a share of `erase` of the
    views a rectangle of 5 to 35 % of the area is `grey`.
    """

    def __init__(
        self,
        photos: PhotoCache,
        *,
        size: int,
        min_crop: float,
        jitter: float,
        erase: float,
        grey: Sequence[int],
        seed: int,
        epoch: int,
    ) -> None:
        from torchvision.transforms import v2

        self.photos = photos
        self.seed = seed
        self.epoch = epoch
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(min_crop, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter),
                v2.RandomErasing(erase, scale=(0.05, 0.35), value=list(grey)),
            ]
        )

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """((3, S, S) uint8, index)."""
        key = np.random.SeedSequence((self.seed, self.epoch, index)).generate_state(1, np.uint64)
        photo = torch.from_numpy(self.photos[index]).permute(2, 0, 1)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # ten times faster than two threads on a photo, on a busy machine
        try:
            with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
                torch.manual_seed(int(key[0] >> np.uint64(1)))
                view: Tensor = self.transform(photo)
        finally:
            torch.set_num_threads(threads)
        return view, index
