"""EMPaste as users call it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from empaste_aug import ArgumentError, BankError, EMPaste, Instance, Placement, Scene


def photo(rng, height=120, width=160, objects=3) -> Scene:
    instances = []
    for number in range(objects):
        mask = np.zeros((height, width), dtype=bool)
        x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        mask[y : y + 25, x : x + 28] = True
        instances.append(Instance.from_mask(number % 3, mask, source_index=number))
    return Scene(rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8), instances)


@pytest.mark.parametrize("placement", ["random", "space_maximize"])
@pytest.mark.parametrize("blend", ["gaussian", "none", {"gaussian": 1, "none": 1}])
def test_the_same_generator_gives_the_same_scene_and_the_record_gives_it_again(
    small_bank, placement, blend
) -> None:
    paste = EMPaste(small_bank, placement=placement, blend=blend, flip=0.5, count=(1, 6))
    scene = photo(np.random.default_rng(5))
    for seed in range(10):
        first = paste(scene, np.random.default_rng(seed))
        second = paste(scene, np.random.default_rng(seed))
        again = paste.render(scene, first.record.placements)
        assert first.record == second.record
        for other in (second, again):
            assert np.array_equal(first.image, other.image)
            assert len(first.instances) == len(other.instances)
            for a, b in zip(first.instances, other.instances, strict=True):
                assert (a.bbox, a.category_id, a.cutout_id) == (b.bbox, b.category_id, b.cutout_id)
                assert np.array_equal(a.mask, b.mask)


def test_count_is_what_was_placed_or_skipped(small_bank, rng) -> None:
    for low, high in [(0, 0), (4, 4), (1, 3)]:
        paste = EMPaste(small_bank, count=(low, high))
        seen = set()
        for _ in range(40):
            record = paste(photo(rng), rng).record
            seen.add(len(record.placements) + len(record.skipped))
        assert seen == set(range(low, high + 1))


def test_space_maximize_covers_nothing(small_bank, rng) -> None:
    paste = EMPaste(small_bank, placement="space_maximize", count=8)
    for _ in range(20):
        scene = photo(rng)
        result = paste(scene, rng)
        assert list(result.instances[:3]) == list(scene.instances)
        cover = np.zeros((120, 160), dtype=int)
        for instance in result.instances[3:]:
            cover += instance.full_mask(120, 160)
        assert cover.max() == 1
        for instance in scene.instances:
            mask = instance.full_mask(120, 160)
            assert not cover[mask].any()
            assert np.array_equal(result.image[mask], scene.image[mask])
        assert [s.reason for s in result.record.skipped] == []
        radii = [
            placement.scale * small_bank.index["circle_radius"][placement.cutout_id]
            for placement in result.record.placements
        ]
        assert radii == pytest.approx(sorted(radii, reverse=True)), "the space fills"


def test_a_full_image_has_no_space(small_bank, rng) -> None:
    scene = Scene(np.zeros((20, 30, 3), np.uint8), [Instance(0, (0, 0, 30, 20))])
    result = EMPaste(small_bank, placement="space_maximize", count=2)(scene, rng)
    assert [s.reason for s in result.record.skipped] == ["no_space", "no_space"]
    assert result.image is scene.image


def test_an_image_of_one_pixel(small_bank, rng) -> None:
    for placement in ("random", "space_maximize"):
        paste = EMPaste(small_bank, placement=placement, min_visible=0.0)
        result = paste(Scene(np.zeros((1, 1, 3), np.uint8)), rng)
        assert len(result.record.placements) + len(result.record.skipped) == 4
        assert all(i.bbox == (0, 0, 1, 1) for i in result.instances)


def test_classes_are_mapped_by_name(small_bank, rng) -> None:
    names = ["sheep", "kitty", "dog"]
    paste = EMPaste(
        small_bank, class_names=names, category_map={"cat": "kitty"}, exclude=["cow"], count=8
    )
    seen = {i.category_id for _ in range(20) for i in paste(photo(rng, objects=0), rng).instances}
    assert seen == {1, 2}
    late = EMPaste(small_bank, category_map={"cat": "kitty"}, exclude=["cow"])
    with pytest.raises(ArgumentError, match="category_map"):
        late(photo(rng), rng)
    assert late.with_class_names(names)(photo(rng), rng).record is not None
    with pytest.raises(ArgumentError, match="cow"):
        EMPaste(small_bank, class_names=["cat", "dog"])


def test_remnants_are_avoided(small_bank, rng) -> None:
    paste = EMPaste(small_bank, count=30, min_visible=0.3)
    for _ in range(15):
        scene = photo(rng, objects=6)
        result = paste(scene, rng)
        for instance in result.instances:
            if instance.cutout_id is None:
                before = scene.instances[instance.source_index].mask.sum()
                assert instance.mask.sum() >= 0.3 * before


def test_pickling_carries_the_settings_and_opens_the_bank_again(small_bank) -> None:
    paste = EMPaste(small_bank, count=3, selection="balanced", placement="space_maximize")
    copy = pickle.loads(pickle.dumps(paste))
    scene = photo(np.random.default_rng(1))
    one, two = (p(scene, np.random.default_rng(2)) for p in (paste, copy))
    assert np.array_equal(one.image, two.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"placement": "grid"}, "placement: 'grid'"),
        ({"count": -1}, "count: -1"),
        ({"count": (3, 1)}, r"count: \(3, 1\)"),
        ({"count": 1000}, "count: 1000"),
        ({"count": 1.5}, "count: 1.5"),
        ({"count": True}, "count: True"),
        ({"count": None}, "count: None"),
        ({"count": "4"}, "count: '4'"),
        ({"count": (1, 2, 3)}, r"count: \(1, 2, 3\)"),
        ({"scale": -0.5}, "scale: -0.5"),
        ({"scale": "1"}, "scale: '1'"),
        ({"scale": (0.1, float("inf"))}, "scale"),
        ({"max_angle": None}, "max_angle: None"),
        ({"max_scale": "x"}, "max_scale: 'x'"),
        ({"min_visible": None}, "min_visible: None"),
        ({"blend": None}, "blend: None"),
        ({"scale": (0, 1)}, "scale"),
        ({"scale": (2, 1)}, "scale"),
        ({"max_angle": -1}, "max_angle: -1"),
        ({"max_scale": 0}, "max_scale: 0"),
        ({"flip": 2}, "flip: 2"),
        ({"min_visible": 1.1}, "min_visible: 1.1"),
        ({"blend": "soft"}, "blend: 'soft'"),
        ({"blend": {"none": -1}}, "blend: the weight of 'none'"),
        ({"blend": {}}, "leaves no mode"),
        ({"exclude": "cat"}, "exclude: 'cat' is a string"),
        ({"selection": "rare"}, "selection: 'rare'"),
    ],
)
def test_bad_arguments_are_errors_at_construction(small_bank, arguments, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        EMPaste(small_bank, **arguments)


def test_bad_scenes_are_errors(small_bank, rng) -> None:
    paste = EMPaste(small_bank)
    for image in (
        None,
        [[1]],
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(ArgumentError, match=r"scene\.image"):
            paste(Scene(image), rng)
    with pytest.raises(ArgumentError, match=r"scene\.valid"):
        paste(Scene(np.zeros((4, 4, 3), np.uint8), valid=np.ones((4, 5), bool)), rng)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category_id": "dog"}, r"instances\[1\]\.category_id: 'dog'"),
        ({"category_id": -1}, r"instances\[1\]\.category_id: -1"),
        ({"bbox": (0, 0, float("nan"), 4)}, r"instances\[1\]\.bbox"),
        ({"bbox": (0, 0, 4)}, r"instances\[1\]\.bbox"),
        ({"mask": np.ones((2, 2), np.uint8)}, r"instances\[1\]\.mask"),
        ({"mask": np.ones(4, bool)}, r"instances\[1\]\.mask"),
        ({"keypoints": np.full((1, 3), np.nan)}, r"instances\[1\]\.keypoints"),
        ({"keypoints": np.zeros(3)}, r"instances\[1\]\.keypoints"),
    ],
)
def test_bad_instances_are_errors(small_bank, rng, changes, message) -> None:
    scene = photo(rng, objects=2)
    for name, value in changes.items():
        setattr(scene.instances[1], name, value)
    with pytest.raises(ArgumentError, match=message):
        EMPaste(small_bank)(scene, rng)


@pytest.mark.parametrize("rng", [0, None, np.random.RandomState(0)])
def test_only_generators_are_taken(small_bank, rng) -> None:
    with pytest.raises(ArgumentError, match=r"rng: .*expected np\.random\.Generator"):
        EMPaste(small_bank)(Scene(np.zeros((4, 4, 3), np.uint8)), rng)


def test_originals_that_stick_out_of_the_image_are_cut_to_it(small_bank, rng) -> None:
    mask = np.ones((30, 40), bool)
    scene = Scene(
        np.zeros((50, 60, 3), np.uint8),
        [
            Instance(0, (-10, 40, 30, 70), mask, (-10, 40)),
            Instance(1, (90, 0, 130, 30), mask, (90, 0)),
        ],
    )
    result = EMPaste(small_bank, count=0)(scene, rng)
    assert [i.bbox for i in result.instances] == [(0, 40, 30, 50)]
    assert result.instances[0].mask.shape == (10, 30)
    assert [(d.position, d.reason) for d in result.record.dropped] == [(1, "empty")]


def test_what_was_skipped_is_recorded_in_the_order_it_was_drawn(small_bank) -> None:
    order = [Placement(row, (60.0, 60.0), 1.0) for row in (0, 1)]
    order.append(Placement(2, (-500.0, 60.0), 1.0))
    big = int(np.argmax(small_bank.index["area"]))
    order.append(Placement(big, (60.0, 60.0), 3.0))
    scene = Scene(np.zeros((120, 160, 3), np.uint8))
    record = EMPaste(small_bank).render(scene, order).record
    assert [s.cutout_id for s in record.skipped] == [0, 1, 2]
    assert {s.reason for s in record.skipped} == {"occluded"}


def test_a_missing_bank_is_an_error(tmp_path) -> None:
    with pytest.raises(BankError, match="nowhere"):
        EMPaste(tmp_path / "nowhere")


def test_render_refuses_a_mixture_of_trimmed_and_untrimmed(small_bank) -> None:
    placements = [
        Placement(0, (20.0, 20.0), 1.0),
        Placement(1, (40.0, 20.0), 1.0, trim_to_free=True),
    ]
    with pytest.raises(ArgumentError, match="placements: trim_to_free"):
        EMPaste(small_bank).render(Scene(np.zeros((60, 60, 3), np.uint8)), placements)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutout_id": 12}, r"placements\[1\]\.cutout_id: 12 is no row"),
        ({"cutout_id": -1}, r"placements\[1\]\.cutout_id: -1"),
        ({"center": (float("nan"), 3.0)}, r"placements\[1\]\.center"),
        ({"scale": 0.0}, r"placements\[1\]\.scale: 0.0"),
        ({"angle": float("inf")}, r"placements\[1\]\.angle: inf"),
        ({"blend": "soft"}, "blend: 'soft'"),
    ],
)
def test_bad_placements_are_errors(small_bank, changes, message) -> None:
    good = Placement(0, (20.0, 20.0), 1.0)
    scene = Scene(np.zeros((60, 60, 3), np.uint8))
    with pytest.raises(ArgumentError, match=message):
        EMPaste(small_bank).render(scene, [good, replace(good, **changes)])


def test_one_scale(small_bank) -> None:
    paste = EMPaste(small_bank, scale=0.7, count=3)
    result = paste(Scene(np.zeros((90, 90, 3), np.uint8)), np.random.default_rng(0))
    assert {placement.scale for placement in result.record.placements} == {0.7}


def test_classes_that_are_never_drawn_need_no_partner(small_bank) -> None:
    paste = EMPaste(small_bank, selection={"cat": 1.0, "dog": 0.0}, class_names=["bird", "cat"])
    result = paste(Scene(np.zeros((90, 90, 3), np.uint8)), np.random.default_rng(0))
    assert {instance.category_id for instance in result.instances} == {1}
    with pytest.raises(ArgumentError, match="selection weights without them"):
        EMPaste(small_bank, selection={"cat": 1.0, "dog": 0.1}, class_names=["bird", "cat"])


@pytest.mark.parametrize("bank", [None, 5, ""])
def test_what_is_no_bank(bank) -> None:
    with pytest.raises(ArgumentError, match="path: "):
        EMPaste(bank)


def test_a_folder_without_a_bank(tmp_path) -> None:
    with pytest.raises(BankError, match="is no bank"):
        EMPaste(tmp_path)


@pytest.mark.parametrize("argument", [{"category_map": {"cta": "cat"}}, {"exclude": ["cta"]}])
def test_unknown_bank_classes_are_errors_at_construction(small_bank, argument) -> None:
    with pytest.raises(ArgumentError, match=r"'cta'\] not among the bank's classes"):
        EMPaste(small_bank, **argument)
