"""A bank from annotated instance masks: fully supervised copy-paste, without F-EM."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank import BankWriter
from empaste_aug.bank.schema import MANIFEST
from empaste_aug.imageio import read_image
from empaste_aug.offline.alpha import AlphaConfig, cut_out
from empaste_aug.offline.crop import MARGIN, crop_with_margin
from empaste_aug.offline.datasets.base import Dataset, GroundTruth, LabelledImage
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.photos import hash_files
from empaste_aug.types import ArgumentError


def bank_from_masks(
    dataset: Dataset,
    output: str | Path,
    *,
    margin: int = MARGIN,
    min_area: int = 1,
    min_box_area: int = 0,
    codec: str = "jpeg",
    alpha: AlphaConfig | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Cut every annotated object of a data set out and write them into a bank.

    Each cut-out has score 1 and quality 1. Unless `alpha` says how to soften its edge, its alpha is
    255 on the mask and 0 elsewhere, and its colours are the photo's. The manifest says supervision
    "masks". Crowd regions are never cut out. The manifest's `input_hash` covers the content of
    every annotated photo, and its objects' classes and masks; it takes one pass over all of them
    before the objects are cut out.

    Args:
        dataset: one that has instances; photos whose objects are not known are passed over.
        output: the bank's folder.
        margin: pixels of the photo to keep round the mask's box, as far as the photo reaches, so
            that a feathered edge mixes with what really lay beside the object.
        min_area: the least mask area in pixels.
        min_box_area: the least area of the mask's box in square pixels; the authors' predecessor of
            the paper drops boxes under 700.
        codec: "jpeg" or "raw" pixels in the bank.
        alpha: soften the edges and clean their colours, for masks that are not exact. It may change
            a mask by a few pixels; `min_area` and `min_box_area` go by the annotated one.
        overwrite: replace a finished bank at `output`.

    Returns:
        A summary: `path`, `images` (photos with annotations), `unannotated_images`, `masks`,
        `per_class` (masks by class name) and `skipped` (objects by reason: "crowd", "min_area",
        "min_box_area").

    Raises:
        ArgumentError: an argument is negative, the data set has no instances, or `output` holds a
            finished bank and `overwrite` is off.
        DatasetError: a photo or mask cannot be read.
        BankError: `output` cannot be written.
    """
    limits = {"margin": margin, "min_area": min_area, "min_box_area": min_box_area}
    for name, value in limits.items():
        if value < 0:
            raise ArgumentError(f"{name}: must not be negative, is {value}")
    if not dataset.has_instances:
        raise ArgumentError(f"dataset: {dataset.name} has no instance masks to cut out")
    if (Path(output) / MANIFEST).exists() and not overwrite:
        raise ArgumentError(f"output: {output} holds a finished bank; overwrite=True replaces it")
    annotated = [image for image in dataset.images if dataset.is_annotated(image)]
    skipped: Counter[str] = Counter()
    per_class: Counter[int] = Counter()
    with BankWriter(
        output,
        categories=dataset.class_names,
        supervision="masks",
        method="instance masks",
        config=limits if alpha is None else {**limits, "alpha": asdict(alpha)},
        input_hash=_input_hash(dataset, annotated),
        codec=codec,
        overwrite=overwrite,
    ) as writer:
        bar = progress_bar(annotated, description="cutting out objects", unit="photo", delay=2)
        for image in bar:
            chosen = []
            for truth in dataset.instances(image):
                reason = _reason_to_skip(truth, min_area, min_box_area)
                if reason is None:
                    chosen.append(truth)
                else:
                    skipped[reason] += 1
            if not chosen:
                continue
            photo = read_image(image.path)
            for truth in chosen:
                _add(writer, image, photo, truth, margin, alpha)
                per_class[truth.category_id] += 1
    return {
        "path": Path(output),
        "images": len(annotated),
        "unannotated_images": len(dataset.images) - len(annotated),
        "masks": per_class.total(),
        "per_class": {name: per_class[k] for k, name in enumerate(dataset.class_names)},
        "skipped": dict(skipped),
    }


def _reason_to_skip(truth: GroundTruth, min_area: int, min_box_area: int) -> str | None:
    if truth.crowd:
        return "crowd"
    if np.count_nonzero(truth.mask) < min_area:
        return "min_area"
    x0, y0, x1, y1 = truth.bbox
    return "min_box_area" if (x1 - x0) * (y1 - y0) < min_box_area else None


def _add(
    writer: BankWriter,
    image: LabelledImage,
    photo: NDArray[np.uint8],
    truth: GroundTruth,
    margin: int,
    config: AlphaConfig | None,
) -> None:
    if config is None:
        rgb, alpha, box = crop_with_margin(photo, truth.mask, margin)
    else:
        rgb, alpha, box = cut_out(photo, truth.mask, config, margin=margin)
    writer.add(
        rgb,
        alpha,
        category_id=truth.category_id,
        score=1.0,
        quality=1.0,
        image_id=image.image_id,
        file_name=image.file_name,
        source_size=(image.height, image.width),
        source_bbox=box,
    )


def _input_hash(dataset: Dataset, annotated: Sequence[LabelledImage]) -> str:
    """SHA-256 of the class names, and of every annotated photo's content and objects."""
    content = hash_files([image.path for image in annotated])
    digest = hashlib.sha256(json.dumps(dataset.class_names).encode())
    photos = progress_bar(
        zip(annotated, content, strict=True),
        total=len(annotated),
        description="hashing masks",
        unit="photo",
        delay=2,
    )
    for image, photo in photos:
        fields = [image.image_id, image.file_name, photo, image.height, image.width]
        digest.update(json.dumps(fields).encode())
        for truth in dataset.instances(image):
            x0, y0, x1, y1 = (int(value) for value in truth.bbox)
            digest.update(json.dumps([truth.category_id, truth.crowd, x0, y0, x1, y1]).encode())
            digest.update(np.packbits(truth.mask[y0:y1, x0:x1]).tobytes())
    return digest.hexdigest()
