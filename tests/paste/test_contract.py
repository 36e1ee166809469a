"""The label contract against brute force on full-size masks, on random scenes."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from empaste_aug import EMPaste, Instance, Placement, Scene
from empaste_aug.paste.render import make_patch


def random_blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width) bool: one to three rectangles, sometimes with a hole; never empty."""
    mask = np.zeros((height, width), dtype=bool)
    for _ in range(int(rng.integers(1, 4))):
        x0, y0 = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(1, width + 1)), int(rng.integers(1, height + 1))
        mask[y0 : y0 + h, x0 : x0 + w] = True
    if rng.random() < 0.3:
        y, x = np.argwhere(mask)[rng.integers(mask.sum())]
        mask[y, x] = mask.sum() == 1
    return mask


def random_scene(rng: np.random.Generator) -> tuple[Scene, list[reference.PlainObject]]:
    height, width = (int(v) for v in rng.integers(1, 70, size=2))
    instances, plain = [], []
    for number in range(int(rng.integers(0, 7))):
        crowd = bool(rng.random() < 0.2)
        if rng.random() < 0.3:
            x = np.sort(rng.uniform(0, width, size=2))
            y = np.sort(rng.uniform(0, height, size=2))
            if rng.random() < 0.5:
                x, y = np.floor(x) + np.arange(2), np.floor(y) + np.arange(2)
            box = (float(x[0]), float(y[0]), float(min(x[1], width)), float(min(y[1], height)))
            mask = np.zeros((height, width), dtype=bool)
            mask[int(box[1]) : int(np.ceil(box[3])), int(box[0]) : int(np.ceil(box[2]))] = True
            instance = Instance(number, box, crowd=crowd, source_index=number)
        else:
            mask = random_blob(rng, height, width)
            instance = Instance.from_mask(number, mask, crowd=crowd, source_index=number)
        if rng.random() < 0.5:
            points = rng.uniform(-2, max(height, width) + 2, size=(5, 2))
            instance.keypoints = np.column_stack((points, rng.integers(0, 3, size=5)))
        instances.append(instance)
        plain.append(reference.PlainObject(mask, crowd))
    valid = None
    if rng.random() < 0.3:
        valid = np.ones((height, width), dtype=bool)
        valid[int(rng.integers(1, height + 1)) :] = False
    image = rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    return Scene(image, instances, valid=valid), plain


def random_placements(rng: np.random.Generator, scene: Scene, rows: int) -> list[Placement]:
    trim = bool(rng.random() < 0.3)
    return [
        Placement(
            cutout_id=int(rng.integers(rows)),
            center=(
                float(rng.uniform(-9, scene.width + 9)),
                float(rng.uniform(-9, scene.height + 9)),
            ),
            scale=float(np.exp(rng.uniform(-3.5, 1.2))),
            angle=float(rng.uniform(-180, 180)),
            flip=bool(rng.random() < 0.5),
            blend=str(rng.choice(["gaussian", "none"])),
            trim_to_free=trim,
        )
        for _ in range(int(rng.integers(0, 9)))
    ]


