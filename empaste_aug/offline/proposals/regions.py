"""Region trees of an edge map, and fast set operations on their regions.

A region is a set of superpixels, the leaves of the tree. Leaves are numbered so that each node of
the tree covers an interval of them: overlaps of regions then cost a few comparisons, and run-length
encodings are made from runs of superpixels, never from full-size masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from empaste_aug.offline.proposals.base import RLE
from empaste_aug.types import MissingDependencyError

EDGE_LEVELS = 1024
"""Edge values are rounded to this many levels, so that sums of them are exact in any order."""


@dataclass(frozen=True)
class RegionTree:
    """The hierarchy of L superpixels and N nodes, leaves first, every parent after its children.

    Attributes:
        labels: (H, W) int32, the superpixel of each pixel, in [0, L).
        first, last: (N,) int; node i covers the superpixels `first[i] <= label < last[i]`.
        area: (N,) int, in pixels.
        boxes: (N, 4) int XYXY half-open.
        contour_sum, contour_length: (N,) float; over the pixel edges between the node and the rest
            of the image (its border does not count), the sum of edge values and their number.
        borders: (E, 2) int, pairs of adjacent superpixels.
        border_sum, border_length: (E,) float, likewise of each border.
    """

    labels: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    area: NDArray[np.int64]
    boxes: NDArray[np.int64]
    contour_sum: NDArray[np.float64]
    contour_length: NDArray[np.float64]
    borders: NDArray[np.int64]
    border_sum: NDArray[np.float64]
    border_length: NDArray[np.float64]

    def spans(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n, 2, 2) int: nodes as regions, their interval first and an empty one after it."""
        intervals = np.zeros((len(nodes), 2, 2), dtype=np.int64)
        intervals[:, 0, 0], intervals[:, 0, 1] = self.first[nodes], self.last[nodes]
        return intervals

    def members(self, spans: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n, L) bool: the superpixels of n regions, each one or two disjoint intervals."""
        leaf = np.arange(int(self.last[-1]))
        inside = (leaf >= spans[:, :, 0, None]) & (leaf < spans[:, :, 1, None])
        return np.logical_or(inside[:, 0], inside[:, 1])

    def pixels_before(self) -> NDArray[np.int64]:
        """(L + 1,) int: how many pixels lie in superpixels below each number."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.labels.ravel()))])


def region_tree(edges: NDArray[np.float32]) -> RegionTree:
    """The hierarchy of mean boundary strength (Arbelaez et al., PAMI 2011) of an edge map.

    Args:
        edges: (H, W) float in [0, 1], at least two pixels.

    Raises:
        MissingDependencyError: higra is not installed.
    """
    try:
        import higra as hg
    except ImportError as error:
        raise MissingDependencyError("higra", "offline", "the region hierarchy") from error
    height, width = edges.shape
    levels = np.round(np.asarray(edges, dtype=np.float64) * EDGE_LEVELS) / EDGE_LEVELS
    graph = hg.get_4_adjacency_graph((height, width))
    weights = hg.weight_graph(graph, levels, hg.WeightFunction.mean)
    tree, _ = hg.mean_pb_hierarchy(graph, weights, (height, width))
    rag = tree.leaf_graph
    superpixel = hg.CptRegionAdjacencyGraph.get_vertex_map(rag)
    leaves, parent = tree.num_leaves(), np.asarray(tree.parents(), dtype=np.int64)

    counts = hg.accumulate_sequential(
        tree, np.ones(leaves, dtype=np.int64), hg.Accumulators.sum
    ).astype(np.int64)
    first = _first_leaves(parent, counts)
    labels = first[superpixel].astype(np.int32)

    y, x = np.divmod(np.arange(height * width), width)
    area = np.bincount(superpixel, minlength=leaves).astype(np.int64)
    low = np.full((leaves, 2), max(height, width), dtype=np.int64)
    high = np.zeros((leaves, 2), dtype=np.int64)
    for axis, values in enumerate((x, y)):
        np.minimum.at(low[:, axis], superpixel, values)
        np.maximum.at(high[:, axis], superpixel, values + 1)
    boxes = np.hstack(
        [
            hg.accumulate_sequential(tree, low, hg.Accumulators.min),
            hg.accumulate_sequential(tree, high, hg.Accumulators.max),
        ]
    ).astype(np.int64)

    u, v = rag.edge_list()
    meets = tree.lowest_common_ancestor(u, v)
    borders, contours = [], []
    for values in (weights, np.ones_like(weights)):
        border = hg.rag_accumulate_on_edges(rag, hg.Accumulators.sum, values)
        around = np.bincount(u, border, leaves) + np.bincount(v, border, leaves)
        inside = np.bincount(meets, border, tree.num_vertices())
        borders.append(border)
        contours.append(
            hg.accumulate_and_add_sequential(tree, -2 * inside, around, hg.Accumulators.sum)
        )
    return RegionTree(
        labels=labels.reshape(height, width),
        first=first,
        last=first + counts,
        area=hg.accumulate_sequential(tree, area, hg.Accumulators.sum).astype(np.int64),
        boxes=boxes,
        contour_sum=contours[0],
        contour_length=contours[1],
        borders=np.stack([first[u], first[v]], axis=1),
        border_sum=borders[0],
        border_length=borders[1],
    )


