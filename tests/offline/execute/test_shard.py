"""Parts of a list for job arrays."""

from __future__ import annotations

import pytest

from empaste_aug import ArgumentError
from empaste_aug.offline.execute import Shard


@pytest.mark.parametrize("number", [0, 1, 5, 12, 13])
@pytest.mark.parametrize("count", [1, 2, 5, 12, 20])
def test_the_parts_make_the_whole(number: int, count: int) -> None:
    items = list(range(number))
    parts = [Shard(index, count).take(items) for index in range(count)]
    assert [item for part in parts for item in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parse_reads_what_str_writes() -> None:
    assert Shard.parse("3/16") == Shard(3, 16)
    assert str(Shard.parse(" 0/1 ")) == "0/1"


@pytest.mark.parametrize("text", ["", "4/4", "1", "-1/3", "1/0", "a/b", "1/2/3", "1.0/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="shard"):
        Shard.parse(text)
