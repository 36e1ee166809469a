"""Other processes: a script in a fresh interpreter, and forked workers that share an object."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run_script(script: Path, code: str, *arguments: str) -> tuple[str, int, str]:
    """Write `code` to a file, which spawned workers can import, and run it.

    Returns:
        What it printed, its status, and what it wrote to stderr.
    """
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout, result.returncode, result.stderr


def _send(function: Callable[[Any, list[int]], Any], shared: Any, rows: list[int], pipe: Any):
    pipe.send(function(shared, rows))


def forked(
    function: Callable[[Any, list[int]], Any], shared: Any, orders: list[list[int]]
) -> Callable[[], list[Any]]:
    """Start ``function(shared, order)`` in forked workers, all at once.

    Returns:
        What waits for their results, and gives them in the order of `orders`.
    """
    context = multiprocessing.get_context("fork")
    workers = []
    for order in orders:
        mine, theirs = context.Pipe()
        process = context.Process(target=_send, args=(function, shared, order, theirs))
        process.start()
        workers.append((mine, process))

    def results() -> list[Any]:
        found = []
        for mine, process in workers:
            answered = mine.poll(60)
            if not answered:
                process.kill()
            found.append(mine.recv() if answered else "no answer")
            process.join()
        assert [process.exitcode for _, process in workers] == [0] * len(workers)
        return found

    return results
