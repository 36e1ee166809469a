"""The progress bar of every long loop of the offline half."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG_SECONDS = 30.0
"""How often a bar is written where stderr is no terminal: a log file keeps every state of it."""


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    description: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
    delay: float = 0.0,
    show: bool = True,
    transient: bool = False,
) -> tqdm[Any]:
    """A tqdm bar on stderr: an iterable over `items`, or a context manager to `update`.

    Where stderr is no terminal, the bar is written at its start, at its end, and in between at
    most once in `LOG_SECONDS`.

    Args:
        items: what to go through; None for a bar that is updated by hand.
        description: shown in front.
        unit: of what is counted.
        total: how many there are; taken from `items` where it has a length.
        initial: how many were done before.
        delay: seconds before the bar appears at all.
        show: False for no bar.
        transient: take the bar away at its end, on a terminal.
    """
    terminal = sys.stderr.isatty()
    seconds = 0.1 if terminal else LOG_SECONDS
    return tqdm(
        items,
        desc=description,
        unit=unit,
        total=total,
        initial=initial,
        delay=delay,
        disable=not show,
        leave=not (transient and terminal),
        mininterval=seconds,
        maxinterval=max(10.0, seconds),
    )
