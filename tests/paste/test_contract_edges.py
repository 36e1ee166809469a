"""Edge cases of the label contract, by name; each is also compared with brute force."""

from __future__ import annotations

import contract
import numpy as np
import pytest
import reference
from contract import Case, Paste, Thing
from hypothesis import given, settings
from hypothesis import strategies as st

from empaste_aug import ArgumentError, EMPaste, Instance, Placement, Scene
from empaste_aug.paste.place import Placer
from empaste_aug.paste.render import make_patch

# Rows of the tiny bank, all of them full: 1x1, 2x2, a row of 7, a column of 7, 12x12; 45 x 43.
DOT, SQUARE, ROW, COLUMN, BLOCK, LARGE = 0, 1, 2, 3, 4, 11


@pytest.fixture
def check(tiny_paste):
    """Compare a case with the oracle; gives the pasted scene."""

    def run(case: Case) -> Scene:
        return contract.check_case(tiny_paste(min_visible=case.min_visible), case)[0]

    return run


def reasons(scene: Scene) -> list[str]:
    return [skip.reason for skip in scene.record.skipped]


def boxes(scene: Scene) -> list[tuple[float, ...]]:
    return [instance.bbox for instance in scene.instances]


def test_a_record_rebuilds_its_sample_though_its_pastes_lean_on_one_that_is_gone(
    check, tiny_bank
) -> None:
    """The dot and the row hide an object whole; then a square hides the dot.

    Without the dot, the row alone would leave one pixel of seven: laid one by one, what was
    rendered could not be rendered again.
    """
    pastes = (Paste(DOT, 0, 0), Paste(ROW, 1, 0), Paste(SQUARE, 0, 0))
    case = Case(5, 10, (Thing("rect", (0, 0, 7, 1)),), pastes, min_visible=0.3)
    result = check(case)  # renders the record again, too
    assert [p.cutout_id for p in result.record.placements] == [ROW, SQUARE]
    assert (reasons(result), [d.reason for d in result.record.dropped]) == (
        ["occluded"],
        ["hidden"],
    )
    scene = case.scene()
    alone = reference.PlainStack(contract.plain_objects(scene), np.ones((5, 10), bool), 0.3)
    left = Case(5, 10, case.things, pastes[1:], min_visible=0.3)
    row, _ = contract.plain_pastes(left, tiny_bank, scene)
    assert alone.try_to_add(0, row) == "remnant"
    assert reasons(check(left)) == []


def test_placements_that_fit_together_are_rendered_though_one_by_one_they_would_not(check) -> None:
    """Rule 3 is about the sample that is handed out, not about the steps to it."""
    halves = (Paste(ROW, 0, 0), Paste(ROW, 7, 0))
    thing = (Thing("rect", (0, 0, 14, 1)),)
    assert reasons(check(Case(3, 14, thing, halves, min_visible=0.6))) == []
    stopped = check(Case(3, 14, thing, (*halves, Paste(DOT, 50, 50)), min_visible=0.6))
    assert reasons(stopped) == ["remnant", "remnant", "occluded"]


def test_an_object_larger_than_the_canvas(check) -> None:
    whole = Case(10, 10, (Thing("rect", (2, 2, 5, 5)),), (Paste(LARGE, -20, -20),), min_visible=0.1)
    assert reasons(check(whole)) == ["occluded"], "100 of 1,935 pixels"
    shown = check(Case(10, 10, whole.things, whole.pastes, min_visible=0.05))
    assert boxes(shown) == [(0, 0, 10, 10)]
    assert [d.reason for d in shown.record.dropped] == ["hidden"]


