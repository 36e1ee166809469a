"""Training of the classifier on image-level labels of one or several sources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from empaste_aug.offline.classify.backbone import DEFAULT_BACKBONE, PACKAGED
from empaste_aug.offline.classify.device import checked_device
from empaste_aug.offline.classify.model import Classifier
from empaste_aug.offline.classify.photos import (
    LabelledPhotos,
    PhotoCache,
    PhotoSource,
    merge_sources,
)
from empaste_aug.offline.classify.recipe import Recipe
from empaste_aug.offline.classify.run import STATE_FILE, TrainingRun
from empaste_aug.types import ArgumentError

VAL_FRACTION = 0.1
"""The share of the photos that validates, unless another is asked for."""


def train_classifier(
    dataset: PhotoSource,
    *,
    extra: Sequence[PhotoSource] = (),
    class_map: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
    recipe: Recipe | None = None,
    backbone: str = DEFAULT_BACKBONE,
    pretrained: str | Path | None = PACKAGED,
    input_size: int | None = None,
    val_fraction: float = VAL_FRACTION,
    val_ids: Collection[str] | None = None,
    work_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    cache_bytes: int = 4 << 30,
    workers: int = 0,
    progress: bool = True,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> Classifier:
    """Train a multi-label classifier with binary cross-entropy (the paper, 3.1).

    On one machine, device and number of threads the result depends on the arguments alone, not on
    `workers`, nor on whether the run was interrupted and resumed.

    Args:
        dataset: the main data set; its class names are the classifier's.
        extra: further photos with image-level labels; all are trained on, none validates. They
            must not repeat the main data set's photos, or validation means nothing.
        class_map, exclude: see `merge_sources`.
        recipe: None for `Recipe()`.
        backbone, pretrained: see `build_backbone`.
        input_size: pixels; None for the backbone's own.
        val_fraction: share of the main data set's photos, drawn by the recipe's seed, that is
            held out for validation; 0 for none.
        val_ids: image ids of the main data set to hold out instead.
        work_dir: after each epoch the whole state is written to `work_dir/training.pt`, and a
            later call with the same arguments goes on from there; None writes nothing.
        device: "cpu", "cuda", ...
        cache_bytes: photos are kept in memory, decoded and resized, if they all fit in this.
        workers: processes that augment; 0 does it in this one.
        progress: show a bar on stderr.
        on_epoch: called with each entry of the history, after it was written to `work_dir`.

    Returns:
        The classifier in eval mode on `device`; `history` has one entry per epoch: "phase",
        "epoch", "loss", and "val_map" (None without validation photos).

    Raises:
        ArgumentError: an option out of range, a `device` that cannot be used, unknown extra
            classes, unknown `val_ids`, nothing to train on, no photo to validate on with the
            recipe's keep="best", or a `work_dir` that holds a run with other arguments.
    """
    recipe = Recipe() if recipe is None else recipe
    device = checked_device(device)
    photos = merge_sources(dataset, extra, class_map=class_map, exclude=exclude)
    train, val = _split(photos, val_fraction, val_ids, recipe.seed)
    if recipe.keep == "best" and not val.size:
        raise ArgumentError(
            "recipe.keep: 'best' needs photos to validate on, and none are held out"
        )
    classifier = Classifier.create(
        dataset.class_names, backbone=backbone, pretrained=pretrained, input_size=input_size
    ).to(device)
    short_side = round(classifier.input_size * 8 / 7)
    run = TrainingRun(
        classifier=classifier,
        recipe=recipe,
        photos=photos,
        cache=PhotoCache(photos.images, short_side=short_side, budget=cache_bytes),
        train=train,
        val=val,
        progress=progress,
        state_file=None if work_dir is None else Path(work_dir) / STATE_FILE,
        on_epoch=on_epoch,
        workers=workers,
    )
    run.go()
    return classifier.eval()


def _split(
    photos: LabelledPhotos, fraction: float, ids: Collection[str] | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to train on, and of the main data set's photos to validate on; both ascending."""
    if not 0 <= fraction < 1:
        raise ArgumentError(f"val_fraction: must be in [0, 1), got {fraction}")
    main = photos.images[: photos.main]
    if ids is None:
        order = np.random.default_rng((seed, 0)).permutation(photos.main)
        val = np.sort(order[: round(fraction * photos.main)])
    else:
        wanted = set(ids)
        unknown = wanted - {image.image_id for image in main}
        if unknown:
            raise ArgumentError(f"val_ids: not in the data set: {sorted(unknown)[:5]}")
        val = np.array([i for i, image in enumerate(main) if image.image_id in wanted], np.int64)
    train = np.setdiff1d(np.arange(len(photos.images)), val)
    if train.size == 0:
        raise ArgumentError("val_ids: every photo is held out, none is left to train on")
    return train, val
