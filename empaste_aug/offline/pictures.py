"""Pictures that the tools draw, written to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import atomic_file
from empaste_aug.types import ArgumentError

SUFFIXES = (".png", ".jpg", ".jpeg")


def picture_path(argument: str, path: str | Path) -> Path:
    """The path of a picture that is to be written.

    Raises:
        ArgumentError: it ends in none of `SUFFIXES`; `argument` is what the message calls it.
    """
    result = Path(path)
    if result.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{argument}: {result} does not end in {' or '.join(SUFFIXES)}")
    return result


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) uint8 RGB picture, all at once; makes the folder.

    Raises:
        ArgumentError: OpenCV cannot encode it.
        OSError: the file cannot be written.
    """
    done, encoded = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(picture[..., ::-1]))
    if not done:
        raise ArgumentError(f"{path}: a picture of {picture.shape} could not be encoded")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, shared=True) as handle:
        handle.write(encoded.tobytes())
