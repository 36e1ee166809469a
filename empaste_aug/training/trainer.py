"""detectron2's DefaultTrainer with EM-Paste, its statistics, its loader and our evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer, hooks
from detectron2.evaluation import (
    COCOPanopticEvaluator,
    DatasetEvaluator,
    DatasetEvaluators,
    LVISEvaluator,
    PascalVOCDetectionEvaluator,
    SemSegEvaluator,
)

from empaste_aug.adapters.detectron2 import EMPasteMapper, build_empaste_train_loader
from empaste_aug.training.evaluator import InstanceEvaluator
from empaste_aug.training.hooks import PasteStatistics, SeededSteps
from empaste_aug.training.statistics import CountingLoader
from empaste_aug.training.weights import checkpoint_errors
from empaste_aug.types import ArgumentError


class EMPasteTrainer(DefaultTrainer):  # type: ignore[misc]
    """DefaultTrainer for a yacs config with the keys of `add_empaste_config`.

    - The loader is `build_empaste_train_loader`: the same samples for any number of workers. With
      ``SEED >= 0`` a resumed run ends with the model of one that was never stopped (on a CPU to the
      bit), as each step draws from a seed of its own: see `SeededSteps`.
    - What was pasted is in the event storage: see `PasteStatistics`.
    - Data sets are evaluated by `InstanceEvaluator`, into OUTPUT_DIR/inference/<data set>, or as
      the `evaluator_type` of their metadata says.

    Example:
        >>> from empaste_aug.training.configuration import load_config
        >>> cfg = load_config("mask_rcnn_R_50_FPN_empaste.yaml", ["EMPASTE.BANK", "out/bank"])
        >>> trainer = EMPasteTrainer(cfg)
        >>> trainer.resume_or_load(resume=True)
        >>> trainer.train()
    """

    @classmethod
    def build_train_loader(cls, cfg: CfgNode) -> CountingLoader:
        """The stream of samples, counted; records are kept whatever EMPASTE.KEEP_RECORD says."""
        mapper = EMPasteMapper(cfg, is_train=True)
        mapper.keep_record = True
        loader = build_empaste_train_loader(cfg, mapper=mapper)
        return CountingLoader(loader, lambda: mapper.paste)

    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> DatasetEvaluator:
        """What evaluates a data set."""
        folder = Path(cfg.OUTPUT_DIR) / "inference" / dataset_name
        return build_evaluator(
            dataset_name,
            folder,
            tasks=tasks_of(cfg),
            max_dets_per_image=cfg.TEST.DETECTIONS_PER_IMAGE,
        )

    def build_hooks(self) -> list[hooks.HookBase]:
        """DefaultTrainer's, and ours after the timer."""
        built: list[hooks.HookBase] = super().build_hooks()
        cfg = self.cfg
        statistics = PasteStatistics(
            self.data_loader,
            dataset_names=cfg.DATASETS.TRAIN,
            image_format=cfg.INPUT.FORMAT,
            checkpoint_period=cfg.SOLVER.CHECKPOINT_PERIOD,
        )
        return with_our_hooks(built, statistics, cfg.SEED)

    def resume_or_load(self, resume: bool = True) -> None:
        """DefaultTrainer's; the stream goes on where the checkpoint was written.

        Raises:
            ArgumentError: MODEL.WEIGHTS or the last checkpoint cannot be read.
        """
        weights = self.cfg.MODEL.WEIGHTS
        with checkpoint_errors(self.checkpointer, "MODEL.WEIGHTS", weights, resume=resume):
            super().resume_or_load(resume)
        continue_stream(self.data_loader, self.start_iter)

    @classmethod
    def evaluate(cls, cfg: CfgNode, *, resume: bool) -> dict[str, Any]:
        """Evaluate MODEL.WEIGHTS, or with `resume` the last checkpoint, on DATASETS.TEST."""
        model = cls.build_model(cfg)
        checkpointer = DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR)
        weights = cfg.MODEL.WEIGHTS
        with checkpoint_errors(checkpointer, "MODEL.WEIGHTS", weights, resume=resume):
            checkpointer.resume_or_load(weights, resume=resume)
        results: dict[str, Any] = cls.test(cfg, model)
        return results


def has_regions(cfg: CfgNode) -> bool:
    """Whether the model is one of detectron2's that MODEL.ROI_HEADS is for."""
    return cfg.MODEL.META_ARCHITECTURE in ("GeneralizedRCNN", "PanopticFPN")


def tasks_of(cfg: CfgNode) -> tuple[str, ...] | None:
    """What the model predicts, where it is one of detectron2's with regions; None: not known."""
    if not has_regions(cfg):
        return None
    masks = ("segm",) if cfg.MODEL.MASK_ON else ()
    keypoints = ("keypoints",) if cfg.MODEL.KEYPOINT_ON else ()
    return ("bbox", *masks, *keypoints)


def build_evaluator(
    dataset_name: str,
    folder: Path,
    *,
    tasks: Sequence[str] | None = None,
    max_dets_per_image: int | None = None,
) -> DatasetEvaluator:
    """An evaluator by the `evaluator_type` of a data set's metadata, which writes to `folder`.

    Instances are evaluated by `tasks` ("bbox", "segm", "keypoints"); None: by what is predicted.

    Raises:
        ArgumentError: there is none for this type.
    """
    kind = MetadataCatalog.get(dataset_name).get("evaluator_type", "coco")
    where: dict[str, Any] = {"dataset_name": dataset_name, "output_dir": str(folder)}
    limits: dict[str, Any] = {"tasks": tasks, "max_dets_per_image": max_dets_per_image}
    if kind == "coco":
        return InstanceEvaluator(**where, **limits)
    if kind == "lvis":
        return LVISEvaluator(**where)
    if kind == "pascal_voc":
        return PascalVOCDetectionEvaluator(dataset_name)
    if kind == "sem_seg":
        return SemSegEvaluator(**where)
    if kind == "coco_panoptic_seg":
        return DatasetEvaluators(
            [
                SemSegEvaluator(**where),
                InstanceEvaluator(**where, **limits),
                COCOPanopticEvaluator(**where),
            ]
        )
    raise ArgumentError(
        f"DATASETS.TEST: {dataset_name!r} has the evaluator_type {kind!r}, for which there is no "
        "evaluator here; override EMPasteTrainer.build_evaluator"
    )


def with_our_hooks(
    built: Iterable[hooks.HookBase], statistics: PasteStatistics, seed: int | None
) -> list[hooks.HookBase]:
    """The hooks, with the statistics after the timer, and seeded steps where there is a seed."""
    ours: list[hooks.HookBase] = [statistics]
    if seed is not None and seed >= 0:
        ours.append(SeededSteps(seed))
    timer, *others = built
    return [timer, *ours, *others]


def continue_stream(loader: Any, start_iteration: int) -> None:
    """Tell a loader of `build_empaste_train_loader` how many iterations were consumed before."""
    sampler: Any = getattr(loader, "batch_sampler", None)
    if hasattr(sampler, "start_iteration"):
        sampler.start_iteration = start_iteration
