"""What an export is asked to be: how many samples of which stream, in which format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from empaste_aug.bank.checks import check_integer
from empaste_aug.types import ArgumentError

ImageFormat = Literal["jpg", "png"]
Segmentation = Literal["rle", "polygon"]

IMAGE_FORMATS: tuple[str, ...] = get_args(ImageFormat)
SEGMENTATIONS: tuple[str, ...] = get_args(Segmentation)

_MOST = 10**9


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How many samples, of which stream, and in which format.

    Args:
        number: how many samples: those at the positions 0 to number - 1 of the stream.
        seed: the stream's, >= 0.
        shuffle: whether each epoch of the stream is a new permutation of the photos.
        image_format: "png" holds the pixels exactly, "jpg" takes a fifth of the space.
        quality: of JPEG files, 1 to 100; colours have half the resolution (4:2:0), as those of
            photos have.
        segmentation: "rle" holds masks exactly, in COCO's compressed form; "polygon" cannot hold
            holes, which are filled. Crowd regions are RLE in both.

    Raises:
        ArgumentError: an argument is out of range.
    """

    number: int
    seed: int = 0
    shuffle: bool = True
    image_format: ImageFormat = "jpg"
    quality: int = 95
    segmentation: Segmentation = "rle"

    def __post_init__(self) -> None:
        """Check the values."""
        check_integer("number", self.number, 1, _MOST)
        check_integer("seed", self.seed, 0, 2**63 - 1)
        check_integer("quality", self.quality, 1, 100)
        if self.image_format not in IMAGE_FORMATS:
            raise ArgumentError(f"image_format: {self.image_format!r} is none of {IMAGE_FORMATS}")
        if self.segmentation not in SEGMENTATIONS:
            raise ArgumentError(f"segmentation: {self.segmentation!r} is none of {SEGMENTATIONS}")
