"""Ray tasks on this machine: the same bytes as processes give, and errors that are told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from executor_stages import SpectrumStage, describe_process, files_of, make_photos, refuse

from empaste_aug import ArgumentError
from empaste_aug.offline.execute import RayExecutor, make_executor

pytest.importorskip("ray", reason="ray is not installed")

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        made = RayExecutor(num_cpus=2)
        yield made
        made.close()


def test_ray_gives_the_same_bytes(tmp_path: Path, executor: RayExecutor) -> None:
    photos = make_photos(tmp_path / "photos", 20)
    here, there = SpectrumStage(tmp_path / "here"), SpectrumStage(tmp_path / "there")
    here.run(photos, progress=False)
    there.executor = executor
    assert there.run(photos, progress=False).computed == 20
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")


def test_a_worker_stands_in_this_folder_with_one_thread(
    tmp_path: Path, executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    executor.map(describe_process, ["told"], on_done=lambda _: None)
    words = (tmp_path / "told").read_text().split()
    assert (words[:2], words[3]) == (["1", "1"], str(tmp_path))


def test_a_tasks_own_error_is_raised(tmp_path: Path, executor: RayExecutor) -> None:
    with pytest.raises(ArgumentError, match="refused"):
        executor.map(refuse, [str(tmp_path / "x")], on_done=lambda _: None)


def test_numbers_are_checked() -> None:
    with pytest.raises(ArgumentError, match="num_cpus"):
        RayExecutor(num_cpus=0)
    with pytest.raises(ArgumentError, match="num_cpus"):
        RayExecutor("auto", num_cpus=2)
    with pytest.raises(ArgumentError, match="retries"):
        RayExecutor(retries=-1)
    assert isinstance(make_executor("ray", workers=2), RayExecutor)
