"""The reader in other processes, and what it imports."""

from __future__ import annotations

import copy
import pickle
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pool_data import write_folder, write_pool
from processes import forked, run_script

from empaste_aug import PoolReader


@pytest.fixture(params=["built", "folder"])
def pool(request, tmp_path):
    write = write_pool if request.param == "built" else write_folder
    return PoolReader(write(tmp_path / "pool", 6))


def digest(pool, rows):
    found = [(pool.read(row), pool.provenance(row), pool.file_name(row)) for row in rows]
    return [zlib.crc32(image.tobytes() + repr(rest).encode()) for image, *rest in found]


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
    rows = list(range(6))
    expected = digest(pool, rows)
    orders = [rows[number:] + rows[:number] for number in range(3)]
    found = forked(digest, pool, orders)
    assert digest(pool, rows) == expected
    assert found() == [[expected[row] for row in order] for order in orders]


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
    printed, status, told = run_script(pool.path.parent / "spawn.py", code, str(pool.path))
    assert (printed, status) == ("same\n", 0), told


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
    printed, status, told = run_script(tmp_path / "reads.py", code)
    assert (printed, status) == ("[]\n", 0), told
