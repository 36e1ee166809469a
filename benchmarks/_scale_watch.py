"""What benchmarks/scale.py needs of the system: runs that are watched and killed, files' hashes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from empaste_aug.bank.files import sha256_of

_MARK = "SCALE_BENCHMARK_RUN"
_PERIOD = 0.1


class Watched:
    """A command in a process group of its own, and the peak memory of its processes.

    Its processes are known by an environment variable, so those of a Ray cluster that it starts
    count too; those of a cluster that was there before it count by the name of a task.

    Args:
        command: what to run.
        log: its output is appended to this file.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        self._mark = f"{_MARK}={uuid4().hex}".encode()
        name, _, value = self._mark.decode().partition("=")
        self._begin = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=os.environ | {name: value},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._peaks: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._begin

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Return when `reached` says so.

        Raises:
            RuntimeError: the command ended before.
        """
        while not reached():
            if self._process.poll() is not None:
                raise RuntimeError(f"the run ended too early; see {self._log}")
            self._look()
            time.sleep(_PERIOD / 10)

    def kill(self) -> int:
        """SIGKILL to the whole group; how many were killed: 1, or 0 where it had ended."""
        if self._process.poll() is not None:
            return 0
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return 1

    def finish(self) -> dict[str, Any]:
        """Wait for the end.

        Returns:
            ``seconds``; ``main_mib``, the peak memory of the command's own process; ``worker_mib``,
            the largest of its workers', None where it had none.

        Raises:
            RuntimeError: the command failed.
        """
        while self._process.poll() is None:
            self._look()
            time.sleep(_PERIOD)
        if self._process.returncode != 0:
            raise RuntimeError(f"a run failed; see {self._log}")
        main = self._peaks.pop(self._process.pid, float("nan"))
        workers = max(self._peaks.values(), default=None)
        return {"seconds": self.seconds, "main_mib": main, "worker_mib": workers}

    def _look(self) -> None:
        """Note the peak memory of every process of the run."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if int(folder.name) != self._process.pid and not self._is_worker(folder):
                    continue
                status = (folder / "status").read_text()
            except OSError:
                continue  # it has ended, or is another user's
            if "VmHWM:" in status:
                kib = int(status.split("VmHWM:")[1].split()[0])
                self._peaks[int(folder.name)] = kib / 1024

    def _is_worker(self, folder: Path) -> bool:
        command = (folder / "cmdline").read_bytes()
        if command.startswith(b"ray::run_shard"):
            return True
        return b"spawn_main" in command and self._mark in (folder / "environ").read_bytes()


def files_of(folder: Path, pattern: str) -> dict[str, str]:
    """Every finished file's path in the folder, and its hash."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and path.suffix != ".tmp"
    }
