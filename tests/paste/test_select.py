"""Class mapping by name, class weights, and the draw."""

from __future__ import annotations

import doctest
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from paste_selections import OnePerObject, drawn_rows, scene

from empaste_aug import ArgumentError, EMPaste, Instance, Scene
from empaste_aug.paste.select import Selector, class_weights, map_categories

BANK = ["cat", "tvmonitor", "cow"]


def test_classes_map_by_name() -> None:
    ids = map_categories(BANK, ["tv", "dog", "cat"], {"tvmonitor": "tv"}, ["cow"])
    assert ids.tolist() == [2, 0, -1]


def test_without_class_names_the_ids_are_the_banks() -> None:
    assert map_categories(BANK, None, {}, ["tvmonitor"]).tolist() == [0, -1, 2]


@pytest.mark.parametrize(
    ("class_names", "category_map", "exclude", "message"),
    [
        (["cat", "cow"], {}, [], "tvmonitor"),
        (["cat", "cow", "tv"], {"tvmonitor": "telly"}, [], "tvmonitor -> telly"),
        (["cat", "cow", "tv"], {"tellie": "tv"}, [], "category_map.*tellie"),
        (BANK, {}, ["horse"], "exclude.*horse"),
        (["cat", "cat"], {}, [], "class_names: a name occurs twice"),
        (None, {"tvmonitor": "tv"}, [], "category_map: has no meaning"),
    ],
)
def test_mismatches_are_errors(class_names, category_map, exclude, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        map_categories(BANK, class_names, category_map, exclude)


CATEGORIES = np.array([0] * 70 + [2] * 10 + [1] * 20)


def frequencies(selection, exclude=(), draws=20_000) -> np.ndarray:
    selector = Selector(CATEGORIES, BANK, selection=selection, exclude=exclude)
    rng = np.random.default_rng(0)
    rows = [selector.draw(rng, scene()) for _ in range(draws)]
    return np.bincount(rows, minlength=len(CATEGORIES)) / draws


def per_class(frequency: np.ndarray) -> np.ndarray:
    return np.bincount(CATEGORIES, weights=frequency, minlength=3)


def test_uniform_gives_every_cutout_the_same_chance() -> None:
    frequency = frequencies("uniform")
    assert np.abs(frequency - 0.01).max() < 0.004


def test_balanced_gives_every_class_the_same_chance_and_is_uniform_within() -> None:
    frequency = frequencies("balanced")
    assert np.abs(per_class(frequency) - 1 / 3).max() < 0.015
    assert np.abs(frequency[CATEGORIES == 1] - 1 / 60).max() < 0.005


def test_balanced_leaves_excluded_classes_out() -> None:
    shares = per_class(frequencies("balanced", exclude=["tvmonitor"]))
    assert shares[1] == 0
    assert abs(shares[0] - 0.5) < 0.015


def test_weights_are_keyed_by_class_name_and_the_rest_is_not_drawn() -> None:
    shares = per_class(frequencies({"cat": 1, "tvmonitor": 3}))
    assert np.abs(shares - [0.25, 0.75, 0]).max() < 0.015


def test_balanced_skips_classes_without_cutouts() -> None:
    weights = class_weights(np.array([5, 0, 2]), BANK, selection="balanced")
    assert weights.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("selection", "exclude", "message"),
    [
        ("rare", [], "selection: 'rare'"),
        ({"horse": 1}, [], "'horse'"),
        ({"cat": -1}, [], "'cat' is -1"),
        ({"cat": float("nan")}, [], "'cat' is nan"),
        ({"cat": "much"}, [], "'cat' is 'much'"),
        ({"cat": 1}, ["cat"], "excluded"),
        ({"cat": 0}, [], "nothing to paste"),
        ("uniform", BANK, "nothing to paste"),
        (("cat", 1), [], r"selection: \('cat', 1\)"),
        (len, BANK, "nothing to paste"),
    ],
)
def test_bad_selections_are_errors(selection, exclude, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        Selector(CATEGORIES, BANK, selection=selection, exclude=exclude)


def test_a_weight_without_a_cutout_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="'cow' has a weight but no cut-out"):
        Selector(np.zeros(3, dtype=int), BANK, selection={"cow": 1})


