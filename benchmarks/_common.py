"""What the benchmarks share: photos, blob-shaped cut-outs, banks of them, and the JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter, MaskBank
from empaste_aug.imageio import read_image
from empaste_aug.offline.sample import SOURCES

CUTOUTS = 300
CUTOUT_SIDES = (60, 300)
"""The least and the greatest longer side of a cut-out, in pixels."""


def load_photos() -> list[NDArray[np.uint8]]:
    """Photos inside installed packages."""
    return [read_image(Path(str(files(s.package))) / s.file) for s in SOURCES if s.label]


def draw_blob(rng: np.random.Generator, side: int) -> NDArray[np.bool_]:
    """(h, w) bool: a smooth blob, its longer side about `side`, with 3 empty pixels around it."""
    angles, radii = np.linspace(0, 2 * np.pi, 60, endpoint=False), np.ones(60)
    for wave in range(2, 6):
        radii += rng.uniform(0, 0.5 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    points = np.column_stack((np.cos(angles), rng.uniform(0.5, 1) * np.sin(angles)))
    points *= radii[:, None]
    points -= points.min(axis=0)
    points = np.rint(points * (side - 7) / points.max()).astype(np.int32) + 3
    mask = np.zeros(points.max(axis=0)[::-1] + 4, np.uint8)
    cv2.fillPoly(mask, [points], 1)
    return mask.astype(bool)


def write_bank(
    path: Path,
    photos: Sequence[NDArray[np.uint8]],
    rng: np.random.Generator,
    *,
    codec: str = "jpeg",
    sides: Sequence[int] | None = None,
) -> MaskBank:
    """A bank of blob-shaped crops of the photos; `sides`: `CUTOUT_SIDES` if not given."""
    low, high = sides or CUTOUT_SIDES
    with BankWriter(path, categories=["thing"], supervision="masks", codec=codec) as writer:
        for number in range(CUTOUTS):
            photo = photos[number % len(photos)]
            mask = draw_blob(rng, int(rng.integers(low, high + 1)))
            mask = mask[: photo.shape[0], : photo.shape[1]]
            h, w = mask.shape
            y, x = rng.integers(photo.shape[0] - h + 1), rng.integers(photo.shape[1] - w + 1)
            rgb, alpha = photo[y : y + h, x : x + w], mask * np.uint8(255)
            writer.add(rgb, alpha, category_id=0, score=1.0)
    return MaskBank(path)


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the figures to a file, whole or not at all; nothing where there is no path."""
    if path is None:
        return
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
