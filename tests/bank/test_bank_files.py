"""Atomic writes, of one writer and of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from empaste_aug.bank.files import atomic_file


@pytest.mark.parametrize("shared", [False, True])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "file"
    with atomic_file(path, shared=shared) as handle:
        handle.write(b"old")

    def fail() -> None:
        with atomic_file(path, shared=shared) as handle:
            handle.write(b"new")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_writers_of_a_shared_file_do_not_meet(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "file"

    def write(number: int) -> None:
        with atomic_file(path, shared=True) as handle:
            for _ in range(50):
                handle.write(bytes([number]) * 100)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(40)))
    content = path.read_bytes()
    assert len(content) == 5000
    assert len(set(content)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
