"""A small weakly labelled data set from photos that come inside installed packages.

Objects are cut out of ten real photos by the salient-object model and pasted, at varied scale,
rotation and light, onto other real photos. It is there to try the tools on, and to test them with
a known truth; it says nothing about how well the method works on natural photos.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.imageio import read_image
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.proposals.base import encode
from empaste_aug.paste import EMPaste
from empaste_aug.types import MissingDependencyError, Placement, Scene

SaliencyModel = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Source:
    """A photo inside a package, and the class of its object; None for a background."""

    package: str
    file: str
    label: str | None = None


SOURCES = (
    Source("skimage", "data/chelsea.png", "cat"),
    Source("skimage", "data/coffee.png", "cup"),
    Source("sklearn", "datasets/images/flower.jpg", "flower"),
    Source("skimage", "data/motorcycle_left.png", "motorcycle"),
    Source("skimage", "data/motorcycle_right.png", "motorcycle"),
    Source("sklearn", "datasets/images/china.jpg", "pagoda"),
    Source("skimage", "data/astronaut.png", "person"),
    Source("skimage", "data/camera.png", "person"),
    Source("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "person"),
    Source("skimage", "data/rocket.jpg"),
    Source("skimage", "data/brick.png"),
    Source("skimage", "data/grass.png"),
    Source("skimage", "data/gravel.png"),
    Source("skimage", "data/hubble_deep_field.jpg"),
    Source("skimage", "data/moon.png"),
    Source("skimage", "data/ihc.png"),
)
CLASSES = tuple(sorted({source.label for source in SOURCES if source.label}))

_VARIANTS = 4
_CUTOUT_SIDE = 220
_MARGIN = 6


def make_sample_dataset(
    output: str | Path,
    *,
    saliency: SaliencyModel,
    images_per_class: int = 14,
    size: tuple[int, int] = (270, 360),
    seed: int = 0,
) -> Path:
    """Write a folder data set: `images/`, `labels.json`, and `instances.json` to evaluate on.

    Every image shows one object of a class that takes its turn, and in two cases of three a second
    one of another class.

    Args:
        output: the folder; what an earlier call wrote there is replaced.
        saliency: (H, W, 3) uint8 RGB -> (H, W) float32 in [0, 1].
        images_per_class: how many images have each class as their first object.
        size: (height, width) of the images.
        seed: everything random follows from it.

    Returns:
        The folder.

    Raises:
        MissingDependencyError: a package that brings the photos is not installed.
    """
    output = Path(output)
    photos = [(source, read_image(_locate(source))) for source in SOURCES]
    rng = np.random.default_rng(seed)
    output.mkdir(parents=True, exist_ok=True)
    bank = _cut_out(photos, output / "cutouts", saliency, rng)
    paste = EMPaste(bank, count=0, min_visible=0.5)
    shutil.rmtree(output / "images", ignore_errors=True)
    (output / "images").mkdir()
    labels: dict[str, list[str]] = {}
    truth = _CocoTruth()
    total = images_per_class * len(CLASSES)
    for number in progress_bar(range(total), description="sample images", unit="image"):
        background = _background(photos, size, rng)
        rows = _choose_rows(bank, number % len(CLASSES), rng)
        placements = [_placement(bank, row, size, rng) for row in rows]
        scene = paste.render(Scene(background), placements)
        name = f"{number:04d}.jpg"
        _write_jpeg(output / "images" / name, _relight(scene.image, rng))
        labels[name] = sorted({CLASSES[i.category_id] for i in scene.instances})
        truth.add(name, scene)
    (output / "labels.json").write_text(json.dumps(labels, indent=1) + "\n")
    (output / "instances.json").write_text(json.dumps(truth.as_json()) + "\n")
    shutil.rmtree(output / "cutouts")
    return output


def _locate(source: Source) -> Path:
    spec = find_spec(source.package)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MissingDependencyError(source.package, "demo", "the sample data set")
    return Path(folders[0]) / source.file


def _cut_out(
    photos: list[tuple[Source, NDArray[np.uint8]]],
    path: Path,
    saliency: SaliencyModel,
    rng: np.random.Generator,
) -> MaskBank:
    """A bank of the salient objects, each in several lights."""
    with BankWriter(
        path, categories=CLASSES, supervision="masks", codec="raw", overwrite=True
    ) as writer:
        for source, photo in photos:
            if source.label is None:
                continue
            rgb, alpha = _salient_object(photo, saliency(photo))
            for _ in range(_VARIANTS):
                category = CLASSES.index(source.label)
                writer.add(_relight(rgb, rng), alpha, category_id=category, score=1.0)
    return MaskBank(path)


def _salient_object(
    photo: NDArray[np.uint8], saliency: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The largest salient region with a margin, its longer side `_CUTOUT_SIDE` pixels."""
    mask = (saliency >= 0.5).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h = (int(v) for v in stats[largest, :4])
    top, left = max(y - _MARGIN, 0), max(x - _MARGIN, 0)
    box = slice(top, y + h + _MARGIN), slice(left, x + w + _MARGIN)
    alpha = np.where(regions[box] == largest, 255, 0).astype(np.uint8)
    height, width = alpha.shape
    scale = _CUTOUT_SIDE / max(height, width)
    target = max(round(width * scale), 1), max(round(height * scale), 1)
    return (
        np.asarray(cv2.resize(photo[box], target, interpolation=cv2.INTER_AREA), dtype=np.uint8),
        np.asarray(cv2.resize(alpha, target, interpolation=cv2.INTER_AREA), dtype=np.uint8),
    )


