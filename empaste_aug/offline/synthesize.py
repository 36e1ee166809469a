"""Images from prompts by a text-to-image model (the paper, 3.2: ten a caption)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.diffusion import Kind, PipelineOptions, generators, parameters
from empaste_aug.offline.diffusion_model import DiffusersModel
from empaste_aug.offline.pretrained import check_count
from empaste_aug.offline.seeds import derived_seed
from empaste_aug.types import ArgumentError, EMPasteError

DEFAULT_SYNTHESIZER = "black-forest-labs/FLUX.2-klein-4B"
"""The default model: of 2026, Apache-2.0 (weights, text encoder and autoencoder), four steps.

Others of few steps are larger (FLUX.1 [schnell], 12 billion weights; Z-Image-Turbo, 6 billion and
eight steps; both Apache-2.0) or have licences that restrict their use (SD-Turbo and SDXL-Turbo:
non-commercial or community; SANA-Sprint: NVIDIA's and Gemma's; FLUX.2 [klein] 9B: non-commercial).
It holds two networks of about 4 billion weights; its makers name 13 GB of GPU memory as the least,
which takes `offload`. A smaller one: "SimianLuo/LCM_Dreamshaper_v7" (MIT, made from a model under
CreativeML OpenRAIL-M; about 1 billion weights, four steps).
"""

_SPATIAL_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class Preset:
    """What a model's makers recommend, and the size of the images."""

    steps: int
    guidance_scale: float
    side: int = 512


PRESETS = {
    DEFAULT_SYNTHESIZER: Preset(steps=4, guidance_scale=1.0),
    "black-forest-labs/FLUX.1-schnell": Preset(steps=4, guidance_scale=0.0),
    "Tongyi-MAI/Z-Image-Turbo": Preset(steps=9, guidance_scale=0.0),  # 9 steps evaluate it 8 times
    "SimianLuo/LCM_Dreamshaper_v7": Preset(steps=4, guidance_scale=8.0),
}
"""By hub name. Other models run with their pipeline's defaults where an argument is None."""


def image_seed(seed: int, prompt_key: str, number: int) -> int:
    """The seed of one image: of the run's `seed`, the prompt's key, and the image's number.

    Args:
        seed: the run's.
        prompt_key: what tells the prompt from all others, such as "2008_000008#1".
        number: of the image among those of its prompt, from 0.
    """
    return derived_seed("image", seed, prompt_key, number)


def negative_prompt(class_names: Sequence[str]) -> str:
    """A negative prompt that names classes, in their order.

    CLIP's text encoder, which Stable Diffusion reads it with, takes 75 tokens and drops the rest:
    name the classes of the caption's own photo first.

    Examples:
        >>> negative_prompt(["person", "dog"])
        'person, dog'
    """
    return ", ".join(dict.fromkeys(name.strip() for name in class_names if name.strip()))


class Synthesizer(DiffusersModel):
    """A text-to-image pipeline of diffusers, by `AutoPipelineForText2Image`.

    Every image has a seed, and with it a generator of its own on the CPU: it can be made again
    alone, on another device and in a batch of another size, up to the rounding of the network's
    arithmetic. The pipeline is loaded at the first call.

    Args:
        model: a local folder as `save_pretrained` writes it, or a name on the hub.
        revision: of a hub model, a branch, tag or commit.
        local_files_only: take a hub model from the local cache alone; never download.
        batch_size: images made at once.
        steps, guidance_scale: None for `PRESETS`, or else the pipeline's default.
        height, width: of the images in pixels, multiples of 8 (some models want 16); None for
            `PRESETS`, or else the model's own.
        negative_prompt: what should not be seen, see `negative_prompt`. Models without
            classifier-free guidance, such as the default, have no use for it: that is logged once
            and it is left away.
        extra: further arguments for the pipeline's call, such as {"true_cfg_scale": 4.0}.
        options: device, precision, memory and safety checker.

    Raises:
        ArgumentError: an argument is out of range, or the folder does not exist or holds no
            pipeline.
        MissingDependencyError: diffusers, transformers or accelerate is not installed.
    """

    kind: ClassVar[Kind] = "text-to-image"

    def __init__(
        self,
        model: str | Path = DEFAULT_SYNTHESIZER,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        batch_size: int = 2,
        steps: int | None = None,
        guidance_scale: float | None = None,
        height: int | None = None,
        width: int | None = None,
        negative_prompt: str | None = None,
        extra: dict[str, Any] | None = None,
        options: PipelineOptions | None = None,
    ) -> None:
        preset = None if Path(model).is_dir() else PRESETS.get(str(model))
        if preset is not None:
            steps = preset.steps if steps is None else steps
            guidance_scale = preset.guidance_scale if guidance_scale is None else guidance_scale
            height = preset.side if height is None else height
            width = preset.side if width is None else width
        super().__init__(
            model,
            revision=revision,
            local_files_only=local_files_only,
            steps=steps,
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
            options=options,
        )
        self.batch_size = check_count("batch_size", batch_size)
        for name, value in (("height", height), ("width", width)):
            if value is not None and (value < 1 or value % _SPATIAL_MULTIPLE):
                raise ArgumentError(f"{name}: must be a multiple of 8, got {value}")
        self.height = height
        self.width = width
        self.extra = dict(extra or {})

    def config(self) -> dict[str, Any]:
        """Everything that changes an image beyond rounding, but for its prompt and seed.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        own = {"height": self.height, "width": self.width, "extra": self.extra}
        return {**super().config(), **own}

    def _check(self, pipeline: Any) -> None:
        unknown = sorted(self.extra.keys() - parameters(pipeline).keys())
        if unknown:
            raise ArgumentError(f"extra: a {type(pipeline).__name__} takes no {unknown}")

    def _scales(self) -> dict[str, float | None]:
        return super()._scales() | self.extra

    def images(self, prompt: str, *, seeds: Sequence[int]) -> list[NDArray[np.uint8] | None]:
        """One (H, W, 3) uint8 RGB image a seed; None where the safety checker flagged it.

        Raises:
            ArgumentError: the prompt is empty, the model cannot be loaded, or it does not take
                the arguments' values.
            EMPasteError: the model gave NaN, as some do in float16.
        """
        if not prompt.strip():
            raise ArgumentError("prompt: is empty")
        self.load()
        result: list[NDArray[np.uint8] | None] = []
        for start in range(0, len(seeds), self.batch_size):
            result += self._batch(prompt, seeds[start : start + self.batch_size])
        return result

    def _batch(self, prompt: str, seeds: Sequence[int]) -> list[NDArray[np.uint8] | None]:
        count = len(seeds)
        several = "num_images_per_prompt" in parameters(self._pipeline)
        negative = self._negative
        images = self._call(
            {
                "prompt": prompt if several else [prompt] * count,
                "negative_prompt": negative if several or negative is None else [negative] * count,
                "num_images_per_prompt": count,
                "height": self.height,
                "width": self.width,
                "generator": generators(seeds),
            },
            self.extra,
        )
        if len(images) != count:
            raise EMPasteError(f"{self.source.model}: gave {len(images)} images, not {count}")
        return images
