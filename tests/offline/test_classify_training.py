"""Training on synthetic photos: each class is a blob of its own colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from empaste_aug.offline.classify import Recipe, mean_average_precision, train_classifier
from empaste_aug.offline.classify.loss import MultiLabelLoss
from empaste_aug.offline.classify.photos import (
    AugmentedPhotos,
    LabelledPhotos,
    PhotoCache,
    merge_sources,
)
from empaste_aug.offline.classify.run import STATE_FILE
from empaste_aug.offline.datasets.base import LabelledImage
from empaste_aug.types import ArgumentError

COLOURS = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}
TINY: dict[str, Any] = {
    "backbone": "timm/test_resnet",
    "pretrained": None,
    "input_size": 64,
    "progress": False,
}
RECIPE = Recipe(
    epochs=3,
    head_epochs=5,
    finetune=1.0,
    learning_rate=3e-3,
    head_learning_rate=1e-2,
    batch_size=8,
    freeze_norm=False,
    jitter=0.1,
)


def blob_photos(
    folder: Path, count: int, names: tuple[str, ...] = tuple(COLOURS), seed: int = 0
) -> SimpleNamespace:
    """`count` grey noise photos of 80x96 pixels, each with discs of some of the classes."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for i in range(count):
        photo = rng.integers(90, 150, size=(80, 96, 3), dtype=np.uint8)
        labels = np.flatnonzero(rng.random(len(names)) < 0.5)
        for label in labels:
            colour = COLOURS.get(names[label], (10, 10, 10))
            centre = (int(rng.integers(16, 80)), int(rng.integers(16, 64)))
            cv2.circle(photo, centre, int(rng.integers(9, 15)), colour, -1)
        path = folder / f"{i:03d}.png"
        cv2.imwrite(str(path), photo[:, :, ::-1])
        images.append(
            LabelledImage(path.stem, path, path.name, tuple(int(k) for k in labels), 80, 96)
        )
    return SimpleNamespace(name=folder.name, class_names=names, images=images)


@pytest.fixture(autouse=True)
def _seed_and_threads() -> Iterator[None]:
    torch.manual_seed(0)  # the tiny backbone has random weights
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for tensors as small as these
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return blob_photos(tmp_path_factory.mktemp("blobs"), 48)


def test_training_separates_the_classes(blobs: SimpleNamespace) -> None:
    classifier = train_classifier(blobs, recipe=RECIPE, val_fraction=0.3, **TINY)
    assert classifier.class_names == ("red", "green", "blue")
    assert not classifier.training
    assert [e["phase"] for e in classifier.history] == ["head"] + ["finetune"] * 3
    assert classifier.history[-1]["val_map"] > 0.9
    assert classifier.history[-1]["loss"] < classifier.history[1]["loss"]


def test_resuming_gives_what_an_uninterrupted_run_gives(
    blobs: SimpleNamespace, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=3, keep="best")
    whole = train_classifier(blobs, recipe=recipe, **TINY)

    for stop in (("head", 4), ("finetune", 1)):

        def interrupt(entry: dict[str, Any], stop: tuple[str, int] = stop) -> None:
            if (entry["phase"], entry["epoch"]) == stop:
                raise KeyboardInterrupt

        torch.manual_seed(0)
        with pytest.raises(KeyboardInterrupt):
            train_classifier(blobs, recipe=recipe, work_dir=tmp_path, on_epoch=interrupt, **TINY)
    seen: list[dict[str, Any]] = []
    torch.manual_seed(0)
    resumed = train_classifier(
        blobs, recipe=recipe, work_dir=tmp_path, on_epoch=seen.append, **TINY
    )
    assert [entry["epoch"] for entry in seen] == [2]
    assert resumed.history == whole.history
    assert resumed.fingerprint() == whole.fingerprint()

    torch.manual_seed(0)
    again = train_classifier(blobs, recipe=recipe, work_dir=tmp_path, on_epoch=_no_epoch, **TINY)
    assert again.fingerprint() == whole.fingerprint()


