"""An evaluation as text: compact tables of what `evaluate_bank` reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from empaste_aug.offline.curve import FIGURES

_TITLES = {"mean_iou": "mean IoU", "p50": "p50", "p70": "p70", "macro_p50": "macro p50"}
_NO_SHARE = "-"


def format_report(report: Mapping[str, Any]) -> str:
    """The classes, the failures, the yield curve and the comparison, whatever the report has."""
    parts = [_classes(report), _failures(report["failures"])]
    if report["ranking"] is None:
        parts.append("no yield curve: the bank knows neither quality nor score of its masks")
    else:
        parts.append(_curves(report))
    if "comparison" in report:
        parts.append(_comparison(report["comparison"]))
    return "\n\n".join(parts)


def _classes(report: Mapping[str, Any]) -> str:
    """One line per class with pairs or masks, then the overall ones."""
    header = ("mean IoU", "p50", "p70", "masks", "pairs", "objects", "yield", "of obj.")
    rows = [
        (name, [*_class_cells(entry), _main_failure(entry)])
        for name, entry in report["per_class"].items()
        if entry["masks"] or entry["pairs"] or entry["objects"]
    ]
    rows.append(("mean of classes", [*_class_cells(report["macro"]), ""]))
    rows.append(("overall", [*_class_cells(report["overall"]), _main_failure(report["overall"])]))
    width = max(len(name) for name, _ in rows)
    lines = [" " * width + "".join(f"{title:>10}" for title in header) + "  fails most by"]
    for name, cells in rows:
        if name == "mean of classes":
            lines.append("-" * len(lines[0]))
        line = f"{name:<{width}}" + "".join(f"{cell:>10}" for cell in cells[:-1])
        lines.append(f"{line}  {cells[-1]}".rstrip())
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
        f"{report['masks_not_evaluated']} on extra photos or photos without annotations"
        f"{', or beside the first of their pair,' if report['one_per_pair'] else ''} are not scored"
    )
    return "\n".join(lines)


def _failures(failures: Mapping[str, Any]) -> str:
    """Each kind's number, its share of all masks and of those that failed."""
    lines = [
        f"{failures['failed']} of {failures['masks']} masks have an IoU below "
        f"{failures['iou_below']}:"
    ]
    rows = []
    for kind, entry in failures["kinds"].items():
        rows.append((kind.replace("_", " "), entry))
        rows += [(f"  {k.replace('_', ' ')}", e) for k, e in entry.get("split", {}).items()]
    table = [
        (name, str(entry["n"]), _share(entry["share"]), _share(entry["share_of_failed"]))
        for name, entry in rows
    ]
    return "\n".join(lines + _table(("failure", "masks", "of all", "of failed"), table))


def _curves(report: Mapping[str, Any]) -> str:
    titles = (("curve", "over everything"), ("curve_per_class", "best share of every class"))
    parts = [
        f"masks by {report['ranking']}, {title}, cut at a yield (masks / image-class pairs):\n"
        + "\n".join(_curve(report[key], report["classes"]))
        for key, title in titles
    ]
    whole = report["all_pairs"]
    shown = (
        f"{_TITLES[name]} {_share(whole[name])}{_bracketed(whole[f'{name}_interval'])}"
        for name in ("mean_iou", "p50", "p70")
    )
    parts.append(
        f"over all {whole['pairs']} image-class pairs, 0 for the "
        f"{whole['pairs'] - whole['pairs_with_mask']} without a mask: " + ", ".join(shown)
    )
    return "\n\n".join(parts)


def _curve(rows: Sequence[Mapping[str, Any]], classes: int) -> list[str]:
    header = ("asked", "yield", "masks", *(_TITLES[name] for name in FIGURES), "classes")
    table = [
        (
            f"{row['asked']:.0%}",
            _share(row["yield"]),
            str(row["n"]),
            *(_share(row[name]) + _bracketed(row[f"{name}_interval"]) for name in FIGURES),
            f"{row['classes_present']}/{classes}",
        )
        for row in rows
    ]
    return _table(header, table)


def _comparison(comparison: Mapping[str, Any]) -> str:
    """This bank's figure, the other's, and the difference with its interval, row by row."""
    parts = [
        f"against {comparison['bank']}, as many masks of both by {comparison['ranking']}: "
        "this bank - other = difference [95 %]"
    ]
    keys = (("curve", "over everything"), ("curve_per_class", "best share of every class"))
    for key, title in keys:
        header = ("asked", "yield", "masks", *(_TITLES[name] for name in FIGURES))
        table = [
            (
                f"{row['asked']:.0%}",
                _share(row["yield"]),
                str(row["n"]),
                *(_difference(row, name) for name in FIGURES),
            )
            for row in comparison[key]
        ]
        parts.append("\n".join([f"{title}:", *_table(header, table)]))
    pairs = comparison["all_pairs"]
    shown = (f"{_TITLES[name]} {_difference(pairs, name)}" for name in ("mean_iou", "p50", "p70"))
    parts.append(f"over all {pairs['pairs']} image-class pairs: " + ", ".join(shown))
    return "\n\n".join(parts)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Right-aligned columns, the first one left-aligned."""
    everything = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[k]) for row in everything) for k in range(len(header))]
    return [
        "  ".join(
            f"{cell:<{width}}" if k == 0 else f"{cell:>{width}}"
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in everything
    ]


def _class_cells(entry: Mapping[str, Any]) -> list[str]:
    shares = [_share(entry[name]) for name in ("mean_iou", "p50", "p70")]
    counts = [str(entry.get(name, "")) for name in ("masks", "pairs", "objects")]
    return [*shares, *counts, _share(entry["yield"]), _share(entry["yield_objects"])]


def _main_failure(entry: Mapping[str, Any]) -> str:
    kind, count = max(entry["failures"].items(), key=lambda item: item[1])
    return f"{kind.replace('_', ' ').replace('/', ': ')} ({count})" if count else ""


def _difference(row: Mapping[str, Any], name: str) -> str:
    difference = row[f"{name}_difference"]
    if difference is None:
        return _NO_SHARE
    interval = _bracketed(row[f"{name}_difference_interval"], sign="+")
    return f"{row[name]:.3f} - {row[f'{name}_other']:.3f} = {difference:+.3f}{interval}"


def _share(value: float | None) -> str:
    return _NO_SHARE if value is None else f"{value:.3f}"


def _interval(value: Sequence[float] | None, sign: str = "") -> str:
    if value is None:
        return _NO_SHARE
    return f"[{value[0]:{sign}.3f}, {value[1]:{sign}.3f}]"


def _bracketed(value: Sequence[float] | None, sign: str = "") -> str:
    """An interval behind its figure; nothing where there is none."""
    return "" if value is None else f" {_interval(value, sign)}"
