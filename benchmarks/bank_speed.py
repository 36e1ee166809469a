"""What a photo costs in an offline build, stage by stage, on one thread.

It builds a bank of a few photos in a temporary folder, all stages in one process and one thread,
with a classifier that is trained already. Times are the processor's, not the clock's, so that a
busy machine changes them less. A first bank of two photos, which loads all libraries, is not
counted, nor is each stage's first photo, which loads its network.

    python benchmarks/bank_speed.py --dataset voc --root VOCdevkit/VOC2012 --limit 16 \\
        --classifier out/bank.work/classifier/*/classifier.pt
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import write_json

from empaste_aug.offline import alpha
from empaste_aug.offline.build import STAGES, Build
from empaste_aug.offline.datasets import Dataset
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.execute.memory import keep_freed_memory
from empaste_aug.offline.execute.worker import one_thread
from empaste_aug.offline.options import add_options, from_options
from empaste_aug.offline.proposals.hierarchy import Hierarchy
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages import cutouts
from empaste_aug.offline.stages.arguments import set_mode_defaults
from empaste_aug.offline.stages.settings import MODES

PROTOTYPE = 4.8
"""Seconds a photo of the prototype on one thread."""

PROTOTYPE_PARTS = {
    "edges": 0.66,
    "region tree": 0.06,
    "saliency": 0.28 + 1.2,
    "activations": 0.22,
    "features": 2.1,
}
"""Likewise, by part; its saliency saw crops round the class activation maps, as ours does."""

PARTS = (
    "edges",
    "region tree",
    "activations",
    "cams",
    "saliency",
    "features",
    "distances",
    "salient cut-outs",
    "cues",
    "occlusions",
    "head and EM",
    "edges of masks",
    "rest",
)


class Clock:
    """Seconds of each part, call by call."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = defaultdict(list)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function; its calls are timed."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            result = function(*args, **kwargs)
            self.calls[part].append(time.process_time() - start)
            return result

        return wrapped

    def total(self, part: str) -> float:
        """All of a part's calls."""
        return sum(self.calls[part])

    def mean(self, part: str) -> float:
        """Without the first call, where there are more."""
        calls = self.calls[part]
        return float(np.mean(calls[1:] or calls or [0.0]))


def subset(dataset: Dataset, limit: int) -> Dataset:
    """So many photos with labels, evenly spread; 0: all of them."""
    images = [image for image in dataset.images if image.labels]
    if 0 < limit < len(images):
        picked = np.linspace(0, len(images) - 1, limit).round().astype(int)
        images = [images[index] for index in picked]
    return replace(dataset, images=images)


def time_parts(build: Build, clock: Clock) -> None:
    """Let the clock see the parts of a build that has not run."""
    stages = {
        "proposals": build.proposal_stage,
        "features": build.feature_stage,
    }
    if build.foreground_stage.distances is not None:
        stages |= {"cams": build.cam_stage, "distances": build.foreground_stage.distances}
    if build.foreground_stage.cues is not None:
        assert build.saliency_stage is not None
        stages |= {
            "activations": build.activation_stage,
            "saliency": build.saliency_stage,
            "salient cut-outs": build.foreground_stage.cues.head.salient,
            "cues": build.foreground_stage.cues,
        }
    if build.foreground_stage.occlusions is not None:
        stages["occlusions"] = build.foreground_stage.occlusions
    for part, stage in stages.items():
        stage.compute = clock.timed(part, stage.compute)  # type: ignore[method-assign]
    method = build.proposal_stage._method  # before anything ran, it is there
    for one in getattr(method, "methods", [method]):
        if isinstance(one, Hierarchy):
            one.detector = clock.timed("edges", one.detector)  # type: ignore[assignment]


