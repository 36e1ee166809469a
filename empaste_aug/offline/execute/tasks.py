"""A task: one stage on a few photos, as bytes that any process of the same release can run."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

from empaste_aug.offline.execute.worker import one_thread
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import EMPasteError


class PhotoWork(Protocol):
    """What a task needs of a stage."""

    def compute_missing(self, photos: Sequence[Photo], *, redo: bool = False) -> None:
        """Compute and store the results of these photos that are not stored yet."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One stage on some photos.

    Attributes:
        stage: what `pack_stage` made of it, the same for all tasks of one run.
        photos: what to work on.
        redo: compute what is stored already, too.
    """

    stage: bytes
    photos: tuple[Photo, ...]
    redo: bool = False


def run_shard(task: ShardTask) -> None:
    """Run one task: leave the files of its photos in the stage's cache.

    It is pure: what it writes depends on the task alone, each file is written whole or not at all,
    and running it again, also at the same time, gives the same bytes. A task that was begun before
    goes on after the photos that are done, unless it is to `redo` them.

    Raises:
        EMPasteError: a photo cannot be read or computed, or the classifier's file is another one.
    """
    stage = _open_stage(task.stage)
    with one_thread():  # torch's sums depend on how many threads share them
        stage.compute_missing(task.photos, redo=task.redo)


def pack_stage(stage: PhotoWork, work: Path) -> bytes:
    """A stage for `ShardTask`: its options, and its classifier as a file and a fingerprint.

    Args:
        stage: picklable but for the classifier that it, or a stage in it, may hold.
        work: the work folder; a classifier goes to ``<work>/classifier/<fingerprint>.pt``.
    """
    buffer = io.BytesIO()
    _StagePickler(buffer, work.absolute() / "classifier").dump(stage)
    return buffer.getvalue()


class _StagePickler(pickle.Pickler):
    """Writes a classifier into a file once, instead of into every task."""

    def __init__(self, buffer: io.BytesIO, folder: Path) -> None:
        super().__init__(buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self._folder = folder

    def reducer_override(self, value: Any) -> Any:
        """Called for every object; NotImplemented leaves it to pickle."""
        module = sys.modules.get("empaste_aug.offline.classify.model")
        if module is None or not isinstance(value, module.Classifier):
            return NotImplemented
        fingerprint = value.fingerprint()
        path = self._folder / f"{fingerprint[:16]}.pt"
        if not path.is_file():
            value.save(path)
        return _load_classifier, (str(path), str(value.device), fingerprint)


@lru_cache(maxsize=1)
def _open_stage(packed: bytes) -> PhotoWork:
    return cast(PhotoWork, pickle.loads(packed))


@lru_cache(maxsize=1)
def _load_classifier(path: str, device: str, fingerprint: str) -> Any:
    from empaste_aug.offline.classify import Classifier

    classifier = Classifier.load(path).to(device).eval()
    if classifier.fingerprint() != fingerprint:
        raise EMPasteError(
            f"{path}: is not the classifier that the build started with; delete it and run again"
        )
    return classifier
