"""Two banks of the same photos: how their figures differ at equal yields, paired by photo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.bootstrap import PhotoDraws, number
from empaste_aug.offline.curve import (
    CUTS,
    FIGURES,
    YIELDS,
    CutKind,
    Figures,
    cut_limits,
    figures,
    interval_at,
    pair_figures,
    resample,
)
from empaste_aug.offline.ranking import RankedMasks

PAIR_FIGURES = ("mean_iou", "p50", "p70")


def compare(ours: RankedMasks, theirs: RankedMasks, draws: PhotoDraws) -> dict[str, Any]:
    """What the first bank's figures have over the second's, on the same photos.

    At each yield both banks keep the same number of masks (per class: of each class): as many as
    asked for, or as the bank with fewer has. Every draw takes the same photos for both.

    Returns:
        JSON values: `curve` and `curve_per_class`, one row for each yield with `asked`, `yield` and
        `n` of either bank, and of `mean_iou`, `p50`, `p70` and `macro_p50` the first bank's value,
        `<name>_other`, `<name>_difference` and `<name>_difference_interval`, the 95 % interval
        [low, high]; and `all_pairs`, a row over every image-class pair, where a pair without a mask
        counts 0.
    """
    whole, per_class = (_curve(ours, theirs, draws, cut) for cut in CUTS)
    own, other = pair_figures(ours, None), pair_figures(theirs, None)
    drawn = resample(
        lambda times: _minus(pair_figures(ours, times), pair_figures(theirs, times)), draws
    )
    pairs: dict[str, Any] = {"pairs": int(ours.pairs.sum())}
    for name in PAIR_FIGURES:
        pairs |= _cells(name, own[name][0], other[name][0], interval_at(drawn, name, 0))
    return {"curve": whole, "curve_per_class": per_class, "all_pairs": pairs}


def _curve(
    ours: RankedMasks, theirs: RankedMasks, draws: PhotoDraws, cut: CutKind
) -> list[dict[str, Any]]:
    def both(times: NDArray[np.int64] | None) -> tuple[Figures, Figures]:
        limits = np.minimum(cut_limits(ours, times, cut), cut_limits(theirs, times, cut))
        return figures(ours, times, cut, limits), figures(theirs, times, cut, limits)

    own, other = both(None)
    drawn = resample(lambda times: _minus(*both(times)), draws)
    rows = []
    for k, asked in enumerate(YIELDS):
        row: dict[str, Any] = {
            "asked": asked,
            "yield": number(own["yield"][k]),
            "n": int(own["n"][k]),
        }
        for name in FIGURES:
            row |= _cells(name, own[name][k], other[name][k], interval_at(drawn, name, k))
        rows.append(row)
    return rows


def _cells(name: str, own: float, other: float, bounds: list[float] | None) -> dict[str, Any]:
    return {
        name: number(own),
        f"{name}_other": number(other),
        f"{name}_difference": number(own - other),
        f"{name}_difference_interval": bounds,
    }


def _minus(own: Figures, other: Figures) -> Figures:
    return {name: own[name] - other[name] for name in own}
