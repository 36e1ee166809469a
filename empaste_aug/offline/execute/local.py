"""An executor of processes on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from empaste_aug.offline.execute.protocol import Task
from empaste_aug.offline.execute.queue import run_queued
from empaste_aug.offline.execute.worker import interrupts_ignored, start_worker
from empaste_aug.types import ArgumentError, EMPasteError


class LocalExecutor:
    """Spawned processes with one thread each; they live as long as one `map`.

    They end when their parent does, also when it is killed. Ctrl-C is the parent's: it waits for
    the tasks that run, drops the others and raises KeyboardInterrupt. Whatever the number of tasks,
    only a few wait in the queue at a time.

    Args:
        workers: processes at a time; tasks that need a GPU get one process.

    Raises:
        ArgumentError: `workers` is below 1.
    """

    batch: int = 1

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ArgumentError(f"workers: must be at least 1, not {workers}")
        self.workers = workers

    def map(
        self,
        function: Callable[[Task], None],
        tasks: Sequence[Task],
        *,
        on_done: Callable[[Task], object],
        gpus: float = 0.0,
    ) -> None:
        """Run `function` on every task, see `Executor.map`."""
        if not tasks:
            return
        workers = 1 if gpus else min(self.workers, len(tasks))
        pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=start_worker
        )

        def submit(task: Task) -> Future[None]:
            with interrupts_ignored():  # it may start a process
                return pool.submit(function, task)

        try:
            run_queued(submit, tasks, limit=2 * workers, on_done=on_done)
        except BrokenProcessPool as error:
            raise EMPasteError(
                "a worker process died, perhaps for want of memory; what was done is kept: run the "
                "same command again, with fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Nothing is held between two calls of `map`."""
