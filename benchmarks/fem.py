"""What each part of F-EM is worth: masks chosen in many ways, scored against annotated instances.

It reads what a finished build has left in its work folder (robust mode), so that a variant takes
seconds. The photos are split in two halves by a hash of their ids: constants are fitted on half A
(`--fit`), and both halves are shown, so that tuning shows.

    python benchmarks/fem.py --dataset voc --root VOCdevkit/VOC2012 --work out/bank.work
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import write_json
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.offline.build import Build
from empaste_aug.offline.cues import CUES
from empaste_aug.offline.datasets import Dataset, load_dataset
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.fem import FEMConfig, f_em
from empaste_aug.offline.prior import CueWeights, prior, prior_with_occlusion, standardised
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.proposals.base import encode
from empaste_aug.offline.quality import QUALITY_WEIGHTS, believed_quality
from empaste_aug.offline.reduction import fit_reducer
from empaste_aug.offline.stages.photos import Photo

YIELDS = (0.10, 0.20, 0.34, 0.50, 0.65, 1.0)

GROUPS: Mapping[str, Sequence[str]] = {
    "segment head": [name for name in CUES if name.startswith("segment_")],
    "classifier's logits": ["class_logit", "other_classes", "label_margin"],
    "votes of overlapping segments": [name for name in CUES if "vote" in name],
    "activation map": ["cam_mean", "cam_overlap"],
    "saliency": ["saliency_overlap", "is_salient"],
    "contour and smoothness": ["contour", "smoothness"],
    "occlusion": ["occlusion"],
    "photo's other classes": ["other_classes", "label_margin", "segment_others", "segment_margin"],
}
"""Cues that are left out together."""


@dataclass(eq=False)
class Pair:
    """One photo and one of its classes.

    Attributes:
        category: the class.
        half: 0 (A) or 1 (B).
        cues: (M, number of cues); phi: (M, d) reduced; nearness, score: (M,).
        drop: (M,) what occlusion says; NaN for segments that are not on the shortlist.
        iou: (M,) of each segment with the best instance of the class.
    """

    category: int
    half: int
    cues: NDArray[np.float32]
    drop: NDArray[np.float32]
    phi: NDArray[np.float32]
    nearness: NDArray[np.float32]
    score: NDArray[np.float64]
    iou: NDArray[np.float64]


def load_pairs(build: Build, dataset: Dataset) -> list[Pair]:
    """Everything that a variant needs, of the photos that have instance annotations."""
    stage, features = build.foreground_stage, build.feature_stage
    assert stage.cues is not None
    assert stage.occlusions is not None
    photos = [photo for photo in build.photos if not photo.extra]
    reducer = fit_reducer((features.load(photo)["phi"] for photo in photos), 32)
    pairs = []
    for photo in progress_bar(photos, description="reading", unit="photo"):
        content, cues = features.load(photo), stage.cues.load(photo)["cues"]
        drop = stage.occlusions.load(photo)["drop"]
        distance = build.distance_stage.load(photo)["distance"]
        if not len(content["segment"]):
            continue
        overlaps = _overlaps(build, dataset, photo, content["segment"])
        half = hashlib.sha256(photo.image.image_id.encode()).digest()[0] % 2
        for position, category in enumerate(photo.labels):
            logit = content["logits"][:, stage.columns[category]].astype(np.float64)
            pairs.append(
                Pair(
                    category,
                    half,
                    cues[position],
                    drop[position],
                    reducer(content["phi"]),
                    distance[:, position],
                    0.5 * (1 + np.tanh(0.5 * logit)),
                    overlaps[category],
                )
            )
    return pairs


def _overlaps(
    build: Build, dataset: Dataset, photo: Photo, rows: NDArray[np.int64]
) -> dict[int, NDArray[np.float64]]:
    """Category id -> (M,) IoU with its best instance; crowd regions are no instances."""
    found = build.pool.segments(photo)
    segments = [found[row].rle for row in rows]
    result = {}
    truths = [truth for truth in dataset.instances(photo.image) if not truth.crowd]
    for category in photo.labels:
        masks = [encode(truth.mask) for truth in truths if truth.category_id == category]
        result[category] = np.zeros(len(rows))
        if masks:
            result[category] = coco_mask.iou(segments, masks, [0] * len(masks)).max(axis=1)
    return result


def choose(
    pairs: Sequence[Pair], *, weights: CueWeights | None, config: FEMConfig
) -> NDArray[np.int64]:
    """The segment chosen for each pair; without weights the paper's method."""
    chosen = np.zeros(len(pairs), dtype=np.int64)
    by_class = defaultdict(list)
    for position, pair in enumerate(pairs):
        by_class[pair.category].append(position)
    for positions in by_class.values():
        parts = [pairs[position] for position in positions]
        given = [_prior(part, weights) for part in parts]
        rows = [np.flatnonzero(~np.isnan(values)) for values in given]  # on the shortlist
        result = f_em(
            np.concatenate([part.phi[r] for part, r in zip(parts, rows, strict=True)]),
            np.repeat(np.arange(len(parts)), [len(r) for r in rows]),
            np.concatenate([part.nearness[r] for part, r in zip(parts, rows, strict=True)]),
            np.concatenate([part.score[r] for part, r in zip(parts, rows, strict=True)]),
            prior=None
            if weights is None
            else np.concatenate([v[r] for v, r in zip(given, rows, strict=True)]),
            config=config,
        )
        chosen[positions] = np.concatenate(rows)[result.selected]
    return chosen


