"""What a build did: the figures, and the table that a person reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import atomic_file
from empaste_aug.offline.stages.base import Progress


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class's row of the table.

    Attributes:
        name: the class.
        pairs: photos that have the class.
        without_segment: of these, photos without any eligible segment: no mask can come of them.
        anothers: masks left out since a better one of another class is on the same object.
        cut: masks left out by the other limits of `Cut`.
        kept: masks in the bank, further instances too.
        further: of these, further instances: beside the first mask of their pair.
        changed: choices in which EM differs from step 1.
        mean_score: of the masks kept; None where there are none. It is the classifier's
            probability, which is high for most wrong masks too.
        mean_quality: likewise; how much is believed of them.
        rounds: per round of EM: photos changed, inliers, mean distance.
    """

    name: str
    pairs: int
    without_segment: int
    anothers: int
    cut: int
    kept: int
    further: int
    changed: int
    mean_score: float | None
    mean_quality: float | None
    rounds: Sequence[Sequence[float]] = ()


@dataclass
class BuildReport:
    """What a build did; figures of stages that did not run are None or empty.

    Attributes:
        images: photos of the data set; `extra_images`: photos with labels only.
        pairs: of an image and a class that it has, in what the bank is made from.
        proposals, eligible: segments before and after the filters.
        kept: masks in the bank; with further instances it can be more than `pairs`.
        classes: one row per class.
        stages: per stage that ran what was computed and what was found done.
        seconds: per stage that ran.
        bank: the bank's folder, where that stage ran.
        work: the work folder.
    """

    work: Path
    images: int = 0
    extra_images: int = 0
    pairs: int = 0
    proposals: int | None = None
    eligible: int | None = None
    kept: int | None = None
    classes: list[ClassCount] = field(default_factory=list)
    stages: dict[str, Progress] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    bank: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        values = asdict(self)
        values["work"] = str(self.work)
        values["bank"] = None if self.bank is None else str(self.bank)
        return values

    def save(self, path: Path) -> None:
        """Write `as_json` to a file."""
        with atomic_file(path, shared=True) as handle:
            handle.write((json.dumps(self.as_json(), indent=1) + "\n").encode())

    def table(self) -> str:
        """The report as text for a terminal."""
        lines = [*_totals(self), "", *_times(self.seconds, self.stages)]
        if self.classes:
            lines += ["", *_class_table(self.classes)]
        if self.bank is not None:
            lines += ["", f"bank: {self.bank}"]
        return "\n".join(lines)


def _totals(report: BuildReport) -> list[str]:
    rows: list[tuple[str, int | None]] = [
        ("photos", report.images),
        ("extra photos", report.extra_images or None),
        ("image-class pairs", report.pairs),
        ("proposals", report.proposals),
        ("eligible segments", report.eligible),
        ("pairs without any", sum(row.without_segment for row in report.classes) or None),
        ("masks left out: another class's", sum(row.anothers for row in report.classes) or None),
        ("masks left out: cut", sum(row.cut for row in report.classes) or None),
        ("masks kept", report.kept),
        ("of these further", sum(row.further for row in report.classes) or None),
    ]
    shown = [(name, value) for name, value in rows if value is not None]
    width = max(18, *(len(name) + 1 for name, _ in shown))
    return [f"{name:<{width}}{value:>9,}" for name, value in shown]


def _times(seconds: Mapping[str, float], stages: Mapping[str, Progress]) -> list[str]:
    lines = [f"{'stage':<12}{'computed':>10}{'reused':>9}{'damaged':>9}{'seconds':>10}"]
    for name, progress in stages.items():
        lines.append(
            f"{name:<12}{progress.computed:>10,}{progress.reused:>9,}{progress.damaged:>9,}"
            f"{seconds[name]:>10.1f}"
        )
    return lines


def _class_table(classes: Sequence[ClassCount]) -> list[str]:
    width = max(12, *(len(row.name) + 2 for row in classes))
    head = (
        "pairs",
        "no segment",
        "another's",
        "cut",
        "kept",
        "further",
        "changed by EM",
        "mean score",
        "mean quality",
    )
    lines = [f"{'class':<{width}}" + "".join(f"{title:>15}" for title in head)]
    for row in classes:
        means = [
            "" if mean is None else f"{mean:.3f}" for mean in (row.mean_score, row.mean_quality)
        ]
        counts = (row.pairs, row.without_segment, row.anothers, row.cut, row.kept, row.further)
        cells = (*counts, row.changed, *means)
        lines.append(f"{row.name:<{width}}" + "".join(f"{cell:>15}" for cell in cells))
    return lines
