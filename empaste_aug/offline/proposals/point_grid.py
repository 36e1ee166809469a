"""The options that mask generators of the Segment Anything family have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from empaste_aug.types import ArgumentError


@dataclass(frozen=True, kw_only=True)
class PointGrid:
    """Points to ask a model for masks at, and which of its answers count.

    Attributes:
        points_per_side: the grid has this many points a side.
        points_per_batch: points in one forward pass; it does not change the output beyond
            rounding. Memory grows with it and with `max_side`.
        pred_iou_thresh: masks of a lower predicted IoU are dropped; 0 keeps all.
        stability_score_thresh: masks whose IoU between a stricter and a laxer cut is lower are
            dropped; 0 keeps all.
        box_nms_thresh: a mask is dropped where its box has a higher IoU with that of a better one.
        crop_n_layers: layer i repeats it all on 4 ** i crops of the photo, for small objects.
        crop_n_points_downscale_factor: in them the grid has `points_per_side` / this ** i points a
            side.
        max_side: larger photos are shrunk to it, and their masks enlarged by nearest neighbour.

    Raises:
        ArgumentError: a value is out of range.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_n_points_downscale_factor: int = 1
    max_side: int = 1024

    def __post_init__(self) -> None:
        """Raise ArgumentError for a value out of its range."""
        for name in ("points_per_side", "points_per_batch", "crop_n_points_downscale_factor"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if self.crop_n_layers < 0:
            raise ArgumentError(f"crop_n_layers: must be 0 or more, got {self.crop_n_layers}")
        for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh"):
            if not 0 <= getattr(self, name) <= 1:
                raise ArgumentError(f"{name}: must lie in [0, 1], got {getattr(self, name)}")
        if self.crop_n_points_downscale_factor**self.crop_n_layers > self.points_per_side:
            raise ArgumentError(
                "crop_n_points_downscale_factor: leaves no point in the smallest crops, "
                f"{self.points_per_side} / {self.crop_n_points_downscale_factor} ** "
                f"{self.crop_n_layers}"
            )
        if self.max_side < 32:
            raise ArgumentError(f"max_side: must be at least 32 pixels, got {self.max_side}")

    def config(self) -> dict[str, Any]:
        """Everything that changes the output, as JSON values."""
        return {key: value for key, value in asdict(self).items() if key != "points_per_batch"}
