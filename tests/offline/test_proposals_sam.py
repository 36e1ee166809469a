"""SAM and SAM 2 of a few thousand random weights, through transformers' pipeline."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sam_models import SIDE, write_sam, write_sam2

from empaste_aug.offline.proposals import Sam, Segment, build_proposals
from empaste_aug.types import ArgumentError, DatasetError, MissingDependencyError

pytest.importorskip("transformers", reason="transformers, of the extra 'offline', is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)

EVERYTHING = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
GRID = {"points_per_side": 3, "points_per_batch": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_sam(tmp_path_factory.mktemp("models") / "sam")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    y, x = np.mgrid[:50, :70]
    image = np.stack([x * 3, y * 5, (x // 9 + y // 7) % 2 * 200], axis=2)
    return image.astype(np.uint8)


def direct(folder: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks and predicted IoUs of the model at a 3 x 3 grid, without the pipeline."""
    import torch
    from transformers import SamModel, SamProcessor
    from transformers.models.sam.image_processing_sam import SamImageProcessor

    model = SamModel.from_pretrained(folder).eval()
    processor = SamProcessor(SamImageProcessor.from_pretrained(folder))
    height, width = image.shape[:2]
    points = [
        [[(2 * i + 1) / 6 * width, (2 * j + 1) / 6 * height]] for j in range(3) for i in range(3)
    ]
    inputs = processor(image, input_points=[points], return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    masks = processor.image_processor.post_process_masks(
        outputs.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    return (
        masks[0].reshape(-1, height, width).numpy(),
        outputs.iou_scores.reshape(-1).double().numpy(),
    )


def content(segments: list[Segment]) -> list[tuple[bytes, float]]:
    return [(bytes(segment.rle["counts"]), segment.strength) for segment in segments]


def test_every_answer_of_the_grid_is_a_segment(folder, photo):
    segments = Sam(model=folder, **GRID, **EVERYTHING)(photo, image_id="a")
    masks, scores = direct(folder, photo)
    assert len(segments) == 27  # 9 points, 3 masks each
    assert {tuple(segment.rle["size"]) for segment in segments} == {(50, 70)}
    assert {segment.source for segment in segments} == {"sam"}
    strengths = [segment.strength for segment in segments]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths == pytest.approx(sorted(scores, reverse=True), abs=1e-4)
    for segment in segments:
        near = np.flatnonzero(np.abs(scores - segment.strength) < 1e-4)
        assert min(np.mean(segment.mask() != masks[k]) for k in near) < 0.01


def test_thresholds_reach_the_model(folder, photo):
    def strengths(**options):
        method = Sam(model=folder, **(GRID | EVERYTHING | options))
        return [segment.strength for segment in method(photo)]

    everything = strengths()
    middle = everything[13]
    assert strengths(pred_iou_thresh=middle) == pytest.approx(
        [s for s in everything if s > middle], abs=1e-5
    )
    assert strengths(pred_iou_thresh=1.0) == []
    assert len(strengths(stability_score_thresh=1.0)) < 27
    assert len(strengths(box_nms_thresh=0.3)) < 27
    assert len(strengths(points_per_side=2)) == 12
    assert strengths(max_segments=5) == pytest.approx(everything[:5], abs=1e-5)
    assert len(strengths(max_overlap=0.5)) < 27
    assert len(strengths(crop_n_layers=1)) >= 27


def test_the_batch_of_points_changes_nothing(folder, photo):
    one = Sam(model=folder, points_per_side=3, points_per_batch=9, **EVERYTHING)
    many = Sam(model=folder, points_per_side=3, points_per_batch=2, **EVERYTHING)
    assert one.config() == many.config()
    assert [s.strength for s in one(photo)] == pytest.approx(
        [s.strength for s in many(photo)], abs=1e-5
    )


def test_large_photos_are_shrunk_and_their_masks_enlarged(folder, photo):
    large = np.repeat(np.repeat(photo, 3, axis=0), 3, axis=1)
    small = Sam(model=folder, **GRID, **EVERYTHING)(photo)
    segments = Sam(model=folder, max_side=70, **GRID, **EVERYTHING)(large)
    assert {tuple(segment.rle["size"]) for segment in segments} == {(150, 210)}
    assert len(segments) == len(small)
    for segment, other in zip(segments[:5], small[:5], strict=True):
        assert np.array_equal(segment.mask()[1::3, 1::3], other.mask())


def test_odd_photos_do_not_fail(folder):
    method = Sam(model=folder, points_per_side=2, **EVERYTHING)
    for size in ((1, 1), (2, 90), (120, 3)):
        for segment in method(np.zeros((*size, 3), dtype=np.uint8)):
            assert tuple(segment.rle["size"]) == size


def test_pickling_and_determinism(folder, photo):
    method = Sam(model=folder, **GRID, **EVERYTHING)
    first = content(method(photo, image_id="a"))
    assert content(method(photo, image_id="b")) == first
    data = pickle.dumps(method)
    assert len(data) < 10_000
    again = pickle.loads(data)
    assert again.config() == method.config()
    assert content(again(photo, image_id="a")) == first


def test_threads_may_share_a_method(folder, photo):
    photos = [np.roll(photo, shift, axis=1) for shift in (0, 10, 20, 30)]
    method = Sam(model=folder, **GRID, **EVERYTHING)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(method, photos))
    assert [content(found) for found in together] == [content(method(image)) for image in photos]


def test_by_name_and_beside_other_methods(folder, photo):
    method = build_proposals(
        ["slic", "sam"], model=str(folder), n_segments=(4,), **GRID, **EVERYTHING
    )
    assert {segment.source for segment in method(photo, image_id="a")} == {"slic", "sam"}
    with pytest.raises(ArgumentError, match="model: the method 'sam' needs"):
        build_proposals("sam")


def test_a_model_is_known_by_its_content(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = Sam(model=folder).config()
    assert json.loads(json.dumps(config)) == config
    assert Sam(model=copy).config() == config
    (copy / "README.md").write_text("nothing that counts\n")
    assert Sam(model=copy).config() == config
    assert Sam(model=folder, pred_iou_thresh=0.5).config() != config
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert Sam(model=copy).config() != config


def test_sam2_gives_segments_too(tmp_path, photo):
    folder = write_sam2(tmp_path / "sam2")
    segments = Sam(model=folder, **GRID, **EVERYTHING)(photo)
    assert segments
    assert {tuple(segment.rle["size"]) for segment in segments} == {(50, 70)}


def test_broken_models_are_named(folder, tmp_path, photo):
    from safetensors.torch import load_file, save_file

    lacking = shutil.copytree(folder, tmp_path / "lacking")
    weights = load_file(lacking / "model.safetensors")
    name = next(key for key in weights if key.startswith("mask_decoder.transformer"))
    del weights[name]
    save_file(weights, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DatasetError, match=rf"lacking.*lack 1 tensors, such as {name}"):
        Sam(model=lacking)(photo)

    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DatasetError, match=r"broken: cannot be loaded as a mask generator"):
        Sam(model=broken)(photo)

    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DatasetError, match=r"other: cannot be loaded as a mask generator"):
        Sam(model=other)(photo)

    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty: holds no config.json"):
        Sam(model=tmp_path / "empty")


