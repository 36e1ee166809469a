"""build_empaste_train_loader: one stream for any number of workers and ranks, and resumed."""

from __future__ import annotations

import copy
import doctest
import itertools
import logging
import multiprocessing
import pickle

import numpy as np
import pytest
from detectron2_data import CLASSES, write_photos
from loader_data import KeyedMapper, digest, leaves_spawned_workers, run_rank, summary

from empaste_aug import ArgumentError, DatasetError, EMPaste
from empaste_aug.types import Scene

pytest.importorskip("detectron2")

import torch
from detectron2.config import LazyCall, get_cfg, instantiate
from detectron2.data import (
    DatasetCatalog,
    DatasetMapper,
    MetadataCatalog,
    build_detection_train_loader,
)
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T  # noqa: N812
from detectron2.data.samplers import RepeatFactorTrainingSampler
from detectron2.engine import DefaultTrainer

from empaste_aug.adapters import _detectron2_loader as module
from empaste_aug.adapters._detectron2_annotations import instances_from_annotations
from empaste_aug.adapters.detectron2 import (
    EMPasteMapper,
    add_empaste_config,
    build_empaste_train_loader,
)

BATCH = 3
ITERATIONS = 12
GROUPED = {"aspect_ratio_grouping": True, "repeat_factors": [1.5, 0.4] * 6}
PLAIN = {"aspect_ratio_grouping": False}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight landscape and four portrait photos; one shows no object."""
    folder = tmp_path_factory.mktemp("photos")
    dicts = (
        write_photos(folder / "landscape", 7, size=(48, 64))
        + write_photos(folder / "portrait", 4, size=(64, 48))
        + write_photos(folder / "empty", 1, size=(48, 64), objects=(0, 0))
    )
    return [{**photo, "image_id": number} for number, photo in enumerate(dicts)]


@pytest.fixture(scope="module")
def paste(small_bank):
    return EMPaste(small_bank, count=(1, 4), class_names=CLASSES, blend={"gaussian": 1, "none": 1})


def make_mapper(paste, augmentations):
    return EMPasteMapper(
        is_train=True,
        augmentations=augmentations,
        image_format="BGR",
        use_instance_mask=True,
        instance_mask_format="bitmask",
        paste=paste,
        keep_record=True,
    )


@pytest.fixture(scope="module")
def mapper(paste):
    """With augmentations that draw from NumPy's global generator."""
    augmentations = [
        T.RandomBrightness(0.8, 1.2),
        T.ResizeShortestEdge((40, 48, 56), 90, "choice"),
        T.RandomFlip(),
    ]
    return KeyedMapper(make_mapper(paste, augmentations))


@pytest.fixture(scope="module")
def build(photos, mapper):
    def build(**arguments):
        arguments = {"seed": 5, "total_batch_size": BATCH, "mapper": mapper, **arguments}
        return build_empaste_train_loader(photos, **arguments)

    return build


@pytest.fixture(scope="module")
def streams(build):
    """What the main process makes alone."""
    return {
        name: summary(build(**arguments), ITERATIONS)
        for name, arguments in [("grouped", GROUPED), ("plain", PLAIN)]
    }


def test_docstring():
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def test_the_stream_holds_what_it_should(streams, photos):
    plain = list(itertools.chain(*streams["plain"]))
    assert [position for position, _, _ in plain] == list(range(ITERATIONS * BATCH))
    assert sorted(image for _, image, _ in plain[:12]) == list(range(12))
    assert len({sha for _, _, sha in plain}) == len(plain)
    portrait = {photo["image_id"]: photo["height"] > photo["width"] for photo in photos}
    kinds = [{portrait[image] for _, image, _ in batch} for batch in streams["grouped"]]
    assert all(len(kind) == 1 for kind in kinds)
    assert {kind for (kind,) in kinds} == {True, False}


@pytest.mark.parametrize("workers", [0, 2, 4])
def test_forked_workers_and_resuming_make_the_same_stream(build, streams, workers):
    for name, arguments in [("grouped", GROUPED), ("plain", PLAIN)]:
        context = {"multiprocessing_context": "fork"} if workers else {}
        loader = build(**arguments, **context, num_workers=workers)
        draws = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        assert summary(loader, ITERATIONS) == streams[name]
        assert summary(loader, 1) == streams[name][:1]
        loader.batch_sampler.start_iteration = 7
        assert summary(loader, 5) == streams[name][7:]
        left = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
        assert draws == left


@leaves_spawned_workers
def test_spawned_workers_make_the_same_stream(build, streams):
    loader = build(**GROUPED, num_workers=2, multiprocessing_context="spawn", start_iteration=5)
    assert summary(loader, ITERATIONS - 5) == streams["grouped"][5:]