@pytest.mark.parametrize(
    ("x", "y", "box"),
    [
        (-6, 9, (0, 9, 6, 21)),
        (24, 9, (24, 9, 30, 21)),
        (9, -6, (9, 0, 21, 6)),
        (9, 24, (9, 24, 21, 30)),
        (-6, -6, (0, 0, 6, 6)),
    ],
)
def test_a_paste_that_sticks_out_counts_its_pixels_outside(check, x, y, box) -> None:
    inside = (box[2] - box[0]) * (box[3] - box[1])
    pastes = (Paste(BLOCK, x, y),)
    assert boxes(check(Case(30, 30, pastes=pastes, min_visible=inside / 144))) == [box]
    above = float(np.nextafter(inside / 144, 1))
    assert reasons(check(Case(30, 30, pastes=pastes, min_visible=above))) == ["occluded"]


@pytest.mark.parametrize(("x", "y"), [(-13, 0), (0, -13), (31, 0), (0, 31), (10**6, -(10**6))])
def test_a_paste_outside_of_the_image_is_occluded(check, x, y) -> None:
    assert reasons(check(Case(30, 30, pastes=(Paste(BLOCK, x, y),), min_visible=0.0))) == [
        "occluded"
    ]


@pytest.mark.parametrize(
    ("box", "left"),
    [
        ((-4, 3, 2, 9), (0, 3, 2, 9)),
        ((18, 3, 25, 9), (18, 3, 20, 9)),
        ((3, -4, 9, 2), (3, 0, 9, 2)),
        ((3, 18, 9, 25), (3, 18, 9, 20)),
        ((-5, -5, 30, 30), (0, 0, 20, 20)),
    ],
)
@pytest.mark.parametrize("kind", ["rect", "comb", "frame"])
def test_masks_that_stick_out_are_cut_to_the_image(check, kind, box, left) -> None:
    result = check(Case(20, 20, (Thing(kind, box),), (Paste(DOT, 10, 10),), min_visible=0.0))
    if kind == "rect":
        assert boxes(result)[0] == left
    assert all(i.mask_offset[0] >= 0 and i.mask_offset[1] >= 0 for i in result.instances)


@pytest.mark.parametrize(
    "thing",
    [
        Thing("rect", (20, 0, 25, 5)),
        Thing("rect", (0, -9, 5, 0)),
        Thing("none", (3, 3, 9, 9)),
        Thing("rect", (3, 3, 3, 9)),
        Thing("box", (20, 0, 25, 5)),
        Thing("box", (-9, -9, 0, 0)),
        Thing("box", (1e30, 0, 2e30, 5)),
        Thing("box", (5, 5, 5, 9)),
        Thing("box", (5.5, 5.5, 5.5, 9.5)),
        Thing("box", (9.5, 5, 9.25, 9)),
        Thing("frame", (3, 3, 9, 9)),
    ],
)
@pytest.mark.parametrize("crowd", [False, True])
def test_what_has_no_pixel_in_the_image_is_dropped_as_empty(check, thing, crowd) -> None:
    thing = Thing(thing.kind, thing.box, crowd)
    case = Case(20, 20, (thing, Thing("rect", (0, 0, 20, 20))), min_visible=0.5)
    for pastes in ((), (Paste(SQUARE, 4, 4),)):
        result = check(Case(20, 20, case.things, pastes, min_visible=0.5))
        empty = [] if thing.kind == "frame" else [(0, "empty")]
        assert [(d.position, d.reason) for d in result.record.dropped] == empty


@pytest.mark.parametrize("box", [(5.5, 2, 5.5, 18), (9.5, 2, 9.25, 18), (2, 5.5, 18, 5.5)])
def test_a_box_without_extent_takes_no_space(check, tiny_paste, box) -> None:
    """Space-Maximize goes round nothing that is dropped as empty."""
    check(Case(20, 20, (Thing("box", box),), (Paste(BLOCK, 3, 2),), trim=True))
    paste = tiny_paste(placement="space_maximize", count=2)
    one, other = (
        paste(Case(20, 20, things).scene(), np.random.default_rng(0)).record.placements
        for things in ((Thing("box", box),), ())
    )
    assert one == other


