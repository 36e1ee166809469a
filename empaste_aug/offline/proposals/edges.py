"""Edge maps to grow region trees on: learned (HED), or plain Lab gradients without any weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from empaste_aug.types import ArgumentError, MissingDependencyError

if TYPE_CHECKING:
    from empaste_aug.offline.proposals.hed import HED

EDGES = ("auto", "hed", "lab")

LAB_SIGMA = 1.5
"""Gaussian smoothing before the Lab gradient, in pixels."""

LAB_FULL = 20.0
"""The Lab difference per pixel that counts as an edge of strength 1."""


def fit(image: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """The (H, W, 3) photo shrunk, by area averaging, so that no side exceeds `max_side`."""
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def lab_edges(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W) float32 in [0, 1]: gradient magnitude of the smoothed CIE Lab image.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), LAB_SIGMA)
    dx = cv2.Sobel(lab, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(lab, cv2.CV_32F, 0, 1, scale=1 / 8)
    magnitude = np.sqrt((dx * dx + dy * dy).sum(axis=2))
    return np.asarray(np.minimum(magnitude / LAB_FULL, 1), dtype=np.float32)


class EdgeDetector:
    """Photo to edge map; picklable, the network is loaded at the first call in each process.

    Args:
        kind: "hed", "lab", or "auto": "hed" where its weights package is installed, else "lab".

    Attributes:
        kind: "hed" or "lab", as resolved.

    Raises:
        ArgumentError: another `kind`.
        MissingDependencyError: `kind` is "hed" and the weights package is not installed.
    """

    def __init__(self, kind: str = "auto") -> None:
        if kind not in EDGES:
            raise ArgumentError(f"edges: {kind!r} is none of {', '.join(EDGES)}")
        if kind != "lab":
            try:
                _require_hed()
            except MissingDependencyError:
                if kind == "hed":
                    raise
                kind = "lab"
            else:
                kind = "hed"
        self.kind = kind
        self._model: HED | None = None

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1] of an (H, W, 3) uint8 RGB photo."""
        if self.kind == "lab":
            return lab_edges(image)
        from empaste_aug.offline.proposals.hed import edge_map, load_hed

        if self._model is None:
            self._model = load_hed()
        return edge_map(self._model, image)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the network."""
        return {"kind": self.kind, "_model": None}


def _require_hed() -> None:
    """Raise MissingDependencyError unless HED can be loaded."""
    from importlib.util import find_spec

    from empaste_aug.offline.weights import find_packaged

    for package in ("torch", "h5py"):
        if find_spec(package) is None:
            raise MissingDependencyError(package, "offline", "HED edges")
    find_packaged("hed")
