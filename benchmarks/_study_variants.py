"""The study's variants: what each trains on, and what it pastes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _study_data import TRAIN, TUNE_TRAIN, register_split
from _study_model import SIDE, TEST_SIDE, augmentations
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.samplers import RepeatFactorTrainingSampler

from empaste_aug import Backgrounds, EMPaste
from empaste_aug.adapters.detectron2 import (
    EMPasteMapper,
    build_empaste_train_loader,
    register_bank_dataset,
)
from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.longtail import Pareto, bank_of_photos, choose_photos
from empaste_aug.pool import black_pool

BEST = ["--keep", "0.65", "--keep-per-class"]
"""The masks that are pasted: of each class the best of so many of its photos, as many as the paper
keeps. The labels of the photos are all masks, so that every variant trains on the same photos."""

REPEATS = 4
"""Copies of an average photo, where classes are balanced by repeating photos."""

ANNOTATED: dict[str, list[str]] = {
    "gt": ["--masks"],
    "gt_large": ["--masks", "--min-mask-area", "9216"],
}
"""Banks of annotated masks: the options of `build_bank` besides the data set."""

FOUND: dict[str, dict[str, list[str]]] = {
    "em": {
        "em": [],
        "em_best": BEST,
        "em_third": ["--keep", "0.34", "--keep-per-class"],
    },
    "no_em": {
        "no_em": ["--iterations", "0"],
        "no_em_best": ["--iterations", "0", *BEST],
    },
    "slic": {
        "slic": ["--proposals", "slic"],
        "slic_best": ["--proposals", "slic", *BEST],
    },
}
"""Families of banks whose masks F-EM found, the whole bank first: `build_bank`'s options likewise.
Runs read what `_study_masks` has published of them."""

LONG_TAILS = {"em_longtail": "em", "em_best_longtail": "em_best"}
"""Banks of the long tail's photos, and of which banks they are a part."""

MOST, LEAST = 60, 4
"""Photos that the largest and the smallest class of the long tail have, where there are so many."""


@dataclass(frozen=True)
class Variant:
    """One arm.

    Attributes:
        labels: the bank whose masks are the labels of their own photos.
        paste: EMPaste's options; None: nothing is pasted.
        pasted: the bank of the pasted cut-outs.
        repeat: photos of rare classes come more often.
        pool: "black", "object_free", or None for the photos alone.
    """

    labels: str = "em"
    paste: Mapping[str, Any] | None = None
    pasted: str = "em_best"
    repeat: bool = False
    pool: str | None = None

    @property
    def banks(self) -> list[str]:
        """The banks that it reads."""
        return [self.labels] if self.paste is None else [self.labels, self.pasted]


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
        "gt_only": Variant("gt"),
        "gt_paste": Variant("gt", PAPER, "gt"),
        "gt_paste_large": Variant("gt", PAPER, "gt_large"),
        "no_em": Variant("no_em", PAPER, "no_em_best"),
        "balanced_no_paste": Variant(repeat=True),
        "paste_balanced": Variant(paste=BALANCED),
    },
    "longtail": {
        "longtail_plain": Variant("em_longtail"),
        "longtail_uniform": Variant("em_longtail", PAPER, "em_best_longtail"),
        "longtail_balanced": Variant("em_longtail", BALANCED, "em_best_longtail"),
    },
    "backgrounds": {
        "bg_black": Variant(paste=PAPER, pool="black"),
        "bg_object_free": Variant(paste=PAPER, pool="object_free"),
    },
    "objects": {
        "paste_2": Variant(paste=PAPER | {"count": 2}),
        "paste_6": Variant(paste=PAPER | {"count": 6}),
    },
    "yield": {"paste_third": Variant(paste=PAPER, pasted="em_third")},
    "blending": {"blend_none": Variant(paste=PAPER | {"blend": "none"})},
    "proposals": {"slic": Variant("slic", PAPER, "slic_best")},
}
VARIANTS = {name: arm for arms in _BY_EXPERIMENT.values() for name, arm in arms.items()}
EXPERIMENTS = {name: kind for kind, arms in _BY_EXPERIMENT.items() for name in arms}


def banks_of(variants: Sequence[str]) -> list[str]:
    """The banks that these variants read, and those that these are a part of, in a fixed order."""
    wanted = {bank for name in variants for bank in VARIANTS[name].banks}
    wanted |= {LONG_TAILS[name] for name in wanted & LONG_TAILS.keys()}
    whole = [*ANNOTATED, *(name for family in FOUND.values() for name in family)]
    return [name for name in [*whole, *LONG_TAILS] if name in wanted]


def bank_path(work: Path, name: str, *, tuning: bool = False) -> Path:
    """A bank's folder; for tuning, of that with the tuning part's training photos alone."""
    return work / ("banks_tuning" if tuning else "banks") / name


def make_tuning_banks(work: Path, names: Collection[str]) -> None:
    """Make of each of these banks the one for tuning."""
    photos = (work / "VOC2012" / "ImageSets" / "Main" / f"{TUNE_TRAIN}.txt").read_text().split()
    for name in sorted(names):
        _subset(bank_path(work, name, tuning=True), bank_path(work, name), photos)


