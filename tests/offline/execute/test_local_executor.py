"""Processes on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from executor_stages import describe_process, die, refuse, touch

from empaste_aug import ArgumentError, EMPasteError
from empaste_aug.offline.execute import LocalExecutor, RayExecutor, make_executor


def test_every_task_runs_once_in_another_process(tmp_path: Path) -> None:
    tasks = [str(tmp_path / f"{number}") for number in range(12)]
    done: list[str] = []
    LocalExecutor(3).map(touch, tasks, on_done=done.append)
    assert sorted(done) == sorted(tasks)
    pids = {Path(task).read_text() for task in tasks}
    assert str(os.getpid()) not in pids
    assert 1 <= len(pids) <= 3


def test_no_task_starts_no_process(tmp_path: Path) -> None:
    LocalExecutor(2).map(touch, [], on_done=lambda _: pytest.fail("nothing was to be done"))
    assert not list(tmp_path.iterdir())


def test_a_worker_uses_one_thread_and_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "told"
    LocalExecutor(1).map(describe_process, [str(path)], on_done=lambda _: None)
    assert path.read_text() == f"1 1 True {os.getcwd()}"


def test_a_tasks_own_error_is_raised(tmp_path: Path) -> None:
    tasks = [str(tmp_path / name) for name in ("a", "b", "x", "c")]
    with pytest.raises(ArgumentError, match="refused"):
        LocalExecutor(1).map(refuse, tasks, on_done=lambda _: None)
    assert (tmp_path / "a").exists()


def test_a_dead_worker_is_told(tmp_path: Path) -> None:
    tasks = [str(tmp_path / name) for name in ("a", "x", "b")]
    with pytest.raises(EMPasteError, match=r"worker process died.*--workers"):
        LocalExecutor(1).map(die, tasks, on_done=lambda _: None)


def test_workers_and_names_are_checked() -> None:
    with pytest.raises(ArgumentError, match="workers"):
        LocalExecutor(0)
    with pytest.raises(ArgumentError, match="executor: must be one of local, ray"):
        make_executor("slurm")
    with pytest.raises(ArgumentError, match="ray_address"):
        make_executor("local", address="auto")
    assert make_executor("local", workers=3) is None


def test_ray_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EMPasteError, match=r"empaste_aug\[ray\]"):
        RayExecutor()
