"""A shrunken Mask R-CNN of random weights as a method, from a yacs and from a lazy config."""

from __future__ import annotations

import json
import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from empaste_aug.offline.proposals import Detectron2Masks, build_proposals
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

pytest.importorskip("detectron2", reason="detectron2 is not installed")

import torch
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model

CONFIG = Path(__file__).parents[2] / "configs" / "mask_rcnn_tiny.py"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy:DeprecationWarning",  # pycocotools 2.0
    "ignore:torch.meshgrid:UserWarning",
    "ignore:pkg_resources:UserWarning",
    "ignore:pkg_resources:DeprecationWarning",
)

LAZY = """
from detectron2.config import LazyCall as L
from detectron2.data.transforms import ResizeShortestEdge
from proposal_models import tiny_model
model = L(tiny_model)(seed=1)
dataloader = dict(test=dict(mapper=dict(
    image_format="RGB",
    augmentations=[L(ResizeShortestEdge)(short_edge_length=96, max_size=128)],
)))
train = dict(init_checkpoint="")
"""


def tiny_config():
    cfg = runpy.run_path(str(CONFIG))["tiny_mask_rcnn"](3)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
    cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST = 1.0
    cfg.TEST.DETECTIONS_PER_IMAGE = 40
    cfg.INPUT.FORMAT = "BGR"
    cfg.INPUT.MIN_SIZE_TEST = 96
    return cfg


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("detectron2")
    cfg = tiny_config()
    torch.manual_seed(0)
    model = build_model(cfg)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    del cfg["EMPASTE"]  # a training key that detectron2 itself does not know
    (folder / "tiny.yaml").write_text(cfg.dump())
    return folder


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def method_of(folder: Path, **options) -> Detectron2Masks:
    options = {"min_score": 0.0, "max_overlap": None} | options
    return Detectron2Masks(
        config_file=folder / "tiny.yaml", weights=folder / "model.pth", **options
    )


def content(segments) -> list[tuple[bytes, float]]:
    return [(bytes(segment.rle["counts"]), segment.strength) for segment in segments]


def test_the_instances_of_the_default_predictor(folder, photo):
    cfg = tiny_config()
    cfg.MODEL.WEIGHTS = str(folder / "model.pth")
    instances = DefaultPredictor(cfg)(photo[..., ::-1])["instances"]
    expected = [
        (mask.numpy(), score)
        for mask, score in zip(instances.pred_masks, instances.scores.tolist(), strict=True)
        if mask.any()
    ]
    segments = method_of(folder)(photo, image_id="a")
    assert len(segments) == len(expected) > 5
    assert {tuple(s.rle["size"]) for s in segments} == {(60, 90)}
    assert [s.strength for s in segments] == pytest.approx(
        sorted((score for _, score in expected), reverse=True)
    )
    for segment in segments:
        assert any(
            np.array_equal(segment.mask(), mask) and segment.strength == pytest.approx(score)
            for mask, score in expected
        )


