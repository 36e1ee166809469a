"""Ranking by a CLIP whose answers are known: it knows colours by their names."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from empaste_aug.offline.rank import DEFAULT_WEIGHTS, ClipRanker, top
from empaste_aug.types import ArgumentError, MissingDependencyError

pytest.importorskip("open_clip", reason="open_clip, of the extra 'offline', is not installed")


def flat(*colour: int, size: tuple[int, int] = (40, 40)) -> np.ndarray:
    return np.full((*size, 3), colour, dtype=np.uint8)


REDS = [flat(255, 200, 200), flat(255, 0, 0), flat(0, 0, 255), flat(255, 100, 100)]


@pytest.fixture(scope="module")
def ranker(clip_folder) -> ClipRanker:
    return ClipRanker(clip_folder)


def test_images_are_ordered_by_their_agreement_with_the_text(ranker):
    images = [flat(0, 255, 0), flat(255, 0, 0), flat(0, 0, 255), flat(255, 255, 0)]
    for text, first, last in (
        ("a red balloon over a field", 1, 2),
        ("a tent, GREEN, near a tree", 0, 2),
        ("the blue sky", 2, 3),
        ("yellow", 3, 2),
    ):
        scores = ranker.scores(images, text)
        assert scores.dtype == np.float32
        assert scores.shape == (4,)
        assert top(scores, 4)[0] == first
        assert top(scores, 4)[-1] == last
        assert scores[first] == pytest.approx(np.sqrt(8 / 9), abs=1e-4)
        assert np.abs(scores).max() <= 1 + 1e-6


def test_features_are_unit_vectors_of_the_colours(ranker):
    features = ranker.image_features([flat(255, 0, 0), flat(255, 255, 255)])
    expected = np.array([[1, -1, -1], [1, 1, 1]]) / np.sqrt(3)
    assert features[:, :3] == pytest.approx(expected, abs=1e-5)
    texts = ranker.text_features(["red", "no colour named"])
    assert texts[0, :3] == pytest.approx(np.array([2, -1, -1]) / np.sqrt(6), abs=1e-5)
    assert np.abs(texts[1]).max() == 0
    assert ranker.logit_scale == pytest.approx(100, rel=1e-5)


def test_channels_are_rgb_and_the_middle_square_is_seen(ranker):
    wide = np.concatenate([flat(0, 0, 255), flat(255, 0, 0), flat(0, 0, 255)], axis=1)
    scores = ranker.scores([wide, flat(255, 0, 0)], "red")
    assert scores[0] == pytest.approx(scores[1], abs=0.02)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_batch_changes_nothing(clip_folder, ranker, size):
    scores = ranker.scores(REDS, "red")
    again = ClipRanker(clip_folder, batch_size=size).scores(REDS, "red")
    assert again == pytest.approx(scores, abs=1e-6)


def test_a_configuration_with_a_weights_file(clip_folder, ranker):
    by_files = ClipRanker(clip_folder / "tiny_clip.json", clip_folder / "tiny_clip.pt")
    # open_clip's own mean and deviation, not those of the folder, move the colours a little.
    scores = by_files.scores(REDS, "red")
    assert scores == pytest.approx(ranker.scores(REDS, "red"), abs=0.15)
    assert top(scores, 4)[-1] == 2
    assert by_files.config()["pretrained"].keys() == {"sha256"}


def test_half_precision(clip_folder, ranker):
    half = ClipRanker(clip_folder, dtype="bfloat16")
    assert half.scores(REDS, "red") == pytest.approx(ranker.scores(REDS, "red"), abs=0.01)
    assert half.config()["dtype"] == "bfloat16"


def test_the_default_is_open_and_named_in_the_config():
    ranker = ClipRanker()
    assert ranker.pretrained == DEFAULT_WEIGHTS
    assert ranker.config() == {
        "model": {"name": "ViT-B-32"},
        "pretrained": DEFAULT_WEIGHTS,
        "dtype": "float32",
    }


def test_the_config_follows_the_files(clip_folder, tmp_path):
    config = ClipRanker(clip_folder).config()
    folder = tmp_path / "copy"
    shutil.copytree(clip_folder, folder)
    assert ClipRanker(folder).config() == config
    (folder / "open_clip_config.json").write_text(
        (folder / "open_clip_config.json").read_text() + "\n"
    )
    assert ClipRanker(folder).config() != config


def test_no_images_and_no_text(ranker):
    assert ranker.scores([], "red").shape == (0,)
    with pytest.raises(ArgumentError, match="text: is empty"):
        ranker.scores(REDS, " ")


def test_top_is_stable():
    scores = np.array([0.5, 0.7, 0.5, 0.9, 0.7])
    assert top(scores, 5).tolist() == [3, 1, 4, 0, 2]
    assert top(scores, 2).tolist() == [3, 1]
    assert top(scores, 9).tolist() == [3, 1, 4, 0, 2]
    assert top(scores, 0).tolist() == []
    assert top(np.zeros(0), 3).tolist() == []
    assert top(scores, 3).dtype == np.int64
    with pytest.raises(ArgumentError, match="k: must be"):
        top(scores, -1)
    with pytest.raises(ArgumentError, match="NaN"):
        top(np.array([0.1, np.nan]), 1)


def test_models_that_cannot_be_had(clip_folder, tmp_path):
    with pytest.raises(ArgumentError, match="model: open_clip has no 'ViT-Q-9'"):
        ClipRanker("ViT-Q-9")
    with pytest.raises(ArgumentError, match=r"'nope' is neither a file nor one of ViT-B-32's"):
        ClipRanker("ViT-B-32", "nope")
    with pytest.raises(ArgumentError, match=r"ViT-L-14 needs one of \['openai'"):
        ClipRanker("ViT-L-14")
    with pytest.raises(ArgumentError, match=r"holds no open_clip_config\.json"):
        ClipRanker(tmp_path)
    with pytest.raises(ArgumentError, match=r"no such file: .*none\.json"):
        ClipRanker(tmp_path / "none.json", clip_folder / "tiny_clip.pt")
    with pytest.raises(ArgumentError, match="brings its own weights"):
        ClipRanker(clip_folder, clip_folder / "tiny_clip.pt")
    with pytest.raises(ArgumentError, match=r"ViT-B-32 with .* cannot be loaded"):
        ClipRanker("ViT-B-32", clip_folder / "tiny_clip.pt").load()
    junk = tmp_path / "junk.pt"
    junk.write_bytes(b"junk")
    with pytest.raises(ArgumentError, match=r"junk\.pt cannot be loaded"):
        ClipRanker(clip_folder / "tiny_clip.json", junk).load()


def test_a_folder_without_weights_is_not_taken_with_random_ones(clip_folder, tmp_path):
    shutil.copy(clip_folder / "open_clip_config.json", tmp_path)
    with pytest.raises(ArgumentError, match="cannot be loaded as an image-text model"):
        ClipRanker(tmp_path).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"device": "abacus"}, "device"),
        ({"dtype": "f"}, "dtype"),
    ],
)
def test_arguments_out_of_range(clip_folder, options, message):
    with pytest.raises(ArgumentError, match=message):
        ClipRanker(clip_folder, **options)


def test_without_open_clip(clip_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingDependencyError, match="'open_clip'"):
        ClipRanker(clip_folder)
