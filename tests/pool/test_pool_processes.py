"""The reader in other processes, and what it imports."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pool_data import write_folder, write_pool

from empaste_aug import PoolReader

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["built", "folder"])
def pool(request, tmp_path):
    write = write_pool if request.param == "built" else write_folder
    return PoolReader(write(tmp_path / "pool", 6))


def digest(pool, rows):
    found = [(pool.read(row), pool.provenance(row), pool.file_name(row)) for row in rows]
    return [zlib.crc32(image.tobytes() + repr(rest).encode()) for image, *rest in found]


def send_digest(pool, rows, pipe):
    pipe.send(digest(pool, rows))


def test_pickles_small_and_the_same(pool):
    data = pickle.dumps(pool)
    assert len(data) < 1000
    again = pickle.loads(data)
    assert (again.path, again.verify) == (pool.path, True)
    assert repr(again) == repr(pool)
    rows = list(range(6))
    assert digest(again, rows) == digest(copy.deepcopy(pool), rows) == digest(pool, rows)


def test_a_folders_rows_stay_when_files_are_added(tmp_path):
    folder = write_folder(tmp_path / "mine", 4)
    pool = PoolReader(folder)
    data = pickle.dumps(pool)
    (folder / "0 first.png").write_bytes((folder / "part0/000.png").read_bytes())
    assert digest(pickle.loads(data), range(4)) == digest(pool, range(4))
    assert len(PoolReader(folder)) == 5


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_share_a_reader(pool):
    context = multiprocessing.get_context("fork")
    rows = list(range(6))
    expected = digest(pool, rows)
    workers = []
    for number in range(3):
        mine, theirs = context.Pipe()
        order = rows[number:] + rows[:number]
        process = context.Process(target=send_digest, args=(pool, order, theirs))
        process.start()
        workers.append((order, mine, process))
    assert digest(pool, rows) == expected
    for order, mine, process in workers:
        assert mine.poll(60)
        assert mine.recv() == [expected[row] for row in order]
        process.join()
        assert process.exitcode == 0


def test_spawned_workers_read_the_same(pool):
    code = (
        "import multiprocessing, sys\n"
        "from empaste_aug import PoolReader\n"
        "if __name__ == '__main__':\n"
        "    pool = PoolReader(sys.argv[1])\n"
        "    here = [pool.read(row).tobytes() for row in range(6)]\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as workers:\n"
        "        there = workers.map(pool.read, range(6), chunksize=2)\n"
        "    assert here == [image.tobytes() for image in there]\n"
        "    print('same')\n"
    )
    script = pool.path.parent / "spawn.py"
    script.write_text(code)
    result = subprocess.run(
        [sys.executable, str(script), str(pool.path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("same\n", 0), result.stderr


def test_threads_read_the_same(pool):
    rows = [row % 6 for row in range(60)]
    expected = digest(pool, range(6))
    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(lambda row: digest(pool, [row])[0], rows))
    assert found == [expected[row] for row in rows]


def test_a_relative_path_survives_a_change_of_folder(tmp_path, monkeypatch):
    write_pool(tmp_path / "pool", 2)
    monkeypatch.chdir(tmp_path)
    pool = PoolReader("pool")
    monkeypatch.chdir("/")
    assert len(pickle.loads(pickle.dumps(pool))) == 2
    assert pool.read(0).any()


def test_no_file_stays_open(tmp_path):
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not list open files")
    pool = PoolReader(write_pool(tmp_path / "pool", 6))
    before = len(list(descriptors.iterdir()))
    for row in range(6):
        pool.read(row)
        pool.provenance(row)
    assert len(list(descriptors.iterdir())) <= before + 1
    pool.close()
    assert len(list(descriptors.iterdir())) == before
    assert pool.provenance(5)["key"] == "image 5"


def test_reading_imports_nothing_heavy(tmp_path):
    write_pool(tmp_path / "pool", 2)
    code = (
        "import sys\n"
        "from empaste_aug import Backgrounds, PoolReader\n"
        "import numpy as np\n"
        f"backgrounds = Backgrounds({str(tmp_path / 'pool')!r}, probability=1.0)\n"
        "drawn = backgrounds.draw(np.random.default_rng(0))\n"
        "backgrounds.render(drawn, 20, 30), backgrounds.pool.provenance(0)\n"
        "heavy = {'pyarrow', 'torch', 'PIL', 'detectron2', 'albumentations', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("[]\n", 0), result.stderr