def _no_epoch(entry: dict[str, Any]) -> None:
    raise AssertionError(f"a finished run trains on: {entry}")


def test_work_dir_of_another_run_is_refused(blobs: SimpleNamespace, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=0, head_epochs=1)
    train_classifier(blobs, recipe=recipe, work_dir=tmp_path, **TINY)
    assert (tmp_path / STATE_FILE).is_file()
    with pytest.raises(ArgumentError, match=STATE_FILE):
        train_classifier(blobs, recipe=replace(recipe, seed=1), work_dir=tmp_path, **TINY)


def test_only_the_last_layers_and_the_head_learn(blobs: SimpleNamespace) -> None:
    recipe = replace(RECIPE, epochs=1, finetune=0.3, freeze_norm=True, weight_decay=0.0)
    start = train_classifier(blobs, recipe=replace(recipe, epochs=0, head_epochs=0), **TINY)
    torch.manual_seed(0)
    end = train_classifier(blobs, recipe=recipe, **TINY)
    before, after = start.state_dict(), end.state_dict()
    assert any("network.conv1" in key for key in before)
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert {"head.weight", "head.bias"} < set(changed)
    assert any(key.startswith("backbone") for key in changed)
    assert not any("network.conv1" in key or "running" in key for key in changed)


def test_validation_photos_are_held_out(blobs: SimpleNamespace, tmp_path: Path) -> None:
    ids = [image.image_id for image in blobs.images[:10]]
    recipe = replace(RECIPE, epochs=1, head_epochs=1)
    held_out = train_classifier(blobs, recipe=recipe, val_ids=ids, **TINY)
    torch.manual_seed(0)
    without = SimpleNamespace(name="rest", class_names=blobs.class_names, images=blobs.images[10:])
    alone = train_classifier(without, recipe=recipe, val_fraction=0, **TINY)
    # The views of a photo are keyed by its position, so only the first phase is comparable.
    assert held_out.history[0]["loss"] == pytest.approx(alone.history[0]["loss"], rel=1e-5)
    assert alone.history[0]["val_map"] is None
    with pytest.raises(ArgumentError, match="val_ids"):
        train_classifier(blobs, recipe=recipe, val_ids=["nowhere"], **TINY)


def test_extra_sources_match_by_name_and_do_not_deny_what_they_do_not_label(
    tmp_path: Path,
) -> None:
    main = blob_photos(tmp_path / "main", 4)
    extra = blob_photos(tmp_path / "extra", 5, ("sky", "green", "dog"), seed=1)
    with pytest.raises(ArgumentError, match=r"sky.*dog"):
        merge_sources(main, [extra])
    photos = merge_sources(main, [extra], class_map={"sky": "blue"}, exclude=["dog"])
    assert photos.main == 4
    assert len(photos.images) == 9
    assert photos.known[:4].all()
    np.testing.assert_array_equal(photos.known[4:], np.tile([False, True, True], (5, 1)))
    for image, row in zip(extra.images, photos.targets[4:], strict=True):
        np.testing.assert_array_equal(row, [False, 1 in image.labels, 0 in image.labels])


def test_extra_photos_are_trained_on(tmp_path: Path, blobs: SimpleNamespace) -> None:
    main = blob_photos(tmp_path / "main", 12, seed=5)
    recipe = replace(RECIPE, epochs=1, head_epochs=1)
    calls: list[dict[str, Any]] = []
    with_extra = train_classifier(
        main, extra=[blobs], recipe=recipe, val_fraction=0.5, on_epoch=calls.append, **TINY
    )
    torch.manual_seed(0)
    without = train_classifier(main, recipe=recipe, val_fraction=0.5, **TINY)
    assert with_extra.fingerprint() != without.fingerprint()
    assert calls == with_extra.history


def augmented(
    photos: SimpleNamespace, *, budget: int = 1 << 30, epoch: int = 0, erase: float = 0.0
) -> AugmentedPhotos:
    cache = PhotoCache(photos.images, short_side=72, budget=budget)
    return AugmentedPhotos(
        cache,
        size=64,
        min_crop=0.5,
        jitter=0.2,
        erase=erase,
        grey=(1, 2, 3),
        seed=3,
        epoch=epoch,
    )