def _prior(pair: Pair, weights: CueWeights | None) -> NDArray[np.float64]:
    """(M,) as the library's stage makes it; zeros without weights."""
    if weights is None:
        return np.zeros(len(pair.iou))
    if not weights.occlusion:
        return prior(pair.cues, weights)
    return prior_with_occlusion(pair.cues, pair.drop, weights)


def scores(pairs: Sequence[Pair], chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """(number of pairs,) IoU of what was chosen."""
    return np.array([pair.iou[row] for pair, row in zip(pairs, chosen, strict=True)])


def table_row(name: str, pairs: Sequence[Pair], ious: NDArray[np.float64]) -> dict[str, Any]:
    """Mean IoU, P50 and P70 over all pairs and over each half; printed too."""
    half = np.array([pair.half for pair in pairs])
    row: dict[str, Any] = {"variant": name}
    cells = []
    for label, rows in (("all", half >= 0), ("A", half == 0), ("B", half == 1)):
        values = ious[rows]
        row[label] = [float(values.mean()), *(float((values >= t).mean()) for t in (0.5, 0.7))]
        cells.append(" / ".join(f"{value:.3f}" for value in row[label]))
    print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return row


def curve_row(
    name: str, quality: NDArray[np.float64], ious: NDArray[np.float64]
) -> list[dict[str, float]]:
    """Mean IoU, P50 and P70 of the best masks; printed too."""
    order = np.argsort(-quality, kind="stable")
    rows = []
    for share in YIELDS:
        best = ious[order[: max(1, round(share * len(order)))]]
        values = [float(best.mean()), float((best >= 0.5).mean()), float((best >= 0.7).mean())]
        rows.append(dict(zip(("yield", "mean_iou", "p50", "p70"), (share, *values), strict=True)))
    cells = " | ".join(f"{r['mean_iou']:.3f} / {r['p50']:.3f} / {r['p70']:.3f}" for r in rows)
    print(f"| {name} | {cells} |", flush=True)
    return rows


def fit_weights(pairs: Iterable[Pair], *, decay: float = 0.01, steps: int = 300) -> CueWeights:
    """Weights that maximise the expected IoU of a segment drawn by softmax of the prior.

    They are scaled to a mean of 1, as those of the library, whose EM weight then fits them.

    An IoU of at least 0.5 counts half a point more. Only as many numbers as there are cues are
    fitted, the same for all classes.
    """
    parts = list(pairs)
    inputs = torch.from_numpy(
        np.concatenate([standardised(part.cues) for part in parts]).astype(np.float32)
    )
    gain = np.concatenate([part.iou + 0.5 * (part.iou >= 0.5) for part in parts])
    worth = torch.from_numpy(gain.astype(np.float32))
    group = torch.repeat_interleave(torch.tensor([len(part.iou) for part in parts]))
    weight = torch.zeros(len(CUES), requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        score = inputs @ weight
        top = torch.full((len(parts),), -torch.inf).scatter_reduce(0, group, score.detach(), "amax")
        chance = torch.exp(score - top[group])
        total = torch.zeros(len(parts)).scatter_add(0, group, chance)
        reached = torch.zeros(len(parts)).scatter_add(0, group, chance * worth) / total
        loss = decay * (weight**2).sum() - reached.mean()
        loss.backward()
        optimizer.step()
    fitted = weight.detach().numpy()
    values = (fitted / fitted.mean()).round(2).tolist()
    return CueWeights(**dict(zip(CUES, values, strict=True)))


def fit_quality(
    pairs: Sequence[Pair], chosen: NDArray[np.int64], weights: CueWeights
) -> tuple[dict[str, float], float, float]:
    """Logistic regression of IoU >= 0.5: weights by cue, that of the prior, and the bias."""
    from sklearn.linear_model import LogisticRegression

    names = list(QUALITY_WEIGHTS)
    values = _quality_inputs(pairs, chosen, weights, names)
    target = scores(pairs, chosen) >= 0.5
    centre, spread = values.mean(axis=0), values.std(axis=0)
    model = LogisticRegression(C=0.3, max_iter=1000).fit((values - centre) / spread, target)
    slopes = model.coef_[0] / spread
    bias = float(model.intercept_[0] - slopes @ centre)
    return dict(zip(names, slopes[:-1].tolist(), strict=True)), float(slopes[-1]), bias


def _quality_inputs(
    pairs: Sequence[Pair], chosen: NDArray[np.int64], weights: CueWeights, names: Sequence[str]
) -> NDArray[np.float64]:
    columns = [list(CUES).index(name) for name in names]
    return np.array(
        [
            [*pair.cues[row, columns].tolist(), _prior(pair, weights)[row]]
            for pair, row in zip(pairs, chosen, strict=True)
        ]
    )


def believed(
    pairs: Sequence[Pair], chosen: NDArray[np.int64], weights: CueWeights
) -> NDArray[np.float64]:
    """The quality that the library gives the chosen masks."""
    values = np.array([pair.cues[row] for pair, row in zip(pairs, chosen, strict=True)])
    given = np.array([_prior(pair, weights)[row] for pair, row in zip(pairs, chosen, strict=True)])
    return believed_quality(values, given)


def run_fit(pairs: Sequence[Pair]) -> None:
    """Print what half A gives: cue weights, and the constants of the library's quality."""
    half = [pair for pair in pairs if pair.half == 0]
    weights = fit_weights(half)
    print(f"\ncue weights fitted on half A: {weights.as_dict()}")
    chosen = choose(pairs, weights=weights, config=FEMConfig())
    table_row("cue weights fitted on half A", pairs, scores(pairs, chosen))
    rows = np.array([pair.half == 0 for pair in pairs])
    equal = CueWeights()
    chosen = choose(pairs, weights=equal, config=FEMConfig())
    by_cue, of_prior, bias = fit_quality(half, chosen[rows], equal)
    print(f"quality fitted on half A: {by_cue}, prior {of_prior:.3f}, bias {bias:.3f}")


def run_ablation(pairs: Sequence[Pair]) -> dict[str, Any]:
    """All variants, and the yield curves of the library's own choice."""
    weights, config = CueWeights(), FEMConfig()
    still = replace(config, iterations=0)
    print(
        "\n| chosen by | all: mean IoU / P50 / P70 | half A | half B |\n| --- | --- | --- | --- |"
    )
    best = np.array([pair.iou.argmax() for pair in pairs])
    rows = [table_row("(the best segment there is)", pairs, scores(pairs, best))]
    variants: list[tuple[str, CueWeights | None, FEMConfig]] = [
        ("the paper's step 1, on these segments", None, still),
        ("the paper's steps 1 and 2, on these segments", None, config),
        ("the prior alone", weights, still),
        ("the prior and EM: the default", weights, config),
    ]
    for name, cues in GROUPS.items():
        left = replace(weights, **dict.fromkeys(cues, 0.0))
        variants.append((f"the default without: {name}", left, config))
    for number in (3.0, 15.0):
        variants.append((f"em_weight {number}", weights, replace(config, em_weight=number)))
    for name, given, settings in variants:
        chosen = choose(pairs, weights=given, config=settings)
        rows.append(table_row(name, pairs, scores(pairs, chosen)))
    chosen = choose(pairs, weights=weights, config=config)
    ious, quality = scores(pairs, chosen), believed(pairs, chosen, weights)
    print("\n| best by quality | " + " | ".join(f"{share:.0%}" for share in YIELDS) + " |")
    print("| --- |" + " --- |" * len(YIELDS))
    half = np.array([pair.half for pair in pairs])
    probability = np.array([pair.score[row] for pair, row in zip(pairs, chosen, strict=True)])
    curves = {
        "quality": curve_row("quality, all", quality, ious),
        "quality A": curve_row("quality, half A", quality[half == 0], ious[half == 0]),
        "quality B": curve_row("quality, half B", quality[half == 1], ious[half == 1]),
        "probability": curve_row("classifier's probability, all", probability, ious),
    }
    return {"pairs": len(pairs), "variants": rows, "curves": curves}


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/fem.py", description="What each part of F-EM is worth."
    )
    add_dataset_arguments(parser)
    parser.add_argument("--work", required=True, help="the work folder of a robust build")
    parser.add_argument("--classifier", help="its classifier, where the build was given one")
    parser.add_argument("--extra-labels", metavar="DIR", help="as in the build, for the classifier")
    parser.add_argument("--fit", action="store_true", help="fit the constants on half A")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Print the tables; 0 when done."""
    args = build_parser().parse_args(argv)
    dataset = dataset_from_arguments(args)
    extra = None if args.extra_labels is None else load_dataset("folder", args.extra_labels)
    build = Build(
        dataset,
        Path(args.work) / "none",
        work=args.work,
        classifier=args.classifier,
        extra=extra,
        extra_for="classifier",
    )
    build.cam_stage.run(build.photos)  # anchors and distances, which only the paper's step 1 needs
    build.distance_stage.run(build.photos)
    pairs = load_pairs(build, dataset)
    if args.fit:
        run_fit(pairs)
    report = run_ablation(pairs)
    write_json(args.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
