"""The study's figures: what a run is worth, and how sure a comparison of two variants is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _study_data import EVAL, TRAIN
from _study_model import TEST_SIDE
from _study_variants import LONG_TAIL, VARIANTS
from numpy.typing import ArrayLike

from empaste_aug.bank import MaskBank
from empaste_aug.offline.datasets import load_dataset
from empaste_aug.training.instance_ap import Matches, match_instances

SUPER_CLASSES = {
    "person": ["person"],
    "indoor": ["bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"],
    "animal": ["bird", "cat", "cow", "dog", "horse", "sheep"],
    "vehicle": ["aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"],
}
LARGE = {"large": (48.0**2, float("inf"))}
"""Objects of more than 48 x 48 pixels where the photo's longer side has 320."""

COMPARISONS = [
    ("paste_random", "pseudo_only"),
    ("paste_space_maximize", "pseudo_only"),
    ("paste_space_maximize", "paste_random"),
    ("gt_paste", "gt_only"),
    ("gt_paste", "paste_random"),
    ("paste_random", "no_em"),
    ("balanced_no_paste", "pseudo_only"),
    ("paste_balanced", "balanced_no_paste"),
    ("paste_balanced", "paste_random"),
    ("gt_only", "pseudo_only"),
    ("longtail_uniform", "longtail_plain"),
    ("longtail_balanced", "longtail_uniform"),
    ("longtail_balanced", "longtail_plain"),
    ("paste_random", "bg_object_free"),
    ("paste_random", "bg_black"),
    ("paste_random", "paste_2"),
    ("paste_random", "paste_6"),
    ("paste_random", "blend_none"),
    ("paste_random", "slic"),
]


