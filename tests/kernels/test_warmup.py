"""What `warmup` compiles, and how kernels are declared."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from empaste_aug import kernels
from empaste_aug.kernels import _blend_rows, blend, circle, columns, visibility

ENTRIES = [
    columns._update_columns,
    circle._search,
    _blend_rows.feather,
    _blend_rows.composite,
    _blend_rows.gaussian_paste,
    visibility._count_overlap,
    visibility._trim,
    visibility._paint,
]


def test_warmup_compiles_all_that_ordinary_calls_need(rng: np.random.Generator) -> None:
    kernels.warmup()
    before = [list(entry.signatures) for entry in ENTRIES]
    assert all(before)
    kernels.warmup()
    occupied = rng.random((40, 50)) < 0.1
    strided, frozen = occupied.astype(np.uint8)[:, ::2], occupied[:, ::2].copy()
    frozen.flags.writeable = False
    image = np.zeros((40, 50, 3), np.uint8)
    for mask in (strided, frozen):
        rgb = image[: mask.shape[0], ::2]
        circle.max_inscribed_circle(mask, tie_order=5)
        blend.composite(image, rgb, blend.feather(mask), np.int32(0), np.uint8(0))
        blend.gaussian_paste(image[:, ::-1], rgb, mask, np.int16(-3), 2, mask)
        visibility.count_overlap(mask, np.int64(1), 1, occupied)
        visibility.trim(mask, 1, np.int32(-1), occupied)
        visibility.paint(mask, 1, 1, occupied[::-1], np.uint8(1))
    assert [list(entry.signatures) for entry in ENTRIES] == before


def test_only_the_one_decorator_is_used() -> None:
    folder = Path(kernels.__file__).parent
    for file in folder.glob("*.py"):
        if file.name != "_jit.py":
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"(import|from) numba|njit|prange|np\.random", text), file


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_kernels_are_single_threaded_and_release_the_lock(entry: object) -> None:
    assert entry.targetoptions["nogil"]
    assert not entry.targetoptions.get("parallel", False)
