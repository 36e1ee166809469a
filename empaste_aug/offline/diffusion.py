"""Pipelines of diffusers: opened with one set of options, called with what they take."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.pretrained import ModelSource, loading, require, torch_dtype
from empaste_aug.types import ArgumentError, EMPasteError

if TYPE_CHECKING:
    import torch

_logger = logging.getLogger(__name__)

Kind = Literal["text-to-image", "inpainting"]
"""What a pipeline is for."""

OFFLOADS = ("none", "model", "sequential")
SAFETY_CHECKERS = ("keep", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Where and how a pipeline runs.

    Attributes:
        device: "cpu", "cuda", ...
        dtype: "auto" (bfloat16 or float16 on a GPU, float32 elsewhere), "float32", "bfloat16",
            "float16".
        offload: "none"; "model" keeps on the GPU only the network that computes, "sequential"
            only its layer, which is slow: for GPUs with less memory than the model needs.
        attention_slicing: compute attention in steps and decode images one by one, for less
            memory; it changes the result by rounding.
        safety_checker: "keep" what the model brings (many bring none), or "off".

    Raises:
        ArgumentError: a value is unknown, or does not go with the device.
    """

    device: str = "cpu"
    dtype: str = "auto"
    offload: str = "none"
    attention_slicing: bool = False
    safety_checker: str = "keep"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.offload not in OFFLOADS:
            raise ArgumentError(f"offload: must be one of {OFFLOADS}, got {self.offload!r}")
        if self.safety_checker not in SAFETY_CHECKERS:
            raise ArgumentError(
                f"safety_checker: must be one of {SAFETY_CHECKERS}, got {self.safety_checker!r}"
            )
        if self.offload != "none" and self.torch_device.type == "cpu":
            raise ArgumentError(f"offload: {self.offload!r} needs a GPU, device is 'cpu'")
        torch_dtype(self.dtype, self.torch_device)

    @property
    def torch_device(self) -> torch.device:
        """The device, checked."""
        from empaste_aug.offline.classify.device import checked_device

        return checked_device(self.device)

    def config(self) -> dict[str, Any]:
        """What changes the images beyond rounding."""
        dtype = torch_dtype(self.dtype, self.torch_device)
        return {
            "dtype": str(dtype).removeprefix("torch."),
            "safety_checker": self.safety_checker,
        }


def open_pipeline(kind: Kind, source: ModelSource, options: PipelineOptions) -> Any:
    """Load a pipeline by diffusers' AutoPipeline, ready on its device.

    Raises:
        ArgumentError: the model cannot be had or is of no such pipeline, or it cannot be seeded.
        MissingDependencyError: diffusers is not installed.
    """
    require(("diffusers", "transformers", "accelerate"), f"{kind} models")
    import diffusers

    auto: Any = (
        diffusers.AutoPipelineForText2Image
        if kind == "text-to-image"
        else diffusers.AutoPipelineForInpainting
    )
    arguments = source.arguments()
    with loading(source.model, f"a pipeline for {kind}"):
        if options.safety_checker == "off":
            config = auto.load_config(source.model, **arguments)
            if "safety_checker" in config:
                arguments["safety_checker"] = None
            if "requires_safety_checker" in config:
                arguments["requires_safety_checker"] = False
        dtype = torch_dtype(options.dtype, options.torch_device)
        pipeline = auto.from_pretrained(source.model, dtype=dtype, **arguments)
        _check_complete(pipeline, source.model)
        if kind == "text-to-image":
            _check_takes_noise(pipeline, source.model)
    pipeline.set_progress_bar_config(disable=True)
    if "generator" not in parameters(pipeline):
        raise ArgumentError(
            f"model: {source.model}: a {type(pipeline).__name__} takes no random generator, so "
            "that its images could not be made again"
        )
    if options.attention_slicing:
        pipeline.enable_attention_slicing()
        if hasattr(getattr(pipeline, "vae", None), "enable_slicing"):
            pipeline.vae.enable_slicing()
    if options.offload == "model":
        pipeline.enable_model_cpu_offload(device=options.torch_device)
    elif options.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=options.torch_device)
    else:
        pipeline.to(options.torch_device)
    return pipeline


def _check_complete(pipeline: Any, model: str) -> None:
    """Find tensors that the files lacked, which diffusers leaves without values.

    Raises:
        ArgumentError: there are some.
    """
    for part, network in pipeline.components.items():
        named = getattr(network, "named_parameters", None)
        lacking = [] if named is None else [name for name, p in named() if p.is_meta]
        if lacking:
            raise ArgumentError(
                f"model: the weights of {model}/{part} lack {len(lacking)} tensors, such as "
                f"{lacking[0]}"
            )


