"""One process of benchmarks/peers.py: copy-paste by other libraries, run by their own Python.

It imports no empaste_aug. It reads a JSON object a line and answers with one: first the name of the
.npz file with the work, answered by the libraries that were found; then rounds, each answered by
its milliseconds and by what an independent look at the labels finds. Only the library's own work
is timed: its inputs, in the form that it wants them, lie ready in memory.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import time
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Round(NamedTuple):
    """What is pasted onto what.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        masks: (N, H, W) uint8 of 0 and 1: the originals.
        boxes: (N, 4) float32, XYXY half-open: theirs.
        donors: (rgb (h, w, 3) uint8, mask (h, w) uint8 of 0 and 1) of each cut-out.
        places: (center x, y, scale, angle) of each, where we put it.
        circles: (x, y, radius) of each cut-out's enclosing circle.
        seed: for the library's own draws.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    donors: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    places: list[tuple[float, float, float, float]]
    circles: list[tuple[float, float, float]]
    seed: int


class Outcome(NamedTuple):
    """What a library handed out.

    Attributes:
        milliseconds: what it took.
        masks: (N, H, W) of 0 and not 0, originals first, then pasted ones in paste order.
        boxes: (N, 4) XYXY half-open.
        pasted: how many of them, at the end, are pasted.
    """

    milliseconds: float
    masks: NDArray[Any]
    boxes: NDArray[Any]
    pasted: int


def tight_boxes(masks: NDArray[Any]) -> NDArray[np.float64]:
    """(N, 4) XYXY half-open boxes round the nonzero pixels; NaN for an empty mask."""
    boxes = np.full((len(masks), 4), np.nan)
    for box, mask in zip(boxes, masks, strict=True):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if rows.size:
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def count_faults(masks: NDArray[Any], boxes: NDArray[Any], pasted: int) -> dict[str, int]:
    """How many objects are wrong, and how.

    Args:
        masks: (N, H, W), not 0 where the object is; the `pasted` last ones were pasted.
        boxes: (N, 4) XYXY half-open.
        pasted: see `masks`.

    Returns:
        "objects": N; "pasted"; "pasted_pixels": in the masks of pasted ones, all together; "empty":
        objects whose mask has no pixel; "wrong_boxes": objects whose box has a side more than one
        pixel from the tight one; "hidden_pixels": pasted objects whose mask has pixels that also
        belong to one pasted later.
    """
    tight = tight_boxes(masks)
    empty = np.isnan(tight[:, 0])
    off = np.abs(tight - np.asarray(boxes, dtype=np.float64)).max(axis=1, initial=0)
    later = np.zeros(masks.shape[1:], dtype=bool)
    hidden, pixels = 0, 0
    for mask in masks[len(masks) - pasted :][::-1]:
        shape = mask != 0
        pixels += int(np.count_nonzero(shape))
        hidden += bool((shape & later).any())
        later |= shape
    return {
        "objects": len(masks),
        "pasted": pasted,
        "pasted_pixels": pixels,
        "empty": int(empty.sum()),
        "wrong_boxes": int((off[~empty] > 1).sum()),
        "hidden_pixels": hidden,
    }


def place_matrix(
    place: tuple[float, float, float, float], circle: tuple[float, float, float]
) -> NDArray[np.float64]:
    """The (2, 3) matrix that puts a cut-out, turned and scaled, at its place."""
    x, y, scale, angle = place
    matrix = cv2.getRotationMatrix2D((circle[0], circle[1]), angle, scale)
    matrix[:, 2] += (x - circle[0], y - circle[1])
    return np.asarray(matrix, dtype=np.float64)


