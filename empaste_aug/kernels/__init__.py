"""Numba kernels: arrays and scalars in, arrays and scalars out, no random numbers, no classes.

Each module has kernels and, below them, public wrappers that check and cast. A kernel is compiled
at its first call, which takes a second or more; `warmup` does that once, in the parent of the
DataLoader's workers, so that forked workers find it done and spawned ones load it from the cache
on disk.
"""

from __future__ import annotations

import numpy as np

from empaste_aug.kernels import blend, circle, mask_stack, reduce, runs, visibility, warp


def warmup() -> None:
    """Compile the kernels for the argument types that the wrappers pass; again costs nothing.

    All but those of Poisson blending, which take much longer: `poisson.compile_poisson`.
    """
    mask = np.ones((3, 3), np.bool_)
    cover = np.zeros((3, 3), np.bool_)
    image = np.zeros((3, 3, 3), np.uint8)
    distances = circle.column_distances(cover)
    circle.update_column_distances(cover, distances, (0, 0, 3, 3))
    circle.search_circle(distances)
    alpha = blend.feather(mask)
    blend.composite(image, image.copy(), alpha, 0, 0)
    blend.gaussian_paste(image, image.copy(), mask, 0, 0)
    stack = mask_stack.pack_masks([mask], [(0, 0)])
    mask_stack.count_inside(*stack, 3, 3)
    mask_stack.count_uncovered(*stack, cover)
    mask_stack.paint_stack(*stack, np.zeros((3, 3), np.uint8))
    mask_stack.count_hidden(mask, 0, 0, cover.view(np.uint8), *stack)
    visibility.trim(mask, 0, 0, cover)
    visibility.paint(mask, 0, 0, cover)
    runs.compile_runs()
    reduce.reduce_rgb(image, 2)
    reduce.reduce_alpha(image[..., 0], 2)
    enlarged = (1e-2, 0.0, 0.0, 0.0, 1e-2, 0.0)
    warp.warp(image, np.full((3, 3), 255, np.uint8), enlarged, height=2, width=3, margin=3)
