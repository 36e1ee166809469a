"""Masks of the Segment Anything family, by transformers' `mask-generation` pipeline.

SAM (Kirillov et al., ICCV 2023), SAM-HQ, SAM 2 and whatever else the pipeline takes. Nothing comes
with this package: a model is a name on the Hugging Face hub or a local folder. The weights of SAM
and SAM 2 are Apache-2.0; those of later ones have licences of their own. SAM was trained on masks
that people drew and checked, without classes: that is more supervision than the paper's image
labels, and should be said where results are compared.
"""

from __future__ import annotations

import hashlib
import threading
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

MODEL_FILES = (".json", ".safetensors", ".bin")
"""The files of a local folder that make up a model."""

_LOADING = threading.Lock()


class Sam:
    """Proposals from a grid of points, each answered with the masks that could be meant.

    A segment's `strength` is the IoU that the model predicts for its mask; they come by falling
    strength. The same photo gives the same segments on the same device. The model is loaded at
    the first call in each process, so that with several workers each of them holds it.

    Args:
        model: a local folder as `save_pretrained` writes it, or a name on the hub, such as
            "facebook/sam-vit-base" or "facebook/sam2.1-hiera-small".
        revision: of a hub model, a branch, tag or commit.
        local_files_only: take a hub model from the local cache alone; never download.
        device: "cpu", "cuda", ...; it does not change the output beyond rounding.
        points_per_side, points_per_batch, pred_iou_thresh, stability_score_thresh, box_nms_thresh,
            crop_n_layers, max_side: as in `PointGrid`; crops have the grid of the whole photo.
        min_area, max_overlap, max_segments: as in `Selection`.

    Raises:
        ArgumentError: an argument is out of range, `model` is a file, `revision` is given for a
            folder, or torch finds no such device.
        DatasetError: the folder holds no config.json.
        MissingDependencyError: transformers is not installed.
    """

    name = "sam"

    def __init__(
        self,
        *,
        model: str | Path,
        revision: str | None = None,
        local_files_only: bool = False,
        device: str = "cpu",
        points_per_side: int = PointGrid.points_per_side,
        points_per_batch: int = PointGrid.points_per_batch,
        pred_iou_thresh: float = PointGrid.pred_iou_thresh,
        stability_score_thresh: float = PointGrid.stability_score_thresh,
        box_nms_thresh: float = PointGrid.box_nms_thresh,
        crop_n_layers: int = PointGrid.crop_n_layers,
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
            max_side=max_side,
        )
        self.selection = Selection(
            min_area=min_area, max_overlap=max_overlap, max_segments=max_segments
        )
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingDependencyError(package, "offline", "the 'sam' proposals")
        from empaste_aug.offline.classify.device import checked_device

        self.device = str(checked_device(device))
        self.folder = _folder(model)
        if self.folder is not None and revision is not None:
            raise ArgumentError(f"revision: {model} is a local folder, which has none")
        self.model = str(model)
        self.revision = revision
        self.local_files_only = local_files_only
        self._identity: dict[str, str] | None = None
        self._pipeline: Any = None

    def config(self) -> dict[str, Any]:
        """Everything that changes the output; a model is known by its content.

        That is the hash of a folder's files, or the commit of a hub model.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        if self._identity is None:
            if self.folder is None:
                self._identity = {"commit": self._commit()}
            else:
                self._identity = {"sha256": _hash_of(self.folder)}
        return {"model": self._identity} | self.grid.config() | self.selection.config()

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        image_id: str = "",  # noqa: ARG002
    ) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo, by falling predicted IoU.

        Raises:
            ArgumentError: the hub has no such model.
            DatasetError: the model's files are broken, incomplete, or of no mask generator.
        """
        from PIL import Image

        with _LOADING:
            if self._pipeline is None:
                self._pipeline = self._open()
        output = self._pipeline(
            Image.fromarray(fit(image, self.grid.max_side)),
            points_per_crop=self.grid.points_per_side,
            points_per_batch=self.grid.points_per_batch,
            pred_iou_thresh=self.grid.pred_iou_thresh,
            stability_score_thresh=self.grid.stability_score_thresh,
            crops_nms_thresh=self.grid.box_nms_thresh,
            crops_n_layers=self.grid.crop_n_layers,
        )
        masks = (np.asarray(mask, dtype=bool) for mask in output["masks"])
        return self.selection.segments(
            zip(masks, output["scores"].tolist(), strict=True),
            size=(image.shape[0], image.shape[1]),
            source=self.name,
        )

    def _commit(self) -> str:
        """The commit that a hub model's name and revision stand for."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = hf_hub_download(
                self.model,
                "config.json",
                revision=self.revision,
                local_files_only=self.local_files_only,
            )
        except (OSError, ValueError, EntryNotFoundError) as error:
            at = "" if self.revision is None else f" at {self.revision!r}"
            raise ArgumentError(
                f"model: {self.model!r}{at} is neither a folder nor to be had from the hub: {error}"
            ) from error
        return Path(path).parent.name  # the cache keeps each commit in a folder of that name

    def _open(self) -> Any:
        from transformers import AutoImageProcessor, AutoModelForMaskGeneration, pipeline

        where: dict[str, Any] = {"local_files_only": True}
        if self.folder is None:
            identity = self.config()["model"]
            where = {"revision": identity["commit"], "local_files_only": self.local_files_only}
        try:
            model, loaded = AutoModelForMaskGeneration.from_pretrained(
                self.model, output_loading_info=True, **where
            )
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                self.model, **where
            )
        except Exception as error:  # each library underneath has its own
            raise DatasetError(
                f"{self.model}: cannot be loaded as a mask generator: {error}"
            ) from error
        if loaded["missing_keys"]:
            missing = sorted(loaded["missing_keys"])
            raise DatasetError(
                f"{self.model}: its weights lack {len(missing)} tensors, such as {missing[0]}"
            )
        return pipeline(
            "mask-generation", model=model, image_processor=processor, device=self.device
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the model."""
        return self.__dict__ | {"_pipeline": None}


def _folder(model: str | Path) -> Path | None:
    """The local folder that `model` names, None for a name on the hub."""
    path = Path(model)
    if path.is_file():
        raise ArgumentError(
            f"model: {path} is a file; a folder or a hub name is needed (the method "
            "'segment_anything' takes checkpoint files)"
        )
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise DatasetError(f"{path}: holds no config.json, so it is no model of transformers")
        return path
    if isinstance(model, Path) or path.is_absolute() or str(model).startswith((".", "~")):
        raise ArgumentError(f"model: {path} does not exist")
    return None


def _hash_of(folder: Path) -> str:
    """SHA-256 of the names and contents of a model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in MODEL_FILES and path.is_file():
            digest.update(f"{path.name}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()