class OpenCV:
    """By hand with OpenCV and numpy, on full-size masks: the same places, and right labels."""

    name = "by hand: OpenCV, numpy"
    does = "the same places; masks of 0 and 1 at full size, trimmed; tight boxes"

    def __init__(self) -> None:
        self.version = str(cv2.__version__)

    def __call__(self, work: Round) -> Outcome:
        start = time.perf_counter()
        height, width = work.image.shape[:2]
        image, masks = work.image.copy(), list(work.masks)
        for (rgb, mask), place, circle in zip(work.donors, work.places, work.circles, strict=True):
            matrix = place_matrix(place, circle)
            h, w = mask.shape
            corners = np.array([[0, 0, 1], [w, 0, 1], [0, h, 1], [w, h, 1]]) @ matrix.T
            x0, y0 = np.floor(corners.min(axis=0)).astype(int) - 3
            x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 3
            x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
            matrix[:, 2] -= (x0, y0)
            size = (int(x1 - x0), int(y1 - y0))
            pixels = cv2.warpAffine(rgb, matrix, size, borderMode=cv2.BORDER_REPLICATE)
            shape = cv2.warpAffine(mask * 255, matrix, size)
            shape = (shape >= 128).astype(np.uint8)
            alpha = cv2.GaussianBlur(shape.astype(np.float32), (5, 5), 2)[..., None]
            region = image[y0:y1, x0:x1]
            region[:] = np.rint(alpha * pixels + (1 - alpha) * region).astype(np.uint8)
            full = np.zeros((height, width), np.uint8)
            full[y0:y1, x0:x1] = shape
            masks = [np.where(full != 0, 0, other) for other in masks]
            masks.append(full)
        stacked = np.stack(masks)
        boxes = np.zeros((len(stacked), 4))
        for box, mask in zip(boxes, stacked, strict=True):
            x, y, w, h = cv2.boundingRect(mask)
            box[:] = x, y, x + w, y + h
        kept = boxes[:, 2] > boxes[:, 0]
        stacked, boxes = stacked[kept], boxes[kept]
        spent = (time.perf_counter() - start) * 1e3
        return Outcome(spent, stacked, boxes, int(kept[-len(work.donors) :].sum()))


class AlbumentationsX:
    """CopyAndPaste in a Compose with boxes and labels; `rotate` turns and scales each donor."""

    def __init__(self, *, rotate: bool, scale: tuple[float, float], max_angle: float) -> None:
        import albumentations as A  # noqa: N812

        paste = A.CopyAndPaste  # MIT's albumentations 2.0.8 has none: AttributeError
        self.version = str(A.__version__)
        self.name = "AlbumentationsX CopyAndPaste"
        self.does = "no rotation, one scale for all donors"
        self._turn = None
        if rotate:
            self.name += ", A.Affine per donor"
            self.does = "own places; each donor rotated and scaled by A.Affine first"
            self._turn = A.Compose(
                [A.Affine(scale=scale, rotate=(-max_angle, max_angle), fit_output=True, p=1.0)]
            )
        self._paste = A.Compose(
            [
                paste(
                    blend_mode="gaussian",
                    blend_sigma_range=(2.0, 2.0),
                    scale_range=(1.0, 1.0) if rotate else scale,
                    p=1.0,
                )
            ],
            bbox_params=A.BboxParams(coord_format="pascal_voc", label_fields=["labels"]),
        )

    def __call__(self, work: Round) -> Outcome:
        self._paste.set_random_seed(work.seed)
        if self._turn is not None:
            self._turn.set_random_seed(work.seed)
        labels, donors = [0] * len(work.boxes), work.donors
        start = time.perf_counter()
        if self._turn is not None:
            turned = [self._turn(image=rgb, mask=mask) for rgb, mask in donors]
            donors = [(each["image"], each["mask"]) for each in turned]
        result = self._paste(
            image=work.image,
            masks=work.masks,
            bboxes=work.boxes,
            labels=labels,
            copy_paste_metadata=[
                {"image": rgb, "mask": mask, "bbox_labels": {"labels": 1}} for rgb, mask in donors
            ],
        )
        spent = (time.perf_counter() - start) * 1e3
        pasted = int(np.count_nonzero(np.asarray(result["labels"]) == 1))
        return Outcome(spent, np.asarray(result["masks"]), np.asarray(result["bboxes"]), pasted)


class MMDetection:
    """CopyPaste; it moves whole images of the same size, so the donors are laid out beforehand."""

    name = "mmdet CopyPaste"
    does = "donors laid out at our places beforehand, not timed; no rotation, scale or blending"

    def __init__(self) -> None:
        _allow_mmcv_lite()
        import mmdet
        import torch
        from mmdet.datasets.transforms import CopyPaste
        from mmdet.structures.bbox import HorizontalBoxes
        from mmdet.structures.mask import BitmapMasks

        torch.set_num_threads(1)
        self.version = str(mmdet.__version__)
        self._boxes, self._masks, self._torch = HorizontalBoxes, BitmapMasks, torch
        self._paste = CopyPaste(selected=False)

    def _results(
        self, image: NDArray[np.uint8], masks: NDArray[np.uint8], boxes: Any, label: int
    ) -> dict[str, Any]:
        return {
            "img": image,
            "gt_masks": self._masks(masks, *image.shape[:2]),
            "gt_bboxes": self._boxes(self._torch.as_tensor(boxes, dtype=self._torch.float32)),
            "gt_bboxes_labels": np.full(len(masks), label),
            "gt_ignore_flags": np.zeros(len(masks), dtype=bool),
        }

    def __call__(self, work: Round) -> Outcome:
        height, width = work.image.shape[:2]
        source = np.zeros_like(work.image)
        masks = []
        for (rgb, mask), place, circle in zip(work.donors, work.places, work.circles, strict=True):
            matrix = place_matrix(place, circle)
            shape = cv2.warpAffine(mask * 255, matrix, (width, height)) >= 128
            source[shape] = cv2.warpAffine(rgb, matrix, (width, height))[shape]
            for other in masks:
                other[shape] = 0
            masks.append(shape.astype(np.uint8))
        laid = np.stack(masks)
        target = self._results(work.image, work.masks, work.boxes, 0)
        target["mix_results"] = [self._results(source, laid, tight_boxes(laid), 1)]
        start = time.perf_counter()
        result = self._paste.transform(target)
        spent = (time.perf_counter() - start) * 1e3
        pasted = int(np.count_nonzero(result["gt_bboxes_labels"] == 1))
        return Outcome(spent, result["gt_masks"].masks, result["gt_bboxes"].tensor.numpy(), pasted)


