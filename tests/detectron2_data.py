"""Small photos with labelled shapes as detectron2 dataset dicts, and checks of what is mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ["cat", "dog", "cow"]
COLOURS = {0: (200, 60, 40), 1: (40, 170, 60), 2: (60, 70, 200)}
HEIGHT, WIDTH = 96, 128


def ellipse_polygon(x: float, y: float, a: float, b: float, points: int = 24) -> list[float]:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    outline = np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)
    return [float(v) for v in outline.round(2).ravel()]


def write_photos(
    folder: Path,
    count: int,
    *,
    objects: tuple[int, int] = (1, 3),
    keypoints: bool = False,
    crowd: bool = False,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> list[dict[str, Any]]:
    """`count` PNG photos of `objects` ellipses each, polygons as segmentation, XYWH boxes."""
    from detectron2.structures import BoxMode

    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    height, width = size
    dicts = []
    for number in range(count):
        image = rng.integers(90, 130, size=(height, width, 3)).astype(np.uint8)
        annotations = []
        for _ in range(int(rng.integers(objects[0], objects[1] + 1))):
            category = int(rng.integers(len(CLASSES)))
            a, b = rng.uniform(8, 20, size=2)
            x, y = rng.uniform(a, width - 1 - a), rng.uniform(b, height - 1 - b)
            polygon = ellipse_polygon(x, y, a, b)
            outline = np.asarray(polygon).reshape(-1, 2).round().astype(np.int32)
            cv2.fillPoly(image, [outline], COLOURS[category])
            annotations.append(
                {
                    "category_id": category,
                    "bbox": [x - a, y - b, 2 * a, 2 * b],
                    "bbox_mode": BoxMode.XYWH_ABS,
                    "segmentation": [polygon],
                    "iscrowd": 0,
                }
            )
            if keypoints:
                annotations[-1]["keypoints"] = [x, y, 2, x - a / 2, y, 2, x + a / 2, y, 1]
        if crowd:
            annotations.append(
                {
                    "category_id": 0,
                    "bbox": [0, 0, width // 2, height],
                    "bbox_mode": BoxMode.XYWH_ABS,
                    "segmentation": {"size": [height, width], "counts": [0, height * (width // 2)]},
                    "iscrowd": 1,
                }
            )
            left = height * (width // 2)
            annotations[-1]["segmentation"]["counts"].append(height * width - left)
        file_name = folder / f"{number:03d}.png"
        cv2.imwrite(str(file_name), image[:, :, ::-1])
        dicts.append(
            {
                "file_name": str(file_name),
                "image_id": number,
                "height": height,
                "width": width,
                "annotations": annotations,
            }
        )
    return dicts


def make_mapper(paste, *, augmentations=(), is_train=True, **options):
    from empaste_aug.adapters.detectron2 import EMPasteMapper

    options = {"use_instance_mask": True, "instance_mask_format": "bitmask", **options}
    options.setdefault("image_format", "RGB")
    return EMPasteMapper(is_train, augmentations=list(augmentations), paste=paste, **options)


def call(mapper, dataset_dict, seed=0):
    np.random.seed(seed)  # noqa: NPY002
    return mapper(dataset_dict)


def augmentations():
    from detectron2.data import transforms as T  # noqa: N812

    return [
        T.RandomCrop("relative_range", (0.5, 0.5)),
        T.ResizeShortestEdge((48, 80, 120), 160, "choice"),
        T.RandomFlip(),
    ]


def large_scale_jitter(size=96):
    """Flip, resize by 0.1 to 2, crop and pad."""
    from detectron2.data import transforms as T  # noqa: N812

    return [
        T.RandomFlip(),
        T.ResizeScale(0.1, 2.0, size, size),
        T.FixedSizeCrop((size, size)),
    ]


def masks_of(instances):
    """(N, H, W) bool, from any format."""
    from detectron2.structures import BitMasks, polygons_to_bitmask

    from empaste_aug.adapters.detectron2 import CroppedMasks

    if isinstance(instances.gt_masks, BitMasks):
        return instances.gt_masks.tensor.numpy()
    if isinstance(instances.gt_masks, CroppedMasks):
        return instances.gt_masks.to_bitmasks().tensor.numpy()
    polygons = instances.gt_masks.polygons
    masks = [polygons_to_bitmask(p, *instances.image_size) for p in polygons]
    return np.array(masks, dtype=bool).reshape(-1, *instances.image_size)


def check_invariants(mapped):
    """No empty mask; boxes inside the image and tight; classes in range; sizes agree."""
    import torch
    from detectron2.structures import PolygonMasks

    instances = mapped["instances"]
    assert tuple(mapped["image"].shape[1:]) == instances.image_size
    assert mapped["image"].dtype == torch.uint8
    masks = masks_of(instances)
    boxes = instances.gt_boxes.tensor.numpy()
    assert len(masks) == len(boxes) == len(instances.gt_classes)
    height, width = instances.image_size
    for index, (mask, box) in enumerate(zip(masks, boxes, strict=True)):
        assert 0 <= instances.gt_classes[index] < len(CLASSES)
        assert mask.any()
        assert 0 <= box[0] < box[2] <= width
        assert 0 <= box[1] < box[3] <= height
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        if isinstance(instances.gt_masks, PolygonMasks):
            vertices = np.concatenate(instances.gt_masks.polygons[index]).reshape(-1, 2)
            vertices = vertices.clip(0, (width, height))
            np.testing.assert_allclose(box, [*vertices.min(axis=0), *vertices.max(axis=0)])
            assert (box[:2] <= tight[:2] + 1).all()
            assert (box[2:] >= tight[2:] - 1).all()
        else:
            np.testing.assert_array_equal(box, tight)
