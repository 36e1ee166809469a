"""What every data set yields: photos with image-level labels, and instances to evaluate on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import Box


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One photo and its image-level labels: all that the weakly supervised stages may see.

    Attributes:
        image_id: unique in the data set; also the name of its cache files, so no path separators.
        path: the image file.
        file_name: the path relative to the data set's image folder, POSIX style.
        labels: contiguous category ids that occur in the image, ascending; may be empty.
        height, width: size in pixels after EXIF rotation.
    """

    image_id: str
    path: Path
    file_name: str
    labels: tuple[int, ...]
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """One annotated object; for evaluation and for fully supervised banks only.

    Attributes:
        category_id: contiguous category id.
        mask: (H, W) bool, full image size.
        bbox: tight XYXY half-open box of the mask.
        crowd: a crowd region.
    """

    category_id: int
    mask: NDArray[np.bool_]
    bbox: Box
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a data set's files: which file or annotation, and what."""

    where: str
    what: str


@dataclass
class Dataset(ABC):
    """Photos with image-level labels; built by `empaste_aug.offline.datasets.load_dataset`.

    Attributes:
        name: shown in reports.
        class_names: contiguous; `class_names[category_id]`.
        images: in sorted order of image_id.
        image_root: the folder that `file_name` is relative to.
        problems: what was skipped (empty unless the data set was loaded with `skip_bad`).
    """

    name: str
    class_names: tuple[str, ...]
    images: Sequence[LabelledImage]
    image_root: Path
    problems: Sequence[Problem] = field(default_factory=list)

    @property
    @abstractmethod
    def has_instances(self) -> bool:
        """Whether `instances` has anything to give."""

    @abstractmethod
    def instances(self, image: LabelledImage) -> list[GroundTruth]:
        """The annotated objects of one photo, in the order of their files."""

    @abstractmethod
    def ignored(self, image: LabelledImage) -> NDArray[np.bool_] | None:
        """(H, W) bool, True where pixels count neither way (VOC's 255); None where all count."""

    def is_annotated(self, image: LabelledImage) -> bool:  # noqa: ARG002
        """Whether the objects of this photo are known; False differs from "it has none"."""
        return self.has_instances

    def object_counts(self, image: LabelledImage) -> Counter[int]:
        """Objects per category id, without crowd regions: what `instances` would give, faster."""
        return Counter(truth.category_id for truth in self.instances(image) if not truth.crowd)
