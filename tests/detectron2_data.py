"""Small photos with labelled shapes, as detectron2 dataset dicts, for the adapter's tests."""

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
