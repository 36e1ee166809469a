"""Class mapping by name, class weights, and the draw."""

from __future__ import annotations

import numpy as np
import pytest

from empaste_aug import ArgumentError
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
    rows = [selector.draw(rng) for _ in range(draws)]
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
        ({"cat": 1}, ["cat"], "excluded"),
        ({"cat": 0}, [], "nothing to paste"),
        ("uniform", BANK, "nothing to paste"),
    ],
)
def test_bad_selections_are_errors(selection, exclude, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        Selector(CATEGORIES, BANK, selection=selection, exclude=exclude)
