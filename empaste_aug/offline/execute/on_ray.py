"""An executor of Ray tasks, on a cluster or on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from empaste_aug.offline.execute.memory import keep_freed_memory
from empaste_aug.offline.execute.protocol import Task
from empaste_aug.offline.execute.worker import use_one_thread
from empaste_aug.types import ArgumentError, EMPasteError, MissingDependencyError

RETRIES = 5


class RayExecutor:
    """Ray core tasks of one CPU each; what a lost worker or node had begun runs again elsewhere.

    Every node needs this package in the same release, and the photos, the work folder and other
    files under the same paths, on a file system that all nodes share. Relative paths count from
    this process's folder.

    Ray is connected to at the first `map`. A connection that the program has already is used, and
    left open by `close`.

    Args:
        address: of a running cluster, as `ray.init` takes it ("auto", "host:6379"); None for the
            one that the environment's RAY_ADDRESS names, or else a new one on this machine.
        num_cpus: tasks at a time on such a new cluster; None for one per core.
        retries: how often a task is begun anew after a loss.

    Raises:
        MissingDependencyError: ray is not installed.
        ArgumentError: a number is out of range, or `num_cpus` comes with `address`.
    """

    batch: int = 16

    def __init__(
        self, address: str | None = None, *, num_cpus: int | None = None, retries: int = RETRIES
    ) -> None:
        self._ray = _import_ray()
        if num_cpus is not None and address is not None:
            raise ArgumentError(f"num_cpus: is the cluster's own at address {address!r}")
        if num_cpus is not None and num_cpus < 1:
            raise ArgumentError(f"num_cpus: must be at least 1, not {num_cpus}")
        if retries < 0:
            raise ArgumentError(f"retries: must not be negative, not {retries}")
        self.address = address
        self.num_cpus = num_cpus
        self.retries = retries
        self._connected = False

    def map(
        self,
        function: Callable[[Task], None],
        tasks: Sequence[Task],
        *,
        on_done: Callable[[Task], object],
        gpus: float = 0.0,
    ) -> None:
        """Run `function` on every task, see `Executor.map`.

        Raises:
            ArgumentError: there is no cluster at `address`.
        """
        self._connect()
        ray = self._ray
        remote = ray.remote(_call).options(
            num_cpus=1,
            num_gpus=gpus,
            max_retries=self.retries,
            retry_exceptions=False,
            name=getattr(function, "__name__", "task"),
        )
        folder = os.getcwd()
        waiting = iter(tasks)
        running: dict[Any, Task] = {}
        try:
            while True:
                limit = self._limit()
                while len(running) < limit and (task := next(waiting, None)) is not None:
                    running[remote.remote(function, task, folder)] = task
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    task = running.pop(reference)
                    self._collect(reference)
                    on_done(task)
        finally:
            for reference in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster, and end it if it was made here."""
        if self._connected:
            self._connected = False
            self._ray.shutdown()

    def _connect(self) -> None:
        if self._ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        options: dict[str, Any] = {"address": address}
        if address == "local":
            options["include_dashboard"] = False
            if self.num_cpus is not None:
                options["num_cpus"] = self.num_cpus
        try:
            self._ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ArgumentError(f"address: Ray cannot connect to {address!r}: {error}") from error
        self._connected = True

    def _limit(self) -> int:
        """Tasks to have under way: what the cluster, as it is now, runs at a time, twice."""
        return max(4, 2 * int(self._ray.cluster_resources().get("CPU", 1)))

    def _collect(self, reference: Any) -> None:
        errors = self._ray.exceptions
        try:
            self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from error
            raise
        except errors.RayError as error:
            raise EMPasteError(
                f"Ray lost a task and gave up after {self.retries} retries; what was done is kept: "
                f"run the same command again ({error})"
            ) from error


def _call(function: Callable[[Task], None], task: Task, folder: str) -> None:
    """In a worker of Ray's, which may stand in another folder."""
    with suppress(OSError):  # a node without it can still work on absolute paths
        os.chdir(folder)
    keep_freed_memory()
    use_one_thread()
    function(task)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingDependencyError("ray", "ray", "the executor 'ray'") from error
    return ray
