"""The study's variants: what each trains on, and what it pastes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _study_data import TRAIN
from _study_model import augmentations
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.samplers import RepeatFactorTrainingSampler

from empaste_aug import Backgrounds, EMPaste, PoolReader
from empaste_aug.adapters.detectron2 import (
    EMPasteMapper,
    build_empaste_train_loader,
    register_bank_dataset,
)
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.longtail import bank_of_photos, long_tail_subset
from empaste_aug.pool import black_pool

SHARE = "0.65"
"""Of the image-class pairs whose masks a bank keeps, by quality: the paper's own yield."""

REPEATS = 4
"""Copies of an average photo, where classes are balanced by repeating photos."""

BANKS: dict[str, list[str]] = {
    "bank": ["--keep", SHARE],
    "bank_gt": ["--masks"],
    "bank_no_em": ["--keep", SHARE, "--iterations", "0"],
    "bank_slic": ["--keep", SHARE, "--proposals", "slic"],
}
"""The options of `build_bank` besides the data set."""

LONG_TAIL = "bank_longtail"
"""The cut-outs of "bank" on a long-tailed subset of the photos."""


@dataclass(frozen=True)
class Variant:
    """One arm.

    Attributes:
        bank: whose masks are the labels of their own photos, and what is pasted; a name of BANKS.
        paste: EMPaste's options; None: nothing is pasted.
        repeat: photos of rare classes come more often.
        pool: "black", "object_free", or None for the photos alone.
    """

    bank: str = "bank"
    paste: Mapping[str, Any] | None = None
    repeat: bool = False
    pool: str | None = None


BACKGROUND_PROBABILITY = 1 / 3
"""Of a photo to give its place to a background: the paper's, of 10,000 among 20,226 originals."""

PAPER: dict[str, Any] = {"placement": "random", "count": 4, "blend": "gaussian"}
SPACE = PAPER | {"placement": "space_maximize", "max_scale": 3.0}
BALANCED = PAPER | {"selection": "balanced"}

_BY_EXPERIMENT: dict[str, dict[str, Variant]] = {
    "main": {
        "pseudo_only": Variant(),
        "paste_random": Variant(paste=PAPER),
        "paste_space_maximize": Variant(paste=SPACE),
        "gt_only": Variant("bank_gt"),
        "gt_paste": Variant("bank_gt", PAPER),
        "no_em": Variant("bank_no_em", PAPER),
        "balanced_no_paste": Variant(repeat=True),
        "paste_balanced": Variant(paste=BALANCED),
    },
    "longtail": {
        "longtail_plain": Variant("bank_longtail"),
        "longtail_uniform": Variant("bank_longtail", PAPER),
        "longtail_balanced": Variant("bank_longtail", BALANCED),
    },
    "backgrounds": {
        "bg_black": Variant(paste=PAPER, pool="black"),
        "bg_object_free": Variant(paste=PAPER, pool="object_free"),
    },
    "objects": {
        "paste_2": Variant(paste=PAPER | {"count": 2}),
        "paste_6": Variant(paste=PAPER | {"count": 6}),
    },
    "blending": {"blend_none": Variant(paste=PAPER | {"blend": "none"})},
    "proposals": {"slic": Variant("bank_slic", PAPER)},
}
VARIANTS = {name: arm for arms in _BY_EXPERIMENT.values() for name, arm in arms.items()}
EXPERIMENTS = {name: kind for kind, arms in _BY_EXPERIMENT.items() for name in arms}


def banks_of(variants: Sequence[str]) -> dict[str, list[str]]:
    """The banks that these variants need, with `build_bank`'s options."""
    wanted = {VARIANTS[name].bank for name in variants}
    if LONG_TAIL in wanted:
        wanted.add("bank")
    return {name: options for name, options in BANKS.items() if name in wanted}


def training_loader(
    variant: Variant, work: Path, batch_size: int, seed: int
) -> Iterable[list[dict[str, Any]]]:
    """The endless batches of one arm, the same for the same seed."""
    folder, name = work / variant.bank, f"study_{variant.bank}"
    if name not in DatasetCatalog:
        register_bank_dataset(name, folder, work / "VOC2012" / "JPEGImages")
    classes = MetadataCatalog.get(TRAIN).thing_classes
    if MetadataCatalog.get(name).thing_classes != classes:
        raise SystemExit(f"{folder}: has other classes than the photos")
    dicts = DatasetCatalog.get(name)
    if variant.repeat:
        dicts = _repeated(dicts)
    paste = None
    if variant.paste is not None:
        paste = EMPaste(folder, class_names=classes, **variant.paste)
    mapper = EMPasteMapper(
        True,
        augmentations=augmentations(),
        image_format="RGB",
        use_instance_mask=True,
        instance_mask_format="cropped",
        paste=paste,
        backgrounds=_backgrounds(variant, work),
    )
    return build_empaste_train_loader(
        dicts, mapper=mapper, total_batch_size=batch_size, num_workers=2, seed=seed
    )


def make_long_tail(work: Path) -> None:
    """Make the bank `LONG_TAIL` once, and `longtail.json`, what classes it has how often."""
    if (work / LONG_TAIL / "manifest.json").exists():
        return
    dataset = load_dataset("voc", work / "VOC2012", split=TRAIN, check="header")
    found = long_tail_subset(dataset, rng=np.random.default_rng(0), count="images", fit=True)
    (work / "longtail.json").write_text(json.dumps(found.as_json(), indent=1))
    bank_of_photos(work / LONG_TAIL, work / "bank", found.image_ids, note=found.as_json())


def _backgrounds(variant: Variant, work: Path) -> Backgrounds | None:
    if variant.pool is None:
        return None
    pool: Path | PoolReader = work / "pool_object_free"
    if variant.pool == "black":
        pool = black_pool(work / "pool_black", count=8)
    return Backgrounds(pool, probability=BACKGROUND_PROBABILITY)


def _repeated(dicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Photos by detectron2's repeat factors, sqrt(0.5 / f) of a class that a share f shows: rare
    classes come more often, but less so than all alike."""
    factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, 0.5)
    copies = (factors / factors.mean() * REPEATS).round().clamp(min=1).int().tolist()
    return [photo for photo, count in zip(dicts, copies, strict=True) for _ in range(count)]
