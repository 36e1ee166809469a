"""Objects removed from originals by a diffusion model that the user gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.diffusion import Kind, PipelineOptions, generators
from empaste_aug.offline.diffusion_model import DiffusersModel
from empaste_aug.offline.inpaint import DEFAULT_DILATE, grown_mask
from empaste_aug.offline.pretrained import check_count
from empaste_aug.types import ArgumentError

DEFAULT_PROMPT = "empty background scene, photo"

_MULTIPLE = 8
_SHORTEST = 64


class DiffusersInpainter(DiffusersModel):
    """An inpainting pipeline of diffusers, by `AutoPipelineForInpainting`.

    Works with models made for inpainting and, as diffusers does, with plain text-to-image models.
    The image is resized to multiples of 8 for the model; of its answer, resized back, only the
    masked pixels are taken. The pipeline is loaded at the first call.

    Args:
        model: a local folder as `save_pretrained` writes it, or a name on the hub.
        revision: of a hub model, a branch, tag or commit.
        local_files_only: take a hub model from the local cache alone; never download.
        steps, guidance_scale, strength: None for the pipeline's default.
        max_side: longer images are shrunk to this many pixels for the model; 512 for those that
            were trained so.
        dilate: pixels by which the mask grows first, so that no seam of the object is left.
        prompt: what should be there instead.
        negative_prompt: what should not, such as the target classes; see
            `synthesize.negative_prompt`. It is left away where the model has no use for it.
        options: device, precision, memory and safety checker.

    Raises:
        ArgumentError: an argument is out of range, or the folder does not exist or holds no
            pipeline.
        MissingDependencyError: diffusers, transformers or accelerate is not installed.
    """

    kind: ClassVar[Kind] = "inpainting"

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        steps: int | None = None,
        guidance_scale: float | None = None,
        strength: float | None = None,
        max_side: int = 1024,
        dilate: int = DEFAULT_DILATE,
        prompt: str = DEFAULT_PROMPT,
        negative_prompt: str | None = None,
        options: PipelineOptions | None = None,
    ) -> None:
        super().__init__(
            model,
            revision=revision,
            local_files_only=local_files_only,
            steps=steps,
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
            options=options,
        )
        if strength is not None and not 0 < strength <= 1:
            raise ArgumentError(f"strength: must be in (0, 1], got {strength}")
        self.strength = strength
        self.max_side = check_count("max_side", max_side, _MULTIPLE)
        self.dilate = check_count("dilate", dilate, 0)
        self.prompt = prompt

    def config(self) -> dict[str, Any]:
        """Everything that changes a result beyond rounding, but for image, mask and seed.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        return {
            **super().config(),
            "strength": self.strength,
            "max_side": self.max_side,
            "dilate": self.dilate,
            "prompt": self.prompt,
        }

    def __call__(
        self, image: NDArray[np.uint8], mask: NDArray[np.bool_], *, seed: int
    ) -> NDArray[np.uint8] | None:
        """(H, W, 3) uint8 RGB and (H, W) bool -> a new image; None where it was flagged.

        Pixels outside of the mask, grown by `dilate`, are the image's own.

        Raises:
            ArgumentError: shapes or types do not fit, nothing of the image is left to fill from,
                or the model cannot be loaded.
            EMPasteError: the model gave NaN, as some do in float16.
        """
        from PIL import Image

        region = grown_mask(image, mask, self.dilate)
        if not region.any():
            return image.copy()
        self.load()
        height, width = _model_size(image.shape[0], image.shape[1], self.max_side)
        fill = cv2.resize(
            region.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_NEAREST
        )
        [filled] = self._call(
            {
                "prompt": self.prompt,
                "negative_prompt": self._negative,
                "image": Image.fromarray(_resized(image, height, width)),
                "mask_image": Image.fromarray(fill),
                "height": height,
                "width": width,
                "strength": self.strength,
                "generator": generators([seed])[0],
            }
        )
        if filled is None:
            return None
        full = _resized(filled, image.shape[0], image.shape[1])
        return np.where(region[..., None], full, image).astype(np.uint8)


def _model_size(height: int, width: int, max_side: int) -> tuple[int, int]:
    """The nearest multiples of 8, at least 64, of the image shrunk to `max_side`."""
    scale = min(1.0, max_side / max(height, width))
    rows = max(_SHORTEST, round(height * scale / _MULTIPLE) * _MULTIPLE)
    columns = max(_SHORTEST, round(width * scale / _MULTIPLE) * _MULTIPLE)
    return rows, columns


def _resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=way), dtype=np.uint8)
