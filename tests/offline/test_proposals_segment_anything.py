"""The adapter to SAM's own package: with a stand-in module, and with the real one if installed."""

from __future__ import annotations

import pickle
import sys
from functools import partial
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from empaste_aug.offline.proposals import SegmentAnything, build_proposals
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

torch = pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)


def record(box: tuple[int, int, int, int], size: tuple[int, int], iou: float) -> dict[str, Any]:
    """As the package documents it, with what the adapter does not need left in."""
    x0, y0, x1, y1 = box
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return {
        "segmentation": mask,
        "area": int(mask.sum()),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "predicted_iou": iou,
        "point_coords": [[x0, y0]],
        "stability_score": 1.0,
        "crop_box": [0, 0, size[1], size[0]],
    }


class StandInGenerator:
    """Answers with two boxes; remembers how it was made and what it saw."""

    made: ClassVar[list[dict[str, Any]]] = []
    seen: ClassVar[list[np.ndarray]] = []

    def __init__(self, model: Any, **options: Any) -> None:
        self.made.append({"model": model, **options})

    def generate(self, image: np.ndarray) -> list[dict[str, Any]]:
        self.seen.append(image)
        size = image.shape[:2]
        return [record((0, 0, 4, 4), size, 0.9), record((5, 2, 15, 12), size, 0.95)]


def load_stand_in(checkpoint: str) -> Any:
    model = torch.nn.Linear(2, 2)
    model.load_state_dict(torch.load(checkpoint))
    return model


@pytest.fixture
def package(monkeypatch):
    from importlib.machinery import ModuleSpec

    module = ModuleType("segment_anything")
    module.__spec__ = ModuleSpec("segment_anything", None)
    module.sam_model_registry = {"vit_h": load_stand_in, "vit_b": load_stand_in}
    module.SamAutomaticMaskGenerator = StandInGenerator
    monkeypatch.setitem(sys.modules, "segment_anything", module)
    monkeypatch.setattr(StandInGenerator, "made", [])
    monkeypatch.setattr(StandInGenerator, "seen", [])
    return module


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "sam.pth"
    torch.manual_seed(0)
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    return path


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)


def test_records_become_segments_by_falling_predicted_iou(package, checkpoint, photo):
    method = SegmentAnything(checkpoint=checkpoint, points_per_side=5, crop_n_layers=1)
    segments = method(photo, image_id="a")
    assert [(s.source, s.strength) for s in segments] == [
        ("segment_anything", 0.95),
        ("segment_anything", 0.9),
    ]
    assert np.array_equal(segments[0].mask(), record((5, 2, 15, 12), (40, 64), 0)["segmentation"])
    assert np.array_equal(StandInGenerator.seen[0], photo)
    method(photo, image_id="b")
    (made,) = StandInGenerator.made
    model = made.pop("model")
    assert not model.training
    assert torch.equal(model.weight, torch.load(checkpoint)["weight"])
    assert made == {
        "points_per_side": 5,
        "points_per_batch": 64,
        "pred_iou_thresh": 0.88,
        "stability_score_thresh": 0.95,
        "box_nms_thresh": 0.7,
        "crop_nms_thresh": 0.7,
        "crop_n_layers": 1,
        "crop_n_points_downscale_factor": 1,
    }


def test_large_photos_are_shrunk(package, checkpoint, photo):
    segments = SegmentAnything(checkpoint=checkpoint, max_side=32)(photo)
    assert StandInGenerator.seen[0].shape == (20, 32, 3)
    assert segments[0].rle["size"] == [40, 64]
    assert np.array_equal(segments[0].mask(), record((10, 4, 30, 24), (40, 64), 0)["segmentation"])


def test_selection_options(package, checkpoint, photo):
    method = build_proposals("segment_anything", checkpoint=checkpoint, min_area=0.01)
    assert [s.strength for s in method(photo, image_id="a")] == [0.95]
    method = build_proposals("segment_anything", checkpoint=checkpoint, max_segments=1)
    assert [s.strength for s in method(photo, image_id="a")] == [0.95]


