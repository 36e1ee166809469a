"""The sample data set: labels, truth, and the same bytes for the same seed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from empaste_aug.offline.datasets import load_dataset
from empaste_aug.offline.sample import CLASSES, make_sample_dataset

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def middle(photo: np.ndarray) -> np.ndarray:
    """Stands in for the salient-object model: an ellipse in the middle of the photo."""
    height, width = photo.shape[:2]
    yy, xx = np.mgrid[:height, :width]
    inside = ((xx / width - 0.5) / 0.3) ** 2 + ((yy / height - 0.5) / 0.35) ** 2 <= 1
    return inside.astype(np.float32)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "photos"
    return make_sample_dataset(path, saliency=middle, images_per_class=3, size=(90, 120))


def test_it_loads_as_a_folder_data_set(sample) -> None:
    dataset = load_dataset("folder", sample)
    assert dataset.class_names == CLASSES
    assert len(dataset.images) == 3 * len(CLASSES)
    assert dataset.has_instances
    seen = np.zeros(len(CLASSES), dtype=int)
    for image in dataset.images:
        assert (image.height, image.width) == (90, 120)
        truth = dataset.instances(image)
        assert sorted({t.category_id for t in truth}) == list(image.labels)
        assert all(t.mask.any() for t in truth)
        seen[list(image.labels)] += 1
    assert seen.min() >= 3


def test_the_seed_decides_everything(sample, tmp_path) -> None:
    options = {"saliency": middle, "images_per_class": 1, "size": (60, 80)}
    one = make_sample_dataset(tmp_path / "one", **options)
    two = make_sample_dataset(tmp_path / "two", **options)
    other = make_sample_dataset(tmp_path / "other", seed=1, **options)
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert sorted(p.relative_to(two) for p in two.rglob("*") if p.is_file()) == files
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in files)
    assert any((one / f).read_bytes() != (other / f).read_bytes() for f in files)


def test_it_replaces_what_an_earlier_call_left(tmp_path) -> None:
    options = {"saliency": middle, "size": (60, 80)}
    make_sample_dataset(tmp_path / "photos", images_per_class=2, **options)
    make_sample_dataset(tmp_path / "photos", images_per_class=1, **options)
    labels = json.loads((tmp_path / "photos" / "labels.json").read_text())
    assert sorted(p.name for p in (tmp_path / "photos" / "images").iterdir()) == sorted(labels)
    assert {p.name for p in (tmp_path / "photos").iterdir()} == {
        "images",
        "instances.json",
        "labels.json",
    }