class RareHalf:
    """AP50 of objects of any size, over the rarer half of the classes.

    Args:
        matches: of all classes.
        counts: (classes,) how often each class occurs, the same for all variants that are compared.
    """

    def __init__(self, matches: Matches, counts: Sequence[int]) -> None:
        self.image_ids = matches.image_ids
        self._matches = matches
        self._rare = np.argsort(counts, kind="stable")[: len(counts) // 2]

    def ap(self, *, images: ArrayLike | None = None) -> float:
        """The mean over those of the classes that have objects; NaN where none has."""
        found = self._matches.ap_per_class(iou=0.5, images=images)[self._rare]
        known = found[~np.isnan(found)]
        return float(known.mean()) if known.size else float("nan")


def class_counts(work: Path, bank: str) -> list[int]:
    """How often a class occurs where rarity goes by it: cut-outs of the long tail, else photos."""
    dataset = load_dataset("voc", work / "VOC2012", split=TRAIN, check="header")
    names = list(dataset.class_names)
    if bank == LONG_TAIL:
        of_bank = MaskBank(work / bank)
        found = dict(zip(of_bank.categories, of_bank.class_counts().tolist(), strict=True))
        return [found[name] for name in names]
    return [sum(label in image.labels for image in dataset.images) for label in range(len(names))]


def evaluate(
    truth: Any, results: Sequence[Mapping[str, Any]], counts: Sequence[int]
) -> dict[str, str]:
    """The AP columns of a row; `counts` as in `RareHalf`."""
    usual = match_instances(truth, results)
    large, large_4 = _large(truth, results), _large(truth, results, SUPER_CLASSES)
    values = {
        "ap50": usual.ap(iou=0.5),
        "ap75": usual.ap(iou=0.75),
        "ap50_large": large.ap(),
        "ap50_large_4": large_4.ap(),
        "ap_small": usual.ap(area="small"),
        "ap_medium": usual.ap(area="medium"),
        "ap_large": usual.ap(area="large"),
        "ap50_rare_half": RareHalf(usual, counts).ap(),
    }
    return {name: f"{value:.3f}" for name, value in values.items()}


def _large(
    truth: Any,
    results: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Matches:
    return match_instances(
        truth, results, areas=LARGE, iou_thresholds=[0.5], groups=groups, long_side=TEST_SIDE
    )


def write_report(path: Path, rows: Sequence[Mapping[str, str]], work: Path, *, rounds: int) -> None:
    """Replace what stands between the markers of `STUDY.md` by the tables of these rows."""
    by_variant: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    schedules = sorted({(row["iterations"], row["learning_rate"]) for row in rows})
    if len(schedules) != 1:
        raise SystemExit(f"rows of {len(schedules)} schedules cannot be compared: {schedules}")
    for row in rows:
        if row["seed"] in by_variant[row["variant"]]:
            raise SystemExit(f"{row['variant']}, seed {row['seed']}: has two rows")
        by_variant[row["variant"]][row["seed"]] = row
    text = "\n".join([_table(by_variant), "", _comparisons(by_variant, work, rounds)])
    begin, end = "<!-- tables -->", "<!-- end of tables -->"
    old = path.read_text()
    head, _, rest = old.partition(begin)
    tail = rest.partition(end)[2]
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
    print(text)


def _table(by_variant: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    columns = ["ap50_large", "ap50_large_4", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    columns += ["ap50_rare_half", "wait_share"]
    lines = [
        "| variant | seeds | " + " | ".join(columns) + " |",
        "| --- " * (len(columns) + 2) + "|",
    ]
    for name, runs in by_variant.items():
        cells = []
        for column in columns:
            values = np.array([float(run[column]) for run in runs.values()])
            spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
            value = (
                f"{100 * values.mean():.1f} %" if column == "wait_share" else f"{values.mean():.1f}"
            )
            cells.append(value + (spread if column != "wait_share" else ""))
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _comparisons(
    by_variant: Mapping[str, Mapping[str, Mapping[str, str]]], work: Path, rounds: int
) -> str:
    truth = _truth(work)
    lines = [
        "| a - b | seeds | ap50_large | relative | ap50_large_4 | ap50_rare_half |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for first, second in COMPARISONS:
        seeds = sorted(by_variant[first].keys() & by_variant[second].keys())
        if not seeds:
            continue
        cells = []
        counts = class_counts(work, VARIANTS[first].bank)
        measures: list[Callable[[Any], Matches | RareHalf]] = [
            lambda results: _large(truth, results),
            lambda results: _large(truth, results, SUPER_CLASSES),
            lambda results, counts=counts: RareHalf(
                match_instances(truth, results, iou_thresholds=[0.5]), counts
            ),
        ]
        runs = [
            [_results(work, by_variant[name][seed]) for seed in seeds] for name in (first, second)
        ]
        for number, measure in enumerate(measures):
            sides = [[measure(results) for results in side] for side in runs]
            difference, low, high, relative = paired(*sides, rounds)
            cells.append(f"{difference:+.1f} [{low:+.1f}, {high:+.1f}]")
            if number == 0:
                cells.append(f"{relative:+.0%}")
        lines.append(f"| {first} - {second} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paired(
    first: Sequence[Matches | RareHalf], second: Sequence[Matches | RareHalf], rounds: int
) -> tuple[float, float, float, float]:
    """Mean difference of AP50 over seeds, its 95 % interval, and the relative difference.

    Each round draws photos and seeds anew, the same for both sides. With three seeds, drawing them
    with replacement understates what seeds do: by a third of their variance.
    """
    rng = np.random.default_rng(0)
    photos, seeds = len(first[0].image_ids), len(first)
    means = [np.mean([matches.ap() for matches in side]) for side in (first, second)]
    drawn = []
    for _ in range(rounds):
        images = rng.integers(photos, size=photos)
        chosen = rng.integers(seeds, size=seeds)
        drawn.append(
            np.mean([first[i].ap(images=images) - second[i].ap(images=images) for i in chosen])
        )
    known = [value for value in drawn if not np.isnan(value)]
    low, high = np.percentile(known, [2.5, 97.5]) if known else (float("nan"),) * 2
    relative = means[0] / means[1] - 1 if means[1] > 0 else float("nan")
    return float(means[0] - means[1]), float(low), float(high), float(relative)


def _results(work: Path, row: Mapping[str, str]) -> Any:
    name = f"{row['variant']}-{row['seed']}-{row['config_hash']}.json"
    return json.loads((work / "runs" / name).read_text())


def _truth(work: Path) -> Any:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    from empaste_aug.training.datasets import register_instances

    if EVAL not in DatasetCatalog:
        register_instances(EVAL, load_dataset("voc", work / "VOC2012", split=EVAL, check="header"))
    return MetadataCatalog.get(EVAL).coco_form()