def test_two_ranks_consume_the_set_of_one(build, photos, mapper, tmp_path):
    (tmp_path / "arguments.pickle").write_bytes(pickle.dumps((photos, mapper)))
    context = multiprocessing.get_context("fork")  # spares them the import of detectron2
    ranks = [context.Process(target=run_rank, args=(rank, tmp_path, 6)) for rank in range(2)]
    for process in ranks:
        process.start()
    wanted = [
        summary(build(total_batch_size=4), 6),
        summary(build(total_batch_size=4, aspect_ratio_grouping=False, start_iteration=3), 6),
    ]
    for process in ranks:
        process.join(timeout=120)
    assert [process.exitcode for process in ranks] == [0, 0]
    first, second = (
        pickle.loads((tmp_path / f"rank{rank}.pickle").read_bytes()) for rank in range(2)
    )
    for ours, theirs, together in zip(first[:2], second[:2], wanted, strict=True):
        assert {len(batch) for batch in ours + theirs} == {2}
        assert [sorted(a + b) for a, b in zip(ours, theirs, strict=True)] == [
            sorted(batch) for batch in together
        ]
    assert first[2] == second[2]  # the seed that they drew


def test_samples_can_be_rebuilt_from_their_records(photos, paste):
    mapper = KeyedMapper(make_mapper(paste, []))
    loader = build_empaste_train_loader(
        photos, mapper=mapper, total_batch_size=4, seed=3, num_workers=2
    )
    for batch in itertools.islice(loader, 4):
        for sample in batch:
            photo = photos[sample["image_id"]]
            image = np.ascontiguousarray(utils.read_image(photo["file_name"], format="RGB"))
            originals = instances_from_annotations(
                photo["annotations"], *image.shape[:2], masks_required=True, file_name=""
            )
            record = sample["empaste_record"]
            assert record.seed_key == sample["key"]
            assert record.placements
            rng = np.random.default_rng(record.seed_key)
            for scene in (
                paste.render(Scene(image, originals), record.placements),
                paste(Scene(image, originals), rng),
            ):
                assert scene.record.placements == record.placements
                pixels = sample["image"].numpy()[::-1].transpose(1, 2, 0)
                assert np.array_equal(scene.image, pixels)


def test_a_sample_can_be_made_again(build, streams):
    loader = build(**GROUPED)
    for position, index, sha in itertools.chain(*streams["grouped"][:3]):
        assert digest(loader.dataset[position, index]) == sha


def test_detectron2s_mapper_and_its_own_loader(photos):
    """Its loader changes the samples with the number of workers; ours does not."""

    def make(builder, workers, **arguments):
        mapper = DatasetMapper(
            is_train=True, augmentations=[T.RandomBrightness(0.5, 1.5)], image_format="BGR"
        )
        loader = builder(
            photos,
            mapper=mapper,
            total_batch_size=2,
            num_workers=workers,
            aspect_ratio_grouping=False,
            **arguments,
        )
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        return [digest(batch) for batch in itertools.islice(loader, 4)]

    sampler = RepeatFactorTrainingSampler(torch.ones(len(photos)), shuffle=False, seed=0)
    stock = [make(build_detection_train_loader, n, sampler=sampler) for n in (0, 2)]
    assert stock[0] != stock[1]
    ours = [make(build_empaste_train_loader, n, seed=0) for n in (0, 2)]
    assert ours[0] == ours[1]


@pytest.fixture
def cfg(photos, small_bank):
    name = "loader_test"
    DatasetCatalog.register(name, lambda: photos)
    MetadataCatalog.get(name).thing_classes = CLASSES
    cfg = get_cfg()
    add_empaste_config(cfg)
    cfg.EMPASTE.BANK = str(small_bank.path)
    cfg.DATASETS.TRAIN = (name,)
    cfg.SOLVER.IMS_PER_BATCH = 4
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SEED = 11
    yield cfg
    DatasetCatalog.remove(name)
    MetadataCatalog.pop(name)


def ids(loader, iterations):
    return [[sample["image_id"] for sample in b] for b in itertools.islice(loader, iterations)]


def test_config(cfg):
    loader = build_empaste_train_loader(cfg)
    assert isinstance(loader.dataset.transform.args[0], EMPasteMapper)
    assert len(loader.dataset) == 11  # without the photo that shows no object
    assert loader.batch_sampler.batch_size == 4
    assert loader.dataset.seed == 11
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    cfg.DATALOADER.NUM_WORKERS = 2
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    loader = build_empaste_train_loader(
        cfg, mapper=KeyedMapper(lambda photo: photo), start_iteration=2, num_workers=0
    )
    assert loader.num_workers == 0
    assert len(loader.dataset) == 12
    keys = [sample["key"] for sample in next(iter(loader))]
    assert keys == [(11, position) for position in range(8, 12)]


def test_config_with_repeat_factors(cfg, photos):
    cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    cfg.DATALOADER.REPEAT_THRESHOLD = 30.0
    cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    shown = np.bincount(np.ravel(ids(build_empaste_train_loader(cfg, mapper=dict), 500)))
    factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(photos, 30.0)
    factors = factors.numpy()
    assert factors.max() > 3 * factors.min()
    np.testing.assert_allclose(shown / shown.sum(), factors / factors.sum(), rtol=0.1)


