"""What must hold of any pasted scene, checked from outside: the scene before, and the one after.

Independent of the package's code and of the oracle: nothing is recomputed, only looked at.
"""

from __future__ import annotations

import cv2
import numpy as np

REASONS = {"occluded", "remnant", "no_space", "too_small"}
FEATHER = 2
"""How far a soft edge reaches beyond a mask, in pixels."""


def widened(instance, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: an instance's mask, or the pixels that its box touches, in the image."""
    full = np.zeros(shape, dtype=bool)
    if instance.mask is None:
        x0, y0 = (max(int(np.floor(v)), 0) for v in instance.bbox[:2])
        x1, y1 = (max(int(np.ceil(v)), 0) for v in instance.bbox[2:])
        full[y0:y1, x0:x1] = True
        return full
    rows, columns = np.nonzero(instance.mask)
    rows, columns = rows + instance.mask_offset[1], columns + instance.mask_offset[0]
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    full[rows[inside], columns[inside]] = True
    return full


def check_invariants(
    before, after, *, bank, min_visible: float, covers_nothing: bool = False
) -> None:
    """Raise AssertionError unless `after` may have been made from `before`.

    Args:
        before: a Scene; its instances have source_index = their position.
        after: the Scene that EMPaste made of it.
        bank: the bank; only its index is read.
        min_visible: as EMPaste's.
        covers_nothing: whether the pastes must leave everything that was there visible.
    """
    shape = before.image.shape[:2]
    pasted = [i for i in after.instances if i.cutout_id is not None]
    originals = after.instances[: len(after.instances) - len(pasted)]
    assert all(i.cutout_id is None for i in originals), "originals come first"
    layers = np.zeros(shape, dtype=np.int64)
    for instance in pasted:
        layers += widened(instance, shape)
    assert layers.max() <= 1, "pasted masks overlap"
    cover = layers == 1
    for instance in after.instances:
        _check_geometry(instance, before, shape)
    _check_originals(before, after, originals, cover, min_visible)
    _check_pastes(after, pasted, bank, min_visible)
    _check_pixels(before, after, cover)
    _check_maps(before, after, pasted, cover, bank)
    if covers_nothing:
        assert len(originals) == len(before.instances)
        for one, other in zip(originals, before.instances, strict=True):
            assert one is other, "an original was touched"
            mask = widened(other, shape)
            assert not (cover & mask).any(), "an original is covered"
            assert np.array_equal(after.image[mask], before.image[mask]), "its pixels changed"


def _check_geometry(instance, before, shape) -> None:
    """Boxes have extent; those of masks are tight, except for originals as they came."""
    x0, y0, x1, y1 = instance.bbox
    assert x0 < x1, instance.bbox
    assert y0 < y1, instance.bbox
    source = instance.source_index
    if source is not None and instance is before.instances[source]:
        return
    if instance.mask is None:
        return
    assert instance.bbox == (x0, y0, *(instance.mask_offset + np.array(instance.mask.shape)[::-1]))
    assert instance.mask_offset == (x0, y0)
    assert x0 >= 0, instance.bbox
    assert y0 >= 0, instance.bbox
    assert x1 <= shape[1], instance.bbox
    assert y1 <= shape[0], instance.bbox
    mask = instance.mask
    for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert side.any(), "the box is not tight"


def _check_originals(before, after, originals, cover, min_visible) -> None:
    kept = [i.source_index for i in originals]
    gone = [d.position for d in after.record.dropped]
    assert kept == sorted(set(kept))
    assert sorted(kept + gone) == list(range(len(before.instances)))
    for drop in after.record.dropped:
        mask = widened(before.instances[drop.position], cover.shape)
        assert not (mask & ~cover).any(), "a visible original was dropped"
        assert drop.reason == ("hidden" if mask.any() else "empty")
    for instance in originals:
        source = before.instances[instance.source_index]
        had, has = widened(source, cover.shape), widened(instance, cover.shape)
        left = had & ~cover
        assert (instance.category_id, instance.crowd) == (source.category_id, source.crowd)
        assert left.any(), "an original is there, but hidden"
        if np.array_equal(left, had):
            assert instance.mask is source.mask or not np.array_equal(had.sum(), source.mask.sum())
            assert instance.bbox == source.bbox or instance.mask is not source.mask
            continue
        if instance.mask is not None:
            assert np.array_equal(has, left), "a mask is not the visible part"
        else:
            assert not (has & ~had).any(), "a box grew"
            assert not (left & ~has).any(), "a box lost a visible pixel"
        if not source.crowd:
            share = left.sum() / had.sum()
            assert share >= min_visible, f"a remnant of {share:.4f} is left"


def _check_pastes(after, pasted, bank, min_visible) -> None:
    record = after.record
    assert [p.cutout_id for p in record.placements] == [i.cutout_id for i in pasted]
    assert {skip.reason for skip in record.skipped} <= REASONS
    for instance, placement in zip(pasted, record.placements, strict=True):
        entry = bank.index[placement.cutout_id]
        whole = float(entry["area"]) * placement.scale**2
        around = 2 * np.pi * float(entry["circle_radius"]) * placement.scale
        seen = int(instance.mask.sum())
        # The exact number of pixels depends on the warp; a rim one pixel wide is left open.
        assert seen >= min_visible * (whole - around) - 1, f"{seen} of about {whole:.0f} pixels"
        assert seen <= whole + around + 4, f"{seen} of about {whole:.0f} pixels"


def _check_pixels(before, after, cover) -> None:
    assert after.image.shape == before.image.shape
    changed = (after.image != before.image).any(axis=2)
    # An edge is soft also where the object itself lies beyond the image's border, on padding, or,
    # cut off, under an original.
    edges = cover.copy() if before.valid is None else cover | ~before.valid
    if any(placement.trim_to_free for placement in after.record.placements):
        for instance in before.instances:
            edges |= widened(instance, cover.shape)
    edges = np.pad(edges, FEATHER, constant_values=True).astype(np.uint8)
    side = 2 * FEATHER + 1
    reach = cv2.dilate(edges, np.ones((side, side), np.uint8))[FEATHER:-FEATHER, FEATHER:-FEATHER]
    assert not (changed & (reach == 0)).any(), "pixels changed where nothing was pasted"
    if before.valid is not None:
        assert not (cover & ~before.valid).any(), "a paste lies on padding"
        assert not (changed & ~before.valid).any(), "padding changed"
    if not cover.any():
        assert after.image is before.image


def _check_maps(before, after, pasted, cover, bank) -> None:
    if before.semantic is not None:
        outside = ~cover
        assert np.array_equal(after.semantic[outside], before.semantic[outside])
        for instance in pasted:
            values = after.semantic[widened(instance, cover.shape)]
            assert (values == instance.category_id).all(), "semantic map and mask differ"
    if before.panoptic is None:
        return
    assert np.array_equal(after.panoptic[~cover], before.panoptic[~cover])
    segments = {segment.id: segment for segment in after.segments}
    assert len(segments) == len(after.segments), "an id is given twice"
    if pasted:
        assert set(np.unique(after.panoptic)) - {0} == set(segments)
    new = [s for s in after.segments if s.cutout_id is not None]
    assert len(new) == len(pasted)
    for segment, instance in zip(new, pasted, strict=True):
        assert (segment.category_id, segment.cutout_id) == (
            instance.category_id,
            instance.cutout_id,
        )
        mask = widened(instance, cover.shape)
        assert np.array_equal(after.panoptic == segment.id, mask), "panoptic map and mask differ"
        assert int(bank.index["category_id"][segment.cutout_id]) == segment.category_id