def check_scene(paste: EMPaste, scene: Scene, plain, placements) -> dict[str, int]:
    """Render and compare with the oracle, exactly; counts what happened."""
    height, width = scene.height, scene.width
    before = scene.image.copy()
    result = paste.render(scene, placements)
    assert np.array_equal(scene.image, before), "the input image was changed"
    valid = np.ones((height, width), dtype=bool) if scene.valid is None else scene.valid
    pastes = []
    for placement in placements:
        patch = make_patch(paste.bank[placement.cutout_id], placement, height=height, width=width)
        mask = np.zeros((height, width), dtype=bool)
        image_window, patch_window = patch.window(height, width)
        mask[image_window] = patch.shape[patch_window]
        pastes.append(reference.PlainPaste(mask, patch.full_area, placement.trim_to_free))
    expected = reference.label_contract(plain, pastes, valid=valid, min_visible=paste.min_visible)
    cover = np.zeros((height, width), dtype=bool)
    for mask in expected.pastes.values():
        cover |= mask

    originals = [i for i in result.instances if i.cutout_id is None]
    pasted = [i for i in result.instances if i.cutout_id is not None]
    assert result.instances == originals + pasted, "originals come first"
    kept = [n for n, mask in enumerate(expected.originals) if mask.any()]
    assert [o.source_index for o in originals] == kept
    assert sorted(d.position for d in result.record.dropped) == sorted(
        set(range(len(plain))) - set(kept)
    )
    for instance in originals:
        number = instance.source_index
        source = scene.instances[number]
        visible = expected.originals[number]
        assert instance.crowd == source.crowd
        touched = not np.array_equal(visible, plain[number].mask)
        if source.mask is None:
            assert instance.mask is None
            box = reference.shrunk_box(source.bbox, visible) if touched else source.bbox
            assert instance.bbox == box
        else:
            assert np.array_equal(instance.full_mask(height, width), visible)
            rows, columns = np.nonzero(visible)
            assert instance.bbox == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        if source.keypoints is not None:
            for (x, y, v), (x_, y_, v_) in zip(source.keypoints, instance.keypoints, strict=True):
                column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
                inside = 0 <= column < width and 0 <= row < height
                hidden = inside and cover[row, column] and v == 2
                assert (x_, y_, v_) == (x, y, 1 if hidden else v)
        if not touched and source.keypoints is None:
            assert instance is source
    assert len(pasted) == len(expected.pastes) == len(result.record.placements)
    for instance, (number, mask) in zip(pasted, expected.pastes.items(), strict=True):
        assert result.record.placements[pasted.index(instance)] == placements[number]
        assert instance.cutout_id == placements[number].cutout_id
        assert np.array_equal(instance.full_mask(height, width), mask)
        rows, columns = np.nonzero(mask)
        assert instance.bbox == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert instance.mask.size == (instance.bbox[2] - instance.bbox[0]) * (
            instance.bbox[3] - instance.bbox[1]
        )
    reasons = sorted((placements[n].cutout_id, r) for n, r in expected.reasons.items())
    assert sorted((s.cutout_id, s.reason) for s in result.record.skipped) == reasons
    again = paste.render(scene, result.record.placements)
    if not result.record.dropped or not result.record.skipped:
        assert np.array_equal(again.image, result.image), "placements do not give the same bytes"
    assert len(again.instances) == len(result.instances)
    counts = dict.fromkeys(("occluded", "remnant", "too_small"), 0)
    for reason in expected.reasons.values():
        counts[reason] += 1
    counts["pasted"] = len(pasted)
    counts["hidden"] = len(result.record.dropped)
    counts["box_shrunk"] = sum(
        i.mask is None and i.bbox != scene.instances[i.source_index].bbox for i in originals
    )
    return counts


@pytest.mark.parametrize("min_visible", [0.0, 0.1, 0.6])
def test_random_scenes_agree_with_brute_force(small_bank, min_visible) -> None:
    paste = EMPaste(small_bank, min_visible=min_visible)
    totals: dict[str, int] = {}
    for seed in range(150):
        rng = np.random.default_rng(seed)
        scene, plain = random_scene(rng)
        placements = random_placements(rng, scene, len(small_bank))
        for name, count in check_scene(paste, scene, plain, placements).items():
            totals[name] = totals.get(name, 0) + count
    wanted = {"pasted", "occluded", "too_small", "box_shrunk"}
    wanted |= {"remnant"} if min_visible else set()
    wanted |= {"hidden"} if min_visible < 0.5 else set()
    missed = [name for name in wanted if not totals[name]]
    assert not missed, f"the scenes never show {missed}: {totals}"


def test_a_dropped_paste_comes_back_when_what_hid_it_is_hidden(small_bank) -> None:
    """a, b over a, c over b only at b's edge: decided from the last backwards, not in order."""
    big = max(range(len(small_bank)), key=lambda i: small_bank.index["area"][i])
    paste = EMPaste(small_bank, min_visible=0.5)
    scene = Scene(np.zeros((200, 200, 3), dtype=np.uint8))
    radius = float(small_bank.index["circle_radius"][big])
    a = Placement(big, (100.0, 100.0), 1.0)
    b = Placement(big, (100.0, 100.0 + 0.3 * radius), 1.0)
    c = Placement(big, (100.0, 100.0 + 0.9 * radius), 1.0)
    assert [s.reason for s in paste.render(scene, [a, b]).record.skipped] == ["occluded"]
    result = paste.render(scene, [a, b, c])
    assert [p.center for p in result.record.placements][-1] == c.center
    oracle_scene = check_scene(paste, scene, [], [a, b, c])
    assert oracle_scene["pasted"] == len(result.record.placements)
