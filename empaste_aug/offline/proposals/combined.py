"""Several proposal methods as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.proposals.base import ProposalMethod, Segment
from empaste_aug.types import ArgumentError


class Combined:
    """The segments of several methods, one method after another.

    Args:
        methods: with different names; picklable, if the whole is to be.

    Attributes:
        name: the methods' names joined by "+".

    Raises:
        ArgumentError: there is no method, or two have one name.
    """

    def __init__(self, methods: Sequence[ProposalMethod]) -> None:
        names = [method.name for method in methods]
        if not names:
            raise ArgumentError("methods: at least one is needed")
        if len(set(names)) < len(names):
            raise ArgumentError(f"methods: {', '.join(names)} holds a name twice")
        self.methods = tuple(methods)
        self.name = "+".join(names)

    def config(self) -> dict[str, Any]:
        """Each method's config by its name."""
        return {method.name: method.config() for method in self.methods}

    def __call__(self, image: NDArray[np.uint8], *, image_id: str) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo."""
        return [segment for method in self.methods for segment in method(image, image_id=image_id)]
