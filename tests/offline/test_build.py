"""The stages from photos to a bank: resumable, keyed, one alone or all, and what they write."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("timm")
from PIL import Image

from empaste_aug import ArgumentError, BankError, MaskBank
from empaste_aug.offline.alpha import AlphaConfig
from empaste_aug.offline.build import STAGES, Build, build_bank
from empaste_aug.offline.classify import Classifier, Recipe, train_classifier
from empaste_aug.offline.datasets import Dataset, load_folder
from empaste_aug.offline.fem import FEMConfig
from empaste_aug.offline.prior import CueWeights
from empaste_aug.offline.proposals.base import Segment
from empaste_aug.offline.segments import SegmentConfig
from empaste_aug.offline.stages import classifier as classifier_stage
from empaste_aug.offline.stages import proposals as proposal_stage
from empaste_aug.offline.stages.cache import StageCache
from empaste_aug.offline.stages.choices import Choice
from empaste_aug.offline.stages.features import FeatureStage
from empaste_aug.offline.stages.foregrounds import ForegroundStage
from empaste_aug.offline.stages.selection import Cut

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # pycocotools with numpy 2
)

COLOURS = {"blue": (20, 20, 230), "red": (230, 20, 20)}
SIZE = 48
BACKBONE = "timm/test_efficientnet"


def make_photos(folder: Path, number: int, *, first: int = 0, seed: int = 0) -> None:
    """Grey noise with a red square, a blue one, or both; and one photo without an object."""
    rng = np.random.default_rng(seed)
    labels: dict[str, list[str]] = {}
    (folder / "images").mkdir(parents=True)
    for index in range(first, first + number):
        image = rng.integers(90, 140, (SIZE, SIZE + 8, 3), dtype=np.uint8)
        names = [["red"], ["blue"], ["red", "blue"]][index % 3]
        for place, name in enumerate(names):
            x, y = 2 + 26 * place + int(rng.integers(0, 6)), int(rng.integers(2, 24))
            image[y : y + 18, x : x + 18] = COLOURS[name]
        labels[f"p{index:03d}.png"] = names
        Image.fromarray(image).save(folder / "images" / f"p{index:03d}.png")
    empty = rng.integers(90, 140, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(empty).save(folder / "images" / f"void{first}.png")
    labels[f"void{first}.png"] = []
    (folder / "labels.json").write_text(json.dumps(labels))


PAPER_STAGES = tuple(name for name in STAGES if name != "saliency")


class ColourSegments:
    """Proposes each coloured square, and two patches of the background."""

    name = "colour"
    calls = 0

    def config(self) -> dict[str, Any]:
        return {"kind": "colour"}

    def __call__(self, image: np.ndarray, *, image_id: str) -> list[Segment]:
        type(self).calls += 1
        found = []
        for colour in COLOURS.values():
            near = np.abs(image.astype(int) - colour).sum(axis=2) < 30
            if near.any():
                found.append(Segment.from_mask(near, self.name))
        for x in (0, 40):
            patch = np.zeros(image.shape[:2], dtype=bool)
            patch[40:46, x : x + 8] = True
            found.append(Segment.from_mask(patch, self.name, 0.5))
        speck = np.zeros(image.shape[:2], dtype=bool)
        speck[0, 0] = True
        return [*found, Segment.from_mask(speck, self.name)]


@pytest.fixture(autouse=True)
def colour_segments(monkeypatch: pytest.MonkeyPatch) -> type[ColourSegments]:
    monkeypatch.setattr(ColourSegments, "calls", 0)
    real = proposal_stage.build_proposals

    def build(names: Any, **options: Any) -> Any:
        return ColourSegments() if list(names) == ["colour"] else real(names, **options)

    monkeypatch.setattr(proposal_stage, "build_proposals", build)
    return ColourSegments


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "colours"
    make_photos(folder, 9)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, but its head tells red from blue on the network's own random features."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Classifier.create(["blue", "red"], backbone=BACKBONE, pretrained=None, input_size=32)
    crops = torch.stack(
        [made.preprocess(np.full((8, 8, 3), colour, np.uint8)) for colour in COLOURS.values()]
    )
    with torch.no_grad():
        phi = made.features(crops)
        made.head.weight.copy_(torch.stack([phi[0] - phi[1], phi[1] - phi[0]]))
    path = tmp_path_factory.mktemp("classifier") / "classifier.pt"
    made.save(path)
    return path


@pytest.fixture
def options(classifier: Path) -> dict[str, Any]:
    return {
        "mode": "paper",
        "alpha": AlphaConfig(method="none", decontaminate=False),
        "classifier": classifier,
        "proposals": ["colour"],
        "workers": 1,
        "progress": False,
    }


@pytest.fixture
def dataset(root: Path) -> Dataset:
    return load_folder(root)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_photos_to_bank(dataset: Dataset, tmp_path: Path, options: dict[str, Any]) -> None:
    report = build_bank(dataset, tmp_path / "bank", **options)
    assert tuple(report.stages) == PAPER_STAGES
    assert (report.images, report.pairs, report.kept) == (10, 12, 12)
    assert report.proposals == 9 * 3 + 12
    assert report.eligible == report.proposals - 9  # the specks
    assert [(row.name, row.pairs, row.kept) for row in report.classes] == [
        ("blue", 6, 6),
        ("red", 6, 6),
    ]
    bank = MaskBank(tmp_path / "bank")
    assert bank.categories == ["blue", "red"]
    assert len(bank) == 12
    photos = {image.image_id: image for image in dataset.images}
    for row in range(len(bank)):
        entry = bank.index[row]
        photo = photos[bank.image_id(row)]
        image = np.asarray(Image.open(photo.path).convert("RGB"))
        x0, y0, x1, y1 = (int(entry[f"source_{name}"]) for name in ("x0", "y0", "x1", "y1"))
        assert (entry["source_height"], entry["source_width"]) == image.shape[:2]
        assert bank.image_file(row) == photo.file_name
        assert entry["category_id"] in photo.labels
        cutout = bank[row]
        assert cutout.rgb.shape == (y1 - y0, x1 - x0, 3)
        assert set(np.unique(cutout.alpha)) == {0, 255}
        ys, xs = np.nonzero(cutout.mask)
        tight = (xs.min(), ys.min(), x1 - x0 - 1 - xs.max(), y1 - y0 - 1 - ys.max())
        borders = (x0, y0, image.shape[1] - x1, image.shape[0] - y1)
        for margin, border in zip(tight, borders, strict=True):
            assert margin == 4 or (margin < 4 and border == 0)
        candidates = [segment.mask() for segment in ColourSegments()(image, image_id="")]
        placed = np.zeros(image.shape[:2], dtype=bool)
        placed[y0:y1, x0:x1] = cutout.mask
        assert any((placed == candidate).all() for candidate in candidates)
        assert np.abs(cutout.rgb.astype(int) - image[y0:y1, x0:x1]).mean() < 12
        assert 0 <= cutout.score <= 1
        assert 0 < cutout.quality <= 1


def test_the_manifest_tells_how_it_was_made(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], classifier: Path
) -> None:
    build_bank(dataset, tmp_path / "bank", **options, fem=FEMConfig(top_n=2))
    manifest = MaskBank(tmp_path / "bank").manifest
    assert manifest["supervision"] == "labels"
    assert manifest["method"] == "f-em"
    assert manifest["config"]["fem"]["top_n"] == 2
    assert manifest["config"]["proposals"] == {"config": {"kind": "colour"}, "name": "colour"}
    assert manifest["classifier"]["file"] == classifier.name


def test_a_second_run_computes_nothing(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    output = tmp_path / "bank"
    build_bank(dataset, output, **options)
    before = snapshot(output)
    calls = ColourSegments.calls
    report = build_bank(dataset, output, **options)
    assert {name: entry.computed for name, entry in report.stages.items()} == dict.fromkeys(
        PAPER_STAGES, 0
    )
    assert ColourSegments.calls == calls
    assert snapshot(output) == before
    assert report.kept == 12


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        ({"fem": FEMConfig(inliers=0.5)}, {"fem", "bank"}),
        ({"cam_threshold": 0.8}, {"cams", "fem", "bank"}),
        ({"cam_sizes": [32, 64]}, {"cams", "fem", "bank"}),
        ({"segments": SegmentConfig(erosion=0.1)}, {"features", "fem", "bank"}),
        ({"cut": Cut(keep=0.5)}, {"bank"}),
    ],
    ids=["fem", "cams", "cam sizes", "features", "bank"],
)
def test_a_changed_option_recomputes_what_depends_on_it(
    dataset: Dataset,
    tmp_path: Path,
    options: dict[str, Any],
    change: dict[str, Any],
    computed: set[str],
) -> None:
    output = tmp_path / "bank"
    build_bank(dataset, output, **options)
    with pytest.raises(BankError, match="overwrite"):
        build_bank(dataset, output, **options, **change)
    report = build_bank(dataset, output, **options, **change, overwrite=True)
    assert {name for name, entry in report.stages.items() if entry.computed} == computed
    back = build_bank(dataset, output, **options, overwrite=True)
    assert {name for name, entry in back.stages.items() if entry.computed} == {"bank"}


def test_a_changed_photo_is_done_again_and_no_other(
    root: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    build_bank(load_folder(copy), tmp_path / "bank", **options)
    path = copy / "images" / "p000.png"
    Image.fromarray(np.asarray(Image.open(path))[:, ::-1].copy()).save(path)
    report = build_bank(load_folder(copy), tmp_path / "bank", **options, overwrite=True)
    for name in ("cams", "proposals", "features"):
        assert report.stages[name].computed == 1
    assert report.stages["fem"].computed == 1  # p000 is red; blue stands
    assert report.stages["bank"].computed == 12


def test_stages_run_alone_and_say_what_they_lack(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    output = tmp_path / "bank"
    report = build_bank(dataset, output, stages=["proposals"], **options)
    assert report.stages["proposals"].computed == 9
    assert not output.exists()
    with pytest.raises(ArgumentError, match="--stage features"):
        build_bank(dataset, output, stages=["cams", "fem"], **options)
    for name in ("features", "fem", "bank"):
        report = build_bank(dataset, output, stages=[name], **options)
        assert tuple(report.stages) == (name,)
    assert len(MaskBank(output)) == 12
    assert build_bank(dataset, output, stages=["cams"], **options).stages["cams"].reused == 9
    again = build_bank(dataset, output, stages=["cams"], redo=True, **options)
    assert again.stages["cams"].computed == 9
    with pytest.raises(ArgumentError, match="stages: paint"):
        build_bank(dataset, output, stages=["paint"], **options)


def test_an_interrupted_build_goes_on_to_the_same_bank(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_bank(dataset, tmp_path / "whole", **options)

    def stop_at_fifth(self: ColourSegments, image: np.ndarray, *, image_id: str) -> list[Segment]:
        if ColourSegments.calls == 4:
            raise KeyboardInterrupt
        return original(self, image, image_id=image_id)

    original = ColourSegments.__call__
    monkeypatch.setattr(ColourSegments, "calls", 0)
    monkeypatch.setattr(ColourSegments, "__call__", stop_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        build_bank(dataset, tmp_path / "stopped", **options)
    assert not (tmp_path / "stopped" / "manifest.json").exists()
    monkeypatch.setattr(ColourSegments, "__call__", original)
    report = build_bank(dataset, tmp_path / "stopped", **options)
    assert report.stages["cams"].computed == 0
    assert (report.stages["proposals"].reused, report.stages["proposals"].computed) == (4, 5)
    assert snapshot(tmp_path / "stopped") == snapshot(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_files_are_found_and_made_again(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], damage: str
) -> None:
    output = tmp_path / "bank"
    build_bank(dataset, output, **options)
    before = snapshot(output)
    for stage in ("cams", "proposals", "features", "fem"):
        path = sorted((tmp_path / "bank.work" / stage).rglob("*.npz"))[0]
        content = bytearray(path.read_bytes())
        if damage == "flip":
            content[len(content) // 2] ^= 0xFF
        broken = {
            "cut": bytes(content[: len(content) // 2]),
            "flip": bytes(content),
            "empty": b"",
            "text": b"no archive",
        }
        path.write_bytes(broken[damage])
    report = build_bank(dataset, output, **options, redo=False)
    for stage in ("cams", "proposals", "features", "fem"):
        assert (report.stages[stage].computed, report.stages[stage].damaged) == (1, 1)
    assert snapshot(output) == before


def test_a_new_version_of_a_stage_recomputes_what_depends_on_it(
    dataset: Dataset,
    tmp_path: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "bank"
    build_bank(dataset, output, **options)
    versions = MaskBank(output).manifest["config"]["versions"]
    stages = {*STAGES, "distances", "activations", "salient", "head", "cues", "occlusions"}
    assert versions.keys() == stages
    assert all(isinstance(version, int) for version in versions.values())
    newer = FeatureStage.version + 1
    monkeypatch.setattr(FeatureStage, "version", newer)
    with pytest.raises(BankError, match="overwrite"):
        build_bank(dataset, output, **options)
    report = build_bank(dataset, output, **options, overwrite=True)
    assert {name for name, entry in report.stages.items() if entry.computed} == {
        "features",
        "fem",
        "bank",
    }
    assert MaskBank(output).manifest["config"]["versions"]["features"] == newer


def test_damage_that_leaves_no_trace_is_found_when_the_file_is_read(tmp_path: Path) -> None:
    cache = StageCache(tmp_path, "stage", {})
    cache.write("x", "token", {"value": np.arange(1000)})
    path = cache.path("x")
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert cache.holds("x", "token")
    assert cache.read("x", "token") is None
    assert cache.damaged == ["x"]
    assert not cache.holds("x", "token")
    cache.write("x", "token", {"value": np.arange(3)})
    assert cache.holds("x", "token")
    assert cache.length("x", "value") == 3


def test_a_sound_copy_of_a_cache_file_is_taken(tmp_path: Path) -> None:
    cache = StageCache(tmp_path, "stage", {})
    cache.write("x", "token", {"value": np.arange(1000)})
    path = cache.path("x")
    os.utime(path, ns=(1, 1))
    assert cache.holds("x", "token")
    path.write_bytes(path.read_bytes()[:-100])
    assert not cache.holds("x", "token")
    assert cache.damaged == ["x"]


def test_a_cache_file_of_another_config_is_not_taken(tmp_path: Path) -> None:
    one = StageCache(tmp_path, "stage", {"a": 1})
    two = StageCache(tmp_path, "stage", {"a": 2})
    one.write("x", "token", {"value": np.arange(3)})
    two.path("x").parent.mkdir(parents=True)
    shutil.copy(one.path("x"), two.path("x"))
    assert two.read("x", "token") is None
    assert two.damaged == []
    assert one.read("x", "other") is None
    content = one.read("x", "token")
    assert content is not None
    np.testing.assert_array_equal(content["value"], [0, 1, 2])
    assert json.loads((one.folder / "config.json").read_text()) == {
        "config": {"a": 1},
        "version": 1,
    }
    assert not list(tmp_path.rglob("*.tmp"))


def test_extra_photos_teach_f_em_and_stay_out_of_the_bank(
    root: Path, dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = tmp_path / "extra"
    make_photos(folder, 6, first=20, seed=1)
    shutil.copy(root / "images" / "p000.png", folder / "images" / "twin.png")
    labels = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**labels, "twin.png": ["red"]}))
    extra = load_folder(folder)
    build = Build(dataset, tmp_path / "bank", extra=extra, **options)
    report = build.run()
    assert report.extra_images == 7  # without the twin
    assert report.stages["features"].computed == 9 + 6
    assert len(MaskBank(tmp_path / "bank")) == report.kept == 12

    written = build_bank(dataset, tmp_path / "all", extra=extra, write_extra=True, **options)
    bank = MaskBank(tmp_path / "all")
    assert len(bank) == written.kept == 12 + 8
    ids = [bank.image_id(row) for row in range(len(bank))]
    assert sum(name.startswith("extra/") for name in ids) == 8
    assert bank.image_file(len(bank) - 1) is None

    alone = build_bank(dataset, tmp_path / "alone", extra=extra, extra_for="classifier", **options)
    assert alone.stages["features"].computed == 9
    with pytest.raises(ArgumentError, match="write_extra"):
        Build(dataset, tmp_path / "x", write_extra=True, **options)


def test_extra_photos_of_an_unknown_class_are_refused(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = tmp_path / "extra"
    make_photos(folder, 3)
    (folder / "labels.json").write_text(json.dumps({"p000.png": ["green"]}))
    with pytest.raises(ArgumentError, match="green"):
        Build(dataset, tmp_path / "bank", extra=load_folder(folder), **options)


def test_the_classifier_is_trained_once(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    options.pop("classifier")
    options |= {
        "backbone": BACKBONE,
        "pretrained": None,
        "recipe": Recipe(epochs=1, head_epochs=1),
    }
    build = Build(dataset, tmp_path / "bank", **options)
    with pytest.raises(ArgumentError, match="--stage classifier"):
        build.run(["cams"])
    assert build.run(["classifier"]).stages["classifier"].computed == 1
    assert build.run(["classifier", "cams"]).stages["classifier"].reused == 1
    path = build.classifier_stage.path
    path.write_bytes(path.read_bytes()[:100])
    assert build.run(["classifier"]).stages["classifier"].damaged == 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_cached_classifier_that_is_cut_off_is_trained_again(
    dataset: Dataset,
    tmp_path: Path,
    options: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    share: float,
) -> None:
    options.pop("classifier")
    recipe = Recipe(epochs=0, head_epochs=1)
    options |= {"backbone": BACKBONE, "pretrained": None, "recipe": recipe}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        build = Build(dataset, tmp_path / "bank", **options)
        build.run(["classifier"])
    path = build.classifier_stage.path
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArgumentError) as caught:
        Build(dataset, tmp_path / "bank", **options).run(["cams"])
    assert str(caught.value).startswith(f"stage classifier: {path}: is damaged")
    assert str(caught.value).endswith("(--stage classifier)")
    again = Build(dataset, tmp_path / "bank", **options).run(["classifier"])
    assert (again.stages["classifier"].computed, again.stages["classifier"].damaged) == (1, 1)
    warning = capsys.readouterr().err
    assert f"warning: {path}: is damaged" in warning
    assert "training it again" in warning
    assert Classifier.load(path).class_names == ("blue", "red")


def test_a_training_state_that_is_cut_off_starts_anew(
    dataset: Dataset,
    tmp_path: Path,
    options: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    options.pop("classifier")
    options |= {"backbone": BACKBONE, "pretrained": None}
    build = Build(dataset, tmp_path / "bank", recipe=Recipe(epochs=0, head_epochs=1), **options)
    state = build.classifier_stage.path.parent / "training.pt"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"PK\x03\x04 cut off")
    assert build.run(["classifier"]).stages["classifier"].computed == 1
    assert f"warning: {state}: is damaged" in capsys.readouterr().err
    assert not state.exists()


def test_a_given_classifier_that_is_cut_off_is_named(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], classifier: Path
) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(classifier.read_bytes()[:-500])
    options["classifier"] = broken
    with pytest.raises(ArgumentError) as caught:
        build_bank(dataset, tmp_path / "bank", **options)
    assert str(caught.value).startswith(f"classifier: {broken}: is damaged")
    assert broken.exists()


def read_only_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **given: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("empaste_aug.bank.files.tempfile.TemporaryFile", refuse)


def test_an_output_that_cannot_be_written_is_found_before_any_work(
    dataset: Dataset,
    tmp_path: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, work = tmp_path / "bank", tmp_path / "work"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    with pytest.raises(ArgumentError, match=r"thesis\.tex"):
        build_bank(dataset, foreign, work=work, **options)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ArgumentError, match="is a file"):
        build_bank(dataset, file, work=work, **options)
    with pytest.raises(ArgumentError, match=r"cannot be written: Not a directory"):
        build_bank(dataset, file / "bank", work=work, **options)
    with monkeypatch.context() as patch:
        read_only_folder(patch)
        with pytest.raises(ArgumentError, match=r"output: .*cannot be written: Read-only"):
            build_bank(dataset, output, work=work, **options)
        assert not work.exists()
        build_bank(dataset, output, work=work, stages=["proposals"], **options)
    build_bank(dataset, output, work=work, **options)
    with monkeypatch.context() as patch:
        read_only_folder(patch)  # the same bank is there: nothing is written
        assert build_bank(dataset, output, work=work, **options).stages["bank"].computed == 0
        other = {**options, "overwrite": True, "cut": Cut(keep=0.5)}
        with pytest.raises(ArgumentError, match="Read-only"):
            build_bank(dataset, output, work=work, **other)


def test_a_work_folder_in_the_banks_way_is_refused(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    output = tmp_path / "bank"
    for work in (output, output / "work", tmp_path / "x" / ".." / "bank"):
        with pytest.raises(ArgumentError, match="work: "):
            build_bank(dataset, output, work=work, **options)
    with pytest.raises(ArgumentError, match=r"output: .*where a stage keeps its files"):
        build_bank(dataset, tmp_path / "features" / "bank", work=tmp_path, **options)
    inside = build_bank(dataset, tmp_path / "work" / "bank", work=tmp_path / "work", **options)
    assert inside.kept == 12


def test_a_stage_that_the_mode_does_not_have_is_refused(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match="mode 'paper' has no stage saliency"):
        build_bank(dataset, tmp_path / "bank", stages=["saliency"], **options)
    options["mode"] = "robust"
    with pytest.raises(ArgumentError, match="mode 'robust' has no stage cams"):
        build_bank(dataset, tmp_path / "bank", stages=["cams", "proposals"], **options)
    with pytest.raises(ArgumentError, match="workers: must be at least 1"):
        build_bank(dataset, tmp_path / "bank", **{**options, "workers": 0})


def test_one_object_is_written_for_one_class_alone(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both classes of a photo take its red square, the better mask stands."""
    usual = ForegroundStage.choices
    both = [image.image_id for image in dataset.images if len(image.labels) == 2]

    def red_alone(self: ForegroundStage, photos: Any) -> list[Choice]:
        found = usual(self, photos)
        red = {choice.photo: choice for choice in found if choice.category_id == 1}
        return [
            replace(choice, segment=red[choice.photo].segment) if choice.photo in both else choice
            for choice in found
        ]

    monkeypatch.setattr(ForegroundStage, "choices", red_alone)
    report = build_bank(dataset, tmp_path / "kept", **options)  # the paper's mode keeps both
    assert report.kept == 12
    assert "another class's" not in report.table()
    options["cut"] = Cut(keep_by="score")
    report = build_bank(dataset, tmp_path / "bank", **options)
    assert report.kept == 12 - len(both)
    assert sum(row.anothers for row in report.classes) == len(both)
    assert sum(row.cut for row in report.classes) == 0
    assert f"masks left out: another class's{len(both):>10}" in report.table()
    bank, before = MaskBank(tmp_path / "bank"), MaskBank(tmp_path / "kept")
    scores: dict[str | None, list[float]] = {}
    for row in range(len(before)):
        scores.setdefault(before.image_id(row), []).append(before[row].score)
    for row in range(len(bank)):
        assert bank[row].score == max(scores[bank.image_id(row)])
    options["cut"] = Cut(min_score=1.0, keep=0.5)
    with pytest.raises(ArgumentError, match=r"none passes min_score=1\.0, keep=0\.5$"):
        build_bank(dataset, tmp_path / "none", **options)


