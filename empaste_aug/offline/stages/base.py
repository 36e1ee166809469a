"""A stage that computes one file per photo, and goes on where it was stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from tqdm import tqdm

from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.stages.cache import Arrays, StageCache, digest_of
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import ArgumentError


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
        cache: where the results lie.
        threads: photos that are computed at a time.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    uses_labels: ClassVar[bool] = False
    threads: int = 1

    def __init__(self, work: str | Path, config: Mapping[str, Any]) -> None:
        self.cache = StageCache(work, self.name, config, version=self.version)

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
        """Compute what is missing or damaged; all of it with `redo`."""
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
                self._compute_all(todo, bar)
        return Progress(len(todo), len(photos) - len(todo), damaged)

    def _compute_all(self, photos: Sequence[Photo], bar: tqdm[Any]) -> None:
        if self.threads <= 1:
            for photo in photos:
                self._finish(photo)
                bar.update()
            return
        pool = ThreadPoolExecutor(self.threads, initializer=_one_torch_thread)
        try:
            for task in as_completed([pool.submit(self._finish, photo) for photo in photos]):
                task.result()
                bar.update()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, photo: Photo) -> None:
        self.cache.write(photo.name, self.token(photo), self.compute(photo))


def _one_torch_thread() -> None:
    """One photo per core is faster than one operation on all cores, and no less exact."""
    torch.set_num_threads(1)
