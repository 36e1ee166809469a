"""Small images and targets for the tests of the torchvision adapter."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

CLASSES = ["cat", "dog", "cow"]
SIZE = (72, 96)


def sample(seed, *, objects=None, masks=True, box_format="XYXY", dtype=torch.float32):
    """An image with rectangles whose boxes are a little wider than their masks."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 5)) if objects is None else objects
    height, width = SIZE
    pixels = np.zeros((count, height, width), np.uint8)
    boxes = np.zeros((count, 4))
    for row in range(count):
        x, y = int(rng.integers(2, width - 30)), int(rng.integers(2, height - 30))
        w, h = (2 * int(v) for v in rng.integers(3, 14, size=2))
        pixels[row, y : y + h, x : x + w] = 1
        boxes[row] = x - 1, y - 1, x + w + 1, y + h + 1
    wrapped = tv_tensors.BoundingBoxes(
        torch.from_numpy(boxes).reshape(-1, 4).to(dtype), format="XYXY", canvas_size=SIZE
    )
    target = {
        "boxes": v2.functional.convert_bounding_box_format(wrapped, new_format=box_format),
        "labels": torch.from_numpy(rng.integers(0, len(CLASSES), size=count)),
        "masks": tv_tensors.Mask(torch.from_numpy(pixels)),
        "area": torch.from_numpy(pixels.sum(axis=(1, 2)).astype(np.float32)),
        "iscrowd": torch.zeros(count, dtype=torch.int64),
        "image_id": seed,
    }
    if not masks:
        del target["masks"]
    image = rng.integers(0, 256, size=(3, height, width), dtype=np.uint8)
    return tv_tensors.Image(torch.from_numpy(image)), target


def same(one, other):
    """Equal tensors, lists and values, of the same type and dtype."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, torch.Tensor):
        return type(one) is type(other) and one.dtype == other.dtype and torch.equal(one, other)
    return one == other


def write_coco(folder, annotations, ids=(1, 2, 3)):
    """Two photos, of which the second shows nothing; `ids` are those of CLASSES."""
    for name in ("a.png", "b.png"):
        PIL.Image.new("RGB", SIZE[::-1], (9, 9, 9)).save(folder / name)
    content = {
        "images": [
            {"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for number, name in ((5, "a.png"), (6, "b.png"))
        ],
        "categories": [{"id": i, "name": name} for i, name in zip(ids, CLASSES, strict=True)],
        "annotations": [
            {"id": number, "image_id": 5, **annotation}
            for number, annotation in enumerate(annotations, 1)
        ],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    return folder / "coco.json"