def test_config_and_pickling(package, checkpoint, photo, tmp_path):
    method = SegmentAnything(checkpoint=checkpoint)
    first = method(photo)
    again = pickle.loads(pickle.dumps(method))
    assert again.config() == method.config()
    assert again(photo) == first
    moved = tmp_path / "moved.pth"
    moved.write_bytes(checkpoint.read_bytes())
    assert SegmentAnything(checkpoint=moved, points_per_batch=1).config() == method.config()
    assert SegmentAnything(checkpoint=moved, model_type="vit_b").config() != method.config()
    torch.save(torch.nn.Linear(2, 2).state_dict(), moved)
    assert SegmentAnything(checkpoint=moved).config() != method.config()


def test_errors_name_argument_and_file(package, checkpoint, photo, tmp_path):
    with pytest.raises(ArgumentError, match=r"checkpoint: .*none.pth is no file"):
        SegmentAnything(checkpoint=tmp_path / "none.pth")
    with pytest.raises(ArgumentError, match=r"model_type: .*'vit_x'; there are vit_h, vit_b"):
        SegmentAnything(checkpoint=checkpoint, model_type="vit_x")(photo)
    with pytest.raises(ArgumentError, match="device: 'abacus'"):
        SegmentAnything(checkpoint=checkpoint, device="abacus")
    for factor, layers in ((0, 0), (8, 2)):
        with pytest.raises(ArgumentError, match=f"crop_n_points_downscale_factor: .*{factor}"):
            SegmentAnything(
                checkpoint=checkpoint,
                crop_n_layers=layers,
                crop_n_points_downscale_factor=factor,
            )
    other = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(3, 2).state_dict(), other)
    with pytest.raises(
        DatasetError, match=r"(?s)other.pth: cannot be loaded as 'vit_h'.*size mismatch"
    ):
        SegmentAnything(checkpoint=other)(photo)


def test_a_missing_package_is_named(monkeypatch, checkpoint):
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(MissingDependencyError, match="pip install segment-anything") as caught:
        SegmentAnything(checkpoint=checkpoint)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.package) == (str(caught.value), "segment_anything")
    with pytest.raises(MissingDependencyError, match="'no_such_sam'"):
        SegmentAnything(checkpoint=checkpoint, package="no_such_sam")


def build_tiny(checkpoint: str | None = None) -> Any:
    """The real package's SAM, shrunken to 64 px; its predicted IoUs lie near 0.9."""
    from segment_anything.modeling import (
        ImageEncoderViT,
        MaskDecoder,
        PromptEncoder,
        Sam,
        TwoWayTransformer,
    )

    torch.manual_seed(0)
    model = Sam(
        image_encoder=ImageEncoderViT(
            img_size=64,
            patch_size=16,
            embed_dim=16,
            depth=2,
            num_heads=2,
            out_chans=16,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=2,
            global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=16,
            transformer=TwoWayTransformer(depth=2, embedding_dim=16, num_heads=2, mlp_dim=32),
            iou_head_depth=2,
            iou_head_hidden_dim=16,
        ),
    )
    torch.nn.init.constant_(model.mask_decoder.iou_prediction_head.layers[-1].bias, 0.9)
    if checkpoint is not None:
        model.load_state_dict(torch.load(checkpoint))
    return model


def test_the_real_package(monkeypatch, tmp_path, photo):
    library = pytest.importorskip("segment_anything", reason="SAM's own package is not installed")
    monkeypatch.setitem(library.sam_model_registry, "tiny", build_tiny)
    path = tmp_path / "tiny.pth"
    torch.save(build_tiny().state_dict(), path)
    method = SegmentAnything(
        checkpoint=path,
        model_type="tiny",
        points_per_side=3,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=1.0,
    )
    segments = method(photo)
    expected = library.SamAutomaticMaskGenerator(
        build_tiny(str(path)).eval(),
        points_per_side=3,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=1.0,
    ).generate(photo)
    assert len(segments) == sum(bool(entry["area"]) for entry in expected) > 3
    assert segments[0].strength == max(entry["predicted_iou"] for entry in expected)
    assert {s.rle["counts"] for s in segments} <= {
        s.rle["counts"]
        for entry in expected
        for s in [type(segments[0]).from_mask(entry["segmentation"], "x")]
    }
