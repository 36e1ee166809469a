"""Scenes to check the label contract on, and the comparison with the oracle.

A `Case` says in small numbers what is in a scene and what is pasted, so that a failing one can be
read, shrunk and kept as a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import reference

from empaste_aug import EMPaste, Instance, MaskBank, Placement, Scene
from empaste_aug.paste.render import make_patch
from empaste_aug.types import Segment

CLASSES = ["cat", "dog", "cow"]
SEMANTIC = {"cat": 11, "dog": 0, "cow": 7}
LABELS_OF_CLASSES = [11, 0, 7]
"""What EMPaste is told as `semantic_labels`, and the same by category id."""


def tiny_alphas() -> list[np.ndarray]:
    """(h, w) uint8 alphas whose every pixel matters."""
    full = [np.full(size, 255, np.uint8) for size in ((1, 1), (2, 2), (1, 7), (7, 1), (12, 12))]
    ring = np.full((5, 5), 255, np.uint8)
    ring[1:4, 1:4] = 0
    hole = np.full((3, 3), 255, np.uint8)
    hole[1, 1] = 127
    apart = np.zeros((4, 6), np.uint8)
    apart[0, 0] = apart[3, 5] = 255
    diagonal = np.diag(np.full(6, 255, np.uint8))
    soft = np.full((8, 9), 127, np.uint8)
    soft[2:6, 1:7] = 128
    stairs = np.tril(np.full((9, 5), 255, np.uint8))
    large = np.full((45, 43), 200, np.uint8)
    return [*full, ring, hole, apart, diagonal, soft, stairs, large]


def write_tiny_bank(path) -> MaskBank:
    """`tiny_alphas` as a bank with three classes, each pixel of its own colour."""
    from empaste_aug import BankWriter

    rng = np.random.default_rng(3)
    with BankWriter(path, categories=CLASSES, supervision="masks", codec="raw") as writer:
        for number, alpha in enumerate(tiny_alphas()):
            rgb = rng.integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
            writer.add(rgb, alpha, category_id=number % 3, score=1.0)
    return MaskBank(path)


@dataclass(frozen=True)
class Thing:
    """An original.

    `kind` is "rect", "frame" (a rectangle's rim), "comb" (every second column), "none" (no pixel
    set) or "box" (no mask). `box` is XYXY and may lie anywhere; a mask's is in whole pixels.
    """

    kind: str
    box: tuple[float, float, float, float]
    crowd: bool = False
    keypoints: tuple[tuple[float, float, int], ...] | None = None

    def instance(self, number: int, *, readonly: bool = False) -> Instance:
        keypoints = None
        if self.keypoints is not None:
            keypoints = np.array(self.keypoints, dtype=float).reshape(-1, 3)
        mask, offset = None, (0, 0)
        if self.kind != "box":
            x0, y0, x1, y1 = (int(v) for v in self.box)
            mask, offset = np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), dtype=bool), (x0, y0)
            if self.kind == "frame":
                mask[1:-1, 1:-1] = False
            elif self.kind == "comb":
                mask[:, 1::2] = False
            elif self.kind == "none":
                mask[:] = False
        if readonly:
            for array in (mask, keypoints):
                if array is not None:
                    array.flags.writeable = False
        return Instance(
            number % len(CLASSES),
            tuple(float(v) for v in self.box),
            mask,
            offset,
            crowd=self.crowd,
            keypoints=keypoints,
            source_index=number,
        )


@dataclass(frozen=True)
class Paste:
    """A cut-out of the tiny bank.

    `turns` quarters counter-clockwise, after `flip`, its top-left pixel at (x, y). Any other
    `scale` than 1, or an `angle`, moves its edges by the warp's rules.
    """

    row: int
    x: int
    y: int
    turns: int = 0
    flip: bool = False
    scale: float = 1.0
    angle: float = 0.0
    blend: str = "none"

    @property
    def is_exact(self) -> bool:
        """Whether its pixels are the cut-out's own."""
        return self.scale == 1.0 and self.angle == 0.0

    def turned(self, array: np.ndarray) -> np.ndarray:
        return np.rot90(array[:, ::-1] if self.flip else array, self.turns)

    def placement(self, bank: MaskBank, *, trim: bool) -> Placement:
        x, y, _ = bank.circle(self.row)
        height, width = tiny_alphas()[self.row].shape
        if self.flip:
            x = width - 1 - x
        for _ in range(self.turns):
            x, y, width, height = y, width - 1 - x, height, width
        return Placement(
            self.row,
            (self.x + x, self.y + y),
            self.scale,
            angle=90.0 * self.turns + self.angle,
            flip=self.flip,
            blend=self.blend,
            trim_to_free=trim,
        )


