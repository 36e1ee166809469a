"""What a pool is made of: the numbers of the paper's recipe, as options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from empaste_aug.types import ArgumentError

SOURCES = ("generated", "object_free", "inpainted")
"""Kinds of backgrounds that a build can make, in the order in which they go into the pool."""

STAGES = ("caption", "distract", "synthesize", "rank", "object_free", "inpaint", "pool")
"""In the order in which they run."""

STAGES_OF = {
    "generated": ("caption", "distract", "synthesize", "rank"),
    "object_free": ("object_free",),
    "inpainted": ("inpaint",),
}
"""Which stages each source needs, besides the last one, `pool`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many images are made and kept (paper, 3.2 and appendix 7).

    Attributes:
        sources: out of `SOURCES`.
        captions_per_photo: the paper has 2.
        images_per_caption: 10.
        keep_per_caption: the best by CLIP that are kept of these, 5.
        share: of the data set's photos that are captioned, drawn by the seed (the paper: all of
            VOC's, a tenth of COCO's).
        seed: of the draws, captions, distractors and images.

    Raises:
        ArgumentError: a value is out of its range.
    """

    sources: Sequence[str] = ("generated",)
    captions_per_photo: int = 2
    images_per_caption: int = 10
    keep_per_caption: int = 5
    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        unknown = [name for name in self.sources if name not in SOURCES]
        if unknown or not self.sources:
            raise ArgumentError(
                f"sources: {', '.join(unknown) or 'none'} given; there are {', '.join(SOURCES)}"
            )
        for name in ("captions_per_photo", "images_per_caption", "keep_per_caption"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if self.keep_per_caption > self.images_per_caption:
            raise ArgumentError(
                f"keep_per_caption: cannot be more than the {self.images_per_caption} images of a "
                f"caption, is {self.keep_per_caption}"
            )
        if not 0 < self.share <= 1:
            raise ArgumentError(f"share: must be in (0, 1], not {self.share}")
        if self.seed < 0:
            raise ArgumentError(f"seed: must not be negative, not {self.seed}")

    @property
    def stages(self) -> list[str]:
        """The stages of all sources, and the last one."""
        needed = [stage for source in self.sources for stage in STAGES_OF[source]]
        return [stage for stage in STAGES if stage in needed or stage == "pool"]