def test_erased_views_are_the_others_with_a_rectangle_of_grey(blobs: SimpleNamespace) -> None:
    plain, erased = augmented(blobs), augmented(blobs, erase=1.0)
    grey = torch.tensor([1, 2, 3], dtype=torch.uint8).view(3, 1, 1)
    for index in range(4):
        before, after = plain[index][0], erased[index][0]
        changed = (before != after).any(dim=0)
        assert (after == grey).all(dim=0)[changed].all()
        share = float((after == grey).all(dim=0).float().mean())
        assert 0.03 < share < 0.4


def test_views_depend_on_seed_epoch_and_photo_alone(blobs: SimpleNamespace) -> None:
    cached, anew, later = (
        augmented(blobs),
        augmented(blobs, budget=0),
        augmented(blobs, epoch=1),
    )
    assert cached.photos.fits
    assert not anew.photos.fits
    global_state = torch.get_rng_state()
    first = cached[4][0]
    assert torch.equal(torch.get_rng_state(), global_state)
    assert first.shape == (3, 64, 64)
    assert first.dtype == torch.uint8
    assert torch.equal(cached[4][0], first)
    assert torch.equal(anew[4][0], first)
    assert not torch.equal(later[4][0], first)
    assert not torch.equal(cached[5][0], first)


def test_cached_photos_are_resized_on_the_short_side(blobs: SimpleNamespace) -> None:
    cache = PhotoCache(blobs.images, short_side=40, budget=48 * 40 * 48 * 3)
    assert cache.fits
    assert cache[0].shape == (40, 48, 3)
    assert not PhotoCache(blobs.images, short_side=40, budget=48 * 40 * 48 * 3 - 1).fits
    assert PhotoCache(blobs.images, short_side=500, budget=0)[0].shape == (80, 96, 3)


def test_loss_weighs_rare_classes_and_leaves_unknown_targets_out(tmp_path: Path) -> None:
    main = blob_photos(tmp_path / "main", 1, ("red", "green"))
    targets = np.array([[1, 0], [0, 0], [0, 1], [0, 0], [0, 0]], dtype=bool)
    known = np.array([[1, 1], [1, 0], [1, 1], [1, 0], [1, 0]], dtype=bool)
    photos = LabelledPhotos(tuple(main.images) * 5, targets, known, main=5)
    loss = MultiLabelLoss(photos, np.arange(5), 0.5, torch.device("cpu"))
    assert loss.weight.tolist() == [2.0, 1.0]  # sqrt(4 absent / 1 present), sqrt(1 / 1)
    once = float(np.log(2))  # cross-entropy of a logit of zero
    value = loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    assert float(value) == pytest.approx((2 * once + once + once) / 3)


def test_mean_average_precision() -> None:
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.9, 0.5], [0.7, 0.2, 0.5], [0.1, 0.8, 0.5]])
    # Class 0: hits at ranks 1 and 3: (1 + 2/3) / 2; class 1: 1; class 2 has no positive.
    assert mean_average_precision(targets, scores) == pytest.approx((5 / 6 + 1) / 2)
    known = np.ones_like(targets)
    known[1, 0] = False
    assert mean_average_precision(targets, scores, known) == pytest.approx(1.0)
    assert np.isnan(mean_average_precision(np.zeros((4, 3), dtype=bool), scores))


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep": "first"},
        {"balance": 2.0},
        {"min_crop": 0.0},
        {"erase": 1.5},
        {"batch_size": 0},
        {"epochs": -1},
        {"learning_rate": -1e-3},
        {"weight_decay": float("nan")},
    ],
)
def test_recipe_refuses_values_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_the_best_epoch_needs_photos_to_validate_on(blobs: SimpleNamespace) -> None:
    with pytest.raises(ArgumentError, match="keep: 'best' needs photos to validate on"):
        train_classifier(blobs, recipe=replace(RECIPE, keep="best"), val_fraction=0, **TINY)
