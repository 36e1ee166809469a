"""Several proposal methods as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.proposals.base import ProposalMethod, Segment
from empaste_aug.offline.proposals.duplicates import check_max_overlap, suppress_duplicates
from empaste_aug.types import ArgumentError


class Combined:
    """The segments of several methods, one method after another.

    Args:
        methods: with different names; picklable, if the whole is to be.
        max_overlap: a segment is dropped where its IoU with a stronger one, of any of the methods,
            reaches this; None keeps them all. What is called strength differs between methods
            (saliency's is mostly above hierarchy's contours), so this says which of two nearly
            equal masks stays, not which is better. Segments without a strength yield to all
            others.

    Attributes:
        name: the methods' names joined by "+".

    Raises:
        ArgumentError: there is no method, two have one name, or `max_overlap` is out of range.
    """

    def __init__(
        self, methods: Sequence[ProposalMethod], *, max_overlap: float | None = None
    ) -> None:
        names = [method.name for method in methods]
        if not names:
            raise ArgumentError("methods: at least one is needed")
        if len(set(names)) < len(names):
            raise ArgumentError(f"methods: {', '.join(names)} holds a name twice")
        check_max_overlap(max_overlap)
        self.methods = tuple(methods)
        self.name = "+".join(names)
        self.max_overlap = max_overlap

    def config(self) -> dict[str, Any]:
        """Each method's config by its name, and `max_overlap` where it is not None."""
        config: dict[str, Any] = {method.name: method.config() for method in self.methods}
        return config if self.max_overlap is None else config | {"max_overlap": self.max_overlap}

    def __call__(self, image: NDArray[np.uint8], *, image_id: str) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo."""
        found = [segment for method in self.methods for segment in method(image, image_id=image_id)]
        if self.max_overlap is None:
            return found
        kept = suppress_duplicates(found, max_overlap=self.max_overlap)
        return [found[index] for index in sorted(kept)]
