"""What a process that works on photos sets: one thread per library, its memory, an end with its
parent.

One thread per process is the fastest use of all cores, and the sums in torch, whose last bits
depend on the number of threads, are then the same everywhere.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process

import cv2

from empaste_aug.offline.execute.memory import keep_freed_memory


def start_worker() -> None:
    """The initializer of a process of `LocalExecutor`."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    keep_freed_memory()
    use_one_thread()


def use_one_thread() -> None:
    """Set OpenCV, torch and what reads OMP_NUM_THREADS to one thread, in this process for good."""
    os.environ["OMP_NUM_THREADS"] = "1"  # onnxruntime's sessions too, and torch if it comes later
    cv2.setNumThreads(1)
    use_one_torch_thread()


def use_one_torch_thread() -> None:
    """Set torch, if it is loaded, to one thread; a new thread of a process has its own number."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and torch use one thread in this process, until the context ends."""
    of_cv2 = cv2.getNumThreads()
    cv2.setNumThreads(1)
    torch = sys.modules.get("torch")
    of_torch = None if torch is None else torch.get_num_threads()
    if torch is not None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(of_cv2)
        if torch is not None:
            torch.set_num_threads(of_torch)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ctrl-C does nothing: processes started now inherit this, and only the parent hears of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_with_parent() -> None:
    """A parent that was killed closes no queue: without this its workers would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
