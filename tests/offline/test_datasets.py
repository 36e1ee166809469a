from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import pytest
from dataset_files import VOCFiles, truncate, write_json, write_photo

from empaste_aug.imageio import follow_text_link
from empaste_aug.offline.datasets import KINDS, load_dataset
from empaste_aug.offline.datasets.arguments import add_dataset_arguments, dataset_from_arguments
from empaste_aug.offline.datasets.checks import (
    Report,
    check_class_names,
    in_threads,
    photo_sizes,
)
from empaste_aug.types import ArgumentError, DatasetError

# pycocotools has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_unknown_kind_and_useless_arguments(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="kind: must be one of voc, coco, folder, not 'lvis'"):
        load_dataset("lvis", tmp_path)
    with pytest.raises(ArgumentError, match=r"annotations, labels: of no use .* 'voc'"):
        load_dataset("voc", tmp_path, labels="x", annotations="y")
    with pytest.raises(ArgumentError, match=r"split: of no use .* 'folder'"):
        load_dataset("folder", tmp_path, split="train")
    with pytest.raises(ArgumentError, match="check: must be one of decode, header, not 'none'"):
        load_dataset("folder", tmp_path, check="none")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_root(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        load_dataset(kind, tmp_path / "nowhere")


def test_report_lists_twenty_problems_and_counts_all() -> None:
    report = Report("photos")
    assert report.close(skip_bad=False) == []
    for number in range(25):
        report.add(f"file {number}", "is broken")
    with pytest.raises(DatasetError) as caught:
        report.close(skip_bad=False)
    message = str(caught.value)
    assert "photos: 25 problems" in message
    assert "file 19: is broken" in message
    assert "file 20:" not in message
    assert "and 5 more" in message
    assert "--skip-bad" in message
    assert len(report.close(skip_bad=True)) == 25


def test_class_names_are_checked() -> None:
    assert check_class_names(["b", "a"]) == ("b", "a")
    for bad in ([], ["a", "b", "a"], "abc"):
        with pytest.raises(ArgumentError, match="class_names"):
            check_class_names(bad)


def test_threads_keep_the_order() -> None:
    assert in_threads(lambda n: n * n, list(range(200)), "squares") == [n * n for n in range(200)]


def test_only_decoding_finds_truncated_photos(tmp_path: Path) -> None:
    good, cut = write_photo(tmp_path / "a.jpg"), write_photo(tmp_path / "b.jpg", 50, 70)
    truncate(cut)
    quick, whole = Report("quick"), Report("whole")
    assert photo_sizes([good, cut], quick, check="header") == [(40, 60), (50, 70)]
    assert quick.problems == []
    assert photo_sizes([good, cut], whole, check="decode") == [(40, 60), None]
    assert [problem.where for problem in whole.problems] == [str(cut)]


def test_text_links(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "real" / "a.jpg")
    link = tmp_path / "links" / "a.jpg"
    link.parent.mkdir()
    link.write_text("../real/a.jpg")
    assert follow_text_link(link) == photo.resolve()
    assert follow_text_link(photo) == photo
    for content in ("../real/gone.jpg", "not a link at all\n", ""):
        link.write_text(content)
        assert follow_text_link(link) == link
    assert follow_text_link(tmp_path / "gone.jpg") == tmp_path / "gone.jpg"


def test_command_line_gives_the_same_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "pictures" / "a.jpg")
    truncate(write_photo(tmp_path / "pictures" / "b.jpg"))
    write_json(tmp_path / "names.json", {"a.jpg": ["cat"], "b.jpg": ["dog"]})
    parser = argparse.ArgumentParser()
    add_dataset_arguments(parser)
    options = ["--dataset", "folder", "--root", str(tmp_path), "--images", "pictures"]
    options += ["--labels", "names.json", "--classes", "dog", "cat"]
    with pytest.raises(DatasetError, match=r"b\.jpg: cannot be decoded"):
        dataset_from_arguments(parser.parse_args(options))
    dataset = dataset_from_arguments(parser.parse_args([*options, "--skip-bad"]))
    assert dataset.class_names == ("dog", "cat")
    assert [(image.image_id, image.labels) for image in dataset.images] == [("a", (1,))]
    assert "skipped what is bad: 1" in capsys.readouterr().err
    quick = dataset_from_arguments(parser.parse_args([*options, "--check", "header"]))
    assert [image.image_id for image in quick.images] == ["a", "b"]


def test_data_sets_pickle(tmp_path: Path) -> None:
    VOCFiles(tmp_path).add("one", ["cat"])
    dataset = load_dataset("voc", tmp_path)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.images == dataset.images
    assert again.class_names == dataset.class_names


@pytest.mark.parametrize(
    ("kind", "folder", "images", "objects"),
    [("voc", "voc/VOCdevkit/VOC2012", 20, 87), ("coco", "coco", 343, 2945)],
)
def test_real_files(shared_data: Path, kind: str, folder: str, images: int, objects: int) -> None:
    dataset = load_dataset(kind, shared_data / folder, check="header")
    assert len(dataset.images) == images
    assert sum(dataset.object_counts(image).total() for image in dataset.images) == objects
    image = dataset.images[3]
    found = {truth.category_id for truth in dataset.instances(image)}
    assert found == set(image.labels)


def test_real_bad_polygons(shared_data: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset(
            "coco", shared_data / "pixabay_coco", annotations="instances.json", check="header"
        )
    for number in (8, 69, 79):
        assert f"annotation {number}: has a polygon of 4 numbers" in str(caught.value)
