"""The order of the stream, and its batches: any position, any iteration, any number of ranks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from empaste_aug import ArgumentError
from empaste_aug.stream import SampleStream, StreamBatchSampler, StreamSampler, aspect_groups

SIZE = 13
FACTORS = np.array([0.3, 1.0, 2.5, 0.0, 1.7, 1, 1, 1, 1, 1, 1, 1, 4.0])
GROUPS = np.array([0, 1, 1, 0, 1, 2, 1, 1, 1, 1, 0, 1, 1])


def take(iterable, count):
    return list(itertools.islice(iterable, count))


def test_epochs_are_permutations_that_differ():
    indices = [index for _, index in take(SampleStream(SIZE, seed=5).walk(), 40 * SIZE)]
    epochs = [tuple(indices[i : i + SIZE]) for i in range(0, len(indices), SIZE)]
    assert all(sorted(epoch) == list(range(SIZE)) for epoch in epochs)
    assert len(set(epochs)) == 40
    other = [index for _, index in take(SampleStream(SIZE, seed=6).walk(), SIZE)]
    assert tuple(other) not in epochs


@pytest.mark.parametrize("factors", [None, FACTORS, np.floor(FACTORS)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_any_position_can_be_looked_up(factors, shuffle):
    stream = SampleStream(SIZE, seed=2, shuffle=shuffle, repeat_factors=factors)
    whole = take(stream.walk(), 100)
    assert [position for position, _ in whole] == list(range(100))
    assert [stream.index(position) for position in range(100)] == [i for _, i in whole]
    for start, step in [(0, 1), (12, 1), (13, 2), (29, 7), (3, 31), (50, 50)]:
        wanted = whole[start::step][:3]
        assert take(stream.walk(start, step), len(wanted)) == wanted


def test_without_shuffling():
    indices = [index for _, index in take(SampleStream(3, seed=0, shuffle=False).walk(), 7)]
    assert indices == [0, 1, 2, 0, 1, 2, 0]


def test_repeat_factors_are_met_on_average_and_rounded_per_epoch():
    stream = SampleStream(SIZE, seed=1, repeat_factors=FACTORS)
    count = 1500
    epochs = [order for _, order in take(stream.epochs(), count)]
    shown = np.stack([np.bincount(order, minlength=SIZE) for order in epochs])
    assert (np.floor(FACTORS) <= shown).all()
    assert (shown <= np.ceil(FACTORS)).all()
    share = FACTORS % 1
    bound = 5 * np.sqrt(share * (1 - share) / count)
    assert (np.abs(shown.mean(axis=0) - FACTORS) <= bound).all()
    # the draws of two images are independent
    assert abs(np.corrcoef(shown[:, 0], shown[:, 2])[0, 1]) < 5 / math.sqrt(count)


def test_epochs_may_be_empty():
    stream = SampleStream(2, seed=0, repeat_factors=[0.01, 0.0])
    assert take(stream.walk(), 5) == [(position, 0) for position in range(5)]
    assert stream.index(3) == 0


def test_orders_and_samples_draw_apart():
    """Epoch e and position e have the same numbers, but not the same generator."""
    order = [index for _, index in take(SampleStream(50, seed=3).walk(), 50)]
    assert order != np.random.default_rng((3, 0)).permutation(50).tolist()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("size", {"size": 0}),
        ("size", {"size": 2.5}),
        ("seed", {"seed": -1}),
        ("repeat_factors", {"repeat_factors": [1.0] * 12}),
        ("repeat_factors", {"repeat_factors": [0.0] * SIZE}),
        ("repeat_factors", {"repeat_factors": [-1.0] + [1.0] * 12}),
        ("repeat_factors", {"repeat_factors": [np.nan] * SIZE}),
    ],
)
def test_bad_arguments_of_the_stream(name, arguments):
    with pytest.raises(ArgumentError, match=name):
        SampleStream(**{"size": SIZE, "seed": 0, **arguments})


@pytest.mark.parametrize("world_size", [1, 2, 3, 20])
@pytest.mark.parametrize("start", [0, 1, 5, 27])
def test_ranks_share_the_stream(world_size, start):
    stream = SampleStream(SIZE, seed=0)
    items = []
    for rank in range(world_size):
        sampler = StreamSampler(stream, rank=rank, world_size=world_size, start=start)
        own = take(sampler, 60 // world_size)
        assert own == take(sampler, 60 // world_size)
        assert {position % world_size for position, _ in own} == {rank}
        items += own
    assert sorted(items) == take(stream.walk(start), 60)


def reference_groups(stream, groups, total, count):
    """The first total batches, by waiting in one queue for each group."""
    waiting, batches = {}, []
    for position, index in stream.walk():
        queue = waiting.setdefault(int(groups[index]), [])
        queue.append((position, index))
        if len(queue) == total:
            batches.append(queue)
            waiting[int(groups[index])] = []
        if len(batches) == count:
            return batches, waiting
    raise AssertionError("the stream ended")


def make(**arguments):
    stream = SampleStream(SIZE, seed=4, repeat_factors=arguments.pop("factors", None))
    return StreamBatchSampler(stream, **arguments)


def test_positions_of_an_iteration():
    batches = take(make(batch_size=4, rank=1, world_size=2), 20)
    for iteration, batch in enumerate(batches):
        wanted = range(iteration * 8 + 1, (iteration + 1) * 8, 2)
        assert [position for position, _ in batch] == list(wanted)


@pytest.mark.parametrize("factors", [None, FACTORS])
@pytest.mark.parametrize("total", [1, 4, 60])
def test_groups_wait_until_a_total_batch_is_full(factors, total):
    sampler = make(batch_size=total, groups=GROUPS, factors=factors)
    wanted, waiting = reference_groups(sampler.stream, GROUPS, total, 50)
    batches = take(sampler, 50)
    assert batches == wanted
    assert {len({GROUPS[index] for _, index in batch}) for batch in batches} == {1}
    # each position is handed out once, or still waits
    items = sorted(itertools.chain(*batches, *waiting.values()))
    assert items == take(sampler.stream.walk(), len(items))
    assert all(len(queue) < total for queue in waiting.values())


@pytest.mark.parametrize("groups", [None, GROUPS, GROUPS > 0])
def test_iterations_are_the_same_for_any_world_size(groups):
    one = take(make(batch_size=12, groups=groups), 30)
    for world_size in (2, 3, 4, 12):
        ranks = [
            take(
                make(batch_size=12 // world_size, groups=groups, rank=rank, world_size=world_size),
                30,
            )
            for rank in range(world_size)
        ]
        assert [sorted(itertools.chain(*batches)) for batches in zip(*ranks, strict=True)] == one
        assert {len(batch) for rank in ranks for batch in rank} == {12 // world_size}


@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("factors", [None, FACTORS])
def test_resuming(groups, factors):
    arguments = {"batch_size": 3, "groups": groups, "rank": 1, "world_size": 2}
    whole = take(make(**arguments, factors=factors), 40)
    sampler = make(**arguments, factors=factors, start_iteration=5)
    for iteration in (5, 0, 1, 17, 31):
        sampler.start_iteration = iteration
        assert take(sampler, 5) == whole[iteration : iteration + 5]
        assert take(sampler, 1) == whole[iteration : iteration + 1]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("batch_size", {"batch_size": 0}),
        ("world_size", {"world_size": 0}),
        ("rank", {"rank": 2, "world_size": 2}),
        ("rank", {"rank": -1}),
        ("start_iteration", {"start_iteration": -1}),
        ("groups", {"groups": [0] * 12}),
        ("groups", {"groups": [0.5] * SIZE}),
    ],
)
def test_bad_arguments(name, arguments):
    with pytest.raises(ArgumentError, match=name):
        make(**{"batch_size": 2, **arguments})


def test_samplers_have_no_length_but_are_not_empty():
    stream = SampleStream(SIZE, seed=2)
    for sampler in (StreamSampler(stream), StreamBatchSampler(stream, batch_size=2)):
        with pytest.raises(TypeError, match="the stream is endless"):
            len(sampler)
        assert sampler


def test_aspect_groups():
    assert aspect_groups([4, 3, 3], [3, 3, 4]).tolist() == [True, False, False]