@dataclass(frozen=True)
class Case:
    """A scene, and what is pasted on it; padding starts at row `valid_rows`."""

    height: int
    width: int
    things: tuple[Thing, ...] = ()
    pastes: tuple[Paste, ...] = ()
    min_visible: float = 0.1
    valid_rows: int | None = None
    trim: bool = False
    maps: bool = False
    readonly: bool = False

    def scene(self) -> Scene:
        """The scene; semantic and panoptic map follow the things, drawn in order."""
        colours = np.arange(self.height * self.width * 3) * 37 % 251
        image = colours.astype(np.uint8).reshape(self.height, self.width, 3)
        instances = [t.instance(n, readonly=self.readonly) for n, t in enumerate(self.things)]
        valid = semantic = panoptic = None
        segments: list[Segment] = []
        if self.valid_rows is not None:
            valid = np.zeros((self.height, self.width), dtype=bool)
            valid[: self.valid_rows] = True
        if self.maps:
            semantic = np.full((self.height, self.width), 255, dtype=np.uint8)
            panoptic = np.zeros((self.height, self.width), dtype=np.int32)
            semantic[self.height // 2 :], panoptic[self.height // 2 :] = 2, 9
            segments.append(Segment(9, 5, is_thing=False))
            plain = plain_objects(Scene(image, instances))
            for number, (instance, thing) in enumerate(zip(instances, plain, strict=True)):
                semantic[thing.mask] = LABELS_OF_CLASSES[instance.category_id]
                panoptic[thing.mask] = 500 - number
                segments.append(Segment(500 - number, instance.category_id, source_index=number))
        scene = Scene(image, instances, valid, semantic, panoptic, segments)
        if self.readonly:
            scene.image = np.asfortranarray(image)[:, ::-1][:, ::-1]
            for array in (scene.image, valid, semantic, panoptic):
                if array is not None:
                    array.flags.writeable = False
        return scene

    def placements(self, bank: MaskBank) -> list[Placement]:
        return [paste.placement(bank, trim=self.trim) for paste in self.pastes]


def plain_objects(scene: Scene) -> list[reference.PlainObject]:
    """The originals as the oracle takes them."""
    plain = []
    for instance in scene.instances:
        keypoints = None if instance.keypoints is None else instance.keypoints.copy()
        if instance.mask is None:
            mask = reference.box_pixels(instance.bbox, scene.height, scene.width)
            box = instance.bbox
        else:
            mask = reference.widen(instance.mask, *instance.mask_offset, scene.height, scene.width)
            box = None
        plain.append(reference.PlainObject(mask, instance.crowd, box, keypoints))
    return plain


def plain_paste(bank: MaskBank, placement: Placement, scene: Scene) -> reference.PlainPaste:
    """A placement as the oracle takes it; its pixels are those of the package's warp."""
    cutout = bank.read(placement.cutout_id, scale=placement.scale)
    patch = make_patch(cutout, placement, height=scene.height, width=scene.width)
    mask = np.zeros((scene.height, scene.width), dtype=bool)
    image_window, patch_window = patch.window(scene.height, scene.width)
    mask[image_window] = patch.shape[patch_window]
    return reference.PlainPaste(
        mask,
        patch.full_area,
        placement.trim_to_free,
        int(bank.index["category_id"][placement.cutout_id]),
        placement.cutout_id,
    )


@cache
def _alphas() -> list[np.ndarray]:
    return tiny_alphas()


def plain_pastes(case: Case, bank: MaskBank, scene: Scene) -> list[reference.PlainPaste]:
    """A case's pastes for the oracle; those that are exact share no code with the package."""
    plain = []
    for paste, placement in zip(case.pastes, case.placements(bank), strict=True):
        if paste.is_exact:
            mask = paste.turned(_alphas()[paste.row] >= 128)
            full = reference.widen(mask, paste.x, paste.y, case.height, case.width)
            area, category = int(mask.sum()), paste.row % 3
            plain.append(reference.PlainPaste(full, area, case.trim, category, paste.row))
        else:
            plain.append(plain_paste(bank, placement, scene))
    return plain


def assert_labels(
    result: Scene,
    scene: Scene,
    plain: list[reference.PlainObject],
    labels: reference.PlainLabels,
    semantic_values=LABELS_OF_CLASSES,
) -> None:
    """`result` is exactly what the oracle demands of `scene`."""
    height, width = scene.height, scene.width
    kept = [number for number, visible in enumerate(labels.originals) if visible.any()]
    originals, pasted = result.instances[: len(kept)], result.instances[len(kept) :]
    assert [instance.source_index for instance in originals] == [
        scene.instances[number].source_index for number in kept
    ]
    assert [(drop.position, drop.reason) for drop in result.record.dropped] == [
        (number, "hidden" if thing.mask.any() else "empty")
        for number, thing in enumerate(plain)
        if number not in kept
    ]
    for instance, number in zip(originals, kept, strict=True):
        _assert_original(
            instance, scene.instances[number], plain[number], labels.originals[number], labels.cover
        )
    assert len(pasted) == len(labels.pastes) == len(result.record.placements)
    for instance, placement, (number, visible) in zip(
        pasted, result.record.placements, labels.pastes.items(), strict=True
    ):
        paste = labels.chosen[number]
        assert instance.cutout_id == placement.cutout_id == paste.cutout_id
        assert (instance.category_id, instance.crowd) == (paste.category, False)
        assert instance.source_index is None
        assert instance.keypoints is None
        _assert_mask(instance, visible)
    for name in ("semantic", "panoptic"):
        before, after = getattr(scene, name), getattr(result, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert after.dtype == before.dtype
    if scene.semantic is not None:
        wanted = reference.semantic_map(scene.semantic, labels, semantic_values)
        np.testing.assert_array_equal(result.semantic, wanted)
    if scene.panoptic is not None:
        segments = [(segment.id, segment.category_id) for segment in scene.segments]
        wanted, rows = reference.panoptic_map(scene.panoptic, segments, labels)
        np.testing.assert_array_equal(result.panoptic, wanted)
        assert [(s.id, s.category_id, s.cutout_id) for s in result.segments] == rows
        known = {segment.id: segment for segment in scene.segments}
        assert all(s is known[s.id] for s in result.segments if s.id in known)
        assert all(s.is_thing and not s.crowd for s in result.segments if s.id not in known)
    assert (result.image.shape, result.image.dtype) == ((height, width, 3), np.uint8)
    assert result.valid is scene.valid


def _assert_mask(instance: Instance, visible: np.ndarray) -> None:
    box = reference.box_of(visible)
    assert instance.bbox == box
    assert all(type(side) is float for side in instance.bbox)
    assert instance.mask_offset == box[:2]
    assert instance.mask.dtype == np.bool_
    np.testing.assert_array_equal(instance.mask, visible[box[1] : box[3], box[0] : box[2]])


def _assert_original(instance, source, thing, visible, cover) -> None:
    assert (instance.crowd, instance.category_id) == (thing.crowd, source.category_id)
    assert instance.cutout_id == source.cutout_id
    is_whole = np.array_equal(visible, thing.mask)
    if thing.box is not None:
        assert instance.mask is None
        wanted = thing.box if is_whole else reference.shrunk_box(thing.box, thing.mask, visible)
        assert instance.bbox == wanted
        assert instance.bbox[0] < instance.bbox[2]
        assert instance.bbox[1] < instance.bbox[3]
    elif is_whole and source.mask.sum() == visible.sum():
        assert instance.mask is source.mask
        assert instance.bbox == source.bbox
    else:
        _assert_mask(instance, visible)
    keypoints = thing.keypoints
    assert (instance.keypoints is None) == (keypoints is None)
    if keypoints is not None:
        keypoints = reference.hidden_keypoints(thing.keypoints, cover)
        np.testing.assert_array_equal(instance.keypoints, keypoints)
    same_points = keypoints is None or np.array_equal(keypoints, thing.keypoints)
    if is_whole and same_points and (source.mask is None or source.mask.sum() == visible.sum()):
        assert instance is source


def assert_same_scene(one: Scene, other: Scene) -> None:
    """Both scenes hold the same bytes."""
    np.testing.assert_array_equal(one.image, other.image)
    assert len(one.instances) == len(other.instances)
    for a, b in zip(one.instances, other.instances, strict=True):
        assert (a.category_id, a.bbox, a.mask_offset) == (b.category_id, b.bbox, b.mask_offset)
        assert (a.crowd, a.cutout_id, a.source_index) == (b.crowd, b.cutout_id, b.source_index)
        for name in ("mask", "keypoints"):
            np.testing.assert_equal(getattr(a, name), getattr(b, name))
    for name in ("semantic", "panoptic", "valid"):
        np.testing.assert_equal(getattr(one, name), getattr(other, name))
    assert list(one.segments) == list(other.segments)
    assert one.record.placements == other.record.placements
    assert one.record.dropped == other.record.dropped


def snapshot(scene: Scene) -> list[bytes]:
    """All bytes of a scene's arrays, to see whether any changed."""
    arrays = [scene.image, scene.valid, scene.semantic, scene.panoptic]
    for instance in scene.instances:
        arrays += [instance.mask, instance.keypoints]
    return [b"" if array is None else array.tobytes() for array in arrays]


def check_render(
    paste: EMPaste,
    scene: Scene,
    placements: list[Placement],
    pastes: list[reference.PlainPaste],
) -> tuple[Scene, reference.PlainLabels]:
    """Render, compare with the oracle, and render the record again."""
    plain = plain_objects(scene)
    before = snapshot(scene)
    result = paste.render(scene, placements)
    assert snapshot(scene) == before, "the input was changed"
    valid = np.ones((scene.height, scene.width), bool) if scene.valid is None else scene.valid
    labels = reference.label_contract(plain, pastes, valid=valid, min_visible=paste.min_visible)
    assert result.record.placements == tuple(placements[number] for number in labels.pastes)
    assert [(skip.cutout_id, skip.reason) for skip in result.record.skipped] == [
        (placements[number].cutout_id, reason) for number, reason in labels.reasons.items()
    ]
    assert_labels(result, scene, plain, labels)
    again = paste.render(scene, result.record.placements)
    assert not again.record.skipped
    assert_same_scene(again, result)
    return result, labels


def check_case(paste: EMPaste, case: Case) -> tuple[Scene, reference.PlainLabels]:
    """As `check_render`; also the image itself where every paste is exact and has a hard edge."""
    scene, bank = case.scene(), paste.bank
    assert paste.min_visible == case.min_visible
    pastes = plain_pastes(case, bank, scene)
    result, labels = check_render(paste, scene, case.placements(bank), pastes)
    if all(p.is_exact and p.blend == "none" for p in case.pastes):
        wanted = np.array(scene.image)
        for number, seen in labels.pastes.items():
            drawn = case.pastes[number]
            rgb = drawn.turned(bank[drawn.row].rgb)
            for y, x in np.argwhere(seen):
                wanted[y, x] = rgb[y - drawn.y, x - drawn.x]
        np.testing.assert_array_equal(result.image, wanted)
    return result, labels