def _first_leaves(parent: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first leaf of each node's interval, numbering the leaves in depth-first order."""
    parents, sizes = parent.tolist(), counts.tolist()
    first, free = [0] * len(parents), [0] * len(parents)
    for node in range(len(parents) - 2, -1, -1):
        above = parents[node]
        first[node] = free[node] = free[above]
        free[above] += sizes[node]
    return np.asarray(first, dtype=np.int64)


def suppress(
    tree: RegionTree,
    spans: NDArray[np.int64],
    *,
    threshold: float,
    limit: int,
    kept: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Greedy suppression of near-duplicates by intersection over union.

    Args:
        spans: (n, 2, 2) regions, best first.
        threshold: a region is dropped where its IoU with one kept before reaches this.
        limit: the most regions to keep.
        kept: (m, 2, 2) regions that are kept already; they do not count towards `limit`.

    Returns:
        (<= limit,) ascending indices of the regions kept.
    """
    before = tree.pixels_before()
    others = np.empty((0, 2, 2), dtype=np.int64) if kept is None else kept
    known = len(others)
    others = np.concatenate([others, np.zeros((limit, 2, 2), dtype=np.int64)])
    areas = (before[others[:, :, 1]] - before[others[:, :, 0]]).sum(axis=1)
    chosen: list[int] = []
    for index, region in enumerate(spans):
        if len(chosen) == limit:
            break
        low = np.maximum(region[None, :, None, 0], others[:known, None, :, 0])
        high = np.minimum(region[None, :, None, 1], others[:known, None, :, 1])
        common = (before[np.maximum(low, high)] - before[low]).sum(axis=(1, 2))
        area = int((before[region[:, 1]] - before[region[:, 0]]).sum())
        if (common >= threshold * (area + areas[:known] - common)).any():
            continue
        others[known], areas[known] = region, area
        known += 1
        chosen.append(index)
    return np.asarray(chosen, dtype=np.int64)


def encode_regions(
    labels: NDArray[np.int32], members: NDArray[np.bool_], height: int, width: int
) -> list[RLE]:
    """COCO compressed RLEs of full size (height, width) of regions of a smaller label map.

    Args:
        labels: (h, w) superpixels; enlarged by nearest neighbour.
        members: (n, L) bool, the superpixels of each of n regions.
    """
    h, w = labels.shape
    rows = np.arange(height) * h // height
    columns = np.arange(width) * w // width
    flat = labels[rows][:, columns].T.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    runs = members[:, flat[starts]]
    encoded = []
    for inside in runs:
        changes = starts[1:][inside[1:] != inside[:-1]]
        ends = np.concatenate([[0], changes, [flat.size]])
        counts = np.diff(ends).tolist()
        encoded.append({"size": [height, width], "counts": [0, *counts] if inside[0] else counts})
    rles: Sequence[RLE] = coco_mask.frPyObjects(encoded, height, width) if encoded else []
    return list(rles)
