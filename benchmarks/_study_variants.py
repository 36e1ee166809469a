"""The study's variants: what each trains on, and what it pastes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _study_data import TRAIN
from _study_model import augmentations
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.samplers import RepeatFactorTrainingSampler

from empaste_aug import Backgrounds, EMPaste
from empaste_aug.adapters.detectron2 import (
    EMPasteMapper,
    build_empaste_train_loader,
    register_bank_dataset,
)
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


@dataclass(frozen=True)
class Variant:
    """One arm.

    Attributes:
        bank: whose masks are the labels of their own photos, and what is pasted; a name of BANKS.
        paste: EMPaste's options; None: nothing is pasted.
        repeat: photos of rare classes come more often.
        pool: "black", or None for the photos alone.
    """

    bank: str = "bank"
    paste: Mapping[str, Any] | None = None
    repeat: bool = False
    pool: str | None = None


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
    "backgrounds": {"bg_black": Variant(paste=PAPER, pool="black")},
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
        backgrounds=_backgrounds(variant, work, len(dicts)),
    )
    return build_empaste_train_loader(
        dicts, mapper=mapper, total_batch_size=batch_size, num_workers=2, seed=seed
    )


def _backgrounds(variant: Variant, work: Path, photos: int) -> Backgrounds | None:
    """The paper's mix with a pool of as many images as twice the photos."""
    if variant.pool is None:
        return None
    pool = black_pool(work / "pool_black", count=2 * photos)
    return Backgrounds(pool, num_originals=photos)


def _repeated(dicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Photos by detectron2's repeat factors, so that a class is seen in half of all photos."""
    factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, 0.5)
    copies = (factors / factors.mean() * REPEATS).round().clamp(min=1).int().tolist()
    return [photo for photo, count in zip(dicts, copies, strict=True) for _ in range(count)]
