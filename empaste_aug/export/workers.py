"""The work of an export, done by this process or by several."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

from empaste_aug.export.block import Job
from empaste_aug.offline.execute import LocalExecutor
from empaste_aug.offline.progress import progress_bar
from empaste_aug.types import ArgumentError

Item = TypeVar("Item", bound=Hashable)


class Task(NamedTuple):
    """A piece of work for a worker process, which reads the pickled `Job` from a file, once."""

    job: str
    make: Callable[[Job, Any], None]
    item: Any


def run_task(task: Task) -> None:
    """Do a piece of work: called in a worker process."""
    task.make(_open_job(task.job), task.item)


def make_all(
    job: Job,
    make: Callable[[Job, Item], None],
    items: Mapping[Item, int],
    *,
    wanted: int,
    workers: int,
    show_progress: bool,
) -> int:
    """Make every item; how many images that were.

    Args:
        job: the export.
        make: makes an item; a module's function.
        items: what is missing -> how many images it has.
        wanted: how many images the bar counts, with those that are there.
        workers: processes; with 1, this one does all.
        show_progress: a bar on stderr.

    Raises:
        ArgumentError: something of the job cannot be sent to another process.
        EMPasteError, OSError: as `make`.
    """
    made = sum(items.values())
    if items:
        job.stream.paste.warmup()
    with progress_bar(
        description="images",
        unit="image",
        total=wanted,
        initial=wanted - made,
        show=show_progress and made > 0,
    ) as bar:
        if workers == 1 or len(items) < 2:
            for item, length in items.items():
                make(job, item)
                bar.update(length)
            return made
        with tempfile.TemporaryDirectory(prefix="empaste_export_") as folder:
            path = os.path.join(folder, "job")
            _write_job(job, path)
            LocalExecutor(workers).map(
                run_task,
                [Task(path, make, item) for item in items],
                on_done=lambda task: bar.update(items[task.item]),
            )
    return made


def _write_job(job: Job, path: str) -> None:
    try:
        with open(path, "wb") as handle:
            pickle.dump(job, handle, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ArgumentError(
            f"workers: something of photos, paste or backgrounds cannot be sent to another "
            f"process ({error}); workers=1 does without"
        ) from error


@lru_cache(maxsize=1)
def _open_job(path: str) -> Job:
    with open(path, "rb") as handle:
        return cast(Job, pickle.load(handle))