def test_prediction_draws_no_random_numbers(folder, photo):
    method = method_of(folder)
    first = content(method(photo, image_id="a"))
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert content(method(photo, image_id="b")) == first
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_selection(folder, photo):
    strengths = [s.strength for s in method_of(folder)(photo)]
    middle = strengths[len(strengths) // 2]
    some = method_of(folder, min_score=middle)(photo)
    assert [s.strength for s in some] == [s for s in strengths if s >= middle]
    assert [s.strength for s in method_of(folder, max_segments=2)(photo)] == strengths[:2]
    assert len(method_of(folder, max_overlap=0.3)(photo)) < len(strengths)
    assert len(method_of(folder, opts=["TEST.DETECTIONS_PER_IMAGE", 3])(photo)) <= 3


def test_a_predictor_of_ones_own(folder, photo):
    own = method_of(folder, predictor="detectron2.engine:DefaultPredictor")
    assert content(own(photo)) == content(method_of(folder)(photo))
    assert own.config() != method_of(folder).config()


def test_imports_may_add_keys(folder, tmp_path, photo):
    text = (folder / "tiny.yaml").read_text() + "PROPOSAL_TEST:\n  KEY: 2\n"
    (tmp_path / "own.yaml").write_text(text)
    options = {"config_file": tmp_path / "own.yaml", "weights": folder / "model.pth"}
    with pytest.raises(ArgumentError, match=r"config_file: .*own.yaml.*PROPOSAL_TEST"):
        Detectron2Masks(**options).config()
    method = Detectron2Masks(
        **options, imports=["proposal_models:add_test_config"], min_score=0.0, max_overlap=None
    )
    assert content(method(photo)) == content(method_of(folder)(photo))
    with pytest.raises(ArgumentError, match="imports: 'no_such_module'"):
        Detectron2Masks(**options, imports=["no_such_module"]).config()
    with pytest.raises(ArgumentError, match="imports: 'json:nothing'"):
        Detectron2Masks(**options, imports=["json:nothing"]).config()


def test_a_lazy_config(folder, tmp_path, photo):
    (tmp_path / "lazy.py").write_text(LAZY)
    weights = tmp_path / "lazy.pth"
    from proposal_models import tiny_model

    torch.save(tiny_model(seed=1).state_dict(), weights)
    options = {"config_file": tmp_path / "lazy.py", "weights": weights}
    method = Detectron2Masks(**options)
    segments = method(photo, image_id="a")
    assert [s.strength for s in segments] == pytest.approx([0.75])
    mask = segments[0].mask()
    assert mask[:30].all()
    assert not mask[30:].any()
    assert method._config().input_format == "RGB"
    assert (method._config().short_side, method._config().max_side) == (96, 128)
    assert json.loads(json.dumps(method.config())) == method.config()
    other = Detectron2Masks(**options, opts=["model.seed=2"])
    assert other.config() != method.config()
    with pytest.raises(ArgumentError, match="opts: "):
        Detectron2Masks(**options, opts=["nothing"]).config()
    with pytest.raises(ArgumentError, match=r"predictor: .*lazy.py is lazy"):
        Detectron2Masks(**options, predictor="detectron2.engine:DefaultPredictor")(photo)
    (tmp_path / "empty.py").write_text("value = 1\n")
    with pytest.raises(ArgumentError, match=r"empty.py: defines no 'model'"):
        Detectron2Masks(config_file=tmp_path / "empty.py", weights=weights).config()


def test_config_and_pickling(folder, tmp_path, photo):
    method = method_of(folder)
    first = content(method(photo))
    config = method.config()
    assert json.loads(json.dumps(config)) == config
    data = pickle.dumps(method)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert again.config() == config
    assert content(again(photo)) == first
    for name in ("tiny.yaml", "model.pth"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert method_of(tmp_path).config() == config
    assert method_of(tmp_path, opts=["OUTPUT_DIR", "elsewhere"]).config() == config
    assert method_of(tmp_path, opts=["INPUT.MIN_SIZE_TEST", 64]).config() != config
    assert method_of(tmp_path, min_score=0.1).config() != config
    state = torch.load(folder / "model.pth")
    state["model"]["roi_heads.box_predictor.cls_score.bias"] += 1
    torch.save(state, tmp_path / "model.pth")
    assert method_of(tmp_path).config() != config


def test_weights_that_do_not_fit(folder, tmp_path, photo):
    config = folder / "tiny.yaml"
    state = torch.load(folder / "model.pth")["model"]
    del state["roi_heads.mask_head.predictor.bias"]
    torch.save({"model": state}, tmp_path / "lacking.pth")
    with pytest.raises(DatasetError, match=r"lacking.pth: lacks 1 of .*predictor.bias"):
        Detectron2Masks(config_file=config, weights=tmp_path / "lacking.pth")(photo)
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(DatasetError, match=r"broken.pth: cannot be read as weights"):
        Detectron2Masks(config_file=config, weights=tmp_path / "broken.pth")(photo)
    with pytest.raises(DatasetError, match=r"model.pth: lacks 2 of the model's tensors"):
        method_of(folder, opts=["MODEL.ROI_MASK_HEAD.NUM_CONV", 3])(photo)


def test_a_model_without_masks(folder, tmp_path, photo):
    method = method_of(folder, opts=["MODEL.MASK_ON", False])
    with pytest.raises(ArgumentError, match=r"tiny.yaml: its model gives no masks"):
        method(photo)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": 1.5}, r"min_score.*1\.5"),
        ({"min_area": -1}, "min_area.*-1"),
        ({"max_overlap": 2}, "max_overlap.*2"),
        ({"device": "abacus"}, "device: 'abacus'"),
        ({"opts": "A 1"}, "opts: must be a list"),
        ({"imports": "json"}, "imports: must be a list"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(ArgumentError, match=message):
        method_of(folder, **options)


def test_files_that_are_not_there(folder, tmp_path):
    with pytest.raises(ArgumentError, match=r"weights: .*none.pth is no file"):
        Detectron2Masks(config_file=folder / "tiny.yaml", weights=tmp_path / "none.pth")
    with pytest.raises(ArgumentError, match=r"config_file: none.yaml is neither a file nor"):
        Detectron2Masks(config_file="none.yaml").config()
    with pytest.raises(ArgumentError, match=r"weights: .*tiny.yaml names none"):
        Detectron2Masks(config_file=folder / "tiny.yaml").config()
    with pytest.raises(ArgumentError, match=r"opts: .*does not fit"):
        method_of(folder, opts=["NO.SUCH", 1]).config()


def test_a_config_of_the_zoo_brings_its_weights():
    name = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
    config = Detectron2Masks(config_file=name)._config()
    assert config.weights.endswith("/model_final_f10217.pkl")
    assert (config.input_format, config.short_side, config.max_side) == ("BGR", 800, 1333)


def test_by_name(folder):
    method = build_proposals(
        ["detectron2"], config_file=folder / "tiny.yaml", weights=folder / "model.pth"
    )
    assert set(method.config()) == {"detectron2"}


def test_a_missing_library_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "detectron2", None)
    with pytest.raises(MissingDependencyError, match=r"detectron2.*empaste_aug\[detectron2\]"):
        method_of(folder)
