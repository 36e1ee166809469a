"""U2-NetP on a real photo that comes inside scikit-image, and the segments made of its maps."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

from empaste_aug.offline.proposals import Saliency, SaliencyModel, saliency_map
from empaste_aug.offline.weights import find_packaged
from empaste_aug.types import ArgumentError, MissingDependencyError

pytest.importorskip("onnxruntime", reason="onnxruntime, of the extra 'offline', is not installed")
data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # pycocotools 2.0
)

try:
    find_packaged("u2netp")
except MissingDependencyError as missing:
    pytest.skip(str(missing), allow_module_level=True)


class FixedModel(SaliencyModel):
    """Answers with a given map instead of the network's."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__()
        self.values = values

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.values[: image.shape[0], : image.shape[1]]


def with_map(values: np.ndarray, **options) -> list:
    method = Saliency(**options)
    method.model = FixedModel(values.astype(np.float32))
    return method(np.zeros((*values.shape, 3), dtype=np.uint8))


def blobs() -> tuple[np.ndarray, list[np.ndarray]]:
    values = np.zeros((60, 80))
    masks = []
    for (x0, y0, x1, y1), value in (((5, 5, 30, 30), 0.9), ((45, 20, 70, 50), 0.6)):
        values[y0:y1, x0:x1] = value
        mask = np.zeros(values.shape, dtype=bool)
        mask[y0:y1, x0:x1] = True
        masks.append(mask)
    return values, masks


def test_the_astronaut_is_salient():
    photo = data.astronaut()
    values = saliency_map(photo)
    assert (values.shape, values.dtype) == ((512, 512), np.float32)
    assert (values.min(), values.max()) == pytest.approx((0, 1), abs=1e-5)
    assert values[60:200, 190:260].mean() > 0.9  # the face
    assert values[330:480, 150:300].mean() > 0.9  # the suit
    assert values[:60, 420:].mean() < 0.3  # the shuttle's tail, top right
    segments = Saliency(num_threads=1)(photo)
    largest = max(segments, key=lambda segment: segment.mask().sum())
    mask = largest.mask()
    assert 0.25 < mask.mean() < 0.7
    assert mask[120, 220]
    assert mask[400, 220]
    assert not mask[20, 480]
    assert 0.8 < largest.strength <= 1


def test_the_whole_and_its_pieces():
    values, masks = blobs()
    values[57, 77] = 1.0  # a piece too small for min_area
    segments = with_map(values, thresholds=(0.5,))
    assert len(segments) == 3
    assert np.array_equal(segments[0].mask(), values >= 0.5)
    assert all(np.array_equal(s.mask(), m) for s, m in zip(segments[1:], masks, strict=True))
    assert [s.strength for s in segments[1:]] == pytest.approx([0.9, 0.6])
    assert {s.source for s in segments} == {"saliency"}


def test_one_piece_is_given_once_and_nothing_not_at_all():
    values, masks = blobs()
    (segment,) = with_map(values * masks[0])
    assert np.array_equal(segment.mask(), masks[0])
    assert with_map(np.zeros((20, 30))) == []


def test_thresholds_add_their_masks_without_duplicates():
    values, masks = blobs()
    segments = with_map(values, thresholds=(0.5, 0.7))
    assert len(segments) == 3
    (segment,) = with_map(values, thresholds=(0.7,))
    assert np.array_equal(segment.mask(), masks[0])


def test_windows_place_their_segments_in_the_photo():
    values, masks = blobs()
    method = Saliency(thresholds=(0.5,))
    method.model = FixedModel(values.astype(np.float32))
    photo = np.zeros((100, 120, 3), dtype=np.uint8)
    (segment,) = method.propose(photo, [(20, 30, 55, 65)])
    expected = np.zeros((100, 120), dtype=bool)
    expected[35:60, 25:50] = True
    assert np.array_equal(segment.mask(), expected)
    assert masks[0].sum() == expected.sum()
    for window in ((0, 0, 121, 50), (10, 10, 10, 20), (-1, 0, 5, 5)):
        with pytest.raises(ArgumentError, match=r"windows.*120 x 100"):
            method.propose(photo, [window])


def test_pickling_and_determinism():
    photo = np.ascontiguousarray(data.chelsea()[::2, ::2])
    method = Saliency(thresholds=(0.3, 0.6), num_threads=2)
    first = method(photo, image_id="a")
    assert first
    assert method(photo, image_id="b") == first
    again = pickle.loads(pickle.dumps(method))
    assert len(pickle.dumps(method)) < 10_000
    assert again.config() == method.config() == {"thresholds": [0.3, 0.6], "min_area": 0.01}
    assert again(photo, image_id="a") == first


def test_black_and_tiny_photos_do_not_fail():
    for size in ((1, 1), (3, 50), (40, 40)):
        values = saliency_map(np.zeros((*size, 3), dtype=np.uint8))
        assert values.shape == size
        assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": ()}, "thresholds"),
        ({"thresholds": (0.5, 1.0)}, "thresholds.*1.0"),
        ({"min_area": 1.0}, "min_area"),
        ({"num_threads": 0}, "num_threads.*0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        Saliency(**options)


def test_a_missing_runtime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"onnxruntime.*offline"):
        SaliencyModel()
