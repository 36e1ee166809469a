"""What an executor is: something that runs a function on many tasks, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Task = TypeVar("Task")


class Executor(Protocol):
    """Runs pure tasks elsewhere.

    Attributes:
        batch: the most photos that it pays to put into one task.
    """

    batch: int

    def map(
        self,
        function: Callable[[Task], None],
        tasks: Sequence[Task],
        *,
        on_done: Callable[[Task], object],
        gpus: float = 0.0,
    ) -> None:
        """Run `function` on every task; return when all are done.

        Args:
            function: importable by name in another process. It may run more than once on the same
                task, even at the same time, and must leave the same behind.
            tasks: picklable; they run in any order.
            on_done: called here, in the calling thread, with each task that is done.
            gpus: what each task needs of a GPU.

        Raises:
            EMPasteError: the first one that a task raised; or workers were lost and the tasks with
                them.
            Exception: any other that a task raised, the first one.
        """

    def close(self) -> None:
        """Give back what the executor holds; it may be used again."""
