"""Seeds derived from other values: the same on every machine, in every process and order."""

from __future__ import annotations

import hashlib
import json


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2**63) from the values of `parts` and their order, by SHA-256.

    Seeds of different parts are as good as independent, so that a photo, a caption and an image
    each have one of their own and any of them can be made again alone.

    Examples:
        >>> derived_seed(0, "2008_000008", 1)
        624793125995799422
    """
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
