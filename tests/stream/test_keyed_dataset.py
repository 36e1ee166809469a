"""KeyedDataset: samples that follow from their key, whoever holds the generators."""

from __future__ import annotations

import doctest
import pickle
import random
from collections import Counter
from functools import partial

import numpy as np
import pytest

from empaste_aug import ArgumentError, DatasetError
from empaste_aug.stream import KeyedDataset, SampleKey, current_key, dataset


class Holder:
    """Something that holds a generator, or something that does."""

    def __init__(self, held):
        self.held = held

    def random(self):
        return self.held.random()

    def __call__(self, value):
        return self.random()


GLOBAL = random.Random(0)


def uses_global(value):
    return GLOBAL.random()


def uses_global_inside(value):
    return [GLOBAL.random() for _ in range(2)]


def in_closure(generator):
    return lambda value: generator.random()


HIDDEN = {
    "attribute": Holder,
    "nested": lambda generator: Holder(Holder(Holder(generator))),
    "bound method": lambda generator: Holder(generator).__call__,
    "default": lambda generator: lambda value, draw=generator.random: draw(),
    "partial": lambda generator: partial(Holder.__call__, Holder(generator)),
    "closure": in_closure,
    "containers": lambda generator: partial(lambda x, _: x[0]["a"].random(), [{"a": generator}]),
}


def test_docstrings():
    results = doctest.testmod(dataset)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("make", ["Generator", "RandomState", "Random"])
def test_held_generators_follow_from_the_key(hide, make):
    make = {"Generator": np.random.default_rng, "Random": random.Random}.get(
        make, np.random.RandomState
    )
    keyed = KeyedDataset([0, 0], hide(make(0)), seed=9)
    values = [keyed[position, 0] for position in (0, 1, 0, 1)]
    assert values[:2] == values[2:]
    assert values[0] != values[1]
    assert KeyedDataset([0, 0], hide(make(1)), seed=9)[0, 1] == values[0]
    assert KeyedDataset([0, 0], hide(make(0)), seed=8)[0, 0] != values[0]


def test_two_generators_are_set_apart():
    first, second = Holder(random.Random(0)), Holder(random.Random(0))
    keyed = KeyedDataset([0], lambda value: (first(value), second(value)), seed=9)
    one, other = keyed[0, 0]
    assert one != other


@pytest.mark.parametrize("function", [uses_global, uses_global_inside])
def test_what_a_function_takes_from_its_module(function):
    keyed = KeyedDataset([0], function, seed=9)
    assert keyed.generators == [GLOBAL]
    assert keyed[3, 0] == keyed[3, 0] != keyed[4, 0]


def test_torch_generators():
    torch = pytest.importorskip("torch")
    draw = partial(torch.rand, 1, generator=torch.Generator())
    keyed = KeyedDataset([0], lambda value: float(draw()), seed=9)
    assert keyed[3, 0] == keyed[3, 0] != keyed[4, 0]


def test_a_pickled_copy_finds_its_own_generators():
    keyed = KeyedDataset([0], Holder(np.random.default_rng(0)), seed=9)
    copy = pickle.loads(pickle.dumps(keyed))
    assert copy.generators == [copy.transform.held]
    assert copy.transform.held is not keyed.transform.held
    assert [copy[0, 0], copy[1, 0]] == [keyed[0, 0], keyed[1, 0]]


def test_long_lists_and_global_generators_are_not_searched():
    data = [np.random.default_rng(i) for i in range(101)]
    assert KeyedDataset(data, seed=0).generators == []
    assert len(KeyedDataset(data[:100], seed=0).generators) == 100
    assert KeyedDataset([0], lambda x, draw=random.random: draw(), seed=0).generators == []


def test_named_holders_and_functions():
    class Data:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return many[index].random()

    many, seeds = [np.random.default_rng(0)] * 101, []
    assert KeyedDataset(Data(), seed=0).generators == []
    keyed = KeyedDataset(Data(), seed=0, reseed=[many[0], seeds.append])
    assert keyed[4, 0] == keyed[4, 0] != keyed[5, 0]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(0 <= seed < 2**64 for seed in seeds)
    with pytest.raises(ArgumentError, match="reseed"):
        KeyedDataset([0], seed=0, reseed=[3])