HUB = """
import json, sys
import numpy as np
from empaste_aug.offline.proposals import Sam
from empaste_aug.types import ArgumentError
image = np.zeros((50, 70, 3), np.uint8)
method = Sam(model="someone/tiny-sam", local_files_only=True, points_per_side=1,
             pred_iou_thresh=0.0, stability_score_thresh=0.0)
found = method(image)
try:
    Sam(model="someone/nothing", local_files_only=True).config()
except ArgumentError as error:
    message = str(error)
print(json.dumps([method.config()["model"], len(found), message]))
"""


def test_a_hub_model_is_known_by_its_commit(folder, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--someone--tiny-sam"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HUB],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    model, number, message = json.loads(done.stdout.splitlines()[-1])
    assert model == {"commit": commit}
    assert number > 0
    assert "model: 'someone/nothing' is neither a folder nor to be had from the hub" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points_per_side": 0}, "points_per_side.*0"),
        ({"points_per_batch": 0}, "points_per_batch.*0"),
        ({"pred_iou_thresh": 1.5}, r"pred_iou_thresh.*1\.5"),
        ({"stability_score_thresh": -0.1}, r"stability_score_thresh.*-0\.1"),
        ({"box_nms_thresh": 2}, "box_nms_thresh.*2"),
        ({"crop_n_layers": -1}, "crop_n_layers.*-1"),
        ({"max_side": SIDE // 4}, "max_side.*16"),
        ({"min_area": 1}, "min_area.*1"),
        ({"device": "abacus"}, "device: 'abacus'"),
        ({"revision": "main"}, "revision: .*local folder"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(ArgumentError, match=message):
        Sam(model=folder, **options)


def test_a_model_that_is_no_folder(tmp_path):
    with pytest.raises(ArgumentError, match=r"model: .*missing does not exist"):
        Sam(model=tmp_path / "missing")
    (tmp_path / "sam.pth").write_bytes(b"")
    with pytest.raises(ArgumentError, match=r"sam.pth is a file.*segment_anything"):
        Sam(model=tmp_path / "sam.pth")


def test_a_missing_library_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"transformers.*offline"):
        Sam(model=folder)
