"""How good a bank's masks are, against annotated instances: curve, classes, failures, intervals.

`scoring` has the rules by which masks are matched and counted, `curve` those of the yield curve,
`failures` the kinds of failures, `comparison` how two banks are compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from empaste_aug.bank import MaskBank
from empaste_aug.offline.bootstrap import PhotoDraws
from empaste_aug.offline.comparison import compare
from empaste_aug.offline.curve import all_pairs, curve
from empaste_aug.offline.datasets.base import Dataset
from empaste_aug.offline.failures import KINDS, count_failures
from empaste_aug.offline.ranking import check_ranking, known_rankings, rank_masks
from empaste_aug.offline.scoring import BankScores, score_bank
from empaste_aug.offline.tally import summarise
from empaste_aug.types import ArgumentError


def evaluate_bank(
    bank: MaskBank | str | Path | BankScores,
    dataset: Dataset,
    *,
    ranking: str | None = None,
    other: MaskBank | str | Path | None = None,
    one_per_pair: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a bank's masks against a data set's instances; the module's docstring has the rules.

    Classes map by name, photos by image id. `pairs` are the (image, class) pairs of the data set's
    image-level labels, `objects` its instances without crowd regions; both over the photos that
    have annotations.

    Args:
        bank: the bank, its path, or its scores on this data set (`scoring.score_bank`).
        dataset: the photos that the bank was built from, with instances.
        ranking: what the yield curve ranks masks by, "quality" or "score"; None for the first of
            these that the bank knows.
        other: another bank of the same photos to compare with.
        one_per_pair: score the first mask of each photo and class alone (`scoring.score_bank`), of
            `other` too; scores that are given must have been made so.
        bootstrap: how many times the photos are drawn anew for the intervals; 0 gives none.
        seed: of the drawing, and of the order of masks of equal rank.

    Returns:
        JSON values.

        - `overall`, `macro` and, by class name, `per_class`, each with `mean_iou`, `p50`, `p70`
          (shares of masks with an IoU of at least 0.5 and 0.7), `yield` (share of the pairs that
          have a mask), `yield_objects` (masks / objects) and `intervals`, the 95 % percentile
          interval [low, high] of each of these by bootstrap over photos. `overall` and `per_class`
          also have the counts `masks`, `pairs`, `pairs_with_mask` and `objects`, and `failures`,
          the number of masks of each kind of failure. `macro` is the mean over the classes that
          have a mask (for the yields: that have pairs, or objects). `classes_covered` of `classes`
          have a mask.
        - `ranking`; by it `curve` and `curve_per_class` (`curve.curve`) and `all_pairs`
          (`curve.all_pairs`); `rankings`, the same by every ranking that the bank knows.
        - `failures` (`failures.count_failures`).
        - with `other`, `comparison` (`comparison.compare`).

        What is undefined (0 / 0) is None.

    Raises:
        ArgumentError: `bootstrap` is negative, a bank does not know the ranking, the data set has
            no instances or lacks a class of a bank, or a bank's photos are not the data set's.
        BankError: a bank is damaged, or a cut-out does not say where it comes from.
        DatasetError: a mask of the data set cannot be read.
    """
    if bootstrap < 0:
        raise ArgumentError(f"bootstrap: must not be negative, is {bootstrap}")
    if isinstance(bank, (str, Path)):
        bank = MaskBank(bank)
    if isinstance(other, (str, Path)):
        other = MaskBank(other)
    opened = bank.bank if isinstance(bank, BankScores) else bank
    ranking = check_ranking(opened, ranking)
    if other is not None:
        if ranking is None:
            raise ArgumentError(f"ranking: {opened.path} knows neither quality nor score to cut by")
        check_ranking(other, ranking)
    if isinstance(bank, BankScores):
        scores = bank
    else:
        scores = score_bank(bank, dataset, one_per_pair=one_per_pair)
    draws = PhotoDraws(len(scores.images), bootstrap, seed)
    report: dict[str, Any] = {
        "bank": str(opened.path),
        "dataset": dataset.name,
        "images": len(scores.images),
        "images_with_masks": scores.photos_with_masks,
        "images_without_annotations": len(dataset.images) - len(scores.images),
        "bank_masks": len(opened),
        "masks_on_crowd": scores.on_crowd,
        "one_per_pair": one_per_pair,
        "masks_not_evaluated": len(opened) - scores.scored - scores.on_crowd,
        "bootstrap": bootstrap,
        "seed": seed,
    }
    report |= summarise(scores.tally, dataset.class_names, draws)
    report |= _failures(scores, report)
    ranked = {name: rank_masks(scores, name, seed) for name in known_rankings(opened)}
    rankings = {
        name: {
            "curve": curve(masks, draws, "whole"),
            "curve_per_class": curve(masks, draws, "per_class"),
            "all_pairs": all_pairs(masks, draws),
        }
        for name, masks in ranked.items()
    }
    empty: dict[str, Any] = {"curve": [], "curve_per_class": [], "all_pairs": None}
    report |= {"ranking": ranking, **(rankings[ranking] if ranking else empty)}
    report["rankings"] = rankings
    if other is not None and ranking is not None:
        against = score_bank(other, dataset, one_per_pair=one_per_pair)
        theirs = rank_masks(against, ranking, seed)
        report["comparison"] = {
            "bank": str(other.path),
            "ranking": ranking,
            **compare(ranked[ranking], theirs, draws),
        }
    return report


def _failures(scores: BankScores, report: dict[str, Any]) -> dict[str, Any]:
    """`failures`, and their numbers put into the entries of `overall` and `per_class`."""
    failed = [(g.category, kind) for g in scores.groups for kind in g.kinds if kind]
    counts = np.zeros((len(scores.dataset.class_names), len(KINDS)), dtype=np.int64)
    for category, kind in failed:
        counts[category, KINDS.index(kind)] += 1

    def named(row: Any) -> dict[str, int]:
        return {kind: int(n) for kind, n in zip(KINDS, row, strict=True)}

    per_class = {
        name: {**entry, "failures": named(counts[k])}
        for k, (name, entry) in enumerate(report["per_class"].items())
    }
    return {
        "overall": {**report["overall"], "failures": named(counts.sum(axis=0))},
        "per_class": per_class,
        "failures": count_failures((kind for _, kind in failed), scores.scored),
    }
