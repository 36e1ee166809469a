"""The shipped configs load and make a mapper and a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from detectron2_data import CLASSES, write_photos

pytest.importorskip("detectron2")

import torch
from detectron2.config import LazyConfig, get_cfg, instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model

from empaste_aug.adapters.detectron2 import (
    CroppedMasks,
    EMPasteMapper,
    add_empaste_config,
    build_empaste_train_loader,
)

CONFIGS = Path(__file__).parents[1] / "configs"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:pkg_resources is deprecated:UserWarning",
)


@pytest.fixture
def dataset_name(tmp_path):
    photos = write_photos(tmp_path / "photos", 3)
    name = "configs_test"
    DatasetCatalog.register(name, lambda: photos)
    MetadataCatalog.get(name).thing_classes = CLASSES
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.pop(name)


def test_lazy_config(small_bank, dataset_name):
    cfg = LazyConfig.load(str(CONFIGS / "mask_rcnn_R_50_FPN_empaste.py"))
    assert {"model", "dataloader", "optimizer", "lr_multiplier", "train"} <= cfg.keys()
    assert cfg.dataloader.train.seed == 0  # runs repeat, and can be resumed
    overrides = [
        f"dataloader.train.dataset.names={dataset_name}",
        f"dataloader.train.mapper.paste.bank={small_bank.path}",
        "dataloader.train.mapper.paste.count=[2,3]",
        "dataloader.train.mapper.paste.placement=space_maximize",
        "dataloader.train.num_workers=0",
        "dataloader.train.total_batch_size=2",
        f"model.roi_heads.num_classes={len(CLASSES)}",
    ]
    cfg = LazyConfig.apply_overrides(cfg, overrides)
    batch, again = (next(iter(instantiate(cfg.dataloader.train))) for _ in range(2))
    assert len(batch) == 2
    assert all(len(sample["instances"]) > 0 for sample in batch)
    assert all(isinstance(sample["instances"].gt_masks, CroppedMasks) for sample in batch)
    for sample, same in zip(batch, again, strict=True):
        assert torch.equal(sample["image"], same["image"])
    mapper = instantiate(cfg.dataloader.train.mapper)
    assert isinstance(mapper, EMPasteMapper)
    assert mapper.paste.class_names == tuple(CLASSES)
    assert mapper.paste.count == (2, 3)
    assert mapper.paste.placement.placement == "space_maximize"
    model = instantiate(cfg.model)
    assert model.roi_heads.num_classes == len(CLASSES)
    assert not instantiate(cfg.dataloader.test.mapper).is_train


def test_the_lazy_config_survives_a_dump(small_bank, dataset_name, tmp_path):
    """As lazyconfig_train_net.py writes one beside every run."""
    cfg = LazyConfig.load(str(CONFIGS / "mask_rcnn_R_50_FPN_empaste.py"))
    cfg.dataloader.train.dataset.names = dataset_name
    cfg.dataloader.train.mapper.paste.bank = str(small_bank.path)
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    dumped = LazyConfig.load(str(tmp_path / "config.yaml"))
    mapper = instantiate(dumped.dataloader.train.mapper)
    assert isinstance(mapper, EMPasteMapper)
    assert mapper.paste.count == (4, 4)
    assert mapper.paste.selection == "uniform"


def test_yacs_config(small_bank, dataset_name):
    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.merge_from_file(str(CONFIGS / "mask_rcnn_R_50_FPN_empaste.yaml"))
    cfg.merge_from_list(["EMPASTE.BANK", str(small_bank.path), "MODEL.DEVICE", "cpu"])
    assert cfg.SEED == 0
    cfg.DATASETS.TRAIN = (dataset_name,)
    mapper = EMPasteMapper(cfg, is_train=True)
    assert mapper.paste.count == (4, 4)
    assert mapper.paste.selection == "uniform"
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = 1, 0
    sample = next(iter(build_empaste_train_loader(cfg)))[0]
    assert len(sample["instances"]) > 0
    assert sample["instances"].gt_masks.to_bitmasks().nonempty().all()
    assert build_model(cfg).roi_heads.num_classes == 80


def test_the_yacs_model_is_that_of_detectron2s_model_zoo():
    from detectron2 import model_zoo

    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.merge_from_file(str(CONFIGS / "mask_rcnn_R_50_FPN_empaste.yaml"))
    zoo = model_zoo.get_config("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml")
    assert cfg.MODEL == zoo.MODEL
    assert cfg.SOLVER == zoo.SOLVER
