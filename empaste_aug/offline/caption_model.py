"""What the image-to-text models of transformers have in common, and where they differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from empaste_aug.offline.pretrained import ModelSource, loading
from empaste_aug.types import ArgumentError

_logger = logging.getLogger(__name__)

CHAT_PROMPT = "Describe this photo in one short sentence."
"""What a model that holds a conversation is asked where no prompt is given."""


MOST_MISSING = 0.1
"""Share of a model's tensors that its files may lack; some lack poolers, which nothing reads."""


class CaptionModel:
    """A model with its processor and tokenizer.

    Args:
        source: where it is.
        device, dtype: what it computes on and in.
        prompt: as in `Captioner`.

    Attributes:
        is_chat: it holds a conversation, so that its inputs differ in length.

    Raises:
        ArgumentError: the model's files are missing, incomplete, or of no image-to-text model; or
            it takes no prompt.
    """

    def __init__(
        self, source: ModelSource, *, device: torch.device, dtype: torch.dtype, prompt: str | None
    ) -> None:
        self._device = device
        self._dtype = dtype
        self._prompt = prompt
        arguments = source.arguments()
        with loading(source.model, "an image-to-text model"):
            self._open(source.model, arguments)
        self.is_chat = getattr(self._processor, "chat_template", None) is not None

    def _open(self, name: str, arguments: dict[str, Any]) -> None:
        import transformers

        library: Any = transformers
        kind = library.AutoConfig.from_pretrained(name, **arguments).model_type
        apart = kind == "vision-encoder-decoder"  # image processor and tokenizer lie apart
        if apart and self._prompt is not None:
            raise ArgumentError(f"prompt: {name} takes none")
        maker = library.VisionEncoderDecoderModel if apart else library.AutoModelForImageTextToText
        model, loaded = maker.from_pretrained(
            name, dtype=self._dtype, output_loading_info=True, **arguments
        )
        missing = sorted(loaded["missing_keys"])
        if missing:
            message = f"the weights of {name} lack {len(missing)} tensors, such as {missing[0]}"
            if len(missing) > MOST_MISSING * len(model.state_dict()):
                raise ArgumentError(f"model: {message}")
            _logger.warning(f"{message}: they are random")
        if apart:
            self._processor = library.AutoImageProcessor.from_pretrained(name, **arguments)
            self._tokenizer = library.AutoTokenizer.from_pretrained(name, **arguments)
        else:
            self._processor = library.AutoProcessor.from_pretrained(name, **arguments)
            self._tokenizer = self._processor.tokenizer
        if len(self._tokenizer) <= len(self._tokenizer.all_special_ids):
            raise ArgumentError(f"model: {name} holds no vocabulary of its tokenizer")
        self._model = model.eval().to(self._device)

    def generate(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        count: int,
        choice: Callable[[Tensor, Tensor], Tensor],
        min_new_tokens: int,
        max_new_tokens: int,
    ) -> list[list[str]]:
        """`count` texts for each (H, W, 3) uint8 RGB image, the prompt cut off.

        Args:
            images: of any sizes; a single one where `is_chat`.
            count: texts an image; image i has the rows i * count and following of the scores.
            choice: (rows, so far) tokens and (rows, V) scores -> scores that leave one token each.
            min_new_tokens, max_new_tokens: bounds of a text's length.
        """
        inputs = self._inputs(images).to(self._device, self._dtype)
        cuda = [self._device] if self._device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=cuda):
            tokens = self._model.generate(
                **inputs,
                do_sample=True,
                num_beams=1,
                num_return_sequences=count,
                min_new_tokens=min_new_tokens,
                max_new_tokens=max_new_tokens,
                logits_processor=[choice],
            )
        given = inputs.get("input_ids")
        if given is not None:  # most models repeat them, BLIP with another first token
            length = given.shape[1]
            if torch.equal(tokens[:, :length], given.repeat_interleave(count, dim=0)):
                tokens = tokens[:, length:]
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        texts = [self._without_prompt(text) for text in texts]
        return [texts[i : i + count] for i in range(0, len(texts), count)]

    def _inputs(self, images: Sequence[NDArray[np.uint8]]) -> Any:
        from PIL import Image

        photos = [Image.fromarray(image) for image in images]
        if self.is_chat:
            request = {"type": "text", "text": self._prompt or CHAT_PROMPT}
            text = self._processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, request]}],
                add_generation_prompt=True,
                tokenize=False,
            )
            return self._processor(images=photos, text=[text], return_tensors="pt")
        if self._prompt is None:
            return self._processor(images=photos, return_tensors="pt")
        inputs = self._processor(
            images=photos, text=[self._prompt] * len(photos), return_tensors="pt"
        )
        if self._model.config.model_type == "git":  # what it continues must not end in [SEP]
            for key in ("input_ids", "attention_mask"):
                inputs[key] = inputs[key][:, :-1]
            inputs.pop("token_type_ids", None)
        return inputs

    def _without_prompt(self, text: str) -> str:
        """A text that a model repeats its prompt in, which may have changed its case or spaces."""
        text = " ".join(text.split())
        prompt = "" if self._prompt is None else " ".join(self._prompt.split())
        if prompt and text.lower().startswith(prompt.lower()):
            text = text[len(prompt) :].strip()
        return text
