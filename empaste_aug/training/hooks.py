"""detectron2 hooks: paste statistics in the event storage, and steps that can be repeated."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.engine import HookBase
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng

from empaste_aug.training.pictures import draw_sample
from empaste_aug.training.statistics import CountingLoader, PasteCounts

logger = logging.getLogger(__name__)

PERIOD = 20
"""Iterations between two writings, as detectron2's writers do."""

CLASS_PERIOD = 500
"""Iterations between two writings of the counts of single classes."""

IMAGE_PERIOD = 500
"""Iterations between sample images; the first iteration has one too."""


class PasteStatistics(HookBase):  # type: ignore[misc]
    """Writes what was pasted, over all ranks, to the event storage of the main process.

    All are sums since the start of the run, resumed runs included, but for the last two, which are
    of the time since the last writing. Nothing is smoothed.

    - ``empaste/images``: samples; ``empaste/pasted``: objects pasted into them;
      ``empaste/skipped``: pastes that were not made, and ``empaste/skipped/<reason>``;
      ``empaste/backgrounds``: samples whose photo gave its place to a background.
    - ``empaste/class/<name>``: objects of each class, every `class_period` iterations.
    - ``empaste/pasted_per_image``.
    - ``data_time_share``: ``data_time / time``, the part of the steps that was spent waiting for
      data; also where nothing is pasted.
    - the image ``empaste/sample_<k>``: samples as they are trained on (for TensorBoard).

    Register it after IterationTimer, and before PeriodicCheckpointer, whose checkpoints hold the
    sums.

    Args:
        loader: what the trainer takes its batches from.
        dataset_names: the training data sets, whose `thing_classes` name the classes in images.
        image_format: of the samples' images, "RGB" or "BGR".
        checkpoint_period: of PeriodicCheckpointer: the sums of all ranks are brought together
            before each checkpoint.
        period, class_period, image_period: in iterations. The last iteration writes all numbers.
        images: how many samples of a batch are drawn; 0: none.
    """

    def __init__(
        self,
        loader: CountingLoader,
        *,
        dataset_names: Sequence[str],
        image_format: str,
        checkpoint_period: int,
        period: int = PERIOD,
        class_period: int = CLASS_PERIOD,
        image_period: int = IMAGE_PERIOD,
        images: int = 2,
    ) -> None:
        self._loader = loader
        self._dataset_names = tuple(dataset_names)
        self._image_format = image_format
        self._checkpoint_period = checkpoint_period
        self._period = period
        self._class_period = class_period
        self._image_period = image_period
        self._images = images
        self._data_time = self._time = 0.0
        self._all_data_time = self._all_time = 0.0
        self.counts = PasteCounts()

    def after_step(self) -> None:
        """Count, and now and then write."""
        done = self.trainer.iter + 1
        last = done == self.trainer.max_iter
        self._add_times()
        if last or done % self._period == 0 or done % self._checkpoint_period == 0:
            window = self._gathered()
            if comm.is_main_process():
                self._write(window, with_classes=last or done % self._class_period == 0)
        is_first = self.trainer.iter == self.trainer.start_iter
        if comm.is_main_process() and (is_first or done % self._image_period == 0):
            self._draw()

    def after_train(self) -> None:
        """Say what was done, and how much of this process's time went into waiting for data."""
        if not comm.is_main_process():
            return
        if self.counts.images:
            logger.info(f"EM-Paste: {self.counts}")
        data_time, time = self._all_data_time + self._data_time, self._all_time + self._time
        if time > 0:
            logger.info(f"{100 * data_time / time:.1f} % of the steps' time was waiting for data")

    def state_dict(self) -> dict[str, Any]:
        """The sums."""
        return self.counts.to_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums of before."""
        self.counts = PasteCounts.from_dict(state)

    def _gathered(self) -> PasteCounts:
        """What all ranks counted since the last call; added to `counts`."""
        window = PasteCounts()
        for counts in comm.gather(self._loader.take()):
            window.update(counts)
        self.counts.update(window)
        return window

    def _add_times(self) -> None:
        latest = self.trainer.storage.latest()
        data_time, time = (latest.get(name, (0.0, -1)) for name in ("data_time", "time"))
        if data_time[1] == time[1] == self.trainer.iter:  # the timer leaves out the first steps
            self._data_time += data_time[0]
            self._time += time[0]

    def _write(self, window: PasteCounts, *, with_classes: bool) -> None:
        scalars: dict[str, float] = {}
        if self.counts.images:
            scalars = self.counts.scalars(with_classes=with_classes)
        if window.images:
            scalars["empaste/pasted_per_image"] = window.pasted.total() / window.images
        if self._time > 0:
            scalars["data_time_share"] = self._data_time / self._time
            self._all_data_time += self._data_time
            self._all_time += self._time
            self._data_time = self._time = 0.0
        self.trainer.storage.put_scalars(smoothing_hint=False, **scalars)

    def _draw(self) -> None:
        known = [MetadataCatalog.get(name).get("thing_classes") for name in self._dataset_names]
        for number, sample in enumerate(self._loader.last_batch[: self._images]):
            highest = int(max(sample["instances"].gt_classes, default=0))
            class_names = next(filter(None, known), [str(n) for n in range(highest + 1)])
            picture = draw_sample(sample, class_names, image_format=self._image_format)
            self.trainer.storage.put_image(f"empaste/sample_{number}", picture.transpose(2, 0, 1))


class SeededSteps(HookBase):  # type: ignore[misc]
    """Seeds the global generators for each step from (seed, iteration, rank).

    A run that was stopped and resumed then draws the same proposals, and so on, as one that was
    not; with the loader's stream, which is keyed in the same way, it gives the same model.

    Args:
        seed: >= 0.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def before_step(self) -> None:
        """Seed Python's, NumPy's and torch's generators."""
        key = np.random.SeedSequence((self._seed, self.trainer.iter, comm.get_rank()))
        seed_all_rng(int(key.generate_state(1)[0]))