def training_loader(
    variant: Variant, work: Path, batch_size: int, seed: int, *, tuning: bool = False
) -> Iterable[list[dict[str, Any]]]:
    """The endless batches of one arm, the same for the same seed."""
    folder = bank_path(work, variant.labels, tuning=tuning)
    name = f"study_{folder.parent.name}_{folder.name}"
    if name not in DatasetCatalog:
        register_bank_dataset(name, folder, work / "VOC2012" / "JPEGImages")
    register_split(work, TRAIN)
    classes = MetadataCatalog.get(TRAIN).thing_classes
    if MetadataCatalog.get(name).thing_classes != classes:
        raise SystemExit(f"{variant.labels}: has other classes than the photos")
    dicts = DatasetCatalog.get(name)
    if variant.repeat:
        dicts = _repeated(dicts)
    paste = None
    if variant.paste is not None:
        cutouts = bank_path(work, variant.pasted, tuning=tuning)
        paste = EMPaste(cutouts, class_names=classes, **variant.paste)
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
    """Make the banks `LONG_TAILS`, and `longtail.json`, what classes they have how often.

    Class sizes in photos follow the paper's law from `MOST` to `LEAST`; a class that has fewer
    keeps them all.
    """
    dataset = load_dataset("voc", work / "VOC2012", split=TRAIN, check="header")
    shape = len(dataset.images), len(dataset.class_names)
    counts = np.zeros(shape, dtype=np.int64)
    for row, image in enumerate(dataset.images):
        counts[row, list(image.labels)] = 1
    available = counts.sum(axis=0)
    sizes = np.empty(shape[1], dtype=np.int64)
    law = Pareto(maximum=MOST, minimum=LEAST)
    sizes[np.argsort(-available, kind="stable")] = law.sizes(shape[1])
    rows = choose_photos(counts, np.minimum(sizes, available), rng=np.random.default_rng(0))
    photos = [dataset.images[row].image_id for row in rows]
    reached = counts[rows].sum(axis=0).tolist()
    note = {"photos": len(photos), "classes": dict(zip(dataset.class_names, reached, strict=True))}
    (work / "longtail.json").write_text(json.dumps(note, indent=1))
    for name, origin in LONG_TAILS.items():
        _subset(bank_path(work, name), bank_path(work, origin), photos)


def settings_of(variant: Variant, work: Path) -> dict[str, Any]:
    """What a run depends on besides its banks, the detector and the schedule."""
    splits = work / "VOC2012" / "ImageSets" / "Main"
    return {
        "variant": asdict(variant),
        "augmentations": inspect.getsource(augmentations),
        "sides": [SIDE, TEST_SIDE],
        "repeats": REPEATS,
        "background_probability": BACKGROUND_PROBABILITY,
        "photos": {path.stem: path.read_text() for path in sorted(splits.glob("study_*.txt"))},
        "pool": [] if variant.pool is None else _files(pool_path(work, variant.pool)),
    }


def _subset(target: Path, origin: Path, photos: Sequence[str]) -> None:
    """Make the bank of some photos, unless it is there, of this very bank and these photos."""
    manifest = target / "manifest.json"
    if manifest.is_file():
        made = json.loads(manifest.read_text())["subset_of"]
        if made["choice"] == {"photos": list(photos)} and made["manifest_sha256"] == sha256_of(
            origin / "manifest.json"
        ):
            return
    bank_of_photos(target, origin, photos, note={"photos": list(photos)}, overwrite=True)


def pool_path(work: Path, name: str) -> Path:
    """The folder of a pool, or of photos that are one."""
    return work / f"pool_{name}"


def make_pools(work: Path, names: Collection[str], object_free: tuple[Path, Path] | None) -> None:
    """Make the pools of these names: black images; links to photos without any class.

    Args:
        work: the study's folder.
        names: "black", "object_free".
        object_free: a folder of photos, and a text file of the names of those to take.
    """
    if "black" in names:
        black_pool(pool_path(work, "black"), count=8)
    if "object_free" not in names:
        return
    if object_free is None:
        raise SystemExit("--object-free: the variant bg_object_free needs it")
    photos, listed = object_free
    folder = pool_path(work, "object_free")
    folder.mkdir(exist_ok=True)
    for name in listed.read_text().split():
        if not (folder / name).exists():
            (folder / name).symlink_to((photos / name).resolve(strict=True))


def _files(folder: Path) -> list[tuple[str, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]


def _backgrounds(variant: Variant, work: Path) -> Backgrounds | None:
    if variant.pool is None:
        return None
    return Backgrounds(pool_path(work, variant.pool), probability=BACKGROUND_PROBABILITY)


def _repeated(dicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Photos by detectron2's repeat factors, sqrt(0.5 / f) of a class that a share f shows: rare
    classes come more often, but less so than all alike."""
    factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(dicts, 0.5)
    copies = (factors / factors.mean() * REPEATS).round().clamp(min=1).int().tolist()
    return [photo for photo, count in zip(dicts, copies, strict=True) for _ in range(count)]
