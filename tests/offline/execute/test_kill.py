"""A run that is killed at random points and started again leaves the bytes of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from executor_stages import SpectrumStage, files_of, make_photos

NUMBER = 40
RUN = f"""
import sys
from pathlib import Path
from executor_stages import SpectrumStage, make_photos
from empaste_aug.offline.execute import LocalExecutor

if __name__ == "__main__":
    stage = SpectrumStage(sys.argv[1], seconds=0.02)
    stage.executor = LocalExecutor(2)
    stage.run(make_photos(Path(sys.argv[2]), {NUMBER}), progress=False)
"""


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_runs_end_in_the_same_bytes(tmp_path: Path, seed: int) -> None:
    script, work = tmp_path / "run.py", tmp_path / "work"
    script.write_text(RUN)
    whole = SpectrumStage(tmp_path / "whole")
    whole.run(make_photos(tmp_path / "photos", NUMBER), progress=False)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    call = [sys.executable, str(script), str(work), str(tmp_path / "photos")]
    rng = np.random.default_rng(seed)
    for after in sorted(rng.choice(np.arange(1, NUMBER - 8), 2, replace=False).tolist()):
        process = subprocess.Popen(call, env=environment, start_new_session=True)
        while len(list(work.rglob("*.npz"))) < after and process.poll() is None:
            time.sleep(0.002)
        time.sleep(float(rng.random()) * 0.02)
        process.kill()  # the parent alone; its workers find out by themselves
        assert process.wait() == -signal.SIGKILL
        while alive(process.pid):
            time.sleep(0.02)
        assert after <= len(list(work.rglob("*.npz"))) < NUMBER
    subprocess.run(call, env=environment, check=True)
    assert files_of(work) == files_of(tmp_path / "whole")
