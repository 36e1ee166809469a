"""Target classes in an image, by judges whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug.offline.class_judges import ClassifierJudge, ClipJudge
from empaste_aug.offline.image_views import squares, views
from empaste_aug.offline.visible import (
    Sighting,
    Verdict,
    VisibleConfig,
    judge_all,
)
from empaste_aug.types import ArgumentError

torch = pytest.importorskip("torch")

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


def flat(colour, size=(48, 48)) -> np.ndarray:
    return np.full((*size, 3), colour, dtype=np.uint8)


@pytest.fixture(scope="module")
def ranker(clip_folder):
    from empaste_aug.offline.rank import ClipRanker

    return ClipRanker(clip_folder)


@pytest.fixture(scope="module")
def classifier():
    """Two classes: red and green objects, known by the mean of the channel."""
    from torch import nn

    from empaste_aug.offline.classify import Classifier
    from empaste_aug.offline.classify.backbone import Backbone

    convolution = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        convolution.weight.copy_(torch.eye(3)[:, :, None, None])
        convolution.bias.zero_()
    ones = (1.0, 1.0, 1.0)
    backbone = Backbone("test", convolution, 3, 32, (0.0, 0.0, 0.0), ones)
    made = Classifier(["red thing", "green thing"], backbone)
    with torch.no_grad():
        made.head.weight.copy_(torch.tensor([[20.0, 0.0, 0.0], [0.0, 20.0, 0.0]]))
        made.head.bias.fill_(-10.0)
    return made


def test_clip_finds_the_class_that_the_image_shows(ranker):
    judge = ClipJudge(ranker, ["red", "blue"])
    sightings = judge([flat(RED), flat(GREEN), flat(BLUE)])
    assert [s.by for s in sightings] == ["clip"] * 3
    assert [s.visible for s in sightings] == [True, False, True]
    assert sightings[0].class_name == "red"
    assert sightings[2].class_name == "blue"
    assert sightings[0].value > 0.99
    assert sightings[1].value < 0.01
    assert {s.threshold for s in sightings} == {0.5}


def test_the_probability_is_a_softmax_against_the_contrasts_alone(ranker):
    # Grey points nowhere: the class and each of the contrasts score alike.
    grey = np.full((48, 48, 3), 127, dtype=np.uint8)
    grey[::2] = 128
    neutral = ["a tent.", "a tree.", "a wall."]
    [sighting] = ClipJudge(ranker, ["dog", "cat", "cow"], neutral=neutral)([grey])
    assert sighting.value == pytest.approx(1 / 4, abs=1e-4)
    [sighting] = ClipJudge(ranker, ["dog"], others=["lamp"], neutral=neutral)([grey])
    assert sighting.value == pytest.approx(1 / 5, abs=1e-4)


def test_other_words_take_the_blame(ranker):
    blood = flat((255, 60, 60))
    [alone] = ClipJudge(ranker, ["red"])([blood])
    [beside] = ClipJudge(ranker, ["red"], others=["red balloon"])([blood])
    assert alone.visible
    assert beside.value == pytest.approx(0.5, abs=0.2)
    assert beside.value < alone.value


def test_classes_may_be_described_by_other_words(ranker):
    judge = ClipJudge(ranker, {"firetruck": ["red truck", "red lorry"], "sea": ["blue water"]})
    assert judge.class_names == ("firetruck", "sea")
    [sighting] = judge([flat(RED)])
    assert (sighting.class_name, sighting.visible) == ("firetruck", True)


def test_tiles_find_what_is_small(ranker, classifier):
    image = flat(GREEN, (96, 96))
    image[:30, :30] = RED
    for judge, name in (
        (lambda config: ClipJudge(ranker, ["red"], config=config), "red"),
        (lambda config: ClassifierJudge(classifier, ["red thing"], config=config), "red thing"),
    ):
        [whole] = judge(VisibleConfig())([image])
        [tiled] = judge(VisibleConfig(tiles=5))([image])
        assert not whole.visible
        assert tiled.visible
        assert tiled.class_name == name


def test_clip_sees_the_borders_of_a_long_image(ranker):
    image = np.concatenate([flat(GREEN), flat(GREEN), flat(GREEN), flat(RED)], axis=1)
    [sighting] = ClipJudge(ranker, ["red"])([image])
    assert sighting.visible
    [sighting] = ClipJudge(ranker, ["red"])([image.transpose(1, 0, 2).copy()])
    assert sighting.visible


def test_the_classifier_judges_its_targets_alone(classifier):
    both = ClassifierJudge(classifier)([flat(RED), flat(GREEN), flat(BLUE)])
    assert [(s.class_name, s.visible) for s in both[:2]] == [
        ("red thing", True),
        ("green thing", True),
    ]
    assert not both[2].visible
    assert both[0].by == "classifier"
    assert both[0].value == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-5)
    one = ClassifierJudge(classifier, ["green thing"])([flat(RED), flat(GREEN)])
    assert [s.visible for s in one] == [False, True]
    with pytest.raises(ArgumentError, match="does not know \\['dog'\\]"):
        ClassifierJudge(classifier, ["dog"])
    with pytest.raises(ArgumentError, match="class_names: there are none"):
        ClassifierJudge(classifier, [])


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_batch_of_views_changes_nothing(classifier, size):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8) for i in range(4)]
    config = VisibleConfig(tiles=2)
    values = [s.value for s in ClassifierJudge(classifier, config=config)(images)]
    again = ClassifierJudge(classifier, config=config, batch_size=size)(images)
    assert [s.value for s in again] == pytest.approx(values, abs=1e-6)


def test_a_verdict_names_the_first_judge_that_rejects(ranker, classifier):
    judges = [ClipJudge(ranker, ["blue"]), ClassifierJudge(classifier)]
    blue, red, grey = judge_all(judges, [flat(BLUE), flat(RED), flat((90, 90, 90))])
    assert blue.rejected
    assert blue.reason == blue.sightings[0]
    assert red.rejected
    assert red.reason == red.sightings[1]
    assert (red.reason.by, red.reason.class_name) == ("classifier", "red thing")
    assert not grey.rejected
    assert grey.reason is None
    assert [s.by for s in grey.sightings] == ["clip", "classifier"]
    assert judge_all([], [flat(RED)]) == [Verdict(())]
    assert not Verdict(()).rejected
    assert judge_all(judges, []) == []


def test_the_threshold_itself_counts_as_visible():
    assert Sighting("clip", "dog", 0.5, 0.5).visible
    assert not Sighting("clip", "dog", 0.4999, 0.5).visible


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (48, 31)])
def test_views_cover_every_pixel(size, count):
    image = np.arange(size[0] * size[1] * 3, dtype=np.uint32).reshape(*size, 3)
    found = views(image, count)
    assert len(found) == (1 if count == 1 else 1 + count * count)
    assert found[0] is image
    assert len({view.shape for view in found[1:]}) <= 1
    if count > 1:
        assert np.unique(np.concatenate([v.ravel() for v in found[1:]])).size == image.size
    covered = squares(image)
    assert {square.shape[:2] for square in covered} == {(min(size), min(size))}
    assert np.unique(np.concatenate([s.ravel() for s in covered])).size == image.size


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clip_threshold": 0.0}, "clip_threshold: must be"),
        ({"clip_threshold": float("nan")}, "clip_threshold: must be"),
        ({"classifier_threshold": 1.5}, "classifier_threshold: must be"),
        ({"tiles": 0}, "tiles: must be"),
    ],
)
def test_values_out_of_range(values, message):
    with pytest.raises(ArgumentError, match=message):
        VisibleConfig(**values)


def test_judges_that_have_nothing_to_compare(ranker):
    with pytest.raises(ArgumentError, match="class_names: each class needs words"):
        ClipJudge(ranker, [])
    with pytest.raises(ArgumentError, match="class_names: each class needs words"):
        ClipJudge(ranker, {"dog": []})
    with pytest.raises(ArgumentError, match="neutral: is empty and so is others"):
        ClipJudge(ranker, ["dog"], neutral=())
