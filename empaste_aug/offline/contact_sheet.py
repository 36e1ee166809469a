"""A sheet of a bank's masks beside the annotated ones: random, best and worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.draw import contact_sheet
from empaste_aug.imageio import read_image
from empaste_aug.offline.failures import FAILED
from empaste_aug.offline.ranking import check_ranking, mask_order
from empaste_aug.offline.scoring import BankScores, MaskGroup, placed_mask
from empaste_aug.types import ArgumentError

MASK_COLOR = (255, 64, 160)
TRUTH_COLOR = (64, 235, 64)
_GOOD, _BAD, _INK, _PALE = (0, 110, 0), (190, 0, 0), (20, 20, 20), (110, 110, 110)
_CELL = (360, 400)  # height and width of a cut-out's tile, its caption included
_GAP = 4  # that `contact_sheet` leaves round a tile
_LINE = 22  # height of a line of text
_FONT = cv2.FONT_HERSHEY_SIMPLEX

_Color = tuple[int, int, int]
_Text = tuple[str, _Color]


class _Shown(NamedTuple):
    group: MaskGroup
    number: int  # within the group


def bank_sheet(
    scores: BankScores,
    *,
    ranking: str | None = None,
    count: int = 8,
    columns: int = 4,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Draw `count` random masks, the `count` best and the `count` worst ones in their photos.

    Each with its outline, and in another colour the outline of the instance that it is matched
    with; of an unmatched mask, that of the instance of its class with the highest IoU, or the
    largest where it touches none. Below it: class, IoU, quality, score, the kind of failure.

    Args:
        scores: what the bank's masks score.
        ranking: what best means, "quality" or "score"; None for the first that the bank knows.
        count: of each; fewer where the bank has fewer. Random masks may be best or worst ones too.
        columns: of the sheet.
        seed: of the random choice, and of the order of masks of equal rank.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ArgumentError: `count` or `columns` is below 1, the bank does not know the ranking, or no
            mask of it is on a photo with annotations.
        DatasetError: a photo or its annotations cannot be read.
    """
    for name, value in (("count", count), ("columns", columns)):
        if value < 1:
            raise ArgumentError(f"{name}: must be at least 1, not {value}")
    ranking = check_ranking(scores.bank, ranking)
    shown = [_Shown(group, k) for group in scores.groups for k in range(len(group.rows))]
    if not shown:
        raise ArgumentError(f"bank: {scores.bank.path} has no mask that is scored, so none to show")
    count = min(count, len(shown))
    chosen = np.random.default_rng(seed).choice(len(shown), count, replace=False)
    blocks: list[tuple[str, Sequence[int]]] = [(f"{count} random", chosen.tolist())]
    if ranking is not None:
        order = mask_order(scores, ranking, seed).tolist()
        blocks.append((f"{count} best by {ranking}", order[:count]))
        blocks.append((f"{count} worst by {ranking}, the worst first", order[::-1][:count]))
    columns = min(columns, count)
    parts = [_legend(columns * _CELL[1], f"{scores.bank.path.name}: {len(shown)} masks scored")]
    for title, positions in blocks:
        tiles = [_tile(scores, shown[position]) for position in positions]
        parts.append(_heading(columns * _CELL[1], title))
        parts.append(contact_sheet(tiles, cell=_CELL, columns=columns))
    return np.concatenate(parts)


