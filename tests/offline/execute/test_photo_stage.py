"""A stage by executors: the same bytes whoever computes, only what is missing, errors told."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from executor_stages import LostExecutor, SerialExecutor, SpectrumStage, files_of, make_photos

from empaste_aug import ArgumentError, EMPasteError
from empaste_aug.offline.execute import Executor, LocalExecutor, ShardTask, run_shard
from empaste_aug.offline.execute.tasks import pack_stage
from empaste_aug.offline.stages.base import Progress
from empaste_aug.offline.stages.cache import StageCache, digest_of, digest_of_rows
from empaste_aug.offline.stages.photos import Photo
from empaste_aug.offline.stages.proposals import ProposalStage


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    return make_photos(tmp_path / "photos", 10)


def compute(work: Path, photos: list[Photo], executor: Executor | None) -> dict[str, bytes]:
    stage = SpectrumStage(work)
    stage.executor = executor
    assert stage.run(photos, progress=False) == Progress(len(photos), 0)
    return files_of(work)


def test_the_bytes_do_not_depend_on_who_computes(tmp_path: Path, photos: list[Photo]) -> None:
    here = compute(tmp_path / "here", photos, None)
    assert len(here) == len(photos) + 1  # and config.json
    assert compute(tmp_path / "serial", photos, SerialExecutor()) == here
    assert compute(tmp_path / "four", photos, LocalExecutor(4)) == here
    threads = SpectrumStage(tmp_path / "threads")
    threads.threads = 3
    threads.run(photos, progress=False)
    assert files_of(tmp_path / "threads") == here


def test_proposals_are_the_same_bytes_from_processes(tmp_path: Path, photos: list[Photo]) -> None:
    found = []
    for workers in (1, 4):
        work = tmp_path / f"work{workers}"
        stage = ProposalStage(work, ["slic"], workers=workers)
        assert stage.run(photos, progress=False).computed == len(photos)
        assert len(stage.segments(photos[0])) > 1
        found.append(files_of(work))
    assert found[0] == found[1]


def test_a_task_goes_on_where_it_was(tmp_path: Path, photos: list[Photo]) -> None:
    stage = SpectrumStage(tmp_path / "work")
    stage.run(photos[:4], progress=False)
    before = files_of(stage.cache.folder)
    stamps = {name: (stage.cache.folder / name).stat().st_ino for name in before}
    packed = pack_stage(stage, stage.cache.work)
    run_shard(ShardTask(packed, tuple(photos)))
    run_shard(ShardTask(packed, tuple(photos)))
    after = files_of(stage.cache.folder)
    assert len(after) == len(photos) + 1
    assert before.items() <= after.items()
    assert all((stage.cache.folder / name).stat().st_ino == stamps[name] for name in before)
    run_shard(ShardTask(packed, tuple(photos), redo=True))
    assert files_of(stage.cache.folder) == after
    changed = [
        name
        for name in before
        if name.endswith(".npz") and (stage.cache.folder / name).stat().st_ino != stamps[name]
    ]
    assert changed


def test_tasks_hold_few_photos_and_all_of_them(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", 130)
    executor = SerialExecutor()
    compute(tmp_path / "work", photos, executor)
    assert sum(executor.sizes) == 130
    assert set(executor.sizes) == {2}


def test_a_failing_photo_is_told_and_the_rest_is_kept(tmp_path: Path, photos: list[Photo]) -> None:
    stage = SpectrumStage(tmp_path / "work", fails="p003")
    stage.executor = LocalExecutor(1)
    with pytest.raises(ArgumentError, match="p003 is not wanted"):
        stage.run(photos, progress=False)
    sound = SpectrumStage(tmp_path / "work")
    done = sound.run(photos, progress=False)
    assert done.reused >= 3
    assert done.computed + done.reused == len(photos)


def test_a_worker_that_dies_is_told(tmp_path: Path, photos: list[Photo]) -> None:
    stage = SpectrumStage(tmp_path / "work", dies="p005")
    stage.executor = LocalExecutor(2)
    with pytest.raises(EMPasteError, match="same command again"):
        stage.run(photos, progress=False)


def test_results_that_do_not_arrive_are_told(
    tmp_path: Path, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SpectrumStage, "patience", 0.0)
    stage = SpectrumStage(tmp_path / "work")
    stage.executor = LostExecutor()
    with pytest.raises(EMPasteError, match="results of 10 photos, such as p000"):
        stage.run(photos, progress=False)


def test_a_stage_leaves_executor_and_method_behind(tmp_path: Path) -> None:
    stage = ProposalStage(tmp_path, ["slic"], {"n_segments": [9]}, workers=2)
    stage.executor = LocalExecutor(2)
    copy = pickle.loads(pickle.dumps(stage))
    assert copy.executor is None
    assert copy._method is None
    assert (copy.key, copy.options) == (stage.key, stage.options)


def test_the_stages_of_proposals_load_no_torch() -> None:
    code = "import sys, empaste_aug.offline.stages.proposals; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_hold_no_time_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = []
    for moment in (1e9, 1.7e9):
        cache = StageCache(tmp_path / str(moment), "stage", {})
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        monkeypatch.setattr(time, "localtime", lambda *_, moment=moment: time.gmtime(moment))
        cache.write("x", "token", {"value": np.arange(9), "name": np.array("n")})
        contents.append(cache.path("x").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_the_digest_of_rows_is_that_of_the_list(number: int) -> None:
    rows = [[f"ä/{row}", "0f", [row, 2]] for row in range(number)]
    assert digest_of_rows(iter(rows), ["b", "a"]) == digest_of([rows, ["b", "a"]])
    assert digest_of_rows(rows, {"b": 1, "a": None}) == digest_of([rows, {"a": None, "b": 1}])


def test_what_a_killed_process_left_is_swept_after_an_hour(
    tmp_path: Path, photos: list[Photo]
) -> None:
    stage = SpectrumStage(tmp_path)
    stage.run(photos[:1], progress=False)
    old, new = (stage.cache.folder / f"p{n}.npz.{n}.tmp" for n in (1, 2))
    for path in (old, new):
        path.write_bytes(b"half")
    then = time.time() - 7200
    os.utime(old, (then, then))
    stage.run(photos[:2], progress=False)
    assert not old.exists()
    assert new.exists()
