"""Masks of any detectron2 model that gives instances: entity segmentation, Mask R-CNN and others.

No weights come with this package. Those of Entity Segmentation (Qi et al., PAMI 2022; the paper's
proposals) and of EntitySeg v2 are for non-commercial use: whoever wants them fetches them and
accepts their terms. All such models were trained on instance masks, which is more supervision than
the paper's image labels, and should be said where results are compared.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empaste_aug.bank.files import sha256_of
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.proposals.scored_masks import Selection
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

_LOADING = threading.Lock()


class Detectron2Masks:
    """Proposals from a detectron2 model's instances; their classes are ignored.

    The model takes detectron2's standard input, one photo, and gives "instances" with `pred_masks`
    and `scores`. A segment's `strength` is the score; they come by falling strength. The same
    photo gives the same segments on the same device. The model is loaded at the first call in
    each process, so that with several workers each of them holds it.

    Args:
        config_file: a yacs config (.yaml), a lazy config (.py), or the name of one of detectron2's
            model zoo, such as "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml".
        weights: a file, or an address that detectron2 can fetch (https://, detectron2://); None
            takes the zoo's, or what the config names. Like every pickle, a weight file can run
            code: load only what you trust.
        opts: overrides of the config, as detectron2's tools take them: for yacs "KEY", value,
            "KEY", value ...; for lazy configs "key=value" ...
        imports: what must be imported before, because it registers parts of the model:
            "module", or for yacs "module:function" of a function that adds keys to the config,
            such as "detectron2.projects.deeplab:add_deeplab_config".
        predictor: "module:Class" of a class in the manner of detectron2's `DefaultPredictor`, for
            models that need another input (CropFormer's crops): made from the yacs config and
            called with a BGR photo. None for the standard input.
        device: "cpu", "cuda", ...; it does not change the output beyond rounding.
        min_score: instances of a lower score are dropped. Models have thresholds of their own,
            such as yacs's MODEL.ROI_HEADS.SCORE_THRESH_TEST.
        min_area, max_overlap, max_segments: as in `Selection`. Models suppress duplicates within
            a class only; `max_overlap` does across classes.

    Raises:
        ArgumentError: an argument is out of range, a `weights` without "://" is no file, or torch
            finds no such device.
        MissingDependencyError: detectron2 is not installed.
    """

    name = "detectron2"

    def __init__(
        self,
        *,
        config_file: str | Path,
        weights: str | Path | None = None,
        opts: Sequence[Any] = (),
        imports: Sequence[str] = (),
        predictor: str | None = None,
        device: str = "cpu",
        min_score: float = 0.05,
        min_area: float = 0.0,
        max_overlap: float | None = 0.85,
        max_segments: int | None = None,
    ) -> None:
        if not 0 <= min_score <= 1:
            raise ArgumentError(f"min_score: must lie in [0, 1], got {min_score}")
        for argument, value in (("opts", opts), ("imports", imports)):
            if isinstance(value, str):
                raise ArgumentError(f"{argument}: must be a list, got the text {value!r}")
        self.selection = Selection(
            min_area=min_area, max_overlap=max_overlap, max_segments=max_segments
        )
        if weights is not None and "://" not in str(weights) and not Path(weights).is_file():
            raise ArgumentError(f"weights: {weights} is no file")
        if find_spec("detectron2") is None:
            raise MissingDependencyError("detectron2", "detectron2", "the 'detectron2' proposals")
        from empaste_aug.offline.classify.device import checked_device

        self.device = str(checked_device(device))
        self.config_file = str(config_file)
        self.weights = None if weights is None else str(weights)
        self.opts = tuple(opts)
        self.imports = tuple(imports)
        self.predictor = predictor
        self.min_score = min_score
        self._identity: dict[str, Any] | None = None
        self._model: Any = None
        self._read: Any = None

    def config(self) -> dict[str, Any]:
        """Everything that changes the output; config and weights are known by their content.

        Raises:
            ArgumentError: the config cannot be read, names no weights, or they cannot be fetched.
        """
        if self._identity is None:
            config = self._config()
            self._identity = {
                "config_sha256": config.fingerprint(),
                "weights_sha256": sha256_of(Path(self._weight_file(config))),
                "imports": list(self.imports),
                "predictor": self.predictor,
            }
        return (
            {"model": dict(self._identity)}
            | {"min_score": self.min_score}
            | self.selection.config()
        )

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        image_id: str = "",  # noqa: ARG002
    ) -> list[Segment]:
        """Segments of an (H, W, 3) uint8 RGB photo, by falling score.

        Raises:
            ArgumentError: the config cannot be read, or its model gives no instance masks.
            DatasetError: the weight file is broken, or lacks weights of the model.
        """
        with _LOADING:
            if self._model is None:
                self._model = self._open()
        instances = self._model(image).get("instances")
        if instances is None or not instances.has("pred_masks"):
            raise ArgumentError(f"config_file: {self.config_file}: its model gives no masks")
        size = (image.shape[0], image.shape[1])
        if tuple(instances.image_size) != size:
            raise DatasetError(
                f"{self.config_file}: the model answers at {tuple(instances.image_size)}, the "
                f"photo has {size}"
            )
        return self.selection.segments(
            _scored_masks(instances, self.min_score), size=size, source=self.name
        )

    def _config(self) -> Any:
        from empaste_aug.offline.proposals.detectron2_config import load_config

        if self._read is None:
            self._read = load_config(self.config_file, opts=self.opts, imports=self.imports)
        return self._read

    def _weight_file(self, config: Any) -> str:
        from detectron2.utils.file_io import PathManager

        address = self.weights or config.weights
        if not address:
            raise ArgumentError(f"weights: {self.config_file} names none, so a file is needed")
        try:
            path = str(PathManager.get_local_path(address))
        except Exception as error:  # those of the network among them
            raise ArgumentError(f"weights: {address} cannot be fetched: {error!r}") from error
        if not Path(path).is_file():
            raise ArgumentError(f"weights: {path}, which {self.config_file} names, is no file")
        return path

    def _open(self) -> Any:
        from empaste_aug.offline.proposals.detectron2_config import build_model, find_object
        from empaste_aug.offline.proposals.detectron2_predict import StandardPredictor

        config = self._config()
        weights = self._weight_file(config)
        if self.predictor is None:
            return StandardPredictor(config, build_model(config, weights, self.device))
        if config.lazy:
            raise ArgumentError(f"predictor: {self.config_file} is lazy; a yacs config is needed")
        node = config.node.clone()
        node.defrost()
        node.MODEL.DEVICE, node.MODEL.WEIGHTS = self.device, weights
        predict = find_object(self.predictor, "predictor")(node)
        return lambda image: predict(np.ascontiguousarray(image[..., ::-1]))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what was loaded."""
        return self.__dict__ | {"_model": None, "_read": None}


def _scored_masks(instances: Any, min_score: float) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Masks of the photo's size with their scores."""
    masks = getattr(instances.pred_masks, "tensor", instances.pred_masks)  # of BitMasks
    scores = instances.scores.tolist()
    for mask, score in zip(masks, scores, strict=True):
        if score >= min_score:
            yield (mask > 0.5).cpu().numpy(), score
