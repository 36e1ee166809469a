"""From photos to a pool that the mapper draws from, by the command line, with tiny real models."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("diffusers", reason="diffusers, of the extra 'offline', is missing")
pytest.importorskip("open_clip", reason="open_clip, of the extra 'offline', is missing")
pytest.importorskip("timm")

from executor_stages import files_of

from empaste_aug import Backgrounds, EMPaste, PoolReader
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.distract import find_targets
from empaste_aug.offline.stages.cache import StageCache
from empaste_aug.tools.build_backgrounds import main

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)

CLASSES = ["cat", "dog"]
COLOURS = {"cat": (230, 20, 20), "dog": (20, 20, 230)}
NUMBER = 4  # photos; the last one has no class

Command = Callable[..., list[str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with a red cat or a blue dog, annotated; the last one has nothing."""
    folder = tmp_path_factory.mktemp("data") / "pets"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    labels: dict[str, list[str]] = {}
    images, annotations = [], []
    for index in range(NUMBER):
        pixels = rng.integers(90, 140, (48, 64, 3), dtype=np.uint8)
        name = f"p{index}.png"
        labels[name] = [] if index == NUMBER - 1 else [CLASSES[index % 2]]
        images.append({"id": index, "file_name": name, "height": 48, "width": 64})
        for label in labels[name]:
            pixels[10:30, 8:28] = COLOURS[label]
            annotations.append(
                {
                    "id": 1 + index,
                    "image_id": index,
                    "category_id": 1 + CLASSES.index(label),
                    "segmentation": [[8, 10, 28, 10, 28, 30, 8, 30]],
                    "bbox": [8, 10, 20, 20],
                    "area": 400,
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(folder / "images" / name)
    (folder / "labels.json").write_text(json.dumps(labels))
    categories = [{"id": 1 + number, "name": name} for number, name in enumerate(CLASSES)]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    captions = [
        {"id": 2 * index + number, "image_id": index, "caption": text}
        for index in range(NUMBER)
        for number, text in enumerate(
            ["A cat on a red field.", "Two dogs near a green house.", "A blue boat."]
        )
    ]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It sees a dog everywhere."""
    made = Classifier.create(
        CLASSES, backbone="timm/test_efficientnet", pretrained=None, input_size=32
    )
    with torch.no_grad():
        made.head.bias.copy_(torch.tensor([-9.0, 9.0]))
    path = tmp_path_factory.mktemp("classifier") / "classifier.pt"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def command(
    root: Path, blip_folder: Path, stable_diffusion_folder: Path, clip_folder: Path
) -> Command:
    """The options of a build in a folder."""

    def make(folder: Path, *more: str) -> list[str]:
        return [
            "--dataset", "folder", "--root", str(root), "--output", str(folder / "pool"),
            "--caption-model", str(blip_folder), "--image-model", str(stable_diffusion_folder),
            "--clip-model", str(clip_folder), "--steps", "1", "--image-size", "64",
            "--images-per-caption", "3", "--keep-per-caption", "2", *more,
        ]  # fmt: skip

    return make


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert main(command(folder, "--sheet", str(folder / "sheet.png"))) == 0
    return folder


def test_a_pool_from_photos(finished: Path, root: Path) -> None:
    pool = PoolReader(finished / "pool")
    pool.verify_all()
    assert len(pool) == NUMBER * 2 * 2
    told = [pool.provenance(row) for row in range(len(pool))]
    assert {item["kind"] for item in told} == {"generated"}
    assert set(Counter((item["source"], item["caption"]) for item in told).values()) <= {2, 4}
    for row, item in enumerate(told):
        assert find_targets(item["prompt"], CLASSES) == []
        assert pool.size(row) == (64, 64)
        assert -1 <= item["score"] <= 1
    sheet = cv2.imread(str(finished / "sheet.png"))
    assert sheet.shape[0] > NUMBER * 2 * 200


def test_the_best_by_clip_are_kept(finished: Path, command: Command, tmp_path: Path) -> None:
    """A larger pool from the same candidates holds those of the smaller one, and worse ones."""
    work = ("--work", str(finished / "pool.work"))
    assert main(command(tmp_path, *work, "--keep-per-caption", "3")) == 0
    few, many = PoolReader(finished / "pool"), PoolReader(tmp_path / "pool")
    kept = {few.provenance(row)["key"] for row in range(len(few))}
    scores: dict[str, dict[str, float]] = {}
    for row in range(len(many)):
        item = many.provenance(row)
        scores.setdefault(item["key"].rpartition("/")[0], {})[item["key"]] = item["score"]
    assert len(scores) == NUMBER * 2
    for found in scores.values():
        assert len(found) == 3
        left = [score for key, score in found.items() if key not in kept]
        assert len(left) == 1
        assert min(found.values()) == left[0]


def test_an_image_can_be_made_again_alone(finished: Path, stable_diffusion_folder: Path) -> None:
    from empaste_aug.offline.synthesize import Synthesizer, negative_prompt

    pool = PoolReader(finished / "pool")
    item = pool.provenance(3)
    model = Synthesizer(
        stable_diffusion_folder, steps=1, height=64, width=64,
        negative_prompt=negative_prompt(CLASSES),
    )  # fmt: skip
    [image] = model.images(item["prompt"], seeds=[item["seed"]])
    assert image is not None
    difference = np.abs(image.astype(int) - pool.read(3).astype(int))
    assert difference.mean() < 12  # JPEG of noise


def test_the_same_command_again_makes_nothing(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(finished, "*.npz")
    assert main(command(finished)) == 0
    assert files_of(finished, "*.npz") == before
    said = capsys.readouterr().out
    assert f"{0:>9,} made {NUMBER * 2 * 3:>9,} reused" in said


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_finished_pool_is_mended(
    finished: Path, command: Command, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(finished / "pool", tmp_path / "pool")
    image = tmp_path / "pool" / "images" / "000" / "000005.jpg"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 8
    image.write_bytes(content if damage == "changed" else content[:100])
    if damage == "missing":
        image.unlink()
    assert main(command(tmp_path, "--work", str(finished / "pool.work"))) == 0
    assert files_of(tmp_path / "pool") == files_of(finished / "pool")


def test_stages_run_one_by_one(finished: Path, command: Command, tmp_path: Path) -> None:
    assert main(command(tmp_path, "--stage", "rank")) == 2  # what it needs is not there
    for stage in ("caption", "distract", "synthesize", "rank", "pool"):
        assert not (tmp_path / "pool" / "manifest.json").exists()
        assert main(command(tmp_path, "--stage", stage)) == 0
    assert files_of(tmp_path / "pool") == files_of(finished / "pool")


def test_a_build_killed_at_random_points_gives_the_same_pool(
    finished: Path, command: Command, tmp_path: Path
) -> None:
    total = len(files_of(finished / "pool.work", "*.npz"))
    rng = np.random.default_rng(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    call = [sys.executable, "-m", "empaste_aug.tools.build_backgrounds", *command(tmp_path)]
    for after in sorted(rng.choice(np.arange(2, total - 2), 2, replace=False).tolist()):
        process = subprocess.Popen(
            call, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while len(list(tmp_path.rglob("*.npz"))) < after and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert after <= len(list(tmp_path.rglob("*.npz"))) <= total
    assert main(command(tmp_path)) == 0
    assert files_of(tmp_path / "pool") == files_of(finished / "pool")
    work, whole = (files_of(folder / "pool.work", "*.npz") for folder in (tmp_path, finished))
    assert work == whole


def test_more_images_reuse_those_that_are_there(
    finished: Path, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--work", str(finished / "pool.work"), "--stage", "synthesize")
    assert main(command(tmp_path, *options, "--images-per-caption", "4")) == 0
    said = capsys.readouterr().out
    assert f"{NUMBER * 2:>9,} made {NUMBER * 2 * 3:>9,} reused" in said


def test_captions_that_the_user_has(root: Path, command: Command, tmp_path: Path) -> None:
    given = ("--captions", str(root / "captions.json"), "--captions-per-photo", "2")
    assert main(command(tmp_path, *given)) == 0
    pool = PoolReader(tmp_path / "pool")
    pairs = {
        (pool.provenance(row)["caption"], pool.provenance(row)["prompt"])
        for row in range(len(pool))
    }
    captions = {caption for caption, _ in pairs}
    assert captions <= {"A cat on a red field.", "Two dogs near a green house.", "A blue boat."}
    for caption, prompt in pairs:
        assert (caption == prompt) == (caption == "A blue boat.")


def test_images_in_which_a_class_is_visible_are_rejected(
    root: Path,
    classifier: Path,
    command: Command,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = ("--classifier", str(classifier), "--judges", "classifier")
    assert main(command(tmp_path, *judged, "--sheet", str(tmp_path / "s.png"))) == 2
    assert "no image is left for the pool" in capsys.readouterr().err
    assert main(command(tmp_path, *judged, "--classifier-threshold", "1")) == 0
    assert f"{NUMBER * 4} kept" in capsys.readouterr().out
    scores = PoolReader(tmp_path / "pool").provenance(0)["scores"]
    assert scores["classifier"] > 0.99


def test_a_classifier_of_other_classes(
    finished: Path, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It judges the classes that it shares, whatever their names there; one with none is refused
    before anything is made."""
    made = Classifier.create(
        ["horse", "dog"], backbone="timm/test_efficientnet", pretrained=None, input_size=32
    )
    made.save(tmp_path / "shares_one.pt")
    work = ("--work", str(finished / "pool.work"), "--judges", "classifier")
    assert main(command(tmp_path, *work, "--classifier", str(tmp_path / "shares_one.pt"))) in (0, 2)
    assert "does not know 1 of 2 classes, and so does not see them: cat" in caplog.text
    other = Classifier.create(
        ["horse"], backbone="timm/test_efficientnet", pretrained=None, input_size=32
    )
    other.save(tmp_path / "other.pt")
    fresh = tmp_path / "fresh"
    options = ("--judges", "classifier", "--classifier", str(tmp_path / "other.pt"))
    assert main(command(fresh, *options)) == 2
    assert "knows none of the classes cat, dog; it was trained for horse" in capsys.readouterr().err
    assert not list(fresh.rglob("*.npz"))


def test_what_stops_the_end_is_found_at_the_start(
    finished: Path, clip_folder: Path, command: Command, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Before the first caption: a pool of other settings, CLIP without weights, a bad folder."""
    shutil.copytree(finished / "pool", tmp_path / "a" / "pool")
    assert main(command(tmp_path / "a", "--images-per-caption", "4")) == 2
    assert "holds a finished pool of other settings; --overwrite" in capsys.readouterr().err
    clip = shutil.copytree(clip_folder, tmp_path / "clip")
    for weights in (*clip.glob("*.bin"), *clip.glob("*.safetensors")):
        weights.write_bytes(b"no weights")
    assert main(command(tmp_path / "b", "--clip-model", str(clip))) == 2
    assert "cannot be loaded as an image-text model" in capsys.readouterr().err
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "pool").write_text("a file")
    assert main(command(tmp_path / "c")) == 2
    assert "pool is a file" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.npz"))


def test_a_bank_without_its_classifier_leaves_clip_to_judge(
    command: Command, small_bank: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, "--bank", str(small_bank.path), "--dry-run")) == 0
    told = capsys.readouterr().err
    assert "its classifier does not judge" in told
    assert "is visible are rejected by: clip\n" in told


def test_photos_without_objects_and_with_removed_ones(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is downloaded, and no model but OpenCV is used."""
    options = ["--dataset", "folder", "--root", str(root), "--output", str(tmp_path / "pool")]
    options += ["--annotations", str(root / "instances.json")]
    sheet = ("--sheet", str(tmp_path / "sheet.png"))
    assert main([*options, *sheet, "--source", "object_free", "inpainted"]) == 0
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] > NUMBER * 200
    assert "no judge" in capsys.readouterr().err
    pool = PoolReader(tmp_path / "pool")
    kinds = Counter(pool.provenance(row)["kind"] for row in range(len(pool)))
    assert kinds == {"object_free": 1, "inpainted": NUMBER - 1}
    for row in range(len(pool)):
        assert pool.size(row) == (48, 64)
        saturation = np.ptp(pool.read(row).astype(int), axis=2)
        assert saturation[12:28, 10:26].mean() < 60  # the object had 210


def test_a_dry_run_makes_nothing(
    command: Command, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, "--dry-run")) == 0
    said = capsys.readouterr().out
    assert f"synthesize  {NUMBER * 2 * 3:>12,} images" in said
    assert "not known" in said
    assert not list(tmp_path.iterdir())
    assert main(command(tmp_path, "--dry-run", "--work", str(finished / "pool.work"))) == 0
    assert "not known" not in capsys.readouterr().out


def test_a_share_of_the_photos(finished: Path, command: Command, tmp_path: Path) -> None:
    work = ("--work", str(finished / "pool.work"))
    assert main(command(tmp_path, *work, "--share", "0.5")) == 0
    pool = PoolReader(tmp_path / "pool")
    assert len({pool.provenance(row)["source"] for row in range(len(pool))}) == NUMBER // 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--image-model", "/no/such/model"], "--image-model: the folder /no/such/model"),
        (["--caption-model", "/no/such/model"], "--caption-model: the folder /no/such/model"),
        (["--clip-model", "NoSuchModel"], "--clip-model: open_clip has no 'NoSuchModel'"),
        (["--keep-per-caption", "9"], "keep"),
        (["--share", "0"], "share"),
        (["--captions", "missing.json"], "missing.json"),
        (["--judges", "classifier"], "--judges"),
        (["--stage", "inpaint"], "inpaint"),
        (["--vocabulary", "missing.yaml"], "missing.yaml"),
        (["--sheet", "sheet.txt"], "--sheet"),
        (["--sheet-rows", "0"], "--sheet-rows"),
        (["--classifier", "missing.pt"], "--classifier"),
        (["--limit", "0"], "--limit"),
        (["--classes", "cat", "dog", "zorb"], "zorb"),
    ],
)
def test_bad_options_are_named(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    change: list[str], said: str,
) -> None:  # fmt: skip
    assert main(command(tmp_path, *change)) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert not (tmp_path / "pool").exists()


