"""Numba kernels: arrays and scalars in, arrays and scalars out, no random numbers, no classes.

Each module has kernels and, below them, public wrappers that check and cast. A kernel is compiled
at its first call, which takes a second or more; `warmup` does that once, in the parent of the
DataLoader's workers, so that forked workers find it done and spawned ones load it from the cache
on disk.
"""

from __future__ import annotations

import numpy as np

from empaste_aug.kernels import blend, circle, visibility


def warmup() -> None:
    """Compile every kernel for the argument types that the wrappers pass; again costs nothing."""
    mask = np.ones((3, 3), np.bool_)
    cover = np.zeros((3, 3), np.bool_)
    image = np.zeros((3, 3, 3), np.uint8)
    distances = circle.column_distances(cover)
    circle.update_column_distances(cover, distances, 0, 3)
    circle.search_circle(distances)
    alpha = blend.feather(mask)
    blend.composite(image, image.copy(), alpha, 0, 0)
    blend.gaussian_paste(image, image.copy(), mask, 0, 0)
    visibility.count_overlap(mask, 0, 0, cover)
    visibility.trim(mask, 0, 0, cover)
    visibility.paint(mask, 0, 0, cover)
