"""The reader in other processes and threads, and what it imports."""

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

import numpy as np
import pytest

from empaste_aug.bank import MaskBank
from empaste_aug.bank.files import FileSet
from empaste_aug.types import BankError

ROOT = Path(__file__).resolve().parents[2]


def digest(bank: MaskBank, rows: list[int]) -> list[int]:
    return [zlib.crc32(bank[row].rgb.tobytes() + bank[row].alpha.tobytes()) for row in rows]


def send_digest(bank, rows, pipe):
    pipe.send((digest(bank, rows), bank.image_id(0), len(bank._files)))


def test_pickles_as_its_path(bank):
    data = pickle.dumps(MaskBank(bank.path, verify=False))
    assert len(data) < 500
    again = pickle.loads(data)
    assert again.path == bank.path
    assert again.verify is False
    assert digest(copy.deepcopy(bank), [0, 5]) == digest(bank, [0, 5])


def test_a_relative_path_survives_a_change_of_folder(bank, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = MaskBank("bank")
    monkeypatch.chdir("/")
    assert len(pickle.loads(pickle.dumps(relative))) == 12
    assert relative[0].row == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_the_parent_reads(bank, method):
    if method == "spawn":
        # A spawned worker cannot import this file by name: see the subprocess below.
        code = (
            "import multiprocessing, sys, zlib\n"
            "from empaste_aug.bank import MaskBank\n"
            "if __name__ == '__main__':\n"
            "    bank = MaskBank(sys.argv[1])\n"
            "    here = [bank[row].rgb.tobytes() for row in range(12)]\n"
            "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
            "        there = pool.map(bank.__getitem__, range(12), chunksize=3)\n"
            "    assert here == [cutout.rgb.tobytes() for cutout in there]\n"
            "    print('same')\n"
        )
        script = bank.path.parent / "spawn.py"
        script.write_text(code)
        result = subprocess.run(
            [sys.executable, str(script), str(bank.path)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.stdout, result.returncode) == ("same\n", 0), result.stderr
        return
    context = multiprocessing.get_context("fork")
    rows = list(range(12))
    expected = digest(bank, rows)
    opened = len(bank._files)
    assert opened == len(bank.manifest["shards"])
    workers = []
    for number in range(3):
        mine, theirs = context.Pipe()
        order = rows[number:] + rows[:number]
        process = context.Process(target=send_digest, args=(bank, order, theirs))
        process.start()
        workers.append((order, mine, process))
    assert digest(bank, rows) == expected
    for order, mine, process in workers:
        assert mine.poll(60)
        found, image_id, descriptors = mine.recv()
        process.join()
        assert process.exitcode == 0
        assert found == [expected[row] for row in order]
        assert image_id == bank.image_id(0)
        assert descriptors == opened
    assert len(bank._files) == opened


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_the_lock_is_held_does_not_wait_for_it(bank):
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    expected = digest(bank, [0, 1])
    with bank._files._lock:
        process = context.Process(target=send_digest, args=(bank, [0, 1], theirs))
        process.start()
        answered = mine.poll(60)
        if not answered:
            process.kill()
        process.join()
    assert answered
    assert mine.recv()[0] == expected


def test_threads_read_the_same(bank):
    rows = [row % 12 for row in range(200)]
    expected = digest(bank, list(range(12)))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: digest(bank, [row])[0], rows))
    assert found == [expected[row] for row in rows]


def test_open_files_are_bounded_and_closed(tmp_path):
    paths = [tmp_path / str(number) for number in range(9)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 4)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    files = FileSet(paths, limit=3)
    for number in np.random.default_rng(0).integers(0, 9, 200).tolist():
        assert files.read(number, (1, 2), (3, 1)) == [bytes([number]) * 2, bytes([number])]
        assert len(files) <= 3
    assert len(files) == 3
    files.close()
    assert len(files) == 0
    assert files.read(8, (0, 1)) == [b"\x08"]
    del files
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_reads_past_the_end_say_so(tmp_path):
    (tmp_path / "a").write_bytes(b"1234")
    files = FileSet([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(BankError, match=r"a: ends too early: 2 of 3 bytes at 2"):
        files.read(0, (0, 1), (2, 3))
    with pytest.raises(BankError, match=r"b: cannot be read"):
        files.read(1, (0, 1))
    with pytest.raises(BankError, match=r"a: cannot be read"):
        files.read(0, (2**64, 1))


def test_reading_imports_no_pyarrow_and_no_torch(bank):
    code = (
        "import sys\n"
        "from empaste_aug.bank import MaskBank\n"
        f"bank = MaskBank({str(bank.path)!r})\n"
        "bank[3], bank.image_id(3), bank.class_counts(), bank.verify_checksums()\n"
        "heavy = {'pyarrow', 'torch', 'pandas', 'detectron2', 'albumentations', 'sklearn'}\n"
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
