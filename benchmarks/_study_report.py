"""The study's figures: what a run is worth, and how sure a comparison of two variants is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _study_data import EVAL
from _study_model import TEST_SIDE

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
    ("longtail_uniform", "longtail_plain"),
    ("longtail_balanced", "longtail_plain"),
    ("paste_random", "bg_object_free"),
    ("paste_random", "bg_black"),
    ("paste_random", "paste_2"),
    ("paste_random", "paste_6"),
    ("paste_random", "blend_none"),
    ("paste_random", "slic"),
]


def evaluate(truth: Any, results: Sequence[Mapping[str, Any]], bank: MaskBank) -> dict[str, str]:
    """The AP columns of a row; rare are the classes with the fewest cut-outs in the bank, half."""
    usual = match_instances(truth, results)
    large, large_4 = _large(truth, results), _large(truth, results, SUPER_CLASSES)
    found = dict(zip(bank.categories, bank.class_counts().tolist(), strict=True))
    counts = [found[name] for name in usual.class_names]
    rare = np.argsort(counts, kind="stable")[: len(counts) // 2]
    per_class = usual.ap_per_class(iou=0.5)
    values = {
        "ap50": usual.ap(iou=0.5),
        "ap75": usual.ap(iou=0.75),
        "ap50_large": large.ap(),
        "ap50_large_4": large_4.ap(),
        "ap_small": usual.ap(area="small"),
        "ap_medium": usual.ap(area="medium"),
        "ap_large": usual.ap(area="large"),
        "ap50_rare_half": _mean(per_class[rare]),
    }
    return {name: f"{value:.3f}" for name, value in values.items()}


def _mean(values: np.ndarray) -> float:
    """Of the classes that have objects; NaN where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


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
    for row in rows:
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
        "| a - b | seeds | ap50_large | relative | ap50_large_4 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for first, second in COMPARISONS:
        seeds = sorted(by_variant[first].keys() & by_variant[second].keys())
        if not seeds:
            continue
        cells = []
        for groups in (None, SUPER_CLASSES):
            matches = {
                name: [
                    _large(truth, _results(work, by_variant[name][seed]), groups) for seed in seeds
                ]
                for name in (first, second)
            }
            difference, low, high, relative = paired(matches[first], matches[second], rounds)
            cells.append(f"{difference:+.1f} [{low:+.1f}, {high:+.1f}]")
            if groups is None:
                cells.append(f"{relative:+.0%}")
        lines.append(f"| {first} - {second} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paired(
    first: Sequence[Matches], second: Sequence[Matches], rounds: int
) -> tuple[float, float, float, float]:
    """Mean difference of AP50 over seeds, its 95 % interval, and the relative difference.

    Each round draws photos and seeds anew, the same for both sides.
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
    low, high = np.percentile(drawn, [2.5, 97.5])
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
