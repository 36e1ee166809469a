"""Salient objects: U2-NetP (Qin et al., Pattern Recognition 2020) in onnxruntime.

The network was trained on human saliency masks, without classes. Its weights come in a package.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.weights import find_packaged
from empaste_aug.types import ArgumentError, MissingDependencyError

SIDE = 320
"""The network's input is SIDE x SIDE pixels; photos are squeezed into it."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Window = tuple[int, int, int, int]
"""A part of a photo: XYXY, absolute pixels, half-open."""


class SaliencyModel:
    """Photo to saliency map; picklable, the session is made at the first call in each process.

    Args:
        num_threads: threads within onnxruntime; None takes the environment's OMP_NUM_THREADS, or
            where that is not set, onnxruntime's default of one thread per core.

    Raises:
        ArgumentError: `num_threads` is less than 1.
        MissingDependencyError: onnxruntime, or the weights package, is not installed.
    """

    def __init__(self, *, num_threads: int | None = None) -> None:
        if num_threads is not None and num_threads < 1:
            raise ArgumentError(f"num_threads: must be at least 1, got {num_threads}")
        _onnxruntime()
        find_packaged("u2netp")
        self.num_threads = num_threads
        self._session: Any = None

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1], stretched to that range, of an (H, W, 3) uint8 RGB photo."""
        if self._session is None:
            self._session = self._open()
        height, width = image.shape[:2]
        small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        x = (small / max(float(small.max()), 1.0) - np.array(MEAN)) / np.array(STD)
        feed = {self._session.get_inputs()[0].name: np.float32(x.transpose(2, 0, 1)[None])}
        fused = self._session.get_outputs()[0].name
        saliency = self._session.run([fused], feed)[0][0, 0]
        low, high = float(saliency.min()), float(saliency.max())
        saliency = (saliency - low) / max(high - low, 1e-6)
        large = cv2.resize(saliency, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large, dtype=np.float32)

    def _open(self) -> Any:
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = _threads(self.num_threads)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return runtime.InferenceSession(
            str(find_packaged("u2netp")), options, providers=["CPUExecutionProvider"]
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the session."""
        return {"num_threads": self.num_threads, "_session": None}


class Saliency:
    """Proposals from saliency: all that is salient, and each connected piece of it.

    At each threshold the map gives one mask of the whole and, where that falls apart, one mask per
    connected component. A segment's `strength` is the mean saliency inside it. The same photo
    gives the same segments.

    Args:
        thresholds: of the saliency map, in (0, 1); parts are often grey in the map, so that one
            threshold does not fit all objects.
        min_area: components under this share of the photo are not proposed.
        num_threads: see `SaliencyModel`; it does not change the output.

    Raises:
        ArgumentError: an argument is out of range.
        MissingDependencyError: onnxruntime, or the weights package, is not installed.
    """

    name = "saliency"

    def __init__(
        self,
        *,
        thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        min_area: float = 0.01,
        num_threads: int | None = None,
    ) -> None:
        if not thresholds or not all(0 < threshold < 1 for threshold in thresholds):
            raise ArgumentError(f"thresholds: each must lie in (0, 1), got {tuple(thresholds)}")
        if not 0 <= min_area < 1:
            raise ArgumentError(f"min_area: must lie in [0, 1), got {min_area}")
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        self.min_area = min_area
        self.model = SaliencyModel(num_threads=num_threads)

    def config(self) -> dict[str, Any]:
        """Everything that changes the output."""
        return {"thresholds": list(self.thresholds), "min_area": self.min_area}

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        image_id: str = "",  # noqa: ARG002
    ) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo, by threshold, the whole before its pieces."""
        return self.propose(image, [(0, 0, image.shape[1], image.shape[0])])

    def propose(self, image: NDArray[np.uint8], windows: Sequence[Window]) -> list[Segment]:
        """Segments of some windows of a photo, each seen by the network as if it were a photo.

        Args:
            image: (H, W, 3) uint8 RGB.
            windows: XYXY half-open, inside the photo.

        Returns:
            Segments of the photo's full size, window by window, without exact duplicates.

        Raises:
            ArgumentError: a window is empty or reaches out of the photo.
        """
        height, width = image.shape[:2]
        found: dict[bytes, Segment] = {}
        for x0, y0, x1, y1 in windows:
            if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
                raise ArgumentError(
                    f"windows: {(x0, y0, x1, y1)} is no part of a {width} x {height} photo"
                )
            values = np.zeros((height, width), dtype=np.float32)
            values[y0:y1, x0:x1] = self.model(np.ascontiguousarray(image[y0:y1, x0:x1]))
            for segment in self.segments(values):
                found.setdefault(bytes(segment.rle["counts"]), segment)
        return list(found.values())

    def segments(self, values: NDArray[np.float32]) -> list[Segment]:
        """Segments of an (H, W) saliency map, by threshold, the whole before its pieces."""
        segments = []
        for threshold in self.thresholds:
            salient = values >= threshold
            if not salient.any():
                continue
            count, labels, statistics, _ = cv2.connectedComponentsWithStats(
                salient.astype(np.uint8), connectivity=8
            )
            areas = statistics[1:, cv2.CC_STAT_AREA]
            large = 1 + np.flatnonzero(areas >= self.min_area * values.size)
            masks = [salient] if count == 2 else [salient, *(labels == k for k in large)]
            segments += [
                Segment.from_mask(mask, self.name, float(values[mask].mean())) for mask in masks
            ]
        return segments


def saliency_map(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) float32 saliency in [0, 1] of an (H, W, 3) uint8 RGB photo.

    The network is loaded once per process; use `SaliencyModel` to say how many threads it takes.

    Raises:
        MissingDependencyError: onnxruntime, or the weights package, is not installed.
    """
    return _shared_model()(image)


@cache
def _shared_model() -> SaliencyModel:
    return SaliencyModel()


def _threads(wanted: int | None) -> int:
    """What onnxruntime is told: 0 leaves it to choose."""
    if wanted is not None:
        return wanted
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() else 0


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "onnxruntime", "offline", "the 'saliency' proposals"
        ) from error
    return onnxruntime
