"""Objects removed: what changes, what stays bit-identical, and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.inpaint import grown_mask, inpaint_opencv
from empaste_aug.offline.inpaint_model import DiffusersInpainter
from empaste_aug.types import ArgumentError


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    return np.stack([x * 2, y * 3, (x + y) % 256], axis=2).astype(np.uint8)


def block(shape=(70, 90)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[30:45, 40:60] = True
    return mask


@pytest.mark.parametrize("method", ["telea", "ns"])
def test_opencv_continues_a_gradient_and_leaves_the_rest(photo, method):
    mask = block()
    spoilt = photo.copy()
    spoilt[mask] = (255, 0, 255)
    before = spoilt.copy()
    result = inpaint_opencv(spoilt, mask, method=method, dilate=2)
    assert np.array_equal(spoilt, before)
    region = grown_mask(spoilt, mask, 2)
    assert np.array_equal(result[~region], spoilt[~region])
    error = np.abs(result.astype(int) - photo)[region].mean()
    assert error < 8  # of the object's own colour it would be above 100
    assert not (result[mask] == (255, 0, 255)).all(axis=1).any()


def test_the_mask_grows_by_a_disc(photo):
    mask = np.zeros((70, 90), dtype=bool)
    mask[35, 45] = True
    y, x = np.mgrid[:70, :90]
    for radius in (0, 1, 2, 5, 7):
        expected = (y - 35) ** 2 + (x - 45) ** 2 <= radius**2
        assert np.array_equal(grown_mask(photo, mask, radius), expected)


def test_growing_removes_the_seam(photo):
    mask = block()
    spoilt = photo.copy()
    spoilt[28:47, 38:62] = (255, 0, 255)  # two pixels beyond the mask on each side
    left = inpaint_opencv(spoilt, mask, dilate=0)
    gone = inpaint_opencv(spoilt, mask, dilate=3)
    assert (left == (255, 0, 255)).all(axis=2).sum() > 100
    assert (gone == (255, 0, 255)).all(axis=2).sum() == 0


def test_an_empty_mask_gives_a_copy(photo, inpainting_folder):
    empty = np.zeros((70, 90), dtype=bool)
    for result in (
        inpaint_opencv(photo, empty),
        DiffusersInpainter(inpainting_folder)(photo, empty, seed=0),
    ):
        assert np.array_equal(result, photo)
        assert result is not photo


def test_masks_and_images_that_do_not_fit(photo):
    for image, mask, message in (
        (photo, block((70, 91)), r"mask: must be \(70, 90\) bool .* got \(70, 91\) bool"),
        (photo, block().astype(np.uint8), "got .* uint8"),
        (photo[..., 0], block(), r"image: must be \(H, W, 3\) uint8"),
        (photo.astype(np.float32), block(), "got .* float32"),
        (photo, np.ones((70, 90), dtype=bool), "is the whole image"),
    ):
        with pytest.raises(ArgumentError, match=message):
            inpaint_opencv(image, mask)
    with pytest.raises(ArgumentError, match="grown by 200 pixels it is the whole image"):
        inpaint_opencv(photo, block(), dilate=200)
    for options, message in (
        ({"dilate": -1}, "dilate: must be"),
        ({"radius": 0.0}, "radius: must be"),
        ({"method": "fast"}, "method: must be one of"),
    ):
        with pytest.raises(ArgumentError, match=message):
            inpaint_opencv(photo, block(), **options)


@pytest.mark.parametrize("kind", ["inpainting", "stable_diffusion"])
def test_a_model_fills_the_mask_alone(kind, request, photo):
    folder = request.getfixturevalue(f"{kind}_folder")
    model = DiffusersInpainter(folder, steps=3, dilate=2)
    mask = block()
    result = model(photo, mask, seed=1)
    assert result.shape == photo.shape
    assert result.dtype == np.uint8
    region = grown_mask(photo, mask, 2)
    assert np.array_equal(result[~region], photo[~region])
    assert np.abs(result.astype(int) - photo)[region].mean() > 5
    assert np.array_equal(model(photo, mask, seed=1), result)
    assert np.array_equal(
        DiffusersInpainter(folder, steps=3, dilate=2)(photo, mask, seed=1), result
    )
    assert not np.array_equal(model(photo, mask, seed=2), result)


@pytest.mark.parametrize("size", [(5, 5), (40, 200), (131, 67)])
def test_sizes_that_are_no_multiple_of_eight(inpainting_folder, size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, dtype=bool)
    mask[1:3, 1:4] = True
    result = DiffusersInpainter(inpainting_folder, steps=1, dilate=1, max_side=96)(
        image, mask, seed=0
    )
    region = grown_mask(image, mask, 1)
    assert result.shape == image.shape
    assert np.array_equal(result[~region], image[~region])
    assert not np.array_equal(result, image)


def test_prompts_reach_the_model(inpainting_folder, photo):
    def result(**options):
        return DiffusersInpainter(inpainting_folder, steps=2, **options)(photo, block(), seed=0)

    assert not np.array_equal(result(), result(prompt="a lawn"))
    assert not np.array_equal(result(), result(negative_prompt="dog, cat"))


def test_the_config_and_arguments(inpainting_folder, tmp_path):
    config = DiffusersInpainter(inpainting_folder).config()
    for options in (
        {"steps": 3},
        {"guidance_scale": 2.0},
        {"strength": 0.5},
        {"max_side": 512},
        {"dilate": 0},
        {"prompt": "a lawn"},
        {"negative_prompt": "dog"},
    ):
        assert DiffusersInpainter(inpainting_folder, **options).config() != config
    for options, message in (
        ({"steps": 0}, "steps"),
        ({"guidance_scale": -0.1}, "guidance_scale"),
        ({"strength": 0.0}, "strength"),
        ({"max_side": 7}, "max_side"),
        ({"dilate": -1}, "dilate"),
    ):
        with pytest.raises(ArgumentError, match=f"{message}: must be"):
            DiffusersInpainter(inpainting_folder, **options)
    with pytest.raises(ArgumentError, match=r"holds no model_index\.json"):
        DiffusersInpainter(tmp_path)


def test_models_that_fill_nothing(flux2_klein_folder, photo):
    with pytest.raises(ArgumentError, match="cannot be loaded as a pipeline for inpainting"):
        DiffusersInpainter(flux2_klein_folder)(photo, block(), seed=0)