def _tile(scores: BankScores, shown: _Shown) -> NDArray[np.uint8]:
    """A photo with both outlines, fitted over its caption."""
    group, k = shown
    image = scores.images[group.photo]
    photo = read_image(image.path)
    height, width = _CELL[0] - _GAP, _CELL[1] - _GAP
    room = height - 2 * _LINE
    scale = min(room / photo.shape[0], width / photo.shape[1])
    size = max(round(photo.shape[1] * scale), 1), max(round(photo.shape[0] * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = cv2.resize(photo, size, interpolation=method)
    mask = placed_mask(scores.bank, int(group.rows[k]), image)
    full = np.zeros(photo.shape[:2], dtype=bool)
    full[mask.window()] = mask.mask
    truth = _truth(scores, shown)
    if truth is not None:
        _outline(canvas, truth, TRUTH_COLOR)
    _outline(canvas, full, MASK_COLOR)
    tile = np.full((height, width, 3), 255, dtype=np.uint8)
    y, x = room - size[1], (width - size[0]) // 2
    tile[y:room, x : x + size[0]] = canvas
    for line, texts in enumerate(_caption(scores, shown, has_truth=truth is not None)):
        _write(tile, texts, (4, room + line * _LINE + 16), 0.5)
    return tile


def _truth(scores: BankScores, shown: _Shown) -> NDArray[np.bool_] | None:
    """The instance to show with a mask; None where its class has none in the photo."""
    group, k = shown
    truths = scores.dataset.instances(scores.images[group.photo])
    same = [t.mask for t in truths if t.category_id == group.category and not t.crowd]
    if not same:
        return None
    if group.assigned[k] >= 0:
        return same[int(group.assigned[k])]
    if group.ious[k].max() > 0:
        return same[int(group.ious[k].argmax())]
    return max(same, key=np.count_nonzero)


def _caption(scores: BankScores, shown: _Shown, *, has_truth: bool) -> list[list[_Text]]:
    group, k = shown
    entry = scores.bank.index[int(group.rows[k])]
    iou = float(group.iou[k])
    values = [
        (name, float(entry[name])) for name in ("quality", "score") if not np.isnan(entry[name])
    ]
    name = scores.dataset.class_names[group.category]
    first: list[_Text] = [
        (name, _INK),
        (f"IoU {iou:.3f}", _GOOD if iou >= FAILED else _BAD),
        *((f"{what} {value:.2f}", _INK) for what, value in values),
    ]
    words = [group.kinds[k].replace("_", " ").replace("/", ": ")] if group.kinds[k] else []
    if not has_truth:
        words.append(f"no {name} annotated")
    photo = scores.images[group.photo].image_id
    second: list[_Text] = [(photo, _PALE), *((word, _BAD) for word in words)]
    return [first, second]


def _outline(canvas: NDArray[np.uint8], mask: NDArray[np.bool_], color: _Color) -> None:
    """Draw a full-size mask's outline on the smaller photo, light on dark."""
    size = canvas.shape[1], canvas.shape[0]
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    if not small.any():  # thinner than a pixel: its place is seen all the same
        small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    found, _ = cv2.findContours(small.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, found, -1, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.drawContours(canvas, found, -1, color, 2, cv2.LINE_AA)


def _legend(width: int, title: str) -> NDArray[np.uint8]:
    band = np.full((34, width, 3), 255, dtype=np.uint8)
    entries = ((MASK_COLOR, "the bank's mask"), (TRUTH_COLOR, "annotated instance"))
    x = 8
    for color, text in entries:
        cv2.rectangle(band, (x, 10), (x + 26, 24), (0, 0, 0), -1)
        cv2.rectangle(band, (x + 2, 12), (x + 24, 22), color, -1)
        x = _write(band, [(text, _INK)], (x + 34, 23), 0.55) + 16
    _write(band, [(title, _PALE)], (x, 23), 0.55)
    return band


def _heading(width: int, text: str) -> NDArray[np.uint8]:
    band = np.full((34, width, 3), 225, dtype=np.uint8)
    _write(band, [(text, _INK)], (8, 24), 0.7)
    return band


def _write(
    canvas: NDArray[np.uint8], texts: Sequence[_Text], at: tuple[int, int], size: float
) -> int:
    """Write words side by side; the x where they end."""
    x, y = at
    for text, color in texts:
        cv2.putText(canvas, text, (x, y), _FONT, size, color, 1, cv2.LINE_AA)
        x += cv2.getTextSize(text, _FONT, size, 1)[0][0] + 12
    return x
