"""Captions of photos by an image-to-text model (the paper, 3.2: two captions a photo)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.pretrained import (
    TRANSFORMERS_INDEX,
    ModelSource,
    check_count,
    require,
    torch_dtype,
)
from empaste_aug.offline.seeds import derived_seed
from empaste_aug.types import ArgumentError, EMPasteError

if TYPE_CHECKING:
    from empaste_aug.offline.caption_model import CaptionModel
    from empaste_aug.offline.token_choice import Sampling

DEFAULT_CAPTIONER = "Salesforce/blip-image-captioning-base"
"""BLIP (Li et al., ICML 2022), BSD-3-Clause; 0.25 billion weights, usable on a CPU."""

ATTEMPTS = 5
"""How many times a caption that comes out empty is drawn, each time with another seed."""


def photo_seed(seed: int, image_id: str) -> int:
    """The seed of one photo's captions: of the run's `seed` and what names the photo."""
    return derived_seed("photo", seed, image_id)


class Captioner:
    """An image-to-text model of transformers: BLIP, GIT, BLIP-2, ViT-GPT2, LLaVA and its like.

    Captions are sampled. Each has a seed of its own, made from its photo's seed and its number,
    so that it depends neither on `n`, nor on the batch, nor on what was captioned before: photos
    can be captioned in any order, interrupted, and captioned again alone. Batches of another size
    round differently, which can change a caption only where two tokens are a rounding error
    apart. The model is loaded at the first call.

    Args:
        model: a local folder as `save_pretrained` writes it, or a name on the hub.
        revision: of a hub model, a branch, tag or commit.
        local_files_only: take a hub model from the local cache alone; never download.
        device: "cpu", "cuda", ...
        dtype: "auto" (bfloat16 or float16 on a GPU, float32 elsewhere), "float32", "bfloat16",
            "float16".
        batch_size: photos a batch. Models that hold a conversation take them one at a time, since
            their inputs differ in length.
        prompt: what the caption continues (BLIP: "a photo of"; it is removed from the result) or,
            for models that hold a conversation, the request;
            None for `caption_model.CHAT_PROMPT`.
        sampling: how tokens are drawn.

    Raises:
        ArgumentError: an argument is out of range, the folder does not exist or holds no model,
            or torch finds no such device.
        MissingDependencyError: transformers is not installed.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_CAPTIONER,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        device: str = "cpu",
        dtype: str = "auto",
        batch_size: int = 8,
        prompt: str | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        require(("torch", "transformers", "PIL"), "captioning")
        from empaste_aug.offline.classify.device import checked_device
        from empaste_aug.offline.token_choice import Sampling

        self.source = ModelSource.find(
            model, TRANSFORMERS_INDEX, revision=revision, local_files_only=local_files_only
        )
        self.device = checked_device(device)
        self.dtype = torch_dtype(dtype, self.device)
        self.batch_size = check_count("batch_size", batch_size)
        self.prompt = prompt
        self.sampling = Sampling() if sampling is None else sampling
        self._model: CaptionModel | None = None

    def config(self) -> dict[str, Any]:
        """Everything that changes the captions beyond rounding; a model is known by its content.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        return {
            "model": self.source.identity(),
            "dtype": str(self.dtype).removeprefix("torch."),
            "prompt": self.prompt,
            **asdict(self.sampling),
        }

    def captions(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        seeds: Sequence[int],
        n: int = 2,
        names: Sequence[str] | None = None,
    ) -> list[list[str]]:
        """`n` captions for each photo, white space cleaned; two of them may be the same.

        Args:
            images: (H, W, 3) uint8 RGB photos.
            seeds: one a photo, see `photo_seed`.
            n: captions a photo.
            names: of the photos, for messages.

        Raises:
            ArgumentError: lengths differ, or the model cannot be loaded.
            EMPasteError: a caption stayed empty in `ATTEMPTS` draws.
        """
        check_count("n", n)
        if names is None:
            names = [f"photo {i}" for i in range(len(images))]
        if not len(images) == len(seeds) == len(names):
            raise ArgumentError(
                f"seeds: {len(images)} photos have {len(seeds)} seeds and {len(names)} names"
            )
        size = 1 if self.load().is_chat else self.batch_size
        result: list[list[str]] = []
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            result += self._batch(images[part], seeds[part], n, names[part])
        return result

    def load(self) -> CaptionModel:
        """Load the model now instead of at the first call.

        Raises:
            ArgumentError: its files are missing, incomplete, or of no image-to-text model.
        """
        if self._model is None:
            from empaste_aug.offline.caption_model import CaptionModel

            self._model = CaptionModel(
                self.source, device=self.device, dtype=self.dtype, prompt=self.prompt
            )
        return self._model

    def _batch(
        self,
        images: Sequence[NDArray[np.uint8]],
        seeds: Sequence[int],
        n: int,
        names: Sequence[str],
    ) -> list[list[str]]:
        """Draw all captions of a batch, and those that came out empty again."""
        captions = self._draw(images, [[_seed(s, j, 0) for j in range(n)] for s in seeds])
        for i, photo in enumerate(images):
            for attempt in range(1, ATTEMPTS):
                empty = [j for j in range(n) if not captions[i][j]]
                if not empty:
                    break
                again = self._draw([photo], [[_seed(seeds[i], j, attempt) for j in empty]])
                for j, text in zip(empty, again[0], strict=True):
                    captions[i][j] = text
            if not all(captions[i]):
                raise EMPasteError(
                    f"{names[i]}: {self.source.model} gave an empty caption {ATTEMPTS} times"
                )
        return captions

    def _draw(
        self, images: Sequence[NDArray[np.uint8]], seeds: Sequence[Sequence[int]]
    ) -> list[list[str]]:
        """One caption for each of a photo's seeds; every photo has as many."""
        from empaste_aug.offline.token_choice import TokenChoice

        return self.load().generate(
            images,
            count=len(seeds[0]),
            choice=TokenChoice([s for row in seeds for s in row], self.sampling),
            min_new_tokens=self.sampling.min_new_tokens,
            max_new_tokens=self.sampling.max_new_tokens,
        )


def _seed(seed: int, number: int, attempt: int) -> int:
    return derived_seed("caption", seed, number, attempt)
