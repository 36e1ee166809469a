"""How a pool is made, and whether what a folder holds was made so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from empaste_aug.bank.checks import check_choice, check_integer, check_json
from empaste_aug.bank.files import why_not_writable
from empaste_aug.bank.schema import canonical_json
from empaste_aug.pool.encoding import CODECS
from empaste_aug.pool.folder import is_finished
from empaste_aug.pool.journal import check_header
from empaste_aug.pool.schema import JOURNAL, read_manifest
from empaste_aug.types import ArgumentError, PoolError


def describe_build(
    method: str | None, config: Mapping[str, Any] | None, codec: str, jpeg_quality: int
) -> dict[str, Any]:
    """How a pool is made, for its journal and its manifest; see `PoolWriter`'s arguments.

    Raises:
        ArgumentError: one is out of range.
    """
    check_choice("codec", codec, CODECS)
    check_integer("jpeg_quality", jpeg_quality, 1, 100)
    settings = {
        "method": check_json("method", method),
        "config": None if config is None else check_json("config", dict(config)),
        "codec": {
            "image": codec,
            **({"jpeg_quality": jpeg_quality} if codec == "jpeg" else {}),
        },
    }
    digest = hashlib.sha256(canonical_json(settings).encode()).hexdigest()
    return {**settings, "build_hash": digest}


def check_settings(path: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a finished pool that was made as described.

    Raises:
        ArgumentError: it was made otherwise.
        PoolError: the manifest is damaged.
    """
    manifest = read_manifest(path)
    assert manifest is not None
    if manifest["build_hash"] != description["build_hash"]:
        raise ArgumentError(
            f"path: {path} holds a finished pool of other settings; overwrite=True "
            "replaces it, another path keeps it"
        )
    return manifest


@contextmanager
def naming_remedy() -> Iterator[None]:
    """Say of a finished pool that is damaged what helps.

    Raises:
        PoolError: what was raised within, with the remedy.
    """
    try:
        yield
    except PoolError as error:
        raise PoolError(f"{error}; overwrite=True makes the pool anew") from error


def check_output(path: Path, description: Mapping[str, Any], *, overwrite: bool) -> None:
    """Find out whether a pool could be written into a folder; touch nothing.

    Raises:
        ArgumentError: the folder holds something else, or, without `overwrite`, a pool that was
            made or begun otherwise.
        PoolError: the folder cannot be written, or its manifest is damaged.
    """
    finished = is_finished(path)
    if finished and not overwrite:
        with naming_remedy():
            check_settings(path, description)
    elif not overwrite:
        check_header(path / JOURNAL, dict(description))
    problem = why_not_writable(path)
    if problem is not None:
        raise PoolError(problem)
