"""The reader in other processes and threads, and what it imports."""

from __future__ import annotations

import copy
import os
import pickle
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from processes import forked, run_script

from empaste_aug.bank import MaskBank
from empaste_aug.bank.files import FileSet
from empaste_aug.types import BankError


def digest(bank: MaskBank, rows: list[int]) -> list[int]:
    return [zlib.crc32(bank[row].rgb.tobytes() + bank[row].alpha.tobytes()) for row in rows]


def digest_and_state(bank, rows):
    return digest(bank, rows), bank.image_id(0), len(bank._files)


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
def test_forked_workers_read_what_the_parent_reads(bank):
    rows = list(range(12))
    expected = digest(bank, rows)
    opened = len(bank._files)
    assert opened == len(bank.manifest["shards"])
    orders = [rows[number:] + rows[:number] for number in range(3)]
    found = forked(digest_and_state, bank, orders)
    assert digest(bank, rows) == expected
    assert found() == [
        ([expected[row] for row in order], bank.image_id(0), opened) for order in orders
    ]
    assert len(bank._files) == opened


def test_spawned_workers_read_what_the_parent_reads(bank):
    code = (
        "import multiprocessing, sys\n"
        "from empaste_aug.bank import MaskBank\n"
        "if __name__ == '__main__':\n"
        "    bank = MaskBank(sys.argv[1])\n"
        "    here = [bank[row].rgb.tobytes() for row in range(12)]\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
        "        there = pool.map(bank.__getitem__, range(12), chunksize=3)\n"
        "    assert here == [cutout.rgb.tobytes() for cutout in there]\n"
        "    print('same')\n"
    )
    printed, status, told = run_script(bank.path.parent / "spawn.py", code, str(bank.path))
    assert (printed, status) == ("same\n", 0), told


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_the_lock_is_held_does_not_wait_for_it(bank):
    expected = digest(bank, [0, 1])
    with bank._files._lock:
        assert forked(digest, bank, [[0, 1]])() == [expected]


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
    printed, status, told = run_script(bank.path.parent / "reads.py", code)
    assert (printed, status) == ("[]\n", 0), told
