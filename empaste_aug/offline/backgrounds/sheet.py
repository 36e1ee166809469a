"""A picture of what became of captions: source, texts, and all images with their scores."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import ArgumentError

_SIDE = 180
_LINE = 16
_TEXT = 260
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOOD, _BAD, _INK, _PALE = (0, 130, 0), (190, 0, 0), (20, 20, 20), (120, 120, 120)

_Line = tuple[str, tuple[int, int, int]]


class SheetTile(NamedTuple):
    """One image of a row.

    Attributes:
        image: (H, W, 3) uint8 RGB; None where there is none.
        verdict: what became of it, as `Ranked.verdict`.
        score: the cosine with the prompt; NaN for none.
    """

    image: NDArray[np.uint8] | None
    verdict: str
    score: float = float("nan")


class SheetRow(NamedTuple):
    """One photo, or one caption of it, and the images that came of it.

    Attributes:
        photo: the source.
        texts: titles and texts, such as ("caption", "a dog on a sofa").
        tiles: the images, one after the other.
    """

    photo: Photo
    texts: Sequence[tuple[str, str]]
    tiles: Sequence[SheetTile]


def pool_sheet(rows: Iterable[SheetRow]) -> NDArray[np.uint8]:
    """One row a caption or photo: its photo, its texts, and its images.

    Kept images have a green frame, rejected ones a red one, others none; below each its score and
    why it was rejected.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ArgumentError: there is no row.
    """
    drawn = [_row(row) for row in rows]
    if not drawn:
        raise ArgumentError("rows: there is no image to show")
    width = max(row.shape[1] for row in drawn)
    return np.concatenate(
        [np.pad(row, ((0, 6), (0, width - row.shape[1]), (0, 0)), mode="edge") for row in drawn]
    )


def _row(row: SheetRow) -> NDArray[np.uint8]:
    parts = [_tile(row.photo.read(), [(row.photo.name, _PALE)], None)]
    text = np.full((parts[0].shape[0], _TEXT, 3), 255, np.uint8)
    lines: list[_Line] = []
    for title, content in row.texts:
        lines += [(f"{title}:", _PALE), *((line, _INK) for line in textwrap.wrap(content, 34)[:5])]
    _write(text, lines, 0)
    parts.append(text)
    for tile in row.tiles:
        kind, _, reason = tile.verdict.partition(": ")
        frame = {"kept": _GOOD, "rejected": _BAD}.get(kind)
        score = "" if np.isnan(tile.score) else f"{tile.score:.3f} "
        notes = [(f"{score}{kind}", frame or _PALE)]
        if reason:
            notes.append((reason, _BAD))
        parts.append(_tile(tile.image, notes, frame))
    return np.concatenate(parts, axis=1)


def _tile(
    image: NDArray[np.uint8] | None,
    notes: Sequence[_Line],
    frame: tuple[int, int, int] | None,
) -> NDArray[np.uint8]:
    tile = np.full((_SIDE + 2 * _LINE + 8, _SIDE + 8, 3), 255, np.uint8)
    if image is not None:
        scale = _SIDE / max(image.shape[:2])
        size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        y, x = 4 + (_SIDE - size[1]) // 2, 4 + (_SIDE - size[0]) // 2
        tile[y : y + size[1], x : x + size[0]] = small
        if frame is not None:
            cv2.rectangle(tile, (x - 2, y - 2), (x + size[0] + 1, y + size[1] + 1), frame, 3)
    _write(tile, notes, _SIDE + 4)
    return tile


def _write(canvas: NDArray[np.uint8], lines: Sequence[_Line], top: int) -> None:
    for number, (line, color) in enumerate(lines):
        at = (6, top + 13 + number * _LINE)
        cv2.putText(canvas, line, at, _FONT, 0.42, color, 1, cv2.LINE_AA)