def test_weights_of_excluded_classes_may_be_zero() -> None:
    shares = per_class(frequencies({"cat": 1, "tvmonitor": 0, "cow": 1}, exclude=["tvmonitor"]))
    assert shares[1] == 0
    assert abs(shares[0] - 0.5) < 0.015


class Always:
    def __init__(self, row: object) -> None:
        self.row = row

    def __call__(self, scene: Scene, rng: np.random.Generator) -> object:
        return self.row


def test_a_callable_sees_the_scene_and_the_generator() -> None:
    selector = Selector(CATEGORIES, BANK, selection=OnePerObject(5))
    for objects in (0, 3):
        rng, same = np.random.default_rng(4), np.random.default_rng(4)
        rows = [selector.draw(rng, scene(*[0] * objects)) for _ in range(50)]
        assert rows == [objects + int(same.integers(5)) for _ in range(50)]
        assert all(type(row) is int for row in rows)


@pytest.mark.parametrize("row", [np.int32(99), np.uint8(0), 70])
def test_a_callable_may_give_any_integer(row) -> None:
    drawn = Selector(CATEGORIES, BANK, selection=Always(row)).draw(
        np.random.default_rng(0), scene()
    )
    assert drawn == int(row)
    assert type(drawn) is int


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (100, r"Always returned 100; expected a row of the bank, an integer in \[0, 99\]"),
        (-1, "Always returned -1"),
        (3.0, r"Always returned 3\.0"),
        (True, "Always returned True"),
        (None, "Always returned None"),
        (np.zeros(1, int), "Always returned array"),
        (70, "Always returned row 70, of the excluded class 'cow'"),
    ],
)
def test_what_a_callable_gives_is_checked(row, message) -> None:
    selector = Selector(CATEGORIES, BANK, selection=Always(row), exclude=["cow"])
    with pytest.raises(ArgumentError, match=message):
        selector.draw(np.random.default_rng(0), scene())


def test_functions_are_named_in_errors() -> None:
    def best(scene: Scene, rng: np.random.Generator) -> int:
        return 1000

    selector = Selector(CATEGORIES, BANK, selection=best)
    with pytest.raises(ArgumentError, match=r"best returned 1000"):
        selector.draw(np.random.default_rng(0), scene())


def test_empaste_pastes_what_the_callable_chose(small_bank) -> None:
    paste = EMPaste(small_bank, selection=OnePerObject(4), count=3, exclude=["cow"])
    for objects in (0, 2):
        result = paste(scene(*[0] * objects), np.random.default_rng(objects))
        record = result.record
        rows = [p.cutout_id for p in record.placements] + [s.cutout_id for s in record.skipped]
        assert len(rows) == 3
        assert all(objects <= row < objects + 4 for row in rows)
    cows = np.flatnonzero(small_bank.index["category_id"] == 2)
    wrong = EMPaste(small_bank, selection=Always(int(cows[0])), exclude=["cow"])
    with pytest.raises(ArgumentError, match="excluded class 'cow'"):
        wrong(scene(), np.random.default_rng(0))


@pytest.mark.parametrize("selection", ["balanced", {"cat": 1, "cow": 2}, OnePerObject(9)])
def test_a_spawned_process_draws_the_same(selection) -> None:
    pickled = pickle.dumps(Selector(CATEGORIES, BANK, selection=selection))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(drawn_rows, pickled).result(timeout=120) == drawn_rows(pickled)


def test_docstring_example() -> None:
    names = {"np": np, "Scene": Scene, "Instance": Instance, "Selector": Selector}
    parser = doctest.DocTestParser()
    example = parser.get_doctest(Selector.__doc__ or "", names, "Selector", None, 0)
    assert len(example.examples) >= 6
    assert doctest.DocTestRunner().run(example).failed == 0
