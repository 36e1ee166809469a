"""Regions of a contour hierarchy and unions of neighbouring ones, in the manner of MCG and COB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.edges import EdgeDetector, fit
from empaste_aug.offline.proposals.regions import (
    RegionTree,
    encode_regions,
    region_tree,
    suppress,
)
from empaste_aug.types import ArgumentError


class Hierarchy:
    """Proposals from a region tree (paper 3.1: "MCG", "COB"; higra's mean boundary hierarchy).

    The photo is shrunk to `max_side`, an edge map is computed and a tree of regions grown on it.
    Proposed are the tree's regions, and the unions of two of them that touch (an object often
    falls into two regions, such as shirt and trousers). A segment's `strength` is the mean edge
    value along its contour, in [0, 1]; of near-duplicates the one with the stronger contour stays.
    The same photo gives the same segments.

    Args:
        edges: "hed" (learned from human boundaries, no classes), "lab" (colour gradients, no
            weights) or "auto", which is "hed" where its weights package is installed.
        max_side: the longer side, in pixels, at which edges and regions are computed; segments
            are enlarged to the photo's size by nearest neighbour.
        max_segments: the most regions of the tree, strongest contours first.
        max_pairs: the most unions of two regions, strongest outer contours first; 0 for none.
        max_overlap: a segment is dropped where its IoU with a stronger one reaches this.
        min_area, max_span: as in `filter_segments`, measured on the shrunken photo; regions that
            it would drop take no place.

    Raises:
        ArgumentError: an argument is out of range.
        MissingDependencyError: `edges` is "hed" and its weights package is not installed.
    """

    name = "hierarchy"

    def __init__(
        self,
        *,
        edges: str = "auto",
        max_side: int = 500,
        max_segments: int = 150,
        max_pairs: int = 120,
        max_overlap: float = 0.85,
        min_area: float = 0.01,
        max_span: float = 0.95,
    ) -> None:
        if max_side < 32:
            raise ArgumentError(f"max_side: must be at least 32 pixels, got {max_side}")
        if max_segments < 1:
            raise ArgumentError(f"max_segments: must be at least 1, got {max_segments}")
        if max_pairs < 0:
            raise ArgumentError(f"max_pairs: must be 0 or more, got {max_pairs}")
        if not 0 < max_overlap <= 1:
            raise ArgumentError(f"max_overlap: must lie in (0, 1], got {max_overlap}")
        if not 0 <= min_area < 1:
            raise ArgumentError(f"min_area: must lie in [0, 1), got {min_area}")
        if max_span <= 0:
            raise ArgumentError(f"max_span: must be positive, got {max_span}")
        self.detector = EdgeDetector(edges)
        self.max_side = max_side
        self.max_segments = max_segments
        self.max_pairs = max_pairs
        self.max_overlap = max_overlap
        self.min_area = min_area
        self.max_span = max_span

    def config(self) -> dict[str, Any]:
        """Everything that changes the output; `edges` is what "auto" was resolved to."""
        return {
            "edges": self.detector.kind,
            "max_side": self.max_side,
            "max_segments": self.max_segments,
            "max_pairs": self.max_pairs,
            "max_overlap": self.max_overlap,
            "min_area": self.min_area,
            "max_span": self.max_span,
        }

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        image_id: str = "",  # noqa: ARG002
    ) -> list[Segment]:
        """Regions of an (H, W, 3) uint8 RGB photo by falling strength, then unions likewise."""
        height, width = image.shape[:2]
        if height * width < 2:
            return []
        tree = region_tree(self.detector(fit(image, self.max_side)))
        nodes, strengths = self._regions(tree)
        spans = tree.spans(nodes)
        if self.max_pairs and len(nodes) > 1:
            unions, union_strengths = self._unions(tree, nodes)
            spans = np.concatenate([spans, unions])
            strengths = np.concatenate([strengths, union_strengths])
        rles = encode_regions(tree.labels, tree.members(spans), height, width)
        return [
            Segment(rle, self.name, float(strength))
            for rle, strength in zip(rles, strengths, strict=True)
        ]

    def _fits(self, tree: RegionTree, boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
        height, width = tree.labels.shape
        sides = boxes[:, 2:] - boxes[:, :2]
        fits = sides < self.max_span * np.array([width, height])
        return np.logical_and(fits[:, 0], fits[:, 1])

    def _regions(self, tree: RegionTree) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tree's nodes to propose, and the mean edge value along each one's contour."""
        least = max(1.0, self.min_area * tree.labels.size)
        nodes = np.flatnonzero((tree.area >= least) & self._fits(tree, tree.boxes))
        strengths = tree.contour_sum[nodes] / np.maximum(tree.contour_length[nodes], 1)
        order = np.argsort(-strengths, kind="stable")
        chosen = order[
            suppress(
                tree,
                tree.spans(nodes[order]),
                threshold=self.max_overlap,
                limit=self.max_segments,
            )
        ]
        return nodes[chosen], strengths[chosen]

    def _unions(
        self, tree: RegionTree, nodes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Unions of two disjoint `nodes` that share a border, as spans, and their strengths."""
        spans = tree.spans(nodes)
        members = tree.members(spans)
        ends = [members[:, tree.borders[:, side]].astype(np.float64) for side in (0, 1)]
        shared_length = (ends[0] * tree.border_length) @ ends[1].T
        shared_total = (ends[0] * tree.border_sum) @ ends[1].T
        shared_length += shared_length.T
        shared_total += shared_total.T

        first, last = tree.first[nodes], tree.last[nodes]
        nested = np.minimum(last[:, None], last) > np.maximum(first[:, None], first)
        i, j = np.nonzero(np.triu(~nested & (shared_length > 0), 1))
        low = np.minimum(tree.boxes[nodes[i], :2], tree.boxes[nodes[j], :2])
        high = np.maximum(tree.boxes[nodes[i], 2:], tree.boxes[nodes[j], 2:])
        fits = self._fits(tree, np.hstack([low, high]))
        i, j = i[fits], j[fits]

        length, total = tree.contour_length[nodes], tree.contour_sum[nodes]
        outer_length = length[i] + length[j] - 2 * shared_length[i, j]
        outer_total = total[i] + total[j] - 2 * shared_total[i, j]
        strengths = outer_total / np.maximum(outer_length, 1)
        order = np.argsort(-strengths, kind="stable")
        pairs = np.stack([spans[i, 0], spans[j, 0]], axis=1)[order]
        chosen = suppress(tree, pairs, threshold=self.max_overlap, limit=self.max_pairs, kept=spans)
        return pairs[chosen], strengths[order[chosen]]
