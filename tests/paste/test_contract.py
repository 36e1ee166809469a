"""The label contract against brute force on full-size masks, on 2,000 random scenes and more."""

from __future__ import annotations

from collections import Counter

import contract
import numpy as np
import pytest
import reference
from contract import Case, Paste, Thing

from empaste_aug.paste.compose import ATTEMPTS
from empaste_aug.paste.place import Placer

SCENES = 500
"""For each `min_visible`."""


def random_thing(rng: np.random.Generator, height: int, width: int) -> Thing:
    kind = str(
        rng.choice(["rect", "frame", "comb", "none", "box"], p=[0.35, 0.15, 0.2, 0.02, 0.28])
    )
    x = np.sort(rng.uniform(-0.2 * width, 1.2 * width, size=2))
    y = np.sort(rng.uniform(-0.2 * height, 1.2 * height, size=2))
    if rng.random() < 0.6:
        x, y = np.clip(x, 0, width), np.clip(y, 0, height)
    if kind != "box" or rng.random() < 0.5:
        x, y = np.round(x), np.round(y)
    keypoints = None
    if rng.random() < 0.5:
        points = rng.integers(-4, 2 * max(height, width) + 4, size=(5, 2)) / 2
        keypoints = tuple((*p, v) for p, v in zip(points, rng.integers(0, 3, 5), strict=True))
    box = (float(x[0]), float(y[0]), float(x[1]), float(y[1]))
    return Thing(kind, box, crowd=bool(rng.random() < 0.2), keypoints=keypoints)


def random_pastes(
    rng: np.random.Generator, height: int, width: int, rows: int
) -> tuple[Paste, ...]:
    """Anywhere, or all round one corner, so that they hide one another."""
    x, y = (-12, width + 3), (-12, height + 3)
    if rng.random() < 0.4:
        x, y = ((low, low + 6) for low in (int(rng.integers(*x)), int(rng.integers(*y))))
    return tuple(random_paste(rng, x, y, rows) for _ in range(rng.integers(0, 9)))


def random_paste(
    rng: np.random.Generator, x: tuple[int, int], y: tuple[int, int], rows: int
) -> Paste:
    exact = rng.random() < 0.5
    return Paste(
        row=int(rng.integers(rows)),
        x=int(rng.integers(*x)),
        y=int(rng.integers(*y)),
        turns=int(rng.integers(4)),
        flip=bool(rng.random() < 0.5),
        scale=1.0 if exact else float(np.exp(rng.uniform(-3.5, 1.2))),
        angle=0.0 if exact else float(rng.uniform(-180, 180)),
        blend=str(rng.choice(["gaussian", "none"])),
    )


def random_case(rng: np.random.Generator, min_visible: float, rows: int) -> Case:
    height, width = (int(v) for v in rng.integers(1, 41, size=2))
    return Case(
        height,
        width,
        tuple(random_thing(rng, height, width) for _ in range(rng.integers(0, 7))),
        random_pastes(rng, height, width, rows),
        min_visible=min_visible,
        valid_rows=int(rng.integers(0, height + 1)) if rng.random() < 0.2 else None,
        trim=bool(rng.random() < 0.25),
        maps=bool(rng.random() < 0.5),
        readonly=bool(rng.random() < 0.2),
    )


@pytest.mark.parametrize("min_visible", [0.0, 0.1, 0.6, 1.0])
def test_random_scenes_agree_with_brute_force(tiny_paste, min_visible) -> None:
    paste = tiny_paste(min_visible=min_visible)
    seen: Counter[str] = Counter()
    for seed in range(SCENES):
        case = random_case(np.random.default_rng(seed), min_visible, len(paste.bank))
        try:
            result, labels = contract.check_case(paste, case)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {case}") from error
        seen.update(labels.reasons.values())
        seen.update(drop.reason for drop in result.record.dropped)
        seen["pasted"] += len(labels.pastes)
        seen["box moved"] += sum(
            i.mask is None and i.bbox != case.things[i.source_index].box for i in result.instances
        )
    wanted = {"pasted", "occluded", "too_small", "empty"}
    wanted |= {"box moved"} if min_visible < 1.0 else set()
    wanted |= {"remnant"} if min_visible else set()
    wanted |= {"hidden"} if min_visible < 0.5 else set()
    assert wanted <= set(+seen), f"the scenes never show {wanted - set(+seen)}"


