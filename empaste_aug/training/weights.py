"""The weights that a run starts from: found before anything is built, read with clear errors."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from detectron2.utils.file_io import PathManager

from empaste_aug.types import ArgumentError


def find_weights(key: str, weights: str) -> None:
    """Find the file, which is downloaded where `weights` is the address of one.

    Args:
        key: the config's, for messages.
        weights: a file, or what detectron2's PathManager knows (detectron2://, https://).

    Raises:
        ArgumentError: there is no such file, or it cannot be downloaded.
    """
    address = urlparse(weights)._replace(query="").geturl()  # ?matching_heuristics=True
    try:
        local = Path(PathManager.get_local_path(address))
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise ArgumentError(
            f"{key}: {weights} cannot be had: {error}; where there is no network, give a file"
        ) from error
    if not local.is_file():
        raise ArgumentError(f"{key}: {weights}: there is no such file")


def check_start(key: str, weights: str, output_dir: Path, *, eval_only: bool, resume: bool) -> None:
    """Find what a run starts from, or an evaluation evaluates.

    Raises:
        ArgumentError: there are no weights to evaluate, no checkpoint to evaluate with `resume`, or
            the weights cannot be found.
    """
    if resume and (output_dir / "last_checkpoint").is_file():
        return
    if eval_only and resume:
        raise ArgumentError(
            f"--resume: {output_dir} holds no checkpoint to evaluate; give the folder of a run, or "
            f"{key} and no --resume"
        )
    if eval_only and not weights:
        raise ArgumentError(f"{key}: --eval-only needs weights: give {key}, or --resume")
    if weights:
        find_weights(key, weights)


@contextmanager
def checkpoint_errors(checkpointer: Any, key: str, weights: str, *, resume: bool) -> Iterator[None]:
    """While the checkpointer loads, errors say which file it is, and which key names it.

    Raises:
        ArgumentError: the file is no checkpoint.
    """
    latest = resume and checkpointer.has_checkpoint()
    file = checkpointer.get_checkpoint_file() if latest else weights
    try:
        yield
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, RuntimeError) as error:
        what = "the last checkpoint" if latest else key
        message = " ".join(str(error).split()).partition(". ")[0]  # torch adds a page of advice
        raise ArgumentError(f"{what}: {file} cannot be read as a checkpoint: {message}") from error
