"""Small data sets on disk for the tests of data sets, banks from masks, and evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PALETTE = [value for k in range(256) for value in (k, 255 - k, (k * 7) % 256)]


def write_photo(path: Path, height: int = 40, width: int = 60, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_map(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(PALETTE)
    image.save(path)


class VOCFiles:
    """Writes a devkit image by image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ids: list[str] = []
        (root / "ImageSets" / "Segmentation").mkdir(parents=True)

    def add(
        self,
        image_id: str,
        names: Sequence[str],
        *,
        objects: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        difficult: Sequence[str] = (),
        height: int = 40,
        width: int = 60,
    ) -> None:
        self.ids.append(image_id)
        write_photo(self.root / "JPEGImages" / f"{image_id}.jpg", height, width, seed=len(self.ids))
        entries = "".join(
            f"<object><name>{name}</name><difficult>{int(name in difficult)}</difficult><bndbox>"
            "<xmin>1</xmin><ymin>2.5</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
            for name in names
        )
        path = self.root / "Annotations" / f"{image_id}.xml"
        path.parent.mkdir(exist_ok=True)
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        path.write_text(f"<annotation>{size}{entries}</annotation>")
        if objects is not None:
            write_map(self.root / "SegmentationObject" / f"{image_id}.png", objects)
        if classes is not None:
            write_map(self.root / "SegmentationClass" / f"{image_id}.png", classes)
        self.write_split("train", self.ids)

    def write_split(self, name: str, lines: Sequence[str], kind: str = "Segmentation") -> None:
        folder = self.root / "ImageSets" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def rectangle_polygon(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def coco_content(
    images: Mapping[int, str],
    annotations: Sequence[Mapping[str, Any]],
    categories: Mapping[int, str],
    size: tuple[int, int] = (40, 60),
) -> dict[str, Any]:
    """A COCO json; annotation ids are given in order where they are missing."""
    height, width = size
    return {
        "images": [
            {"id": key, "file_name": name, "height": height, "width": width}
            for key, name in images.items()
        ],
        "annotations": [{"id": n, "iscrowd": 0, **a} for n, a in enumerate(annotations, start=1)],
        "categories": [{"id": key, "name": name} for key, name in categories.items()],
    }


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
