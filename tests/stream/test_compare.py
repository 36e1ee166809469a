"""difference: where two samples differ, to the byte."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from empaste_aug.stream.compare import difference


class Box:
    def __init__(self, **attributes):
        vars(self).update(attributes)


@dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    values: np.ndarray


class Labels(list):
    pass


SAME = {
    "numbers": (1, 2.5, 1j, True, None, "text", b"bytes", ...),
    "nan": [float("nan"), np.float32("nan"), np.array([np.nan, 1.0])],
    "nested": {"a": [{"b": (np.arange(6).reshape(2, 3),)}], 3: {4, 5}},
    "objects": [Box(x=1, y=Box(z=np.zeros(2))), Slotted("a", np.ones(2)), Labels([1]), Path("a")],
    "array of objects": np.array([{"a": 1}, None], dtype=object),
    "generator": np.random.default_rng(0),
    "no parts": [object, len, Fraction(1, 3), OrderedDict(a=1), np.ma.array([1, 2], mask=[0, 1])],
    "no copies": [lambda value: value],
}


@pytest.mark.parametrize("value", SAME.values(), ids=SAME)
def test_copies_are_the_same(value):
    assert difference(value, deepcopy(value)) is None


def test_a_cycle_ends():
    def ring():
        values = [1]
        values.append(values)
        return values

    assert difference(ring(), ring()) is None


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        (1, 2, ""),
        (1, 1.0, ""),
        (1, True, ""),
        ([1, 2], (1, 2), ""),
        ([1, 2], [1, 3], "[1]"),
        ([1, 2], [1], ""),
        ({"a": 1, "b": [0]}, {"a": 1, "b": [1]}, "['b'][0]"),
        ({"a": 1}, {"b": 1}, ""),
        ({1, 2}, {1, 3}, ""),
        (np.zeros(3), np.zeros(3, np.float32), ""),
        (np.zeros((1, 3)), np.zeros((3, 1)), ""),
        ([np.zeros(3)], [np.array([0, 0, 1.0])], "[0]"),
        (np.array([None, 1], object), np.array([None, 2], object), "[1]"),
        (Box(x=1, y=Box(z=2)), Box(x=1, y=Box(z=3)), ".y.z"),
        (Labels([1, 2]), Labels([1, 4]), "[1]"),
        (OrderedDict(a=1), OrderedDict(a=2), "['a']"),
    ],
)
def test_differences(first, second, path):
    assert difference(first, second) == path
    assert difference(second, first) == path
    assert difference(["before", first], ["before", second]) == f"[1]{path}"


def test_slots_and_generators_that_have_moved_on():
    assert difference(Slotted("a", np.ones(2)), Slotted("a", np.zeros(2))) is not None
    generators = [np.random.default_rng(0) for _ in range(2)]
    generators[1].random()
    assert difference(*generators) is not None
    assert difference(lambda value: value, lambda value: value) == ""


def test_tensors():
    torch = pytest.importorskip("torch")
    values = torch.tensor([[0.0, float("nan")]])
    for tensor in (
        values,
        values.to(torch.bfloat16),
        values > 0,
        values[0, 0],
        values[:0],
        values.t(),
        torch.zeros(2, dtype=torch.complex64).conj(),
        torch.nn.Parameter(values),
        torch.zeros(3, 3).to_sparse(),
    ):
        assert difference([tensor], [deepcopy(tensor)]) is None
    assert difference([values], [values + 1]) == "[0]"
    assert difference([values], [values.double()]) == "[0]"
    assert difference([values], [values.t()]) == "[0]"
    assert difference([torch.zeros(3).to_sparse()], [torch.ones(3).to_sparse()]) is not None


def test_torchvision_tensors():
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    torch = pytest.importorskip("torch")
    first, second = (tv_tensors.Mask(torch.full((1, 2, 2), value)) for value in (0, 1))
    plain = first.as_subclass(torch.Tensor)
    assert difference({"masks": first}, {"masks": plain}) == "['masks']"
    assert difference({"masks": first}, {"masks": deepcopy(first)}) is None
    assert difference({"masks": first}, {"masks": second}) == "['masks']"