def _allow_mmcv_lite() -> None:
    """Let mmdet be imported with mmcv-lite, which lacks the compiled operators: none is used."""
    from importlib.util import find_spec

    if find_spec("mmcv") is None or find_spec("mmcv._ext") is not None:
        return

    class Operators(types.ModuleType):
        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name.startswith("__"):
                raise AttributeError(name)

            def fail(*_: Any, **__: Any) -> None:
                raise RuntimeError(f"mmcv-lite has no compiled operator {name}")

            return fail

    module = Operators("mmcv._ext")
    module.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
    sys.modules["mmcv._ext"] = module


def find_peers(scale: tuple[float, float], max_angle: float) -> tuple[list[Any], list[str]]:
    """The libraries that this Python has, and why the others are missing."""
    makers: dict[str, Callable[[], Any]] = {
        "by hand": OpenCV,
        "AlbumentationsX": lambda: AlbumentationsX(rotate=False, scale=scale, max_angle=max_angle),
        "AlbumentationsX, rotated": lambda: AlbumentationsX(
            rotate=True, scale=scale, max_angle=max_angle
        ),
        "mmdet": MMDetection,
    }
    found, missing = [], []
    for name, make in makers.items():
        try:
            found.append(make())
        except (ImportError, AttributeError) as error:
            missing.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return found, missing


def load_rounds(path: str) -> list[Round]:
    """The rounds of an .npz file that benchmarks/peers.py wrote."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    rounds = []
    for number in range(int(arrays["rounds"])):
        image = arrays[f"image_{int(arrays[f'scene_{number}'])}"]
        scene = int(arrays[f"scene_{number}"])
        masks = np.zeros((int(arrays[f"originals_{scene}"]), *image.shape[:2]), np.uint8)
        for k, mask in enumerate(masks):
            x, y = arrays[f"offset_{scene}_{k}"]
            crop = arrays[f"mask_{scene}_{k}"]
            mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        rows = arrays[f"rows_{number}"]
        rounds.append(
            Round(
                image=image,
                masks=masks,
                boxes=tight_boxes(masks).astype(np.float32),
                donors=[(arrays[f"rgb_{row}"], arrays[f"alpha_{row}"]) for row in rows],
                places=[tuple(place) for place in arrays[f"places_{number}"].tolist()],
                circles=[tuple(arrays[f"circle_{row}"].tolist()) for row in rows],
                seed=number,
            )
        )
    return rounds


def main() -> int:
    """Answer line by line until the input ends."""
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints goes to stderr

    def answer(**values: Any) -> None:
        out.write(json.dumps(values) + "\n")
        out.flush()

    start = json.loads(sys.stdin.readline())
    peers, missing = find_peers(tuple(start["scale"]), start["max_angle"])
    cv2.setNumThreads(1)
    rounds = load_rounds(start["work"])
    answer(
        python=sys.version.split()[0],
        peers=[{"name": p.name, "version": p.version, "does": p.does} for p in peers],
        missing=missing,
    )
    for line in sys.stdin:
        order = json.loads(line)
        peer, number = peers[order["peer"]], order["round"]
        peer(rounds[number - 1])  # caches are cold after waiting
        outcome = peer(rounds[number])
        faults = count_faults(outcome.masks, outcome.boxes, outcome.pasted)
        answer(milliseconds=outcome.milliseconds, **faults)
    return 0


if __name__ == "__main__":
    sys.exit(main())
