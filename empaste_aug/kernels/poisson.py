"""Poisson blending (Perez et al. 2003; paper 3.3, blending) fast enough for DataLoader workers.

The pasted object keeps its own gradients and takes its colour from the place where it lands. Inside
the region, the mask's pixels that are drawn, the result f has the Laplacian of `rgb`; on the pixels
around it f is the image. With f = rgb + u the membrane u is harmonic: each u(p) is the mean of u
over p's neighbours, and u = image - rgb on the known ones. So only a smooth function must be found:

    sum over 4-neighbours q of p, unknown or known:  u(q) - u(p) = 0

A neighbour is known if it lies in the image, outside the mask, and `keep` is not 0 there. A
neighbour that is none of both does not occur in the sum, so that no flow goes there (Neumann): the
image's border, and all that `keep` excludes. What lies there, padding or an object in front, is not
what the object was pasted on, and its colour shall not flow into the object; the cut stays as sharp
as the edge of an occluder. A part of the region without any known neighbour has u = 0.

The equations are solved by multigrid on the object's box in float32, in time linear in its pixels:
on photos u is exact to about half a grey level at worst and 0.03 on average, before it is rounded.

``cv2.seamlessClone`` solves another problem: on the whole bounding rectangle, with the gradients
of the object inside the mask eroded by three pixels, and those of the image elsewhere. There the
image is a boundary value on the rectangle only, so that the pixels around the object change too.
On cut-outs of objects the erosion makes most of the difference: the image is then compared with
the object's own rim, and not with what surrounded it in its photo. For that look, pass a mask
eroded by a 7x7 square.
``benchmarks/poisson.py`` measures all this.
"""

from __future__ import annotations

from operator import index

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._check import (
    Mask,
    as_rows,
    check_paste,
)
from empaste_aug.kernels._poisson_cells import list_cells
from empaste_aug.kernels._poisson_equations import set_equations
from empaste_aug.kernels._poisson_region import find_region
from empaste_aug.kernels._poisson_solve import solve
from empaste_aug.kernels._poisson_write import write

__all__ = ["compile_poisson", "poisson_paste"]


def poisson_paste(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    mask: Mask,
    x0: int,
    y0: int,
    keep: Mask | None = None,
) -> None:
    """Paste an object with Poisson blending, in place.

    The patch may stick out of the image on any side. Only pixels in the mask change; the result is
    clamped to 0..255 and rounded, halves up.

    Args:
        image: (H, W, 3) uint8, changed in place. Best C-contiguous, or it is copied twice.
        rgb: (h, w, 3) uint8, the patch. The pixels next to the mask count as well: what they
            differ from the image is taken from the object. Beyond the patch its border is
            repeated.
        mask: (h, w) bool or uint8, the object's pixels.
        x0: column of the image where the patch's left column lies; may be negative.
        y0: row of the image where the patch's top row lies; may be negative.
        keep: (h, w) bool or uint8; where it is 0 the image is neither changed nor looked at, as if
            it ended there. None: paste everywhere.

    Raises:
        ArgumentError: an array has a wrong dtype or shape, or `image` is read-only.

    Example:
        >>> import numpy as np
        >>> from empaste_aug.kernels.poisson import poisson_paste
        >>> image = np.full((6, 8, 3), 200, np.uint8)
        >>> rgb = np.full((4, 4, 3), 50, np.uint8)
        >>> rgb[1, 2] = 60
        >>> mask = np.zeros((4, 4), bool)
        >>> mask[1:3, 1:3] = True
        >>> poisson_paste(image, rgb, mask, x0=2, y0=1)
        >>> image[2:4, 3:5, 0]
        array([[200, 210],
               [200, 200]], dtype=uint8)
    """
    pixels, binary, kept = check_paste(image, rgb, mask, keep)
    x0, y0 = index(x0), index(y0)
    if binary.size == 0 or image.size == 0:
        return
    target = np.ascontiguousarray(image)
    _paste(as_rows(target), pixels, binary, x0, y0, kept)
    if target is not image:
        image[...] = target


def compile_poisson() -> None:
    """Compile the kernels for the argument types that `poisson_paste` passes."""
    image = np.zeros((5, 5, 3), np.uint8)
    mask = np.zeros((3, 3), np.bool_)
    mask[1, 1] = True
    poisson_paste(image, image[:3, :3], mask, 1, 1)


def _paste(
    image: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    x0: int,
    y0: int,
    keep: NDArray[np.uint8],
) -> None:
    region, fixed, left, top, width = find_region(image, rgb, mask, x0, y0, keep)
    if not region.any():
        return
    table, unknown, plain, run_start, runs, rim_start, rim, size = list_cells(region, width)
    equations, source = set_equations(
        region, fixed, image, rgb, left, top, x0, y0, table, plain, rim_start, rim
    )
    grids = solve(table, unknown, run_start, runs, rim_start, rim, equations, source, size)
    write(image, rgb, region, left, top, x0, y0, width, table, grids)
