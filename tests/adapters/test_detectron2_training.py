"""The mapper in detectron2's loader with two workers, and a Mask R-CNN that learns from it."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from detectron2_data import CLASSES, write_photos

pytest.importorskip("detectron2")

import torch
from detectron2.data import (
    DatasetCatalog,
    MetadataCatalog,
    build_detection_train_loader,
)
from detectron2.modeling import build_model
from detectron2.solver import build_optimizer
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import EventStorage

from empaste_aug.adapters.detectron2 import EMPasteMapper

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_tiny.py"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:torch.meshgrid:UserWarning",
)


@pytest.fixture
def cfg(tmp_path, small_bank):
    """The shrunken Mask R-CNN on 24 photos, of which four show no object."""
    photos = write_photos(tmp_path / "photos", 20, size=(128, 128))
    empty = write_photos(tmp_path / "empty", 4, size=(128, 128), objects=(0, 0))
    name = "training_test"
    DatasetCatalog.register(name, lambda: photos + empty)
    MetadataCatalog.get(name).thing_classes = CLASSES
    cfg = runpy.run_path(str(CONFIG))["tiny_mask_rcnn"](len(CLASSES))
    cfg.DATASETS.TRAIN = (name,)
    cfg.EMPASTE.BANK = str(small_bank.path)
    cfg.EMPASTE.COUNT = (1, 4)
    yield cfg
    DatasetCatalog.remove(name)
    MetadataCatalog.pop(name)


def load(cfg, batches, seed=0):
    seed_all_rng(seed)
    loader = build_detection_train_loader(
        cfg, mapper=EMPasteMapper(cfg, is_train=True, keep_record=True)
    )
    return list(itertools.islice(iter(loader), batches))


def test_two_workers_hand_out_whole_batches_that_differ(cfg):
    samples = list(itertools.chain.from_iterable(load(cfg, 20)))
    assert len(samples) == 40
    placements = [sample["empaste_record"].placements for sample in samples]
    assert sum(map(bool, placements)) > 30
    assert len({p for per_image in placements for p in per_image}) == sum(map(len, placements))
    for sample in samples:
        masks = sample["instances"].gt_masks.tensor
        assert masks.flatten(1).any(dim=1).all()


def losses_of(cfg, batch):
    """One step's losses of a model with the same weights and the same draws every time."""
    torch.manual_seed(0)
    model = build_model(cfg).train()
    with EventStorage():
        return {name: loss.item() for name, loss in model(batch).items()}


@pytest.mark.parametrize("paste_after", [False, True])
def test_cropped_masks_give_the_same_losses_as_bitmasks(cfg, paste_after):
    """Through a worker, in the whole of Mask R-CNN."""
    cfg.DATALOADER.NUM_WORKERS = 1
    cfg.EMPASTE.PASTE_AFTER = paste_after
    losses = []
    for mask_format in ("bitmask", "cropped"):
        cfg.INPUT.MASK_FORMAT = mask_format
        losses.append(losses_of(cfg, load(cfg, 1)[0]))
    assert losses[0] == losses[1]
    assert losses[0]["loss_mask"] > 0


def test_the_loss_falls(cfg):
    cfg.INPUT.MASK_FORMAT = "cropped"
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    losses = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more threads wait for each other where others use the cores
    try:
        with EventStorage():
            for batch in load(cfg, cfg.SOLVER.MAX_ITER):
                loss = sum(model(batch).values())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
    finally:
        torch.set_num_threads(threads)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