def test_a_dry_run_counts_the_users_captions(
    root: Path, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("file_name,caption\n" + "".join(f"p{n}.png,A field\n" for n in range(NUMBER)))
    assert main(command(tmp_path, "--captions", str(path), "--dry-run")) == 0
    assert f"synthesize  {NUMBER * 3:>12,} images" in capsys.readouterr().out


@pytest.mark.parametrize("table", ["index.npy", "provenance.jsonl", "manifest.json"])
def test_a_pool_without_sound_tables_says_what_helps(
    finished: Path, command: Command, tmp_path: Path, table: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(finished / "pool", tmp_path / "pool")
    (tmp_path / "pool" / table).write_bytes(b"{")
    work = ("--work", str(finished / "pool.work"))
    assert main(command(tmp_path, *work)) == 2
    assert "--overwrite makes the pool anew" in capsys.readouterr().err
    assert main(command(tmp_path, *work, "--overwrite")) == 0
    assert files_of(tmp_path / "pool") == files_of(finished / "pool")


def test_photos_without_a_given_caption_are_named(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("file_name,caption\np0.png,A field\n")
    assert main(command(tmp_path, "--captions", str(path))) == 2
    told = capsys.readouterr().err
    assert f"no caption for {NUMBER - 1} of {NUMBER} photos, such as p1.png" in told
    assert "it names p0.png" in told


def test_a_damaged_image_is_made_again(finished: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(finished / "pool.work", tmp_path / "pool.work")
    damaged = sorted((tmp_path / "pool.work" / "synthesize").rglob("*.npz"))[5]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    assert main(command(tmp_path)) == 0
    assert files_of(tmp_path / "pool") == files_of(finished / "pool")


def test_a_photo_that_cannot_be_read_is_named(
    root: Path, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "data"
    shutil.copytree(root, broken)
    (broken / "images" / "p1.png").write_bytes(b"no image")
    assert main([*command(tmp_path), "--root", str(broken)]) == 2
    assert "p1.png" in capsys.readouterr().err


def test_a_full_disk_is_told(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    usual = StageCache.write

    def full(cache: StageCache, name: str, *rest: Any) -> None:
        if name.endswith("00-002"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache.path(name)))
        usual(cache, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(StageCache, "write", full)
        assert main(command(tmp_path)) == 2
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "make room and give the same command again" in told
    made = files_of(tmp_path, "*.npz")
    assert main(command(tmp_path)) == 0
    assert made.items() <= files_of(tmp_path, "*.npz").items()


def test_a_pool_that_was_made_otherwise_is_kept(
    finished: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(finished / "pool")
    assert main(command(finished, "--keep-per-caption", "1")) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert files_of(finished / "pool") == before


def test_the_pool_takes_the_place_of_photos(finished: Path) -> None:
    backgrounds = Backgrounds(finished / "pool", probability=1.0)
    drawn = backgrounds.draw(np.random.default_rng(0))
    assert drawn is not None
    assert backgrounds.render(drawn, 40, 80).shape == (40, 80, 3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_mapper_pastes_onto_the_pool(finished: Path, small_bank: Any, tmp_path: Path) -> None:
    pytest.importorskip("detectron2")
    from detectron2_data import CLASSES as OF_PHOTOS
    from detectron2_data import make_mapper, write_photos

    [photo] = write_photos(tmp_path / "photos", 1, size=(64, 64))
    paste = EMPaste(small_bank, count=2, class_names=OF_PHOTOS, blend="none")
    backgrounds = Backgrounds(finished / "pool", probability=1.0)
    mapped = make_mapper(paste, backgrounds=backgrounds, keep_record=True)(photo)
    drawn = mapped["empaste_record"].background
    free = ~mapped["instances"].gt_masks.tensor.any(0).numpy()
    image = mapped["image"].numpy().transpose(1, 2, 0)
    assert 0 < free.sum() < free.size
    assert (image[free] == backgrounds.render(drawn, 64, 64)[free]).all()
    assert len(mapped["instances"]) == len(mapped["empaste_record"].placements) > 0
