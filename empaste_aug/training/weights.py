"""The weights that a run starts from: found before anything is built, read with clear errors."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from detectron2.utils.file_io import PathManager

from empaste_aug.types import ArgumentError, EMPasteError


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
            the weights or the last checkpoint cannot be found.
    """
    last = output_dir / "last_checkpoint"
    if resume and last.is_file():
        if not (checkpoint := output_dir / last.read_text().strip()).is_file():
            raise ArgumentError(f"--resume: {last} names {checkpoint}, which is not there")
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
        ArgumentError: the file is no checkpoint, not one that this run can go on from, or holds no
            weight that fits the model.
    """
    latest = resume and checkpointer.has_checkpoint()
    file = checkpointer.get_checkpoint_file() if latest else weights
    what = f"{'the last checkpoint' if latest else key}: {file}"
    load = checkpointer._load_model  # what DetectionCheckpointer itself overrides

    def load_some(checkpoint: dict[str, Any]) -> Any:
        incompatible = load(checkpoint)
        if set(checkpointer.model.state_dict()) <= set(incompatible.missing_keys):
            raise ArgumentError(f"{what} holds no weight that fits the model")
        return incompatible

    checkpointer._load_model = load_some
    try:
        yield
    except EMPasteError:
        raise
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, RuntimeError) as error:
        reason = _first_sentence(error)
        raise ArgumentError(f"{what} cannot be read as a checkpoint: {reason}") from error
    except ValueError as error:  # of an optimizer with other parameters
        raise ArgumentError(f"{what} does not fit the config: {_first_sentence(error)}") from error
    finally:
        checkpointer._load_model = load


def _first_sentence(error: Exception) -> str:
    """What an error says, without the page of advice that torch adds."""
    return " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
