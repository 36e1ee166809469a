"""build_stream_loader: torch's DataLoader over a stream that workers and ranks do not change."""

from __future__ import annotations

import doctest
import itertools
import subprocess
import sys

import numpy as np
import pytest
from loader_data import digest, fails_at_five, leaves_spawned_workers, noisy

from empaste_aug import ArgumentError, DatasetError, EMPaste
from empaste_aug.stream import SampleKey, SampleStream

pytest.importorskip("torch")

import torch

from empaste_aug.adapters import loader as module
from empaste_aug.adapters.loader import build_stream_loader

IMAGES = [(np.full((3, 4), float(number)), number) for number in range(10)]


def batches(count, **arguments):
    arguments = {"transform": noisy, "batch_size": 3, "seed": 1, "collate_fn": list, **arguments}
    return list(itertools.islice(build_stream_loader(IMAGES, **arguments), count))


def test_docstring():
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


@leaves_spawned_workers
def test_spawned_forked_and_resumed_make_the_same_stream():
    alone = [digest(batch) for batch in batches(11)]
    assert len(set(alone)) == 11
    for start, arguments in [
        (0, {"num_workers": 4, "multiprocessing_context": "fork"}),
        (7, {"num_workers": 2, "multiprocessing_context": "fork", "prefetch_factor": 1}),
        (3, {"num_workers": 4, "multiprocessing_context": "spawn"}),
        (10, {}),
    ]:
        found = batches(11 - start, start_iteration=start, **arguments)
        assert [digest(batch) for batch in found] == alone[start:]


@leaves_spawned_workers
def test_globals_that_methods_name_make_the_same_stream():
    pytest.importorskip("albumentations")
    from user_script import RNG, Noise, Photos, after, aug

    def run(count, **arguments):
        loader = build_stream_loader(
            Photos(), transform=Noise(), batch_size=3, seed=1, collate_fn=list, **arguments
        )
        assert loader.dataset.generators == [aug, RNG, after]
        return [digest(batch) for batch in itertools.islice(loader, count)]

    alone = run(6)
    assert len(set(alone)) == 6
    for start, arguments in [
        (0, {}),
        (0, {"num_workers": 2, "multiprocessing_context": "fork"}),
        (2, {"num_workers": 4, "multiprocessing_context": "fork"}),
        (3, {"num_workers": 2, "multiprocessing_context": "spawn"}),
    ]:
        assert run(6 - start, start_iteration=start, **arguments) == alone[start:]


def test_verify_by_the_loader():
    build_stream_loader(IMAGES, transform=noisy, batch_size=3, seed=1).dataset.verify()
    wild = build_stream_loader(
        IMAGES, transform=lambda _: np.random.default_rng().random(), batch_size=3, seed=1
    )
    with pytest.raises(DatasetError, match="position 0, index 0, made twice"):
        wild.dataset.verify()


def test_the_stream_is_that_of_seed_and_groups():
    whole = itertools.chain(*batches(4))
    stream = SampleStream(10, seed=1)
    assert [(label, key) for _, label, key in whole] == [
        (index, SampleKey(1, position)) for position, index in itertools.islice(stream.walk(), 12)
    ]
    grouped = batches(20, groups=np.arange(10) % 2)
    assert all(len({label % 2 for _, label, _ in batch}) == 1 for batch in grouped)
    weighted = batches(30, repeat_factors=[1.0] + [0.0] * 9, shuffle=False)
    assert {label for batch in weighted for _, label, _ in batch} == {0}


def test_ranks_share_each_iteration():
    one = batches(8, batch_size=4, groups=np.arange(10) % 2)
    ranks = [
        batches(8, batch_size=2, groups=np.arange(10) % 2, rank=rank, world_size=2)
        for rank in range(2)
    ]
    for whole, *parts in zip(one, *ranks, strict=True):
        assert sorted(map(digest, whole)) == sorted(map(digest, itertools.chain(*parts)))


def test_persistent_workers_begin_anew():
    loader = build_stream_loader(
        IMAGES, transform=noisy, batch_size=3, seed=1, num_workers=1, persistent_workers=True
    )
    first, second = (next(iter(loader)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_it_has_no_length():
    loader = build_stream_loader(IMAGES, batch_size=3, seed=1)
    with pytest.raises(TypeError, match=r"the stream is endless and has no len\(\)"):
        len(loader)
    assert loader.batch_sampler


def test_the_global_generators_are_left_alone():
    state = torch.get_rng_state()
    batches(2)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_its_sample(workers):
    loader = build_stream_loader(
        list(range(6)),
        transform=fails_at_five,
        batch_size=6,
        seed=0,
        shuffle=False,
        num_workers=workers,
    )
    with pytest.raises(ValueError, match="this one is broken") as caught:
        next(iter(loader))
    said = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "in sample 5 of the data set at position 5 of the stream with seed 0" in said
    with pytest.raises(ValueError, match="this one is broken"):
        loader.dataset[5, 5]


def test_torchvision_transform(small_bank):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    from torchvision import tv_tensors

    from empaste_aug.adapters.torchvision import EMPasteTransform

    transform = v2.Compose(
        [
            EMPasteTransform(EMPaste(small_bank), keep_record=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.3),
        ]
    )
    photo = tv_tensors.Image(torch.full((3, 40, 60), 90, dtype=torch.uint8))
    found = [
        list(
            itertools.islice(
                build_stream_loader(
                    [(photo, {"image_id": number}) for number in range(5)],
                    transform=transform,
                    batch_size=2,
                    seed=0,
                    collate_fn=list,
                    num_workers=workers,
                ),
                5,
            )
        )
        for workers in (0, 2)
    ]
    digests = [[digest(batch) for batch in run] for run in found]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 5
    records = [target["empaste_record"] for batch in found[0] for _, target in batch]
    assert sum(bool(record.placements) for record in records) > 5


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        return itertools.repeat(0)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dataset", {"dataset": Endless()}),
        ("dataset", {"dataset": 3}),
        ("batch_size", {"batch_size": 0}),
        ("seed", {"seed": 1.5}),
        ("rank, world_size", {"rank": 0}),
        ("rank", {"rank": 2, "world_size": 2}),
        ("groups", {"groups": [1]}),
        ("drop_last", {"drop_last": True}),
        ("batch_sampler", {"batch_sampler": []}),
    ],
)
def test_bad_arguments(name, arguments):
    arguments = {"dataset": IMAGES, "batch_size": 2, "seed": 0, **arguments}
    with pytest.raises(ArgumentError, match=f"^{name}: "):
        build_stream_loader(**arguments)


def test_without_torch(tmp_path):
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "try:\n    import empaste_aug.adapters.loader\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.startswith("MissingDependencyError the loader needs"), done.stderr