def _check_takes_noise(pipeline: Any, model: str) -> None:
    """Refuse a network that wants an image beside the noise, as those made for inpainting do.

    Raises:
        ArgumentError: so it is; diffusers would only find out at the first call.
    """
    wanted = getattr(getattr(getattr(pipeline, "unet", None), "config", None), "in_channels", None)
    noise = getattr(
        getattr(getattr(pipeline, "vae", None), "config", None), "latent_channels", None
    )
    if wanted is not None and noise is not None and wanted != noise:
        raise ArgumentError(
            f"model: {model} is not for text-to-image: its network takes {wanted} channels, and "
            f"noise has {noise}, as in a model that only inpaints"
        )


def parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """The arguments that calling a pipeline takes."""
    return inspect.signature(pipeline.__call__).parameters


def accepted(pipeline: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `arguments` that the pipeline takes, without those that are None."""
    known = parameters(pipeline)
    return {k: v for k, v in arguments.items() if k in known and v is not None}


def usable_negative_prompt(
    pipeline: Any, source: ModelSource, text: str | None, scales: Mapping[str, float | None]
) -> str | None:
    """`text`, or None, with a warning, where the pipeline has no use for a negative prompt.

    Args:
        pipeline: any pipeline of diffusers.
        source: the model, for the message.
        text: the negative prompt; None or empty for none.
        scales: those that are not left at the pipeline's default, of "guidance_scale" and
            "true_cfg_scale".
    """
    if not text:
        return None
    reason = _no_negative_prompt(pipeline, scales)
    if reason is None:
        _warn_of_length(pipeline, source.model, text)
        return text
    _logger.warning(f"The negative prompt is left away with {source.model}: {reason}")
    return None


def _no_negative_prompt(pipeline: Any, scales: Mapping[str, float | None]) -> str | None:
    known = parameters(pipeline)
    if "negative_prompt" not in known:
        return f"a {type(pipeline).__name__} takes none"
    unet = getattr(pipeline, "unet", None)
    distilled = getattr(getattr(unet, "config", None), "time_cond_proj_dim", None) is not None
    if distilled or pipeline.config.get("is_distilled", False):
        return "the model is distilled and runs without classifier-free guidance"
    # Where there is a "true" scale, the other one is an input of a distilled network.
    name = "true_cfg_scale" if "true_cfg_scale" in known else "guidance_scale"
    scale = scales.get(name)
    if scale is None and name in known:
        scale = known[name].default
    if isinstance(scale, int | float) and scale <= 1:
        return f"there is no classifier-free guidance at {name} {scale:g}"
    return None


def call(pipeline: Any, model: str, arguments: Mapping[str, Any]) -> Any:
    """Run a pipeline.

    Raises:
        ArgumentError: it does not take the arguments' values; diffusers checks them here.
        EMPasteError: the device's memory does not suffice.
    """
    import torch

    with torch.inference_mode(), _only_errors_logged():
        try:
            return pipeline(**arguments)
        except ValueError as error:
            raise ArgumentError(f"{model} does not take these arguments: {error}") from error
        except torch.OutOfMemoryError as error:
            raise EMPasteError(
                f"{model}: out of memory; take a smaller batch_size or images, attention_slicing, "
                "or offload"
            ) from error


@contextmanager
def _only_errors_logged() -> Iterator[None]:
    """At every call diffusers warns anew of what does not fit into a text encoder."""
    from diffusers.utils import logging as theirs

    before = theirs.get_verbosity()
    theirs.set_verbosity_error()
    try:
        yield
    finally:
        theirs.set_verbosity(before)


def _warn_of_length(pipeline: Any, model: str, text: str) -> None:
    """Say once what part of a negative prompt is not read."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    limit = getattr(tokenizer, "model_max_length", None)
    if tokenizer is None or limit is None:
        return
    tokens = len(tokenizer.tokenize(text)) + tokenizer.num_special_tokens_to_add()
    if tokens > limit:
        _logger.warning(
            f"The negative prompt has {tokens} tokens, of which {model} reads the first {limit}"
        )


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One generator a seed, on the CPU, so that every device draws the same noise."""
    import torch

    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def images_of(output: Any, model: str, dtype: str) -> list[NDArray[np.uint8] | None]:
    """(H, W, 3) uint8 RGB images of a pipeline's output of type "np"; None for those flagged.

    Raises:
        EMPasteError: an image holds NaN or infinity.
    """
    flags = getattr(output, "nsfw_content_detected", None)
    if flags is None:
        flags = getattr(output, "nsfw_detected", None)
    result: list[NDArray[np.uint8] | None] = []
    for number, image in enumerate(output.images):
        if flags is not None and bool(flags[number]):
            result.append(None)
            continue
        values = np.asarray(image, dtype=np.float32)
        if not np.isfinite(values).all():
            raise EMPasteError(
                f"{model}: gave an image of NaN in {dtype}; take dtype 'bfloat16' or 'float32'"
            )
        result.append(np.round(values.clip(0, 1) * 255).astype(np.uint8))
    return result
