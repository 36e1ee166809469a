from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.alpha_matting import matting


def laplacian(image: np.ndarray, smoothness: float) -> np.ndarray:
    """The matting Laplacian, dense: the leftovers of a ridge regression in every window."""
    height, width = image.shape[:2]
    total = np.zeros((height * width,) * 2)
    number = np.arange(height * width).reshape(height, width)
    for y in range(height - 2):
        for x in range(width - 2):
            window = number[y : y + 3, x : x + 3].ravel()
            colours = image[y : y + 3, x : x + 3].reshape(9, 3)
            # min over a, b of |alpha - C a - b|^2 + 9 * smoothness * |a|^2
            design = np.hstack([colours, np.ones((9, 1))])
            ridge = np.diag([9 * smoothness] * 3 + [0])
            hat = design @ np.linalg.solve(design.T @ design + ridge, design.T)
            total[np.ix_(window, window)] += np.eye(9) - hat
    return total


@pytest.mark.parametrize("pull", [0.0, 0.02])
@pytest.mark.parametrize("size", [(3, 3), (4, 7), (9, 8)])
def test_it_minimises_the_laplacian_and_the_pull(
    rng: np.random.Generator, size: tuple[int, int], pull: float
) -> None:
    image = rng.uniform(size=(*size, 3))
    mask = rng.integers(0, 2, size).astype(float)
    unsure = rng.uniform(size=size) < 0.4
    unsure[0, 0], unsure[-1, -1] = True, False
    form = laplacian(image, 1e-3) + pull * np.eye(mask.size)
    free = unsure.ravel()
    fixed = mask.ravel()[~free]
    right = pull * mask.ravel()[free] - form[np.ix_(free, ~free)] @ fixed
    expected = mask.copy()
    expected[unsure] = np.clip(np.linalg.solve(form[np.ix_(free, free)], right), 0, 1)
    found = matting(image, mask, unsure, smoothness=1e-3, pull=pull)
    assert np.abs(found - expected).max() < 2e-3
    assert (found[~unsure] == mask[~unsure]).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 9)])
def test_a_photo_without_a_window_keeps_the_mask(size: tuple[int, int]) -> None:
    mask = np.ones(size)
    mask[0, 0] = 0
    found = matting(np.ones((*size, 3)), mask, np.ones(size, bool), smoothness=1e-4, pull=0)
    assert (found == mask).all()


def test_nothing_unsure_changes_nothing() -> None:
    mask = np.eye(5)
    found = matting(np.ones((5, 5, 3)), mask, np.zeros((5, 5), bool), smoothness=1e-4, pull=0)
    assert (found == mask).all()
    assert found is not mask


def test_a_flat_photo_keeps_the_edge_where_the_mask_has_it() -> None:
    mask = np.zeros((20, 20))
    mask[:, 8:] = 1
    unsure = np.zeros((20, 20), bool)
    unsure[:, 4:12] = True
    found = matting(np.full((20, 20, 3), 0.5), mask, unsure, smoothness=1e-4, pull=0.1)
    assert ((found >= 0.5) == (mask == 1)).all()