def _background(
    photos: list[tuple[Source, NDArray[np.uint8]]],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """A random crop of a photo without labelled objects, mirrored at random."""
    candidates = [photo for source, photo in photos if source.label is None]
    photo = candidates[int(rng.integers(len(candidates)))]
    height, width = photo.shape[:2]
    share = rng.uniform(0.6, 1.0)
    scale = share * min(height / size[0], width / size[1])
    h, w = round(size[0] * scale), round(size[1] * scale)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    crop = photo[y : y + h, x : x + w]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    resized = cv2.resize(np.ascontiguousarray(crop), size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)


def _choose_rows(bank: MaskBank, category: int, rng: np.random.Generator) -> list[int]:
    """A cut-out of the class, and in two cases of three one of another class, below it."""
    classes = np.asarray(bank.index["category_id"])
    rows = [int(rng.choice(np.flatnonzero(classes == category)))]
    if rng.random() < 2 / 3:
        rows.insert(0, int(rng.choice(np.flatnonzero(classes != category))))
    return rows


def _placement(
    bank: MaskBank, row: int, size: tuple[int, int], rng: np.random.Generator
) -> Placement:
    radius = float(bank.index["circle_radius"][row])
    height, width = size
    scale = rng.uniform(0.2, 0.42) * height / radius
    return Placement(
        cutout_id=row,
        center=(float(rng.uniform(0.2, 0.8) * width), float(rng.uniform(0.25, 0.75) * height)),
        scale=float(scale),
        angle=float(rng.uniform(-30, 30)),
        flip=bool(rng.random() < 0.5),
    )


def _relight(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another brightness, contrast and warmth."""
    gamma = rng.uniform(0.8, 1.3)
    gain = rng.uniform(0.85, 1.1) * (1 + np.array([1.0, 0.0, -1.0]) * rng.uniform(-0.06, 0.06))
    lit = 255.0 * gain * (image / 255.0) ** gamma
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def _write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    import simplejpeg

    path.write_bytes(simplejpeg.encode_jpeg(image, quality=95, colorsubsampling="444"))


class _CocoTruth:
    """Instances in COCO's json layout."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, file_name: str, scene: Scene) -> None:
        image_id = len(self._images)
        height, width = scene.height, scene.width
        self._images.append(
            {"id": image_id, "file_name": file_name, "height": height, "width": width}
        )
        for instance in scene.instances:
            rle = encode(instance.full_mask(height, width))
            x0, y0, x1, y1 = instance.bbox
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": instance.category_id,
                    "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": 0 if instance.mask is None else int(instance.mask.sum()),
                    "iscrowd": int(instance.crowd),
                }
            )

    def as_json(self) -> dict[str, Any]:
        categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
        return {
            "images": self._images,
            "annotations": self._annotations,
            "categories": categories,
        }
