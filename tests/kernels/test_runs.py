"""Run lengths against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from empaste_aug.kernels.runs import decode_runs

coco = pytest.importorskip("pycocotools.mask")
side = st.integers(1, 20)


@settings(max_examples=150, deadline=None)
@given(mask=arrays(np.bool_, st.tuples(side, side)), cut=st.tuples(*[st.integers(0, 19)] * 4))
def test_any_box_of_any_mask(mask: np.ndarray, cut: tuple[int, int, int, int]) -> None:
    height, width = mask.shape
    rle = coco.encode(np.asfortranarray(mask, np.uint8))
    x, y = cut[0] % width, cut[1] % height
    w, h = cut[2] % (width - x) + 1, cut[3] % (height - y) + 1
    for counts in (rle["counts"], rle["counts"].decode()):
        found = decode_runs(counts, height, (x, y, w, h))
        np.testing.assert_array_equal(found, mask[y : y + h, x : x + w])


def test_runs_longer_than_five_bits_can_say(rng: np.random.Generator) -> None:
    for density in (0.0001, 0.5, 0.9999):
        mask = rng.random((700, 900)) < density
        rle = coco.encode(np.asfortranarray(mask, np.uint8))
        np.testing.assert_array_equal(decode_runs(rle["counts"], 700, (0, 0, 900, 700)), mask)
