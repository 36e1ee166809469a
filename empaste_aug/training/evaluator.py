"""detectron2's COCOEvaluator with pycocotools alone, one table, JSON and CSV."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.data.datasets.coco import convert_to_coco_dict
from detectron2.evaluation import COCOEvaluator
from detectron2.utils import comm

from empaste_aug.bank.files import atomic_file
from empaste_aug.training.ap_report import APReport, format_report, report_of, write_report
from empaste_aug.training.instance_ap import match_instances

logger = logging.getLogger(__name__)

_OURS = ("segm", "bbox")


class InstanceEvaluator(COCOEvaluator):  # type: ignore[misc]
    """COCOEvaluator for any registered instance data set, VOC's among them.

    It returns COCOEvaluator's results, and "AP50-<class>" beside "AP-<class>"; it prints them as
    one table on stdout, and writes `ap.json` and `ap.csv` to `output_dir`, beside COCOEvaluator's
    files. What differs: predictions are matched by pycocotools, never by detectron2's own C++
    version, objects with ``ignore`` are heeded (see `match_instances`), and a model that predicts
    nothing has AP 0, not NaN. NaN is what has no object to find.

    Data sets without a `json_file` are converted to COCO's form in `output_dir`: by the
    `coco_form` of their metadata (see `register_instances`), else by detectron2.

    Args:
        dataset_name: registered, with `thing_classes`.
        output_dir: where the files go; it is made.
        tasks: "bbox", "segm", "keypoints"; None: what the predictions hold.
        max_dets_per_image: the best predictions of each image and class that count.
        further_arguments: COCOEvaluator's.

    Attributes:
        report: of the last evaluation, on the main process; None before.
    """

    def __init__(
        self,
        dataset_name: str,
        output_dir: str | Path,
        *,
        tasks: Sequence[str] | None = None,
        max_dets_per_image: int | None = None,
        **further_arguments: Any,
    ) -> None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        ensure_coco_json(dataset_name, Path(output_dir))
        further_arguments["use_fast_impl"] = False
        super().__init__(
            dataset_name,
            tasks=tasks,
            output_dir=str(output_dir),
            max_dets_per_image=max_dets_per_image,
            **further_arguments,
        )
        self._dataset_name = dataset_name
        self._max_detections = 100 if max_dets_per_image is None else max_dets_per_image
        self.report: APReport | None = None

    def _eval_predictions(
        self, predictions: list[dict[str, Any]], img_ids: Sequence[Any] | None = None
    ) -> None:
        """COCOEvaluator's step, which fills `_results`; keypoints are left to it."""
        results = list(chain.from_iterable(entry["instances"] for entry in predictions))
        wanted = self._tasks or self._tasks_from(results)
        others = [task for task in wanted if task not in _OURS]
        if others:
            super()._eval_predictions(
                [{**p, "instances": [dict(r) for r in p["instances"]]} for p in predictions],
                img_ids=img_ids,
            )
        ids = self._metadata.get("thing_dataset_id_to_contiguous_id")
        if ids is None:
            ids = {
                entry["id"]: number
                for number, entry in enumerate(
                    sorted(self._coco_api.dataset["categories"], key=lambda entry: entry["id"])
                )
            }
        original = {contiguous: category for category, contiguous in ids.items()}
        results = [{**r, "category_id": original[r["category_id"]]} for r in results]
        with atomic_file(Path(self._output_dir) / "coco_instances_results.json", shared=True) as f:
            f.write(json.dumps(results).encode())
        if not self._do_evaluation:
            logger.info(f"{self._dataset_name} has no annotations: nothing is evaluated")
            return
        truth = self._coco_api.dataset
        if img_ids is not None:
            chosen = set(img_ids)
            truth = {
                **truth,
                "images": [i for i in truth["images"] if i["id"] in chosen],
                "annotations": [a for a in truth["annotations"] if a["image_id"] in chosen],
            }
            results = [result for result in results if result["image_id"] in chosen]
        matches = {
            task: match_instances(
                truth, results, iou_type=task, max_detections=self._max_detections
            )
            for task in _OURS
            if task in wanted
        }
        if not matches:
            return
        self.report = report_of(self._dataset_name, matches)
        self._results.update(self.report.detectron2_results())
        files = write_report(self.report, Path(self._output_dir))
        print(format_report(self.report), flush=True)
        print(" ".join(f"-> {file}" for file in files), flush=True)

    def _tasks_from(self, results: list[dict[str, Any]]) -> list[str]:
        """What to evaluate; without any prediction, all that the truth has."""
        if results:
            found: list[str] = self._tasks_from_predictions(results)
            return found
        annotations = self._coco_api.dataset.get("annotations", [])
        has_masks = any(annotation.get("segmentation") for annotation in annotations)
        return ["bbox", "segm"] if has_masks else ["bbox"]


def ensure_coco_json(dataset_name: str, folder: Path) -> Path:
    """The data set's COCO json: its own, or one that is written to `folder`, if it is not there.

    The category ids of such a file are the contiguous ones, as detectron2's own.
    """
    metadata = MetadataCatalog.get(dataset_name)
    form = metadata.get("coco_form")
    path = Path(metadata.get("json_file") or folder / f"{dataset_name}_coco_format.json")
    if metadata.get("json_file") and (form is None or path.is_file()):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    truth = convert_to_coco_dict(dataset_name) if form is None else form()
    truth["info"].pop("date_created", None)  # else each run would write another file
    content = json.dumps(truth).encode()
    if not path.is_file() or path.read_bytes() != content:
        with atomic_file(path, shared=True) as file:
            file.write(content)
        if comm.is_main_process():
            logger.info(f"{dataset_name} in COCO's form: {path}")
    metadata.json_file = str(path)
    return path
