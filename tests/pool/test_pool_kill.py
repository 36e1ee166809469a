"""A build that is killed, or runs out of disk, goes on with nothing lost, doubled or changed."""

from __future__ import annotations

import errno
import logging
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pool_data import CONFIG, add_images, hashes, make_image, provenance, write_pool

from empaste_aug import PoolError, PoolReader, PoolWriter
from empaste_aug.pool import build, journal
from empaste_aug.pool.journal import Journal

COUNT = 40
CALLS = 4000  # calls and returns of functions, about a fifth of a build
ROOT = Path(__file__).resolve().parents[2]
PATHS = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
CODE = f"""{PATHS}
import os, signal
from pool_data import write_pool
from empaste_aug import PoolWriter
left = int(sys.argv[2])
def count_down(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(count_down)
write_pool(sys.argv[1], {COUNT})
"""


def killed_in_child(path: Path, calls: int) -> bool:
    """Whether a build in a process of its own is killed, at this call or return of a function."""
    child = subprocess.run([sys.executable, "-c", CODE, str(path), str(calls)], check=False)
    assert child.returncode in (0, -signal.SIGKILL)
    return child.returncode != 0


def fill(writer: PoolWriter) -> None:
    add_images(writer, COUNT)
    writer.finish()


class Killed(BaseException):
    """What stands for a kill at a certain step."""


def resume(path: Path) -> dict[str, str]:
    return hashes(write_pool(path, COUNT))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return resume(tmp_path_factory.mktemp("whole") / "pool")