def recorded_tries(monkeypatch) -> list:
    """The placements that every Placer draws from now on, None where it finds no space."""
    tries = []
    draw = Placer.draw

    def keep(self, cutout_id, circle, rng):
        tries.append(draw(self, cutout_id, circle, rng))
        return tries[-1]

    monkeypatch.setattr(Placer, "draw", keep)
    return tries


@pytest.mark.parametrize("min_visible", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("placement", ["random", "space_maximize"])
def test_what_a_call_records_is_what_it_did(
    tiny_paste, monkeypatch, placement, min_visible
) -> None:
    paste = tiny_paste(
        placement=placement,
        min_visible=min_visible,
        count=(0, 9),
        scale=(0.05, 2.0),
        max_angle=180.0,
        flip=0.5,
        blend={"gaussian": 1, "none": 1},
    )
    tries = recorded_tries(monkeypatch)
    seen: Counter[str] = Counter()
    for seed in range(80):
        case = random_case(np.random.default_rng([1, seed]), min_visible, len(paste.bank))
        scene = case.scene()
        tries.clear()
        before = contract.snapshot(scene)
        result = paste(scene, np.random.default_rng(seed), resize=(1.0, 0.4, 1.7)[seed % 3])
        assert contract.snapshot(scene) == before
        plain = contract.plain_objects(scene)
        valid = np.ones((case.height, case.width), bool) if scene.valid is None else scene.valid
        record = result.record
        drawn = [t and contract.plain_paste(paste.bank, t, scene) for t in tries]
        labels, used = reference.label_contract_of_tries(
            plain,
            drawn,
            count=len(record.placements) + len(record.skipped),
            valid=valid,
            min_visible=min_visible,
            most_tries=ATTEMPTS,
        )
        assert used == len(tries), f"seed {seed}"
        contract.assert_labels(result, scene, plain, labels)
        assert [skip.reason for skip in record.skipped] == list(labels.reasons.values())
        assert set(record.placements) <= set(tries)
        contract.assert_same_scene(paste.render(scene, record.placements), result)
        seen["tried again"] += used - len(record.placements) - len(record.skipped)
        seen.update(labels.reasons.values())
        seen["pasted"] += len(labels.pastes)
        if placement == "space_maximize":
            check_circles(paste.bank, scene, plain, valid, labels, tries)
    wanted = {"pasted"} | ({"no_space"} if placement == "space_maximize" else {"occluded"})
    wanted |= {"tried again"} if placement == "random" and min_visible else set()
    assert wanted <= set(+seen), f"the scenes never show {wanted - set(+seen)}"


def check_circles(bank, scene, plain, valid, labels, tries) -> None:
    """Every circle is the largest that was free at its turn; nothing that was there is covered."""
    obstacles = ~valid
    for thing in plain:
        obstacles = obstacles | thing.mask
    assert not (labels.cover & obstacles).any()
    for thing, left in zip(plain, labels.originals, strict=True):
        np.testing.assert_array_equal(left, thing.mask)
    shown = list(labels.pastes.values())
    assert sum(int(seen.sum()) for seen in shown) == labels.cover.sum(), "pastes overlap"
    for number, placement in enumerate(tries):
        distance = reference.free_distance(obstacles)
        if placement is None:
            assert distance.max(initial=0.0) == 0.0
            continue
        x, y = (int(v) for v in placement.center)
        radius = placement.scale * bank.circle(placement.cutout_id)[2]
        assert placement.center == (x, y)
        assert radius == pytest.approx(distance[y, x], rel=1e-12)
        assert distance[y, x] == distance.max()
        if number in labels.pastes:
            obstacles = obstacles | labels.pastes[number]
