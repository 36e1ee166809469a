"""What the tests of the loaders share with their worker and rank processes, which import it."""

from __future__ import annotations

import hashlib
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from empaste_aug.stream import current_key

leaves_spawned_workers = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function _MultiProcessingDataLoaderIter:"
    "pytest.PytestUnraisableExceptionWarning"
)
"""For tests that leave a loader of spawned workers while these are at work: the thread of torch
that sends a worker's samples may outlive the interpreter, which aborts that worker (seen in one of
seven; never with forked ones, which end without running an interpreter's end)."""


class KeyedMapper:
    """A mapper that adds the key under which it was called."""

    def __init__(self, mapper: Any) -> None:
        self.mapper = mapper

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        mapped = self.mapper(dataset_dict)
        mapped["key"] = current_key()
        return mapped


def noisy(sample: Any) -> Any:
    """A transform that draws from all global generators, and hands out the key."""
    import random

    import torch

    image, label = sample
    noise = np.random.normal(size=image.shape) + torch.rand(image.shape).numpy()  # noqa: NPY002
    return image + noise + random.random(), label, current_key()


def fails_at_five(value: int) -> int:
    if value == 5:
        raise ValueError("this one is broken")
    return value


def digest(value: Any) -> str:
    """A hash of every byte of a sample."""
    parts = hashlib.sha256()

    def add(value: Any) -> None:
        if hasattr(value, "numpy"):
            value = value.numpy()
        if isinstance(value, np.ndarray):
            parts.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
        elif isinstance(value, dict):
            for key, item in value.items():
                parts.update(repr(key).encode())
                add(item)
        elif isinstance(value, (list, tuple)):
            parts.update(f"{len(value)}".encode())
            for item in value:
                add(item)
        elif hasattr(value, "get_fields"):
            add(value.image_size)
            add(value.get_fields())
        elif hasattr(value, "tensor"):
            add(value.tensor)
        else:
            parts.update(repr(value).encode())

    add(value)
    return parts.hexdigest()


def summary(loader: Any, iterations: int) -> list[list[tuple[int, int, str]]]:
    """(position, image id, hash) of every sample of the first batches."""
    return [
        [(sample["key"].position, sample["image_id"], digest(sample)) for sample in batch]
        for batch in itertools.islice(loader, iterations)
    ]


def run_rank(rank: int, folder: Path, iterations: int) -> None:
    """One of two ranks: what its loaders hand out, and the seed that they agree on, in a file."""
    import torch
    from torch import distributed

    from empaste_aug.adapters.detectron2 import build_empaste_train_loader
    from empaste_aug.adapters.loader import build_stream_loader

    torch.set_num_threads(1)  # the threads of the forked process are gone
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    try:
        dataset, mapper = pickle.loads((folder / "arguments.pickle").read_bytes())
        # the ranks differ even in their numbers of workers
        grouped = build_empaste_train_loader(
            dataset, mapper=mapper, total_batch_size=4, seed=5, num_workers=2 * rank
        )
        plain = build_stream_loader(
            dataset, transform=mapper, batch_size=2, seed=5, collate_fn=list, start_iteration=3
        )
        np.random.seed(rank)  # noqa: NPY002
        unseeded = build_empaste_train_loader(dataset, mapper=mapper, total_batch_size=4)
        found = summary(grouped, iterations), summary(plain, iterations), unseeded.dataset.seed
        (folder / f"rank{rank}.pickle").write_bytes(pickle.dumps(found))
    finally:
        distributed.destroy_process_group()
