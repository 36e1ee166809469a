"""The study's detector: a small Mask R-CNN, its training on a CPU, and its predictions."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import transforms as T  # noqa: N812
from detectron2.modeling import build_model
from detectron2.structures import Instances
from detectron2.utils.events import EventStorage
from pycocotools import mask as coco_mask

from empaste_aug.bank.files import atomic_file
from empaste_aug.configs.mask_rcnn_tiny import tiny_mask_rcnn
from empaste_aug.imageio import read_image
from empaste_aug.training.timm_backbone import add_timm_config, set_timm_input
from empaste_aug.training.trainer import continue_stream

SIDE = 256
"""Of the training crops, in pixels."""

TEST_SIDE = 320
"""The longer side of the photos that are evaluated; areas are measured at it too."""


EVERY = 300
"""Iterations from one checkpoint to the next."""


@dataclass(frozen=True)
class Schedule:
    """How a run trains; the same for every variant.

    Attributes:
        iterations: of `batch_size` images.
        learning_rate: AdamW's, after a linear warmup of a twentieth; cosine to zero.
        batch_size: images.
        weight_decay: AdamW's.
        ema: decay of the averaged weights that are evaluated.
    """

    iterations: int = 1800
    learning_rate: float = 5e-4
    batch_size: int = 4
    weight_decay: float = 0.05
    ema: float = 0.998

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied by."""
        warmup = max(1, self.iterations // 20)
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.iterations - warmup)))


def augmentations() -> list[T.Augmentation]:
    """Large-scale jittering for small crops; brightness and contrast as in the paper."""
    return [
        T.RandomApply(T.RandomBrightness(0.8, 1.2), prob=0.5),
        T.RandomApply(T.RandomContrast(0.8, 1.2), prob=0.5),
        T.ResizeScale(0.6, 1.6, SIDE, SIDE),
        T.FixedSizeCrop((SIDE, SIDE)),
        T.RandomFlip(),
    ]


def study_config(num_classes: int) -> CfgNode:
    """The demo's small Mask R-CNN on EfficientNet-lite0 with ImageNet weights, a size larger."""
    cfg = tiny_mask_rcnn(num_classes)
    add_timm_config(cfg)
    model = cfg.MODEL
    model.BACKBONE.NAME = "build_timm_fpn_backbone"
    model.BACKBONE.FREEZE_AT = 3
    model.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    model.ANCHOR_GENERATOR.SIZES = [[16], [32], [64], [128], [256]]
    model.RPN.PRE_NMS_TOPK_TRAIN = model.RPN.PRE_NMS_TOPK_TEST = 300
    model.RPN.POST_NMS_TOPK_TRAIN = model.RPN.POST_NMS_TOPK_TEST = 200
    model.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 64
    model.ROI_HEADS.SCORE_THRESH_TEST = 0.02
    model.ROI_BOX_HEAD.FC_DIM = 256
    model.ROI_MASK_HEAD.NUM_CONV = 4
    model.ROI_MASK_HEAD.NORM = "GN"
    model.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK = True
    for head in (model.ROI_BOX_HEAD, model.ROI_MASK_HEAD):
        head.POOLER_SAMPLING_RATIO = 2
    set_timm_input(cfg)
    return cfg


@dataclass
class Trained:
    """A finished training.

    Attributes:
        model: with the averaged weights, in evaluation mode.
        seconds: that it took.
        wait_share: of these, waiting for data, after the first 20 steps.
        losses: the mean total loss of each twentieth of the run.
    """

    model: torch.nn.Module
    seconds: float
    wait_share: float
    losses: list[float]


def train(
    cfg: CfgNode,
    loader: Iterable[list[dict[str, Any]]],
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
) -> Trained:
    """Train from ImageNet weights, or go on from the checkpoint, to the same model.

    Args:
        cfg: of `study_config`.
        loader: of `build_empaste_train_loader`; it never ends.
        schedule: of the run.
        seed: of the new weights and the samples of proposals.
        checkpoint: written every `EVERY` iterations; the caller removes it.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (detectron2 samples proposals with it)
    model = build_model(cfg).train().to(memory_format=torch.channels_last)  # a quarter faster
    average = copy.deepcopy(model).eval()
    decayed, others = [], []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else others).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": decayed}, {"params": others, "weight_decay": 0.0}],
        lr=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
    )
    modules = {"model": model, "average": average, "optimizer": optimizer}
    losses, waited, seconds = _load(checkpoint, modules)
    storage = EventStorage()  # detectron2's heads write into it
    continue_stream(loader, len(losses))
    batches = iter(loader)
    start = time.perf_counter() - seconds
    for step in range(len(losses), schedule.iterations):
        before = time.perf_counter()
        batch = next(batches)
        waited.append(time.perf_counter() - before)
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * schedule.factor(step)
        with storage:
            loss = sum(model(batch).values())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*decayed, *others], 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"step {step}: the loss is {losses[-1]}")
        _average(average, model, min(schedule.ema, (1 + step) / (10 + step)))
        if (step + 1) % EVERY == 0:
            _save(checkpoint, modules, losses, waited, time.perf_counter() - start)
            recent = sum(losses[-EVERY:]) / EVERY
            print(f"{checkpoint.stem}: {step + 1} iterations, mean loss {recent:.3f}", flush=True)
    seconds = time.perf_counter() - start
    parts = np.array_split(np.array(losses), min(20, len(losses)))
    share = sum(waited[20:]) / max(seconds - sum(waited[:20]), 1e-9)
    return Trained(average, seconds, share, [round(float(part.mean()), 4) for part in parts])


def _save(
    path: Path,
    modules: Mapping[str, Any],
    losses: Sequence[float],
    waited: Sequence[float],
    seconds: float,
) -> None:
    state = {name: module.state_dict() for name, module in modules.items()}
    random = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    with atomic_file(path) as file:
        torch.save(state | {"progress": (losses, waited, seconds), "random": random}, file)


def _load(path: Path, modules: Mapping[str, Any]) -> tuple[list[float], list[float], float]:
    """Losses and waits of the steps done, and the seconds they took."""
    if not path.is_file():
        return [], [], 0.0
    state = torch.load(path, weights_only=False)
    for name, module in modules.items():
        module.load_state_dict(state[name])
    torch.set_rng_state(state["random"][0])
    np.random.set_state(state["random"][1])  # noqa: NPY002
    losses, waited, seconds = state["progress"]
    return losses, waited, seconds


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        if value.requires_grad:
            mean.lerp_(value, 1 - decay)


@torch.no_grad()
def predict(model: torch.nn.Module, photos: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predictions in COCO's result format, in the photos' own pixels.

    Args:
        model: as `train` leaves it.
        photos: dicts with `file_name` and `image_id`.
    """
    results = []
    for photo in photos:
        image = read_image(photo["file_name"])
        height, width = image.shape[:2]
        scale = TEST_SIDE / max(height, width)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        tensor = torch.from_numpy(small.transpose(2, 0, 1).copy())
        [output] = model([{"image": tensor, "height": height, "width": width}])
        results += _as_coco(output["instances"], photo["image_id"])
    return results


def _as_coco(instances: Instances, image_id: str) -> list[dict[str, Any]]:
    found = []
    for mask, score, category in zip(
        instances.pred_masks.numpy(),
        instances.scores.tolist(),
        instances.pred_classes.tolist(),
        strict=True,
    ):
        rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        found.append(
            {
                "image_id": image_id,
                "category_id": category,
                "score": round(score, 5),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    return found