def test_killed_at_random_points(tmp_path, expected):
    """SIGKILL, again and again, until a build gets through."""
    rng = random.Random(0)
    path = tmp_path / "pool"
    kills = in_between = 0
    while killed_in_child(path, rng.randint(100, CALLS) + kills * CALLS // 3):
        kills += 1
        if not (path / "manifest.json").exists():
            with pytest.raises(PoolError):
                PoolReader(path)
            in_between += 0 < len(list(path.rglob("*.jpg"))) < COUNT
    assert in_between > 2
    assert resume(path) == expected


STEPS = [
    (build, "atomic_file"),
    (build, "write_tables"),
    (Journal, "append"),
    (build, "sync_folder"),
    (os, "replace"),
    (os, "pwrite"),
    (Path, "unlink"),
]


@pytest.mark.parametrize(("home", "name"), STEPS, ids=lambda x: getattr(x, "__name__", x))
@pytest.mark.parametrize("when", ["before", "after"])
def test_stopped_at_each_step(tmp_path, expected, monkeypatch, home, name, when):
    """Stopped at the first call of a step, the second, and so on, then resumed."""
    path = tmp_path / "pool"
    original = getattr(home, name)
    left = [0]
    stops = 0

    def stop(*args, **kwargs):
        left[0] -= 1
        if left[0]:
            return original(*args, **kwargs)
        if when == "after":
            original(*args, **kwargs)
        raise Killed

    for left[0] in (1, 2, 3, 5, 9, 17, 33):
        with monkeypatch.context() as patch:
            patch.setattr(home, name, stop)
            try:
                write_pool(path, COUNT)
            except Killed:
                stops += 1
    assert stops > 0
    assert resume(path) == expected
    PoolReader(path).verify_all()


def test_a_torn_line_is_written_over(tmp_path, expected):
    path = tmp_path / "pool"
    with PoolWriter(path, method="test", config=CONFIG) as writer:
        add_images(writer, 7)
        writer.close()
        writer._finished = {}  # leave the context without finishing
    file = path / "journal.jsonl"
    whole = file.read_bytes()
    for cut in (1, 5, 40):
        file.write_bytes(whole[:-cut])
        writer = PoolWriter(path, method="test", config=CONFIG)
        assert len(writer) == 6
        assert not (path / "images/000/000006.jpg").exists()
        add_images(writer, 7)
        writer.close()
        assert file.read_bytes() == whole
    file.write_bytes(whole + b"00000000 {}\nrubbish")
    assert resume(path) == expected


def test_a_line_that_was_changed_ends_what_is_known(tmp_path, expected):
    path = tmp_path / "pool"
    writer = PoolWriter(path, method="test", config=CONFIG)
    add_images(writer, 7)
    writer.close()
    lines = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"bytes": ', b'"bytes": 1')
    (path / "journal.jsonl").write_bytes(b"".join(lines))
    writer = PoolWriter(path, method="test", config=CONFIG)
    assert len(writer) == 3
    writer.close()
    assert resume(path) == expected


def test_images_that_are_gone_keep_their_numbers(tmp_path, expected):
    path = tmp_path / "pool"
    writer = PoolWriter(path, method="test", config=CONFIG)
    add_images(writer, 7)
    writer.close()
    (path / "images/000/000002.jpg").unlink()
    (path / "images/000/000005.jpg").write_bytes(b"short")
    writer = PoolWriter(path, method="test", config=CONFIG)
    assert len(writer) == 5
    assert "image 2" not in writer
    assert not (path / "images/000/000005.jpg").exists()
    with pytest.raises(PoolError, match=r"2 images are missing.*000002.jpg \(image 2\)"):
        writer.finish()
    assert writer.add("image 5", make_image(5), **provenance(5)) == 5
    writer.close()
    assert resume(path) == expected


def test_a_file_that_goes_during_the_build_is_missed(tmp_path):
    writer = PoolWriter(tmp_path / "pool", method="test", config=CONFIG)
    add_images(writer, 3)
    (tmp_path / "pool/images/000/000001.jpg").unlink()
    with pytest.raises(PoolError, match=r"1 images are missing or damaged.*000001.jpg"):
        writer.finish()
    add_images(writer, 3)
    writer.finish()
    PoolReader(tmp_path / "pool").verify_all()


@pytest.mark.parametrize("full", ["atomic_file", "append", "write_tables"])
def test_a_full_disk(tmp_path, expected, monkeypatch, full):
    """The error says so; the same writer, or the next one, goes on when there is room."""
    path = tmp_path / "pool"
    home = Journal if full == "append" else build
    original = getattr(home, full)
    room = [1 if full == "write_tables" else 9]

    def limited(*args, **kwargs):
        room[0] -= 1
        if room[0] < 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(home, full, limited)
        writer = PoolWriter(path, method="test", config=CONFIG)
        with pytest.raises(PoolError, match=r"the disk is full: make room and run again") as error:
            fill(writer)
        assert str(path) in str(error.value)
        assert 6 < len(writer) <= COUNT
        room[0] = 10**6
        add_images(writer, COUNT)
        writer.finish()
    assert hashes(path) == expected
    again = tmp_path / "again"
    with monkeypatch.context() as patch:
        room[0] = 1 if full == "write_tables" else 9
        patch.setattr(home, full, limited)
        with pytest.raises(PoolError, match="the disk is full"):
            write_pool(again, COUNT)
    assert resume(again) == expected


def test_a_short_write_to_the_journal(tmp_path, expected, monkeypatch):
    """A disk that takes a part of a line first, and then nothing."""
    path = tmp_path / "pool"
    original = os.pwrite
    calls = [0]

    def torn(descriptor, data, offset):
        calls[0] += 1
        if calls[0] == 20:
            return original(descriptor, data[: len(data) // 2], offset)
        if calls[0] == 21:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "pwrite", torn)
        with pytest.raises(PoolError, match="the disk is full"):
            write_pool(path, COUNT)
    assert calls[0] == 21
    assert resume(path) == expected


def test_writes_that_take_several_calls(tmp_path, expected, monkeypatch):
    original = os.pwrite
    monkeypatch.setattr(journal.os, "pwrite", lambda f, data, at: original(f, data[:100], at))
    writer = PoolWriter(tmp_path / "pool", method="test", config=CONFIG)
    add_images(writer, 9)
    writer.close()
    assert len(PoolWriter(tmp_path / "pool", method="test", config=CONFIG)) == 9


def test_two_processes_do_not_write_one_pool(tmp_path):
    path = tmp_path / "pool"
    writer = PoolWriter(path, method="test", config=CONFIG)
    add_images(writer, 2)
    for overwrite in (False, True):
        code = (
            f"{PATHS}from pool_data import CONFIG\n"
            "from empaste_aug import PoolWriter\n"
            f"PoolWriter(sys.argv[1], method='test', config=CONFIG, overwrite={overwrite})\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "another process is writing this pool" in done.stderr
    add_images(writer, 3)
    writer.finish()
    assert len(PoolReader(path)) == 3


def test_a_disk_without_locks(tmp_path, monkeypatch, caplog):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(journal.fcntl, "lockf", refuse)
    with caplog.at_level(logging.WARNING):
        write_pool(tmp_path / "pool", 2)
    assert "no locks" in caplog.text
    assert len(PoolReader(tmp_path / "pool")) == 2


def test_a_journal_that_contradicts_itself(tmp_path):
    path = tmp_path / "pool"
    writer = PoolWriter(path)
    add_images(writer, 2)
    writer.close()
    file = path / "journal.jsonl"
    file.write_bytes(file.read_bytes() + file.read_bytes().splitlines(keepends=True)[1])
    with PoolWriter(path) as again:  # the same image once more: an image that was made again
        assert len(again) == 2
        again.close()
        again._finished = {}
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], lines[2]]))
    with pytest.raises(PoolError, match=r"journal.jsonl: damaged: image 1 \(image 1\) contradicts"):
        PoolWriter(path)


def test_settings_are_the_same_after_json(tmp_path):
    """What was a tuple is a list in the journal, and still the same settings."""
    settings = {"method": "test", "config": {"sources": ("a", "b"), "sizes": {1: 2.0}}}
    for number in range(2):
        writer = PoolWriter(tmp_path / "pool", **settings)
        assert len(writer) == number
        writer.add(str(number), make_image(number), kind="user")
        writer.close()