def test_the_classifiers_options_reach_its_training(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options.pop("classifier")
    options |= {"backbone": BACKBONE, "pretrained": None, "workers": 2}
    options["recipe"] = Recipe(epochs=1, head_epochs=1)
    seen: list[dict[str, Any]] = []

    def train(*args: Any, **given: Any) -> Classifier:
        seen.append(given)
        return train_classifier(*args, **given)

    monkeypatch.setattr(classifier_stage, "train_classifier", train)
    paths = set()
    for fraction in (0.0, 0.5):
        build = Build(dataset, tmp_path / "bank", **options, val_fraction=fraction)
        assert build.run(["classifier"]).stages["classifier"].computed == 1
        history = Classifier.load(build.classifier_stage.path).history
        assert all((entry["val_map"] is None) == (fraction == 0) for entry in history)
        paths.add(build.classifier_stage.path)
    assert [(given["val_fraction"], given["workers"]) for given in seen] == [(0.0, 2), (0.5, 2)]
    assert len(paths) == 2
    alone = Build(dataset, tmp_path / "bank", **{**options, "workers": 1}, val_fraction=0.5)
    assert alone.classifier_stage.path in paths
    assert alone.classifier_stage.workers == 0


def test_start_weights_are_known_by_their_content(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    options.pop("classifier")

    def key(pretrained: Any) -> str:
        build = Build(dataset, tmp_path / "bank", **options, pretrained=pretrained)
        return build.classifier_stage.key

    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    assert key(one) == key(str(two))
    before = key(one)
    one.write_bytes(b"others")
    assert len({before, key(one), key("packaged"), key("hub"), key(None)}) == 5


def test_pairs_without_a_segment_are_counted(
    dataset: Dataset,
    tmp_path: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = [image for image in dataset.images if image.labels][:2]
    usual = ColourSegments.__call__

    def call(self: ColourSegments, image: np.ndarray, *, image_id: str) -> list[Segment]:
        if image_id in {photo.image_id for photo in bare}:
            return []
        return usual(self, image, image_id=image_id)

    monkeypatch.setattr(ColourSegments, "__call__", call)
    report = build_bank(dataset, tmp_path / "bank", **options)
    missing = [sum(category in photo.labels for photo in bare) for category in (0, 1)]
    assert [row.without_segment for row in report.classes] == missing
    assert report.kept == 12 - sum(missing) == len(MaskBank(tmp_path / "bank"))
    assert "pairs without any" in report.table()


@pytest.mark.parametrize(
    "bad",
    [
        {"extra_for": "nobody"},
        {"mode": "guess"},
        {"reduce": -1},
        {"cue_weights": CueWeights()},
        {"windows": 3},
        {"cam_threshold": 0.0},
        {"cam_component": "some"},
        {"cam_sizes": []},
        {"val_fraction": 1.0},
        {"workers": -1},
    ],
)
def test_bad_options_are_named(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], bad: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        Build(dataset, tmp_path / "bank", **{**options, **bad}).run()


def test_a_pool_of_processes_gives_the_same_files(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    options["proposals"] = ["slic"]
    found = {}
    for workers in (1, 2):
        options["workers"] = workers
        work = tmp_path / f"work{workers}"
        report = build_bank(dataset, tmp_path / "b", work=work, stages=["proposals"], **options)
        assert report.stages["proposals"].computed == 9
        found[workers] = snapshot(work)
    names = {name for name in found[1] if name.endswith(".npz")}
    assert len(names) == 9
    assert found[1].keys() == found[2].keys()
    for name in names:
        with np.load(tmp_path / "work1" / name) as one, np.load(tmp_path / "work2" / name) as two:
            assert all((one[key] == two[key]).all() for key in one.files if key != "strength")


def command(root: Path, output: Path, classifier: Path) -> list[str]:
    script = Path(__file__).resolve().parents[2] / "tools" / "build_bank.py"
    arguments = ["--dataset", "folder", "--root", str(root), "--output", str(output)]
    options = ["--classifier", str(classifier), "--proposals", "slic", "--workers", "2"]
    options += ["--mode", "paper"]
    return [sys.executable, str(script), *arguments, *options]


def test_the_command_line_survives_a_kill(tmp_path: Path, root: Path, classifier: Path) -> None:
    call = command(root, tmp_path / "bank", classifier)
    process = subprocess.Popen(
        call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    work = tmp_path / "bank.work"
    deadline = time.monotonic() + 120
    while not list(work.glob("proposals/*/*.npz")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "masks kept" in done.stdout
    assert len(MaskBank(tmp_path / "bank")) == 12


def test_a_bank_without_a_mask_is_not_written(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match="nothing to keep"):
        build_bank(dataset, tmp_path / "bank", segments=SegmentConfig(min_area=0.99), **options)
    assert not (tmp_path / "bank").exists()


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_an_unusable_device_is_named_at_once(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], device: str
) -> None:
    with pytest.raises(ArgumentError, match=f"device: '{device}' cannot be used"):
        build_bank(dataset, tmp_path / "bank", device=device, **options)


def test_the_command_line_names_its_errors(tmp_path: Path, root: Path) -> None:
    call = command(root, tmp_path / "bank", tmp_path / "none.pt")
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "none.pt" in done.stderr