def measure(
    dataset: Dataset, folder: Path, classifier: Path, **options: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds a photo by part, and counts a photo."""
    build = Build(
        dataset, folder / "bank", classifier=classifier, workers=1, progress=False, **options
    )
    clock, photos = Clock(), len(build.photos)
    of_stages: dict[str, float] = {}
    time_parts(build, clock)
    cut_out, cutouts.cut_out = cutouts.cut_out, clock.timed("cut-out", alpha.cut_out)
    try:
        with one_thread():
            for name in STAGES[1:]:
                start = time.process_time()
                report = build.run([name])
                of_stages[name] = time.process_time() - start
    finally:
        cutouts.cut_out = cut_out
    of_fem = ("distances", "salient cut-outs", "cues", "occlusions")
    seconds = {part: clock.mean(part) for part in PARTS}
    seconds["region tree"] = clock.mean("proposals") - clock.mean("edges")
    seconds["head and EM"] = (of_stages["fem"] - sum(map(clock.total, of_fem))) / photos
    seconds["edges of masks"] = clock.total("cut-out") / photos
    everything = ["cut-out", "proposals", "cams", "activations", "saliency", "features"]
    counted = sum(map(clock.total, everything)) + of_stages["fem"]
    seconds["rest"] = (sum(of_stages.values()) - counted) / photos
    counts = {
        "photos": photos,
        "classes": report.pairs / photos,
        "proposed": report.proposals / photos,
        "segments": report.eligible / photos,
    }
    return seconds, counts


def print_table(seconds: dict[str, float], counts: dict[str, float]) -> None:
    """One line a part, and the sum against the prototype's."""
    print(
        f"{counts['photos']} photos; a photo: {counts['classes']:.1f} classes, "
        f"{counts['proposed']:.0f} segments proposed, {counts['segments']:.0f} eligible\n"
    )
    print("| part | seconds a photo | prototype |\n| --- | ---: | ---: |")
    for part, value in seconds.items():
        before = PROTOTYPE_PARTS.get(part)
        print(f"| {part} | {value:.3f} | {'' if before is None else f'{before:.2f}'} |")
    total = sum(seconds.values())
    print(f"| sum | {total:.3f} | {PROTOTYPE:.2f} |")
    print(f"\n{PROTOTYPE / total:.2f} times faster than the prototype")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/bank_speed.py", description="What a photo costs in an offline build."
    )
    add_dataset_arguments(parser)
    parser.add_argument("--classifier", type=Path, required=True, help="a trained one")
    parser.add_argument("--limit", type=int, default=16, help="this many photos (%(default)s)")
    parser.add_argument("--mode", choices=MODES, default=MODES[0])
    parser.add_argument(
        "--proposal-option", action="append", default=[], metavar="NAME=JSON", help="repeatable"
    )
    parser.add_argument(
        "--plain-malloc", action="store_true", help="hand freed memory back, as builds do not"
    )
    parser.add_argument("--quick", action="store_true", help="four photos")
    add_options(parser.add_argument_group("segments"), SegmentConfig)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 when done."""
    parser = build_parser()
    set_mode_defaults(parser, argv)
    args = parser.parse_args(argv)
    os.environ["OMP_NUM_THREADS"] = "1"
    if not args.plain_malloc:
        keep_freed_memory()
    options = {
        name: json.loads(value)
        for name, _, value in (pair.partition("=") for pair in args.proposal_option)
    }
    segments = from_options(args, SegmentConfig)
    dataset = subset(dataset_from_arguments(args), 4 if args.quick else args.limit)
    settings = {"mode": args.mode, "proposal_options": options, "segments": segments}
    with tempfile.TemporaryDirectory() as folder:
        measure(subset(dataset, 2), Path(folder) / "first", args.classifier, **settings)
        seconds, counts = measure(dataset, Path(folder) / "second", args.classifier, **settings)
    print_table(seconds, counts)
    total = sum(seconds.values())
    write_json(
        args.json,
        {"counts": counts, "seconds": seconds, "total": total, "ratio": PROTOTYPE / total},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
