"""Sampling of tokens with one random generator a sequence, whatever the batch it is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from empaste_aug.offline.pretrained import check_count
from empaste_aug.types import ArgumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the tokens of a caption are drawn: nucleus sampling (Holtzman et al., ICLR 2020).

    Attributes:
        temperature: > 0; below 1 the likely tokens become likelier.
        top_p: in (0, 1], the share of the probability that the tokens drawn from hold, the
            likeliest first; near 0 this is the greedy choice.
        min_new_tokens, max_new_tokens: bounds of a caption's length.

    Raises:
        ArgumentError: a value is out of its range.
    """

    temperature: float = 1.0
    top_p: float = 0.9
    min_new_tokens: int = 4
    max_new_tokens: int = 30

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.temperature > 0:
            raise ArgumentError(f"temperature: must be above 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ArgumentError(f"top_p: must be in (0, 1], got {self.top_p}")
        check_count("min_new_tokens", self.min_new_tokens, 0)
        check_count("max_new_tokens", self.max_new_tokens)
        if self.min_new_tokens > self.max_new_tokens:
            raise ArgumentError(
                f"min_new_tokens: {self.min_new_tokens} is more than max_new_tokens, "
                f"{self.max_new_tokens}"
            )


HEAD = 1024
"""The likeliest tokens, which nearly always hold the nucleus; a vocabulary has 30,000 and more."""


class TokenChoice:
    """A logits processor for transformers' `generate` that draws each row's next token itself.

    `generate` draws a whole batch from torch's global generator, so that a sequence depends on its
    place in the batch and on what was drawn before. Here row r draws from a generator of its own,
    on the CPU, as the largest of probability over Exp(1) noise, which is a draw from the nucleus's
    distribution; every other token's score becomes -inf, so that what `generate` draws afterwards
    is certain.

    Args:
        seeds: one per row of the scores, in [0, 2**63).
        sampling: temperature and nucleus.
    """

    def __init__(self, seeds: Sequence[int], sampling: Sampling) -> None:
        self._generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self._sampling = sampling

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        """(rows, V) scores -> the same shape, -inf but for one token a row, which gets 0.

        Raises:
            ValueError: there are not as many rows as seeds.
        """
        probabilities = (scores.detach().float() / self._sampling.temperature).softmax(dim=-1)
        likely, tokens = probabilities.topk(min(HEAD, scores.shape[-1]), dim=-1)
        suffices = (likely.sum(dim=-1) >= self._sampling.top_p).tolist()
        likely, tokens = likely.cpu(), tokens.cpu()
        result = torch.full_like(scores, -torch.inf)
        for row, generator in zip(range(len(scores)), self._generators, strict=True):
            p, ids = likely[row], tokens[row]
            if not suffices[row]:
                p, ids = probabilities[row].cpu().sort(descending=True, stable=True)
            p = p.masked_fill(p.cumsum(dim=0) - p >= self._sampling.top_p, 0.0)
            noise = torch.empty_like(p).exponential_(generator=generator)
            result[row, ids[(p / noise).argmax()]] = 0.0
        return result
