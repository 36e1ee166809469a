"""Closed-form matting of a narrow rim (Levin, Lischinski, Weiss, CVPR 2006).

In every 3 x 3 window alpha is taken to be an affine function of the colour. What that leaves over,
summed over the windows, is a quadratic form in alpha, the matting Laplacian; with the sure pixels
fixed its minimum is a sparse linear system, here over the unsure pixels only. To it comes a pull
towards the mask that was given, which decides where colour says nothing.

One thread, a fixed order of summation: the same input gives the same bytes anywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.kernels._jit import kernel

_REACH = 2  # two pixels share a window if they are at most this far apart along each axis
_SPAN = 2 * _REACH + 1
_TOLERANCE = 1e-4  # of the residual, relative to the first one; alpha has 255 steps
_ROUNDS = 400


def matting(
    image: NDArray[np.float64],
    alpha: NDArray[np.float64],
    unsure: NDArray[np.bool_],
    *,
    smoothness: float,
    pull: float,
) -> NDArray[np.float64]:
    """Alpha on the unsure pixels, from those that are sure.

    Args:
        image: (h, w, 3) float64 in [0, 1].
        alpha: (h, w) float64, the sure pixels' alpha and the mask on the others.
        unsure: (h, w) bool.
        smoothness: the variance of colour below which a window counts as flat, > 0; with more,
            faint edges are ignored.
        pull: the weight, 0 or more, of (alpha - mask)**2 at an unsure pixel.

    Returns:
        (h, w) float64 in [0, 1].
    """
    index = np.full(unsure.shape, -1, np.int64)
    index[unsure] = np.arange(np.count_nonzero(unsure))
    matted = np.array(alpha, dtype=np.float64)
    start = matted[unsure]
    if start.size == 0:
        return matted
    values = np.zeros((start.size, _SPAN * _SPAN))
    columns = np.full((start.size, _SPAN * _SPAN), -1, np.int64)
    right = np.zeros(start.size)
    _assemble(np.ascontiguousarray(image), matted, index, smoothness, values, columns, right)
    values[:, _SPAN * _SPAN // 2] += pull
    columns[:, _SPAN * _SPAN // 2] = np.arange(start.size)
    right += pull * start
    _solve(values, columns, right, start, _TOLERANCE, _ROUNDS)
    matted[unsure] = np.clip(start, 0, 1)
    return matted


@kernel
def _assemble(
    image: Any, alpha: Any, index: Any, smoothness: float, values: Any, columns: Any, right: Any
) -> None:
    """Add every window's share to the rows of its unsure pixels: `values` at `columns`, `right`."""
    height, width = index.shape
    centred = np.empty((9, 3))
    turned = np.empty(3)
    inverse = np.empty((3, 3))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            any_unsure = False
            for k in range(9):
                if index[y + k // 3 - 1, x + k % 3 - 1] >= 0:
                    any_unsure = True
            if not any_unsure:
                continue
            for c in range(3):
                mean = 0.0
                for k in range(9):
                    centred[k, c] = image[y + k // 3 - 1, x + k % 3 - 1, c]
                    mean += centred[k, c]
                mean /= 9.0
                for k in range(9):
                    centred[k, c] -= mean
            _invert_covariance(centred, smoothness, inverse)
            for i in range(9):
                row = index[y + i // 3 - 1, x + i % 3 - 1]
                if row < 0:
                    continue
                for c in range(3):
                    turned[c] = (
                        inverse[c, 0] * centred[i, 0]
                        + inverse[c, 1] * centred[i, 1]
                        + inverse[c, 2] * centred[i, 2]
                    )
                for j in range(9):
                    value = -1.0
                    for c in range(3):
                        value -= turned[c] * centred[j, c]
                    value /= 9.0
                    if i == j:
                        value += 1.0
                    column = index[y + j // 3 - 1, x + j % 3 - 1]
                    if column < 0:
                        right[row] -= value * alpha[y + j // 3 - 1, x + j % 3 - 1]
                    else:
                        place = (j // 3 - i // 3 + _REACH) * _SPAN + j % 3 - i % 3 + _REACH
                        values[row, place] += value
                        columns[row, place] = column


@kernel
def _invert_covariance(centred: Any, smoothness: float, inverse: Any) -> None:
    """The inverse of the 3 x 3 covariance of nine centred colours, `smoothness` added to it."""
    a = b = c = smoothness
    d = e = f = 0.0
    for k in range(9):
        a += centred[k, 0] * centred[k, 0] / 9.0
        b += centred[k, 1] * centred[k, 1] / 9.0
        c += centred[k, 2] * centred[k, 2] / 9.0
        d += centred[k, 0] * centred[k, 1] / 9.0
        e += centred[k, 0] * centred[k, 2] / 9.0
        f += centred[k, 1] * centred[k, 2] / 9.0
    inverse[0, 0] = b * c - f * f
    inverse[0, 1] = inverse[1, 0] = e * f - d * c
    inverse[0, 2] = inverse[2, 0] = d * f - e * b
    inverse[1, 1] = a * c - e * e
    inverse[1, 2] = inverse[2, 1] = d * e - a * f
    inverse[2, 2] = a * b - d * d
    determinant = a * inverse[0, 0] + d * inverse[0, 1] + e * inverse[0, 2]
    for i in range(3):
        for j in range(3):
            inverse[i, j] /= determinant


@kernel
def _multiply(values: Any, columns: Any, vector: Any, product: Any) -> None:
    for row in range(vector.size):
        total = 0.0
        for place in range(values.shape[1]):
            column = columns[row, place]
            if column >= 0:
                total += values[row, place] * vector[column]
        product[row] = total


@kernel
def _solve(
    values: Any, columns: Any, right: Any, solution: Any, tolerance: float, rounds: int
) -> None:
    """Conjugate gradients with the diagonal as preconditioner, from `solution`, in place."""
    size, middle = solution.size, values.shape[1] // 2
    product = np.empty(size)
    _multiply(values, columns, solution, product)
    residual, direction, scaled = np.empty(size), np.empty(size), np.empty(size)
    energy = 0.0
    for row in range(size):
        residual[row] = right[row] - product[row]
        diagonal = values[row, middle]
        scaled[row] = residual[row] / diagonal if diagonal > 0 else 0.0
        direction[row] = scaled[row]
        energy += residual[row] * scaled[row]
    stop = energy * tolerance * tolerance
    for _ in range(rounds):
        if energy <= stop or energy <= 0.0:
            return
        _multiply(values, columns, direction, product)
        curvature = 0.0
        for row in range(size):
            curvature += direction[row] * product[row]
        if curvature <= 0.0:
            return
        step, before, energy = energy / curvature, energy, 0.0
        for row in range(size):
            solution[row] += step * direction[row]
            residual[row] -= step * product[row]
            diagonal = values[row, middle]
            scaled[row] = residual[row] / diagonal if diagonal > 0 else 0.0
            energy += residual[row] * scaled[row]
        for row in range(size):
            direction[row] = scaled[row] + energy / before * direction[row]
