"""Stage `proposals`: the class-agnostic segments of every photo, by a pool of processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm import tqdm

from empaste_aug.offline.proposals import build_proposals
from empaste_aug.offline.proposals.base import ProposalMethod, Segment
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays, StageCache
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.types import EMPasteError


class ProposalStage(PhotoStage):
    """Per photo its segments, unfiltered; `segments` reads them back.

    Args:
        work: the work folder.
        names: the methods, see `build_proposals`.
        options: keyword arguments of `build_proposals`.
        workers: processes; up to 1 computes in this one.
    """

    name: ClassVar[str] = "proposals"

    def __init__(
        self,
        work: str | Path,
        names: Sequence[str],
        options: Mapping[str, Any] | None = None,
        *,
        workers: int = 1,
    ) -> None:
        self.names = tuple(names)
        self.options = dict(options or {})
        self.workers = workers
        self._method: ProposalMethod | None = build_proposals(self.names, **self.options)
        super().__init__(work, {"name": self._method.name, "config": self._method.config()})

    def compute(self, photo: Photo) -> Arrays:
        """The photo's segments, packed."""
        if self._method is None:
            self._method = build_proposals(self.names, **self.options)
        return propose(self._method, photo)

    def segments(self, photo: Photo) -> list[Segment]:
        """The stored segments of one photo, in the order of the method.

        Raises:
            ArgumentError: the stage has not run on this photo.
        """
        return unpack(self.load(photo))

    def _compute_all(self, photos: Sequence[Photo], bar: tqdm[Any]) -> None:
        workers = min(self.workers, len(photos))
        if workers <= 1:
            super()._compute_all(photos, bar)
            return
        threads = max(1, (os.cpu_count() or 1) // workers)
        pool = ProcessPoolExecutor(
            workers,
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(self.names, self.options, self.cache, threads),
        )
        try:
            with _interrupts_ignored():  # the workers start with the first task and inherit this
                tasks = [pool.submit(_work, photo, self.token(photo)) for photo in photos[:1]]
            tasks += [pool.submit(_work, photo, self.token(photo)) for photo in photos[1:]]
            for task in as_completed(tasks):
                task.result()
                bar.update()
        except BrokenProcessPool as error:
            raise EMPasteError(
                "stage proposals: a worker process died, perhaps for want of memory; what was done "
                "is kept: run the same command again, with fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def propose(method: ProposalMethod, photo: Photo) -> Arrays:
    """Run a method on one photo; the result is packed for an npz file.

    Raises:
        EMPasteError: the method failed; the message names the photo.
    """
    image = photo.read()
    try:
        return pack(method(image, image_id=photo.image.image_id), image.shape[:2])
    except EMPasteError:
        raise
    except Exception as error:
        raise EMPasteError(
            f"stage proposals: {method.name} failed on {photo.image.path}: {error!r}"
        ) from error


def pack(segments: Sequence[Segment], size: tuple[int, int]) -> Arrays:
    """Segments of one (height, width) photo as arrays."""
    counts = [bytes(segment.rle["counts"]) for segment in segments]
    return {
        "size": np.array(size, dtype=np.int64),
        "counts": np.frombuffer(b"".join(counts), dtype=np.uint8),
        "lengths": np.array([len(part) for part in counts], dtype=np.int64),
        "source": np.array([segment.source for segment in segments], dtype=np.str_),
        "strength": np.array([segment.strength for segment in segments], dtype=np.float32),
    }


def unpack(arrays: Arrays) -> list[Segment]:
    """What `pack` packed."""
    size = [int(value) for value in arrays["size"]]
    counts = arrays["counts"].tobytes()
    ends = np.cumsum(arrays["lengths"])
    return [
        Segment({"size": size, "counts": counts[end - length : end]}, str(source), float(strength))
        for end, length, source, strength in zip(
            ends, arrays["lengths"], arrays["source"], arrays["strength"], strict=True
        )
    ]


class _Worker:
    """What a worker process keeps between its tasks."""

    method: ClassVar[ProposalMethod]
    cache: ClassVar[StageCache]


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C does nothing: the parent stops its workers in order, they need not hear of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker(
    names: Sequence[str], options: Mapping[str, Any], cache: StageCache, threads: int
) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import cv2

    cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
    _Worker.method = build_proposals(names, **options)
    _Worker.cache = cache


def _exit_with_parent() -> None:
    """A parent that was killed closes no queue: without this its workers would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(photo: Photo, token: str) -> None:
    _Worker.cache.write(photo.name, token, propose(_Worker.method, photo))
