"""How a bank was made, as its manifest tells it: what two builds must share to be merged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from empaste_aug.bank.checks import check_categories, check_choice, check_integer, check_json
from empaste_aug.bank.codec import ALPHA_CODEC, RGB_CODECS
from empaste_aug.bank.files import sha256_of
from empaste_aug.bank.schema import canonical_json
from empaste_aug.types import ArgumentError

SUPERVISIONS = ("labels", "masks")


def describe_build(
    *,
    categories: Sequence[str],
    supervision: str,
    method: str | None,
    config: dict[str, Any] | None,
    input_hash: str | None,
    classifier: str | os.PathLike[str] | None,
    codec: str,
    jpeg_quality: int,
) -> dict[str, Any]:
    """The part of the manifest that is known before the first cut-out.

    Its ``build_hash`` is the SHA-256 of the rest. The arguments are those of `BankWriter`.

    Raises:
        ArgumentError: one of them is out of range, or the classifier's file cannot be read.
    """
    quality = check_integer("jpeg_quality", jpeg_quality, 1, 100)
    pixels: dict[str, Any] = {
        "rgb": check_choice("codec", codec, RGB_CODECS),
        "alpha": ALPHA_CODEC,
    }
    if codec == "jpeg":
        pixels["jpeg_quality"] = quality
    description = {
        "categories": check_categories(categories),
        "supervision": check_choice("supervision", supervision, SUPERVISIONS),
        "method": check_json("method", method),
        "config": check_json("config", config),
        "input_hash": check_json("input_hash", input_hash),
        "classifier": _describe_classifier(classifier),
        "codec": pixels,
    }
    digest = hashlib.sha256(canonical_json(description).encode()).hexdigest()
    return {**description, "build_hash": digest}


def _describe_classifier(path: str | os.PathLike[str] | None) -> dict[str, str] | None:
    if path is None:
        return None
    try:
        return {"file": Path(path).name, "sha256": sha256_of(Path(path))}
    except OSError as error:
        raise ArgumentError(f"classifier: {path}: cannot be read: {error}") from error
