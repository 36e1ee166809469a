"""torch's DataLoader over one stream of samples, the same for any number of workers and ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from empaste_aug.stream import (
    KeyedDataset,
    SampleStream,
    StreamBatchSampler,
    check_loader_arguments,
)
from empaste_aug.types import ArgumentError, MissingDependencyError

try:
    import torch
    from torch import distributed
    from torch.utils.data import DataLoader, IterableDataset
except ImportError as error:
    raise MissingDependencyError("torch", "torchvision", "the loader") from error

__all__ = ["build_stream_loader"]


def build_stream_loader(
    dataset: Any,
    *,
    batch_size: int,
    seed: int,
    transform: Callable[[Any], Any] | None = None,
    num_workers: int = 0,
    shuffle: bool = True,
    repeat_factors: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    start_iteration: int = 0,
    rank: int | None = None,
    world_size: int | None = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    reseed: Sequence[Any] = (),
    **loader_arguments: Any,
) -> DataLoader[Any]:
    """An infinite DataLoader whose samples follow from (seed, position in the stream) alone.

    Samples, their order and the batches are byte-identical for any `num_workers`, for forked and
    spawned workers, after resuming, and in each run with the same seed. Over ranks, each iteration
    consumes the same set of (position, sample) for any world size with the same
    ``batch_size * world_size``. On `EMPasteTransform`, and on Albumentations pipelines wherever the
    data set or the transform takes them from, this holds as they are; what it asks of data set and
    transform is in `KeyedDataset`. ``loader.dataset.verify()`` makes a few samples twice and raises
    an error if they differ.

    The loader never ends and has no length: ``len(loader)`` raises TypeError, and an epoch is
    ``len(dataset) / (batch_size * world_size)`` iterations, which batches straddle. Each
    ``iter(loader)`` begins at `start_iteration`; to resume a loader that is built before the
    iteration is known, set ``loader.batch_sampler.start_iteration`` before that.

    Workers stop when the iterator is let go of (``del``, the end of the function that holds it) or
    an exception, KeyboardInterrupt included, ends the program. An error in a worker is raised in
    the main process at its batch; its text names the position and index of the sample, and
    ``loader.dataset[position, index]`` makes the same sample again without workers.

    Args:
        dataset: map-style: a torch Dataset, or a list.
        batch_size: samples in one batch of this rank.
        seed: of order and samples, >= 0; the same on all ranks.
        transform: called with ``dataset[index]``.
        num_workers: processes that make samples; 0: the main process does.
        shuffle: whether each epoch is a new permutation.
        repeat_factors: (len(dataset),) floats: see `SampleStream`.
        groups: (len(dataset),) integers; batches never mix groups: see `StreamBatchSampler`, and
            `aspect_groups` for portrait and landscape.
        start_iteration: how many batches were consumed before.
        rank, world_size: None: those of torch.distributed, or 0 and 1 where it is not initialised.
        collate_fn: makes a batch of a list of samples; None: torch's default. For detection, where
            images differ in size, pass ``list``, or ``lambda batch: tuple(zip(*batch))``.
        reseed: holders of random generators that are not found: see `KeyedDataset`.
        loader_arguments: further arguments of DataLoader: pin_memory, prefetch_factor,
            persistent_workers, multiprocessing_context, timeout, worker_init_fn, ...

    Raises:
        ArgumentError: an argument is out of range, `dataset` is not map-style, only one of rank and
            world_size is given, or an argument of DataLoader is one that the stream decides.

    Example:
        >>> import numpy as np
        >>> images = [np.full((4, 4), i) for i in range(10)]
        >>> def noisy(image):
        ...     return image + np.random.normal(size=image.shape)
        >>> loader = build_stream_loader(images, batch_size=3, seed=0, transform=noisy)
        >>> batches = [batch for _, batch in zip(range(5), loader)]
        >>> resumed = build_stream_loader(
        ...     images, batch_size=3, seed=0, transform=noisy, start_iteration=4
        ... )
        >>> torch.equal(next(iter(resumed)), batches[4])
        True
    """
    if isinstance(dataset, IterableDataset):
        raise ArgumentError("dataset: an IterableDataset has no positions; use a map-style one")
    if (rank is None) != (world_size is None):
        raise ArgumentError("rank, world_size: give both or none")
    if rank is None or world_size is None:
        rank, world_size = _distributed_rank()
    keyed: Any = KeyedDataset(dataset, transform, seed=seed, reseed=reseed)
    sampler: Any = StreamBatchSampler(
        SampleStream(
            len(keyed),
            seed=seed,
            shuffle=shuffle,
            repeat_factors=repeat_factors,
        ),
        batch_size=batch_size,
        groups=groups,
        rank=rank,
        world_size=world_size,
        start_iteration=start_iteration,
    )
    return DataLoader(
        keyed,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate_fn,
        generator=torch.Generator(),  # else each iter() would draw from torch's global one
        **check_loader_arguments(loader_arguments),
    )


def _distributed_rank() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
