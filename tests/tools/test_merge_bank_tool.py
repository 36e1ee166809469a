"""The command line of merge_bank. The merge itself: tests/bank/test_merge.py."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from empaste_aug import BankWriter, MaskBank

FILE = Path(__file__).resolve().parents[2] / "tools" / "merge_bank.py"


@pytest.fixture(scope="module")
def main() -> Any:
    return runpy.run_path(str(FILE))["main"]


def write(path: Path, *photos: str, **options: Any) -> str:
    with BankWriter(path, categories=["cat"], **options) as writer:
        for photo in photos:
            writer.add(
                np.full((9, 9, 3), 7, np.uint8),
                np.full((9, 9), 255, np.uint8),
                category_id=0,
                score=1.0,
                image_id=photo,
                source_size=(20, 20),
                source_bbox=(1, 1, 10, 10),
            )
    return str(path)


def test_it_merges_and_counts(main: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    banks = [write(tmp_path / "a", "1", "2"), write(tmp_path / "b", "2", "3")]
    output = str(tmp_path / "all")
    assert main([output, *banks]) == 2
    error = capsys.readouterr().err
    assert "--duplicates drop" in error
    assert main([output, *banks, "--duplicates", "drop"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["2", "cut-outs", "from", banks[0]]
    assert lines[1].split() == ["1", "cut-outs", "from", f"{banks[1]},", "1", "dropped"]
    assert lines[2].split() == ["3", "cut-outs", "of", "3", "photos", "in", output]
    assert len(MaskBank(output)) == 3
    assert main([output, *banks, "--duplicates", "drop"]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert main([output, banks[0], "--overwrite", "--shard-mib", "1"]) == 0
    assert len(MaskBank(output)) == 2


def test_errors_name_the_option(main: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    banks = [write(tmp_path / "a", "1", method="x"), write(tmp_path / "b", "2", method="y")]
    output = str(tmp_path / "all")
    assert main([output, *banks, "--shard-mib", "0"]) == 2
    assert "--shard-mib" in capsys.readouterr().err
    assert main([output, *banks]) == 2
    assert "--mixed merges them" in capsys.readouterr().err
    assert main([output, *banks, "--mixed"]) == 0
