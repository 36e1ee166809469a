"""cfg.EMPASTE: defaults, overrides, and the mapper that they make."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys

import pytest
from detectron2_data import CLASSES, call, check_invariants, write_photos

from empaste_aug import ArgumentError, BankError, EMPaste, MissingDependencyError

pytest.importorskip("detectron2")

from detectron2.config import get_cfg
from detectron2.data import MetadataCatalog
from detectron2.data import transforms as T  # noqa: N812

from empaste_aug.adapters._detectron2_config import paste_from_config
from empaste_aug.adapters.detectron2 import EMPasteMapper, add_empaste_config


@pytest.fixture
def cfg(small_bank):
    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.EMPASTE.BANK = str(small_bank.path)
    return cfg


def settings(paste):
    skip = ("bank", "_selector", "_labels")
    return {key: value for key, value in vars(paste).items() if key not in skip}


def test_every_option_of_empaste_has_a_key(cfg):
    options = set(inspect.signature(EMPaste).parameters) - {"bank", "class_names"}
    of_the_mapper = {"enabled", "bank", "paste_after", "keep_record", "pool", "aug"}
    of_backgrounds = {"background_probability", "background_fit", "background_semantic_value"}
    assert {key.lower() for key in cfg.EMPASTE} == options | of_the_mapper | of_backgrounds


def test_untouched_keys_give_empastes_defaults(cfg, small_bank):
    assert settings(paste_from_config(cfg)) == settings(EMPaste(small_bank))


def test_overrides_from_the_command_line(cfg, small_bank):
    overrides = {
        "COUNT": "(1, 4)",
        "PLACEMENT": "space_maximize",
        "MAX_SCALE": "2.0",
        "SELECTION": "balanced",
        "FLIP": "0.5",
        "BLEND": "[('gaussian', 0.7), ('none', 0.3)]",
        "CATEGORY_MAP": "[('cat', 'kitten')]",
        "EXCLUDE": "('cow',)",
        "SCALE": "(0.5, 2.0)",
        "MIN_VISIBLE": "0.2",
        "MAX_ANGLE": "10.0",
        "SEMANTIC_LABELS": "[('kitten', 17), ('dog', 18)]",
    }
    for key, value in overrides.items():
        cfg.merge_from_list([f"EMPASTE.{key}", value])
    wanted = EMPaste(
        small_bank,
        count=(1, 4),
        placement="space_maximize",
        max_scale=2.0,
        selection="balanced",
        flip=0.5,
        blend={"gaussian": 0.7, "none": 0.3},
        category_map={"cat": "kitten"},
        exclude=("cow",),
        scale=(0.5, 2.0),
        min_visible=0.2,
        max_angle=10.0,
        semantic_labels={"kitten": 17, "dog": 18},
    )
    assert settings(paste_from_config(cfg)) == settings(wanted)


@pytest.mark.parametrize(("value", "count"), [("3", (3, 3)), ("[2, 5]", (2, 5)), ("None", (4, 4))])
def test_count_is_a_number_or_a_range(cfg, value, count):
    cfg.merge_from_list(["EMPASTE.COUNT", value])
    assert paste_from_config(cfg).count == count


def test_selection_weights_as_pairs(cfg, small_bank):
    cfg.merge_from_list(["EMPASTE.SELECTION", "[('cat', 3.0), ('dog', 1.0)]"])
    assert paste_from_config(cfg).selection == {"cat": 3.0, "dog": 1.0}


@pytest.mark.parametrize("key", ["CATEGORY_MAP", "SEMANTIC_LABELS"])
@pytest.mark.parametrize("value", ["('cat', 'kitten')", "('ab', 'cd')", "cat", "ab", "5"])
def test_something_else_than_pairs_is_an_error(cfg, key, value):
    cfg.merge_from_list([f"EMPASTE.{key}", value])
    with pytest.raises(ArgumentError, match=rf"^EMPASTE\.{key}: .* is not a list of"):
        paste_from_config(cfg)


@pytest.mark.parametrize("value", ["2.5", "many"])
def test_count_of_another_type_is_an_error(cfg, value):
    cfg.merge_from_list(["EMPASTE.COUNT", value])
    with pytest.raises(ArgumentError, match=r"^EMPASTE\.COUNT: "):
        paste_from_config(cfg)


def test_a_config_survives_yaml_and_a_second_call(cfg, tmp_path):
    cfg.merge_from_list(["EMPASTE.COUNT", "(1, 4)", "EMPASTE.SELECTION", "balanced"])
    add_empaste_config(cfg)
    assert cfg.EMPASTE.COUNT == (1, 4)
    file = tmp_path / "dumped.yaml"
    file.write_text(cfg.dump())
    again = get_cfg()
    add_empaste_config(again)
    again.merge_from_file(str(file))
    assert settings(paste_from_config(again)) == settings(paste_from_config(cfg))


def test_a_missing_bank_names_the_key(cfg):
    cfg.EMPASTE.BANK = ""
    with pytest.raises(ArgumentError, match=r"EMPASTE\.BANK"):
        EMPasteMapper(cfg, is_train=True)
    cfg.EMPASTE.BANK = "nowhere"
    with pytest.raises(BankError, match="nowhere"):
        EMPasteMapper(cfg, is_train=True)


def test_a_missing_node_says_what_to_call():
    with pytest.raises(ArgumentError, match="add_empaste_config"):
        EMPasteMapper(get_cfg(), is_train=True)
    assert EMPasteMapper(get_cfg(), is_train=False).paste is None


def test_without_detectron2_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2.config", None)
    monkeypatch.delitem(sys.modules, "empaste_aug.adapters.detectron2")
    with pytest.raises(MissingDependencyError, match=r"empaste_aug\[detectron2\]"):
        importlib.import_module("empaste_aug.adapters.detectron2")


def test_not_enabled_is_no_pasting_and_says_so(cfg, caplog):
    cfg.EMPASTE.ENABLED = False
    with caplog.at_level(logging.INFO):
        assert EMPasteMapper(cfg, is_train=True).paste is None
    assert "EMPASTE.ENABLED" in caplog.text


def test_the_mapper_takes_the_rest_from_detectron2s_keys(cfg):
    MetadataCatalog.get("config_test_train").thing_classes = [*CLASSES, "horse"]
    try:
        cfg.DATASETS.TRAIN = ("config_test_train",)
        cfg.MODEL.MASK_ON = True
        cfg.INPUT.MASK_FORMAT = "cropped"
        cfg.INPUT.FORMAT = "RGB"
        cfg.EMPASTE.PASTE_AFTER = True
        mapper = EMPasteMapper(cfg, is_train=True)
        assert not mapper.keep_record
        cfg.EMPASTE.KEEP_RECORD = True
        mapper = EMPasteMapper(cfg, is_train=True)
        assert mapper.paste.class_names == (*CLASSES, "horse")
        assert mapper.use_instance_mask
        assert mapper.instance_mask_format == "cropped"
        assert mapper.paste_after_augmentations
        assert mapper.image_format == "RGB"
        assert mapper.keep_record
        assert EMPasteMapper(cfg, is_train=False).paste is None
    finally:
        MetadataCatalog.pop("config_test_train")


def kinds(mapper):
    names = []
    for augmentation in mapper.augmentations.augs:
        inner = getattr(augmentation, "aug", augmentation)
        names.append(type(inner).__name__)
    return names


def test_without_keys_of_its_own_detectron2s_augmentations_stay(cfg):
    assert kinds(EMPasteMapper(cfg, is_train=True)) == ["ResizeShortestEdge", "RandomFlip"]
    cfg.INPUT.CROP.ENABLED = True
    mapper = EMPasteMapper(cfg, is_train=True)
    assert kinds(mapper) == ["RandomCrop", "ResizeShortestEdge", "RandomFlip"]


def test_large_scale_jitter_stands_in_place_of_the_resizing(cfg):
    cfg.merge_from_list(["EMPASTE.AUG.LSJ_SIZE", "64", "EMPASTE.AUG.LSJ_SCALE", "(0.5, 1.5)"])
    mapper = EMPasteMapper(cfg, is_train=True)
    assert kinds(mapper) == ["ResizeScale", "FixedSizeCrop", "RandomFlip"]
    resize, crop = mapper.augmentations.augs[:2]
    assert (resize.min_scale, resize.max_scale) == (0.5, 1.5)
    assert (resize.target_height, resize.target_width) == crop.crop_size == (64, 64)
    assert kinds(EMPasteMapper(cfg, is_train=False)) == ["ResizeShortestEdge"]
    cfg.INPUT.RANDOM_FLIP = "none"
    assert kinds(EMPasteMapper(cfg, is_train=True)) == ["ResizeScale", "FixedSizeCrop"]


def test_colour_comes_first_with_its_own_chance(cfg):
    cfg.merge_from_list(["EMPASTE.AUG.CONTRAST_PROB", "0.25", "EMPASTE.AUG.CONTRAST", "[1, 2]"])
    mapper = EMPasteMapper(cfg, is_train=True)
    assert kinds(mapper) == ["RandomContrast", "ResizeShortestEdge", "RandomFlip"]
    contrast = mapper.augmentations.augs[0]
    assert isinstance(contrast, T.RandomApply)
    assert (contrast.prob, contrast.aug.intensity_min, contrast.aug.intensity_max) == (0.25, 1, 2)
    cfg.merge_from_list(["EMPASTE.AUG.BRIGHTNESS_PROB", "1.0", "EMPASTE.AUG.LSJ_SIZE", "64"])
    assert kinds(EMPasteMapper(cfg, is_train=True)) == [
        "RandomBrightness",
        "RandomContrast",
        "ResizeScale",
        "FixedSizeCrop",
        "RandomFlip",
    ]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_augmentations_are_the_same_without_pasting(cfg, tmp_path, enabled):
    """And boxes are tight, though the crop cuts objects and nothing is pasted."""
    photo = write_photos(tmp_path / "photos", 1)[0]
    cfg.merge_from_list(["EMPASTE.AUG.LSJ_SIZE", "64", "EMPASTE.AUG.LSJ_SCALE", "(1.5, 2.0)"])
    cfg.MODEL.MASK_ON, cfg.INPUT.MASK_FORMAT = True, "bitmask"
    cfg.EMPASTE.ENABLED = enabled
    mapper = EMPasteMapper(cfg, is_train=True)
    assert (mapper.paste is not None) == enabled
    for seed in range(8):
        mapped = call(mapper, dict(photo), seed)
        assert mapped["image"].shape == (3, 64, 64)
        check_invariants(mapped)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LSJ_SIZE", -1),
        ("LSJ_SIZE", True),
        ("LSJ_SIZE", 64.5),
        ("LSJ_SCALE", (0.0, 2.0)),
        ("LSJ_SCALE", (2.0, 1.0)),
        ("BRIGHTNESS", (0.8,)),
        ("BRIGHTNESS", (0.8, float("inf"))),
        ("CONTRAST", ("a", "b")),
        ("BRIGHTNESS_PROB", 1.5),
        ("CONTRAST_PROB", float("nan")),
        ("CONTRAST_PROB", None),
    ],
)
def test_an_augmentation_out_of_range_names_its_key(cfg, key, value):
    cfg.EMPASTE.AUG[key] = value
    with pytest.raises(ArgumentError, match=rf"^EMPASTE\.AUG\.{key}: "):
        EMPasteMapper(cfg, is_train=True)


def test_two_crops_are_an_error(cfg):
    cfg.EMPASTE.AUG.LSJ_SIZE = 64
    cfg.INPUT.CROP.ENABLED = True
    with pytest.raises(ArgumentError, match=r"^EMPASTE\.AUG\.LSJ_SIZE: .*INPUT\.CROP\.ENABLED"):
        EMPasteMapper(cfg, is_train=True)
