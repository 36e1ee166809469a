"""Masks of a checkpoint file by the package `segment_anything`, or one with the same interface.

The package and the weights of SAM (Kirillov et al., ICCV 2023) are Apache-2.0; neither comes with
this one. Packages made after it (`mobile_sam`, `segment_anything_hq`) have licences of their own.
On SAM's supervision see `empaste_aug.offline.proposals.sam`.
"""

from __future__ import annotations

import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.edges import fit
from empaste_aug.offline.proposals.point_grid import PointGrid
from empaste_aug.offline.proposals.scored_masks import Selection
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

_PREDICTING = threading.Lock()
"""A predictor keeps the embedding of one photo, so that threads must take turns."""


class MissingSamPackageError(MissingDependencyError):
    """A package with SAM's interface is not installed; it is no part of an extra."""

    def __init__(self, package: str) -> None:
        ImportError.__init__(
            self,
            f"the 'segment_anything' proposals need the package '{package}' (SAM's own: pip "
            "install segment-anything); the method 'sam' runs SAM with transformers instead",
        )
        self.package = package
        self.extra = ""
        self.purpose = "the 'segment_anything' proposals"

    def __reduce__(self) -> tuple[type[MissingSamPackageError], tuple[str]]:
        """Pickle as the package, so that a worker can hand the error to its parent."""
        return (MissingSamPackageError, (self.package,))


class SegmentAnything:
    """Proposals from the `SamAutomaticMaskGenerator` of SAM's own package.

    A segment's `strength` is the IoU that the model predicts for its mask; they come by falling
    strength. The same photo gives the same segments on the same device. The checkpoint is loaded
    at the first call in each process, so that with several workers each of them holds it.

    Args:
        checkpoint: the weight file, such as sam_vit_h_4b8939.pth.
        model_type: its key in the package's `sam_model_registry`: "vit_h", "vit_l", "vit_b", ...
        package: the import name of a package with the same interface, such as "mobile_sam".
        device: "cpu", "cuda", ...; it does not change the output beyond rounding.
        points_per_side, points_per_batch, pred_iou_thresh, stability_score_thresh, box_nms_thresh,
            crop_n_layers, crop_n_points_downscale_factor, max_side: as in `PointGrid`.
        min_area, max_overlap, max_segments: as in `Selection`.

    Raises:
        ArgumentError: an argument is out of range, `checkpoint` is no file, or torch finds no such
            device.
        MissingDependencyError: the package is not installed.
    """

    name = "segment_anything"

    def __init__(
        self,
        *,
        checkpoint: str | Path,
        model_type: str = "vit_h",
        package: str = "segment_anything",
        device: str = "cpu",
        points_per_side: int = PointGrid.points_per_side,
        points_per_batch: int = PointGrid.points_per_batch,
        pred_iou_thresh: float = PointGrid.pred_iou_thresh,
        stability_score_thresh: float = PointGrid.stability_score_thresh,
        box_nms_thresh: float = PointGrid.box_nms_thresh,
        crop_n_layers: int = PointGrid.crop_n_layers,
        crop_n_points_downscale_factor: int = PointGrid.crop_n_points_downscale_factor,
        max_side: int = PointGrid.max_side,
        min_area: float = Selection.min_area,
        max_overlap: float | None = Selection.max_overlap,
        max_segments: int | None = Selection.max_segments,
    ) -> None:
        self.grid = PointGrid(
            points_per_side=points_per_side,
            points_per_batch=points_per_batch,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            max_side=max_side,
        )
        self.selection = Selection(
            min_area=min_area, max_overlap=max_overlap, max_segments=max_segments
        )
        self.checkpoint = Path(checkpoint)
        if not self.checkpoint.is_file():
            raise ArgumentError(f"checkpoint: {self.checkpoint} is no file")
        if find_spec("torch") is None:
            raise MissingDependencyError("torch", "offline", "the 'segment_anything' proposals")
        if find_spec(package) is None:
            raise MissingSamPackageError(package)
        from empaste_aug.offline.classify.device import checked_device

        self.device = str(checked_device(device))
        self.model_type = model_type
        self.package = package
        self._sha256: str | None = None
        self._generator: Any = None

    def config(self) -> dict[str, Any]:
        """Everything that changes the output; the checkpoint is known by its hash."""
        if self._sha256 is None:
            self._sha256 = sha256_of(self.checkpoint)
        model = {
            "sha256": self._sha256,
            "model_type": self.model_type,
            "package": self.package,
        }
        return {"model": model} | self.grid.config() | self.selection.config()

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        image_id: str = "",  # noqa: ARG002
    ) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo, by falling predicted IoU.

        Raises:
            ArgumentError: the package has no model of this type.
            DatasetError: the checkpoint is broken or of another model.
        """
        small = np.ascontiguousarray(fit(image, self.grid.max_side))
        with _PREDICTING:
            if self._generator is None:
                self._generator = self._open()
            records = self._generator.generate(small)
        return self.selection.segments(
            (
                (np.asarray(record["segmentation"], dtype=bool), record["predicted_iou"])
                for record in records
            ),
            size=(image.shape[0], image.shape[1]),
            source=self.name,
        )

    def _open(self) -> Any:
        library = import_module(self.package)
        if self.model_type not in library.sam_model_registry:
            raise ArgumentError(
                f"model_type: {self.package} has no {self.model_type!r}; there are "
                f"{', '.join(library.sam_model_registry)}"
            )
        try:
            model = library.sam_model_registry[self.model_type](checkpoint=str(self.checkpoint))
        except Exception as error:  # what torch raises depends on what the file holds
            raise DatasetError(
                f"{self.checkpoint}: cannot be loaded as {self.model_type!r} of {self.package}: "
                f"{error}"
            ) from error
        return library.SamAutomaticMaskGenerator(
            model.to(self.device).eval(),
            points_per_side=self.grid.points_per_side,
            points_per_batch=self.grid.points_per_batch,
            pred_iou_thresh=self.grid.pred_iou_thresh,
            stability_score_thresh=self.grid.stability_score_thresh,
            box_nms_thresh=self.grid.box_nms_thresh,
            crop_nms_thresh=self.grid.box_nms_thresh,
            crop_n_layers=self.grid.crop_n_layers,
            crop_n_points_downscale_factor=self.grid.crop_n_points_downscale_factor,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the model."""
        return self.__dict__ | {"_generator": None}
