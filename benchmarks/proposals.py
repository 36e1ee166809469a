"""How good could masks be that are chosen from these proposals? The best segment per object.

For each method and for all together: the share of (image, class) pairs, and of instances, for which
some segment that passes the filters reaches IoU 0.5 and 0.7, and the mean of the best IoU, over all
and over those of at least 3 % of their image; segments per image before and after the filters;
seconds per image. With `--max-overlap-across`, the same once near-duplicates among all methods are
gone. Instance masks serve only to score.

    python benchmarks/proposals.py --root VOCdevkit/VOC2012 --methods hierarchy saliency
    python benchmarks/proposals.py --root VOCdevkit/VOC2012 --methods hierarchy saliency \\
        --max-overlap-across 0.85 0.95
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from empaste_aug.imageio import read_image
from empaste_aug.offline.datasets import KINDS, Dataset, load_dataset
from empaste_aug.offline.proposals import (
    METHODS,
    Combined,
    Segment,
    build_proposals,
    suppress_duplicates,
)
from empaste_aug.offline.proposals.base import encode, filter_segments

LARGE = 0.03


class Tally:
    """Best IoUs of one method, and what it cost."""

    def __init__(self) -> None:
        self.best: dict[str, list[float]] = defaultdict(list)
        self.proposed: list[int] = []
        self.filtered: list[int] = []
        self.seconds: list[float] = []

    def add(
        self,
        segments: Sequence[Segment],
        truth: Sequence[Any],
        categories: np.ndarray,
        shares: np.ndarray,
        seconds: float,
    ) -> None:
        kept = filter_segments(segments)
        self.proposed.append(len(segments))
        self.filtered.append(len(kept))
        self.seconds.append(seconds)
        best = np.zeros(len(truth))
        if kept and len(truth):
            rles = [segment.rle for segment in kept]
            best = np.asarray(coco_mask.iou(rles, list(truth), [0] * len(truth))).max(axis=0)
        self.best["instances"] += best.tolist()
        self.best["large instances"] += best[shares >= LARGE].tolist()
        for category in np.unique(categories):
            of_class = categories == category
            self.best["pairs"].append(float(best[of_class].max()))
            if shares[of_class].max() >= LARGE:
                self.best["large pairs"].append(float(best[of_class].max()))

    def report(self) -> dict[str, float]:
        result: dict[str, float] = {"images": len(self.seconds)}
        for what in ("pairs", "large pairs", "instances", "large instances"):
            best = np.asarray(self.best[what])
            result |= {what: best.size}
            result |= {f"{what} p{t}": float((best >= t / 100).mean()) for t in (50, 70)}
            result |= {f"{what} mean": float(best.mean())}
        return result | {
            "segments": float(np.mean(self.proposed)),
            "filtered": float(np.mean(self.filtered)),
            "seconds": float(np.median(self.seconds)),
        }


def measure(
    dataset: Dataset, combined: Combined, limit: int, max_overlaps: Sequence[float] = ()
) -> dict[str, dict[str, float]]:
    tallies: dict[str, Tally] = defaultdict(Tally)
    images = dataset.images
    if 0 < limit < len(images):
        picked = np.linspace(0, len(images) - 1, limit).round().astype(int)
        images = [images[index] for index in picked]
    for labelled in tqdm(images, desc="images"):
        image = read_image(labelled.path)
        truth = [entry for entry in dataset.instances(labelled) if not entry.crowd]
        rles = [encode(entry.mask) for entry in truth]
        categories = np.array([entry.category_id for entry in truth], dtype=int)
        shares = np.array([entry.mask.mean() for entry in truth])
        together, total = [], 0.0
        for method in combined.methods:
            start = time.perf_counter()
            segments = method(image, image_id=labelled.image_id)
            seconds = time.perf_counter() - start
            tallies[method.name].add(segments, rles, categories, shares, seconds)
            together += segments
            total += seconds
        if len(combined.methods) > 1:
            tallies[combined.name].add(together, rles, categories, shares, total)
        for limit_across in max_overlaps:
            start = time.perf_counter()
            kept = sorted(suppress_duplicates(together, max_overlap=limit_across))
            seconds = total + time.perf_counter() - start
            tallies[f"{combined.name}, max_overlap_across={limit_across:g}"].add(
                [together[index] for index in kept], rles, categories, shares, seconds
            )
    return {name: tally.report() for name, tally in tallies.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", choices=KINDS, default="voc")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["hierarchy"])
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="an option of the methods, such as edges='\"lab\"' or max_pairs=0",
    )
    parser.add_argument(
        "--max-overlap-across",
        type=float,
        nargs="+",
        default=[],
        metavar="IOU",
        help="measure also without near-duplicates across methods, at each of these",
    )
    parser.add_argument("--limit", type=int, default=0, help="this many images, evenly spread")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import torch

    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    options = {
        name: json.loads(value)
        for name, _, value in (option.partition("=") for option in arguments.option)
    }
    combined = build_proposals(arguments.methods, **options)
    dataset = load_dataset(arguments.dataset, arguments.root, split=arguments.split, check="header")
    figures = measure(dataset, combined, arguments.limit, arguments.max_overlap_across)
    for name, row in figures.items():
        print(name)
        print("  " + ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if arguments.json:
        result = {"config": combined.config(), "figures": figures}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
