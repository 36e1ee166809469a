"""Images that are views: flipped, cropped, with their channels turned round."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

pytest.importorskip("detectron2")

from empaste_aug.adapters._detectron2_sample import Sample, contiguous, swap_rgb, write_sample

STEPS = (slice(None), slice(None, None, -1))
VIEWS = {
    "as it is": lambda image: image,
    "cropped": lambda image: image[3:15, 2:21],
    "every other": lambda image: image[::2, ::3],
    "transposed": lambda image: image.transpose(1, 0, 2),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("view", VIEWS)
def test_views_are_copied_as_numpy_copies_them(view, dtype, rng):
    original = rng.integers(256, size=(17, 23, 3)).astype(dtype)
    for steps in product(STEPS, repeat=3):
        image = VIEWS[view](original[steps])
        wanted, before = np.array(image), original.copy()
        copied = contiguous(image)
        assert copied.flags.c_contiguous
        assert copied.dtype == dtype
        np.testing.assert_array_equal(copied, wanted)
        for image_format, channels in (("RGB", wanted), ("BGR", wanted[:, :, ::-1])):
            np.testing.assert_array_equal(swap_rgb(image, image_format), channels)
            planes = write_sample(Sample("f", image, []), image_format)["image"]
            assert planes.is_contiguous()
            np.testing.assert_array_equal(planes.numpy(), channels.transpose(2, 0, 1))
        np.testing.assert_array_equal(original, before)


def test_a_contiguous_image_is_not_copied(rng):
    image = rng.integers(256, size=(5, 7, 3), dtype=np.uint8)
    assert contiguous(image) is image
