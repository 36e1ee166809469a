"""Semantic and panoptic maps of pasted scenes; `contract` compares whole scenes with the oracle."""

from __future__ import annotations

import contract
import numpy as np
import pytest
from contract import Case, Paste, Thing

from empaste_aug import ArgumentError, EMPaste, Instance
from empaste_aug.paste import maps
from empaste_aug.types import Segment

ROW, BLOCK, DIAGONAL = 2, 4, 8  # cow, dog, cow: a row of 7, 12 x 12, a diagonal of 6


def square(x: int, y: int, side: int, category: int = 0) -> Instance:
    return Instance.from_mask(category, np.ones((side, side), bool), (x, y), cutout_id=5)


def test_semantic_values_by_name_and_by_position() -> None:
    names = ["cat", "dog", "cow"]
    assert maps.semantic_values(None, names).tolist() == [0, 1, 2]
    assert maps.semantic_values({"cow": 4, "cat": 0}, names).tolist() == [0, -1, 4]
    with pytest.raises(ArgumentError, match="semantic_labels: 'sheep'"):
        maps.semantic_values({"sheep": 1}, names)
    with pytest.raises(ArgumentError, match="'cat' has -1, not an integer"):
        maps.semantic_values({"cat": -1}, names)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_semantic_maps_are_copied_and_keep_their_dtype(dtype) -> None:
    semantic = np.full((6, 7), 3, dtype)
    semantic.flags.writeable = False
    painted = maps.paint_semantic(semantic, [square(1, 2, 3, 1)], np.array([0, 9]))
    wanted = np.full((6, 7), 3, dtype)
    wanted[2:5, 1:4] = 9
    np.testing.assert_array_equal(painted, wanted)
    assert painted.dtype == dtype
    assert (semantic == 3).all()


def test_values_that_a_map_cannot_hold_are_errors() -> None:
    narrow = np.zeros((6, 7), np.uint8)
    assert maps.paint_semantic(narrow, [square(0, 0, 2)], np.array([255])).max() == 255
    with pytest.raises(ArgumentError, match=r"scene\.semantic: its dtype uint8 does not hold 256"):
        maps.paint_semantic(narrow, [square(0, 0, 2)], np.array([256]))
    with pytest.raises(ArgumentError, match="semantic_labels: has no value for category 1"):
        maps.paint_semantic(narrow, [square(0, 0, 2, 1)], np.array([0, -1]))
    full = np.full((6, 7), 254, np.uint8)
    assert maps.paint_panoptic(full, (), [square(0, 0, 2)])[0].max() == 255
    with pytest.raises(ArgumentError, match=r"scene\.panoptic: its dtype uint8 does not hold 256"):
        maps.paint_panoptic(full, (), [square(0, 0, 2), square(3, 3, 2)])


def test_new_segments_follow_the_largest_id_and_hidden_ones_are_gone() -> None:
    panoptic = np.zeros((6, 7), np.int32)
    panoptic[:2, :2], panoptic[4:] = 8, 3
    segments = (Segment(8, 0, source_index=0), Segment(3, 9, is_thing=False), Segment(40, 1))
    painted, left = maps.paint_panoptic(panoptic, segments, [square(0, 0, 3, 1), square(4, 2, 3)])
    wanted = panoptic.copy()
    wanted[:3, :3], wanted[2:5, 4:7] = 41, 42
    np.testing.assert_array_equal(painted, wanted)
    assert left == (segments[1], Segment(41, 1, cutout_id=5), Segment(42, 0, cutout_id=5))
    assert panoptic[0, 0] == 8


def test_ids_of_the_map_that_no_segment_names_are_not_given_again() -> None:
    painted, left = maps.paint_panoptic(np.full((4, 4), 70, np.int64), (), [square(0, 0, 2)])
    assert [segment.id for segment in left] == [71]
    assert sorted(np.unique(painted)) == [70, 71]


def test_a_scene_on_which_nothing_is_pasted_keeps_its_maps(tiny_paste) -> None:
    case = Case(9, 9, (Thing("rect", (0, 0, 4, 4)),), (Paste(BLOCK, 40, 40),), 0.1, maps=True)
    scene = case.scene()
    result = tiny_paste(min_visible=0.1).render(scene, case.placements(tiny_paste().bank))
    assert result.semantic is scene.semantic
    assert result.panoptic is scene.panoptic
    assert result.segments is scene.segments


def test_only_visible_pixels_are_painted(tiny_paste) -> None:
    pastes = (Paste(BLOCK, 0, 0), Paste(BLOCK, 3, 0), Paste(ROW, 4, 4), Paste(BLOCK, 0, 20))
    case = Case(24, 24, (Thing("rect", (0, 0, 24, 24)),), pastes, 0.2, maps=True)
    result, labels = contract.check_case(tiny_paste(min_visible=0.2), case)
    assert len(labels.pastes) == 4
    assert result.instances[0].source_index == 0
    for instance, segment in zip(result.instances, result.segments, strict=True):
        mask = instance.full_mask(24, 24)
        np.testing.assert_array_equal(result.panoptic == segment.id, mask)
        value = contract.LABELS_OF_CLASSES[instance.category_id]
        assert (result.semantic[mask] == value).all()
    assert [segment.id for segment in result.segments] == [500, 501, 502, 503, 504]


def test_a_segment_hidden_whole_is_gone(tiny_paste) -> None:
    things = (Thing("rect", (2, 2, 6, 6)), Thing("rect", (12, 2, 16, 6)))
    case = Case(24, 24, things, (Paste(BLOCK, 0, 0),), 0.2, maps=True)
    result, _ = contract.check_case(tiny_paste(min_visible=0.2), case)
    assert [segment.id for segment in result.segments] == [9, 499, 501]
    assert [segment.source_index for segment in result.segments] == [None, 1, None]


def test_values_follow_the_data_sets_classes_not_the_banks(tiny_bank) -> None:
    names = ["sky", "cow", "hound", "cat"]
    settings = {"class_names": names, "category_map": {"dog": "hound"}, "min_visible": 0.0}
    case = Case(20, 40, pastes=(Paste(BLOCK, 0, 0), Paste(ROW, 20, 0)), maps=True)
    placements = case.placements(tiny_bank)
    by_position = EMPaste(tiny_bank, **settings).render(case.scene(), placements)
    assert (by_position.semantic[0, 0], by_position.semantic[0, 20]) == (2, 1)
    assert [s.category_id for s in by_position.segments[-2:]] == [2, 1]
    labels = {"hound": 17, "cow": 30}
    by_name = EMPaste(tiny_bank, semantic_labels=labels, **settings)
    pasted = by_name.render(case.scene(), placements)
    assert (pasted.semantic[0, 0], pasted.semantic[0, 20]) == (17, 30)
    cat = Case(9, 9, pastes=(Paste(0, 1, 1),), maps=True)
    with pytest.raises(ArgumentError, match="semantic_labels: has no value for category 3"):
        by_name.render(cat.scene(), cat.placements(tiny_bank))
    without = Case(9, 9, pastes=(Paste(0, 1, 1),))
    assert len(by_name.render(without.scene(), without.placements(tiny_bank)).instances) == 1


def test_maps_of_the_wrong_shape_or_kind_are_errors(tiny_paste) -> None:
    for name in ("semantic", "panoptic"):
        for wrong in (np.zeros((9, 8), np.uint8), np.zeros((9, 9)), np.zeros((9, 9, 3), np.uint8)):
            scene = Case(9, 9).scene()
            setattr(scene, name, wrong)
            with pytest.raises(ArgumentError, match=rf"scene\.{name}"):
                tiny_paste().render(scene, [])
