"""Average precision of instances by pycocotools, for any area ranges and groups of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from copy import copy
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from empaste_aug.training._coco_parts import (
    CocoParts,
    as_pycocotools,
    read_results,
    read_truth,
)
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

try:
    from pycocotools.cocoeval import COCOeval
except ImportError as error:
    raise MissingDependencyError("pycocotools", "detectron2", "average precision") from error

COCO_AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, float("inf")),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, float("inf")),
}
"""COCO's ranges of areas in pixels; both ends belong to a range."""

COCO_THRESHOLDS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
"""The IoUs over which COCO averages: 0.5, 0.55, ..., 0.95."""


class Matches:
    """Predictions matched to the truth, of which average precisions are taken.

    Made by `match_instances`. Precisions are in [0, 100]; NaN where there is no object to find.

    Attributes:
        class_names: what the precisions are of: the data set's classes, or the groups.
        counts: (classes,) int64: the objects of each class that count, of any area.
        image_ids: the images' ids, in the order that `images` of `ap` counts them.
        areas: the ranges' names.
        iou_thresholds: at which predictions were matched.
    """

    def __init__(
        self,
        parts: CocoParts,
        evaluation: Any,
        areas: Sequence[str],
        iou_thresholds: Sequence[float],
    ) -> None:
        self.class_names = parts.class_names
        self.counts = parts.counts
        self.image_ids = parts.image_ids
        self.areas = tuple(areas)
        self.iou_thresholds = tuple(iou_thresholds)
        self._evaluation = evaluation
        self._precision: NDArray[np.float64] | None = None

    def ap(
        self, *, iou: float | None = None, area: str | None = None, images: ArrayLike | None = None
    ) -> float:
        """The mean over the classes that have objects; NaN where none has.

        Args:
            iou: one of `iou_thresholds`; None: the mean over all of them.
            area: one of `areas`; None: the first.
            images: (N,) positions in `image_ids`, with repeats: as if these were the data set, for
                a bootstrap. None: each image once.

        Raises:
            ArgumentError: `iou` or `area` was not matched at, or a position is out of range.
        """
        per_class = self.ap_per_class(iou=iou, area=area, images=images)
        known = per_class[~np.isnan(per_class)]
        return float(known.mean()) if known.size else float("nan")

    def ap_per_class(
        self, *, iou: float | None = None, area: str | None = None, images: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """(classes,) each class's own; the arguments are those of `ap`."""
        chosen = slice(None) if iou is None else [self._position("iou", iou, self.iou_thresholds)]
        at = 0 if area is None else self._position("area", area, self.areas)
        precision = self._precision_of(images)[chosen, :, at]
        result: NDArray[np.float64] = 100.0 * precision.mean(axis=0)
        return result

    def _position(self, argument: str, value: Any, known: Sequence[Any]) -> int:
        for position, other in enumerate(known):
            if value == other or (argument == "iou" and abs(value - other) < 1e-9):
                return position
        raise ArgumentError(f"{argument}: {value!r} is none of {list(known)}")

    def _precision_of(self, images: ArrayLike | None) -> NDArray[np.float64]:
        """(thresholds, classes, areas) the mean over recalls; NaN where there is no object."""
        if images is None:
            if self._precision is None:
                self._precision = _accumulated(self._evaluation)
            return self._precision
        positions = np.asarray(images)
        size = len(self.image_ids)
        if positions.ndim != 1 or positions.dtype.kind not in "iu":
            raise ArgumentError(
                f"images: {positions.dtype} of shape {positions.shape}; expected (N,) integers"
            )
        if positions.size == 0 or positions.min() < 0 or positions.max() >= size:
            raise ArgumentError(f"images: expected one or more positions from 0 to {size - 1}")
        drawn = copy(self._evaluation)
        drawn.params = copy(drawn.params)
        drawn.params.imgIds = list(range(len(positions)))
        drawn._paramsEval = drawn.params
        blocks = len(self.class_names) * len(self.areas)
        per_image = self._evaluation.evalImgs  # class by class, area by area, image by image
        drawn.evalImgs = [
            per_image[block * size + position]
            for block in range(blocks)
            for position in positions.tolist()
        ]
        return _accumulated(drawn)


def match_instances(
    truth: Mapping[str, Any] | str | Path,
    results: Sequence[Mapping[str, Any]] | str | Path,
    *,
    iou_type: str = "segm",
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    iou_thresholds: Sequence[float] = COCO_THRESHOLDS,
    groups: Mapping[str, Sequence[str]] | None = None,
    long_side: float | None = None,
    max_detections: int = 100,
) -> Matches:
    """Match predictions to the truth as COCO does.

    An object outside of an area range counts neither way there, nor does an unmatched prediction
    outside of it. Crowd regions (``iscrowd``) take any number of predictions, which then count
    neither way. Objects with ``ignore`` are as VOC's difficult ones: the one prediction that
    matches such an object counts neither way, and not to find it costs nothing. (pycocotools alone
    overwrites that flag.)

    Args:
        truth: a COCO instances json, or its content. Of each annotation: image_id, category_id,
            area, bbox, segmentation for "segm", and if they are there iscrowd and ignore.
        results: predictions in COCO's result format, or the json file: dicts of image_id,
            category_id, score, and segmentation (RLE) or bbox (XYWH).
        iou_type: "segm" or "bbox".
        areas: range's name -> (low, high) in pixels, both inclusive. As in COCO, the area of an
            object is that of its mask, also for boxes.
        iou_thresholds: ascending, each in (0, 1).
        groups: group's name -> the classes in it, which become one class; classes in no group are
            left out, their predictions too. One object predicted as two classes of a group is two
            predictions of the group, of which one is wrong.
        long_side: measure areas as if each image were resized so that its longer side has so many
            pixels; None: in the image's own pixels.
        max_detections: of each image and class, the best that count.

    Raises:
        ArgumentError: an argument is out of range, a group names an unknown class or two groups
            the same, or `results` is no list of predictions, or one of them has no such image or
            category, or not what `iou_type` needs.
        DatasetError: a file cannot be read or holds something else, or `truth` is no COCO instances
            content.

    Example:
        AP50 of objects of more than 48 x 48 pixels in images of 320, and its 95 % interval:

        >>> truth = {
        ...     "images": [{"id": 7, "height": 320, "width": 160}],
        ...     "categories": [{"id": 1, "name": "cat"}],
        ...     "annotations": [
        ...         {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 80, 80], "area": 6400}
        ...     ],
        ... }
        >>> found = [{"image_id": 7, "category_id": 1, "score": 0.5, "bbox": [0, 0, 80, 60]}]
        >>> matches = match_instances(
        ...     truth, found, iou_type="bbox", areas={"large": (48**2, float("inf"))}, long_side=320
        ... )
        >>> round(matches.ap(iou=0.5), 3), round(matches.ap(), 3)
        (100.0, 60.0)
        >>> rng = np.random.default_rng(0)
        >>> drawn = [matches.ap(iou=0.5, images=rng.integers(1, size=1)) for _ in range(3)]
        >>> np.percentile(drawn, [2.5, 97.5]).round(3).tolist()
        [100.0, 100.0]
    """
    if iou_type not in ("segm", "bbox"):
        raise ArgumentError(f"iou_type: must be 'segm' or 'bbox', not {iou_type!r}")
    if not areas or any(not 0 <= low < high for low, high in areas.values()):
        raise ArgumentError(f"areas: {dict(areas)!r}; each needs 0 <= low < high")
    thresholds = np.asarray(iou_thresholds, dtype=np.float64)
    if thresholds.size == 0 or (thresholds <= 0).any() or (thresholds >= 1).any():
        raise ArgumentError(f"iou_thresholds: {list(iou_thresholds)}; each must lie within (0, 1)")
    if long_side is not None and not long_side > 0:
        raise ArgumentError(f"long_side: must be positive, not {long_side}")
    if max_detections < 1:
        raise ArgumentError(f"max_detections: must be at least 1, not {max_detections}")
    parts = read_truth(_content(truth, "truth"), iou_type, groups, long_side)
    predictions = _content(results, "results")
    if isinstance(results, (str, Path)) and not isinstance(predictions, list):
        raise DatasetError(f"{results}: holds no list of predictions (results)")
    found = read_results(predictions, parts, iou_type)
    with redirect_stdout(StringIO()):
        evaluation = _Evaluation(
            as_pycocotools(parts, parts.annotations), as_pycocotools(parts, found), iou_type
        )
        evaluation.params.areaRng = [list(bounds) for bounds in areas.values()]
        evaluation.params.areaRngLbl = list(areas)
        evaluation.params.iouThrs = thresholds
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
    return Matches(parts, evaluation, tuple(areas), tuple(thresholds.tolist()))


class _Evaluation(COCOeval):  # type: ignore[misc]
    """COCOeval, which keeps the `ignore` of annotations."""

    def _prepare(self) -> None:
        ignored = {key for key, ann in self.cocoGt.anns.items() if ann["ignore"]}
        super()._prepare()
        for of_one_class in self._gts.values():
            for annotation in of_one_class:
                if annotation["id"] in ignored:
                    annotation["ignore"] = 1


def _accumulated(evaluation: Any) -> NDArray[np.float64]:
    """(thresholds, classes, areas) of per-image matches."""
    with redirect_stdout(StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # (thresholds, recalls, classes, areas)
    absent = (precision < 0).all(axis=1)
    means: NDArray[np.float64] = np.where(absent, np.nan, precision.mean(axis=1))
    return means


def _content(source: Any, argument: str) -> Any:
    if not isinstance(source, (str, Path)):
        return source
    try:
        return json.loads(Path(source).read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"{source}: no such file ({argument})") from None
    except ValueError as error:
        raise DatasetError(f"{source}: cannot be read as json: {error}") from error
