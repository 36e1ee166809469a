"""A picture of what became of captions: source, texts, and all images with their scores."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.backgrounds.candidates import CandidateStage
from empaste_aug.offline.backgrounds.ranking import Ranked
from empaste_aug.types import ArgumentError

_SIDE = 180
_LINE = 16
_TEXT = 260
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOOD, _BAD, _INK, _PALE = (0, 130, 0), (190, 0, 0), (20, 20, 20), (120, 120, 120)


def pool_sheet(
    ranked: Iterable[Ranked], candidates: CandidateStage, *, rows: int = 12
) -> NDArray[np.uint8]:
    """One row a caption: its photo, the caption and the prompt, and its images.

    Kept images have a green frame, rejected ones a red one, others none; below each its score and
    why it was rejected.

    Args:
        ranked: images, those of a prompt together.
        candidates: where they lie.
        rows: the first so many captions are shown.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ArgumentError: there is no image, or `rows` is below 1.
    """
    if rows < 1:
        raise ArgumentError(f"rows: must be at least 1, not {rows}")
    drawn: list[NDArray[np.uint8]] = []
    for _, group in groupby(ranked, key=lambda item: (item.wanted.photo.name, item.wanted.number)):
        if len(drawn) == rows:
            break
        drawn.append(_row(list(group), candidates))
    if not drawn:
        raise ArgumentError("ranked: there is no image to show")
    width = max(row.shape[1] for row in drawn)
    return np.concatenate(
        [np.pad(row, ((0, 6), (0, width - row.shape[1]), (0, 0)), mode="edge") for row in drawn]
    )


def _row(items: Sequence[Ranked], candidates: CandidateStage) -> NDArray[np.uint8]:
    wanted = items[0].wanted
    caption = candidates.prompts.load(wanted.photo)["caption"].tolist()[wanted.number]
    parts = [_tile(wanted.photo.read(), [(wanted.photo.name, _PALE)], None)]
    text = np.full((parts[0].shape[0], _TEXT, 3), 255, np.uint8)
    lines = [("caption:", _PALE), *((line, _INK) for line in textwrap.wrap(caption, 34)[:5])]
    lines += [("prompt:", _PALE), *((line, _INK) for line in textwrap.wrap(wanted.prompt, 34)[:5])]
    _write(text, lines, 0)
    parts.append(text)
    for item in items:
        image = candidates.image(wanted, item.number)
        frame = _GOOD if item.kept else _BAD if item.verdict.startswith("rejected") else None
        notes = [(f"{item.score:.3f} {item.verdict.split(':')[0]}", frame or _PALE)]
        if ":" in item.verdict:
            notes.append((item.verdict.split(": ")[1], _BAD))
        parts.append(_tile(image, notes, frame))
    return np.concatenate(parts, axis=1)


def _tile(
    image: NDArray[np.uint8] | None,
    notes: Sequence[tuple[str, tuple[int, int, int]]],
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


def _write(
    canvas: NDArray[np.uint8], lines: Sequence[tuple[str, tuple[int, int, int]]], top: int
) -> None:
    for number, (line, color) in enumerate(lines):
        at = (6, top + 13 + number * _LINE)
        cv2.putText(canvas, line, at, _FONT, 0.42, color, 1, cv2.LINE_AA)
