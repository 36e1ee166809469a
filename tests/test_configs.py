"""Every shipped config makes a model, a loader and a schedule, for LazyConfig and yacs alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from detectron2_data import CLASSES, call, check_invariants, masks_of, write_photos
from pool_data import write_pool

pytest.importorskip("detectron2")

import torch
from detectron2.config import LazyConfig, get_cfg, instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data import transforms as T  # noqa: N812
from detectron2.modeling import build_model
from detectron2.solver import build_lr_scheduler

from empaste_aug.adapters.detectron2 import (
    CroppedMasks,
    EMPasteMapper,
    add_empaste_config,
    build_empaste_train_loader,
)

CONFIGS = Path(__file__).parents[1] / "configs"
STOCK = "mask_rcnn_R_50_FPN_empaste"  # detectron2's own recipe, with EM-Paste
TIMM = "mask_rcnn_timm_FPN_voc_empaste"
RESNETS = [
    f"{kind}_rcnn_R_{depth}_FPN_{dataset}_empaste"
    for kind in ("mask", "faster")
    for depth in (50, 101)
    for dataset in ("voc", "coco")
] + ["mask_rcnn_R_50_FPN_voc_empaste_space_maximize"]
RECIPES = [*RESNETS, TIMM]
EACH = pytest.mark.parametrize("config", [STOCK, *RECIPES])
EACH_RECIPE = pytest.mark.parametrize("config", RECIPES)

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


def lazy(config, *overrides):
    if config == TIMM:
        pytest.importorskip("timm")
    cfg = LazyConfig.load(str(CONFIGS / f"{config}.py"))
    return LazyConfig.apply_overrides(cfg, list(overrides))


def yacs(config, **overrides):
    cfg = get_cfg()
    add_empaste_config(cfg)
    if config == TIMM:
        pytest.importorskip("timm")
        from empaste_aug.training.timm_backbone import add_timm_config

        add_timm_config(cfg)
    cfg.merge_from_file(str(CONFIGS / f"{config}.yaml"))
    for key, value in overrides.items():
        cfg.merge_from_list([key.replace("__", "."), value])
    return cfg


def lazy_on(config, bank, dataset_name, *overrides, batch=2):
    return lazy(
        config,
        f"dataloader.train.dataset.names={dataset_name}",
        f"dataloader.train.mapper.paste.bank={bank.path}",
        "dataloader.train.num_workers=0",
        f"dataloader.train.total_batch_size={batch}",
        *overrides,
    )


def yacs_on(config, bank, dataset_name, batch=2):
    cfg = yacs(config, EMPASTE__BANK=str(bank.path))
    cfg.DATASETS.TRAIN = (dataset_name,)
    cfg.SOLVER.IMS_PER_BATCH, cfg.DATALOADER.NUM_WORKERS = batch, 0
    return cfg


def first_batch(loader):
    return next(iter(loader))


def test_every_config_is_tested_here():
    shipped = {file.stem for file in CONFIGS.glob("*_rcnn_*_empaste*")}
    assert shipped == {STOCK, *RECIPES}
    for config in shipped:
        assert (CONFIGS / f"{config}.py").is_file()
        assert (CONFIGS / f"{config}.yaml").is_file()


@pytest.mark.parametrize("config", [STOCK, *RESNETS])
def test_both_forms_make_the_same_model(config):
    """On the meta device: names and shapes of all that it learns, and no memory."""
    cfg = yacs(config, MODEL__DEVICE="meta")
    with torch.device("meta"):
        model, again = instantiate(lazy(config).model), build_model(cfg)
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == shapes
    trained = [key for key, parameter in model.named_parameters() if parameter.requires_grad]
    assert [key for key, p in again.named_parameters() if p.requires_grad] == trained

    assert model.roi_heads.num_classes == (20 if "_voc_" in config else 80)
    assert model.roi_heads.mask_on == ("mask_rcnn" in config)
    blocks = [key for key in shapes if key.endswith("conv3.weight") and ".res4." in key]
    assert len(blocks) == (23 if "R_101" in config else 6)
    weights = lazy(config).train.init_checkpoint
    assert weights == cfg.MODEL.WEIGHTS
    assert weights.endswith("R-101.pkl" if "R_101" in config else "R-50.pkl")


def test_both_forms_make_the_same_model_on_timms_network():
    """From random weights: those of the package may be missing."""
    cfg = yacs(TIMM, MODEL__DEVICE="cpu", MODEL__TIMM__PRETRAINED="")
    model = instantiate(lazy(TIMM, "model.backbone.bottom_up.pretrained=null").model)
    again = build_model(cfg)
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == shapes
    for key in ("pixel_mean", "pixel_std"):
        torch.testing.assert_close(getattr(model, key), getattr(again, key))
    assert cfg.INPUT.FORMAT == lazy(TIMM).dataloader.train.mapper.image_format == "RGB"
    assert lazy(TIMM).train.init_checkpoint == cfg.MODEL.WEIGHTS == ""


@EACH_RECIPE
def test_the_recipe_is_the_papers(config):
    cfg, solver = lazy(config), yacs(config).SOLVER
    assert cfg.dataloader.train.total_batch_size == solver.IMS_PER_BATCH == 128
    assert cfg.optimizer.lr == solver.BASE_LR == 0.1
    wanted = (4, "gaussian", "space_maximize" if "space_maximize" in config else "random")
    paste, node = cfg.dataloader.train.mapper.paste, yacs(config).EMPASTE
    assert (paste.count, paste.blend, paste.placement) == wanted
    assert wanted == (node.COUNT, node.BLEND, node.PLACEMENT)


@EACH
def test_both_forms_have_the_same_schedule_and_data_sets(config):
    cfg, other = lazy(config), yacs(config)
    iterations = other.SOLVER.MAX_ITER
    assert cfg.train.max_iter == iterations
    assert cfg.dataloader.train.dataset.names in (other.DATASETS.TRAIN, *other.DATASETS.TRAIN)
    assert (cfg.dataloader.test.dataset.names,) == other.DATASETS.TEST
    assert cfg.dataloader.train.seed == other.SEED == 0  # runs repeat, and can be resumed
    assert not cfg.dataloader.train.dataset.filter_empty
    assert not other.DATALOADER.FILTER_EMPTY_ANNOTATIONS
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = build_lr_scheduler(other, optimizer)._multiplier
    ours = instantiate(cfg.lr_multiplier)
    places = np.linspace(0, 1, 1001)[:-1]
    np.testing.assert_allclose([ours(p) for p in places], [theirs(p) for p in places])
    if config != STOCK:
        assert cfg.train.eval_period == other.TEST.EVAL_PERIOD > 0
        assert cfg.train.checkpointer.period == other.SOLVER.CHECKPOINT_PERIOD > 0


@EACH
def test_both_forms_hand_out_the_same_batches(config, small_bank, dataset_name):
    batch = first_batch(instantiate(lazy_on(config, small_bank, dataset_name).dataloader.train))
    again = first_batch(build_empaste_train_loader(yacs_on(config, small_bank, dataset_name)))
    assert len(batch) == 2
    for sample, same in zip(batch, again, strict=True):
        assert torch.equal(sample["image"], same["image"])
        assert torch.equal(sample["instances"].gt_boxes.tensor, same["instances"].gt_boxes.tensor)
        assert torch.equal(sample["instances"].gt_classes, same["instances"].gt_classes)
        if config != STOCK:
            assert sample["image"].shape == (3, 1024, 1024)
        if "mask_rcnn" in config:
            assert isinstance(sample["instances"].gt_masks, CroppedMasks)
            np.testing.assert_array_equal(
                masks_of(sample["instances"]), masks_of(same["instances"])
            )
            check_invariants(sample)
        else:
            assert not sample["instances"].has("gt_masks")
    assert any(len(sample["instances"]) for sample in batch)


@EACH
def test_the_test_loader_is_built_for_evaluation(config, dataset_name):
    cfg = lazy(config, f"dataloader.test.dataset.names={dataset_name}")
    cfg.dataloader.test.num_workers = 0
    sample = first_batch(instantiate(cfg.dataloader.test))[0]
    assert min(sample["image"].shape[1:]) == 800
    assert not instantiate(cfg.dataloader.test.mapper).is_train


@pytest.fixture
def mappers(small_bank, dataset_name):
    """The training mappers of one recipe, as LazyConfig and as yacs."""
    cfg = lazy_on(RECIPES[0], small_bank, dataset_name)
    return [
        instantiate(cfg.dataloader.train.mapper),
        EMPasteMapper(yacs_on(RECIPES[0], small_bank, dataset_name), is_train=True),
    ]


def test_brightness_and_contrast_change_every_other_image(mappers):
    """Each by itself, by a factor between 0.8 and 1.2."""
    image = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 4, 3))
    for mapper in mappers:
        brightness, contrast = mapper.augmentations.augs[:2]
        np.random.seed(0)  # noqa: NPY002
        for augmentation in (brightness, contrast):
            drawn = [augmentation(T.AugInput(image)) for _ in range(1000)]
            changed = [t for t in drawn if not isinstance(t, T.NoOpTransform)]
            assert 450 < len(changed) < 550
            weights = np.array([t.dst_weight for t in changed])
            assert 0.8 <= weights.min() < 0.82
            assert 1.18 < weights.max() <= 1.2
            is_contrast = augmentation is contrast
            assert all(t.src_image == (image.mean() if is_contrast else 0) for t in changed)


def test_large_scale_jitter_shrinks_to_a_tenth_and_doubles(mappers):
    image = np.zeros((96, 128, 3), np.uint8)
    for mapper in mappers:
        resize, crop = mapper.augmentations.augs[2:4]
        np.random.seed(0)  # noqa: NPY002
        factors = [resize.get_transform(image).new_w / 1024 for _ in range(500)]
        assert 0.1 <= min(factors) < 0.12
        assert 1.98 < max(factors) <= 2.0
        assert call(mapper, DatasetCatalog.get("configs_test")[0])["image"].shape[1:] == (
            1024,
            1024,
        )
        padded = crop.get_transform(image).apply_image(image)
        assert padded.shape == (1024, 1024, 3)
        assert (padded[96:] == 128).all()


def test_overrides_from_the_command_line(small_bank, dataset_name):
    cfg = lazy_on(
        STOCK,
        small_bank,
        dataset_name,
        "dataloader.train.mapper.paste.count=[2,3]",
        "dataloader.train.mapper.paste.placement=space_maximize",
        f"model.roi_heads.num_classes={len(CLASSES)}",
    )
    mapper = instantiate(cfg.dataloader.train.mapper)
    assert isinstance(mapper, EMPasteMapper)
    assert mapper.paste.class_names == tuple(CLASSES)
    assert mapper.paste.count == (2, 3)
    assert mapper.paste.placement.placement == "space_maximize"
    with torch.device("meta"):
        assert instantiate(cfg.model).roi_heads.num_classes == len(CLASSES)


def test_a_pool_of_backgrounds_is_one_override(small_bank, dataset_name, tmp_path):
    """The paper's mix: the loader tells the mapper the number of photos."""
    pool = write_pool(tmp_path / "pool")
    override = (
        f"dataloader.train.mapper.backgrounds={{_target_: empaste_aug.Backgrounds, pool: {pool}}}"
    )
    cfg = lazy_on(RECIPES[0], small_bank, dataset_name, override)
    assert instantiate(cfg.dataloader.train.mapper).backgrounds.probability == "paper"
    other = yacs_on(RECIPES[0], small_bank, dataset_name)
    other.EMPASTE.POOL = str(pool)
    loaders = [instantiate(cfg.dataloader.train), build_empaste_train_loader(other)]
    for loader in loaders:
        batches = iter(loader)
        names = {Path(s["file_name"]).parent.name for _ in range(8) for s in next(batches)}
        assert "photos" in names
        assert len(names) > 1


