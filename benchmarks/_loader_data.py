"""The data of benchmarks/loader.py: labelled photos in detectron2's format, and a large bank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _common
import cv2
import numpy as np

from empaste_aug.bank.files import sha256_of
from empaste_aug.bank.schema import INDEX, MANIFEST

PHOTOS = 24
SIZE = (480, 640)
OBJECTS = (4, 10)
"""The least and the most objects of a photo; COCO has about 7."""
JPEG_QUALITY = 95


def blob_polygon(rng: np.random.Generator, side: float, centre: tuple[float, float]) -> list[float]:
    """A smooth outline of 40 points, its longer side about `side`."""
    angles, radii = np.linspace(0, 2 * np.pi, 40, endpoint=False), np.ones(40)
    for wave in range(2, 6):
        radii += rng.uniform(0, 0.5 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    points = np.column_stack((np.cos(angles), rng.uniform(0.5, 1) * np.sin(angles)))
    points *= radii[:, None]
    points *= side / np.ptp(points, axis=0).max()
    height, width = SIZE
    points = np.clip(points + centre, 0, (width, height))
    return [float(v) for v in points.round(2).ravel()]


def make_dataset(folder: Path, rng: np.random.Generator) -> list[dict[str, Any]]:
    """JPEG photos of 640x480 with polygons on them, as detectron2's dicts; one class."""
    from detectron2.structures import BoxMode

    folder.mkdir()
    photos, dicts = _common.load_photos(), []
    height, width = SIZE
    for number in range(PHOTOS):
        photo = photos[number % len(photos)]
        factor = min(photo.shape[0] / height, photo.shape[1] / width) * rng.uniform(0.7, 1)
        h, w = int(height * factor), int(width * factor)
        y, x = rng.integers(photo.shape[0] - h + 1), rng.integers(photo.shape[1] - w + 1)
        crop = np.ascontiguousarray(photo[y : y + h, x : x + w, ::-1])
        method = cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC
        file = folder / f"{number}.jpg"
        bgr = cv2.resize(crop, (width, height), interpolation=method)
        cv2.imwrite(str(file), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        annotations = []
        for _ in range(int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))):
            centre = rng.uniform(40, width - 40), rng.uniform(40, height - 40)
            polygon = blob_polygon(rng, float(np.exp(rng.uniform(np.log(30), np.log(240)))), centre)
            xs, ys = polygon[0::2], polygon[1::2]
            box = [min(xs), min(ys), max(xs), max(ys)]
            annotations.append(
                {
                    "bbox": box,
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "category_id": 0,
                    "segmentation": [polygon],
                    "iscrowd": 0,
                }
            )
        about = {"file_name": str(file), "height": height, "width": width, "image_id": number}
        dicts.append({**about, "annotations": annotations})
    return dicts


def load_coco(root: Path, limit: int) -> list[dict[str, Any]]:
    """Annotated images of a COCO folder, spread evenly, as detectron2's dicts.

    `root` has annotations/instances_NAME.json and the images in NAME/.
    """
    from detectron2.data.datasets import load_coco_json

    found = sorted((root / "annotations").glob("instances_*.json"))
    if not found:
        raise SystemExit(f"--root: {root} has no annotations/instances_*.json")
    images = root / found[0].stem.removeprefix("instances_")
    dicts = [d for d in load_coco_json(str(found[0]), str(images)) if d["annotations"]]
    picked = np.linspace(0, len(dicts) - 1, min(limit, len(dicts))).round().astype(int)
    return [dicts[k] for k in picked]


def write_bank(path: Path, rows: int, rng: np.random.Generator) -> None:
    """A JPEG bank of blob-shaped photo crops, its index repeated to this many rows.

    The rows share the same few records, so the bank has the index of a large one and the
    shards of a small one. A record's checksum does not cover its row, so all of them can be read.
    """
    _common.write_bank(path, _common.load_photos(), rng)
    index = np.load(path / INDEX)
    np.save(path / INDEX, np.resize(index, rows))
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    manifest["rows"] = rows
    manifest["shards"][0]["rows"] += rows - _common.CUTOUTS  # there is one
    size = (path / INDEX).stat().st_size
    manifest["files"][INDEX] = {"bytes": size, "sha256": sha256_of(path / INDEX)}
    (path / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
