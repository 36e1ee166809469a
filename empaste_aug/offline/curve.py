"""The yield curve: how good the best masks of a bank are, at 10 % to 100 % of image-class pairs.

The yield is the number of masks that are kept over the number of image-class pairs of the photos
with annotations. A bank with several masks per pair can reach more than 1, which no row of the
curve asks for: the figures of all of its masks are the report's `overall`; the curve of the first
masks alone is that of scores with `one_per_pair` (`scoring.score_bank`). A cut keeps the masks of
the best rank until it has as many as asked for: over everything (`whole`), or for each class its
share of the class's own pairs, and one mask at least (`per_class`, so that weak classes are not
emptied). Where the bank holds fewer, all of them are kept, and the yield is what that gives. Masks
are matched one-to-one among the kept ones.

Intervals: in every draw of photos the masks of these photos are ranked and cut anew, at the same
yield of the draw's own pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.bootstrap import PhotoDraws, interval, number
from empaste_aug.offline.ranking import RankedMasks

YIELDS = (0.10, 0.20, 0.34, 0.50, 0.65, 1.0)
"""The yields that a curve is given at."""

FIGURES = ("mean_iou", "p50", "p70", "macro_p50")
"""The figures of a row that have an interval; `macro_p50` is the mean over classes present."""

CutKind = Literal["whole", "per_class"]
CUTS: tuple[CutKind, ...] = ("whole", "per_class")

Figures = dict[str, NDArray[np.float64]]


def curve(ranked: RankedMasks, draws: PhotoDraws, cut: CutKind) -> list[dict[str, Any]]:
    """One row for each of `YIELDS`.

    Returns:
        JSON values: `asked`, `yield`, `n` (kept masks), `classes_present` (with a kept mask),
        `mean_iou`, `p50`, `p70`, `macro_p50`, and of each of these four the 95 % interval
        [low, high] as `<name>_interval`. What is undefined is None; without draws, every interval.
    """
    found = figures(ranked, None, cut)
    drawn = resample(lambda times: figures(ranked, times, cut), draws)
    rows = []
    for k, asked in enumerate(YIELDS):
        row: dict[str, Any] = {
            "asked": asked,
            "yield": number(found["yield"][k]),
            "n": int(found["n"][k]),
            "classes_present": int(found["classes_present"][k]),
        }
        row |= {name: number(found[name][k]) for name in FIGURES}
        row |= {f"{name}_interval": interval_at(drawn, name, k) for name in FIGURES}
        rows.append(row)
    return rows


def all_pairs(ranked: RankedMasks, draws: PhotoDraws) -> dict[str, Any]:
    """The figures over every image-class pair: of its best-ranked mask, and 0 where it has none.

    Returns:
        JSON values: `pairs`, `pairs_with_mask`, `mean_iou`, `p50`, `p70` and their intervals, as
        `curve`.
    """
    found = pair_figures(ranked, None)
    drawn = resample(lambda times: pair_figures(ranked, times), draws)
    names = ("mean_iou", "p50", "p70")
    return {
        "pairs": int(ranked.pairs.sum()),
        "pairs_with_mask": int(np.count_nonzero(ranked.first)),
        **{name: number(found[name][0]) for name in names},
        **{f"{name}_interval": interval_at(drawn, name, 0) for name in names},
    }


def figures(
    ranked: RankedMasks,
    times: NDArray[np.int64] | None,
    cut: CutKind,
    limits: NDArray[np.int64] | None = None,
) -> Figures:
    """The figures of every row: (rows,) float64 each, NaN where undefined.

    Args:
        ranked: the masks.
        times: (photos,) how often each photo counts; None for once.
        cut: what is cut.
        limits: how many masks to keep, as `cut_limits` gives; None for just these.
    """
    if limits is None:
        limits = cut_limits(ranked, times, cut)
    sums = _kept_sums(ranked, _weights(ranked, times), limits, cut)
    by_class = sums[..., 0]
    total = sums.sum(axis=1)
    present = by_class > 0
    classes = present.sum(axis=1)
    shares = np.where(present, sums[..., 2] / np.where(present, by_class, 1), 0.0)
    return {
        "n": total[:, 0],
        "yield": _ratio(total[:, 0], np.full(len(total), _pairs(ranked, times).sum())),
        "classes_present": classes.astype(np.float64),
        "mean_iou": _ratio(total[:, 1], total[:, 0]),
        "p50": _ratio(total[:, 2], total[:, 0]),
        "p70": _ratio(total[:, 3], total[:, 0]),
        "macro_p50": _ratio(shares.sum(axis=1), classes),
    }


def pair_figures(ranked: RankedMasks, times: NDArray[np.int64] | None) -> Figures:
    """`mean_iou`, `p50`, `p70` over all image-class pairs, (1,) float64 each."""
    weights = _weights(ranked, times)[ranked.first]
    sums = weights @ ranked.gains[ranked.first]
    pairs = np.array([_pairs(ranked, times).sum()])
    names = ("mean_iou", "p50", "p70")
    return {name: _ratio(sums[k : k + 1], pairs) for k, name in enumerate(names)}


def cut_limits(
    ranked: RankedMasks, times: NDArray[np.int64] | None, cut: CutKind
) -> NDArray[np.int64]:
    """How many masks each cut keeps: those asked for, or all if there are fewer.

    Returns:
        int64, (rows, 1) over everything, (rows, classes) per class.
    """
    pairs = _pairs(ranked, times)
    weights = _weights(ranked, times)
    held = np.bincount(ranked.category, weights=weights, minlength=len(pairs)).astype(np.int64)
    if cut == "whole":
        pairs, held = pairs.sum(keepdims=True), held.sum(keepdims=True)
    asked = np.floor(np.array(YIELDS)[:, None] * pairs + 0.5).astype(np.int64)
    if cut == "per_class":
        asked = np.maximum(asked, pairs > 0)
    limits: NDArray[np.int64] = np.minimum(asked, held)
    return limits


def resample(
    compute: Callable[[NDArray[np.int64]], Figures], draws: PhotoDraws
) -> dict[str, NDArray[np.float64]]:
    """(draws, rows) float64 of every figure that `compute` gives of a draw; {} without draws."""
    found = [compute(times) for times in draws]
    return (
        {name: np.stack([values[name] for values in found]) for name in found[0]} if found else {}
    )


def interval_at(drawn: dict[str, NDArray[np.float64]], name: str, row: int) -> list[float] | None:
    """The 95 % interval of one figure of one row, from what `resample` gives."""
    return interval(drawn[name][:, row]) if name in drawn else None


def _kept_sums(
    ranked: RankedMasks,
    weights: NDArray[np.int64],
    limits: NDArray[np.int64],
    cut: CutKind,
) -> NDArray[np.float64]:
    """(rows, classes, 4): kept masks and their gains, by class."""
    category, gains = ranked.category, ranked.gains
    if cut == "per_class":
        order = ranked.by_class
        weights, category, gains = weights[order], category[order], gains[order]
    before = np.cumsum(weights) - weights
    if cut == "per_class":
        starts = np.searchsorted(category, category)
        before = before - before[starts]
        limits = limits[:, category]
    kept = np.clip(limits - before, 0, weights)
    rows, classes = len(limits), ranked.pairs.shape[0]
    cells = (np.arange(rows)[:, None] * classes + category).ravel()
    columns = [kept, *(kept * gain for gain in gains.T)]
    sums = [np.bincount(cells, column.ravel(), minlength=rows * classes) for column in columns]
    found = np.stack(sums, axis=-1).astype(np.float64)
    return found.reshape(rows, classes, len(columns))


def _weights(ranked: RankedMasks, times: NDArray[np.int64] | None) -> NDArray[np.int64]:
    return np.ones(len(ranked), dtype=np.int64) if times is None else times[ranked.photo]


def _pairs(ranked: RankedMasks, times: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """(classes,) image-class pairs."""
    once = np.ones(ranked.pairs.shape[1], dtype=np.int64) if times is None else times
    found: NDArray[np.int64] = ranked.pairs @ once
    return found


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(below > 0, above / np.where(below > 0, below, 1), math.nan)
