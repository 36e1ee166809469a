"""Which folder a path names, and whether two lie apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from empaste_aug.offline.folders import check_apart, plain_path
from empaste_aug.types import ArgumentError


def test_a_path_through_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "below")
    assert plain_path(tmp_path / "new" / ".." / "out") == tmp_path / "out"
    assert plain_path(tmp_path / "link" / ".." / "out") == tmp_path / "far" / "out"
    assert plain_path("some/link") == Path("some/link")


@pytest.mark.parametrize(
    ("output", "source"),
    [("a", "a"), ("a/b", "a"), ("a", "a/b"), ("link", "a/b"), ("a", "new/../a"), ("a", "link/c")],
)
def test_folders_that_are_not_apart(tmp_path: Path, output: str, source: str) -> None:
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(ArgumentError) as caught:
        check_apart(tmp_path / output, tmp_path / source, "pool", output_argument="place")
    assert str(caught.value) == (
        f"place, pool: {tmp_path / output} and {tmp_path / source} would lie in one another; give "
        "folders that are apart"
    )
    check_apart(tmp_path / "ab", tmp_path / source, "pool")