@pytest.mark.parametrize("config", [STOCK, RECIPES[0], TIMM])
def test_a_lazy_config_survives_a_dump(config, small_bank, dataset_name, tmp_path):
    """As lazyconfig_train_net.py writes one beside every run."""
    cfg = lazy_on(config, small_bank, dataset_name)
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    dumped = LazyConfig.load(str(tmp_path / "config.yaml"))
    mapper = instantiate(dumped.dataloader.train.mapper)
    assert isinstance(mapper, EMPasteMapper)
    assert mapper.paste.count == (4, 4)
    assert mapper.paste.selection == "uniform"
    original = instantiate(cfg.dataloader.train.mapper)
    photo = DatasetCatalog.get(dataset_name)[0]
    assert torch.equal(call(mapper, dict(photo))["image"], call(original, dict(photo))["image"])


def test_the_stock_model_is_that_of_detectron2s_model_zoo():
    from detectron2 import model_zoo

    cfg = yacs(STOCK)
    zoo = model_zoo.get_config("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml")
    assert cfg.MODEL == zoo.MODEL
    assert cfg.SOLVER == zoo.SOLVER


@pytest.mark.parametrize("kind", ["mask", "faster"])
def test_a_recipes_model_is_that_of_detectron2s_model_zoo(kind):
    from detectron2 import model_zoo

    folder = "COCO-InstanceSegmentation" if kind == "mask" else "COCO-Detection"
    zoo = model_zoo.get_config(f"{folder}/{kind}_rcnn_R_101_FPN_3x.yaml")
    assert yacs(f"{kind}_rcnn_R_101_FPN_coco_empaste").MODEL == zoo.MODEL
