"""Small pools and folders of images for the tests of the pool and of the adapters."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CONFIG = {"n_images": 10, "top_k": 5}


def make_image(number: int) -> np.ndarray:
    """A smooth RGB picture; sizes and proportions vary with the number."""
    rng = np.random.default_rng(number)
    height, width = (int(v) for v in rng.integers(20, 90, 2))
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def provenance(number: int) -> dict[str, Any]:
    """The arguments of `PoolWriter.add` for the image of this number, but key and image."""
    return {
        "kind": ("generated", "object_free", "inpainted", "user")[number % 4],
        "source": f"2007_{number // 5:06d}",
        "caption": "a dog on a sofa \u00e9" if number % 3 else None,
        "prompt": "a lion on a bookcase" if number % 3 else None,
        "seed": 2**63 + number if number % 2 else None,
        "model": "tiny",
        "score": number / 16 if number % 4 else None,
        "scores": {"clip": number / 7, "dog": 0.25} if number % 2 else None,
        "extra": {"steps": [1, 2]} if number % 5 == 0 else None,
    }


def add_images(writer: Any, count: int) -> None:
    for number in range(count):
        writer.add(f"image {number}", make_image(number), **provenance(number))


def write_pool(path: Path, count: int = 12, **options: Any) -> Path:
    """A finished pool of `count` of these images."""
    from empaste_aug import PoolWriter

    with PoolWriter(path, method="test", config=CONFIG, **options) as writer:
        add_images(writer, count)
    return path


def write_folder(path: Path, count: int = 6) -> Path:
    """A folder of `count` PNG images, in subfolders, beside a file that is none."""
    for number in range(count):
        file = path / f"part{number % 2}" / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), make_image(number)[:, :, ::-1])
    (path / "readme.txt").write_text("not an image")
    return path


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its relative path."""
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
