"""EMPaste at the edges: tiny, huge, full and empty images, odd objects, and odd photo files."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from empaste_aug import BankWriter, EMPaste, Instance, MaskBank, Placement, Scene
from empaste_aug.imageio import read_image

PLACEMENTS = ["random", "space_maximize"]
DOT, SQUARE, SHEET = range(3)
COLOURS = {DOT: (250, 10, 10), SQUARE: (10, 250, 10), SHEET: (10, 10, 250)}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> MaskBank:
    """Three rectangles in plain colours, of 1 x 1, 11 x 15 and 240 x 300 pixels."""
    path = tmp_path_factory.mktemp("banks") / "edges"
    sizes = {DOT: (1, 1), SQUARE: (11, 15), SHEET: (240, 300)}
    with BankWriter(path, categories=["dot", "square", "sheet"], supervision="masks") as writer:
        for category, size in sizes.items():
            rgb = np.empty((*size, 3), np.uint8)
            rgb[:] = COLOURS[category]
            alpha = np.full(size, 255, np.uint8)
            writer.add(
                rgb, alpha, category_id=category, score=1.0, quality=1.0, image_id=str(category)
            )
    return MaskBank(path)


def blank(height: int, width: int, *instances: Instance, grey: int = 90) -> Scene:
    return Scene(np.full((height, width, 3), grey, np.uint8), instances)


def rectangle(x0: int, y0: int, x1: int, y1: int, *, boxes: bool = False, **rest) -> Instance:
    """A filled rectangle, with or without a mask."""
    if boxes:
        return Instance(1, (float(x0), float(y0), float(x1), float(y1)), **rest)
    return Instance.from_mask(1, np.ones((y1 - y0, x1 - x0), bool), (x0, y0), **rest)


def footprint(instance: Instance, height: int, width: int) -> np.ndarray:
    """The pixels in the image of its mask, or of its box where it has none."""
    if instance.mask is not None:
        return instance.full_mask(height, width)
    full = np.zeros((height, width), bool)
    x0, y0, x1, y1 = (int(v) for v in instance.bbox)
    full[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
    return full


def check(scene: Scene, result: Scene) -> list[Instance]:
    """Masks lie in the image, apart, in tight boxes; with hard edges nothing else has changed."""
    height, width = scene.height, scene.width
    assert result.image.shape == scene.image.shape
    assert result.record is not None
    pasted = [i for i in result.instances if i.cutout_id is not None]
    owners = np.zeros((height, width), int)
    for instance in pasted:
        full = footprint(instance, height, width)
        assert full.any()
        assert full.sum() == instance.mask.sum()
        rows, columns = np.nonzero(full)
        tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert instance.bbox == tight
        owners += full
    for instance in result.instances[: len(result.instances) - len(pasted)]:
        if instance.mask is not None:
            full = footprint(instance, height, width)
            assert full.any()
            assert not (full & (owners > 0)).any()
    assert owners.max(initial=0) <= 1
    if all(placement.blend == "none" for placement in result.record.placements):
        assert np.array_equal(result.image[owners == 0], scene.image[owners == 0])
    assert len(result.record.placements) == len(pasted)
    return pasted


# ------------------------------------------------------------------- sizes of objects


def test_an_object_larger_than_the_canvas_is_clipped_or_skipped(bank) -> None:
    """All of the canvas is 1 / 36 of the sheet."""
    scene = blank(40, 50)
    placement = Placement(SHEET, (24.5, 19.5), 1.0, blend="none")
    seen = EMPaste(bank, min_visible=0.02).render(scene, [placement])
    (pasted,) = check(scene, seen)
    assert pasted.bbox == (0, 0, 50, 40)
    assert pasted.mask.all()
    assert np.abs(seen.image.astype(int) - COLOURS[SHEET]).max() <= 3
    hidden = EMPaste(bank, min_visible=0.03).render(scene, [placement])
    assert [s.reason for s in hidden.record.skipped] == ["occluded"]
    assert hidden.image is scene.image


def test_space_maximize_shrinks_an_object_larger_than_the_canvas(bank) -> None:
    paste = EMPaste(bank, placement="space_maximize", selection={"sheet": 1}, count=1)
    for seed in range(10):
        scene = blank(40, 50)
        result = paste(scene, np.random.default_rng(seed))
        (pasted,) = check(scene, result)
        assert result.record.placements[0].scale < 0.2
        assert pasted.mask.sum() > 300
        x0, y0, x1, y1 = pasted.bbox
        assert min(x0, y0) >= 0
        assert x1 <= 50
        assert y1 <= 40


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_originals_larger_than_the_canvas(bank, boxes, placement) -> None:
    scene = blank(40, 50, rectangle(-30, -20, 90, 70, boxes=boxes, source_index=0))
    paste = EMPaste(
        bank, placement=placement, selection={"square": 1}, blend="none", scale=(1, 1), count=3
    )
    result = paste(scene, np.random.default_rng(0))
    pasted = check(scene, result)
    original = result.instances[0]
    assert original.source_index == 0
    if placement == "space_maximize":
        assert pasted == []
        assert {s.reason for s in result.record.skipped} == {"no_space"}
    else:
        assert pasted
    if not boxes:
        cover = sum(footprint(i, 40, 50) for i in pasted) if pasted else np.zeros((40, 50))
        assert np.array_equal(original.full_mask(40, 50), np.asarray(cover) == 0)
        assert original.bbox == (0, 0, 50, 40)


@pytest.mark.parametrize("angle", [0.0, 33.0])
@pytest.mark.parametrize("blend", ["none", "gaussian"])
def test_an_object_partly_outside_is_the_same_object_clipped(bank, angle, blend) -> None:
    """As if it were pasted on a larger canvas, of which the image is a part."""
    paste = EMPaste(bank, min_visible=0.0)
    big = blank(140, 150)
    shifts = 0
    for x in range(-8, 58, 6):
        for y in (-5, 2, 20, 43):
            center = (float(x), float(y))
            placement = Placement(SQUARE, center, 1.3, angle=angle, blend=blend)
            shifted = Placement(SQUARE, (x + 50.0, y + 50.0), 1.3, angle=angle, blend=blend)
            scene = blank(40, 50)
            result = paste.render(scene, [placement])
            whole = paste.render(big, [shifted])
            pasted = check(scene, result)
            expected = whole.instances[0].full_mask(140, 150)[50:90, 50:100]
            if expected.any():
                assert np.array_equal(pasted[0].full_mask(40, 50), expected)
                assert np.array_equal(result.image, whole.image[50:90, 50:100])
                shifts += 1
            else:
                assert [s.reason for s in result.record.skipped] == ["occluded"]
    assert shifts > 20


def test_a_cutout_of_one_pixel_is_one_pixel(bank) -> None:
    scene = blank(20, 30)
    result = EMPaste(bank).render(scene, [Placement(DOT, (7.0, 4.0), 1.0, blend="none")])
    (pasted,) = check(scene, result)
    assert pasted.bbox == (7, 4, 8, 5)
    assert np.abs(result.image[4, 7].astype(int) - COLOURS[DOT]).max() <= 3
    half = EMPaste(bank).render(scene, [Placement(DOT, (7.0, 4.0), 0.01)])
    assert len(half.record.placements) + len(half.record.skipped) == 1
    assert {s.reason for s in half.record.skipped} <= {"too_small"}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_cutouts_of_one_pixel_are_placed(bank, placement) -> None:
    paste = EMPaste(
        bank, placement=placement, selection={"dot": 1}, blend="none", scale=(1, 3), count=20
    )
    for seed in range(10):
        scene = blank(30, 40, rectangle(5, 5, 25, 20))
        pasted = check(scene, paste(scene, np.random.default_rng(seed)))
        assert len(pasted) >= 5


def test_originals_of_one_pixel_are_kept_or_hidden_whole(bank) -> None:
    dots = [
        rectangle(x, y, x + 1, y + 1, source_index=7 * y + x)
        for y in range(0, 28, 4)
        for x in range(0, 28, 4)
    ]
    paste = EMPaste(bank, selection={"square": 1}, scale=(0.5, 1), blend="none", count=3)
    hidden = 0
    for seed in range(10):
        scene = blank(30, 30, *dots)
        result = paste(scene, np.random.default_rng(seed))
        pasted = check(scene, result)
        gone = {drop.position for drop in result.record.dropped}
        hidden += len(gone)
        assert {drop.reason for drop in result.record.dropped} <= {"hidden"}
        kept = [dots[n] for n in range(len(dots)) if n not in gone]
        assert list(result.instances[: len(kept)]) == kept
        cover = np.zeros((30, 30), bool)
        for instance in pasted:
            cover |= footprint(instance, 30, 30)
        for number, dot in enumerate(dots):
            assert (number in gone) == cover[int(dot.bbox[1]), int(dot.bbox[0])]
    assert hidden > 0


# ------------------------------------------------------------------- room, and none


@pytest.mark.parametrize("kind", ["masks", "boxes", "crowd", "padding", "touching"])
def test_no_free_pixel_is_left(bank, kind) -> None:
    """Space-Maximize gives its reason for every paste, and hands the image back."""
    whole = {
        "masks": [rectangle(0, 0, 50, 40)],
        "boxes": [rectangle(0, 0, 50, 40, boxes=True)],
        "crowd": [rectangle(0, 0, 50, 40, crowd=True)],
        "padding": [],
        "touching": [rectangle(x, 0, x + 10, 40, boxes=x % 20 == 0) for x in range(0, 50, 10)],
    }[kind]
    scene = blank(40, 50, *whole)
    if kind == "padding":
        scene.valid = np.zeros((40, 50), bool)
    result = EMPaste(bank, placement="space_maximize", count=4)(scene, np.random.default_rng(0))
    assert [s.reason for s in result.record.skipped] == ["no_space"] * 4
    assert result.record.placements == ()
    assert result.image is scene.image
    assert list(result.instances) == whole


def test_random_placement_on_padding_alone_has_no_space(bank) -> None:
    scene = blank(40, 50)
    scene.valid = np.zeros((40, 50), bool)
    result = EMPaste(bank, count=3)(scene, np.random.default_rng(0))
    assert [s.reason for s in result.record.skipped] == ["no_space"] * 3


def test_the_last_free_pixel_is_found(bank) -> None:
    occupied = np.ones((40, 50), bool)
    occupied[17, 33] = False
    scene = blank(40, 50, Instance.from_mask(0, occupied))
    paste = EMPaste(
        bank,
        placement="space_maximize",
        selection={"dot": 1},
        min_visible=0.0,
        blend="none",
        count=3,
    )
    for seed in range(8):
        result = paste(scene, np.random.default_rng(seed))
        (pasted,) = check(scene, result)
        assert pasted.bbox == (33, 17, 34, 18)
        assert [s.reason for s in result.record.skipped] == ["no_space"] * 2


@pytest.mark.parametrize("boxes", [True, False])
def test_touching_boxes_are_not_a_gap(bank, boxes) -> None:
    """Half-open boxes that share an edge leave no pixel between them; a gap of one is found."""
    paste = EMPaste(
        bank,
        placement="space_maximize",
        selection={"dot": 1},
        min_visible=0.0,
        blend="none",
        count=6,
    )
    closed = blank(
        30, 40, rectangle(0, 0, 20, 30, boxes=boxes), rectangle(20, 0, 40, 30, boxes=boxes)
    )
    result = paste(closed, np.random.default_rng(0))
    assert {s.reason for s in result.record.skipped} == {"no_space"}
    gap = blank(30, 40, rectangle(0, 0, 20, 30, boxes=boxes), rectangle(21, 0, 40, 30, boxes=boxes))
    result = paste(gap, np.random.default_rng(0))
    pasted = check(gap, result)
    assert pasted
    assert all(i.bbox[0] == 20 and i.bbox[2] == 21 for i in pasted)
    assert list(result.instances[:2]) == list(gap.instances)


def test_a_paste_on_the_edge_of_touching_boxes_shrinks_only_what_it_covers_whole(bank) -> None:
    left = rectangle(0, 0, 20, 11, boxes=True)
    right = rectangle(20, 0, 40, 11, boxes=True)
    scene = blank(40, 40, left, right)
    # The square is 15 x 11: columns 15 to 29 of both boxes, all their rows.
    placement = Placement(SQUARE, (22.0, 5.0), 1.0, blend="none")
    result = EMPaste(bank, min_visible=0.1).render(scene, [placement])
    check(scene, result)
    assert [i.bbox for i in result.instances] == [(0, 0, 15, 11), (30, 0, 40, 11), (15, 0, 30, 11)]


# ------------------------------------------------------------------- numbers of objects


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_zero_instances(bank, placement) -> None:
    paste = EMPaste(bank, placement=placement, selection="balanced", count=(0, 3))
    counts = set()
    for seed in range(30):
        scene = blank(60, 80)
        result = paste(scene, np.random.default_rng(seed))
        pasted = check(scene, result)
        assert list(result.instances) == pasted
        counts.add(len(pasted))
    assert {0, 1, 2} <= counts


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_one_hundred_touching_instances(bank, placement, boxes) -> None:
    """A grid without gaps over the left part of the image."""
    grid = [
        rectangle(x, y, x + 10, y + 9, boxes=boxes, source_index=10 * (y // 9) + x // 10)
        for y in range(0, 90, 9)
        for x in range(0, 100, 10)
    ]
    assert len(grid) == 100
    paste = EMPaste(
        bank,
        placement=placement,
        selection={"square": 1, "dot": 1},
        scale=(0.5, 1),
        blend="none",
        count=100,
    )
    for seed in range(3):
        scene = blank(90, 140, *grid)
        result = paste(scene, np.random.default_rng(seed))
        pasted = check(scene, result)
        assert len(result.record.placements) + len(result.record.skipped) == 100
        assert len(pasted) >= 10
        originals = result.instances[: len(result.instances) - len(pasted)]
        if placement == "space_maximize":
            assert list(originals) == grid
            assert all(i.bbox[0] >= 100 for i in pasted)
            continue
        cover = np.zeros((90, 140), bool)
        for instance in pasted:
            cover |= footprint(instance, 90, 140)
        touched = 0
        for original in originals:
            before = footprint(grid[original.source_index], 90, 140)
            left = before & ~cover
            assert left.sum() >= 0.1 * before.sum()
            touched += left.sum() < before.sum()
            if not boxes:
                assert np.array_equal(footprint(original, 90, 140), left)
        assert touched > 5


# ------------------------------------------------------------------- sizes of images


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 60), (60, 1), (2, 2)])
def test_images_of_one_pixel_and_of_one_line(bank, placement, size) -> None:
    paste = EMPaste(bank, placement=placement, min_visible=0.0, blend="none", count=3)
    shown = 0
    for seed in range(20):
        whole = rectangle(0, 0, size[1], size[0])
        for scene in (blank(*size), blank(*size, whole)):
            result = paste(scene, np.random.default_rng(seed))
            shown += len(check(scene, result))
            assert len(result.record.placements) + len(result.record.skipped) == 3
            again = paste.render(scene, result.record.placements)
            assert np.array_equal(again.image, result.image)
    assert shown > 0


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_an_image_of_48_megapixels(bank, placement) -> None:
    """Objects in its far corner are placed and labelled; memory stays within 16 bytes a pixel."""
    height, width = 6000, 8000
    scene = blank(
        height,
        width,
        rectangle(7990, 5990, 8000, 6000, source_index=0),
        rectangle(0, 0, 7000, 6000, boxes=True, source_index=1),
    )
    paste = EMPaste(
        bank, placement=placement, selection={"sheet": 1}, scale=(1, 1), blend="none", count=3
    )
    tracemalloc.start()
    try:
        result = paste(scene, np.random.default_rng(3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * height * width
    pasted = [i for i in result.instances if i.cutout_id is not None]
    assert len(pasted) == len(result.record.placements) == 3
    for instance in pasted:
        x0, y0, x1, y1 = (int(v) for v in instance.bbox)
        assert instance.mask.shape == (y1 - y0, x1 - x0)
        assert (
            np.abs(result.image[y0:y1, x0:x1][instance.mask].astype(int) - COLOURS[SHEET]).max() < 4
        )
        if placement == "space_maximize":
            assert x0 >= 7000
    if placement == "space_maximize":
        assert result.record.placements[0].scale > 2
        assert list(result.instances[:2]) == list(scene.instances)
    far = Placement(SQUARE, (7984.0, 5990.0), 1.0, blend="none")
    corner = paste.render(scene, [far]).instances
    assert [i.bbox for i in corner if i.cutout_id is not None] == [(7977, 5985, 7992, 5996)]
    assert corner[0].mask.sum() == 100 - 2 * 6


# ------------------------------------------------------------------- photo files

UPRIGHT = (48, 64)


def write_photo(folder: Path, kind: str) -> tuple[Path, np.ndarray]:
    """A file of this kind, and the RGB pixels that it stands for."""
    ramp = np.add.outer(np.arange(UPRIGHT[0]) * 2, np.arange(UPRIGHT[1])).astype(np.uint8)
    colour = np.stack([ramp, 255 - ramp, ramp // 2], axis=-1)
    path = folder / f"{kind}.png"
    if kind == "grey":
        Image.fromarray(ramp).save(path)
        return path, np.repeat(ramp[..., None], 3, axis=2)
    if kind == "grey and alpha":
        Image.fromarray(np.dstack([ramp, 255 - ramp])).save(path)
        return path, np.repeat(ramp[..., None], 3, axis=2)
    if kind == "RGBA":
        Image.fromarray(np.dstack([colour, ramp])).save(path)
        return path, colour
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn it clockwise to see it so
    Image.fromarray(np.ascontiguousarray(np.rot90(colour))).save(path, exif=exif)
    return path, colour


KINDS = ["grey", "grey and alpha", "RGBA", "EXIF-rotated"]


@pytest.mark.parametrize("kind", KINDS)
def test_odd_photo_files_are_read_and_pasted_on(bank, tmp_path, kind) -> None:
    path, pixels = write_photo(tmp_path, kind)
    image = read_image(path)
    assert np.array_equal(image, pixels)
    scene = Scene(image, [rectangle(50, 30, 64, 48, source_index=0)])
    paste = EMPaste(bank, selection={"square": 1}, blend="none", scale=(1, 1), count=2)
    result = paste(scene, np.random.default_rng(0))
    assert check(scene, result)
    assert np.array_equal(image, pixels)


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize("kind", KINDS)
def test_odd_photo_files_in_detectron2(bank, tmp_path, kind, image_format) -> None:
    """Its reader and ours agree, and its mapper pastes on such photos, in its own format."""
    pytest.importorskip("detectron2")
    from detectron2.data import detection_utils
    from detectron2.structures import BoxMode

    from empaste_aug.adapters.detectron2 import EMPasteMapper

    path, pixels = write_photo(tmp_path, kind)
    assert np.array_equal(detection_utils.read_image(str(path), format="RGB"), pixels)
    paste = EMPaste(
        bank, placement="space_maximize", selection={"square": 1}, blend="none", count=2
    )
    mapper = EMPasteMapper(
        True,
        paste=paste,
        augmentations=[],
        image_format=image_format,
        use_instance_mask=True,
        instance_mask_format="bitmask",
    )
    polygon = [50, 30, 64, 30, 64, 48, 50, 48]
    annotation = {
        "category_id": 1,
        "bbox": [50, 30, 64, 48],
        "bbox_mode": BoxMode.XYXY_ABS,
        "segmentation": [polygon],
    }
    mapped = mapper(
        {
            "file_name": str(path),
            "height": UPRIGHT[0],
            "width": UPRIGHT[1],
            "image_id": 1,
            "annotations": [annotation],
        }
    )
    image = mapped["image"].numpy().transpose(1, 2, 0)
    if image_format == "BGR":
        image = image[..., ::-1]
    masks = mapped["instances"].gt_masks.tensor.numpy()
    assert image.shape == (*UPRIGHT, 3)
    assert masks.shape == (3, *UPRIGHT)
    cover = masks[1:].any(axis=0)
    assert np.array_equal(image[~cover], pixels[~cover])
    assert np.abs(image[cover].astype(int) - COLOURS[SQUARE]).max() <= 3
