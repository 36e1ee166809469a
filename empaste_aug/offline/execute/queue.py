"""Futures of however many items, a few of them in the queue at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def run_queued(
    submit: Callable[[Item], Future[None]],
    items: Iterable[Item],
    *,
    limit: int,
    on_done: Callable[[Item], object],
) -> None:
    """Submit every item, at most `limit` of them before the first is done; return after the last.

    Args:
        submit: gives an item to a pool.
        items: read as they are needed.
        limit: at least 1.
        on_done: called in this thread with each item that is done.

    Raises:
        Exception: the first one that an item raised; what was submitted goes on, and is the pool's
            to end.
    """
    waiting = iter(items)
    running: dict[Future[None], Item] = {}
    while True:
        for item in islice(waiting, limit - len(running)):
            running[submit(item)] = item
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            item = running.pop(future)
            future.result()
            on_done(item)
