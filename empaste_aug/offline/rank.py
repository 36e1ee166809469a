"""How well images agree with a text, by CLIP (the paper, 3.2: the best five of ten are kept)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.pretrained import (
    check_count,
    hash_of_folder,
    loading,
    require,
    torch_dtype,
)
from empaste_aug.types import ArgumentError

DEFAULT_CLIP = "ViT-B-32"
DEFAULT_WEIGHTS = "laion2b_s34b_b79k"
"""OpenCLIP's (Cherti et al., CVPR 2023), MIT; 0.15 billion weights, usable on a CPU."""

_HUB = "hf-hub:"
_FOLDER_CONFIG = "open_clip_config.json"


class ClipRanker:
    """An image-text model of open_clip. It is loaded at the first call.

    Args:
        model: a name that open_clip knows ("ViT-B-32"); a json file with a model's configuration;
            a folder in open_clip's layout (open_clip_config.json and weights); or
            "hf-hub:OWNER/NAME".
        pretrained: a tag that open_clip knows for `model`, or a weights file; None for
            `DEFAULT_WEIGHTS` of the default model, and for a folder or the hub, which bring theirs.
        device: "cpu", "cuda", ...
        dtype: "float32", "bfloat16", "float16" or "auto". The half types round cosines to about
            0.001, which can exchange images that are nearly equal.
        batch_size: images a batch; it does not change the scores beyond rounding.

    Raises:
        ArgumentError: an argument is out of range; no such model, tag or file; or torch finds no
            such device.
        MissingDependencyError: open_clip is not installed.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_CLIP,
        pretrained: str | Path | None = None,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        batch_size: int = 32,
    ) -> None:
        require(("torch", "open_clip", "PIL"), "ranking by CLIP")
        from empaste_aug.offline.classify.device import checked_device

        self.batch_size = check_count("batch_size", batch_size)
        self.device = checked_device(device)
        self.dtype = torch_dtype(dtype, self.device)
        self.model = str(model)
        if pretrained is None and self.model == DEFAULT_CLIP:
            pretrained = DEFAULT_WEIGHTS
        self.pretrained = None if pretrained is None else str(pretrained)
        self._name = self._check()
        self._network: Any = None
        self._preprocess: Any = None
        self._tokenize: Any = None

    def config(self) -> dict[str, Any]:
        """Everything that changes the scores beyond rounding; local files by their content."""
        model: dict[str, Any] = {"name": self.model}
        if Path(self.model).is_dir():
            model = {"sha256": hash_of_folder(Path(self.model))}
        elif Path(self.model).is_file():
            model = {"sha256": sha256_of(Path(self.model))}
        weights: Any = self.pretrained
        if self.pretrained is not None and Path(self.pretrained).is_file():
            weights = {"sha256": sha256_of(Path(self.pretrained))}
        dtype = str(self.dtype).removeprefix("torch.")
        return {"model": model, "pretrained": weights, "dtype": dtype}

    def load(self) -> None:
        """Load the model now instead of at the first call.

        Raises:
            ArgumentError: the weights cannot be had, or are not this model's.
        """
        if self._network is not None:
            return
        import torch

        what = self.model if self.pretrained is None else f"{self.model} with {self.pretrained}"
        precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(self.dtype, "fp32")
        with loading(what, "an image-text model of open_clip"):
            open_clip = _open_clip()
            network, self._preprocess = open_clip.create_model_from_pretrained(
                self._name, pretrained=self.pretrained, precision=precision, device=self.device
            )
            self._tokenize = open_clip.get_tokenizer(self._name)
        self._network = network.eval()

    @property
    def logit_scale(self) -> float:
        """What the model multiplies cosines by before a softmax, about 100 for CLIP."""
        self.load()
        return float(self._network.logit_scale.detach().exp())

    def image_features(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB images -> (N, D) float32 unit vectors.

        An image is resized to the model's side by its shorter one, and its middle square is seen.
        """
        import torch
        from PIL import Image

        self.load()
        parts = []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]
                tensors = torch.stack([self._preprocess(Image.fromarray(i)) for i in batch])
                features = self._network.encode_image(tensors.to(self.device, self.dtype))
                parts.append(_unit(features.float().cpu().numpy()))
        return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts -> (M, D) float32 unit vectors; words beyond the model's length are not read."""
        import torch

        self.load()
        with torch.inference_mode():
            features = self._network.encode_text(self._tokenize(list(texts)).to(self.device))
        return _unit(features.float().cpu().numpy())

    def scores(self, images: Sequence[NDArray[np.uint8]], text: str) -> NDArray[np.float32]:
        """(N,) float32 cosines of the images with a text, in [-1, 1].

        Raises:
            ArgumentError: the text is empty, or the model cannot be loaded.
        """
        if not text.strip():
            raise ArgumentError("text: is empty")
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        scores: NDArray[np.float32] = self.image_features(images) @ self.text_features([text])[0]
        return scores

    def _check(self) -> str:
        """The name that open_clip builds the model by."""
        open_clip = _open_clip()
        path = Path(self.model)
        if path.is_dir() or self.model.startswith(_HUB):
            if self.pretrained is not None:
                raise ArgumentError(f"pretrained: {self.model} brings its own weights")
            if path.is_dir() and not (path / _FOLDER_CONFIG).is_file():
                raise ArgumentError(f"model: the folder {path} holds no {_FOLDER_CONFIG}")
            return f"local-dir:{path}" if path.is_dir() else self.model
        name = self.model
        if path.suffix == ".json":
            if not path.is_file():
                raise ArgumentError(f"model: no such file: {path}")
            open_clip.add_model_config(path)
            name = path.stem
        if name not in open_clip.list_models():
            raise ArgumentError(
                f"model: open_clip has no {self.model!r}, nor is it a folder, a json file with a "
                f"model's configuration, or {_HUB}OWNER/NAME"
            )
        tags = open_clip.list_pretrained_tags_by_model(name)
        if self.pretrained is None:
            raise ArgumentError(f"pretrained: {name} needs one of {tags}, or a weights file")
        if self.pretrained not in tags and not Path(self.pretrained).is_file():
            raise ArgumentError(
                f"pretrained: {self.pretrained!r} is neither a file nor one of {name}'s: {tags}"
            )
        return name


def top(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int64]:
    """Positions of the `k` highest of (N,) scores, best first; of equals the earlier comes first.

    All N positions where N < k.

    Raises:
        ArgumentError: `k` is negative, or a score is NaN.
    """
    check_count("k", k, 0)
    values = np.asarray(scores)
    if values.ndim != 1 or np.isnan(values).any():
        raise ArgumentError(f"scores: must be one-dimensional without NaN, got {values}")
    return np.argsort(-values, kind="stable")[:k].astype(np.int64)


def _open_clip() -> Any:
    import open_clip  # type: ignore[import-untyped]

    return open_clip


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return unit
