"""The executor that a name on the command line means."""

from __future__ import annotations

from empaste_aug.offline.execute.on_ray import RayExecutor
from empaste_aug.offline.execute.protocol import Executor
from empaste_aug.types import ArgumentError

EXECUTORS = ("local", "ray")


def make_executor(
    name: str, *, workers: int | None = None, address: str | None = None
) -> Executor | None:
    """The executor for the stages of a build.

    Args:
        name: one of `EXECUTORS`.
        workers: for "ray" without a running cluster, tasks at a time; None for one per core.
        address: for "ray", see `RayExecutor`.

    Returns:
        None for "local": each stage then works as is best on one machine, in threads where it runs
        the classifier, in a `LocalExecutor` where it makes proposals.

    Raises:
        ArgumentError: `name` is unknown, or `address` is given with "local".
        MissingDependencyError: "ray", and it is not installed.
    """
    if name not in EXECUTORS:
        raise ArgumentError(f"executor: must be one of {', '.join(EXECUTORS)}, not {name!r}")
    if name == "local":
        if address is not None:
            raise ArgumentError(f"ray_address: {address!r} is of no use with executor 'local'")
        return None
    return RayExecutor(address, num_cpus=None if address is not None else workers)
