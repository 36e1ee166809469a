"""The options that mask generators of the Segment Anything family have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from empaste_aug.types import ArgumentError


@dataclass(frozen=True, kw_only=True)
class PointGrid:
    """Points to ask a model for masks at, and which of its answers count; see `Sam`.

    Raises:
        ArgumentError: a value is out of range.
    """

    points_per_side: int
    points_per_batch: int
    pred_iou_thresh: float
    stability_score_thresh: float
    box_nms_thresh: float
    crop_n_layers: int
    max_side: int
    crop_n_points_downscale_factor: int = 1

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
