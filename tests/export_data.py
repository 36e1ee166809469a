"""A bank of the objects of a COCO data set, each on its photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from empaste_aug import BankWriter, MaskBank
from empaste_aug.imageio import read_image


def bank_of(coco_files: Any, path: Path, **changes: Any) -> MaskBank:
    """Scores 0.1, 0.2, ... 0.9, 0.1, ..."""
    dataset = coco_files.load()
    number = 0
    with BankWriter(path, categories=list(dataset.class_names)) as writer:
        for image in dataset.images:
            rgb = read_image(image.path)
            for truth in dataset.instances(image):
                if truth.crowd:
                    continue
                x0, y0, x1, y1 = (int(v) for v in truth.bbox)
                known = {
                    "image_id": image.image_id,
                    "file_name": image.file_name,
                    "source_size": (image.height, image.width),
                    "source_bbox": (x0, y0, x1, y1),
                }
                mask = truth.mask[y0:y1, x0:x1]
                writer.add(
                    np.ascontiguousarray(rgb[y0:y1, x0:x1]),
                    np.where(mask, 255, 0).astype(np.uint8),
                    category_id=truth.category_id,
                    score=(number % 9 + 1) / 10,
                    **{**known, **changes},
                )
                number += 1
    return MaskBank(path)
