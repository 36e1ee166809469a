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
_TEXT_SIDE = 480  # the longer side at which letters and lines have OpenCV's own size


def draw_scene(
    scene: Scene, class_names: Sequence[str], *, opacity: float = 0.35
) -> NDArray[np.uint8]:
    """The image with every instance's mask tinted, its outline and its box drawn, and its class.

    Pasted objects have a box in their class's colour, originals a thin dark one. Lines and letters
    grow with the image, so that they can be read when it is shown smaller.

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
        _draw_box(canvas, instance, class_names)
    return canvas


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], *, cell: tuple[int, int] = (360, 480), columns: int = 4
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


def _draw_box(canvas: NDArray[np.uint8], instance: Instance, class_names: Sequence[str]) -> None:
    x0, y0, x1, y1 = instance.bbox
    corners = (round(x0), round(y0)), (round(x1) - 1, round(y1) - 1)
    grown = max(max(canvas.shape) / _TEXT_SIDE, 0.5)
    line = max(round(grown), 1)
    if instance.cutout_id is None:
        cv2.rectangle(canvas, *corners, (40, 40, 40), line)
    else:
        cv2.rectangle(canvas, *corners, class_color(instance.category_id), 2 * line)
    label = class_names[instance.category_id] + (" (crowd)" if instance.crowd else "")
    at = (max(corners[0][0], 0), max(corners[0][1] - 4 * line, 11 * line))
    for color, thickness in (((0, 0, 0), 3 * line), ((255, 255, 255), line)):
        cv2.putText(canvas, label, at, _FONT, 0.45 * grown, color, thickness, cv2.LINE_AA)