def test_an_image_without_objects_and_without_pastes_is_handed_through(check) -> None:
    for maps in (False, True):
        case = Case(4, 5, maps=maps)
        result = check(case)
        assert (result.instances, result.record.placements) == ([], ())


def test_one_hundred_instances(check) -> None:
    things = tuple(
        Thing(kind, (4 * (n % 10), 4 * (n // 10), 4 * (n % 10) + 5, 4 * (n // 10) + 5))
        for n, kind in enumerate(["rect", "box", "frame", "comb"] * 25)
    )
    pastes = (Paste(BLOCK, 3, 3), Paste(BLOCK, 20, 14, turns=1), Paste(LARGE, -30, -30))
    for share in (0.0, 0.1):
        result = check(Case(42, 41, things, pastes, min_visible=share, maps=True))
        assert 50 < len(result.instances) < 103


def test_254_pastes_are_told_apart_and_255_are_refused(tiny_paste) -> None:
    spots = [(n % 17, n // 17) for n in range(255)]
    things = (Thing("rect", (0, 0, 17, 14)), Thing("box", (0, 14, 17, 15)))
    pastes = tuple(Paste(DOT, x, y) for x, y in spots)
    paste = tiny_paste(min_visible=0.0)
    result, labels = contract.check_case(paste, Case(15, 17, things, pastes[:254], 0.0, maps=True))
    assert len(labels.pastes) == 254
    assert [i.bbox[:2] for i in result.instances[-254:]] == spots[:254]
    pile = tuple(Paste(DOT, 0, 0) for _ in range(254))
    piled, _ = contract.check_case(paste, Case(15, 17, things, pile, 0.0))
    assert reasons(piled) == ["occluded"] * 253
    for count in (255, 300):
        many = Case(15, 17, things, pastes[:1] * count, 0.0)
        with pytest.raises(ArgumentError, match="254"):
            paste.render(many.scene(), many.placements(paste.bank))


def test_exactly_stacked_pastes_leave_the_last(check) -> None:
    for share in (0.0, 0.1, 1.0):
        result = check(Case(20, 20, pastes=(Paste(BLOCK, 3, 3),) * 4, min_visible=share))
        assert (reasons(result), len(result.instances)) == (["occluded"] * 3, 1)


def test_a_hidden_paste_comes_back_when_what_hid_it_is_hidden(check) -> None:
    """Decided from the last backwards: the third hides the second, so the first is seen again."""
    first, second, third = Paste(BLOCK, 3, 0), Paste(BLOCK, 3, 5), Paste(BLOCK, 3, 13)
    both = check(Case(40, 30, pastes=(first, second), min_visible=0.5))
    assert (reasons(both), boxes(both)) == (["occluded"], [(3, 5, 15, 17)])
    third = Paste(BLOCK, 3, 12)
    result = check(Case(40, 30, pastes=(first, second, third), min_visible=0.6))
    assert [i.bbox for i in result.instances] == [(3, 0, 15, 12), (3, 12, 15, 24)]


def test_a_paste_that_would_come_back_and_leave_a_remnant_stops_the_next(check) -> None:
    """The second hides the first. The third would hide the second, and the first be seen again."""
    things = (Thing("rect", (3, 6, 16, 18)),)
    first, second, third = Paste(BLOCK, 13, 9), Paste(BLOCK, 11, 6), Paste(BLOCK, 9, 2)
    result = check(Case(30, 30, things, (first, second, third), min_visible=0.6))
    assert reasons(result) == ["occluded", "remnant"]
    assert result.record.placements[0].center == (16.5, 11.5)
    without = check(Case(30, 30, things, (second, third), min_visible=0.6))
    assert reasons(without) == ["occluded"]
    assert without.record.placements[0].center == (14.5, 7.5)


def test_one_pixel_objects(check) -> None:
    things = (Thing("rect", (4, 4, 5, 5)), Thing("box", (4.25, 4.25, 4.75, 4.75)))
    for share in (0.0, 0.1, 1.0):
        hit = check(Case(9, 9, things, (Paste(DOT, 4, 4),), min_visible=share, maps=True))
        assert (boxes(hit), hit.instances[0].cutout_id) == ([(4, 4, 5, 5)], DOT)
        near = check(Case(9, 9, things, (Paste(DOT, 4, 5),), min_visible=share, maps=True))
        assert len(near.instances) == 3
    assert boxes(check(Case(1, 1, things[:0], (Paste(DOT, 0, 0),), 1.0))) == [(0, 0, 1, 1)]


def test_touching_boxes_do_not_hide_each_other(check) -> None:
    things = (Thing("box", (0, 0, 5, 5)), Thing("rect", (7, 0, 12, 5)), Thing("box", (5, 2, 7, 9)))
    case = Case(9, 12, things, (Paste(SQUARE, 5, 0),), min_visible=1.0)
    scene = case.scene()
    result = check(case)
    assert boxes(result) == [(0, 0, 5, 5), (7, 0, 12, 5), (5, 2, 7, 9), (5, 0, 7, 2)]
    assert result.image.tobytes() != scene.image.tobytes()


@pytest.mark.parametrize(
    ("box", "paste", "left"),
    [
        ((2.5, 2.5, 9.5, 9.5), Paste(BLOCK, 0, -8), (2.5, 4, 9.5, 9.5)),  # the upper side
        ((2.5, 2.5, 9.5, 9.5), Paste(BLOCK, 4, -8), (2.5, 2.5, 9.5, 9.5)),  # a corner only
        ((2.5, 2.5, 9.5, 9.5), Paste(BLOCK, 8, 0), (2.5, 2.5, 8, 9.5)),  # the right side
        ((2.5, 2.5, 9.5, 9.5), Paste(BLOCK, 9, 0), (2.5, 2.5, 9, 9.5)),  # its half pixel only
        ((-5, 2, 9.5, 9.5), Paste(BLOCK, -9, 0), (3, 2, 9.5, 9.5)),  # what is in the image of it
        ((-5, 2, 9.5, 9.5), Paste(BLOCK, 5, 0), (-5, 2, 5, 9.5)),
        ((2, 2, 45.25, 9), Paste(BLOCK, 0, -9), (2, 2, 45.25, 9)),
    ],
)
def test_sides_of_boxes_that_are_covered_whole_move_in(check, box, paste, left) -> None:
    for crowd in (False, True):
        result = check(Case(20, 20, (Thing("box", box, crowd),), (paste,), min_visible=0.1))
        assert (boxes(result)[0], result.instances[0].crowd) == (left, crowd)


def test_crowd_regions_are_trimmed_to_any_rest(check) -> None:
    for kind in ("rect", "box"):
        things = (Thing(kind, (0, 0, 13, 12), crowd=True),)
        result = check(Case(20, 20, things, (Paste(BLOCK, 0, 0),), min_visible=0.9))
        assert boxes(result) == [(12, 0, 13, 12), (0, 0, 12, 12)]
        assert result.instances[0].crowd
        plain = (Thing(kind, (0, 0, 13, 12)),)
        assert reasons(check(Case(20, 20, plain, (Paste(BLOCK, 0, 0),), min_visible=0.9))) == [
            "remnant"
        ]
        gone = check(Case(20, 20, things, (Paste(LARGE, -9, -9),), min_visible=0.1))
        assert [d.reason for d in gone.record.dropped] == ["hidden"]


def test_keypoints_on_half_pixels_belong_to_the_pixel_after(check) -> None:
    """Pixel 4 reaches from 3.5, which it holds, to 4.5, which it does not."""
    on = [(3.5, 4.0), (4.0, 3.5), (3.5, 3.5), (5.25, 5.25), (4, 4)]
    off = [(3.25, 4), (5.5, 4), (4, 5.5), (4, 3.25), (-1, -1), (4, 30), (-0.5, 4), (1e300, -1e300)]
    points = tuple((*point, 2) for point in on + off)
    other = tuple((4.0, 4.0, v) for v in (0, 1))
    things = (Thing("rect", (0, 0, 20, 20), keypoints=points + other), Thing("box", (1, 1, 9, 9)))
    result = check(Case(20, 20, things, (Paste(SQUARE, 4, 4),), min_visible=0.1))
    assert result.instances[0].keypoints[:, 2].tolist() == [1] * 5 + [2] * 8 + [0, 1]


def test_keypoints_at_the_border_of_the_image(check) -> None:
    points = ((-0.5, -0.5, 2), (-0.75, 0, 2), (6.25, 0, 2), (6.5, 0, 2))
    things = (Thing("box", (0, 0, 20, 20), keypoints=points), Thing("rect", (0, 3, 3, 9)))
    result = check(Case(20, 7, things, (Paste(ROW, 0, 0),), min_visible=0.1))
    assert result.instances[0].keypoints[:, 2].tolist() == [1, 2, 1, 2]
    no_points = (Thing("rect", (0, 0, 7, 20), keypoints=()),)
    assert check(Case(20, 7, no_points, (Paste(ROW, 0, 0),))).instances[0].keypoints.shape == (0, 3)


def test_nothing_is_pasted_on_padding(check, tiny_paste) -> None:
    things = (Thing("rect", (2, 2, 5, 9)), Thing("box", (2, 8, 5, 12)))
    half = check(Case(12, 12, things, (Paste(BLOCK, 0, 0),), min_visible=0.4, valid_rows=6))
    assert half.instances[-1].bbox == (0, 0, 12, 6)
    none = Case(12, 12, things, (Paste(BLOCK, 0, 0),), min_visible=0.0, valid_rows=0)
    assert reasons(check(none)) == ["occluded"]
    for placement in ("random", "space_maximize"):
        result = tiny_paste(placement=placement, count=3)(none.scene(), np.random.default_rng(0))
        assert reasons(result) == ["no_space"] * 3
        assert len(result.instances) == 2


def test_no_free_pixel_is_left(tiny_paste) -> None:
    for kind in ("rect", "box"):
        scene = Case(6, 6, (Thing(kind, (-1, -1, 7, 7), crowd=True),)).scene()
        result = tiny_paste(placement="space_maximize", count=2)(scene, np.random.default_rng(0))
        assert reasons(result) == ["no_space", "no_space"]
    scene = Case(6, 6, (Thing("frame", (0, 0, 6, 6)), Thing("rect", (1, 1, 5, 4)))).scene()
    for seed in range(20):  # four pixels in a row are free
        paste = tiny_paste(placement="space_maximize", count=9, min_visible=0.0)
        result = paste(scene, np.random.default_rng(seed))
        rows = [i.bbox for i in result.instances[2:]]
        assert all(y0 == 4 and y1 == 5 for _, y0, _, y1 in rows)
        assert sorted(x0 for x0, _, _, _ in rows) == sorted({x0 for x0, _, _, _ in rows})


def test_a_paste_that_always_leaves_a_remnant_is_tried_ten_times(tiny_paste, monkeypatch) -> None:
    tries: list[object] = []
    draw = Placer.draw

    def keep(self, *arguments):
        tries.append(draw(self, *arguments))
        return tries[-1]

    monkeypatch.setattr(Placer, "draw", keep)
    paste = tiny_paste(count=1, scale=(1.5, 1.5), min_visible=1.0)
    scene = Case(40, 40, (Thing("rect", (0, 0, 40, 40)),)).scene()
    seen = set()
    for seed in range(60):
        tries.clear()
        (reason,) = reasons(paste(scene, np.random.default_rng(seed)))
        seen.add(reason)
        assert reason in ("remnant", "occluded")
        assert len(tries) == 10 if reason == "remnant" else len(tries) <= 10
    assert seen == {"remnant", "occluded"}


def test_a_share_of_exactly_min_visible_is_enough(check) -> None:
    """55 of 100 pixels is 0.55; yet 0.55 * 100 is a little more than 55 in floating point."""
    assert 0.55 * 100 > 55
    things = (Thing("rect", (12, 12, 32, 17)),)
    result = check(Case(40, 40, things, (Paste(BLOCK, 9, 5),), min_visible=0.55))
    assert reasons(result) == []
    assert result.instances[0].mask.sum() == 55
    share = 62 / 1935  # of the large one, 31 columns and two rows of it in the image
    assert share * 1935 > 62
    shown = check(Case(50, 50, pastes=(Paste(LARGE, -12, -43),), min_visible=share))
    assert boxes(shown) == [(0, 0, 31, 2)]


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 120), visible=st.integers(1, 120))
def test_shares_are_compared_as_fractions(tiny_paste, count: int, visible: int) -> None:
    """An original of `count` pixels keeps `visible` of them, which is the least that it may."""
    visible = min(visible, count)
    spots = tuple(Paste(DOT, n, 0) for n in range(count - visible))
    case = Case(1, 120, (Thing("rect", (0, 0, count, 1)),), spots)
    placements = case.placements(tiny_paste().bank)
    assert reasons(tiny_paste(min_visible=visible / count).render(case.scene(), placements)) == []
    more = float(np.nextafter(visible / count, 2))
    if spots and more <= 1:
        left = tiny_paste(min_visible=more).render(case.scene(), placements)
        assert reasons(left) == ["remnant"], "the last one is too much"


def test_a_mask_whose_box_has_no_extent_gets_its_tight_box(tiny_paste) -> None:
    mask = np.ones((3, 4), dtype=bool)
    for box in ((5, 5, 5, 9), (0, 0, 0, 0), (9, 2, 3, 7)):
        scene = Scene(np.zeros((20, 20, 3), np.uint8), [Instance(0, box, mask, (2, 3))])
        assert boxes(tiny_paste(count=0)(scene, np.random.default_rng(0))) == [(2, 3, 6, 6)]


@pytest.mark.parametrize("layout", ["transposed", "strided", "mirrored", "readonly"])
def test_masks_and_images_in_any_layout(tiny_paste, layout) -> None:
    def laid_out(array: np.ndarray) -> np.ndarray:
        if layout == "transposed":
            return np.asfortranarray(array)
        if layout == "strided":
            return np.repeat(array, 2, axis=1)[:, ::2]
        if layout == "mirrored":
            return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
        array = array.copy()
        array.flags.writeable = False
        return array

    things = (Thing("comb", (-2, 3, 9, 12)), Thing("frame", (5, 5, 16, 18)))
    pastes = (Paste(BLOCK, 2, 8, blend="gaussian"), Paste(6, 9, 4, scale=1.7, angle=20.0))
    case = Case(20, 18, things, pastes, min_visible=0.1, valid_rows=17, maps=True)
    paste = tiny_paste(min_visible=0.1)
    plain = case.scene()
    wanted = paste.render(plain, case.placements(paste.bank))
    scene = case.scene()
    for name in ("image", "valid", "semantic", "panoptic"):
        setattr(scene, name, laid_out(getattr(scene, name)))
    for instance in scene.instances:
        instance.mask = laid_out(instance.mask)
    contract.assert_same_scene(paste.render(scene, case.placements(paste.bank)), wanted)
    for name in ("random", "space_maximize"):
        call = tiny_paste(placement=name)
        one, other = (call(s, np.random.default_rng(4)) for s in (plain, scene))
        contract.assert_same_scene(one, other)


def test_pasting_on_a_pasted_scene_takes_its_pastes_for_originals(tiny_paste) -> None:
    things = (Thing("rect", (0, 0, 15, 15)),)
    paste = tiny_paste(min_visible=0.1)
    first_case = Case(30, 30, things, (Paste(BLOCK, 10, 10),), maps=True)
    first = paste.render(first_case.scene(), first_case.placements(paste.bank))
    again = paste.render(first, [])
    assert again.instances == first.instances
    assert again.semantic is first.semantic
    assert again.panoptic is first.panoptic
    assert again.segments == first.segments
    on_top = Case(30, 30, pastes=(Paste(SQUARE, 12, 12),)).placements(paste.bank)
    second = paste.render(first, on_top)
    assert len(second.instances) == 3
    assert second.instances[1].mask.sum() == 140
    assert [s.id for s in second.segments] == [9, 500, 501, 502]
    assert [s.cutout_id for s in second.segments] == [None, None, BLOCK, SQUARE]
    assert second.segments[:3] == first.segments
    np.testing.assert_array_equal(second.panoptic == 501, second.instances[1].full_mask(30, 30))
    np.testing.assert_array_equal(second.panoptic == 502, second.instances[2].full_mask(30, 30))


def test_a_cutout_of_an_excluded_class_has_no_label(tiny_bank) -> None:
    paste = EMPaste(tiny_bank, exclude=["dog"])  # the block's class
    case = Case(30, 30, pastes=(Paste(DOT, 0, 0), Paste(BLOCK, 9, 9)))
    with pytest.raises(ArgumentError, match=f"cut-out {BLOCK} is of an excluded class"):
        paste.render(case.scene(), case.placements(tiny_bank))
    assert len(paste.render(case.scene(), case.placements(tiny_bank)[:1]).instances) == 1


@pytest.mark.parametrize("seed", range(6))
def test_the_whole_area_is_counted_where_most_of_it_lies_outside(tiny_bank, seed) -> None:
    """The same placement in the middle of a canvas that holds all of it."""
    rng = np.random.default_rng(seed)
    for _ in range(60):
        row, height, width = int(rng.integers(len(tiny_bank))), 9, 14
        x, y = (float(v) for v in rng.uniform(-40, 50, 2))
        scale, angle = float(np.exp(rng.uniform(-2, 1))), float(rng.uniform(-180, 180))
        cutout = tiny_bank.read(row, scale=scale)
        there, inside = (
            make_patch(cutout, Placement(row, (x + d, y + d), scale, angle), height=h, width=w)
            for d, h, w in ((0, height, width), (256, 512, 512))
        )
        # A shift by 256 rounds other bits away: a pixel at exactly half opacity may differ.
        assert abs(there.full_area - int(inside.mask.sum())) <= 1
        here = reference.widen(there.mask, there.x, there.y, height, width)
        moved = reference.widen(inside.mask, inside.x - 256, inside.y - 256, height, width)
        assert np.count_nonzero(here != moved) <= 1


def test_hidden_originals_on_top_of_each_other_are_all_dropped(check) -> None:
    things = (Thing("rect", (4, 4, 9, 9)),) * 3 + (Thing("box", (4, 4, 9, 9)),)
    result = check(Case(20, 20, things, (Paste(BLOCK, 2, 2),), min_visible=0.5, maps=True))
    assert [d.position for d in result.record.dropped] == [0, 1, 2, 3]


@pytest.mark.parametrize("scale", [1e-6, 0.01, 0.04])
def test_what_shrinks_to_nothing_is_too_small(check, scale) -> None:
    result = check(Case(9, 9, pastes=(Paste(8, 3, 3, scale=scale),), min_visible=0.0))
    assert reasons(result) == ["too_small"]


def test_one_pixel_enlarged_until_it_fills_the_image(check) -> None:
    case = Case(20, 20, (Thing("box", (3, 3, 9, 9)),), (Paste(DOT, 10, 10, scale=90.0),), 0.0)
    assert boxes(check(case)) == [(0, 0, 20, 20)]
    assert reasons(check(Case(20, 20, case.things, case.pastes, min_visible=0.5))) == ["occluded"]
