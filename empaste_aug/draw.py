"""Pictures for people: scenes with their masks and boxes drawn, on one sheet."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import Instance, Scene

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CELL = (360, 480)  # height and width of a sheet's cell; letters are sized to be read in one
_LETTERS = 0.6  # OpenCV's size of letters there
_DARK = (30, 30, 30)
_LIGHT = (255, 255, 255)

_Box = tuple[int, int, int, int]


def draw_scene(
    scene: Scene, class_names: Sequence[str], *, opacity: float = 0.35
) -> NDArray[np.uint8]:
    """The image with every instance's mask tinted, its outline and its box drawn, and its class.

    Pasted objects have a box and a name plate in their class's colour, originals a thin dark box
    and a dark plate. Lines and letters grow with the image, so that they can be read when it is
    fitted into a cell of `contact_sheet`. Plates do not cover each other where there is room.

    Args:
        scene: image (H, W, 3) uint8 RGB and instances.
        class_names: contiguous, for the labels.
        opacity: of the tint, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    canvas = np.array(scene.image, order="C", copy=True)
    for instance in scene.instances:
        _draw_mask(canvas, instance, opacity)
    for instance in scene.instances:
        _draw_box(canvas, instance)
    plates: list[_Box] = []
    for instance in scene.instances:
        plates.append(_draw_plate(canvas, instance, class_names, plates))
    return canvas


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], *, cell: tuple[int, int] = _CELL, columns: int = 4
) -> NDArray[np.uint8]:
    """Pictures side by side, each fitted into the middle of a cell of (height, width) pixels.

    Returns:
        (rows * height, columns * width, 3) uint8 RGB on white.
    """
    columns = max(min(columns, len(images)), 1)
    height, width = cell
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for number, image in enumerate(images):
        h, w = image.shape[:2]
        scale = min((height - 4) / h, (width - 4) / w)
        size = max(round(w * scale), 1), max(round(h * scale), 1)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        fitted = cv2.resize(image, size, interpolation=method)
        y = (number // columns) * height + (height - size[1]) // 2
        x = (number % columns) * width + (width - size[0]) // 2
        sheet[y : y + size[1], x : x + size[0]] = fitted
    return sheet


def class_color(category_id: int) -> tuple[int, int, int]:
    """A well-spread RGB colour for a class."""
    red, green, blue = colorsys.hsv_to_rgb((category_id * 0.618034) % 1.0, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_mask(canvas: NDArray[np.uint8], instance: Instance, opacity: float) -> None:
    if instance.mask is None:
        return
    height, width = canvas.shape[:2]
    mask = instance.full_mask(height, width)
    color = class_color(instance.category_id)
    tinted = (1 - opacity) * canvas[mask] + opacity * np.asarray(color)
    canvas[mask] = np.rint(tinted).astype(np.uint8)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, color, 1)


def _growth(canvas: NDArray[np.uint8]) -> float:
    """How many times as large as in a cell things must be drawn."""
    return float(max(canvas.shape[0] / _CELL[0], canvas.shape[1] / _CELL[1], 0.5))


def _draw_box(canvas: NDArray[np.uint8], instance: Instance) -> None:
    x0, y0, x1, y1 = instance.bbox
    corners = (round(x0), round(y0)), (round(x1) - 1, round(y1) - 1)
    line = max(round(_growth(canvas)), 1)
    if instance.cutout_id is None:
        cv2.rectangle(canvas, *corners, _DARK, line)
    else:
        cv2.rectangle(canvas, *corners, class_color(instance.category_id), 2 * line)


def _draw_plate(
    canvas: NDArray[np.uint8],
    instance: Instance,
    class_names: Sequence[str],
    taken: Sequence[_Box],
) -> _Box:
    """The class's name on a plate above the box, or as near to that as is free; where it lies."""
    label = class_names[instance.category_id] + (" (crowd)" if instance.crowd else "")
    grown = _growth(canvas)
    size, thickness, pad = _LETTERS * grown, max(round(1.4 * grown), 1), max(round(3 * grown), 1)
    (width, above), below = cv2.getTextSize(label, _FONT, size, thickness)
    width, height = width + 2 * pad, above + below + 2 * pad
    x0, y0, _, y1 = instance.bbox
    left = min(max(round(x0), 0), max(canvas.shape[1] - width, 0))
    last = max(canvas.shape[0] - height, 0)
    tops = [min(max(round(y0) - height, 0), last)]
    tops += [min(top, last) for top in range(round(max(y0, 0)), max(round(y1), 1), height)]
    places = [(left, top, left + width, top + height) for top in tops]
    place = next((p for p in places if not any(_meet(p, other) for other in taken)), places[0])
    back = _DARK if instance.cutout_id is None else class_color(instance.category_id)
    bright = float(np.dot(back, (0.299, 0.587, 0.114))) > 120
    cv2.rectangle(canvas, place[:2], (place[2] - 1, place[3] - 1), back, -1)
    at = (left + pad, place[1] + pad + above)
    ink = _DARK if bright else _LIGHT
    cv2.putText(canvas, label, at, _FONT, size, ink, thickness, cv2.LINE_AA)
    return place


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
