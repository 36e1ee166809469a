"""The progress bar on a terminal and in a log file."""

from __future__ import annotations

import io
import itertools
import sys

import pytest
import tqdm.std

from empaste_aug.offline.progress import progress_bar


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def states(monkeypatch: pytest.MonkeyPatch, terminal: bool, **options: bool) -> int:
    """How often the bar of a loop of 500 items, a second each, is written."""
    stream = Stream(terminal)
    clock = itertools.count()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(tqdm.std, "time", lambda: float(next(clock)))
    items = list(range(500))
    assert list(progress_bar(items, description="work", unit="item", **options)) == items
    return stream.getvalue().count("work")


def test_a_log_file_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 <= states(monkeypatch, terminal=False) <= 60
    assert states(monkeypatch, terminal=True) >= 200


def test_a_log_file_keeps_the_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(total=7, initial=2, description="a", unit="b", transient=True) as bar:
        for _ in range(5):
            bar.update()
    assert "7/7" in stream.getvalue().splitlines()[-1]


def test_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(monkeypatch, terminal=True, show=False) == 0
