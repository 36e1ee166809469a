"""Boxes, instances and errors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from empaste_aug import ArgumentError, EMPasteError, Instance
from empaste_aug.types import MissingDependencyError, tight_box


def test_boxes_are_half_open_and_tight() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    assert tight_box(mask) is None
    mask[1, 2] = mask[3, 4] = True
    assert tight_box(mask) == (2, 1, 5, 4)
    assert tight_box(mask, (10, 20)) == (12, 21, 15, 24)


def test_an_instance_is_cropped_to_its_box() -> None:
    mask = np.zeros((5, 7), dtype=bool)
    mask[1:3, 2:6] = True
    instance = Instance.from_mask(3, mask, (10, 20), crowd=True)
    assert instance.bbox == (12, 21, 16, 23)
    assert instance.mask.shape == (2, 4)
    assert instance.mask_offset == (12, 21)
    assert instance.crowd
    full = instance.full_mask(30, 30)
    assert full.sum() == 8
    assert full[21:23, 12:16].all()
    with pytest.raises(ArgumentError, match="mask"):
        Instance.from_mask(3, np.zeros((5, 7), dtype=bool))


@pytest.mark.parametrize("offset", [(-2, -1), (5, 4), (-9, 0), (0, 50)])
def test_widening_cuts_at_the_image(offset) -> None:
    mask = np.ones((3, 4), dtype=bool)
    full = Instance(0, (0, 0, 1, 1), mask, offset).full_mask(6, 8)
    expected = np.zeros((6, 8), dtype=bool)
    for y in range(3):
        for x in range(4):
            if 0 <= y + offset[1] < 6 and 0 <= x + offset[0] < 8:
                expected[y + offset[1], x + offset[0]] = True
    assert np.array_equal(full, expected)


def test_box_only_instances_have_no_mask_to_widen() -> None:
    with pytest.raises(ArgumentError, match="box-only"):
        Instance(0, (0, 0, 4, 4)).full_mask(5, 5)


def test_missing_packages_are_named_and_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(MissingDependencyError("higra", "offline", "this")))
    assert isinstance(error, EMPasteError)
    assert isinstance(error, ImportError)
    assert "empaste_aug[offline]" in str(error)
    assert error.package == "higra"