def test_lazy_config(photos):
    lazy = LazyCall(build_empaste_train_loader)(
        dataset=photos, mapper=LazyCall(KeyedMapper)(mapper=copy.copy), total_batch_size=2, seed=1
    )
    direct = build_empaste_train_loader(
        photos, mapper=KeyedMapper(copy.copy), total_batch_size=2, seed=1
    )
    assert ids(instantiate(lazy), 5) == ids(direct, 5)


def test_a_drawn_seed_is_logged(cfg, caplog):
    cfg.SEED = -1
    with caplog.at_level(logging.INFO, logger=module.__name__):
        first = build_empaste_train_loader(cfg, mapper=dict)
        second = build_empaste_train_loader(cfg, mapper=dict, start_iteration=3)
    assert first.dataset.seed != second.dataset.seed
    assert f"seed is {first.dataset.seed}" in caplog.text
    assert caplog.text.count("start_iteration: 3 continues no earlier run") == 1


def test_default_trainer_resumes_the_stream(cfg, tmp_path, monkeypatch):
    """With the trainer that the docstring shows."""
    code = doctest.script_from_examples(build_empaste_train_loader.__doc__)
    names = {"build_empaste_train_loader": build_empaste_train_loader}
    exec(code, names)
    seen = []

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, batch):
            seen.append([sample["image_id"] for sample in batch])
            return {"loss": self.weight.sum()}

    class Trainer(names["Trainer"]):
        @classmethod
        def build_model(cls, cfg):
            return Model()

        def build_writers(self):
            return []

    assert issubclass(Trainer, DefaultTrainer)
    cfg.OUTPUT_DIR = str(tmp_path)
    cfg.MODEL.WEIGHTS = ""
    cfg.SOLVER.CHECKPOINT_PERIOD = 3
    cfg.TEST.EVAL_PERIOD = 0
    cfg.DATASETS.TEST = ()
    monkeypatch.setattr(logging.getLogger("detectron2"), "level", logging.INFO)
    for iterations in (3, 7):
        cfg.SOLVER.MAX_ITER = iterations
        trainer = Trainer(cfg)
        trainer.resume_or_load()
        trainer.train()
    assert seen == ids(build_empaste_train_loader(cfg), 7)


def test_a_mapper_that_returns_none_is_an_error(photos):
    loader = build_empaste_train_loader(
        photos, mapper=lambda photo: None, total_batch_size=2, seed=0
    )
    with pytest.raises(DatasetError, match="the mapper returned None") as caught:
        next(iter(loader))
    position, index = next(iter(loader.batch_sampler))[0]
    assert photos[index]["file_name"] in str(caught.value)
    assert caught.value.__notes__[0].startswith(
        f"in sample {index} of the data set, {photos[index]['file_name']}, at position {position} "
    )


def test_sizes_are_needed_for_grouping(photos):
    for item, name in (({"file_name": "x.png", "width": 3}, r" \(x\.png\)"), ({"height": 3}, "")):
        message = rf"^image 0 of the data set{name} has no width and height"
        with pytest.raises(DatasetError, match=message):
            build_empaste_train_loader([item], mapper=None, total_batch_size=1, seed=0)


def test_names_of_data_sets_are_no_data_set(cfg):
    for names in ("some_name", ["some_name", "other_name"]):
        with pytest.raises(ArgumentError, match=r"dataset: .*get_detection_dataset_dicts"):
            build_empaste_train_loader(names, mapper=None, total_batch_size=1, seed=0)
        with pytest.raises(ArgumentError, match=r"dataset: .*get_detection_dataset_dicts"):
            build_empaste_train_loader(cfg, dataset=names)


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        return itertools.repeat({})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("total_batch_size", {"total_batch_size": 0}),
        ("seed", {"seed": -1}),
        ("sampler", {"sampler": range(3)}),
        ("in_order", {"in_order": False}),
        ("repeat_factors", {"repeat_factors": [1.0]}),
        ("start_iteration", {"start_iteration": -1}),
        ("dataset", {"dataset": Endless()}),
        ("dataset", {"dataset": []}),
        ("^mapper: int is not callable", {"mapper": 5}),
    ],
)
def test_bad_arguments(photos, name, arguments):
    arguments = {"dataset": photos, "mapper": None, "total_batch_size": 2, "seed": 0, **arguments}
    with pytest.raises(ArgumentError, match=name):
        build_empaste_train_loader(**arguments)


def test_other_samplers_are_refused(cfg):
    cfg.DATALOADER.SAMPLER_TRAIN = "WeightedTrainingSampler"
    with pytest.raises(ArgumentError, match=r"SAMPLER_TRAIN: 'WeightedTrainingSampler'"):
        build_empaste_train_loader(cfg)
