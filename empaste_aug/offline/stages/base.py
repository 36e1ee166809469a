"""A stage that computes one file per photo, and goes on where it was stopped."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tqdm import tqdm

from empaste_aug.offline.execute.protocol import Executor
from empaste_aug.offline.execute.queue import run_queued
from empaste_aug.offline.execute.tasks import ShardTask, pack_stage, run_shard
from empaste_aug.offline.execute.worker import one_thread, use_one_torch_thread
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.cache import Arrays, StageCache, digest_of
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import ArgumentError, EMPasteError

_TASKS = 64
"""At least so many tasks are made of many photos, so that none is waited for at the end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a stage did.

    Attributes:
        computed: items computed now.
        reused: items found in the cache.
        damaged: how many of the computed ones had a damaged file.
    """

    computed: int
    reused: int
    damaged: int = 0


class PhotoStage(ABC):
    """A stage with one cache file per photo.

    Args:
        work: the work folder.
        config: everything but the photo that the results depend on, as JSON values.

    Attributes:
        name: the stage's, also of its folder.
        version: the algorithm's, a part of the key: raise it when the stage gives another result
            from the same input, so that no older files are taken for new ones.
        uses_labels: the results depend on the photo's labels too.
        patience: seconds to wait for files that a worker has written on another machine.
        cache: where the results lie.
        executor: who computes; None computes in this process. With an executor the stage must be
            picklable; a classifier goes by its file, and the executor itself stays here.
        threads: photos that are computed at a time in this process.
        gpus: what a task of the stage needs of a GPU, for the executor.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    uses_labels: ClassVar[bool] = False
    patience: ClassVar[float] = 90.0
    executor: Executor | None = None
    threads: int = 1
    gpus: float = 0.0

    def __init__(self, work: str | Path, config: Mapping[str, Any]) -> None:
        self.cache = StageCache(work, self.name, config, version=self.version)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the executor."""
        return {name: value for name, value in vars(self).items() if name != "executor"}

    @property
    def key(self) -> str:
        """Hash of what the results depend on."""
        return self.cache.key

    @abstractmethod
    def compute(self, photo: Photo) -> Arrays:
        """The results of one photo."""

    def token(self, photo: Photo) -> str:
        """Hash of the photo's own part in the results."""
        return digest_of([photo.digest, list(photo.labels)]) if self.uses_labels else photo.digest

    def load(self, photo: Photo) -> Arrays:
        """The stored results of one photo.

        Raises:
            ArgumentError: there are none.
        """
        content = self.cache.read(photo.name, self.token(photo))
        if content is None:
            raise ArgumentError(
                f"stage {self.name}: has no valid result for photo {photo.name} under these "
                f"options in {self.cache.folder}; run that stage first (--stage {self.name})"
            )
        return content

    def run(
        self, photos: Sequence[Photo], *, redo: bool = False, progress: bool = True
    ) -> Progress:
        """Compute what is missing or damaged; all of it with `redo`.

        Raises:
            EMPasteError: a photo cannot be read or computed, or workers were lost; what was done
                is kept.
        """
        before = len(self.cache.damaged)
        todo = [
            photo for photo in photos if redo or not self.cache.holds(photo.name, self.token(photo))
        ]
        damaged = len(self.cache.damaged) - before
        if todo:
            with progress_bar(
                total=len(photos),
                initial=len(photos) - len(todo),
                description=self.name,
                unit="photo",
                show=progress,
            ) as bar:
                executor = self._executor_for(len(todo))
                if executor is None:
                    self._compute_here(todo, bar)
                else:
                    self._distribute(executor, todo, bar, redo)
            self.cache.sweep()
        return Progress(len(todo), len(photos) - len(todo), damaged)

    def compute_missing(self, photos: Sequence[Photo], *, redo: bool = False) -> None:
        """Compute and store what is missing of these photos, one after the other."""
        for photo in photos:
            if redo or not self.cache.holds(photo.name, self.token(photo)):
                self._finish(photo)

    def _executor_for(self, number: int) -> Executor | None:  # noqa: ARG002
        """Who computes `number` photos."""
        return self.executor

    def _distribute(
        self, executor: Executor, photos: Sequence[Photo], bar: tqdm[Any], redo: bool
    ) -> None:
        stage = pack_stage(self, self.cache.work)
        size = max(1, min(executor.batch, len(photos) // _TASKS))
        tasks = [
            ShardTask(stage, tuple(photos[start : start + size]), redo)
            for start in range(0, len(photos), size)
        ]
        executor.map(
            run_shard, tasks, on_done=lambda task: bar.update(len(task.photos)), gpus=self.gpus
        )
        self._await_files(photos)

    def _await_files(self, photos: Sequence[Photo]) -> None:
        """A network file system may show another machine's files late; other disks never do."""
        missing = [photo for photo in photos if not self.cache.path(photo.name).is_file()]
        deadline = time.monotonic() + self.patience
        while missing and time.monotonic() < deadline:
            time.sleep(min(1.0, self.patience))
            missing = [photo for photo in missing if not self.cache.path(photo.name).is_file()]
        if missing:
            raise EMPasteError(
                f"stage {self.name}: the results of {len(missing)} photos, such as "
                f"{missing[0].name}, are not in {self.cache.folder}, though the workers have "
                "written them: the work folder must be the same one for all of them"
            )

    def _compute_here(self, photos: Sequence[Photo], bar: tqdm[Any]) -> None:
        with one_thread():
            if self.threads <= 1:
                for photo in photos:
                    self._finish(photo)
                    bar.update()
                return
            pool = ThreadPoolExecutor(self.threads, initializer=use_one_torch_thread)
            try:
                run_queued(
                    lambda photo: pool.submit(self._finish, photo),
                    photos,
                    limit=2 * self.threads,
                    on_done=lambda _: bar.update(),
                )
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, photo: Photo) -> None:
        self.cache.write(photo.name, self.token(photo), self.compute(photo))
