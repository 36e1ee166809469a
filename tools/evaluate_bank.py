"""Score a bank's masks against a data set's instances, as a table and as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import atomic_file
from empaste_aug.offline.command import run_tool
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.evaluate import evaluate_bank


def build_parser() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="evaluate_bank",
        description="Score a bank's masks against the instance masks of the data set it was "
        "built from: mean IoU, p50, p70 and yield, per class and overall, with 95 % intervals.",
    )
    parser.add_argument("--bank", required=True, help="the bank's folder")
    add_dataset_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, help="draws for the intervals (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Score the bank; 0, 2 with one line on stderr for an error, 130 after Ctrl-C."""
    args = build_parser().parse_args(argv)
    return run_tool(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    dataset = dataset_from_arguments(args)
    report = evaluate_bank(args.bank, dataset, bootstrap=args.bootstrap, seed=args.seed)
    print(format_report(report))
    if args.json:
        write_json(Path(args.json), report)
        print(f"written to {args.json}")
    return 0


def format_report(report: dict[str, Any]) -> str:
    """The figures as a table: one line per class with pairs or masks, then the overall ones."""
    header = ("mean IoU", "p50", "p70", "masks", "pairs", "objects", "yield", "of obj.")
    rows = [
        (name, _cells(entry))
        for name, entry in report["per_class"].items()
        if entry["masks"] or entry["pairs"] or entry["objects"]
    ]
    rows.append(("mean of classes", _cells(report["macro"])))
    rows.append(("overall", _cells(report["overall"])))
    width = max(len(name) for name, _ in rows)
    lines = [" " * width + "".join(f"{title:>10}" for title in header)]
    for name, cells in rows:
        if name == "mean of classes":
            lines.append("-" * len(lines[0]))
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>10}" for cell in cells))
    intervals = report["overall"]["intervals"]
    if intervals:
        shown = (f"{name} {_interval(value)}" for name, value in intervals.items())
        lines.append("95 % intervals, overall: " + ", ".join(shown))
    lines.append(
        f"{report['classes_covered']} of {report['classes']} classes and "
        f"{report['images_with_masks']} of {report['images']} photos with annotations have a mask; "
        f"{report['images_without_annotations']} photos have no annotations"
    )
    lines.append(
        f"of {report['bank_masks']} masks {report['masks_on_crowd']} on crowd regions and "
        f"{report['masks_not_evaluated']} on extra photos or photos without annotations are not "
        "scored"
    )
    return "\n".join(lines)


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write the figures, all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, shared=True) as handle:
        handle.write((json.dumps(report, indent=2, allow_nan=False) + "\n").encode())


def _cells(entry: dict[str, Any]) -> list[str]:
    shares = [_share(entry[name]) for name in ("mean_iou", "p50", "p70")]
    counts = [str(entry.get(name, "")) for name in ("masks", "pairs", "objects")]
    return [*shares, *counts, _share(entry["yield"]), _share(entry["yield_objects"])]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(value: list[float] | None) -> str:
    return "-" if value is None else f"[{value[0]:.3f}, {value[1]:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
