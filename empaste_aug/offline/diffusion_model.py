"""What the models that use a pipeline of diffusers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.diffusion import (
    Kind,
    PipelineOptions,
    accepted,
    call,
    images_of,
    open_pipeline,
    usable_negative_prompt,
)
from empaste_aug.offline.pretrained import DIFFUSERS_INDEX, ModelSource, check_count, require
from empaste_aug.types import ArgumentError


class DiffusersModel:
    """A pipeline of diffusers, loaded at the first call, and the arguments of every call.

    Args:
        model: a local folder as `save_pretrained` writes it, or a name on the hub.
        revision: of a hub model, a branch, tag or commit.
        local_files_only: take a hub model from the local cache alone; never download.
        steps, guidance_scale: None for the pipeline's default.
        negative_prompt: what should not be seen. It is left away where the model has no use for
            it, with a warning.
        options: device, precision, memory and safety checker.

    Raises:
        ArgumentError: an argument is out of range, or the folder does not exist or holds no
            pipeline.
        MissingDependencyError: diffusers, transformers or accelerate is not installed.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None,
        local_files_only: bool,
        steps: int | None,
        guidance_scale: float | None,
        negative_prompt: str | None,
        options: PipelineOptions | None,
    ) -> None:
        require(("torch", "diffusers", "transformers", "accelerate"), f"{self.kind} models")
        self.source = ModelSource.find(
            model, DIFFUSERS_INDEX, revision=revision, local_files_only=local_files_only
        )
        self.steps = None if steps is None else check_count("steps", steps)
        if guidance_scale is not None and not guidance_scale >= 0:
            raise ArgumentError(f"guidance_scale: must be at least 0, got {guidance_scale}")
        self.guidance_scale = guidance_scale
        self.negative_prompt = negative_prompt or None
        self.options = PipelineOptions() if options is None else options
        self._pipeline: Any = None
        self._negative: str | None = None

    def config(self) -> dict[str, Any]:
        """Everything that changes an image beyond rounding, but for the call's own arguments.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        return {
            "model": self.source.identity(),
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "negative_prompt": self.negative_prompt,
            **self.options.config(),
        }

    def load(self) -> None:
        """Load the pipeline now instead of at the first call.

        Raises:
            ArgumentError: the model is missing or broken, no pipeline of this kind takes it, or
                it does not take an argument.
        """
        if self._pipeline is None:
            pipeline = open_pipeline(self.kind, self.source, self.options)
            self._check(pipeline)
            self._negative = usable_negative_prompt(
                pipeline, self.source, self.negative_prompt, self._scales()
            )
            self._pipeline = pipeline

    def _check(self, pipeline: Any) -> None:
        """Refuse a pipeline that does not take what this model is to pass."""

    def _scales(self) -> dict[str, float | None]:
        """The strengths of guidance that are not the pipeline's defaults."""
        return {"guidance_scale": self.guidance_scale}

    def _call(
        self, arguments: Mapping[str, Any], extra: Mapping[str, Any] | None = None
    ) -> list[NDArray[np.uint8] | None]:
        """The images of one call; of `arguments` the pipeline gets what it takes."""
        usual = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "output_type": "np",
        }
        taken = accepted(self._pipeline, {**usual, **arguments})
        output = call(self._pipeline, self.source.model, {**taken, **(extra or {})})
        return images_of(output, self.source.model, self.options.config()["dtype"])
