"""Selections that spawned processes can import, and what such a process draws with them."""

from __future__ import annotations

import pickle

import numpy as np

from empaste_aug import Instance, Scene


class OnePerObject:
    """The cut-out whose row is the number of objects that were there, plus a draw."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, scene: Scene, rng: np.random.Generator) -> int:
        return len(scene.instances) + int(rng.integers(self.most))


def scene(*categories: int) -> Scene:
    """A black image with a box for each category."""
    instances = [Instance(category, (2, 2, 8, 8)) for category in categories]
    return Scene(np.zeros((40, 50, 3), dtype=np.uint8), instances)


def drawn_rows(pickled: bytes) -> list[int]:
    """Twenty draws of a pickled selector."""
    selector = pickle.loads(pickled)
    rng = np.random.default_rng(8)
    return [selector.draw(rng, scene(0)) for _ in range(20)]
