"""Long tails: the law of the sizes, the choice of photos, the files, and banks."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ellipse_cutout
from dataset_files import VOCFiles, coco_content, rectangle_polygon, write_photo
from scipy import stats

from empaste_aug import BankWriter, EMPaste, MaskBank
from empaste_aug.bank.merge import merge_banks
from empaste_aug.offline.datasets import load_coco, load_folder, load_voc
from empaste_aug.offline.longtail import (
    LongTail,
    Pareto,
    bank_of_photos,
    choose_photos,
    long_tail_bank,
    long_tail_subset,
    plot_sizes,
    write_subset,
)
from empaste_aug.offline.longtail.bank import copy_rows, long_tail_rows
from empaste_aug.offline.longtail.choice import shortfall
from empaste_aug.offline.longtail.report import misses
from empaste_aug.paste.select import Selector
from empaste_aug.types import ArgumentError, BankError, DatasetError, Scene


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# The sizes


@pytest.mark.parametrize("shape", [0.5, 1.0, 6.0])
@pytest.mark.parametrize(("maximum", "minimum"), [(800, 1), (100_000, 30)])
@pytest.mark.parametrize("tail", [0.9, 0.99])
@pytest.mark.parametrize("classes", [2, 20, 81])
def test_sizes_follow_the_density(
    shape: float, maximum: int, minimum: int, tail: float, classes: int
) -> None:
    sizes = Pareto(shape=shape, maximum=maximum, minimum=minimum, tail=tail).sizes(classes)
    assert sizes.shape == (classes,)
    assert sizes[0] == maximum
    assert (np.diff(sizes) <= 0).all()
    assert sizes[-1] >= minimum
    last = (1 - tail) ** (-1 / shape)
    assert last == pytest.approx(stats.pareto(shape).ppf(tail))
    places = 1 + np.arange(classes) * (last - 1) / (classes - 1)
    closed = minimum + (maximum - minimum) * places ** -(shape + 1)
    scipy = stats.pareto(shape).pdf(places) / shape * (maximum - minimum) + minimum
    np.testing.assert_allclose(closed, scipy)
    assert (sizes <= closed + 1e-6).all()
    assert (sizes > closed - 1).all()


def test_the_papers_twenty_classes_range_from_800_to_4() -> None:
    sizes = Pareto().sizes(20)
    assert (sizes[0], sizes[-1]) == (800, 4)
    assert sizes.tolist()[:6] == [800, 529, 359, 248, 175, 125]  # as the docstring says
    assert sizes.tolist()[-3:] == [6, 5, 4]
    assert Pareto().sizes(1).tolist() == [800]
    assert Pareto(maximum=10**12).sizes(2)[0] == 10**12
    assert Pareto(maximum=7, minimum=7).sizes(3).tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"maximum": 4, "minimum": 5}, "maximum: 4 is below the minimum, which is 5"),
        ({"minimum": 0}, "minimum: must be at least 1, not 0"),
        ({"maximum": 10**20}, f"maximum: must be at most {10**12}, not {10**20}"),
        ({"minimum": 10**20}, f"minimum: must be at most {10**12}, not {10**20}"),
        ({"shape": 0.0}, "shape: must be above 0, not 0.0"),
        ({"tail": 1.0}, "tail: must lie between 0 and 1, not 1.0"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Pareto(**values)  # type: ignore[arg-type]
    assert str(caught.value) == message
    with pytest.raises(ArgumentError, match="classes: must be at least 1, not 0"):
        Pareto().sizes(0)
    with pytest.raises(ArgumentError, match=r"shape, tail: 0\.001 is too small, the density's"):
        Pareto(shape=0.001).sizes(2)


def test_targets_go_by_rank_and_absent_classes_get_none() -> None:
    available = [30, 0, 500, 30, 1000]
    sizes = Pareto(maximum=20).sizes(4)
    assert Pareto(maximum=20).targets(available).tolist() == [
        sizes[2],
        0,
        sizes[1],
        sizes[3],
        sizes[0],
    ]
    with pytest.raises(ArgumentError, match="no class has any"):
        Pareto().targets([0, 0])


def test_a_maximum_that_a_class_cannot_fill_is_refused_with_the_one_that_fits() -> None:
    available = [900, 300, 100, 40]
    with pytest.raises(ArgumentError) as caught:
        Pareto(maximum=20_000).targets(available, ["a", "b", "c", "d"])
    largest = Pareto(maximum=20_000).fitted(available).maximum
    assert "maximum: 20000 asks 20000 of 'a', rank 1 of 4, which has 900" in str(caught.value)
    assert f"the largest that every class can fill is {largest}; fit=True" in str(caught.value)
    assert (Pareto(maximum=largest).targets(available) <= available).all()
    with pytest.raises(ArgumentError, match=f"maximum: {largest + 1} asks"):
        Pareto(maximum=largest + 1).targets(available)
    assert Pareto(maximum=50).fitted(available) == Pareto(maximum=50)
    with pytest.raises(ArgumentError, match="minimum: 5 is more than the 4 of the smallest class"):
        Pareto(minimum=5).fitted([10, 4])


# The choice of photos


def random_counts(rng: np.random.Generator, photos: int, classes: int) -> np.ndarray:
    """Photos of one to four classes with one to five objects each, rarer towards the end."""
    chance = 1 / np.arange(1, classes + 1)
    counts = np.zeros((photos, classes), np.int64)
    for row in counts:
        number = min(int(rng.integers(1, 5)), classes)
        shown = rng.choice(classes, number, replace=False, p=chance / chance.sum())
        row[shown] = rng.integers(1, 6, len(shown))
    return counts


@pytest.mark.parametrize("seed", range(6))
def test_no_single_photo_can_be_taken_left_or_exchanged_with_a_gain(seed: int) -> None:
    rng = seeded(seed)
    counts = random_counts(rng, 60, 6)
    counts[::9] = 0
    available = counts.sum(axis=0)
    targets = Pareto(shape=3).fitted(available).targets(available)
    chosen = choose_photos(counts, targets, rng=rng)
    assert (np.diff(chosen) > 0).all()
    assert counts[chosen].any(axis=1).all()
    assert (counts[chosen].sum(axis=0) > 0).all()
    best = shortfall(counts[chosen].sum(axis=0), targets)
    taken = set(chosen.tolist())
    others = set(range(len(counts))) - taken
    neighbours = [taken - {row} for row in taken] + [taken | {row} for row in others]
    neighbours += [(taken - {row}) | {other} for row in taken for other in others]
    for rows in neighbours:
        assert shortfall(counts[sorted(rows)].sum(axis=0), targets) >= best - 1e-6


def test_it_comes_near_to_the_best_of_all_choices() -> None:
    gaps = []
    for seed in range(10):
        rng = seeded(seed)
        counts = random_counts(rng, 10, 3)
        targets = np.maximum(counts.sum(axis=0) // 3, 1)
        chosen = choose_photos(counts, targets, rng=rng)
        every = (
            shortfall(counts[list(rows)].sum(axis=0), targets)
            for size in range(11)
            for rows in combinations(range(10), size)
        )
        gaps.append(shortfall(counts[chosen].sum(axis=0), targets) - min(every))
    assert min(gaps) > -1e-9
    assert np.mean(gaps) < 0.3
    assert max(gaps) < 1


def test_photos_of_one_object_meet_every_target() -> None:
    labels = seeded().choice(5, 400, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    counts = np.eye(5, dtype=np.int64)[labels]
    targets = Pareto(maximum=100).fitted(counts.sum(axis=0)).targets(counts.sum(axis=0))
    chosen = choose_photos(counts, targets, rng=seeded())
    assert counts[chosen].sum(axis=0).tolist() == targets.tolist()
    again = choose_photos(counts, targets, rng=seeded())
    other = choose_photos(counts, targets, rng=seeded(1))
    assert chosen.tolist() == again.tolist() != other.tolist()


def test_a_class_is_never_left_empty() -> None:
    counts = np.array([[1, 9], [0, 1], [0, 1]])  # the first class costs eight too many of the other
    chosen = choose_photos(counts, np.array([1, 1]), rng=seeded())
    assert chosen.tolist() == [0]


def test_targets_that_do_not_fit_are_refused() -> None:
    counts = np.array([[1, 2], [0, 1]])
    for targets, message in (
        ([1, 4], "targets: 4 for class 1, of which there are 3"),
        ([0, 1], "targets: 0 for class 0, of which there are 1"),
        ([1], "targets: shape"),
    ):
        with pytest.raises(ArgumentError, match=message):
            choose_photos(counts, np.array(targets), rng=seeded())
    with pytest.raises(ArgumentError, match="counts: -1 is negative"):
        choose_photos(-counts[:, :1], np.array([1]), rng=seeded())


# Data sets


@pytest.fixture(scope="module")
def devkit(tmp_path_factory: pytest.TempPathFactory) -> VOCFiles:
    """30 photos with masks, of person, car (10 of them) and cat (5), and two without masks."""
    files = VOCFiles(tmp_path_factory.mktemp("devkit") / "VOC2012")
    for number in range(30):
        names = ["person"] * (1 + number % 3) + ["car"] * (number >= 20) + ["cat"] * (number < 5)
        values = {"person": 15, "car": 7, "cat": 8}
        objects, classes = np.zeros((2, 40, 60), np.uint8)
        for place, name in enumerate(names):
            objects[2:30, 10 * place : 10 * place + 8] = place + 1
            classes[2:30, 10 * place : 10 * place + 8] = values[name]
        files.add(f"p{number:02}", sorted(set(names)), objects=objects, classes=classes)
    files.add("unmasked", ["cat"])
    files.add("nothing", [])
    return files


def test_masks_of_annotated_photos_or_labels_of_all_are_counted(devkit: VOCFiles) -> None:
    dataset = load_voc(devkit.root)
    law = Pareto(maximum=12)
    masks = long_tail_subset(dataset, law, rng=seeded())
    images = long_tail_subset(dataset, law, rng=seeded(), count="images")
    at = [dataset.class_names.index(name) for name in ("person", "car", "cat", "dog")]
    assert masks.counted == "masks"
    assert [masks.available[place] for place in at] == [60, 10, 5, 0]
    assert [images.available[place] for place in at] == [30, 10, 6, 0]
    for choice in (masks, images):
        assert [choice.targets[place] for place in at] == [12, 1, 1, 0]
        assert sum(choice.targets) == 14
        assert [choice.reached[place] for place in at] == [12, 1, 1, 0]
        assert "nothing" not in choice.image_ids
        assert list(choice.image_ids) == sorted(choice.image_ids)
    assert "unmasked" not in masks.image_ids
    counted = [dataset.object_counts(image) for image in dataset.images]
    chosen = [image.image_id in masks.image_ids for image in dataset.images]
    again = [
        sum(c[place] for c, taken in zip(counted, chosen, strict=True) if taken) for place in at
    ]
    assert again == [masks.reached[place] for place in at]
    smaller = long_tail_subset(dataset, Pareto(maximum=4), rng=seeded())
    assert smaller.reached[at[0]] == 4
    assert len(smaller.image_ids) < len(masks.image_ids)


def test_choices_that_cannot_be_made_are_refused(devkit: VOCFiles, tmp_path: Path) -> None:
    dataset = load_voc(devkit.root)
    with pytest.raises(ArgumentError, match=r"maximum: 800 asks 800 of 'person'.* which has 60"):
        long_tail_subset(dataset, rng=seeded())
    assert long_tail_subset(dataset, rng=seeded(), fit=True).pareto.maximum == 60
    with pytest.raises(ArgumentError, match="count: must be one of masks, images, not 'boxes'"):
        long_tail_subset(dataset, rng=seeded(), count="boxes")  # type: ignore[arg-type]
    bare = VOCFiles(tmp_path / "VOC2012")
    bare.add("a", [])
    with pytest.raises(ArgumentError, match="count: 'masks', but VOC2012 train has none"):
        long_tail_subset(load_voc(bare.root), rng=seeded(), count="masks")
    with pytest.raises(DatasetError, match="VOC2012 train: none of 1 photos shows a class"):
        long_tail_subset(load_voc(bare.root), rng=seeded())


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_voc_subset_is_a_devkit(devkit: VOCFiles, tmp_path: Path) -> None:
    dataset = load_voc(devkit.root)
    choice = long_tail_subset(dataset, Pareto(maximum=12), rng=seeded())
    report = write_subset(tmp_path / "a", dataset, choice, seed=0)
    subset = load_voc(tmp_path / "a", split="longtail")
    assert tuple(image.image_id for image in subset.images) == choice.image_ids
    assert long_tail_subset(subset, Pareto(maximum=12), rng=seeded()).available == choice.reached
    splits = [tmp_path / "a" / "ImageSets" / k / "longtail.txt" for k in ("Main", "Segmentation")]
    assert splits[0].read_text() == splits[1].read_text() == "\n".join(choice.image_ids) + "\n"
    told = json.loads(report.read_text())
    assert told["image_ids"] == list(choice.image_ids)
    assert (told["seed"], told["maximum"], told["counted"]) == (0, 12, "masks")
    assert told["classes"][0] == {"name": "person", "available": 60, "target": 12, "reached": 12}
    assert len(told["classes"]) == 20
    write_subset(
        tmp_path / "b", dataset, long_tail_subset(dataset, Pareto(maximum=12), rng=seeded()), seed=0
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    picture = cv2.imread(str(tmp_path / "a" / "longtail.png"))
    assert picture is not None
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 3


def test_a_voc_subset_may_lie_in_the_devkit_itself(tmp_path: Path) -> None:
    files = VOCFiles(tmp_path / "VOC2012")
    for name in ("a", "b", "c"):
        files.add(name, ["car"])
    dataset = load_voc(files.root)
    choice = long_tail_subset(dataset, Pareto(maximum=2), rng=seeded())
    write_subset(files.root, dataset, choice, name="tail")
    assert len(load_voc(files.root, split="tail").images) == 2
    assert not (files.root / "JPEGImages").is_symlink()
    for overwrite in (False, True):  # the data set's own split is nobody's to replace
        with pytest.raises(ArgumentError, match=r"train.txt (is there already|was not written)"):
            write_subset(files.root, dataset, choice, name="train", overwrite=overwrite)
    assert len(load_voc(files.root, split="train").images) == 3


def test_nothing_is_overwritten_unasked(devkit: VOCFiles, tmp_path: Path) -> None:
    dataset = load_voc(devkit.root)
    first, second = (
        long_tail_subset(dataset, Pareto(maximum=size), rng=seeded()) for size in (12, 5)
    )
    write_subset(tmp_path, dataset, first)
    before = contents(tmp_path)
    write_subset(tmp_path, dataset, first)  # the same again changes nothing
    with pytest.raises(ArgumentError, match=r"longtail.txt is there already; overwrite=True"):
        write_subset(tmp_path, dataset, second)
    assert contents(tmp_path) == before
    write_subset(tmp_path, dataset, second, overwrite=True)
    assert len(load_voc(tmp_path, split="longtail").images) == len(second.image_ids)
    (tmp_path / "longtail.json").write_text("{}")
    with pytest.raises(ArgumentError, match="was not written by an earlier long tail"):
        write_subset(tmp_path, dataset, first, overwrite=True)
    for name in ("../x", "", "a/b"):
        with pytest.raises(ArgumentError, match="name: must be a plain word"):
            write_subset(tmp_path, dataset, first, name=name)


def coco_files(root: Path) -> Path:
    """12 photos: a cat in each, two dogs in the first six, a crowd of cows in the last."""
    names = {number: f"{number:03}.jpg" for number in range(1, 13)}
    box = rectangle_polygon(2, 2, 20, 20)
    rows = []
    for key, name in names.items():
        write_photo(root / "train2017" / name, seed=key)
        for category in (3, 7, 7) if key <= 6 else (3,):
            rows.append({"image_id": key, "category_id": category, "segmentation": [box]})
    crowd = {"size": [40, 60], "counts": [0, 400, 2000]}
    rows.append({"image_id": 12, "category_id": 9, "segmentation": crowd, "iscrowd": 1})
    content = {**coco_content(names, rows, {3: "cat", 7: "dog", 9: "cow"}), "info": {"year": 1}}
    target = root / "annotations" / "instances_train2017.json"
    target.parent.mkdir()
    target.write_text(json.dumps(content))
    return target


def test_a_coco_subset_keeps_the_entries_as_they_stand(tmp_path: Path) -> None:
    source = coco_files(tmp_path / "coco")
    dataset = load_coco(tmp_path / "coco")
    choice = long_tail_subset(dataset, Pareto(maximum=8), rng=seeded())
    assert choice.available == (12, 12, 0)  # the crowd counts for nothing
    assert choice.targets == (8, 1, 0)
    assert choice.reached == (7, 2, 0)  # dogs come in pairs, and six cats without dogs
    with pytest.raises(ArgumentError, match="instances: the json"):
        write_subset(tmp_path / "out", dataset, choice)
    write_subset(tmp_path / "out", dataset, choice, instances=source, name="tail")
    subset = load_coco(tmp_path / "out", split="tail")
    assert tuple(image.image_id for image in subset.images) == choice.image_ids
    written = json.loads((tmp_path / "out" / "annotations" / "instances_tail.json").read_text())
    whole = json.loads(source.read_text())
    assert written["categories"] == whole["categories"]
    assert written["info"] == {"year": 1}
    assert all(entry in whole["annotations"] for entry in written["annotations"])
    ids = {entry["id"] for entry in written["images"]}
    kept = [entry for entry in whole["annotations"] if entry["image_id"] in ids]
    assert written["annotations"] == kept


def test_a_folder_subset_links_to_its_photos_alone(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    labels = {f"{'ab'[n % 2]}/{n}.jpg": ["cat", "dog"] if n < 4 else ["dog"] for n in range(10)}
    for number, name in enumerate(labels):
        write_photo(root / name, seed=number)
    (root / "labels.json").write_text(json.dumps(labels))
    dataset = load_folder(root)
    choice = long_tail_subset(dataset, Pareto(maximum=6), rng=seeded())
    assert choice.counted == "images"
    assert dict(zip(choice.class_names, choice.reached, strict=True)) == {"cat": 1, "dog": 6}
    write_subset(tmp_path / "out", dataset, choice)
    subset = load_folder(tmp_path / "out")
    assert [(image.image_id, image.labels) for image in subset.images] == [
        (image.image_id, image.labels)
        for image in dataset.images
        if image.image_id in choice.image_ids
    ]
    assert all(path.is_symlink() for path in (tmp_path / "out" / "images").rglob("*.jpg"))
    smaller = long_tail_subset(dataset, Pareto(maximum=2), rng=seeded())
    write_subset(tmp_path / "out", dataset, smaller, overwrite=True)
    assert len(list((tmp_path / "out" / "images").rglob("*.jpg"))) == len(smaller.image_ids)
    assert len(list(root.rglob("*.jpg"))) == 10
    with pytest.raises(ArgumentError, match="own photos lie in one another"):
        write_subset(root, dataset, choice)


def test_a_subset_of_real_photos(shared_data: Path, tmp_path: Path) -> None:
    dataset = load_voc(shared_data / "coco_as_voc", check="header")
    choice = long_tail_subset(dataset, Pareto(maximum=200), rng=seeded())
    assert choice.class_names[choice.ranked()[0]] == "person"
    assert max(choice.targets) == 200
    for place in choice.ranked():
        name, target = choice.class_names[place], choice.targets[place]
        assert choice.reached[place] >= 1, name
        if name != "sheep":  # thirteen in two photos: one and twelve
            assert abs(choice.reached[place] - target) <= max(2, 0.3 * target), name
    write_subset(tmp_path, dataset, choice)
    subset = load_voc(tmp_path, split="longtail", check="header")
    again = long_tail_subset(subset, Pareto(maximum=1), rng=seeded())
    assert again.available == choice.reached


def test_classes_far_from_their_target_are_told() -> None:
    def told(reached: tuple[int, ...], targets: tuple[int, ...]) -> str | None:
        choice = LongTail(
            counted="masks",
            pareto=Pareto(),
            class_names=tuple(f"c{number}" for number in range(len(targets))),
            available=tuple(1000 if target else 0 for target in targets),
            targets=targets,
            reached=reached,
            image_ids=(),
        )
        return misses(choice)

    assert told((125, 3, 18, 0), (100, 1, 20, 0)) is None  # a quarter, two, a tenth, none there
    over = told((223, 126, 4, 5), (100, 100, 1, 21))
    assert over is not None
    assert over.startswith(
        "far over the target: c2 (4 for 1), c0 (223 for 100), c1 (126 for 100); "
        "far under the target: c3 (5 for 21). Photos stay whole"
    )
    many = told((1,) * 9, (100,) * 9)
    assert many is not None
    assert many.startswith("far under the target: c0 (1 for 100), ")
    assert "c4 (1 for 100), 4 more. Photos" in many


def test_a_plot_of_many_classes_is_drawn() -> None:
    for classes in (1, 160):
        sizes = tuple(Pareto().sizes(classes).tolist())
        choice = LongTail(
            counted="masks",
            pareto=Pareto(),
            class_names=tuple(f"class {number}" for number in range(classes)),
            available=tuple(900 for _ in sizes),
            targets=sizes,
            reached=sizes,
            image_ids=(),
        )
        data = plot_sizes(choice, title="many")
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


# Banks


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 cut-outs of 80 photos: 120 cats, 80 dogs, 40 cows, no sheep, the classes mixed."""
    path = tmp_path_factory.mktemp("bank") / "whole"
    rng = seeded(3)
    with BankWriter(path, categories=["sheep", "dog", "cat", "cow"], method="test") as writer:
        for number, category in enumerate(rng.permutation([2] * 120 + [1] * 80 + [3] * 40)):
            rgb, alpha = ellipse_cutout(rng, 9, 12)
            photo = str(number // 3)
            writer.add(rgb, alpha, category_id=int(category), score=0.5, image_id=photo)
    return path


def test_a_long_tailed_bank_meets_its_sizes(bank: Path, tmp_path: Path) -> None:
    law = Pareto(maximum=100, shape=1, tail=0.8)
    choice = long_tail_bank(tmp_path / "tail", bank, law, rng=seeded(), seed=0)
    result, whole = MaskBank(tmp_path / "tail"), MaskBank(bank)
    sizes = law.sizes(3).tolist()
    assert result.class_counts().tolist() == [0, sizes[1], sizes[0], sizes[2]]
    assert choice.reached == choice.targets == tuple(result.class_counts().tolist())
    assert result.categories == whole.categories
    result.verify_checksums()
    _, rows = long_tail_rows(whole, law, rng=seeded())
    for own, row in enumerate(rows.tolist()):
        assert result.image_id(own) == whole.image_id(row)
        np.testing.assert_array_equal(result[own].rgb, whole[row].rgb)
        np.testing.assert_array_equal(result[own].alpha, whole[row].alpha)
        assert result[own].category_id == whole[row].category_id
    origin = result.manifest["subset_of"]
    assert (origin["name"], origin["rows"]) == ("whole", 240)
    assert origin["choice"]["maximum"] == 100
    assert result.manifest["method"] == "test"
    report = json.loads((tmp_path / "tail.json").read_text())
    assert report["classes"][0] == {"name": "cat", "available": 120, "target": 100, "reached": 100}
    assert (tmp_path / "tail.png").is_file()
    _, fewer = long_tail_rows(whole, Pareto(maximum=50, shape=1, tail=0.8), rng=seeded())
    assert set(fewer) < set(rows)
    long_tail_bank(tmp_path / "more" / "tail", bank, law, rng=seeded(), seed=0)
    for name, data in contents(tmp_path / "more").items():
        assert data == (tmp_path / name).read_bytes(), name


def test_from_a_long_tailed_bank_balanced_evens_the_classes_out(bank: Path, tmp_path: Path) -> None:
    long_tail_bank(tmp_path / "tail", bank, Pareto(maximum=110), rng=seeded())
    result = MaskBank(tmp_path / "tail")
    counts = result.class_counts()
    assert counts[2] == 110
    assert 1 <= counts[3] <= 2
    draws = 30_000
    scene = Scene(np.zeros((8, 8, 3), np.uint8), [])
    expected = {"balanced": (counts > 0) / 3, "uniform": counts / counts.sum()}
    for selection, chance in expected.items():
        selector = Selector(
            result.index["category_id"],
            result.categories,
            selection=selection,  # type: ignore[arg-type]
        )
        rng = seeded(5)
        drawn = result.index["category_id"][[selector.draw(rng, scene) for _ in range(draws)]]
        share = np.bincount(drawn, minlength=4) / draws
        spread = np.sqrt(chance * (1 - chance) / draws)
        assert (abs(share - chance) <= 4.5 * spread).all(), selection
    paste = EMPaste(result, selection="balanced", count=1, scale=1.0)
    empty = Scene(np.zeros((64, 64, 3), np.uint8), [])
    pasted = [
        instance.category_id
        for seed in range(60)
        for instance in paste(empty, seeded(seed)).instances
    ]
    assert np.bincount(pasted, minlength=4)[[1, 3]].min() > 10


def test_a_bank_of_the_chosen_photos(bank: Path, tmp_path: Path) -> None:
    taken = bank_of_photos(tmp_path / "some", bank, ["3", "17", "unknown"], note={"seed": 1})
    result = MaskBank(tmp_path / "some")
    assert taken == len(result) == 6
    assert [result.image_id(row) for row in range(6)] == ["3"] * 3 + ["17"] * 3
    assert result.manifest["subset_of"]["choice"] == {"seed": 1}
    with pytest.raises(BankError, match="no cut-out of it comes from any of the 1 photos"):
        bank_of_photos(tmp_path / "none", bank, ["unknown"])
    assert not (tmp_path / "none").exists()
    with pytest.raises(BankError, match="6 cut-outs are in an earlier bank too"):
        merge_banks(tmp_path / "merged", [bank, tmp_path / "some"])


def test_a_bank_is_not_overwritten_unasked(bank: Path, tmp_path: Path) -> None:
    target = tmp_path / "tail"
    long_tail_bank(target, bank, Pareto(maximum=9), rng=seeded())
    before = contents(tmp_path)
    with pytest.raises(ArgumentError, match=r"is there already|holds a finished bank"):
        long_tail_bank(target, bank, Pareto(maximum=5), rng=seeded())
    assert contents(tmp_path) == before
    long_tail_bank(target, bank, Pareto(maximum=5), rng=seeded(), overwrite=True)
    assert MaskBank(target).class_counts()[2] == 5
    with pytest.raises(ArgumentError, match=r"output: .* is the bank to choose from"):
        copy_rows(bank, bank, np.array([0]), overwrite=True)
    for other in (bank / "new", bank.parent):
        with pytest.raises(ArgumentError, match=r"output, bank: .* would lie in one another"):
            copy_rows(other, bank, np.array([0]))
    with pytest.raises(ArgumentError, match=r"output, bank: .* would lie in one another"):
        long_tail_bank(bank / "new", bank, Pareto(maximum=5), rng=seeded())
    assert not (bank / "new").exists()
    assert not (bank / "new.json").exists()
    for rows in ([3, 2], [240], [-1]):
        with pytest.raises(ArgumentError, match="rows: must ascend within the bank's 240 rows"):
            copy_rows(tmp_path / "x", bank, np.array(rows))
    with pytest.raises(ArgumentError, match=r"maximum: 800 asks 800 of 'cat'.* which has 120"):
        long_tail_bank(tmp_path / "x", bank, rng=seeded())
    assert not (tmp_path / "x").exists()


# detectron2


def test_detectron2_reads_the_subsets(devkit: VOCFiles, tmp_path: Path) -> None:
    pytest.importorskip("detectron2", reason="detectron2 is not installed")
    from detectron2.data.datasets import load_coco_json
    from detectron2.data.datasets.pascal_voc import load_voc_instances

    dataset = load_voc(devkit.root)
    choice = long_tail_subset(dataset, Pareto(maximum=12), rng=seeded())
    write_subset(tmp_path / "voc", dataset, choice)
    records = load_voc_instances(str(tmp_path / "voc"), "longtail", dataset.class_names)
    assert sorted(record["image_id"] for record in records) == list(choice.image_ids)
    assert all(Path(record["file_name"]).is_file() for record in records)

    source = coco_files(tmp_path / "coco")
    photos = load_coco(tmp_path / "coco")
    few = long_tail_subset(photos, Pareto(maximum=4), rng=seeded())
    write_subset(tmp_path / "few", photos, few, instances=source)
    records = load_coco_json(
        str(tmp_path / "few" / "annotations" / "instances_longtail.json"),
        str(tmp_path / "few" / "longtail"),
    )
    assert sorted(str(record["image_id"]) for record in records) == sorted(few.image_ids)
    assert sum(len(record["annotations"]) for record in records) >= sum(few.reached)
    assert all(Path(record["file_name"]).is_file() for record in records)
