"""Average precisions as one table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from empaste_aug.bank.files import atomic_file
from empaste_aug.training.instance_ap import Matches

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""COCO's: over IoUs 0.5 to 0.95, at 0.5, at 0.75, and of small, medium and large objects."""

_AREAS = {"APs": "small", "APm": "medium", "APl": "large"}
_IOUS = {"AP50": 0.5, "AP75": 0.75}


@dataclass(frozen=True, slots=True)
class APReport:
    """The precisions of one data set's predictions.

    Attributes:
        dataset: its name.
        num_images: in it.
        counts: class -> its objects, without crowd regions and ignored ones.
        mean: task ("bbox", "segm") -> metric -> the mean over the classes, in [0, 100] or NaN.
        per_class: task -> class -> metric -> value.
    """

    dataset: str
    num_images: int
    counts: dict[str, int]
    mean: dict[str, dict[str, float]]
    per_class: dict[str, dict[str, dict[str, float]]]

    def detectron2_results(self) -> dict[str, dict[str, float]]:
        """What detectron2's evaluators return: COCOEvaluator's keys, and "AP50-<class>"."""
        results = {}
        for task, means in self.mean.items():
            results[task] = dict(means)
            for metric in ("AP", "AP50"):
                for name, values in self.per_class[task].items():
                    results[task][f"{metric}-{name}"] = values[metric]
        return results


def report_of(dataset: str, matches: Mapping[str, Matches]) -> APReport:
    """The report of matches by task, made with COCO's areas and thresholds."""
    mean, per_class = {}, {}
    first = next(iter(matches.values()))
    for task, matched in matches.items():
        values = {
            metric: matched.ap_per_class(iou=_IOUS.get(metric), area=_AREAS.get(metric, "all"))
            for metric in METRICS
        }
        per_class[task] = {
            name: {metric: float(values[metric][number]) for metric in METRICS}
            for number, name in enumerate(matched.class_names)
        }
        mean[task] = {metric: _mean(values[metric]) for metric in METRICS}
    counts = dict(zip(first.class_names, first.counts.tolist(), strict=True))
    return APReport(dataset, len(first.image_ids), counts, mean, per_class)


def format_report(report: APReport) -> str:
    """One table for people: a row for each class and one for the mean, both tasks side by side."""
    tasks = sorted(report.mean, reverse=True)  # masks before boxes
    width = max(len("class"), *(len(name) for name in report.counts))
    title = f"{report.dataset}: {report.num_images} images, {sum(report.counts.values())} objects"
    block = len(METRICS) * 6
    over = " " * (width + 9) + "".join(f" |{task:^{block}}" for task in tasks)
    head = f"{'class':<{width}}  objects"
    head += "".join(" |" + "".join(f"{metric:>6}" for metric in METRICS) for _ in tasks)
    rule = "-" * len(head)
    lines = [title, over.rstrip(), head, rule]
    for name, count in report.counts.items():
        lines.append(
            f"{name:<{width}}  {count:>7}"
            + "".join(_cells(report.per_class[task][name]) for task in tasks)
        )
    total = sum(report.counts.values())
    lines.append(rule)
    lines.append(f"{'mean':<{width}}  {total:>7}" + "".join(_cells(report.mean[t]) for t in tasks))
    return "\n".join(lines)


def write_report(report: APReport, folder: Path) -> tuple[Path, Path]:
    """Write ap.json (null for NaN) and ap.csv (a row for each task and class, and the mean's).

    Returns:
        The two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "dataset": report.dataset,
        "images": report.num_images,
        "objects": report.counts,
        "mean": report.mean,
        "per_class": report.per_class,
    }
    as_json, as_csv = folder / "ap.json", folder / "ap.csv"
    with atomic_file(as_json, shared=True) as file:
        file.write((json.dumps(_without_nan(content), indent=1) + "\n").encode())
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["dataset", "task", "class", "objects", *METRICS])
    for task, means in report.mean.items():
        for name, values in report.per_class[task].items():
            writer.writerow([report.dataset, task, name, report.counts[name], *_fields(values)])
        total = sum(report.counts.values())
        writer.writerow([report.dataset, task, "mean", total, *_fields(means)])
    with atomic_file(as_csv, shared=True) as file:
        file.write(rows.getvalue().encode())
    return as_json, as_csv


def _mean(values: Any) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _cells(values: Mapping[str, float]) -> str:
    shown = ("-" if math.isnan(values[metric]) else f"{values[metric]:.1f}" for metric in METRICS)
    return " |" + "".join(f"{text:>6}" for text in shown)


def _fields(values: Mapping[str, float]) -> list[str]:
    return ["" if math.isnan(values[metric]) else f"{values[metric]:.4f}" for metric in METRICS]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
