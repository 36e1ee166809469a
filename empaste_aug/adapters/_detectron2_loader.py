"""detectron2's training loader over one stream of samples: see `build_empaste_train_loader`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetFromList, get_detection_dataset_dicts
from detectron2.data.samplers import RepeatFactorTrainingSampler
from detectron2.utils import comm
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader, Dataset, IterableDataset

from empaste_aug.stream import (
    KeyedDataset,
    SampleStream,
    StreamBatchSampler,
    aspect_groups,
    check_dataset,
    check_loader_arguments,
)
from empaste_aug.types import ArgumentError, DatasetError

logger = logging.getLogger(__name__)


def _from_config(
    cfg: CfgNode,
    mapper: Callable[[dict[str, Any]], Any] | None = None,
    *,
    dataset: Sequence[dict[str, Any]] | Dataset[Any] | None = None,
) -> dict[str, Any]:
    """The arguments that a yacs config describes; the mapper is by default an EMPasteMapper."""
    sampler = cfg.DATALOADER.SAMPLER_TRAIN
    if sampler not in ("TrainingSampler", "RepeatFactorTrainingSampler"):
        raise ArgumentError(
            f"DATALOADER.SAMPLER_TRAIN: {sampler!r}; build_empaste_train_loader knows "
            "TrainingSampler and RepeatFactorTrainingSampler (for others, pass repeat_factors)"
        )
    _check_no_names(dataset)
    if dataset is None:
        keypoints, proposals = cfg.MODEL.KEYPOINT_ON, cfg.MODEL.LOAD_PROPOSALS
        dataset = get_detection_dataset_dicts(
            cfg.DATASETS.TRAIN,
            filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
            min_keypoints=(cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE if keypoints else 0),
            proposal_files=cfg.DATASETS.PROPOSAL_FILES_TRAIN if proposals else None,
        )
    if mapper is None:
        from empaste_aug.adapters.detectron2 import EMPasteMapper

        mapper = EMPasteMapper(cfg, is_train=True)
    repeat_factors = None
    if sampler == "RepeatFactorTrainingSampler":
        # older versions of detectron2 have no REPEAT_SQRT
        sqrt = {"sqrt": cfg.DATALOADER.REPEAT_SQRT} if "REPEAT_SQRT" in cfg.DATALOADER else {}
        repeat_factors = RepeatFactorTrainingSampler.repeat_factors_from_category_frequency(
            dataset, cfg.DATALOADER.REPEAT_THRESHOLD, **sqrt
        )
    return {
        "dataset": dataset,
        "mapper": mapper,
        "total_batch_size": cfg.SOLVER.IMS_PER_BATCH,
        "seed": cfg.SEED if cfg.SEED >= 0 else None,
        "aspect_ratio_grouping": cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
        "repeat_factors": repeat_factors,
    }


@configurable(from_config=_from_config)  # type: ignore[untyped-decorator]
def build_empaste_train_loader(
    dataset: Sequence[dict[str, Any]] | Dataset[Any],
    *,
    mapper: Callable[[dict[str, Any]], Any] | None,
    total_batch_size: int,
    seed: int | None = None,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
    shuffle: bool = True,
    repeat_factors: ArrayLike | None = None,
    start_iteration: int = 0,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    reseed: Sequence[Any] = (),
    **loader_arguments: Any,
) -> DataLoader[Any]:
    """detectron2's `build_detection_train_loader`, with the same stream for any number of workers.

    Each sample is keyed by (seed, position in the stream): samples, their order and the batches are
    byte-identical for any NUM_WORKERS, for forked and spawned workers, and after resuming. Over
    ranks, each iteration consumes the same set of (position, sample) for any number of ranks with
    the same total batch. It works with any mapper, as detectron2's augmentations draw from NumPy's
    global generator, which is seeded from the key for each sample and then put back.

    Call it with a config, ``build_empaste_train_loader(cfg)``, where any argument below may be
    given as well, or with the arguments, as in ``L(build_empaste_train_loader)(dataset=...)``. Of
    the config it reads SOLVER.IMS_PER_BATCH, SEED, DATASETS.TRAIN and what DATALOADER says of
    NUM_WORKERS, ASPECT_RATIO_GROUPING, FILTER_EMPTY_ANNOTATIONS, SAMPLER_TRAIN (TrainingSampler or
    RepeatFactorTrainingSampler), REPEAT_THRESHOLD and REPEAT_SQRT; the mapper is an EMPasteMapper.

    What differs from detectron2's loader:

    - Images are grouped by aspect ratio before they are mapped, from the data set's widths and
      heights (which a background in a photo's place has too, unless ``fit="none"``), and all ranks
      see the same group at the same iteration.
    - A mapper that returns None is an error that names the image. detectron2 takes another one at
      random, which hides bad data, and breaks the promise above.
    - Iterable data sets are not supported.

    The loader never ends, and ``len(loader)`` raises TypeError. Workers stop when its iterator is
    let go of. An error in a worker names the sample, and ``loader.dataset[position, index]`` makes
    the same sample again in the main process.

    Args:
        dataset: a list of dicts in detectron2's format, which is serialised once and shared by the
            workers, or a map-style torch Dataset of such dicts.
        mapper: called with one dict; None: the dicts are handed out as they are. An EMPasteMapper
            with backgrounds learns the number of photos from here.
        total_batch_size: images in one iteration over all ranks.
        seed: >= 0, the same on all ranks. None (SEED < 0): one is drawn, shared over the ranks as
            in detectron2, and logged.
        aspect_ratio_grouping: whether batches are all landscape, or all portrait and square. Reads
            "width" and "height" of every dict at the start.
        num_workers: processes that make samples, for each rank; 0: the main process does.
        shuffle: whether each epoch is a new permutation.
        repeat_factors: (len(dataset),) floats: how often an epoch shows each image, on average.
        start_iteration: how many iterations were consumed before.
        collate_fn: makes a batch of a list of mapped dicts; None: the list itself.
        reseed: holders of random generators that are not found: see `empaste_aug.stream`.
        loader_arguments: further arguments of torch's DataLoader: pin_memory, prefetch_factor,
            persistent_workers, multiprocessing_context, ...

    Raises:
        ArgumentError: an argument is out of range or of another type, the ranks do not divide
            total_batch_size, the data set is iterable, the sampler is not supported, or an argument
            of DataLoader is one that the stream decides.
        DatasetError: an image to be grouped has no width or height; from the iterator: the mapper
            returned None.

    Example:
        Training with DefaultTrainer, and resuming where the checkpoint was written (set SEED >= 0,
        or each run draws its own seed):

        >>> from detectron2.engine import DefaultTrainer
        >>> class Trainer(DefaultTrainer):
        ...     @classmethod
        ...     def build_train_loader(cls, cfg):
        ...         return build_empaste_train_loader(cfg)
        ...
        ...     def resume_or_load(self, resume=True):
        ...         super().resume_or_load(resume)
        ...         loader = self._trainer.data_loader
        ...         loader.batch_sampler.start_iteration = self.start_iter

        With one's own loop, the iteration is an argument:

        >>> dicts = [{"image_id": i, "width": 4, "height": 3 + i % 3} for i in range(10)]
        >>> loader = build_empaste_train_loader(
        ...     dicts, mapper=None, total_batch_size=2, seed=0, start_iteration=100
        ... )
        >>> len(next(iter(loader)))
        2
    """
    if isinstance(dataset, IterableDataset):
        raise ArgumentError("dataset: an IterableDataset has no positions; use a map-style one")
    _check_no_names(dataset)
    check_dataset(dataset)
    if mapper is not None and not callable(mapper):
        raise ArgumentError(f"mapper: {type(mapper).__name__} is not callable")
    from empaste_aug.adapters.detectron2 import EMPasteMapper

    if isinstance(mapper, EMPasteMapper):
        mapper = mapper.with_num_originals(len(dataset))  # type: ignore[arg-type]
    world_size = comm.get_world_size()
    if total_batch_size < 1 or total_batch_size % world_size:
        raise ArgumentError(
            f"total_batch_size (SOLVER.IMS_PER_BATCH): {total_batch_size} is no positive multiple "
            f"of the {world_size} ranks"
        )
    if seed is None:
        seed = int(comm.shared_random_seed())
        logger.info(f"The stream's seed is {seed}, drawn at random; set SEED to repeat this run")
        if start_iteration > 0:
            logger.warning(
                f"start_iteration: {start_iteration} continues no earlier run, as the seed is new"
            )
    groups = _aspect_groups(dataset) if aspect_ratio_grouping else None
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False, serialize=True)
    keyed: Any = KeyedDataset(
        dataset, None if mapper is None else partial(_mapped, mapper), seed=seed, reseed=reseed
    )
    sampler: Any = StreamBatchSampler(
        SampleStream(len(keyed), seed=seed, shuffle=shuffle, repeat_factors=repeat_factors),
        batch_size=total_batch_size // world_size,
        groups=groups,
        rank=comm.get_rank(),
        world_size=world_size,
        start_iteration=start_iteration,
    )
    return DataLoader(
        keyed,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=list if collate_fn is None else collate_fn,
        generator=torch.Generator(),  # else each iter() would draw from torch's global one
        **check_loader_arguments(loader_arguments),
    )


def _check_no_names(dataset: Any) -> None:
    """Refuse names of data sets, which detectron2's own loader does not take either."""
    first = dataset[0] if isinstance(dataset, (list, tuple)) and dataset else dataset
    if isinstance(first, str):
        raise ArgumentError(
            f"dataset: {dataset!r} names data sets; expected their dicts: "
            f"dataset=get_detection_dataset_dicts({dataset!r}) (detectron2.data)"
        )


def _mapped(mapper: Callable[[Any], Any], item: Any) -> Any:
    """What the mapper makes of an item; DatasetError where that is None."""
    name = _in_brackets(item)  # before the mapper, which may change the item
    mapped = mapper(item)
    if mapped is None:
        raise DatasetError(f"the mapper returned None for an image{name}; it is not replaced")
    return mapped


def _in_brackets(item: Any) -> str:
    """The name of an item's file, for messages; empty where it has none."""
    name = item.get("file_name") if isinstance(item, dict) else None
    return f" ({name})" if name else ""


def _aspect_groups(dataset: Any) -> Any:
    """Landscape or not, of each image."""
    sizes = []
    for index in range(len(dataset)):
        item = dataset[index]
        try:
            sizes.append((item["width"], item["height"]))
        except (KeyError, TypeError):
            raise DatasetError(
                f"image {index} of the data set{_in_brackets(item)} has no width and height, which "
                "aspect_ratio_grouping needs; switch it off, or add them"
            ) from None
    return aspect_groups(*zip(*sizes, strict=True))
