"""The study's page: its tables and its plot, from the rows and predictions of its runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _study_data import EVAL, register_split
from _study_metrics import LARGE, class_counts, paired, photos_per_class
from _study_model import TEST_SIDE
from _study_variants import VARIANTS, bank_path
from matplotlib.figure import Figure

from empaste_aug.bank import MaskBank
from empaste_aug.types import DatasetError

COMPARISONS = [
    ("paste_random", "pseudo_only"),
    ("paste_space_maximize", "pseudo_only"),
    ("paste_space_maximize", "paste_random"),
    ("gt_paste", "gt_only"),
    ("gt_paste_large", "gt_only"),
    ("gt_paste_large", "gt_paste"),
    ("gt_paste_large", "paste_random"),
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
    ("paste_third", "paste_random"),
    ("paste_random", "blend_none"),
    ("paste_random", "slic"),
]


Row = Mapping[str, str]
Runs = Mapping[str, Mapping[str, Row]]
"""Variant -> seed -> row."""


@dataclass(frozen=True)
class Difference:
    """Of two variants in one measure: AP50 points, a 95 % interval, and relative to the second."""

    points: float
    low: float
    high: float
    relative: float

    def __str__(self) -> str:
        """With its interval."""
        return f"{self.points:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def write_report(
    path: Path,
    rows: Sequence[Row],
    tuning: Sequence[Row],
    draws: Mapping[tuple[str, str], Path],
    work: Path,
) -> None:
    """Replace what stands between the markers of `STUDY.md`, and draw the plot beside it.

    Args:
        path: of the page.
        rows: of the study.
        tuning: rows of what was chosen before.
        draws: (variant, seed) -> the file of the run's `bootstrap`.
        work: the study's folder.

    Raises:
        DatasetError: rows cannot be compared, or a run's file of draws is not there.
    """
    schedules = sorted({(row["iterations"], row["learning_rate"]) for row in rows})
    if len(schedules) != 1:
        raise DatasetError(f"rows of {len(schedules)} schedules cannot be compared: {schedules}")
    runs = _by_variant(rows)
    differences = _differences(runs, draws)
    iterations, rate = schedules[0]
    parts = [
        f"Every run: {iterations} iterations, learning rate {rate}. Mean ± standard deviation of "
        "the seeds, in AP points.",
        _runs_table(runs),
        f"![AP50 of large objects by variant, and differences]({path.stem.lower()}.png)",
        _differences_table(runs, differences),
        "Photos and masks by class; `large`: the evaluated objects of the primary metrics; `rare`: "
        "of the half of `ap50_rare_half`.",
        _classes_table(work),
    ]
    if tuning:
        parts += ["What was chosen on parts of the training photos.", _tuning_table(tuning)]
    begin, end = "<!-- tables -->", "<!-- end of tables -->"
    head, _, rest = path.read_text().partition(begin)
    tail = rest.partition(end)[2]
    text = "\n\n".join(parts)
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")
    _plot(runs, differences).savefig(
        path.with_name(f"{path.stem.lower()}.png"), dpi=110, metadata={"Software": None}
    )
    print(text)


def _by_variant(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    runs: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        others = runs[row["variant"]]
        if row["seed"] in others:
            raise DatasetError(f"{row['variant']}, seed {row['seed']}: has two rows")
        for other in others.values():
            if any(other[key] != row[key] for key in ("bank_sha", "config_hash")):
                raise DatasetError(
                    f"{row['variant']}, seeds {other['seed']} and {row['seed']}: banks or settings "
                    "differ, so they cannot be compared"
                )
        others[row["seed"]] = row
    return {name: runs[name] for name in VARIANTS if name in runs}


def _differences(
    runs: Runs, draws: Mapping[tuple[str, str], Path]
) -> dict[tuple[str, str], list[Difference]]:
    """Of each comparison that has runs: in large objects, in super-classes, in the rare half."""
    compared = {
        (first, second): seeds
        for first, second in COMPARISONS
        if (seeds := _common_seeds(runs, first, second))
    }
    drawn = {}
    for run, path in draws.items():
        if not path.is_file():
            raise DatasetError(f"{path}: is not there; remove {run}'s row, and run it again")
        drawn[run] = np.load(path)
    found = {}
    for pair, seeds in compared.items():
        first, second = (np.stack([drawn[name, seed] for seed in seeds], axis=1) for name in pair)
        found[pair] = [Difference(*paired(*rows)) for rows in zip(first, second, strict=True)]
    return found


def _common_seeds(runs: Runs, first: str, second: str) -> list[str]:
    return sorted(runs.get(first, {}).keys() & runs.get(second, {}).keys())


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _runs_table(runs: Runs) -> str:
    columns = ["ap50_large", "ap50_large_4", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    columns += ["ap50_rare_half"]
    lines = []
    for name, of_seeds in runs.items():
        cells = [_spread([float(row[column]) for row in of_seeds.values()]) for column in columns]
        waiting = max(float(row["wait_share"]) for row in of_seeds.values())
        lines.append([name, str(len(of_seeds)), *cells, f"{waiting:.1%}"])
    return _markdown(["variant", "seeds", *columns, "waits for data, at most"], lines)


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{spread}"


def _differences_table(
    runs: Runs, differences: Mapping[tuple[str, str], Sequence[Difference]]
) -> str:
    lines = []
    for (first, second), (large, large_4, rare) in differences.items():
        seeds = str(len(_common_seeds(runs, first, second)))
        relative = [f"{value.relative:+.0%}" for value in (large, large_4)]
        name = f"{first} - {second}"
        lines.append([name, seeds, str(large), relative[0], str(large_4), relative[1], str(rare)])
    head = ["a - b", "seeds", "ap50_large", "relative", "ap50_large_4", "relative"]
    return _markdown([*head, "ap50_rare_half"], lines)


def _tuning_table(rows: Sequence[Row]) -> str:
    runs: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        runs[row["variant"], row["iterations"], row["learning_rate"]].append(row)
    columns = ["ap50_large", "ap50_large_4", "ap50"]
    lines = [
        [*key, str(len(found)), *(_spread([float(row[name]) for row in found]) for name in columns)]
        for key, found in sorted(runs.items())
    ]
    return _markdown(["variant", "iterations", "learning rate", "seeds", *columns], lines)


def _classes_table(work: Path) -> str:
    truth = register_split(work, EVAL)
    counts = class_counts(work, VARIANTS["pseudo_only"])
    rare = set(np.argsort(counts, kind="stable")[: len(counts) // 2].tolist())
    columns: dict[str, Sequence[int]] = {"training photos": counts}
    for name in ("em", "em_best", "em_third", "gt"):
        if bank_path(work, name).is_dir():
            columns[f"masks, {name}"] = MaskBank(bank_path(work, name)).class_counts().tolist()
    tail = work / "longtail.json"
    if tail.is_file():
        columns["long tail's photos"] = list(json.loads(tail.read_text())["classes"].values())
    columns["evaluated photos"] = photos_per_class(work, EVAL)
    longer = {image["id"]: max(image["height"], image["width"]) for image in truth["images"]}
    classes = [category["id"] for category in truth["categories"]]
    objects, large = np.zeros((2, len(classes)), dtype=int)
    for thing in truth["annotations"]:
        if thing["iscrowd"] or thing.get("ignore"):
            continue
        objects[classes.index(thing["category_id"])] += 1
        area = thing["area"] * (TEST_SIDE / longer[thing["image_id"]]) ** 2
        large[classes.index(thing["category_id"])] += area >= LARGE["large"][0]
    columns |= {"objects": objects.tolist(), "large": large.tolist()}
    lines = [
        [f"{category['name']}{' (rare)' if number in rare else ''}"]
        + [str(values[number]) for values in columns.values()]
        for number, category in enumerate(truth["categories"])
    ]
    lines.append(["all", *(str(sum(values)) for values in columns.values())])
    return _markdown(["class", *columns], lines)


def _plot(runs: Runs, differences: Mapping[tuple[str, str], Sequence[Difference]]) -> Figure:
    """Left: every run in both primary metrics; right: the differences with their intervals."""
    rows = max(len(runs), len(differences), 3)
    figure = Figure(figsize=(13, 1.4 + 0.3 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(runs)
    for offset, (column, colour) in enumerate(
        [("ap50_large", "tab:blue"), ("ap50_large_4", "tab:orange")]
    ):
        for place, name in enumerate(names):
            values = [float(row[column]) for row in runs[name].values()]
            height = place + 0.3 * offset - 0.15
            label = column if place == 0 else None
            left.plot(values, [height] * len(values), "o", color=colour, alpha=0.5, ms=4)
            left.plot(np.mean(values), height, "|", color=colour, ms=13, mew=2, label=label)
        for place, difference in enumerate(of[offset] for of in differences.values()):
            height = place + 0.3 * offset - 0.15
            right.plot([difference.low, difference.high], [height] * 2, color=colour)
            right.plot(difference.points, height, "o", color=colour, ms=5)
    left.set_yticks(range(len(names)), names)
    left.set_xlabel("AP50, large objects")
    left.legend()
    pairs = [f"{first} - {second}" for first, second in differences]
    right.set_yticks(range(len(pairs)), pairs, fontsize=8)
    right.axvline(0, color="0.6", linewidth=1)
    right.set_xlabel("difference, 95 % of the paired bootstrap")
    for axes, lines in ((left, names), (right, pairs)):
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.3)
    return figure