def test_albumentations():
    albumentations = pytest.importorskip("albumentations")
    pipeline = albumentations.Compose(
        [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)], seed=1
    )
    photo = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    keyed = KeyedDataset([photo], lambda image: pipeline(image=image)["image"], seed=0)
    assert keyed.generators == [pipeline]
    flipped = {
        "no": photo,
        "left-right": photo[:, ::-1],
        "upside-down": photo[::-1],
        "both": photo[::-1, ::-1],
    }
    seen = Counter()
    for position in range(80):
        image = keyed[position, 0]
        assert np.array_equal(image, keyed[position, 0])
        seen.update(name for name, wanted in flipped.items() if np.array_equal(image, wanted))
    # the flips are drawn independently, each in half of the samples
    assert sum(seen.values()) == 80
    assert min(seen[name] for name in flipped) >= 8


def test_verify_passes_what_is_reproducible():
    seen = []

    def transform(value):
        seen.append((current_key().position, value))
        return value + random.random()

    keyed = KeyedDataset(range(64), transform, seed=7)
    keyed.verify()
    first = [(number, 4 * number) for number in range(16)]
    assert seen == first + first[::-1]
    seen.clear()
    keyed.verify([(9, 3), (2, 1)])
    assert seen == [(2, 1), (9, 3), (9, 3), (2, 1)]


def test_verify_names_the_first_position_that_differs():
    fresh = KeyedDataset(
        [0], lambda value: {"a": 1, "b": [np.random.default_rng().random()]}, seed=7
    )
    with pytest.raises(DatasetError, match=r"position 4, index 0, .* at sample\['b'\]\[0\]"):
        fresh.verify([(6, 0), (4, 0)])
    many = [np.random.default_rng(0)] * 101
    with pytest.raises(DatasetError, match="reseed"):
        KeyedDataset([0], lambda value: many[value].random(), seed=7).verify([(5, 0)])
    KeyedDataset([0], lambda value: many[value].random(), seed=7, reseed=[many[0]]).verify()

    def late(value):
        return np.random.default_rng().random() if current_key().position >= 5 else value

    with pytest.raises(DatasetError, match=r"position 5, index 0, .* are: none"):
        KeyedDataset(range(3), late, seed=7).verify()


def test_verify_finds_what_is_changed_in_place():
    def add_in_place(image):
        image += 1
        return image

    with pytest.raises(DatasetError, match="state from one sample to the next"):
        KeyedDataset([np.zeros(3)], add_in_place, seed=7).verify()


def test_the_key_is_known_within():
    keyed = KeyedDataset([10, 20], lambda value: (value, current_key()), seed=7)
    assert keyed[3, 1] == (20, SampleKey(7, 3))
    assert isinstance(keyed[3, -1][1], SampleKey)
    assert len(keyed) == 2
    assert current_key() is None


def test_errors_name_the_sample():
    data = [{"file_name": "a.png"}, {"file_name": "b.png"}]
    keyed = KeyedDataset(data, lambda value: value["missing"], seed=7)
    with pytest.raises(KeyError) as caught:
        keyed[30, 1]
    assert caught.value.__notes__ == [
        "in sample 1 of the data set, b.png, at position 30 of the stream with seed 7; "
        "loader.dataset[30, 1] makes it again"
    ]
    with pytest.raises(IndexError) as caught:
        keyed[30, 2]
    assert caught.value.__notes__[0].startswith("in sample 2 of the data set at position 30 of")


def test_none_is_an_error():
    keyed = KeyedDataset([1], lambda value: None, seed=7)
    with pytest.raises(DatasetError, match="None") as caught:
        keyed[4, 0]
    assert "position 4" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dataset", {"dataset": iter([1])}),
        ("dataset", {"dataset": []}),
        ("transform", {"transform": 3}),
        ("seed", {"seed": -3}),
        ("seed", {"seed": None}),
    ],
)
def test_bad_arguments(name, arguments):
    with pytest.raises(ArgumentError, match=name):
        KeyedDataset(**{"dataset": [1], "seed": 0, **arguments})
