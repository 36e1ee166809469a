"""One photo through a detectron2 model with the standard input."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from detectron2.data import transforms as T  # noqa: N812
from numpy.typing import NDArray

from empaste_aug.offline.proposals.detectron2_config import ModelConfig


class StandardPredictor:
    """Photo to the model's output; like `DefaultPredictor`, but drawing no random numbers.

    Args:
        config: for the input's format and size.
        model: in evaluation mode.
    """

    def __init__(self, config: ModelConfig, model: Any) -> None:
        self.config = config
        self.model = model

    def __call__(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """The model's output, at the photo's size, for an (H, W, 3) uint8 RGB photo."""
        height, width = image.shape[:2]
        resized = image if self.config.input_format == "RGB" else image[..., ::-1]
        if self.config.short_side:
            new = T.ResizeShortestEdge.get_output_shape(
                height, width, self.config.short_side, self.config.max_side
            )
            resized = T.ResizeTransform(height, width, *new).apply_image(
                np.ascontiguousarray(resized)
            )
        pixels = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1), np.float32))
        with torch.no_grad():
            output: dict[str, Any] = self.model(
                [{"image": pixels, "height": height, "width": width}]
            )[0]
        return output
