"""What a build of a pool did, and what one will take."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from empaste_aug.bank.files import atomic_file
from empaste_aug.offline.backgrounds.settings import PoolSettings
from empaste_aug.offline.stages.base import Progress

_FILE = "background_report.json"

CANDIDATE_BYTES = 1.7
"""Of a PNG file a pixel, about."""

KEPT_BYTES = 0.5
"""Of a JPEG file of quality 95 a pixel."""

SIDE = 512
"""Pixels a side of an image, where nothing is told."""


@dataclass
class PoolReport:
    """What one run did.

    Attributes:
        work: the work folder.
        stages: what each stage computed and reused.
        seconds: that each took.
        verdicts: per source, how many images were kept, and why others were not.
        pool: the finished pool's folder, or None.
        images: in it.
    """

    work: Path
    stages: dict[str, Progress] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    pool: Path | None = None
    images: int = 0

    def add(self, stage: str, done: Progress, seconds: float) -> None:
        """Note a stage, and what one item of it takes, for later estimates."""
        self.stages[stage] = done
        self.seconds[stage] = seconds
        if done.computed:
            known = rates(self.work)
            known[stage] = seconds / done.computed
            self._write("rates.json", known)

    def count(self, source: str, verdict: str) -> None:
        """Note what became of one image; the class and value of a rejection are left out."""
        kind = verdict.split(":")[0]
        self.verdicts.setdefault(source, Counter())[kind] += 1

    def save(self) -> None:
        """Write ``background_report.json`` into the work folder."""
        content = {
            "stages": {
                name: {"computed": done.computed, "reused": done.reused, "damaged": done.damaged}
                for name, done in self.stages.items()
            },
            "seconds": self.seconds,
            "verdicts": {name: dict(found) for name, found in self.verdicts.items()},
            "pool": None if self.pool is None else str(self.pool),
            "images": self.images,
        }
        self._write(_FILE, content)

    def table(self) -> str:
        """The same for people."""
        lines = [
            f"{name:<12}{done.computed:>9,} made {done.reused:>9,} reused"
            f"{self.seconds[name]:>10.1f} s"
            for name, done in self.stages.items()
        ]
        lines += self.verdict_lines()
        if self.pool is not None:
            lines.append(f"pool: {self.pool}, {self.images:,} images")
        return "\n".join(lines)

    def verdict_lines(self) -> list[str]:
        """What became of the images, source by source."""
        return [
            f"{source}: " + ", ".join(f"{count:,} {name}" for name, count in sorted(found.items()))
            for source, found in self.verdicts.items()
        ]

    def _write(self, name: str, content: Any) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.work / name, shared=True) as handle:
            handle.write((json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def rates(work: Path) -> dict[str, float]:
    """Seconds an item of each stage took the last time, as far as known."""
    path = work / "rates.json"
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {str(name): float(value) for name, value in content.items()}


def estimate(
    settings: PoolSettings,
    *,
    captioned: int,
    unlabelled: int,
    labelled: int,
    work: Path,
    side: int | None = None,
    prompts: int | None = None,
) -> str:
    """Counts, disk and time of a build, for people; nothing is computed.

    Time comes from earlier runs in the same work folder, such as one with ``--limit``; without
    any it is not known.

    Args:
        settings: the build's.
        captioned: photos whose captions are used.
        unlabelled, labelled: photos without and with a class.
        work: the build's work folder.
        side: of the images, in pixels; None for `SIDE`.
        prompts: how many captions there are; None: of each photo as many as the settings want.
    """
    pixels = (side or SIDE) ** 2
    items: dict[str, int] = {}
    disk: list[tuple[str, float]] = []
    if "generated" in settings.sources:
        if prompts is None:
            prompts = captioned * settings.captions_per_photo
        images = prompts * settings.images_per_caption
        items |= {"caption": captioned, "distract": captioned, "synthesize": images}
        items["rank"] = captioned
        disk += [("candidates (work folder)", images * CANDIDATE_BYTES * pixels)]
        disk += [("pool, at most", prompts * settings.keep_per_caption * KEPT_BYTES * pixels)]
    if "object_free" in settings.sources:
        items["object_free"] = unlabelled
        disk.append(("object-free photos, at most", unlabelled * KEPT_BYTES * pixels))
    if "inpainted" in settings.sources:
        items["inpaint"] = labelled
        disk.append(
            ("inpainted photos, at most", labelled * (CANDIDATE_BYTES + KEPT_BYTES) * pixels)
        )
    known = rates(work)
    lines = []
    for name, count in items.items():
        unit = "images" if name == "synthesize" else "photos"
        time = f"{known[name] * count / 3600:10.2f} h" if name in known else "   not known"
        lines.append(f"{name:<12}{count:>12,} {unit} {time}")
    lines += [f"{name}: {size / 1e9:,.2f} GB" for name, size in disk]
    if set(items) - set(known):
        lines.append(
            "times that are not known: run the same command with --limit 2 and this work folder "
            "first"
        )
    return "\n".join(lines)
