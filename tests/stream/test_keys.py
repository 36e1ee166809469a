"""Keys: what is seeded from them, and that everything is put back."""

# ruff: noqa: NPY002 - NumPy's global generator is what is tested

from __future__ import annotations

import doctest
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from empaste_aug import ArgumentError
from empaste_aug.stream import KeyedDataset, SampleKey, current_key, keys, seeded, take_key


def draws():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.normal()


def test_docstrings():
    results = doctest.testmod(keys)
    assert results.attempted
    assert not results.failed


def test_the_same_key_gives_the_same_numbers():
    torch = pytest.importorskip("torch")
    seen = []
    for key in [(3, 4), SampleKey(3, 4), [np.int64(3), 4]]:
        draws()
        with seeded(key):
            seen.append((*draws(), *torch.rand(3).tolist()))
    assert seen[0] == seen[1] == seen[2]


def test_every_part_of_the_key_counts():
    seen = set()
    for key in [(0, 0), (0, 1), (1, 0), (1, 1), (2**40, 0), (0, 2**40), (0, 0, 1)]:
        with seeded(key):
            seen.update(draws())
    assert len(seen) == 7 * 4


@pytest.mark.parametrize("fails", [False, True])
def test_the_states_are_put_back(fails):
    torch = pytest.importorskip("torch")

    def all_draws():
        return (*draws(), *torch.rand(3).tolist())

    def use_a_key():
        with seeded((3, 4)):
            all_draws()
            if fails:
                raise KeyError

    results = []
    for interrupted in (False, True):
        np.random.seed(0)
        random.seed(0)
        torch.manual_seed(0)
        all_draws()  # normal numbers come in pairs, so that the states now hold one each
        if interrupted and fails:
            with pytest.raises(KeyError):
                use_a_key()
        elif interrupted:
            use_a_key()
        results.append(all_draws())
        assert current_key() is None
    assert results[0] == results[1]


def test_nested():
    with seeded((1, 2)):
        outer = draws()
    with seeded((1, 2)):
        assert current_key() == (1, 2)
        with seeded([5, 6]):
            assert current_key() == (5, 6)
            assert draws() != outer
        assert current_key() == (1, 2)
        assert draws() == outer


def test_a_key_is_taken_once():
    assert take_key() is None
    for _ in range(2):
        with seeded(SampleKey(1, 2)):
            taken = [take_key()]
            with seeded((5, 6)):
                assert take_key() == (5, 6)
            taken += [take_key(), take_key()]
            assert taken == [(1, 2), (1, 2, 2), (1, 2, 3)]
            assert current_key() == (1, 2)
    assert len({np.random.default_rng(key).random() for key in taken}) == 3


def test_the_key_is_this_threads_own():
    seen = []
    with seeded((1, 2)):
        thread = threading.Thread(target=lambda: seen.append(current_key()))
        thread.start()
        thread.join()
    assert seen == [None]


@pytest.mark.parametrize("key", [(), (-1, 0), (0, 1.5), (0, None)])
def test_bad_key(key):
    state = random.getstate()
    with pytest.raises(ArgumentError, match="key"), seeded(key):
        random.random()
    assert random.getstate() == state


def test_without_torch(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from empaste_aug.stream import KeyedDataset\n"
        "keyed = KeyedDataset([0], lambda x: np.random.rand(), seed=1)\n"
        "print(keyed[7, 0], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    keyed = KeyedDataset([0], lambda x: np.random.rand(), seed=1)
    assert done.stdout == f"{keyed[7, 0]} False\n", done.stderr
